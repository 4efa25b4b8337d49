//! What a body has to send, gathered with one frame of look-ahead.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use homa::Message;
use http::HeaderMap;
use http_body::Body as _;
use tonic::Status;
use tonic::body::Body;

/// So much is gathered from a body that is always ready before what there is goes out: enough that
/// messages are long, and not so much that the first of many small items waits for the last.
pub(crate) const SOON_BYTES: usize = 65_536;

/// Messages with no more than this are sent in one piece, as copying is cheaper than gathering then.
const ONE_PIECE_BYTES: usize = 4096;

/// A body, as far as it was read and not sent.
#[derive(Debug)]
pub(crate) struct Gather {
    /// `None` once it has ended.
    body: Option<Body>,
    data: VecDeque<Bytes>,
    /// Bytes in `data`.
    length: usize,
    /// Whether the one frame beyond enough was asked for.
    looked_ahead: bool,
    end: Option<End>,
}

/// How a body ended.
#[derive(Debug)]
pub(crate) enum End {
    /// A body of a request, or a broken one of a response.
    Bare,
    Trailers(HeaderMap),
    Failed(Status),
}

impl Gather {
    pub(crate) fn new(body: Body) -> Self {
        Self { body: Some(body), data: VecDeque::new(), length: 0, looked_ahead: false, end: None }
    }

