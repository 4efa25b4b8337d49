//! How a call ended: code, message, and metadata.

use bytes::{BufMut, BytesMut};
use http::header::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};
use tonic::{Code, Status};

use super::metadata::{self, MetadataError};
use super::reader::Reader;
use super::{Malformed, MetadataLimits};

/// The end of a call, as trailers that tonic understands: their `grpc-status` is always there, and
/// everything in them is valid.
#[derive(Clone, Debug)]
pub(crate) struct Trailers(pub(crate) HeaderMap);

/// What is written as `%XX` in `grpc-message`, beside all that is not ASCII.
const MESSAGE_ESCAPES: &AsciiSet = &CONTROLS.add(b'%');

impl Trailers {
    /// The trailers of a status. Metadata of the status that can't be sent is left out.
    pub(crate) fn of_status(status: &Status) -> Self {
        let mut headers = HeaderMap::new();
        if status.add_header(&mut headers).is_err() {
            headers.clear();
            headers.insert(Status::GRPC_STATUS, code_value(status.code()));
        }
        Self(headers)
    }

    /// Whether `headers` hold a status; without one they are no trailers.
    pub(crate) fn has_status(headers: &HeaderMap) -> bool {
        headers.contains_key(Status::GRPC_STATUS)
    }

    pub(super) fn encode(
        &self,
        limits: &MetadataLimits,
        to: &mut BytesMut,
    ) -> Result<(), MetadataError> {
        let code = self.0.get(Status::GRPC_STATUS).map_or(Code::Unknown, code_of);
        let message = self.0.get(Status::GRPC_MESSAGE).map(HeaderValue::as_bytes);
        encode_status(code, &percent_decode(message.unwrap_or_default()).decode_utf8_lossy(), to);
        if to.len() > limits.bytes_max {
            return Err(MetadataError::Bytes(limits.bytes_max));
        }
        metadata::encode(&self.0, limits, to)
    }

    pub(super) fn decode(
        reader: &mut Reader<'_>,
        limits: &MetadataLimits,
    ) -> Result<Self, Malformed> {
        let (code, message) = decode_status(reader)?;
        let mut headers = HeaderMap::new();
        headers.insert(Status::GRPC_STATUS, code_value(code));
        if !message.is_empty() {
            let escaped = percent_encode(message.as_bytes(), MESSAGE_ESCAPES).to_string();
            let value = HeaderValue::try_from(escaped).map_err(|_| Malformed::Value)?;
            headers.insert(Status::GRPC_MESSAGE, value);
        }
        metadata::decode(reader, limits, &mut headers)?;
        Ok(Self(headers))
    }
}

/// Appends a code and a message.
pub(super) fn encode_status(code: Code, message: &str, to: &mut BytesMut) {
    to.put_u8(i32::from(code) as u8);
    to.put_u32(message.len() as u32);
    to.put_slice(message.as_bytes());
}

/// Reads a code, unknown ones as [`Code::Unknown`], and a message.
pub(super) fn decode_status<'a>(reader: &mut Reader<'a>) -> Result<(Code, &'a str), Malformed> {
    let code = Code::from_i32(i32::from(reader.u8()?));
    let length = reader.u32()? as usize;
    let message = std::str::from_utf8(reader.take(length)?).map_err(|_| Malformed::Text)?;
    Ok((code, message))
}

fn code_of(value: &HeaderValue) -> Code {
    Code::from_bytes(value.as_bytes())
}

fn code_value(code: Code) -> HeaderValue {
    if code == Code::Ok {
        return HeaderValue::from_static("0");
    }
    HeaderValue::from(i32::from(code))
}
