//! Packet format of the Homa transport protocol: checked parsing and emitting, without allocation.
//!
//! The crate has two levels, after the manner of `smoltcp`:
//!
//! * [`PacketView`] looks at bytes in place. [`PacketView::new`] checks type and length once;
//!   after that every accessor is total: it cannot fail and cannot panic.
//! * [`Header`] is a packet header as a plain value: [`Header::parse`] makes one from bytes,
//!   [`Header::emit`] writes it.
//!
//! It knows the bytes and nothing else: no protocol state, no sockets, no clock. Limits that a
//! protocol sets (the length of a message, which side may send which type) are not checked here.
//!
//! All integers on the wire are big-endian, and one Homa packet is the payload of one IP or UDP
//! packet. The layout is that of HomaModule at commit 9edb958 ([`Version::V1`]), with one extension:
//! [`Body::Refuse`], a type that kernel peers drop silently.
//!
//! ```
//! use homa_wire::{Body, Data, DataLayout, Header, PacketType, RpcId, Version};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let header = Header::new(
//!     32768,
//!     4000,
//!     RpcId(1000),
//!     Body::Data(Data {
//!         message_length: 5,
//!         incoming: 5,
//!         ack: None,
//!         cutoff_version: 0,
//!         retransmit: false,
//!         incast: false,
//!         offset: 0,
//!         layout: DataLayout::default(),
//!     }),
//! );
//!
//! // The header is emitted into a buffer, the payload appended by the caller.
//! let mut packet = [0; 1500];
//! let header_len = header.emit(Version::V1, &mut packet)?;
//! packet[header_len..header_len + 5].copy_from_slice(b"hello");
//!
//! // The other side gets the header as a value, and the payload in place.
//! let (parsed, payload) = Header::parse(&packet[..header_len + 5], Version::V1)?;
//! assert_eq!(parsed, header);
//! assert_eq!(parsed.packet_type(), PacketType::Data);
//! assert_eq!(parsed.sender_id.flipped(), RpcId(1001), "the server's number for this RPC");
//! assert_eq!(payload, b"hello");
//! # Ok(())
//! # }
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::expect_used,
        clippy::float_arithmetic,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

#[cfg(test)]
extern crate std;

mod ack;
pub mod checksum;
mod cutoffs;
mod data;
mod data_run;
mod error;
mod field;
mod grant;
mod header;
pub mod ip;
mod packet_type;
mod priority;
mod refuse;
mod resend;
mod rpc_id;
#[cfg(test)]
mod testing;
mod version;
mod view;

pub use ack::{Ack, AckList, AckView};
pub use cutoffs::{Cutoffs, CutoffsView};
pub use data::{Data, DataLayout, DataView};
pub use data_run::DataRun;
pub use error::{EmitError, ParseError};
pub use grant::{Grant, GrantView};
pub use header::{Body, Header};
pub use packet_type::PacketType;
pub use priority::Priority;
pub use refuse::{Refuse, RefuseReason, RefuseView};
pub use resend::{Resend, ResendView};
pub use rpc_id::RpcId;
pub use version::Version;
pub use view::{BodyView, PacketView};

/// Number of priority levels (WIRE section 8): 0 is the lowest, 7 the highest.
pub const PRIORITY_LEVELS: usize = 8;

/// Length of the header that every packet begins with, in bytes (WIRE section 2).
pub const COMMON_HEADER_LEN: usize = 28;

/// Length of the header of a DATA packet, in bytes, common header included (WIRE section 4).
pub const DATA_HEADER_LEN: usize = 56;

/// Length of the longest header there is, in bytes (that of ACK): a buffer of this size holds
/// whatever [`Header::emit`] writes.
pub const HEADER_LEN_MAX: usize = 80;

/// The longest message that the kernel implementation sends or accepts, in bytes (WIRE section 1).
///
/// Parsing does not enforce it: the limit is the protocol's, and may be configured.
pub const MESSAGE_LENGTH_MAX: u32 = 1_000_000;

/// The largest number of entries in an ACK packet (WIRE section 5).
pub const ACKS_MAX: usize = 5;
