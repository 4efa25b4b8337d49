//! The calls under way.

use std::collections::VecDeque;
use std::time::Instant;

use crate::message::Header;

/// A call under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// The request's header.
    pub(super) header: Header,
    /// The request's number, which its contents follow from.
    pub(super) number: u64,
    /// When it should have begun.
    pub(super) intended: Instant,
    /// When it began.
    pub(super) released: Instant,
}

/// A table of calls: each has a slot while it is under way.
#[derive(Debug)]
pub(super) struct Calls {
    slots: Vec<Option<Call>>,
    free: Vec<u32>,
    /// Slots of calls that failed, and until when they are left alone, in the order of these times.
    resting: VecDeque<(Instant, u32)>,
    count: usize,
}

impl Calls {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots: vec![None; slots],
            // The lowest first, so that few calls touch little memory.
            free: (0..slots as u32).rev().collect(),
            resting: VecDeque::new(),
            count: 0,
        }
    }

    /// A slot for a new call, if there is one.
    pub(super) fn take_slot(&mut self, now: Instant) -> Option<u32> {
        self.free.pop().or_else(|| {
            let &(until, slot) = self.resting.front()?;
            if until > now {
                return None;
            }
            self.resting.pop_front();
            Some(slot)
        })
    }

    pub(super) fn give_back(&mut self, slot: u32) {
        self.free.push(slot);
    }

    pub(super) fn begin(&mut self, slot: u32, call: Call) {
        self.slots[slot as usize] = Some(call);
        self.count += 1;
    }

    /// Takes a call that ended; `None` if there is none in this slot.
    pub(super) fn end(&mut self, slot: u32) -> Option<Call> {
        let call = self.slots.get_mut(slot as usize)?.take()?;
        self.count -= 1;
        Some(call)
    }

    /// Leaves the slot of a call that failed unused until the given time (which never goes back).
    pub(super) fn rest(&mut self, slot: u32, until: Instant) {
        self.resting.push_back((until, slot));
    }

    /// How many calls are under way.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether a new call could begin at once.
    pub(super) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// When the next slot ends its rest.
    pub(super) fn next_rested(&self) -> Option<Instant> {
        self.resting.front().map(|&(until, _)| until)
    }
}
