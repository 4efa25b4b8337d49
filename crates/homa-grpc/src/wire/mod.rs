//! The messages that gRPC is carried in: `docs/grpc-over-homa.md`, byte by byte.
//!
//! Every message is a *head* (a prefix, then fields by kind) and, behind it, bytes of a body. The
//! prefix says where the body begins. Numbers are big-endian.
//!
//! Nothing here trusts a peer: lengths are checked before anything is allocated, and metadata is
//! bounded and validated, so that what is decoded can be given to tonic as it is.

mod answer;
mod metadata;
mod prefix;
mod reader;
mod request;
mod trailers;

pub(crate) use answer::{Answer, Item};
pub(crate) use metadata::MetadataError;
pub use metadata::MetadataLimits;
pub(crate) use prefix::{VERSION, versions_answer};
pub(crate) use request::{Open, Request};
pub(crate) use trailers::Trailers;

/// Why a message can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it ends in the middle of its head")]
    Truncated,
    #[error(
        "its head is longer than the {max} bytes that `metadata.bytes_max` of its receiver allows"
    )]
    HeadTooLong { max: usize },
    #[error("kind {0:#04x} is unknown here")]
    Kind(u8),
    #[error("bytes follow where there is no body")]
    UnexpectedBody,
    #[error("its path is not that of a method")]
    Path,
    #[error("a name in its metadata is invalid or reserved")]
    Name,
    #[error("a value in its metadata is invalid")]
    Value,
    #[error(
        "it has more metadata than the {max} entries that `metadata.entries_max` of its receiver allows"
    )]
    TooManyEntries { max: usize },
    #[error("a text is not UTF-8")]
    Text,
    #[error("its version is {0}")]
    Version(u8),
    /// The peer does not speak this version; it named those that it speaks.
    #[error("the peer speaks version {0:?} of gRPC over Homa, not {VERSION}")]
    PeerVersions(Vec<u8>),
}

/// Reads bytes as a request and as an answer, and gives tonic what it would be given: whatever the bytes
/// are, nothing panics.
pub(crate) fn decode_hostile(input: &[u8]) {
    let limits = MetadataLimits::default();
    let message = homa::Message::from(input.to_vec());
    let _ = Request::decode(message.clone(), &limits);
    if let Ok(Answer::Item(item)) = Answer::decode(message, &limits) {
        let trailers = item.trailers.map(|trailers| trailers.0);
        for headers in item.headers.into_iter().chain(trailers) {
            let _ = tonic::Status::from_header_map(&headers);
        }
    }
}

#[cfg(test)]
mod tests;
