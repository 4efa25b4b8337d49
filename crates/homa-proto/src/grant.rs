//! The receiver's scheduling: which incoming messages may send how much more, at which priority
//! (PROTOCOL sections 8 and 9).
//!
//! Shortest remaining first, over several messages at a time so that a slow sender does not idle
//! the link (HOMA-GRANT-9, HOMA-GRANT-10), within a limit on what is on its way to this host
//! (HOMA-BUFFER-5), and now and then something for the oldest message, which shortest-first
//! alone could starve (HOMA-GRANT-13).
//!
//! [`GrantScheduler`] knows messages by slot number and is told what changes; it decides only
//! when [polled](GrantScheduler::poll). A call costs the logarithm of the number of waiting
//! messages plus the number of active ones.

mod config;
mod held;
mod oldest;
mod places;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use homa_wire::Priority;

pub use self::config::GrantConfig;
use self::held::{HeldGrants, LinkUse};
use self::oldest::fifo_interval;
use self::places::{Order, Places};
use crate::cutoffs::{UnscheduledCutoffs, unscheduled_priority};
use crate::error::NoMemory;
use crate::heap::IndexedHeap;
use crate::time::{Duration, Instant};

/// An incoming message, as the scheduler is told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IncomingMessage {
    /// The caller's number for the message, not in use for another one; tables grow up to it.
    pub(crate) slot: u32,
    /// The caller's number for the sender; tables grow up to it.
    pub(crate) peer: u32,
    /// Bytes of the message.
    pub(crate) length: u32,
    /// Bytes that come without grants; more than `length` counts as `length`.
    pub(crate) unscheduled: u32,
    /// Bytes that have arrived, in any order.
    pub(crate) received: u32,
    /// Payload bytes of the sender's full segments, or 0 if not known.
    pub(crate) segment_bytes: u32,
    /// Creation sequence number, unique: older messages have smaller ones.
    pub(crate) birth: u64,
}

/// A GRANT to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GrantDecision {
    /// The message.
    pub(crate) slot: u32,
    /// The sender may send everything before this offset; higher than in any GRANT before.
    pub(crate) offset: u32,
    /// The priority for its scheduled packets.
    pub(crate) priority: Priority,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    peer: u32,
    length: u32,
    /// Offset up to which the sender may send.
    granted: u32,
    received: u32,
    segment_bytes: u32,
    birth: u64,
    /// Whether it is longer than its unscheduled part.
    scheduled: bool,
    held: HeldGrants,
}

impl Message {
    /// Bytes that may be on their way.
    fn incoming(&self) -> u32 {
        self.granted.saturating_sub(self.received)
    }

    fn ungranted(&self) -> u32 {
        self.length - self.granted
    }

    fn order(&self) -> Order {
        Order { remaining: self.length - self.received, birth: self.birth }
    }
}

/// What the scheduler may do for the next message in line.
enum Want {
    /// Nothing now: its window is full, or it is fully granted.
    Nothing,
    /// It needs more memory than is there; others may need less.
    Memory,
    /// It should be granted something, but too much is on its way already.
    Room,
    /// It is granted so many bytes.
    Bytes(u32),
}

/// Messages that one poll looks at when memory is short.
const SEARCH_STEPS: u32 = 64;

/// Decides which incoming messages may send how much.
#[derive(Debug)]
pub(crate) struct GrantScheduler {
    config: GrantConfig,
    cutoffs: UnscheduledCutoffs,
    /// By slot.
    messages: Vec<Option<Message>>,
    places: Places,
    /// Sum of [`Message::incoming`].
    incoming_bytes: u64,
    /// Sum of [`Message::held_bytes`].
    held_bytes: u64,
    /// Number of messages with a scheduled part.
    grantable: usize,
    /// Time between grants to the oldest message, `None` for never.
    fifo_interval: Option<Duration>,
    fifo_due: Instant,
    /// The last such grant that fell due was not made for want of memory: time alone won't help.
    fifo_starved: bool,
    /// Messages that are not fully granted, by birth, without those that did not answer such
    /// grants.
    oldest: IndexedHeap<u64>,
    /// The message of the last such grant, while it deserves more.
    fifo_message: Option<u32>,
    /// Bytes of all such grants.
    fifo_bytes: u64,
    /// The message looked at last in the search for one that little memory would help, and how many
    /// are still to be looked at.
    search: (u32, u32),
    search_goes_on: bool,
    memory_is_short: bool,
    link_use: LinkUse,
}

