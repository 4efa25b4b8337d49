//! A handler's response, on its way to the client.

use std::task::{Context, Poll};

use bytes::BytesMut;
use homa::Message;
use http::{HeaderMap, Response, StatusCode};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::gather::{End, Gather};
use crate::wire::{Answer, Item, MetadataError, MetadataLimits, Trailers};

/// Cuts a response into items.
#[derive(Debug)]
pub(super) struct Outgoing {
    headers: Option<HeaderMap>,
    /// What a layer that knows nothing of gRPC says of the call.
    status: StatusCode,
    gather: Gather,
    /// The end, once it is known, until it is sent.
    trailers: Option<Trailers>,
    next: u64,
    limits: MetadataLimits,
    /// The longest message, in bytes.
    max: usize,
}

/// A message of a response.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) message: Message,
    /// Whether the response ends with it.
    pub(super) is_end: bool,
}

impl Outgoing {
    /// A response, to be sent in messages of up to `max` bytes, at least 1,024.
    pub(super) fn new(response: Response<Body>, limits: MetadataLimits, max: usize) -> Self {
        let (parts, body) = response.into_parts();
        let (status, gather) = (parts.status, Gather::new(body));
        if Trailers::has_status(&parts.headers) {
            // Trailers only: there is no body.
            let trailers = Some(Trailers(parts.headers));
            return Self { headers: None, status, gather, trailers, next: 0, limits, max };
        }
        Self { headers: Some(parts.headers), status, gather, trailers: None, next: 0, limits, max }
    }

    /// Reads the response's body as far as it is ready, up to about `enough` bytes. Pending: there is
    /// nothing to send.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, enough: usize) -> Poll<()> {
        if self.trailers.is_none() {
            let _ = self.gather.poll_fill(cx, enough);
            self.trailers = self.gather.take_end().map(|end| trailers_of(end, self.status));
        }
        let has_some = self.headers.is_some() || self.trailers.is_some() || self.gather.bytes() > 0;
        if has_some { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Bytes of the body that were read and not sent.
    pub(super) fn bytes(&self) -> usize {
        self.gather.bytes()
    }

    /// The next message, of what is there. Should the metadata be such that they can't be sent, the
    /// client is told, and that is the end.
    pub(super) fn next_part(&mut self) -> Part {
        self.try_next_part().unwrap_or_else(|error| {
            let message = Answer::fault(&error.into()).into();
            Part { message, is_end: true }
        })
    }

    fn try_next_part(&mut self) -> Result<Part, MetadataError> {
        if let Some(head) = self.last_head()? {
            let message = self.gather.take_message(head, self.max);
            return Ok(Part { message, is_end: true });
        }
        let mut head = self.head(None)?;
        let room = self.max.checked_sub(head.len()).ok_or(MetadataError::Bytes(self.max))?;
        if self.gather.bytes() > room {
            Item::mark_backlog(&mut head);
        }
        self.headers = None;
        self.next += 1;
        Ok(Part { message: self.gather.take_message(head, room), is_end: false })
    }

    /// The head of an item with all that is left, if that is known and fits one message.
    fn last_head(&self) -> Result<Option<BytesMut>, MetadataError> {
        let Some(trailers) = &self.trailers else { return Ok(None) };
        let length = self.gather.bytes();
        // What can go before the trailers, in an item of its own.
        let has_more = self.headers.is_some() || length > 0;
        if length > self.max {
            return Ok(None);
        }
        match self.head(Some(trailers)) {
            Ok(head) if head.len() + length <= self.max => Ok(Some(head)),
            _ if has_more => Ok(None),
            Ok(_) => Err(MetadataError::Bytes(self.max)),
            Err(error) => Err(error),
        }
    }

    fn head(&self, trailers: Option<&Trailers>) -> Result<BytesMut, MetadataError> {
        Item::encode_head(self.next, self.headers.as_ref(), trailers, &self.limits)
    }
}

/// What the end of a handler's body says of the call.
fn trailers_of(end: End, status: StatusCode) -> Trailers {
    match end {
        End::Trailers(headers) if Trailers::has_status(&headers) => Trailers(headers),
        End::Failed(status) => Trailers::of_status(&status),
        End::Trailers(_) | End::Bare => {
            let why = match status {
                StatusCode::OK => "the response ended without a status".to_owned(),
                other => format!("the response has the HTTP status {other}"),
            };
            Trailers::of_status(&Status::new(code_of(status), why))
        }
    }
}

/// The code for a response that has none, as gRPC's document `http-grpc-status-mapping` says.
fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use std::task::Waker;

    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;

    /// A body that is there at once.
    struct Ready {
        data: Option<Bytes>,
        trailers: Option<HeaderMap>,
    }

