//! gRPC over the Homa transport: generated tonic clients and servers, unchanged.
//!
//! Moving a tonic service from HTTP/2 to Homa changes a constructor on each side:
//!
//! * client: `XClient::new(HomaChannel::connect(&endpoint, "host:port")?)`
//! * server: `homa_grpc::Server::builder().add_service(XServer::new(imp)).serve(endpoint)`
//!
//! Protobufs, codecs, interceptors, compression, metadata, deadlines, cancellation and statuses are
//! tonic's. A unary call is one Homa RPC; streams are made of several, with back-pressure in both
//! directions, and clients stay clients: servers never call them. `docs/grpc-over-homa.md` has the mapping
//! byte by byte.
//!
//! # What differs from gRPC over HTTP/2
//!
//! * There are no connections: nothing to keep alive, to balance badly, or to block behind. A server
//!   that is gone is noticed by each call, within about 100 ms.
//! * Calls are not ordered among each other. Messages within a stream are.
//! * Nothing is encrypted: see the `homa` crate.
//! * The `:authority` is not carried.

#![forbid(unsafe_code)]

mod client;
mod connect_info;
mod gather;
mod held;
mod message;
mod reorder;
mod server;
mod status;
mod timeout;
pub mod tower;
mod wire;

pub use client::{ChannelConfig, HomaChannel, ResponseBody, ResponseFuture};
pub use connect_info::HomaConnectInfo;
pub use server::{Listen, Server, ServerConfig, Services};
pub use wire::MetadataLimits;

/// For the fuzz target `grpc`, which needs no more than this.
#[doc(hidden)]
pub mod fuzz {
    /// Reads bytes as what a client and as what a server could have sent. Gives what tonic makes of it to
    /// tonic.
    pub fn decode(input: &[u8]) {
        crate::wire::decode_hostile(input);
    }
}

/// The least that both sides take as the longest message, in bytes.
const MESSAGE_BYTES_MIN: u32 = 1024;

/// Pulls of a stream that servers let wait, and pushes.
const WINDOW: usize = 64;
