//! What users would take instead of Homa: QUIC by quinn, and gRPC by tonic over
//! HTTP/2; and the same gRPC over Homa.
//!
//! Both are made for tokio. Their tasks run on the thread that drives the transport, as all others
//! are driven by one thread: handing over to another would cost more than the calls themselves.

pub(super) mod future_client;
mod grpc;
mod quic;
pub(super) mod reactor;
mod task_server;

pub(super) use self::grpc::{grpc_client, grpc_homa_client, grpc_homa_server, grpc_server};
pub(super) use self::quic::{quic_client, quic_server};

use std::time::Duration;

/// How long to wait for a connection to be made, as over TCP.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// The longest message that is accepted.
const MAX_MESSAGE: usize = 64 << 20;
