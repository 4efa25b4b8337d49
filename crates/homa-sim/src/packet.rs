//! Packets on their way: headers and lengths, no payload.

use crate::slots::Slots;

/// Number of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub u32);

impl HostId {
    /// As an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<H> {
    /// Its sender.
    pub from: HostId,
    /// Its receiver.
    pub to: HostId,
    /// Bytes of message data.
    pub payload_len: u32,
    /// Bytes that it occupies a link for, all layers and gaps included.
    pub wire_bytes: u32,
    /// Its level, 0 to 7; higher ones are sent first.
    pub priority: u8,
    /// Whether a queue marked it as having met congestion (ECN).
    pub is_marked: bool,
    /// What the transport says.
    pub header: H,
}

/// Number of a packet in its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PacketId(pub(crate) u32);

/// No packet: the end of a list.
const NONE: u32 = u32::MAX;

/// All packets on their way. A packet in a queue names the one behind it, so that queues are two
/// numbers each, however long.
#[derive(Debug)]
pub(crate) struct PacketPool<H>(Slots<(Packet<H>, u32)>);

impl<H> PacketPool<H> {
    pub(crate) fn new() -> Self {
        Self(Slots::new())
    }

    pub(crate) fn insert(&mut self, packet: Packet<H>) -> PacketId {
        PacketId(self.0.insert((packet, NONE)))
    }

    pub(crate) fn remove(&mut self, id: PacketId) {
        self.0.free(id.0);
    }

    pub(crate) fn get(&self, id: PacketId) -> &Packet<H> {
        &self.0[id.0].0
    }

    pub(crate) fn get_mut(&mut self, id: PacketId) -> &mut Packet<H> {
        &mut self.0[id.0].0
    }
}

/// Packets in order of arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fifo {
    first: u32,
    last: u32,
}

impl Fifo {
    pub(crate) const EMPTY: Self = Self { first: NONE, last: NONE };

    pub(crate) fn push<H>(&mut self, pool: &mut PacketPool<H>, id: PacketId) {
        pool.0[id.0].1 = NONE;
        if self.first == NONE {
            self.first = id.0;
        } else {
            pool.0[self.last].1 = id.0;
        }
        self.last = id.0;
    }

    pub(crate) fn pop<H>(&mut self, pool: &PacketPool<H>) -> Option<PacketId> {
        if self.first == NONE {
            return None;
        }
        let id = PacketId(self.first);
        self.first = pool.0[id.0].1;
        Some(id)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.first == NONE
    }
}
