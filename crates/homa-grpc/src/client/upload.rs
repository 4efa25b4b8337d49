//! What is left of a request's body, on its way to the server.

use std::task::{Context, Poll};

use homa::Message;
use tonic::Status;

use crate::gather::{Gather, SOON_BYTES};
use crate::wire::Request;

/// Bytes of a body, cut into pushes.
#[derive(Debug)]
pub(super) struct Upload {
    stream: u64,
    gather: Gather,
    next: u64,
    is_over: bool,
}

/// Length of the head of a push.
const HEAD_BYTES: usize = 24;

impl Upload {
    pub(super) fn new(stream: u64, gather: Gather) -> Self {
        Self { stream, gather, next: 0, is_over: false }
    }

    /// The next push of up to `max` bytes, with its number, once there is something to send.
    ///
    /// # Errors
    ///
    /// The request's body failed; what it gave before does not matter any more.
    pub(super) fn poll_push(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<Result<(u64, Message), Status>> {
        if self.is_over {
            return Poll::Pending;
        }
        std::task::ready!(self.gather.poll_fill(cx, SOON_BYTES));
        if let Some(failure) = self.gather.failure() {
            return Poll::Ready(Err(failure.clone()));
        }
        let room = max - HEAD_BYTES;
        self.is_over = self.gather.ends_within(room);
        let number = self.next;
        self.next += 1;
        let head = Request::push(self.stream, number, self.is_over);
        Poll::Ready(Ok((number, self.gather.take_message(head, room))))
    }

    /// Whether the last push was taken.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}
