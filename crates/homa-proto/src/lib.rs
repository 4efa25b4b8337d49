//! The Homa transport protocol as a state machine without I/O.
//!
//! An [`Endpoint`] is one host's side of the protocol: all its RPCs, as client and as server, with
//! all its peers. It decides *that* bytes 3000..4424 of a message go to a peer at priority 5, or
//! that an arrived payload belongs at 3000..4424 of a message; it never sees the bytes. It reads no
//! clock, owns no socket and starts no thread: a *driver* hands in packets and the time, and
//! carries out what the endpoint decides. The same type runs over UDP, over raw IP, and in a
//! simulator.
//!
//! # The contract
//!
//! * **Inputs** are methods named `handle_*`; **application verbs** are plain
//!   ([`send_request`](Endpoint::send_request), [`send_reply`](Endpoint::send_reply),
//!   [`abort`](Endpoint::abort), ...); **outputs** are methods named `poll_*`.
//! * **After any input or verb, drain all three outputs: [`poll_transmit`](Endpoint::poll_transmit),
//!   [`poll_event`](Endpoint::poll_event) and [`poll_timeout`](Endpoint::poll_timeout).** Several
//!   packets may be handed in before draining. The outputs are separate, so that a full transmit
//!   queue never holds back events.
//! * A polled [`Transmit`] counts as sent. A driver whose queue is full keeps at most one batch and
//!   polls no further.
//! * Packets already received are handed in before [`handle_timeout`](Endpoint::handle_timeout), so
//!   that a late driver never mistakes its own delay for silence.
//! * When there is nothing else to do, [`settle`](Endpoint::settle) does what was put off.
//! * [`handle_packet`](Endpoint::handle_packet) returns which payload bytes are new; the driver
//!   copies them before its next call. Delivered bytes are never delivered again.
//! * Only the core ends a message's life: the driver keeps an outgoing message until
//!   [`Event::Release`] (or the RPC's end), since it may have to be sent again.
//! * Time never goes back. Nothing that the network sends is an error: bad packets are counted in
//!   [`Stats`]. The same inputs always give the same outputs.
//!
//! # Life of an RPC
//!
//! | side | in order |
//! |---|---|
//! | client | `send_request`, [`Event::Release`] at the response's first byte, [`Event::Readable`]..., [`Event::ResponseComplete`], `finish`; or [`Event::Failed`] at any time; or `abort` |
//! | server | [`Event::RequestStarted`], [`Event::Readable`]... (neither for one-packet requests), [`Event::RequestComplete`], `accept`, `send_reply`, [`Event::Release`] when acknowledged; or `refuse`; or [`Event::Cancelled`] at any time |
//!
//! # Example
//!
//! Two hosts and a wire that is a `for` loop:
//!
//! ```
//! use homa_proto::{
//!     CallOptions, Config, Endpoint, Event, Instant, LocalAddr, PacketMeta, PeerAddr,
//! };
//! use std::net::SocketAddr;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::ZERO;
//! let client_addr = PeerAddr::from("10.0.0.1:4000".parse::<SocketAddr>()?);
//! let server_addr = PeerAddr::from("10.0.0.2:4000".parse::<SocketAddr>()?);
//! let mut client = Endpoint::new(Config::default(), now)?;
//! let mut server = Endpoint::new(Config::default(), now)?;
//! server.open_server(4000)?;
//! let socket = client.open_client()?;
//!
//! // A request of 100 bytes: the driver keeps the bytes, the endpoint their number.
//! let call = client.send_request(now, socket, server_addr, 4000, 100, CallOptions::default())?;
//!
//! fn transfer(now: Instant, from: &mut Endpoint, from_addr: PeerAddr, to: &mut Endpoint) {
//!     while let Some(transmit) = from.poll_transmit(now) {
//!         let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
//!         let meta = PacketMeta { peer: from_addr, local: LocalAddr::ANY };
//!         if let Some(delivery) =
//!             to.handle_packet(now, meta, &transmit.header, payload_len as usize)
//!         {
//!             // A real driver copies these ranges of the payload into its message store.
//!             assert_eq!(delivery.ranges, [0..payload_len]);
//!         }
//!     }
//! }
//!
//! transfer(now, &mut client, client_addr, &mut server);
//! let Some(Event::RequestComplete { key }) = server.poll_event() else { panic!("no request") };
//! server.accept(now, key);
//! server.send_reply(now, key, 20)?;
//!
//! transfer(now, &mut server, server_addr, &mut client);
//! assert_eq!(client.poll_event(), Some(Event::Release { key: call }));
//! assert_eq!(client.poll_event(), Some(Event::ResponseComplete { key: call }));
//! client.finish(now, call);
//! assert_eq!(client.client_rpcs(), 0);
//! # Ok(())
//! # }
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::float_arithmetic, clippy::unwrap_used, clippy::panic))]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod account;
mod addr;
mod config;
mod cutoffs;
mod delay;
mod endpoint;
mod error;
mod event;
mod finished;
mod grant;
mod heap;
mod ids;
mod incoming;
mod index_table;
mod observer;
mod outgoing;
mod pacer;
mod peer;
mod peer_table;
mod probes;
mod proof;
mod random;
mod range_set;
mod reassembly;
mod resend_queue;
mod rpc;
mod rpc_table;
mod send;
mod size_class;
mod slab;
mod sockets;
mod stats;
mod time;
mod traffic;
mod wheel;

pub use account::{Account, Accounts, Meter, Resource};
pub use addr::{LocalAddr, PeerAddr};
pub use config::{
    Amplification, Config, Limits, MESSAGE_LENGTH_LIMIT, Overload, OverloadAnswer, Timing,
};
pub use cutoffs::CutoffConfig;
pub use endpoint::{CallOptions, Encapsulation, Endpoint, QuotedPacket};
pub use error::{
    BindError, Cancelled, ConfigError, Failure, Limit, NoMemory, ReplyError, SendError, Unreachable,
};
pub use event::{Delivery, Event, PacketMeta, Payload, RpcInfo, RunMax, Transmit};
pub use grant::GrantConfig;
pub use observer::{DropReason, Observer, TraceEvent};
pub use pacer::PacerConfig;
pub use slab::RpcKey;
pub use sockets::{CLIENT_PORT_FIRST, SocketId};
pub use stats::{CounterName, Stats};
pub use time::{Duration, Instant};

pub use homa_wire::{Header, Priority, RefuseReason, RpcId};
