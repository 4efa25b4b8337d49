//! gRPC's interoperability cases, over any transport that tonic's generated clients take.
//!
//! The cases are those of grpc/grpc (`doc/interop-test-descriptions.md`); the service is that which
//! the cases need. They are tested against tonic's own transport here, and with `homa-grpc` there.

pub mod cases;
pub mod compressed_cases;
mod compression;
mod echo;
mod frames;
pub mod service;

pub use self::compression::{Flags, Plain};

use tonic::body::Body;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

/// Generated from `proto`.
#[allow(missing_docs, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod testing {
    tonic::include_proto!("grpc.testing");
}

/// Generated from `proto`.
#[allow(missing_docs, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod helloworld {
    tonic::include_proto!("helloworld");
}

/// Generated from `proto`.
#[allow(missing_docs, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod routeguide {
    tonic::include_proto!("routeguide");
}

/// Descriptors of all of `proto`, for a reflection service.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// A channel of whatever kind.
pub type Channel = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, tonic::Status>;

/// Makes a channel one that the cases can use: it tells which messages were compressed, and leaves
/// those uncompressed of which a case says so.
pub fn channel<S, B>(channel: S) -> Channel
where
    S: tower::Service<http::Request<Body>, Response = http::Response<B>>,
    S: Clone + Send + Sync + 'static,
    S::Error: Into<tonic::codegen::StdError>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    let channel = channel
        .map_err(|error| tonic::Status::from_error(error.into()))
        .map_response(|response: http::Response<B>| response.map(Body::new));
    BoxCloneSyncService::new(compression::Client(channel))
}
