//! Grants to the oldest message, which shortest-first alone could starve (PROTOCOL section 8 "FIFO
//! grants", HOMA-GRANT-13).
//!
//! They fall due at fixed intervals whether or not other grants are sent (KNOWN_ISSUES 3.6), and
//! may exceed the limit on incoming bytes, though not the host's memory.

use homa_wire::Priority;

use super::{GrantConfig, GrantDecision, GrantScheduler, Message};
use crate::time::{Duration, Instant};

impl GrantScheduler {
    pub(super) fn poll_oldest(
        &mut self,
        now: Instant,
        memory_room: &impl Fn(u32) -> u64,
    ) -> Option<GrantDecision> {
        let interval = self.fifo_interval?;
        // Whoever polls before that has heard of a change.
        self.fifo_starved = false;
        if now < self.fifo_due {
            return None;
        }
        let slot = self.choose_oldest()?;
        // Without memory the turn is lost.
        self.fifo_due = now + interval;
        let wanted = self.message(slot)?.ungranted().min(self.config.fifo_increment_bytes);
        let bytes = u64::from(wanted).min(memory_room(slot)) as u32;
        self.fifo_starved = bytes == 0;
        if self.fifo_starved {
            return None;
        }
        self.fifo_bytes += u64::from(bytes);
        let priority = Priority::clamped(self.config.priority_levels.saturating_sub(2));
        Some(self.grant(now, slot, bytes, priority))
    }

    /// The message of the last such grant, or else the oldest, passing over those that do not
    /// respond. Those wait outside the heap for their next data, so none is looked at twice.
    fn choose_oldest(&mut self) -> Option<u32> {
        loop {
            let slot = self.fifo_message.or_else(|| self.oldest.peek().map(|(slot, _)| slot))?;
            if self.message(slot).is_some_and(|message| self.responds(message)) {
                self.fifo_message = Some(slot);
                return Some(slot);
            }
            self.forget_oldest(slot);
        }
    }

    /// Whether a message's data follow its grants.
    fn responds(&self, message: &Message) -> bool {
        let unanswered = 2 * u64::from(self.config.fifo_increment_bytes);
        u64::from(message.incoming()) < u64::from(self.window(message)) + unanswered
    }

    /// Lets a new message compete for such grants. The first one has to wait for an interval like
    /// any other.
    pub(super) fn watch_oldest(&mut self, now: Instant, slot: u32, birth: u64) {
        if self.oldest.is_empty()
            && let Some(interval) = self.fifo_interval
        {
            self.fifo_due = self.fifo_due.max(now + interval);
        }
        self.watch(slot, birth);
    }

    /// Lets a message that was passed over compete again if its data came.
    pub(super) fn watch_responding(&mut self, slot: u32, message: &Message) {
        let watched = message.ungranted() == 0 || self.oldest.key(slot).is_some();
        if !watched && self.responds(message) {
            self.watch(slot, message.birth);
        }
    }

    fn watch(&mut self, slot: u32, birth: u64) {
        let reserved = self.oldest.set(slot, birth);
        debug_assert_eq!(reserved, Ok(()), "slot not reserved");
    }

    pub(super) fn forget_oldest(&mut self, slot: u32) {
        self.oldest.remove(slot);
        self.fifo_message = self.fifo_message.filter(|&message| message != slot);
    }
}

/// Time in which the link carries as much as makes one grant to the oldest message its share.
pub(super) fn fifo_interval(config: &GrantConfig) -> Option<Duration> {
    let share_mbps_1000 = u64::from(config.link_mbps) * u64::from(config.fifo_share_permille);
    let bits = 8 * u64::from(config.fifo_increment_bytes);
    // One Mb/s carries a bit in 1000 ns, and the share is in thousandths.
    (share_mbps_1000 > 0 && bits > 0)
        .then(|| Duration::from_nanos((bits * 1_000_000).div_ceil(share_mbps_1000)))
}
