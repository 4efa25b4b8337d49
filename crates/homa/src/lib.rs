//! Homa: a receiver-driven RPC transport with low tail latency, for tokio and for blocking programs.
//!
//! Homa carries *messages*: a client sends a request to a server, which sends a response. There are
//! no connections. Receivers decide who may send how much (grants), short messages pass long ones
//! (SRPT order and network priorities), and what is lost is asked for again. Over UDP it needs no
//! privileges; one UDP port carries any number of Homa ports.
//!
//! An [`Endpoint`] is one UDP socket: it makes calls, and serves Homa ports.
//!
//! ```
//! use homa::{Addr, Config, Endpoint};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // A server that greets, on a free UDP port and Homa port 7.
//!     let endpoint = Endpoint::bind("127.0.0.1:0", Config::default()).await?;
//!     let addr = Addr::new(endpoint.local_addr(), 7)?;
//!     let server = endpoint.serve(7)?;
//!     tokio::spawn(async move {
//!         while let Some(mut request) = server.accept().await {
//!             let name = request.take_message().into_bytes();
//!             let greeting = format!("Hello, {}!", String::from_utf8_lossy(&name));
//!             if let Err(error) = request.reply(greeting) {
//!                 eprintln!("no reply to {}: {error}", request.peer());
//!             }
//!         }
//!     });
//!
//!     // A client, elsewhere.
//!     let client = Endpoint::client(Config::default()).await?;
//!     let response = client.call(addr, "world").await?;
//!     assert_eq!(response.into_bytes(), "Hello, world!");
//!     endpoint.shutdown(std::time::Duration::from_secs(1)).await;
//!     Ok(())
//! }
//! ```
//!
//! # Guarantees
//!
//! * A request is handed to the server's application **at most once**, however often packets are
//!   repeated, by one life of the server (one that is killed and starts again within milliseconds may be
//!   handed it again), and a call ends exactly once: with the response, or with a [`CallError`].
//! * A call fails within about 100 ms of its server's death or silence; a server that is alive may
//!   take as long as the call's deadline allows, 10 seconds unless configured.
//! * Messages are 1 to 1,000,000 bytes long; up to 64 MiB if `proto.message_length_max` says so on
//!   both sides. They are owned [`Message`]s (cheap clones of [`bytes::Bytes`]): never copied on
//!   send, copied once on receive.
//! * Every wait may be given up: dropping a [`Call`] aborts it and tells the server, dropping any
//!   other future of this crate changes nothing.
//! * Someone always drives: an endpoint answers its peers while the application computes.
//!
//! # Where to look
//!
//! [`Endpoint`] and [`Server`] for tokio, [`blocking`] for threads without a runtime, [`Addr`] for
//! how servers are addressed, [`Config`] for every parameter. Packets are not encrypted: use it in
//! networks in which anybody may read them. With [`Config::auth`] peers must have a key; without,
//! use it in networks that you trust.

#![forbid(unsafe_code)]

mod addr;
mod awaited;
pub mod blocking;
mod calls;
mod config;
mod endpoint;
mod error;
mod extensions;
mod helper;
mod lead;
#[cfg(all(test, shuttle))]
mod model;
mod queue;
mod request;
mod requests;
mod server;
mod setup;
mod shared;
mod state;
mod stats;
mod sync;
mod task;
mod wait;
mod waiting;

pub use addr::{Addr, AddrError, SERVER_PORT_MAX, Target, ToAddr};
pub use bytes;
pub use calls::CallId;
pub use config::{CallOptions, Config, WhenFull};
pub use endpoint::{Call, Cork, Endpoint};
pub use error::{BindError, CallError, ReadError, ReplyError};
pub use homa_io::{
    AuthConfig, AuthKey, AuthStats, DriveStats, FaultPlan, KeyFile, KeyFileError, Message,
    ParseFaultPlanError, ParseKeyError, RawConfig, UdpConfig,
};
/// The protocol: its configuration, counters, and the reasons that errors carry.
pub use homa_proto as proto;
pub use homa_wire::{Priority, RefuseReason};
pub use request::{Request, StreamRequest};
pub use server::{Server, StreamServer};
pub use stats::{Accounts, Stats};

/// The project's front page, so that its example is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
