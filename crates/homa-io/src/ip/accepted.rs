//! Packets among what was received by one call.

use crate::sys::ReceiveBuffers;
use crate::{ChunkPool, ReceivedPacket};
use bytes::Bytes;
use homa_proto::{LocalAddr, PeerAddr};
use std::ops::Range;

/// A packet, with its place in the [`ReceiveBuffers`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) peer: PeerAddr,
    pub(crate) local: LocalAddr,
    /// Which message it came in, and where in that it lies.
    pub(crate) index: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Accepted {
    pub(crate) fn packet<'a>(&self, buffers: &'a ReceiveBuffers) -> ReceivedPacket<'a> {
        let (_, bytes) = self.split(buffers);
        ReceivedPacket { peer: self.peer, local: self.local, bytes }
    }

    /// Takes the bytes of `range` of the packet, which was alone in its message, with their buffer.
    pub(crate) fn take(
        &self,
        range: Range<usize>,
        buffers: &mut ReceiveBuffers,
        pool: &ChunkPool,
    ) -> Bytes {
        buffers.take(self.index, self.start + range.start..self.start + range.end, pool)
    }

    /// What stands before the packet in its message, and the packet.
    pub(crate) fn split<'a>(&self, buffers: &'a ReceiveBuffers) -> (&'a [u8], &'a [u8]) {
        buffers.bytes(self.index, self.end).split_at(self.start)
    }
}
