//! One outgoing message: what was sent, what may be sent, what must be sent again.

use crate::event::Payload;
use crate::range_set::RangeSet;
use crate::time::{Duration, Instant};
use homa_wire::Priority;

/// Separate ranges of one message that may wait for retransmission at a time; more are widened.
const RESEND_RANGES_MAX: usize = 64;

/// The sending side of one message.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Outgoing {
    pub(crate) length: u32,
    /// Bytes that need no grant; also a packet boundary, so that no ungranted byte leaves early.
    pub(crate) unscheduled: u32,
    /// Bytes before this offset may be sent.
    pub(crate) granted: u32,
    /// Bytes before this offset were handed to the driver at least once.
    pub(crate) next: u32,
    /// Priority of scheduled bytes, from the latest GRANT.
    pub(crate) scheduled_priority: Priority,
    /// Priority of unscheduled bytes if the application chose it.
    pub(crate) unscheduled_priority: Option<Priority>,
    /// Ranges to be sent again.
    pub(crate) resend: RangeSet,
    /// Since when retransmitted bytes are counted, and how many were asked for since.
    resent: (Instant, u32),
    /// Priority of packets that are sent again, from the latest RESEND.
    pub(crate) resend_priority: Priority,
    /// An empty DATA packet must tell the message's length, since nothing may be sent unasked
    /// (HOMA-DATA-14).
    announce: bool,
    /// The receiver knows that what it granted waits; until something of it is sent.
    told_held: bool,
    /// Payload per packet when the message began: fixes the packet boundaries for its life, since
    /// kernel receivers drop packets that overlap a gap partly (PROTOCOL section 4).
    segment: u32,
    /// Payload per packet now; if the path shrank, segments are cut into pieces within their old
    /// boundaries.
    packet_max: u32,
}

impl Outgoing {
    /// `packet_max` is the largest payload of one packet towards the peer, at least 1.
    pub(crate) fn new(length: u32, unscheduled_max: u32, packet_max: u32) -> Self {
        let unscheduled = unscheduled_max.min(length);
        Self {
            length,
            unscheduled,
            granted: unscheduled,
            next: 0,
            scheduled_priority: Priority::LOWEST,
            unscheduled_priority: None,
            resend: RangeSet::new(RESEND_RANGES_MAX),
            resent: (Instant::ZERO, 0),
            resend_priority: Priority::HIGHEST,
            announce: unscheduled == 0,
            told_held: false,
            segment: packet_max.max(1),
            packet_max: packet_max.max(1),
        }
    }

    /// The next packets to send for the first time, one at least: their bytes, possibly none (an
    /// announcement). All but the last are [`full_segment`](Self::full_segment) long.
    /// A packet of which any byte is granted leaves whole (WIRE section 4, "Boundaries").
    pub(crate) fn pop_run(&mut self, packets_max: u32) -> Option<Payload> {
        if self.announce {
            self.announce = false;
            return Some(Payload { start: 0, end: 0 });
        }
        if self.next >= self.granted {
            return None;
        }
        let mut run = self.packet_at(self.next);
        if packets_max > 1 && run.len() == self.segment {
            let limit = if run.start < self.unscheduled { self.unscheduled } else { self.length };
            let granted = self.granted.min(limit) - run.start;
            let packets = granted.div_ceil(self.segment).clamp(1, packets_max);
            run.end = run.start.saturating_add(packets.saturating_mul(self.segment)).min(limit);
        }
        self.next = run.end;
        self.told_held = false;
        Some(run)
    }

    /// Payload bytes of a packet that is not cut short.
    pub(crate) const fn full_segment(&self) -> u32 {
        self.segment
    }

    /// The next packet to send again.
    pub(crate) fn pop_resend(&mut self) -> Option<Payload> {
        let start = self.resend.first()?.start;
        let packet = self.packet_at(start);
        self.resend.remove_before(packet.end);
        Some(packet)
    }

    /// Queues every packet that overlaps `[start, end)` and was sent before; returns whether there
    /// is any. Whole packets, since kernel receivers drop partial overlaps.
    pub(crate) fn queue_resend(&mut self, start: u32, end: u32, priority: Priority) -> bool {
        let end = end.min(self.next);
        if start >= end {
            return false;
        }
        self.resend_priority = priority;
        let first = self.packet_at(start).start;
        let last = self.packet_at(end - 1).end;
        let last = last.min(self.next);
        self.resent.1 = self.resent.1.saturating_add(last - first);
        self.resend.add(first..last)
    }

