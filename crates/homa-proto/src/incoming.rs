//! One incoming message: what has arrived, what may arrive, and when something was asked for.

use crate::reassembly::Reassembly;
use crate::time::{Duration, Instant};

/// Memory of incoming messages is accounted in pieces of this size, the size in which drivers
/// allocate it; short messages count with their length.
pub(crate) const ACCOUNTING_QUANTUM: u32 = 65_536;

/// The end of a message beyond its last whole quantum counts exactly up to this length, and with a
/// whole quantum if it is longer: so drivers allocate it.
const EXACT_MAX: u32 = 16_384;

/// New bytes that count as progress, together: a sender that sends a byte now and then makes none.
const PROGRESS_BYTES_MIN: u32 = 1_000;

/// Memory that a message of `length` bytes takes when it is there.
pub(crate) fn memory_of(length: u32) -> u64 {
    let tail = length % ACCOUNTING_QUANTUM;
    let rounded = if tail > EXACT_MAX { ACCOUNTING_QUANTUM } else { tail };
    u64::from(length - tail) + u64::from(rounded)
}

/// What the arrival of a packet shows of the path it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Time from a GRANT to its first byte.
    pub(crate) grant_delay: Option<Duration>,
    /// Time by which the packet came later than packets sent after it.
    pub(crate) reordering: Option<Duration>,
}

/// The receiving side of one message.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) bytes: Reassembly,
    /// Bytes before this offset may be sent by the peer as far as we know: its unscheduled bytes,
    /// raised by our grants.
    pub(crate) granted: u32,
    /// A packet of it was taken in, maybe an empty one that announces it (HOMA-DATA-14).
    pub(crate) begun: bool,
    /// Bytes of memory accounted for this message, up to [`Incoming::memory`].
    pub(crate) charged: u32,
    /// Since when there have been gaps below received bytes; renewed when they were asked for.
    pub(crate) gaps_since: Option<Instant>,
    /// A grant whose first byte, at this offset, has not arrived yet, and when it was sent: a
    /// sample of the peer's delay.
    timed_grant: Option<(u32, Instant)>,
    /// When the message last made progress, or was granted more, and what had arrived then.
    progress: (Instant, u32),
}

impl Incoming {
    pub(crate) fn new(length: u32, unscheduled: u32, gaps_max: usize) -> Self {
        Self {
            bytes: Reassembly::new(length, gaps_max),
            granted: unscheduled.min(length),
            begun: false,
            charged: 0,
            gaps_since: None,
            timed_grant: None,
            progress: (Instant::ZERO, 0),
        }
    }

    /// Notes that a GRANT up to `offset` leaves at `now`.
    pub(crate) fn raise_granted(&mut self, now: Instant, offset: u32) {
        if offset > self.granted {
            self.timed_grant.get_or_insert((self.granted, now));
            self.granted = offset;
            self.progress.0 = now;
        }
    }

    /// Notes that bytes `start` to `end`, some of them new, were added; returns what they show of
    /// the path.
    pub(crate) fn arrived(
        &mut self,
        now: Instant,
        start: u32,
        end: u32,
        retransmitted: bool,
    ) -> Observed {
        self.note_progress(now);
        let mut observed = Observed::default();
        let filled_gap = end < self.bytes.highest() && start < end;
        // A retransmitted packet shows neither: it may answer a RESEND (Karn's rule).
        if !retransmitted && filled_gap {
            observed.reordering = self.gaps_since.map(|since| now.saturating_since(since));
        }
        self.gaps_since = match (self.bytes.has_gaps(), self.gaps_since) {
            (false, _) => None,
            (true, since) => since.or(Some(now)),
        };
        if let Some((_, sent)) = self.timed_grant.take_if(|(first, _)| end > *first) {
            observed.grant_delay = (!retransmitted).then(|| now.saturating_since(sent));
        }
        observed
    }

    /// Whether bytes that the peer may send are still missing.
    pub(crate) fn is_owed(&self) -> bool {
        self.bytes.received() < self.granted
    }

    /// Up to which offset there is memory for the message, with `room` bytes left on this host: a
    /// message takes more only if all that it may still need is left. So of the messages that have
    /// begun, the one that took some last can always end, and make room for others.
    pub(crate) fn affordable(&self, room: u64) -> u32 {
        let length = self.bytes.length();
        if self.memory() - u64::from(self.charged) <= room {
            length
        } else {
            self.charged.min(length)
        }
    }

