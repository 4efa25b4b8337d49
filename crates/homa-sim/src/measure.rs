//! What is measured in a run, and over which part of it.

use crate::network::Network;
use crate::port::LEVELS;
use crate::progress::ProgressReport;
use crate::stats::SlowdownBins;
use crate::time::SimTime;

/// Which messages count: so many from some time on, while more keep coming until all of them have
/// arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// When the first one may start.
    pub(crate) begin: SimTime,
    /// Messages that count.
    pub(crate) messages: u64,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measurement {
    window: Window,
    /// Messages since then.
    started: u64,
    under_way: u64,
    /// When the first message that counts started.
    pub(crate) begin: Option<SimTime>,
    /// When the first one after those started: meters ran until then.
    pub(crate) end: Option<SimTime>,
    pub(crate) slowdown: SlowdownBins,
    /// Of the messages of incasts beside the workload.
    pub(crate) overlay_slowdown: SlowdownBins,
    pub(crate) payload_bytes: u64,
    /// Of messages that have started and not arrived.
    backlog_bytes: u64,
    /// The same when meters were started and stopped.
    pub(crate) backlog_ends: [u64; 2],
    /// Of messages that started while meters ran.
    pub(crate) offered_bytes: u64,
    /// Bytes on links, by level.
    pub(crate) priority_bytes: [u64; LEVELS],
    /// Time in which links to hosts were idle that withheld grants, over all hosts.
    pub(crate) wasted: SimTime,
    /// What happened, and in which order, decides what becomes of it.
    pub(crate) fingerprint: u64,
}

impl Measurement {
    pub(crate) fn new(window: Window, bins: SlowdownBins) -> Self {
        Self {
            window,
            started: 0,
            under_way: 0,
            begin: None,
            end: None,
            slowdown: bins.clone(),
            overlay_slowdown: bins,
            payload_bytes: 0,
            backlog_bytes: 0,
            backlog_ends: [0; 2],
            offered_bytes: 0,
            priority_bytes: [0; LEVELS],
            wasted: SimTime::ZERO,
            fingerprint: 0,
        }
    }

    /// A message of so many bytes starts; returns whether it counts.
    pub(crate) fn start<H: Copy>(
        &mut self,
        now: SimTime,
        length: u32,
        network: &mut Network<H>,
    ) -> bool {
        let counts = self.start_window(now, network);
        self.backlog_bytes += u64::from(length);
        if self.is_running() {
            self.offered_bytes += u64::from(length);
        }
        counts
    }

    /// Meters start with the first message that counts and stop with the first one after those.
    fn start_window<H: Copy>(&mut self, now: SimTime, network: &mut Network<H>) -> bool {
        if now < self.window.begin {
            return false;
        }
        self.started += 1;
        if self.begin.is_none() {
            self.begin = Some(now);
            self.backlog_ends[0] = self.backlog_bytes;
            network.start_meters(now);
        }
        if self.started > self.window.messages {
            self.end(now, network);
            return false;
        }
        self.under_way += 1;
        true
    }

    /// Meters stop, if they have not.
    pub(crate) fn end<H: Copy>(&mut self, now: SimTime, network: &mut Network<H>) {
        if self.begin.is_some() && self.end.is_none() {
            self.end = Some(now);
            self.backlog_ends[1] = self.backlog_bytes;
            network.stop_meters(now);
        }
    }

    /// Something that another run would have otherwise.
    pub(crate) fn mark(&mut self, mark: u64) {
        self.fingerprint = mix(self.fingerprint, mark);
    }

    /// A message of so many bytes has arrived, whether it counts or not.
    pub(crate) fn arrived(&mut self, length: u32) {
        self.backlog_bytes -= u64::from(length);
    }

    /// A message that counts has arrived.
    pub(crate) fn complete(&mut self, length: u32, slowdown: f64, is_overlay: bool) {
        self.under_way -= 1;
        let bins = if is_overlay { &mut self.overlay_slowdown } else { &mut self.slowdown };
        bins.record(length, slowdown);
    }

    /// Message bytes reached their receiver.
    pub(crate) fn payload(&mut self, bytes: u32) {
        if self.is_running() {
            self.payload_bytes += u64::from(bytes);
        }
    }

    /// A host sent a packet.
    pub(crate) fn sent(&mut self, priority: u8, wire_bytes: u32) {
        if self.is_running() {
            self.priority_bytes[usize::from(priority) % LEVELS] += u64::from(wire_bytes);
        }
    }

    /// A link to a host was idle although grants were withheld, from `begin` (if that is earlier than
    /// `end`) to `end`.
    pub(crate) fn waste(&mut self, begin: SimTime, end: SimTime) {
        if self.is_running() {
            let begin = begin.max(self.begin.unwrap_or(begin));
            self.wasted += end.saturating_since(begin);
        }
    }

    /// Whether all messages that count have arrived.
    pub(crate) fn is_complete(&self) -> bool {
        self.started >= self.window.messages && self.under_way == 0
    }

    /// How far a run is, at such a time and after so many packet hops.
    pub(crate) fn progress(&self, now: SimTime, hops: u64) -> ProgressReport {
        let messages_total = self.window.messages;
        ProgressReport { messages: messages_total - self.missing(), messages_total, now, hops }
    }

    /// Messages that are to count and have not arrived.
    pub(crate) fn missing(&self) -> u64 {
        self.window.messages.saturating_sub(self.started) + self.under_way
    }

    fn is_running(&self) -> bool {
        self.begin.is_some() && self.end.is_none()
    }
}

/// A fingerprint continued.
pub(crate) const fn mix(fingerprint: u64, mark: u64) -> u64 {
    // FNV's multiplier for 64 bits.
    (fingerprint.rotate_left(5) ^ mark).wrapping_mul(0x0000_0100_0000_01b3)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use crate::random::Random;
    use crate::{NetworkConfig, Workload};

    #[test]
    fn backlog__is_taken_at_both_ends_of_the_window() {
        let window = Window { begin: SimTime::from_nanos(10), messages: 2 };
        let bins = SlowdownBins::new(Workload::named("w4").unwrap().bins());
        let mut measurement = Measurement::new(window, bins);
        let random = Random::new(1, "network", 0);
        let mut network: Network<()> = Network::new(&NetworkConfig::default(), random).unwrap();
        let mut start = |at, length| {
            let counts = measurement.start(SimTime::from_nanos(at), length, &mut network);
            if at == 12 {
                measurement.arrived(1000);
            }
            counts
        };
        let lengths = [(5, 1000), (10, 200), (12, 30), (14, 4)];
        let counted = lengths.map(|(at, length)| start(at, length));
        assert_eq!(counted, [false, true, true, false]);
        assert_eq!(measurement.backlog_ends, [1000, 230]);
        assert_eq!(measurement.offered_bytes, 230);
    }
}