    /// Whether all that was sent was asked for again twice within `spacing` already: who asks once
    /// more has not waited for the answer (KNOWN_ISSUES 2.4). Kernels ask twice, on a tick and on
    /// NEED_ACK.
    pub(crate) fn was_resent(&mut self, now: Instant, spacing: Duration) -> bool {
        if now.saturating_since(self.resent.0) >= spacing {
            self.resent = (now, 0);
        }
        self.resent.1 >= self.next.saturating_mul(2)
    }

    /// The receiver asks, and nothing was sent yet: a message without unscheduled bytes is announced
    /// again, since a lost announcement leaves nothing else that could be sent.
    pub(crate) fn announce_again(&mut self) {
        self.announce |= self.unscheduled == 0 && self.next == 0;
    }

    /// Permits bytes before `offset`; more than the message has is clamped. Never takes back.
    pub(crate) fn grant(&mut self, offset: u32) {
        self.granted = self.granted.max(offset.min(self.length));
    }

    /// The path carries only `packet_max` payload bytes per packet now. Only lowers.
    pub(crate) fn shrink_packets(&mut self, packet_max: u32) {
        self.packet_max = self.packet_max.min(packet_max.max(1));
    }

    /// Whether something may be sent for the first time.
    pub(crate) fn is_sendable(&self) -> bool {
        self.announce || self.next < self.granted
    }

    /// Bytes that may be sent for the first time.
    pub(crate) fn sendable_bytes(&self) -> u32 {
        self.granted.saturating_sub(self.next)
    }

    /// Whether the receiver should be told now that granted bytes wait: it knows the message, and does
    /// not know that.
    pub(crate) fn tell_held(&mut self) -> bool {
        let is_known = self.next > 0 || (self.unscheduled == 0 && !self.announce);
        let tells = is_known && self.sendable_bytes() > 0 && !self.told_held;
        self.told_held |= tells;
        tells
    }

    /// Whether all bytes were sent at least once.
    pub(crate) fn is_sent(&self) -> bool {
        self.next == self.length && !self.announce
    }

    /// Bytes not yet sent: the SRPT key.
    pub(crate) fn remaining(&self) -> u32 {
        self.length - self.next
    }

    /// By what it is ordered among others: what remains, but an announcement goes before all that.
    pub(crate) fn rank(&self) -> u32 {
        if self.announce { 0 } else { self.remaining() }
    }

