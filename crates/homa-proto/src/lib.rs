//! The Homa transport protocol as a state machine without I/O.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod addr;
mod config;
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
mod random;
mod range_set;
mod reassembly;
mod rpc;
mod rpc_table;
mod send;
mod slab;
mod sockets;
mod stats;
mod time;
mod traffic;
mod wheel;

pub use addr::{LocalAddr, PeerAddr};
pub use config::{Config, Limits, MESSAGE_LENGTH_LIMIT, Timing};
pub use endpoint::{CallOptions, Encapsulation, Endpoint, QuotedPacket};
pub use error::{
    BindError, Cancelled, ConfigError, Failure, NoMemory, ReplyError, SendError, Unreachable,
};
pub use event::{Delivery, Event, PacketMeta, Payload, RpcInfo, Transmit};
pub use grant::GrantConfig;
pub use observer::{DropReason, Observer, TraceEvent};
pub use pacer::PacerConfig;
pub use slab::RpcKey;
pub use sockets::{CLIENT_PORT_FIRST, SocketId};
pub use stats::{CounterName, Stats};
pub use time::{Duration, Instant};
pub use traffic::CutoffConfig;

pub use homa_wire::{Header, Priority, RefuseReason, RpcId};
