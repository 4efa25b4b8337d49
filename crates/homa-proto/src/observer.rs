//! A stream of what the protocol does, for traces, simulator reports and fingerprints.

use crate::addr::PeerAddr;
use crate::error::{Cancelled, Failure};
use crate::time::Instant;
use homa_wire::{Header, PacketType, Priority, RefuseReason, RpcId};

/// Watches an endpoint. The default, `()`, costs nothing: its method is empty and inlined.
pub trait Observer {
    /// Something happened at `now`. Must not take long: it runs in the packet path.
    fn observe(&mut self, now: Instant, event: TraceEvent);
}

impl Observer for () {
    #[inline(always)]
    fn observe(&mut self, _now: Instant, _event: TraceEvent) {}
}

impl<F: FnMut(Instant, TraceEvent)> Observer for F {
    fn observe(&mut self, now: Instant, event: TraceEvent) {
        self(now, event);
    }
}

/// One thing that happened. Ids are as numbered on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceEvent {
    /// A packet came in, before anything was done about it.
    PacketReceived {
        /// Its sender.
        peer: PeerAddr,
        /// Its header.
        header: Header,
        /// Bytes after the header.
        payload_len: u32,
    },
    /// A packet was handed to the driver.
    PacketSent {
        /// Its receiver.
        peer: PeerAddr,
        /// Its header.
        header: Header,
        /// Bytes after the header.
        payload_len: u32,
        /// Its priority.
        priority: Priority,
    },
    /// A received packet was dropped.
    PacketDropped {
        /// Its sender.
        peer: PeerAddr,
        /// Its type.
        packet_type: PacketType,
        /// The RPC it names.
        id: RpcId,
        /// Why.
        reason: DropReason,
    },
    /// An RPC came into being.
    RpcStarted {
        /// Its id.
        id: RpcId,
        /// The other side.
        peer: PeerAddr,
        /// Length in bytes of the request.
        length: u32,
    },
    /// A message arrived whole.
    MessageComplete {
        /// Its RPC.
        id: RpcId,
        /// Its length in bytes.
        length: u32,
    },
    /// The application replied.
    ReplyStarted {
        /// The RPC.
        id: RpcId,
        /// Length of the response in bytes.
        length: u32,
    },
    /// A client RPC's response was taken by the application.
    RpcFinished {
        /// The RPC.
        id: RpcId,
    },
    /// A server RPC was acknowledged.
    RpcAcked {
        /// The RPC.
        id: RpcId,
    },
    /// A client RPC failed.
    RpcFailed {
        /// The RPC.
        id: RpcId,
        /// Why.
        failure: Failure,
    },
    /// A client's application aborted its RPC.
    RpcAborted {
        /// The RPC.
        id: RpcId,
    },
    /// A server RPC ended before its acknowledgement.
    RpcCancelled {
        /// The RPC.
        id: RpcId,
        /// Why.
        cause: Cancelled,
    },
    /// A request was refused.
    RequestRefused {
        /// The RPC.
        id: RpcId,
        /// Why.
        reason: RefuseReason,
    },
    /// A peer was declared dead.
    PeerTimedOut {
        /// The peer.
        peer: PeerAddr,
    },
    /// The pacer holds data back until `until`.
    PacerPaused {
        /// When sending goes on.
        until: Instant,
    },
    /// A FREEZE packet arrived and is accepted by configuration.
    FreezeReceived {
        /// Its sender.
        peer: PeerAddr,
    },
}

/// Why a received packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// It adds nothing to its message.
    Duplicate,
    /// Its RPC finished before.
    Finished,
    /// No such RPC.
    UnknownRpc,
    /// No such port.
    UnknownPort,
    /// It came from another port than its RPC's.
    WrongPort,
    /// It makes no sense in its RPC's state or role.
    Misplaced,
    /// Its message length contradicts earlier packets, or is not allowed.
    BadLength,
    /// Its bytes lie outside the message.
    BadRange,
    /// Its message has too many gaps.
    TooManyGaps,
    /// Memory for incoming messages is used up.
    NoMemory,
    /// A limit on RPCs or peers is reached.
    Limit,
    /// The request was refused.
    Refused,
    /// FREEZE is not accepted.
    Freeze,
}
