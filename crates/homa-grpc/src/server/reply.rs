//! Answers that nobody waits for.

use homa::{Message, ReplyError, Request};

/// Answers a request, at once or when there is room for the answer. That the client has gone is no
/// failure: what its request was about learns of that by itself.
pub(super) fn reply(mut request: Request, answer: impl Into<Message>) {
    let answer = answer.into();
    if let Err(ReplyError::Full { .. }) = request.reply(answer.clone()) {
        tokio::spawn(async move {
            // It waits as long as the client does.
            let _ = request.reply_when_room(answer).await;
        });
    }
}
