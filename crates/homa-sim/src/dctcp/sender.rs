//! The sending end of a connection.

use std::collections::VecDeque;

use super::{DctcpConfig, Segment};
use crate::time::SimTime;

/// The timer is doubled at most so often.
const BACKOFF_MAX: u32 = 6;

/// Duplicate acknowledgements that mean loss (RFC 5681).
const DUPLICATES: u32 = 3;

/// A packet that is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) len: u32,
    pub(super) header: Segment,
    pub(super) is_again: bool,
}

/// A stream, its window and its timer. Sequence numbers are offsets of bytes.
#[derive(Debug)]
pub(super) struct Sender {
    gain: f64,
    rto_min: SimTime,
    /// Bytes of a full packet.
    mss: u32,
    /// Messages not all of which is acknowledged: end and token.
    messages: VecDeque<(u64, u64)>,
    end: u64,
    acknowledged: u64,
    next: u64,
    /// The highest that was ever sent.
    sent_max: u64,
    window: f64,
    threshold: f64,
    /// Estimated share of bytes that meet congestion.
    alpha: f64,
    /// Bytes acknowledged, and how many of them were marked, until `round_end` is acknowledged.
    round: (u64, u64),
    round_end: u64,
    /// The window is not reduced again before this is acknowledged.
    reduced_until: u64,
    duplicates: u32,
    /// Loss before this is being repaired.
    recovery: Option<u64>,
    /// All before this was sent again after a time-out: duplicates say nothing (RFC 6582).
    recovered: u64,
    /// The first missing packet is to be sent again.
    repairs: bool,
    /// A packet whose acknowledgement is timed: its end, and when it was sent.
    timed: Option<(u64, SimTime)>,
    /// Smoothed round-trip time and its variation, in ps.
    round_trip: Option<(f64, f64)>,
    backoff: u32,
    deadline: Option<SimTime>,
    /// Whether it waits for its turn.
    pub(super) is_ready: bool,
}

impl Sender {
    pub(super) fn new(config: DctcpConfig, mss: u32) -> Self {
        Self {
            gain: config.gain,
            rto_min: SimTime::from_nanos(config.rto_min_us * 1000),
            mss,
            messages: VecDeque::new(),
            end: 0,
            acknowledged: 0,
            next: 0,
            sent_max: 0,
            window: f64::from(config.initial_window_packets) * f64::from(mss),
            threshold: f64::INFINITY,
            alpha: 1.0,
            round: (0, 0),
            round_end: 0,
            reduced_until: 0,
            duplicates: 0,
            recovery: None,
            recovered: 0,
            repairs: false,
            timed: None,
            round_trip: None,
            backoff: 0,
            deadline: None,
            is_ready: false,
        }
    }

    /// Appends a message to the stream.
    pub(super) fn append(&mut self, length: u32, token: u64) {
        self.end += u64::from(length);
        self.messages.push_back((self.end, token));
    }

    /// The next packet, if the window allows one.
    pub(super) fn send(&mut self, now: SimTime) -> Option<Sent> {
        if !self.can_send() {
            return None;
        }
        let offset = if self.repairs { self.acknowledged } else { self.next };
        let index = self.messages.partition_point(|&(end, _)| end <= offset);
        let (message_end, token) = *self.messages.get(index)?;
        let len = (message_end - offset).min(u64::from(self.mss)) as u32;
        let end = offset + u64::from(len);
        let is_again = offset < self.sent_max;
        if !self.repairs {
            self.next = end;
        }
        self.repairs = false;
        if is_again {
            self.timed = None;
        } else if self.timed.is_none() {
            self.timed = Some((end, now));
        }
        self.sent_max = self.sent_max.max(end);
        self.deadline = self.deadline.or_else(|| Some(now + self.timeout()));
        Some(Sent { len, header: Segment::Data { offset, message_end, token }, is_again })
    }

    /// Takes an acknowledgement of all before `next`, for a packet with or without a mark.
    pub(super) fn take_ack(&mut self, now: SimTime, next: u64, is_marked: bool) {
        if next > self.acknowledged {
            self.advance(now, next, is_marked);
        } else if self.next > self.acknowledged {
            self.count_duplicate();
        }
        if is_marked && next >= self.reduced_until && self.recovery.is_none() {
            self.reduced_until = self.next;
            self.shrink(1.0 - self.alpha / 2.0);
        }
    }

    /// Nothing was heard for too long: all is sent again, slowly.
    pub(super) fn time_out(&mut self, now: SimTime) {
        self.shrink(0.5);
        self.window = f64::from(self.mss);
        self.next = self.acknowledged;
        self.recovery = None;
        self.recovered = self.sent_max;
        self.repairs = false;
        self.duplicates = 0;
        self.timed = None;
        self.backoff = (self.backoff + 1).min(BACKOFF_MAX);
        self.deadline = Some(now + self.timeout());
    }

    /// Whether a packet may be sent.
    pub(super) fn can_send(&self) -> bool {
        // Each duplicate tells of a packet that has left the network (RFC 5681).
        let gone = u64::from(self.duplicates) * u64::from(self.mss);
        let under_way = (self.next - self.acknowledged).saturating_sub(gone);
        let fits = (under_way + u64::from(self.mss)) as f64 <= self.window || under_way == 0;
        self.repairs || (self.next < self.end && fits)
    }