    /// Reads the body until it has ended, is not ready, or has given `enough` bytes; and then one
    /// frame further, so that an end that is there is seen together with what is before it. Bytes
    /// that wait to be sent are bounded by `enough` and two frames.
    ///
    /// Pending: there is nothing to send, and the task will be woken when there is.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, enough: usize) -> Poll<()> {
        while let Some(body) = &mut self.body {
            if self.length >= enough && std::mem::replace(&mut self.looked_ahead, true) {
                break;
            }
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => self.take_frame(frame),
                Poll::Ready(Some(Err(status))) => self.finish(End::Failed(status)),
                Poll::Ready(None) => self.finish(End::Bare),
                Poll::Pending => break,
            }
        }
        if self.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn take_frame(&mut self, frame: http_body::Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                self.length += data.len();
                self.data.push_back(data);
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    self.finish(End::Trailers(trailers));
                }
            }
        }
    }

    fn finish(&mut self, end: End) {
        self.body = None;
        self.end = Some(end);
    }

    /// Whether nothing was read that was not taken, not even the end.
    fn is_empty(&self) -> bool {
        self.length == 0 && self.end.is_none()
    }

    /// Bytes that were read and not taken.
    pub(crate) fn bytes(&self) -> usize {
        self.length
    }

    /// Whether the body has ended and so much takes all that is left of it.
    pub(crate) fn ends_within(&self, max: usize) -> bool {
        self.body.is_none() && self.length <= max
    }

    /// Why the body could not be read to its end, if that is so.
    pub(crate) fn failure(&self) -> Option<&Status> {
        match &self.end {
            Some(End::Failed(status)) => Some(status),
            _ => None,
        }
    }

    /// Takes how the body ended, once it has; bytes may be left.
    pub(crate) fn take_end(&mut self) -> Option<End> {
        self.end.take()
    }

    /// Makes a message of a head and up to `max` bytes of the body.
    pub(crate) fn take_message(&mut self, mut head: BytesMut, max: usize) -> Message {
        let length = self.length.min(max);
        if head.len() + length <= ONE_PIECE_BYTES {
            head.reserve(length);
            self.take_data(length, |data| head.extend_from_slice(&data));
            return head.freeze().into();
        }
        let mut pieces = vec![head.freeze()];
        self.take_data(length, |data| pieces.push(data));
        pieces.into()
    }

    /// Takes `length` bytes, which must be there.
    fn take_data(&mut self, mut length: usize, mut take: impl FnMut(Bytes)) {
        self.length -= length;
        self.looked_ahead = false;
        while length > 0 {
            let Some(first) = self.data.front_mut() else { return };
            let piece = first.split_to(length.min(first.len()));
            length -= piece.len();
            if first.is_empty() {
                self.data.pop_front();
            }
            take(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    /// What a body gives when it is polled.
    #[derive(Clone, Debug)]
    enum Step {
        Data(Vec<u8>),
        Pending,
    }

    /// A body that is ready step by step, then ends with trailers.
    struct Steps(VecDeque<Step>, Option<HeaderMap>);

    impl http_body::Body for Steps {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
            match self.0.pop_front() {
                Some(Step::Data(data)) => {
                    Poll::Ready(Some(Ok(http_body::Frame::data(data.into()))))
                }
                Some(Step::Pending) => Poll::Pending,
                None => {
                    let trailers = self.1.take();
                    Poll::Ready(trailers.map(|trailers| Ok(http_body::Frame::trailers(trailers))))
                }
            }
        }
    }

    fn gather(steps: Vec<Step>) -> Gather {
        Gather::new(Body::new(Steps(steps.into(), Some(HeaderMap::new()))))
    }

    fn fill(gather: &mut Gather, enough: usize) -> Poll<()> {
        gather.poll_fill(&mut Context::from_waker(Waker::noop()), enough)
    }

    #[test]
    fn poll_fill__a_unary_body_is_seen_to_its_end_however_long() {
        for length in [0, 1, SOON_BYTES, 3 * SOON_BYTES] {
            let mut gather = gather(vec![Step::Data(vec![7; length])]);
            assert!(fill(&mut gather, SOON_BYTES).is_ready());
            assert!(gather.ends_within(length));
            assert!(length == 0 || !gather.ends_within(length - 1));
        }
    }

    #[test]
    fn poll_fill__nothing_is_pending_and_the_end_is_not_nothing() {
        let mut gather = gather(vec![Step::Pending]);
        assert!(fill(&mut gather, SOON_BYTES).is_pending());
        assert!(gather.take_end().is_none());
        assert!(fill(&mut gather, SOON_BYTES).is_ready());
        assert!(matches!(gather.take_end(), Some(End::Trailers(_))));
    }

    #[test]
    fn poll_fill__a_body_that_is_always_ready_is_not_read_without_end() {
        let steps = vec![Step::Data(vec![1; 1000]); 1000];
        let mut gather = gather(steps);
        assert!(fill(&mut gather, 10_000).is_ready());
        assert_eq!(gather.length, 11_000);
        // Nor again, if nothing was taken.
        assert!(fill(&mut gather, 10_000).is_ready());
        assert_eq!(gather.length, 11_000);
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let data = proptest::collection::vec(any::<u8>(), 0..300).prop_map(Step::Data);
        let step = prop_oneof![4 => data, 1 => Just(Step::Pending)];
        proptest::collection::vec(step, 0..20)
    }

    proptest! {
        /// However it is cut, the messages hold the body's bytes in order, none of them is longer than
        /// allowed, and the end is seen once, behind all bytes.
        #[test]
        fn take_message__all_bytes_in_order(
            steps in steps(), enough in 0..500usize, max in 1..400usize,
        ) {
            let all: Vec<u8> = steps.iter().flat_map(|step| match step {
                Step::Data(data) => data.clone(),
                Step::Pending => Vec::new(),
            }).collect();
            let mut gather = gather(steps);
            let mut taken = Vec::new();
            let end = loop {
                let _ = fill(&mut gather, enough);
                let head = BytesMut::from(&b"head"[..]);
                let message = gather.take_message(head, max).into_bytes();
                prop_assert!(message.len() <= 4 + max);
                prop_assert_eq!(&message[..4], b"head");
                taken.extend_from_slice(&message[4..]);
                if gather.ends_within(0) {
                    break gather.take_end().unwrap();
                }
            };
            prop_assert_eq!(taken, all);
            prop_assert!(matches!(end, End::Trailers(_)));
            prop_assert!(gather.is_empty() && gather.take_end().is_none());
        }
    }
}