impl GrantScheduler {
    /// A scheduler without messages.
    pub(crate) fn new(config: GrantConfig) -> Self {
        Self {
            fifo_interval: fifo_interval(&config),
            places: Places::new(config.overcommit_max, config.messages_per_peer_max),
            config,
            cutoffs: UnscheduledCutoffs::default(),
            messages: Vec::new(),
            incoming_bytes: 0,
            held_bytes: 0,
            grantable: 0,
            fifo_due: Instant::ZERO,
            fifo_starved: false,
            oldest: IndexedHeap::new(),
            fifo_message: None,
            fifo_bytes: 0,
            search: (0, 0),
            search_goes_on: false,
            memory_is_short: false,
            link_use: LinkUse::new(),
        }
    }

    /// Sets this host's unscheduled cutoffs, which change as traffic does, and with them the highest
    /// level for scheduled data. Until then that is level 0.
    pub(crate) fn set_cutoffs(&mut self, cutoffs: &UnscheduledCutoffs) {
        self.cutoffs = *cutoffs;
    }

    /// Sets the speed of the link (KNOWN_ISSUES 3.6: the interval of grants to the oldest message
    /// follows).
    pub(crate) fn set_link(&mut self, link_mbps: u32) {
        self.config.link_mbps = link_mbps;
        self.fifo_interval = fifo_interval(&self.config);
    }

    /// Takes in a message. All belong here, also those entirely unscheduled, since what is on its
    /// way is counted over all messages (HOMA-BUFFER-4, HOMA-GRANT-7); one that is complete
    /// already is ignored.
    ///
    /// # Errors
    ///
    /// [`NoMemory`] if a table cannot grow; the message is not known then.
    pub(crate) fn insert(&mut self, now: Instant, new: IncomingMessage) -> Result<(), NoMemory> {
        if new.received >= new.length {
            return Ok(());
        }
        let granted = new.unscheduled.min(new.length);
        let message = Message {
            peer: new.peer,
            length: new.length,
            granted,
            received: new.received,
            segment_bytes: new.segment_bytes,
            birth: new.birth,
            scheduled: granted < new.length,
            held: HeldGrants::new(now, granted),
        };
        self.reserve_slot(new.slot)?;
        if message.scheduled {
            self.reserve_places(new.slot, new.peer)?;
        }
        let known = self.messages[new.slot as usize].replace(message);
        debug_assert!(known.is_none(), "the slot is in use");
        self.incoming_bytes += u64::from(message.incoming());
        if message.scheduled {
            self.grantable += 1;
            self.places.join(new.slot, new.peer, message.order());
            self.watch_oldest(now, new.slot, message.birth);
        }
        Ok(())
    }

    /// Makes sure that a message of a peer can be inserted in `slot`.
    ///
    /// # Errors
    ///
    /// [`NoMemory`]; nothing has changed that matters.
    pub(crate) fn reserve(&mut self, slot: u32, peer: u32) -> Result<(), NoMemory> {
        self.reserve_slot(slot)?;
        self.reserve_places(slot, peer)
    }