    /// When [`time_out`](Self::time_out) is due.
    pub(super) fn deadline(&self) -> Option<SimTime> {
        self.deadline
    }

    fn advance(&mut self, now: SimTime, next: u64, is_marked: bool) {
        let bytes = next - self.acknowledged;
        self.acknowledged = next;
        self.next = self.next.max(next);
        while self.messages.front().is_some_and(|&(end, _)| end <= next) {
            self.messages.pop_front();
        }
        self.measure(now, next);
        self.estimate(bytes, is_marked);
        self.duplicates = 0;
        match self.recovery {
            Some(end) if next < end => self.repairs = true,
            _ => self.recovery = None,
        }
        if !is_marked {
            self.grow(bytes as f64);
        }
        self.backoff = 0;
        let is_waiting = self.next > next;
        self.deadline = is_waiting.then(|| now + self.timeout());
    }

    fn count_duplicate(&mut self) {
        self.duplicates += 1;
        let is_loss = self.duplicates == DUPLICATES && self.acknowledged >= self.recovered;
        if is_loss && self.recovery.is_none() {
            self.recovery = Some(self.next);
            self.repairs = true;
            self.shrink(0.5);
        }
    }

    /// RFC 8257, section 3.3: once per window.
    fn estimate(&mut self, bytes: u64, is_marked: bool) {
        self.round.0 += bytes;
        self.round.1 += if is_marked { bytes } else { 0 };
        if self.acknowledged >= self.round_end {
            let share = self.round.1 as f64 / self.round.0 as f64;
            self.alpha += self.gain * (share - self.alpha);
            self.round = (0, 0);
            self.round_end = self.next;
        }
    }

    fn grow(&mut self, bytes: f64) {
        let mss = f64::from(self.mss);
        self.window += if self.window < self.threshold { bytes } else { mss * bytes / self.window };
    }

    fn shrink(&mut self, factor: f64) {
        self.window = (self.window * factor).max(2.0 * f64::from(self.mss));
        self.threshold = self.window;
    }

    /// RFC 6298; packets that were sent twice say nothing.
    fn measure(&mut self, now: SimTime, next: u64) {
        let Some((end, sent)) = self.timed else { return };
        if next < end {
            return;
        }
        self.timed = None;
        let time = (now - sent).0 as f64;
        self.round_trip = Some(match self.round_trip {
            None => (time, time / 2.0),
            Some((mean, variation)) => {
                (mean + (time - mean) / 8.0, variation + ((time - mean).abs() - variation) / 4.0)
            }
        });
    }

    fn timeout(&self) -> SimTime {
        let (mean, variation) = self.round_trip.unwrap_or_default();
        let timeout = SimTime((mean + 4.0 * variation) as u64).max(self.rto_min);
        SimTime(timeout.0 << self.backoff)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    const MSS: u32 = 1000;

    /// With ten packets under way.
    fn sender() -> Sender {
        let mut sender = Sender::new(DctcpConfig::default(), MSS);
        sender.append(100_000, 1);
        while sender.send(SimTime::ZERO).is_some() {}
        assert_eq!(sender.next, 10_000);
        sender
    }

    fn at(micros: u64) -> SimTime {
        SimTime::from_nanos(micros * 1000)
    }

    #[test]
    fn take_ack__third_duplicate_sends_the_first_packet_again() {
        let mut sender = sender();
        sender.take_ack(at(10), 1000, false);
        for _ in 0..2 {
            sender.take_ack(at(11), 1000, false);
        }
        assert!(!sender.repairs);
        sender.take_ack(at(12), 1000, false);
        let sent = sender.send(at(12)).unwrap();
        assert!(sent.is_again && matches!(sent.header, Segment::Data { offset: 1000, .. }));
        assert_eq!(sender.window, 5500.0);
    }

    /// RFC 8257: marks on all packets halve the window, on few they take little; once per window.
    #[test]
    fn take_ack__marks_shrink_the_window_once_per_round_trip() {
        let mut sender = sender();
        sender.take_ack(at(10), 1000, true);
        assert_eq!(sender.window, 5000.0);
        sender.take_ack(at(11), 2000, true);
        assert_eq!(sender.window, 5000.0);
        let mut calm = self::sender();
        calm.alpha = 0.1;
        calm.round_end = 10_000;
        calm.take_ack(at(10), 1000, true);
        assert_eq!(calm.window, 9500.0);
    }

    #[test]
    fn time_out__sends_all_again_and_waits_longer() {
        let mut sender = sender();
        assert_eq!(sender.deadline(), Some(at(1000)));
        sender.time_out(at(1000));
        assert_eq!(sender.deadline(), Some(at(3000)));
        let sent = sender.send(at(1000)).unwrap();
        assert!(sent.is_again && matches!(sent.header, Segment::Data { offset: 0, .. }));
        assert!(sender.send(at(1000)).is_none(), "the window is one packet");
    }
}
