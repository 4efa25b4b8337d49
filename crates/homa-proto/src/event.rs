//! What the protocol tells its driver.

use crate::addr::{LocalAddr, PeerAddr};
use crate::error::{Cancelled, Failure};
use crate::slab::RpcKey;
use crate::sockets::SocketId;
use core::ops::Range;
use homa_wire::{Body, Header, Priority, RpcId};

/// What happened to an RPC. Taken with `Endpoint::poll_event`, in order of occurrence.
///
/// An event may name an RPC that has ended since: its key then is no longer known to the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first bytes of a request arrived; `Readable` and `RequestComplete` follow.
    /// Not sent for requests that arrive whole in one packet.
    RequestStarted {
        /// The new server RPC.
        key: RpcKey,
    },
    /// A request has arrived whole and may be answered.
    RequestComplete {
        /// The server RPC.
        key: RpcKey,
    },
    /// A response has arrived whole. The RPC stays open, unread, until `Endpoint::finish`.
    ResponseComplete {
        /// The client RPC.
        key: RpcKey,
    },
    /// More of an incomplete incoming message can be read without gaps.
    Readable {
        /// The RPC whose message it is.
        key: RpcKey,
        /// All bytes before this offset have arrived.
        upto: u32,
    },
    /// The outgoing message's bytes are no longer needed; transmissions still in the driver's
    /// hands hold their own reference.
    Release {
        /// The RPC whose outgoing message it is.
        key: RpcKey,
    },
    /// A client RPC failed and has ended. The driver drops all it holds for it.
    Failed {
        /// The client RPC.
        key: RpcKey,
        /// Why.
        failure: Failure,
    },
    /// A server RPC ended before its response was acknowledged. The driver drops all it holds for it.
    Cancelled {
        /// The server RPC.
        key: RpcKey,
        /// Why.
        cause: Cancelled,
    },
}

/// One packet to send: its header, and the range of the RPC's outgoing message to append. Or, where
/// the driver asked for that, a run of such packets, which follow one another in the message and are alike
/// but for their offsets ([`homa_wire::DataRun`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where it goes.
    pub peer: PeerAddr,
    /// The address of this host from which it leaves.
    pub local: LocalAddr,
    /// The priority level to map into the IP header (WIRE section 8).
    pub priority: Priority,
    /// The Homa header, to be emitted with the configured wire version; of a run, its first packet's.
    pub header: Header,
    /// For DATA: whose outgoing message, and which bytes of it.
    pub payload: Option<(RpcKey, Payload)>,
    /// Payload bytes of each packet but the last, which has the rest: all there are, unless it is a
    /// run.
    pub segment_bytes: u32,
}

impl Transmit {
    /// Number of packets, at least 1.
    #[must_use]
    pub fn packets(&self) -> u32 {
        let payload_len = self.payload.map_or(0, |(_, payload)| payload.len());
        packets_of(payload_len, self.segment_bytes)
    }
}

/// How much a run of packets may be that is polled at a time, at most. One packet may always be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunMax {
    /// Packets.
    pub packets: u32,
    /// Their payload bytes in all.
    pub bytes: u32,
}

impl RunMax {
    /// Packets come one by one.
    pub const ONE_PACKET: Self = Self { packets: 1, bytes: 0 };
}

/// Packets of so many payload bytes each, but the last, that so many bytes make.
#[inline]
pub(crate) fn packets_of(payload_len: u32, segment_bytes: u32) -> u32 {
    // Most often it is one, and there is no need to divide.
    if payload_len <= segment_bytes { 1 } else { payload_len.div_ceil(segment_bytes.max(1)) }
}

/// The headers of a run's packets, and how many payload bytes follow each.
#[inline]
pub(crate) fn each_packet(
    first: Header,
    payload_len: u32,
    segment_bytes: u32,
) -> impl Iterator<Item = (Header, u32)> {
    (0..packets_of(payload_len, segment_bytes)).map(move |number| {
        let start = number * segment_bytes;
        let len = segment_bytes.min(payload_len - start);
        let mut header = first;
        if let Body::Data(data) = &mut header.body
            && number > 0
        {
            data.offset = data.offset.saturating_add(start);
            data.ack = None;
        }
        (header, len)
    })
}

/// A range of message bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// First byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Payload {
    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.end - self.start
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// As a range of indices into the message.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// What the driver must copy from the packet it just handed in, before it hands in the next.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The RPC whose incoming message the bytes belong to.
    pub key: RpcKey,
    /// Total length of that message in bytes.
    pub message_length: u32,
    /// The message offset of the packet's first payload byte.
    pub offset: u32,
    /// The message ranges that are new, ascending and disjoint; all lie within the packet.
    pub ranges: &'a [Range<u32>],
}

/// Where a packet came from and how it was addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketMeta {
    /// The sender.
    pub peer: PeerAddr,
    /// The address of this host that it reached.
    pub local: LocalAddr,
}

/// What an application may want to know of an open RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RpcInfo {
    /// The RPC's id as numbered on this side: even for a client, odd for a server.
    pub id: RpcId,
    /// The socket it belongs to.
    pub socket: SocketId,
    /// The other side.
    pub peer: PeerAddr,
    /// The other side's Homa port.
    pub peer_port: u16,
    /// Length of the incoming message in bytes, once known.
    pub incoming_length: Option<u32>,
}