    /// The packet that contains byte `offset`: cut at multiples of the segment size from the
    /// message's start, and anew from the end of the unscheduled bytes.
    fn packet_at(&self, offset: u32) -> Payload {
        let (base, limit) = if offset < self.unscheduled {
            (0, self.unscheduled)
        } else {
            (self.unscheduled, self.length)
        };
        let cut = |from: u32, size: u32| from + (offset - from) / size * size;
        let segment_start = cut(base, self.segment);
        let segment_end = segment_start.saturating_add(self.segment).min(limit);
        if self.packet_max >= self.segment {
            return Payload { start: segment_start, end: segment_end };
        }
        let start = cut(segment_start, self.packet_max);
        Payload { start, end: start.saturating_add(self.packet_max).min(segment_end) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn sent(out: &mut Outgoing) -> Vec<(u32, u32)> {
        core::iter::from_fn(|| out.pop_run(1)).map(|p| (p.start, p.end)).collect()
    }

    fn resent(out: &mut Outgoing) -> Vec<(u32, u32)> {
        core::iter::from_fn(|| out.pop_resend()).map(|p| (p.start, p.end)).collect()
    }

    /// HOMA-GRANT-1, HOMA-GRANT-2.
    #[test]
    fn pop_run__sends_only_unscheduled_bytes_without_grant() {
        let mut out = Outgoing::new(5000, 2000, 1400);
        assert_eq!(sent(&mut out), [(0, 1400), (1400, 2000)]);
        assert!(!out.is_sendable() && !out.is_sent());
    }

    /// HOMA-GRANT-3: everything before the offset, in whole packets.
    #[test]
    fn pop_run__sends_whole_packets_once_any_byte_is_granted() {
        let mut out = Outgoing::new(5000, 2000, 1400);
        sent(&mut out);
        out.grant(2001);
        assert_eq!(sent(&mut out), [(2000, 3400)]);
        out.grant(u32::MAX);
        assert_eq!(sent(&mut out), [(3400, 4800), (4800, 5000)]);
        assert!(out.is_sent());
    }

    /// HOMA-DATA-14, HOMA-DATA-13.
    #[test]
    fn pop_run__announces_a_message_without_unscheduled_bytes() {
        let mut out = Outgoing::new(100, 0, 1400);
        assert_eq!(sent(&mut out), [(0, 0)]);
        out.grant(100);
        assert_eq!(sent(&mut out), [(0, 100)]);
    }

    #[test]
    fn announce_again__is_for_messages_of_which_nothing_was_sent() {
        let mut out = Outgoing::new(100, 0, 1400);
        sent(&mut out);
        out.announce_again();
        assert_eq!(sent(&mut out), [(0, 0)]);
        out.grant(100);
        sent(&mut out);
        out.announce_again();
        assert!(!out.is_sendable());
        let mut unscheduled = Outgoing::new(100, 100, 1400);
        unscheduled.announce_again();
        assert_eq!(sent(&mut unscheduled), [(0, 100)]);
    }

    #[test]
    fn grant__never_takes_back() {
        let mut out = Outgoing::new(5000, 0, 1400);
        out.grant(3000);
        out.grant(10);
        assert_eq!(out.granted, 3000);
    }

    #[test]
    fn queue_resend__covers_whole_packets_of_what_was_sent() {
        let mut out = Outgoing::new(5000, 5000, 1400);
        for _ in 0..2 {
            out.pop_run(1);
        }
        assert!(out.queue_resend(1500, 1501, Priority::HIGHEST));
        assert_eq!(resent(&mut out), [(1400, 2800)]);
        assert!(!out.queue_resend(2800, 5000, Priority::HIGHEST));
    }

    /// KNOWN_ISSUES 2.4.
    #[test]
    fn was_resent__once_all_was_asked_for_twice() {
        let (mut out, spacing) = (Outgoing::new(5000, 2800, 1400), Duration::from_millis(1));
        let at = |micros: u64| Instant::ZERO + Duration::from_micros(5_000 + micros);
        sent(&mut out);
        assert!(!out.was_resent(at(0), spacing));
        for micros in 1..=4 {
            assert!(!out.was_resent(at(micros), spacing));
            out.queue_resend(0, 1, Priority::HIGHEST);
        }
        assert!(out.was_resent(at(999), spacing));
        assert!(!out.was_resent(at(1_000), spacing));
    }

    /// KNOWN_ISSUES 2.7.
    #[test]
    fn shrink_packets__keeps_the_old_boundaries() {
        let mut out = Outgoing::new(5000, 5000, 1400);
        out.pop_run(1);
        out.shrink_packets(1000);
        assert_eq!(sent(&mut out)[..4], [(1400, 2400), (2400, 2800), (2800, 3800), (3800, 4200)]);
        out.queue_resend(0, 1, Priority::HIGHEST);
        assert_eq!(resent(&mut out), [(0, 1000)]);
    }

    proptest! {
        /// Every byte is sent once, in order, and packets stay within their size.
        #[test]
        fn pop_run__covers_the_message_once(
            length in 1u32..200_000, unscheduled in 0u32..100_000, packet in 1u32..70_000,
            shrunk in 1u32..70_000, packets_max in 1u32..70,
            grants in prop::collection::vec(0u32..250_000, 0..20),
        ) {
            let packet = packet.max(length / 2000 + 1);
            let shrunk = shrunk.max(length / 2000 + 1);
            let mut out = Outgoing::new(length, unscheduled, packet);
            let mut at = 0;
            for (i, grant) in grants.into_iter().chain([u32::MAX]).enumerate() {
                out.grant(grant);
                // One by one is the model for runs.
                let mut one_by_one = out.clone();
                let mut packets = core::iter::from_fn(|| one_by_one.pop_run(1));
                while let Some(run) = out.pop_run(packets_max) {
                    prop_assert_eq!(run.start, at);
                    let segment = run.len().min(out.full_segment());
                    let count = run.len().div_ceil(segment.max(1)).max(1);
                    prop_assert!(count <= packets_max);
                    while at < run.end {
                        let end = run.end.min(at + segment);
                        prop_assert_eq!(packets.next(), Some(Payload { start: at, end }));
                        at = end;
                    }
                    if run.is_empty() {
                        prop_assert_eq!(packets.next(), Some(run));
                    }
                }
                prop_assert_eq!(packets.next(), None);
                if i == 1 {
                    out.shrink_packets(shrunk);
                }
            }
            prop_assert_eq!(at, length);
            prop_assert!(out.is_sent());
        }
    }
}
