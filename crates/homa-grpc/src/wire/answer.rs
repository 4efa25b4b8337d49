//! What servers answer.

use bytes::{BufMut, Bytes, BytesMut};
use homa::Message;
use http::HeaderMap;
use tonic::{Code, Status};

use super::metadata::{self, MetadataError};
use super::prefix::{self, Split};
use super::reader::Reader;
use super::trailers::{Trailers, decode_status, encode_status};
use super::{Malformed, MetadataLimits};

const ITEM: u8 = 0x81;
const NOTHING: u8 = 0x82;
const TAKEN: u8 = 0x83;
const FAULT: u8 = 0x84;

/// The item has the response's headers.
const FLAG_HEADERS: u8 = 1;
/// The item ends the response.
const FLAG_TRAILERS: u8 = 2;
/// More was ready than this item and the pulls that wait could take.
const FLAG_BACKLOG: u8 = 4;
/// Nobody reads the request's body any more.
const FLAG_CLOSED: u8 = 1;

/// A message of a server.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are items, and none lives long")]
pub(crate) enum Answer {
    /// A part of the response, to a call or a pull.
    Item(Item),
    /// There is nothing to give: the call was taken as a stream, or a pull has waited for long, or the
    /// answer is to a message that needs none.
    Nothing,
    /// A push was taken. `is_closed`: no more of them are wanted.
    Taken { is_closed: bool },
    /// The request could not be done, and if it was about a stream, the stream is at its end.
    Fault(Status),
}

/// A part of a response. Items are numbered from 0.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) sequence: u64,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) trailers: Option<Trailers>,
    pub(crate) has_backlog: bool,
    /// Bytes of the body, in front of the trailers.
    pub(crate) body: Message,
}

impl Answer {
    /// Reads an answer.
    pub(crate) fn decode(message: Message, limits: &MetadataLimits) -> Result<Self, Malformed> {
        let Split { kind, flags, fields, body } = prefix::split(message, limits.bytes_max)?;
        let mut reader = Reader::new(&fields);
        let answer = match kind {
            ITEM => return Item::decode(&mut reader, flags, body, limits).map(Self::Item),
            NOTHING => Self::Nothing,
            TAKEN => Self::Taken { is_closed: flags & FLAG_CLOSED != 0 },
            FAULT => {
                let (code, text) = decode_status(&mut reader)?;
                // A fault that is a success would be a stream without an end.
                let code = if code == Code::Ok { Code::Unknown } else { code };
                Self::Fault(Status::new(code, text))
            }
            other => return Err(Malformed::Kind(other)),
        };
        if body.is_empty() { Ok(answer) } else { Err(Malformed::UnexpectedBody) }
    }

    pub(crate) fn nothing() -> Bytes {
        prefix::finish(prefix::begin(NOTHING, 0, 0)).freeze()
    }

    pub(crate) fn taken(is_closed: bool) -> Bytes {
        prefix::finish(prefix::begin(TAKEN, if is_closed { FLAG_CLOSED } else { 0 }, 0)).freeze()
    }

    /// A status that has a code and a message and nothing else.
    pub(crate) fn fault(status: &Status) -> Bytes {
        let mut head = prefix::begin(FAULT, 0, 5 + status.message().len());
        encode_status(status.code(), status.message(), &mut head);
        prefix::finish(head).freeze()
    }
}

impl Item {
    /// An item's head; its body follows.
    pub(crate) fn encode_head(
        sequence: u64,
        headers: Option<&HeaderMap>,
        trailers: Option<&Trailers>,
        limits: &MetadataLimits,
    ) -> Result<BytesMut, MetadataError> {
        let mut flags = 0;
        for (is_set, flag) in
            [(headers.is_some(), FLAG_HEADERS), (trailers.is_some(), FLAG_TRAILERS)]
        {
            flags |= if is_set { flag } else { 0 };
        }
        let mut head = prefix::begin(ITEM, flags, 120);
        head.put_u64(sequence);
        if let Some(headers) = headers {
            metadata::encode(headers, limits, &mut head)?;
        }
        if let Some(trailers) = trailers {
            trailers.encode(limits, &mut head)?;
        }
        Ok(prefix::finish(head))
    }

    /// Says in a head that more was ready.
    pub(crate) fn mark_backlog(head: &mut BytesMut) {
        head[prefix::FLAGS] |= FLAG_BACKLOG;
    }

    fn decode(
        reader: &mut Reader<'_>,
        flags: u8,
        body: Message,
        limits: &MetadataLimits,
    ) -> Result<Self, Malformed> {
        let sequence = reader.u64()?;
        let mut headers = None;
        if flags & FLAG_HEADERS != 0 {
            let headers = headers.insert(HeaderMap::new());
            metadata::decode(reader, limits, headers)?;
            metadata::add_implied(headers);
        }
        let trailers = match flags & FLAG_TRAILERS {
            0 => None,
            _ => Some(Trailers::decode(reader, limits)?),
        };
        let has_backlog = flags & FLAG_BACKLOG != 0;
        Ok(Self { sequence, headers, trailers, has_backlog, body })
    }
}