    /// Memory that the whole message takes.
    pub(crate) fn memory(&self) -> u64 {
        memory_of(self.bytes.length())
    }

    /// When the message last made progress worth mentioning, or was permitted to.
    pub(crate) fn progress_since(&self) -> Instant {
        self.progress.0
    }

    /// Whether there is memory for bytes up to `end`, with `room` bytes left on this host.
    pub(crate) fn fits(&self, end: u32, room: u64) -> bool {
        let wanted = self.charge_for(end);
        wanted <= self.charged || self.memory() - u64::from(self.charged) <= room
    }

    /// Accounts for memory up to an offset; returns how much is new.
    pub(crate) fn charge(&mut self, upto: u32) -> u32 {
        let more = upto.saturating_sub(self.charged);
        self.charged += more;
        more
    }

    /// Memory that the message holds when bytes up to `highest` have arrived.
    pub(crate) fn charge_for(&self, highest: u32) -> u32 {
        let upto = highest
            .max(self.bytes.highest())
            .checked_next_multiple_of(ACCOUNTING_QUANTUM)
            .unwrap_or(u32::MAX);
        if upto < self.bytes.length() {
            return upto;
        }
        u32::try_from(self.memory()).unwrap_or(u32::MAX)
    }

    fn note_progress(&mut self, now: Instant) {
        let received = self.bytes.received();
        if self.progress.0 == Instant::ZERO || received - self.progress.1 >= PROGRESS_BYTES_MIN {
            self.progress = (now, received);
        }
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

    fn insert(incoming: &mut Incoming, now: Instant, start: u32, end: u32) -> Observed {
        incoming.bytes.insert(start, end, &mut Vec::new()).unwrap();
        incoming.arrived(now, start, end, false)
    }

    #[test]
    fn arrived__times_the_first_byte_of_a_grant() {
        let mut incoming = Incoming::new(10_000, 1000, 8);
        incoming.raise_granted(at(1), 5000);
        incoming.raise_granted(at(2), 9000);
        assert_eq!(insert(&mut incoming, at(3), 0, 1000).grant_delay, None);
        let delay = insert(&mut incoming, at(4), 1000, 2000).grant_delay;
        assert_eq!(delay, Some(Duration::from_millis(3)));
        assert_eq!(insert(&mut incoming, at(5), 2000, 3000).grant_delay, None);
    }

    #[test]
    fn arrived__learns_nothing_from_retransmissions() {
        let mut incoming = Incoming::new(10_000, 1000, 8);
        incoming.raise_granted(at(1), 5000);
        incoming.bytes.insert(1000, 2000, &mut Vec::new()).unwrap();
        assert_eq!(incoming.arrived(at(2), 1000, 2000, true), Observed::default());
        assert_eq!(incoming.timed_grant, None);
    }

    #[test]
    fn arrived__remembers_since_when_there_are_gaps_and_how_late_they_were_filled() {
        let mut incoming = Incoming::new(10_000, 10_000, 8);
        insert(&mut incoming, at(1), 2000, 3000);
        insert(&mut incoming, at(2), 4000, 5000);
        assert_eq!(incoming.gaps_since, Some(at(1)));
        let observed = insert(&mut incoming, at(4), 0, 2000);
        assert_eq!(observed.reordering, Some(Duration::from_millis(3)));
        insert(&mut incoming, at(5), 3000, 4000);
        assert_eq!(incoming.gaps_since, None);
    }

    #[test]
    fn affordable__is_all_that_is_missing_or_nothing_more() {
        let mut incoming = Incoming::new(100_000, 100_000, 8);
        assert_eq!(incoming.affordable(131_071), 0);
        assert_eq!(incoming.affordable(131_072), 100_000);
        incoming.charged = 65_536;
        assert_eq!(incoming.affordable(65_535), 65_536);
        assert_eq!(incoming.affordable(65_536), 100_000);
    }

    #[test]
    fn charge_for__counts_what_drivers_allocate() {
        let incoming = Incoming::new(100_000, 100_000, 8);
        assert_eq!(incoming.charge_for(1), 65_536);
        assert_eq!(incoming.charge_for(65_537), 131_072, "the end takes a whole chunk");
        assert_eq!(Incoming::new(70_000, 70_000, 8).charge_for(65_537), 70_000);
        assert_eq!(Incoming::new(17_000, 17_000, 8).charge_for(1), 65_536);
        assert_eq!(Incoming::new(100, 100, 8).charge_for(1), 100);
    }
}
