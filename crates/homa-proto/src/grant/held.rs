//! Which grants wait at their senders: informed overcommitment, as in SIRD (NSDI 2025).
//!
//! A sender to which several receivers have granted serves one after the other. What the others have
//! granted is in no queue of the network, but counts as on its way, so that nobody else is granted to who
//! would answer. Receivers therefore overcommit; and when many senders answer at once, what they send
//! fills the switch.
//!
//! But a receiver can tell. While its link is idle, the switch before it holds nothing for it: what it
//! had granted a round trip earlier, and has not got, is held by its sender (or, seldom, by a switch
//! farther away). And a sender may say so, by BUSY (`Config::tell_held_min`).
//!
//! Held bytes do not count towards `GrantConfig::incoming_bytes_max`; they do again as soon as anything of
//! their message arrives.

use super::{GrantScheduler, Message};
use crate::time::{Duration, Instant};

/// What is known of a message's grants.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldGrants {
    /// Bytes before this offset were granted by `since`.
    asked: u32,
    since: Instant,
    /// Of the bytes before this offset, at most `asked`, those that have not arrived are held.
    upto: u32,
}

impl HeldGrants {
    pub(super) fn new(now: Instant, granted: u32) -> Self {
        Self { asked: granted, since: now, upto: 0 }
    }

    /// More was granted. While it is open what became of an earlier grant, that is the one to be
    /// watched.
    pub(super) fn note_grant(&mut self, now: Instant, granted: u32, received: u32) {
        if received >= self.asked || self.is_held() {
            (self.asked, self.since) = (granted, now);
        }
    }

    /// Something has arrived: the sender is about to send the rest, or will say that it holds it.
    pub(super) fn note_arrival(&mut self) {
        self.upto = 0;
    }

    fn is_held(&self) -> bool {
        self.upto == self.asked
    }

    /// Since when something is unanswered that is not known to be held.
    fn unanswered_since(&self, received: u32) -> Option<Instant> {
        (received < self.asked && !self.is_held()).then_some(self.since)
    }
}

/// When the link was last in use.
#[derive(Debug)]
pub(super) struct LinkUse {
    last_arrival: Instant,
    /// When to look whether it is idle, since something waits for room.
    look_at: Option<Instant>,
}

impl LinkUse {
    pub(super) const fn new() -> Self {
        Self { last_arrival: Instant::ZERO, look_at: None }
    }

    /// When [`GrantScheduler::poll`] should look at it.
    pub(super) const fn look_at(&self) -> Option<Instant> {
        self.look_at
    }
}

impl GrantScheduler {
    /// Whether it wants to know of each [arrival](Self::arrived).
    pub(crate) fn is_informed(&self) -> bool {
        self.config.idle_after > Duration::ZERO
    }

    /// A packet of `wire_bytes` has arrived, of whatever message.
    pub(crate) fn arrived(&mut self, now: Instant, wire_bytes: u32) {
        let begun = now.saturating_since(self.link_use.last_arrival);
        if begun.saturating_sub(self.link_time(wire_bytes)) >= self.config.idle_after {
            self.note_held(now);
        }
        self.link_use.last_arrival = now;
    }

    /// The sender of a message has said that it holds what was granted.
    pub(crate) fn told_held(&mut self, now: Instant, slot: u32) {
        let Some(message) = self.message_mut(slot) else { return };
        let before = message.held_bytes();
        let granted = message.granted;
        message.held = HeldGrants { asked: granted, since: now, upto: granted };
        let after = message.held_bytes();
        self.held_bytes += after - before;
    }

    /// Finds out which grants are held, if it is time and the link is idle.
    pub(super) fn look_at_link(&mut self, now: Instant) {
        let is_due = self.link_use.look_at.take_if(|at| *at <= now).is_some();
        let last_arrival = self.link_use.last_arrival;
        if is_due && now.saturating_since(last_arrival) >= self.config.idle_after {
            self.note_held(now);
        }
    }