    impl http_body::Body for Ready {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
            if let Some(data) = self.data.take() {
                return Poll::Ready(Some(Ok(http_body::Frame::data(data))));
            }
            let trailers = self.trailers.take();
            Poll::Ready(trailers.map(|trailers| Ok(http_body::Frame::trailers(trailers))))
        }
    }

    fn header(name: &'static str, value: &[u8]) -> HeaderMap {
        let value = HeaderValue::from_bytes(value).unwrap();
        [(http::HeaderName::from_static(name), value)].into_iter().collect()
    }

    fn outgoing(data: &[u8], headers: HeaderMap, trailers: Option<HeaderMap>) -> Outgoing {
        let data = Some(Bytes::copy_from_slice(data));
        let mut response = Response::new(Body::new(Ready { data, trailers }));
        *response.headers_mut() = headers;
        Outgoing::new(response, MetadataLimits::default(), 100_000)
    }

    /// All items of a response, as a client reads them, and that they end once.
    fn items(mut outgoing: Outgoing) -> Vec<Answer> {
        let mut answers = Vec::new();
        loop {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(outgoing.poll_fill(&mut cx, 65_536).is_ready(), "{outgoing:?}");
            let Part { message, is_end } = outgoing.next_part();
            assert!(message.len() <= 100_000);
            answers.push(Answer::decode(message, &MetadataLimits::default()).unwrap());
            assert!(answers.len() < 100);
            if is_end {
                return answers;
            }
        }
    }

    fn item(answer: &Answer) -> &Item {
        match answer {
            Answer::Item(item) => item,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn next_part__what_fits_is_one_message() {
        let ok = header("grpc-status", b"0");
        let answers = items(outgoing(b"data", header("a", b"1"), Some(ok)));
        let [answer] = &answers[..] else { panic!("{answers:?}") };
        let item = item(answer);
        assert_eq!(item.headers.as_ref().unwrap()["a"], "1");
        assert_eq!(item.body, b"data"[..]);
        assert_eq!(item.trailers.as_ref().unwrap().0["grpc-status"], "0");
    }

    #[test]
    fn next_part__long_bodies_are_cut_and_end_with_the_trailers() {
        let ok = header("grpc-status", b"0");
        let data: Vec<u8> = (0..250_000u32).map(|at| at as u8).collect();
        let answers = items(outgoing(&data, HeaderMap::new(), Some(ok)));
        let mut joined = Vec::new();
        for (at, answer) in answers.iter().enumerate() {
            let item = item(answer);
            assert_eq!(item.sequence, at as u64);
            assert_eq!(item.headers.is_some(), at == 0);
            assert_eq!(item.has_backlog, at < 2);
            assert_eq!(item.trailers.is_some(), at + 1 == answers.len());
            item.body.chunks().for_each(|chunk| joined.extend_from_slice(chunk));
        }
        assert_eq!((joined, answers.len()), (data, 3));
    }

    #[test]
    fn next_part__a_bare_end_is_an_error() {
        let answers = items(outgoing(b"data", HeaderMap::new(), None));
        let trailers = item(&answers[0]).trailers.as_ref().unwrap();
        assert_eq!(trailers.0["grpc-status"], "2");
    }

    /// Layers that know nothing of gRPC refuse requests by statuses of HTTP.
    #[test]
    fn next_part__statuses_of_http() {
        for (status, code) in [(401, "16"), (403, "7"), (404, "12"), (429, "14"), (500, "2")] {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            let answers = items(Outgoing::new(response, MetadataLimits::default(), 100_000));
            let trailers = item(&answers[0]).trailers.as_ref().unwrap();
            assert_eq!(trailers.0["grpc-status"], code, "{status}");
        }
    }

    /// Each fits, both together do not.
    #[test]
    fn next_part__large_headers_and_large_trailers_go_apart() {
        let mut trailers = header("t", &[b'x'; 40_000]);
        trailers.extend(header("grpc-status", b"0"));
        let answers = items(outgoing(b"", header("h", &[b'y'; 40_000]), Some(trailers)));
        assert_eq!(answers.len(), 2);
        assert!(item(&answers[0]).trailers.is_none());
        assert_eq!(item(&answers[1]).trailers.as_ref().unwrap().0["t"].len(), 40_000);
    }

    #[test]
    fn next_part__metadata_that_can_not_be_sent_are_a_fault() {
        let mut long = header("t", &[b'x'; 70_000]);
        long.extend(header("grpc-status", b"0"));
        let bad = header("x-bin", b"no base64!");
        for (headers, trailers, faults_at, code) in [
            (HeaderMap::new(), long.clone(), 1, Code::ResourceExhausted),
            (header("h", &[b'y'; 70_000]), header("grpc-status", b"0"), 0, Code::ResourceExhausted),
            (bad, header("grpc-status", b"0"), 0, Code::Internal),
        ] {
            let answers = items(outgoing(b"data", headers, Some(trailers)));
            let Answer::Fault(status) = &answers[faults_at] else { panic!("{answers:?}") };
            assert_eq!((status.code(), answers.len()), (code, faults_at + 1));
        }
    }
}
