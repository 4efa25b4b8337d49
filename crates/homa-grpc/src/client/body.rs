//! The body of a response.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use homa::Message;
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

use super::stream::Downlink;
use crate::message::next_piece;
use crate::wire::{Item, Trailers};

/// The body of a response: what has arrived, and, if that is not all, where the rest comes from.
///
/// Its end is always its trailers, or an error. Dropping it before cancels the call.
#[derive(Debug)]
pub struct ResponseBody {
    data: Message,
    trailers: Option<Trailers>,
    /// `None` if all is there.
    rest: Option<Downlink>,
}

impl Default for ResponseBody {
    /// No body: what interceptors put behind a status of their own.
    fn default() -> Self {
        Self { data: Message::new(), trailers: None, rest: None }
    }
}

impl ResponseBody {
    /// All of a response.
    pub(super) fn whole(item: Item) -> Self {
        Self { data: item.body, trailers: item.trailers, rest: None }
    }

    /// The beginning of a response.
    pub(super) fn begun(item: Item, rest: Downlink) -> Self {
        let is_whole = item.trailers.is_some();
        let rest = (!is_whole).then_some(rest);
        Self { data: item.body, trailers: item.trailers, rest }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(piece) = next_piece(&mut self.data) {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if let Some(Trailers(headers)) = self.trailers.take() {
                self.rest = None;
                return Poll::Ready(Some(Ok(Frame::trailers(headers))));
            }
            let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
            match std::task::ready!(rest.poll_item(cx)) {
                Ok(item) => (self.data, self.trailers) = (item.body, item.trailers),
                Err(status) => {
                    self.rest = None;
                    return Poll::Ready(Some(Err(status)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.data.len() as u64;
        if self.rest.is_some() {
            let mut hint = SizeHint::new();
            hint.set_lower(length);
            return hint;
        }
        SizeHint::with_exact(length)
    }
}
