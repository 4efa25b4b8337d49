//! The sender's scheduling: which message's packet leaves next, and when (PROTOCOL section 10).

use crate::error::NoMemory;
use crate::heap::IndexedHeap;
use crate::pacer::{Pacer, PacerConfig};
use crate::time::Instant;
use alloc::vec::Vec;

/// What the scheduler says about the next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A packet of the message in this slot.
    Message(u32),
    /// Nothing before this time: the link is busy.
    PausedUntil(Instant),
    /// No message has anything to send.
    Nothing,
}

/// Messages with something to send, shortest remaining first (HOMA-PACER-1), behind a pacer.
///
/// It knows messages by slot and is told what changes; it never borrows them.
#[derive(Debug)]
pub(crate) struct SendScheduler {
    /// By bytes left to send, then age: see [`rank`].
    shortest: IndexedHeap<u128>,
    /// By age, only those that are paced: only of what these wait for is a share reserved for the oldest.
    oldest: IndexedHeap<u64>,
    pacer: Pacer,
    /// By slot: messages that do not go over the link, to peers on this host.
    off_link: Vec<bool>,
    /// The message chosen last was the oldest one's turn.
    fifo_turn: bool,
}

impl SendScheduler {
    pub(crate) fn new(config: PacerConfig) -> Self {
        Self {
            shortest: IndexedHeap::new(),
            oldest: IndexedHeap::new(),
            pacer: Pacer::new(config),
            off_link: Vec::new(),
            fifo_turn: false,
        }
    }

    /// Makes room for a slot, so that `set` can't fail.
    pub(crate) fn reserve_slot(&mut self, slot: u32) -> Result<(), NoMemory> {
        let needed = slot as usize + 1;
        if self.off_link.len() < needed {
            self.off_link.try_reserve(needed - self.off_link.len()).map_err(|_| NoMemory)?;
            self.off_link.resize(needed, false);
        }
        self.shortest.reserve_slot(slot)?;
        self.oldest.reserve_slot(slot)
    }

    /// Whether the messages in a reserved slot go over the link: others are never held back.
    pub(crate) fn set_off_link(&mut self, slot: u32, off_link: bool) {
        self.off_link[slot as usize] = off_link;
    }

    /// The message in a reserved slot has something to send, or has `remaining` bytes left now.
    pub(crate) fn set(&mut self, slot: u32, remaining: u32, birth: u64) {
        let stored = self.shortest.set(slot, rank(remaining, birth));
        debug_assert!(stored.is_ok(), "slots are reserved");
        if self.pacer.is_on() && self.is_paced(slot, remaining) && self.oldest.key(slot).is_none() {
            let stored = self.oldest.set(slot, birth);
            debug_assert!(stored.is_ok(), "slots are reserved");
        }
    }

    /// The message whose turn it is, if the oldest one has none.
    pub(crate) fn first(&self) -> Option<u32> {
        self.shortest.peek().map(|(slot, _)| slot)
    }

    /// The message has nothing more to send for now.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.shortest.remove(slot);
        self.oldest.remove(slot);
    }

    /// Chooses the next message; the caller sends one packet of it, or a [run](Self::run_packets), and
    /// reports that by `sent`.
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        let Some((shortest, rank)) = self.shortest.peek() else { return Next::Nothing };
        let (remaining, _) = of_rank(rank);
        if self.off_link[shortest as usize] {
            return Next::Message(shortest);
        }
        match self.pacer.may_send(now, remaining) {
            Err(release) => Next::PausedUntil(release),
            Ok(()) => {
                self.fifo_turn = self.pacer.is_on()
                    && !self.pacer.is_exempt(remaining)
                    && self.pacer.is_oldest_turn();
                let oldest = self.oldest.peek().filter(|_| self.fifo_turn);
                Next::Message(oldest.map_or(shortest, |(slot, _)| slot))
            }
        }
    }

    /// How many packets of so many bytes may leave at a time of the message chosen by `next`.
    pub(crate) fn run_packets(&self, now: Instant, slot: u32, wire_bytes: u32) -> u32 {
        if self.off_link[slot as usize] || !self.pacer.is_on() {
            return u32::MAX;
        }
        self.pacer.packets_now(now, wire_bytes)
    }

    /// Packets of `wire_bytes` in all left for the message chosen by `next`, which had `remaining` bytes
    /// to send. Returns whether it was the oldest message's turn.
    pub(crate) fn sent(
        &mut self,
        now: Instant,
        slot: u32,
        remaining: u32,
        wire_bytes: u32,
    ) -> bool {
        if self.off_link[slot as usize] {
            return false;
        }
        self.sent_other(now, wire_bytes);
        if !self.pacer.is_on() || self.pacer.is_exempt(remaining) {
            return false;
        }
        self.pacer.count_share(self.fifo_turn, wire_bytes);
        self.fifo_turn
    }

    /// Whether the link has room for a packet besides those that `next` chooses, of a message that
    /// [`is_paced`](Self::is_paced).
    ///
    /// # Errors
    ///
    /// When to ask again.
    pub(crate) fn pace(&self, now: Instant) -> Result<(), Instant> {
        self.pacer.may_send(now, u32::MAX)
    }

    /// Whether packets of a message of so many bytes are held back while the link is busy.
    pub(crate) fn is_paced(&self, slot: u32, bytes: u32) -> bool {
        !self.off_link[slot as usize] && !self.pacer.is_exempt(bytes)
    }

    /// A packet left that `next` did not choose but that fills the link all the same.
    pub(crate) fn sent_other(&mut self, now: Instant, wire_bytes: u32) {
        if self.pacer.is_on() {
            self.pacer.sent(now, wire_bytes);
        }
    }

    /// The link's speed is `link_mbps`; 0 for no pacing.
    pub(crate) fn set_link(&mut self, link_mbps: u32) {
        self.pacer.set_link(link_mbps);
    }

    /// The driver knows that `bytes` wait in its queue.
    pub(crate) fn observed_backlog(&mut self, now: Instant, bytes: u64) {
        self.pacer.observed_backlog(now, bytes);
    }

    pub(crate) fn key(&self, slot: u32) -> Option<(u32, u64)> {
        self.shortest.key(slot).map(of_rank)
    }

    pub(crate) fn len(&self) -> usize {
        self.shortest.len()
    }
}

/// Bytes left to send and age as one number, which compares faster than two.
fn rank(remaining: u32, birth: u64) -> u128 {
    u128::from(remaining) << u64::BITS | u128::from(birth)
}

fn of_rank(rank: u128) -> (u32, u64) {
    ((rank >> u64::BITS) as u32, rank as u64)
}