    /// A message waits for room: grants that turn out to be held may make it.
    pub(super) fn plan_look(&mut self, now: Instant) {
        if !self.is_informed() {
            return;
        }
        let active = self.places.active().iter();
        let unanswered = active
            .filter_map(|active| self.message(active.slot))
            .filter_map(|message| message.held.unanswered_since(message.received));
        let ripe = unanswered.min().map(|since| since + self.round_trip());
        let idle = self.link_use.last_arrival + self.config.idle_after;
        let after_now = now + Duration::from_nanos(1);
        self.link_use.look_at = ripe.map(|ripe| ripe.max(idle).max(after_now));
    }

    /// The link is idle.
    fn note_held(&mut self, now: Instant) {
        let round_trip = self.round_trip();
        for rank in 0..self.places.active().len() {
            let slot = self.places.active()[rank].slot;
            let Some(message) = self.message_mut(slot) else { continue };
            if now.saturating_since(message.held.since) >= round_trip {
                let before = message.held_bytes();
                let HeldGrants { asked, .. } = message.held;
                message.held = HeldGrants { asked: message.granted, since: now, upto: asked };
                let after = message.held_bytes();
                self.held_bytes += after - before;
            }
        }
    }

    /// In which granted bytes arrive if nothing keeps their sender from sending them.
    fn round_trip(&self) -> Duration {
        self.link_time(self.config.window_bytes)
    }

    fn link_time(&self, bytes: u32) -> Duration {
        let bits_1000 = 8_000 * u64::from(bytes);
        Duration::from_nanos(bits_1000 / u64::from(self.config.link_mbps.max(1)))
    }
}

