//! What clients send: a call, or something about a stream that a call became.

use bytes::{BufMut, Bytes, BytesMut};
use homa::Message;
use http::HeaderMap;
use http::uri::PathAndQuery;

use super::metadata::{self, MetadataError};
use super::prefix::{self, Split};
use super::reader::Reader;
use super::{Malformed, MetadataLimits};

const OPEN: u8 = 1;
const PUSH: u8 = 2;
const PULL: u8 = 3;
const CANCEL: u8 = 4;
const TOUCH: u8 = 5;

/// The request's body ends here.
const FLAG_END: u8 = 1;

/// A message of a client.
#[derive(Debug)]
pub(crate) enum Request {
    Open(Open),
    /// More of a request's body; `sequence` counts from 0.
    Push {
        stream: u64,
        sequence: u64,
        is_end: bool,
        body: Message,
    },
    /// Asks for more of a response.
    Pull {
        stream: u64,
    },
    /// The client gave the stream up.
    Cancel {
        stream: u64,
    },
    /// The client is alive, but has nothing to send and no room to receive.
    Touch {
        stream: u64,
    },
}

/// A call.
#[derive(Debug)]
pub(crate) struct Open {
    /// Names the stream, should it become one.
    pub(crate) stream: u64,
    /// The longest answer that the client takes, in bytes.
    pub(crate) answer_bytes_max: u32,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
    /// The body's beginning, or all of it.
    pub(crate) body: Message,
    /// Whether it is all of it.
    pub(crate) is_end: bool,
}

impl Request {
    /// Reads a request.
    pub(crate) fn decode(message: Message, limits: &MetadataLimits) -> Result<Self, Malformed> {
        let Split { kind, flags, fields, body } = prefix::split(message, limits.bytes_max)?;
        let mut reader = Reader::new(&fields);
        let is_end = flags & FLAG_END != 0;
        if kind == OPEN {
            return Open::decode(&mut reader, is_end, body, limits).map(Self::Open);
        }
        let stream = reader.u64()?;
        let request = match kind {
            PUSH => return Ok(Self::Push { stream, sequence: reader.u64()?, is_end, body }),
            PULL => Self::Pull { stream },
            CANCEL => Self::Cancel { stream },
            TOUCH => Self::Touch { stream },
            other => return Err(Malformed::Kind(other)),
        };
        if body.is_empty() { Ok(request) } else { Err(Malformed::UnexpectedBody) }
    }

    /// The name of the stream.
    pub(crate) fn stream(&self) -> u64 {
        match self {
            Self::Open(open) => open.stream,
            Self::Push { stream, .. }
            | Self::Pull { stream }
            | Self::Cancel { stream }
            | Self::Touch { stream } => *stream,
        }
    }

    /// The head of a call whose body follows.
    pub(crate) fn open(
        stream: u64,
        answer_bytes_max: u32,
        path: &str,
        headers: &HeaderMap,
        is_end: bool,
        limits: &MetadataLimits,
    ) -> Result<BytesMut, MetadataError> {
        let mut head = prefix::begin(OPEN, if is_end { FLAG_END } else { 0 }, 248);
        head.put_u64(stream);
        head.put_u32(answer_bytes_max);
        let length =
            u16::try_from(path.len()).map_err(|_| MetadataError::Bytes(limits.bytes_max))?;
        head.put_u16(length);
        head.put_slice(path.as_bytes());
        metadata::encode(headers, limits, &mut head)?;
        Ok(prefix::finish(head))
    }

    /// The head of a part of a body, which follows.
    pub(crate) fn push(stream: u64, sequence: u64, is_end: bool) -> BytesMut {
        let mut head = prefix::begin(PUSH, if is_end { FLAG_END } else { 0 }, 16);
        head.put_u64(stream);
        head.put_u64(sequence);
        prefix::finish(head)
    }

    pub(crate) fn pull(stream: u64) -> Bytes {
        Self::about(PULL, stream)
    }

    pub(crate) fn cancel(stream: u64) -> Bytes {
        Self::about(CANCEL, stream)
    }

    pub(crate) fn touch(stream: u64) -> Bytes {
        Self::about(TOUCH, stream)
    }

    fn about(kind: u8, stream: u64) -> Bytes {
        let mut head = prefix::begin(kind, 0, 8);
        head.put_u64(stream);
        prefix::finish(head).freeze()
    }
}

impl Open {
    fn decode(
        reader: &mut Reader<'_>,
        is_end: bool,
        body: Message,
        limits: &MetadataLimits,
    ) -> Result<Self, Malformed> {
        let stream = reader.u64()?;
        let answer_bytes_max = reader.u32()?;
        let length = usize::from(reader.u16()?);
        let path = reader.take(length)?;
        if path.first() != Some(&b'/') {
            return Err(Malformed::Path);
        }
        let path = PathAndQuery::try_from(path).map_err(|_| Malformed::Path)?;
        let mut headers = HeaderMap::new();
        metadata::decode(reader, limits, &mut headers)?;
        metadata::add_implied(&mut headers);
        Ok(Self { stream, answer_bytes_max, path, headers, body, is_end })
    }
}
