//! Answers that nobody waits for.

use homa::{Message, ReplyError, Request};
use tonic::Status;

use crate::wire::Answer;

/// Answers a request, at once or when there is room for the answer. That the client has gone is no
/// failure: what its request was about learns of that by itself.
pub(super) fn reply(mut request: Request, answer: impl Into<Message>) {
    let answer = answer.into();
    match request.reply(answer.clone()) {
        Err(ReplyError::Full { .. }) => {
            tokio::spawn(async move {
                // It waits as long as the client does.
                let _ = request.reply_when_room(answer).await;
            });
        }
        Err(error @ ReplyError::TooLong { .. }) => {
            let status = Status::resource_exhausted(error.to_string());
            let _ = request.reply(Answer::fault(&status));
        }
        _ => {}
    }
}
