//! A body, message by message.

use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::read::GzDecoder;
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;

use crate::compression::{Flags, Plain};

/// Flag and length in front of each message.
const PREFIX: usize = 5;

/// The same body, whose messages are looked at and, some of them, uncompressed.
pub(crate) struct Reframed {
    body: Body,
    buffer: BytesMut,
    flags: Option<Flags>,
    plain: Plain,
    /// Messages so far.
    count: usize,
}

impl Reframed {
    pub(crate) fn body(body: Body, flags: Option<Flags>, plain: Option<Plain>) -> Body {
        if flags.is_none() && plain.is_none() {
            return body;
        }
        let plain = plain.unwrap_or_default();
        Body::new(Self { body, buffer: BytesMut::new(), flags, plain, count: 0 })
    }

    /// The next message, if all of it is there.
    fn next_message(&mut self) -> Result<Option<Bytes>, Status> {
        let Some((prefix, _)) = self.buffer.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let [flag, length @ ..] = *prefix;
        let length = u32::from_be_bytes(length) as usize;
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        let mut message = self.buffer.split_to(PREFIX + length);
        if let Some(flags) = &self.flags {
            flags.record(flag == 1);
        }
        let is_plain = self.plain.0.contains(&self.count);
        self.count += 1;
        if flag == 1 && is_plain {
            message.advance(PREFIX);
            return uncompressed(&message).map(Some);
        }
        Ok(Some(message.freeze()))
    }
}

fn uncompressed(message: &[u8]) -> Result<Bytes, Status> {
    let mut plain = Vec::new();
    let read = GzDecoder::new(message).read_to_end(&mut plain);
    read.map_err(|error| Status::internal(error.to_string()))?;
    let mut framed = BytesMut::with_capacity(PREFIX + plain.len());
    framed.put_u8(0);
    framed.put_u32(plain.len() as u32);
    framed.put_slice(&plain);
    Ok(framed.freeze())
}

impl http_body::Body for Reframed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            match self.next_message() {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                Err(status) => return Poll::Ready(Some(Err(status))),
                Ok(None) => {}
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
    }
}