    /// Notes how many bytes of a message have arrived in all, in any order. When all have, the
    /// message is forgotten. Unknown slots are ignored.
    pub(crate) fn progress(&mut self, slot: u32, received: u32) {
        let Some(message) = self.message_mut(slot) else { return };
        if received >= message.length {
            self.remove(slot);
            return;
        }
        if received <= message.received {
            return;
        }
        let before = *message;
        message.received = received;
        message.held.note_arrival();
        let message = *message;
        self.incoming_bytes -= u64::from(before.incoming() - message.incoming());
        self.held_bytes -= before.held_bytes() - message.held_bytes();
        if message.scheduled {
            self.places.advance(slot, message.peer, message.order());
            self.watch_responding(slot, &message);
        }
    }

    /// Forgets a message. Unknown slots are ignored.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(message) = self.messages.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        self.incoming_bytes -= u64::from(message.incoming());
        self.held_bytes -= message.held_bytes();
        if message.scheduled {
            self.grantable -= 1;
            self.forget_oldest(slot);
            self.places.leave(slot, message.peer);
        }
    }

    /// The next GRANT to send, if there is one; call again until there is none, after every other
    /// call and at [`next_time`](Self::next_time).
    ///
    /// `memory_room` says how many bytes more may be promised to the message in a slot for the sake
    /// of this host's memory; no grant exceeds it.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        memory_room: impl Fn(u32) -> u64,
    ) -> Option<GrantDecision> {
        self.look_at_link(now);
        if let Some(decision) = self.poll_oldest(now, &memory_room) {
            return Some(decision);
        }
        self.memory_is_short = false;
        self.search_goes_on = false;
        for rank in 0..self.places.active().len() {
            let slot = self.places.active()[rank].slot;
            match self.want(slot, memory_room(slot)) {
                Want::Nothing => {}
                Want::Memory => self.memory_is_short = true,
                // Those behind do not take the room that this one waits for.
                Want::Room => {
                    self.plan_look(now);
                    return None;
                }
                Want::Bytes(bytes) => {
                    let priority = self.scheduled_priority(rank).max(self.tail_priority(slot));
                    return Some(self.grant(now, slot, bytes, priority));
                }
            }
        }
        if self.memory_is_short { self.poll_waiting(now, &memory_room) } else { None }
    }

    /// Something changed: all messages may be looked at again for one that little memory would help.
    pub(crate) fn search_anew(&mut self) {
        self.search.1 = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
    }

    /// Whether the last [`poll`](Self::poll) ended before it had looked at all messages: poll again
    /// soon though nothing changes.
    pub(crate) fn search_goes_on(&self) -> bool {
        self.search_goes_on
    }

    /// Whether the last [`poll`](Self::poll) met messages for which there was not enough memory.
    pub(crate) fn is_memory_short(&self) -> bool {
        self.memory_is_short
    }

    /// Whether a message is granted nothing, though its window has room, because too many others are
    /// granted to or too much is on its way already.
    pub(crate) fn withholds(&self) -> bool {
        // Whatever is granted at a time, more than that may be on its way.
        let has_room = self.room() >= u64::from(u32::MAX);
        let wants_room = |slot| matches!(self.want(slot, u64::MAX), Want::Room);
        let active = self.places.active();
        self.places.are_short()
            || (!has_room && active.iter().any(|active| wants_room(active.slot)))
    }

    /// How many bytes more may be on their way.
    fn room(&self) -> u64 {
        self.config.incoming_bytes_max.saturating_sub(self.incoming_bytes - self.held_bytes)
    }

    /// When the next grant to the oldest message falls due, or the link is to be looked at, which no
    /// other input announces. `None` if there is no message for it.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        let is_fifo = self.fifo_interval.is_some() && !self.oldest.is_empty() && !self.fifo_starved;
        match self.link_use.look_at() {
            Some(at) if is_fifo => Some(at.min(self.fifo_due)),
            None if is_fifo => Some(self.fifo_due),
            look_at => look_at,
        }
    }

    /// The offset up to which a message's sender may send, or `None` for an unknown slot.
    pub(crate) fn granted(&self, slot: u32) -> Option<u32> {
        Some(self.message(slot)?.granted)
    }

    /// Bytes that may be on their way to this host: granted or unscheduled, and not received.
    #[cfg(test)]
    pub(crate) fn incoming_bytes(&self) -> u64 {
        self.incoming_bytes
    }

    /// Bytes granted to oldest messages so far, regardless of their length.
    pub(crate) fn fifo_bytes(&self) -> u64 {
        self.fifo_bytes
    }

    /// Whether any incomplete message is longer than its unscheduled part.
    pub(crate) fn has_grantable(&self) -> bool {
        self.grantable > 0
    }

    /// Number of incomplete messages that are longer than their unscheduled part.
    #[cfg(test)]
    pub(crate) fn grantable(&self) -> usize {
        self.grantable
    }

    /// Checks sums, orders and the choice of active messages against their definitions; slow.
    ///
    /// # Panics
    ///
    /// If something is wrong.
    pub(crate) fn check_invariants(&self) {
        self.places.check_invariants();
        let (mut incoming, mut held, mut grantable, mut watched) = (0, 0, 0, 0);
        for (slot, message) in (0u32..).zip(&self.messages) {
            let Some(message) = message else {
                assert!(self.oldest.key(slot).is_none() && !self.places.is_active(slot));
                continue;
            };
            assert!(message.granted <= message.length && message.received < message.length);
            incoming += u64::from(message.incoming());
            held += message.held_bytes();
            grantable += usize::from(message.scheduled);
            let known = self.places.order(slot, message.peer);
            assert!(known.is_none_or(|order| order == message.order()), "stale precedence");
            assert_eq!(known.is_none(), message.ungranted() == 0 && !self.places.is_active(slot));
            if let Some(birth) = self.oldest.key(slot) {
                assert!(message.ungranted() > 0 && birth == message.birth);
                watched += 1;
            }
        }
        assert_eq!((self.incoming_bytes, self.held_bytes), (incoming, held));
        assert_eq!(self.grantable, grantable);
        assert_eq!(self.oldest.len(), watched);
        assert!(self.fifo_message.is_none_or(|slot| self.oldest.key(slot).is_some()));
    }

    fn reserve_slot(&mut self, slot: u32) -> Result<(), NoMemory> {
        let slots = slot as usize + 1;
        if slots > self.messages.len() {
            self.messages.try_reserve(slots - self.messages.len()).map_err(|_| NoMemory)?;
            self.messages.resize(slots, None);
        }
        Ok(())
    }

    fn reserve_places(&mut self, slot: u32, peer: u32) -> Result<(), NoMemory> {
        self.places.reserve(slot, peer)?;
        self.oldest.reserve_slot(slot)
    }

    fn message(&self, slot: u32) -> Option<&Message> {
        self.messages.get(slot as usize)?.as_ref()
    }

    fn message_mut(&mut self, slot: u32) -> Option<&mut Message> {
        self.messages.get_mut(slot as usize)?.as_mut()
    }

    /// What an active message should be granted now.
    fn want(&self, slot: u32, memory_room: u64) -> Want {
        let Some(message) = self.message(slot) else { return Want::Nothing };
        let window = self.window(message);
        let target = message.received.saturating_add(window).min(message.length);
        let want = target.saturating_sub(message.granted);
        let step = self.step(message, window);
        if want == 0 || (want < step && target < message.length) {
            return Want::Nothing;
        }
        let needed = want.min(step);
        // With nothing on its way, nothing will make room: go on, however little there is.
        let is_last_hope = self.incoming_bytes == self.held_bytes;
        let bytes = match u64::from(want).min(self.room()) as u32 {
            bytes if bytes >= needed => bytes,
            _ if is_last_hope => needed,
            _ => return Want::Room,
        };
        let bytes = u64::from(bytes).min(memory_room) as u32;
        if bytes >= needed || (is_last_hope && bytes > 0) {
            Want::Bytes(bytes)
        } else {
            Want::Memory
        }
    }

    /// The messages in the places need more memory than is there: one that needs less may go on, and
    /// make room by its end. A call looks at a few messages only; the next goes on from there.
    fn poll_waiting(
        &mut self,
        now: Instant,
        memory_room: &impl Fn(u32) -> u64,
    ) -> Option<GrantDecision> {
        let slots = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
        for _ in 0..SEARCH_STEPS {
            let (last, left) = self.search;
            if left == 0 {
                return None;
            }
            let slot = if last + 1 < slots { last + 1 } else { 0 };
            self.search = (slot, left - 1);
            if let Want::Bytes(bytes) = self.want(slot, memory_room(slot))
                && !self.places.is_active(slot)
            {
                return Some(self.grant(now, slot, bytes, Priority::LOWEST));
            }
        }
        self.search_goes_on = self.search.1 > 0;
        None
    }

    /// Bytes of a message that may be on their way.
    fn window(&self, message: &Message) -> u32 {
        // Less than two segments would have the sender wait for each.
        let segments = 2 * u64::from(message.segment_bytes);
        let limit = self.config.incoming_bytes_max.max(segments);
        let window = match self.config.window_bytes {
            0 => {
                let share = limit / (self.places.active().len() as u64 + 1);
                share.max(2 * u64::from(self.config.grant_increment_bytes))
            }
            fixed => u64::from(fixed),
        };
        let is_shortest =
            self.places.active().first().is_none_or(|first| first.order() == message.order());
        let window =
            if is_shortest { window } else { window.min(self.config.later_window_bytes.into()) };
        u32::try_from(window.max(segments).min(limit)).unwrap_or(u32::MAX)
    }

    /// The smallest grant that does not complete the message. At most half the window, so that
    /// one half arrives while the grant for the other travels.
    fn step(&self, message: &Message, window: u32) -> u32 {
        let segments = message.segment_bytes.saturating_mul(self.config.grant_segments_min);
        let worthwhile = segments.max(self.config.grant_increment_bytes);
        worthwhile.min((window / 2).max(message.segment_bytes)).max(1)
    }

    /// The level for the active message of this rank: as many of the lowest levels as there are
    /// active messages, shortest highest, the longest sharing level 0 (HOMA-PRIO-6, HOMA-PRIO-8,
    /// HOMA-PRIO-9). What is left above is for shorter messages to come.
    fn scheduled_priority(&self, rank: usize) -> Priority {
        let highest = self.level_max().min(self.cutoffs.scheduled_max);
        let levels_used = self.places.active().len().min(usize::from(highest) + 1);
        let level = levels_used.saturating_sub(rank + 1);
        Priority::clamped(u8::try_from(level).unwrap_or(highest))
    }

    /// The level for the end of a message, the lowest if its end is not near.
    fn tail_priority(&self, slot: u32) -> Priority {
        let tail = 1..self.config.tail_bytes;
        match self.message(slot).map(Message::ungranted) {
            Some(ungranted) if tail.contains(&ungranted) => {
                let levels = self.config.priority_levels;
                unscheduled_priority(&self.cutoffs.cutoffs, levels, ungranted)
            }
            _ => Priority::LOWEST,
        }
    }

    fn level_max(&self) -> u8 {
        self.config.priority_levels.saturating_sub(1)
    }

    fn grant(&mut self, now: Instant, slot: u32, bytes: u32, priority: Priority) -> GrantDecision {
        let Some(message) = self.message_mut(slot) else {
            unreachable!("only known messages are granted to");
        };
        let before = message.incoming();
        message.granted += bytes;
        message.held.note_grant(now, message.granted, message.received);
        let message = *message;
        self.incoming_bytes += u64::from(message.incoming() - before);
        if message.ungranted() == 0 {
            self.forget_oldest(slot);
            if self.config.places_end_when_granted {
                self.places.leave(slot, message.peer);
            } else {
                self.places.satisfy(slot, message.peer);
            }
        }
        GrantDecision { slot, offset: message.granted, priority }
    }
}
