//! One incoming message: what has arrived, what may arrive, and when something was asked for.

use crate::reassembly::Reassembly;
use crate::time::{Duration, Instant};

/// Memory of incoming messages is accounted in pieces of this size, the size in which drivers
/// allocate it; short messages count with their length.
pub(crate) const ACCOUNTING_QUANTUM: u32 = 65_536;

/// The receiving side of one message.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) bytes: Reassembly,
    /// Bytes before this offset may be sent by the peer as far as we know: its unscheduled bytes,
    /// raised by our grants.
    pub(crate) granted: u32,
    /// Bytes of memory accounted for this message.
    pub(crate) charged: u32,
    /// Since when there have been gaps below received bytes; renewed when they were asked for.
    pub(crate) gaps_since: Option<Instant>,
    /// A grant whose first byte, at this offset, has not arrived yet, and when it was sent: a
    /// sample of the peer's delay.
    timed_grant: Option<(u32, Instant)>,
}

impl Incoming {
    pub(crate) fn new(length: u32, unscheduled: u32, gaps_max: usize) -> Self {
        Self {
            bytes: Reassembly::new(length, gaps_max),
            granted: unscheduled.min(length),
            charged: 0,
            gaps_since: None,
            timed_grant: None,
        }
    }

    /// Notes that a GRANT up to `offset` leaves at `now`.
    pub(crate) fn raise_granted(&mut self, now: Instant, offset: u32) {
        if offset > self.granted {
            self.timed_grant.get_or_insert((self.granted, now));
            self.granted = offset;
        }
    }

    /// Notes that bytes up to `end` arrived for the first time; returns the delay between a grant
    /// and its first byte if these bytes show it.
    pub(crate) fn arrived(&mut self, now: Instant, end: u32, retransmitted: bool) -> Option<Duration> {
        self.gaps_since = match (self.bytes.has_gaps(), self.gaps_since) {
            (false, _) => None,
            (true, since) => since.or(Some(now)),
        };
        let (first, sent) = self.timed_grant?;
        if end <= first {
            return None;
        }
        self.timed_grant = None;
        // A retransmitted byte may answer a RESEND instead (Karn's rule).
        (!retransmitted).then(|| now.saturating_since(sent))
    }

    /// Whether bytes that the peer may send are still missing.
    pub(crate) fn is_owed(&self) -> bool {
        self.bytes.received() < self.granted
    }

    /// Memory that the message holds when bytes up to `highest` have arrived.
    pub(crate) fn charge_for(&self, highest: u32) -> u32 {
        highest
            .max(self.bytes.highest())
            .checked_next_multiple_of(ACCOUNTING_QUANTUM)
            .unwrap_or(u32::MAX)
            .min(self.bytes.length())
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use std::vec::Vec;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn arrived__times_the_first_byte_of_a_grant() {
        let mut incoming = Incoming::new(10_000, 1000, 8);
        let mut fresh = Vec::new();
        incoming.raise_granted(at(1), 5000);
        incoming.raise_granted(at(2), 9000);
        incoming.bytes.insert(0, 1000, &mut fresh).unwrap();
        assert_eq!(incoming.arrived(at(3), 1000, false), None);
        incoming.bytes.insert(1000, 2000, &mut fresh).unwrap();
        assert_eq!(incoming.arrived(at(4), 2000, false), Some(Duration::from_millis(3)));
        assert_eq!(incoming.arrived(at(5), 2000, false), None);
    }

    #[test]
    fn arrived__remembers_since_when_there_are_gaps() {
        let mut incoming = Incoming::new(10_000, 10_000, 8);
        let mut fresh = Vec::new();
        incoming.bytes.insert(2000, 3000, &mut fresh).unwrap();
        incoming.arrived(at(1), 3000, false);
        incoming.bytes.insert(4000, 5000, &mut fresh).unwrap();
        incoming.arrived(at(2), 5000, false);
        assert_eq!(incoming.gaps_since, Some(at(1)));
        incoming.bytes.insert(0, 4000, &mut fresh).unwrap();
        incoming.arrived(at(3), 4000, false);
        assert_eq!(incoming.gaps_since, None);
    }

    #[test]
    fn charge_for__counts_quanta_up_to_the_length() {
        let incoming = Incoming::new(100_000, 100_000, 8);
        assert_eq!(incoming.charge_for(1), 65_536);
        assert_eq!(incoming.charge_for(65_537), 100_000);
        assert_eq!(Incoming::new(100, 100, 8).charge_for(1), 100);
    }
}
