//! The body of a request, as its handler reads it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use homa::Message;
use http_body::{Body, Frame};
use tonic::Status;

use super::peers::Room;
use super::reply::reply;
use super::stream::{NextPush, Push, Stream};
use crate::message::next_piece;
use crate::wire::Answer;

/// What has arrived of a body, and where the rest comes from.
#[derive(Debug)]
pub(super) struct RequestBody {
    data: Message,
    /// Until the handler has all of `data`.
    held: Option<Room>,
    /// `None` once all has arrived.
    rest: Option<Arc<Stream>>,
}

impl RequestBody {
    pub(super) fn new(data: Message, held: Room, rest: Option<Arc<Stream>>) -> Self {
        Self { data, held: Some(held), rest }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    /// A push is answered when the handler takes it: so the client is not faster than the handler.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(piece) = next_piece(&mut self.data) {
                if self.data.is_empty() {
                    self.held = None;
                }
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            self.held = None;
            let Some(stream) = &self.rest else { return Poll::Ready(None) };
            let Push { request, body, is_end, held } = match ready!(stream.poll_push(cx)) {
                NextPush::Push(push) => push,
                NextPush::Cancelled(why) => {
                    self.rest = None;
                    // Not CANCELLED, which tonic takes for the regular end of a request.
                    let status = match why {
                        Some(why) => Status::aborted(why.message()),
                        None => Status::aborted("the client gave the call up"),
                    };
                    return Poll::Ready(Some(Err(status)));
                }
            };
            (self.data, self.held) = (body, Some(held));
            if is_end && let Some(stream) = self.rest.take() {
                stream.close();
            }
            reply(request, Answer::taken(false));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.rest.is_none()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(stream) = &self.rest {
            stream.close();
        }
    }
}
