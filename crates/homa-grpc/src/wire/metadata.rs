//! Metadata: names and values, with the values of `-bin` names as they are, not in base64.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::{BufMut, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::Malformed;
use super::reader::Reader;

/// What a peer may send as metadata, and what is sent to peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetadataLimits {
    /// Bytes of the head of one message, in which all of its metadata is. Default 65,536.
    pub bytes_max: usize,
    /// Entries of one block of metadata, at most 4,096 whatever is set. Default 256.
    pub entries_max: usize,
}

/// Why metadata can't be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetadataError {
    #[error("metadata: the value of `{0}` is not base64, as names that end in -bin demand")]
    Base64(HeaderName),
    #[error("metadata: a name of {0} bytes is too long, 255 are allowed")]
    Name(usize),
    #[error("metadata: more than the {0} entries that `metadata.entries_max` of this side allows")]
    Entries(usize),
    #[error("metadata: more than the {0} bytes that `metadata.bytes_max` of this side allows")]
    Bytes(usize),
}

/// The map of `http` panics at 32,768 entries.
const ENTRIES_MAX: usize = 4096;

/// Writes base64 without padding, as gRPC does, and takes it with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Default for MetadataLimits {
    fn default() -> Self {
        Self { bytes_max: 65_536, entries_max: 256 }
    }
}

impl MetadataLimits {
    pub(crate) fn entries_max(&self) -> usize {
        self.entries_max.min(ENTRIES_MAX)
    }
}

/// Appends a block of metadata: all headers but those that belong to HTTP or have fields of their
/// own.
pub(super) fn encode(
    headers: &HeaderMap,
    limits: &MetadataLimits,
    to: &mut BytesMut,
) -> Result<(), MetadataError> {
    let count_at = to.len();
    to.put_u16(0);
    let mut count = 0;
    for (name, value) in headers {
        if is_reserved(name) || is_implied(name, value) {
            continue;
        }
        count += encode_header(name, value, to)?;
        if count > limits.entries_max() {
            return Err(MetadataError::Entries(limits.entries_max()));
        }
        if to.len() > limits.bytes_max {
            return Err(MetadataError::Bytes(limits.bytes_max));
        }
    }
    to[count_at..count_at + 2].copy_from_slice(&(count as u16).to_be_bytes());
    Ok(())
}

/// Appends the entries that a header makes, and returns their number: a binary value may be a list.
fn encode_header(
    name: &HeaderName,
    value: &HeaderValue,
    to: &mut BytesMut,
) -> Result<usize, MetadataError> {
    if !is_binary(name.as_str()) {
        encode_entry(name.as_str(), value.as_bytes(), to)?;
        return Ok(1);
    }
    let mut count = 0;
    for part in value.as_bytes().split(|byte| *byte == b',') {
        let raw = BASE64.decode(part.trim_ascii());
        let raw = raw.map_err(|_| MetadataError::Base64(name.clone()))?;
        encode_entry(name.as_str(), &raw, to)?;
        count += 1;
    }
    Ok(count)
}

fn encode_entry(name: &str, value: &[u8], to: &mut BytesMut) -> Result<(), MetadataError> {
    let length = u8::try_from(name.len()).map_err(|_| MetadataError::Name(name.len()))?;
    to.put_u8(length);
    to.put_slice(name.as_bytes());
    to.put_u32(value.len() as u32);
    to.put_slice(value);
    Ok(())
}

/// Reads a block of metadata into `headers`.
pub(super) fn decode(
    reader: &mut Reader<'_>,
    limits: &MetadataLimits,
    headers: &mut HeaderMap,
) -> Result<(), Malformed> {
    let count = usize::from(reader.u16()?);
    if count > limits.entries_max() {
        return Err(Malformed::TooManyEntries { max: limits.entries_max() });
    }
    for _ in 0..count {
        let length = usize::from(reader.u8()?);
        let name = decode_name(reader.take(length)?)?;
        let length = reader.u32()? as usize;
        let value = decode_value(&name, reader.take(length)?)?;
        headers.append(name, value);
    }
    Ok(())
}

fn decode_name(bytes: &[u8]) -> Result<HeaderName, Malformed> {
    if bytes.iter().any(u8::is_ascii_uppercase) {
        return Err(Malformed::Name);
    }
    let name = HeaderName::from_bytes(bytes).map_err(|_| Malformed::Name)?;
    if is_reserved(&name) { Err(Malformed::Name) } else { Ok(name) }
}

fn decode_value(name: &HeaderName, bytes: &[u8]) -> Result<HeaderValue, Malformed> {
    if is_binary(name.as_str()) {
        HeaderValue::try_from(BASE64.encode(bytes)).map_err(|_| Malformed::Value)
    } else {
        HeaderValue::from_bytes(bytes).map_err(|_| Malformed::Value)
    }
}

fn is_binary(name: &str) -> bool {
    name.ends_with("-bin")
}

/// Names of HTTP, which mean nothing here, and of what has fields of its own. Never sent, and
/// refused when received.
fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: [HeaderName; 9] = [
        header::TE,
        header::CONNECTION,
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TRAILER,
        tonic::Status::GRPC_STATUS,
        tonic::Status::GRPC_MESSAGE,
    ];
    RESERVED.contains(name)
}

/// The content type of gRPC goes without saying; others are carried.
fn is_implied(name: &HeaderName, value: &HeaderValue) -> bool {
    *name == header::CONTENT_TYPE && *value == GRPC_CONTENT_TYPE
}

/// What [`is_implied`] leaves out, the receiver puts in.
pub(super) fn add_implied(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, GRPC_CONTENT_TYPE);
    }
}

const GRPC_CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