impl Message {
    /// Granted bytes that its sender holds.
    pub(super) fn held_bytes(&self) -> u64 {
        u64::from(self.held.upto.saturating_sub(self.received))
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::super::tests::{START, config, decision, drain, message, scheduler};
    use super::super::{GrantConfig, IncomingMessage};
    use super::*;

    /// On a link of 10 Gb/s, which carries a full packet in 1.2 us and a window in 80 us.
    fn informed() -> GrantConfig {
        GrantConfig {
            incoming_bytes_max: 150_000,
            window_bytes: 100_000,
            link_mbps: 10_000,
            idle_after: Duration::from_micros(5),
            ..config()
        }
    }

    /// Two senders that do not answer, and a third one that is not granted anything until that is known.
    fn unanswered() -> GrantScheduler {
        let messages = [message(0, 900_000), message(1, 900_001), message(2, 900_002)];
        let mut scheduler = scheduler(informed(), &messages);
        scheduler.arrived(START, 1_500);
        let grants = drain(&mut scheduler, START);
        assert_eq!(grants, [decision(0, 110_000, 2), decision(1, 60_000, 1)]);
        scheduler
    }

    fn after(micros: u64) -> Instant {
        START + Duration::from_micros(micros)
    }

    #[test]
    fn poll__grants_to_others_what_is_held_while_the_link_is_idle() {
        let mut scheduler = unanswered();
        assert_eq!(scheduler.next_time(), Some(after(80)), "an answer might come until then");
        assert_eq!(drain(&mut scheduler, after(79)), []);
        let grants = drain(&mut scheduler, after(80));
        assert_eq!(grants, [decision(1, 110_000, 1), decision(2, 110_000, 0)]);
        assert_eq!(scheduler.held_bytes, 150_000);
    }

    /// What is known to be held is not looked for again.
    #[test]
    fn next_time__is_that_of_what_may_still_come() {
        let mut scheduler = unanswered();
        drain(&mut scheduler, after(80));
        scheduler.insert(after(80), message(3, 900_003)).unwrap();
        assert_eq!(drain(&mut scheduler, after(80)), []);
        assert_eq!(scheduler.next_time(), Some(after(160)));
        for slot in [1, 2] {
            scheduler.arrived(after(100), 1_500);
            scheduler.progress(slot, 110_000);
        }
        let grants = drain(&mut scheduler, after(100));
        assert_eq!(grants, [decision(1, 210_000, 3), decision(2, 160_000, 2)]);
        assert_eq!(scheduler.next_time(), Some(after(180)));
    }

    /// A limit below the smallest grant, and nothing on its way: waiting would be for ever.
    #[test]
    fn poll__goes_on_while_all_that_is_granted_is_held() {
        let config = GrantConfig { incoming_bytes_max: 100, ..informed() };
        let mut scheduler = scheduler(config, &[message(0, 900_000), message(1, 900_001)]);
        scheduler.arrived(START, 1_500);
        assert_eq!(drain(&mut scheduler, START), [decision(0, 11_416, 1)]);
        assert_eq!(scheduler.next_time(), Some(START + scheduler.round_trip()));
        assert_eq!(drain(&mut scheduler, after(80)), [decision(0, 12_832, 1)]);
    }

    /// What a sender says is known at once, and no longer true when something arrives.
    #[test]
    fn told_held__until_an_arrival() {
        let mut scheduler = unanswered();
        scheduler.told_held(after(1), 1);
        assert_eq!(scheduler.held_bytes, 50_000);
        let grants = drain(&mut scheduler, after(1));
        assert_eq!(grants, [decision(1, 110_000, 1)]);
        scheduler.told_held(after(2), 1);
        assert_eq!(scheduler.held_bytes, 100_000);
        assert_eq!(drain(&mut scheduler, after(2)), [decision(2, 60_000, 0)]);
        scheduler.progress(1, 11_000);
        assert_eq!(scheduler.held_bytes, 0);
        scheduler.told_held(after(3), 7);
        assert_eq!(scheduler.held_bytes, 0, "nobody knows that one");
    }

    /// What has not come through a link in use may wait in the switch before it.
    #[test]
    fn poll__grants_no_more_while_the_link_is_busy() {
        let mut scheduler = unanswered();
        for packet in 1..200 {
            let now = START + Duration::from_nanos(1_200 * packet);
            scheduler.arrived(now, 1_500);
            assert_eq!(drain(&mut scheduler, now), []);
        }
        assert_eq!(scheduler.held_bytes, 0);
    }

    /// A gap before a packet tells as much as silence.
    #[test]
    fn arrived__finds_gaps() {
        let mut scheduler = unanswered();
        let now = after(85);
        for packet in (0..85).step_by(3) {
            scheduler.arrived(after(packet), 3_750);
        }
        scheduler.arrived(now, 125);
        assert_eq!(scheduler.held_bytes, 0, "84 us, and 0.1 us of the packet: no gap");
        scheduler.arrived(after(93), 1_500);
        assert_eq!(scheduler.held_bytes, 150_000, "6.8 us");
    }

    /// A sender that comes back takes its part of what may be on its way, all of it.
    #[test]
    fn held_bytes__count_again_when_something_arrives() {
        let mut scheduler = unanswered();
        drain(&mut scheduler, after(80));
        scheduler.arrived(after(81), 1_500);
        scheduler.progress(0, 60_000);
        assert_eq!(scheduler.held_bytes, 50_000, "of the other one");
        // 50,000 bytes of each of the first two, and 100,000 that were granted since.
        let coming = scheduler.incoming_bytes() - scheduler.held_bytes;
        assert_eq!(coming, 200_000);
        assert_eq!(drain(&mut scheduler, after(81)), []);
    }

    /// Only the shortest may fill the link alone.
    #[test]
    fn window__of_later_messages_is_smaller() {
        let config = GrantConfig { later_window_bytes: 40_000, ..informed() };
        let mut scheduler = scheduler(config, &[message(0, 900_000), message(1, 900_001)]);
        let grants = drain(&mut scheduler, START);
        assert_eq!(grants, [decision(0, 110_000, 1), decision(1, 50_000, 0)]);
        scheduler.remove(0);
        assert_eq!(drain(&mut scheduler, START), [decision(1, 110_000, 0)]);
    }

    /// Whoever has everything granted and holds it makes room for others, too, if it keeps its place.
    #[test]
    fn held_bytes__of_a_fully_granted_message() {
        let short = IncomingMessage { length: 100_000, ..message(0, 0) };
        let mut scheduler = scheduler(informed(), &[short, message(1, 900_000)]);
        drain(&mut scheduler, START);
        drain(&mut scheduler, after(80));
        assert_eq!(scheduler.held_bytes, 90_000 + 60_000);
    }
}
