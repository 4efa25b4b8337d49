//! The length of a queue over time.

use serde::{Deserialize, Serialize};

/// Lengths are told apart by 1/8 or, below 8 units, by one unit of so many bytes (as a power of 2).
const UNIT_BITS: u32 = 6;
const STEPS_BITS: u32 = 3;

/// Measures the length of one queue, or with [`merge`](Self::merge) of several, in a window of
/// time.
///
/// All statistics are over time: a queue that is empty for 999 us and holds 1000 bytes for 1 us has
/// a mean length of 1 byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueMeter {
    is_measuring: bool,
    /// The length now, and when it became so (or measuring began).
    bytes: u64,
    since_ps: u64,
    max_bytes: u64,
    /// The sum over time of the length.
    byte_picoseconds: u128,
    /// For how long the length was in each bucket, as far as any was reached.
    bucket_ps: Vec<u64>,
}

/// How long a queue, or several, were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueReport {
    /// The mean over time (and over queues).
    pub mean_bytes: f64,
    /// What the queue did not exceed in 99 % of the time: too high by up to 1/8 or 64 bytes.
    pub p99_bytes: u64,
    /// The longest (of all queues), be it for no time at all.
    pub max_bytes: u64,
}

impl QueueMeter {
    /// Of an empty queue; it does not measure yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Measuring begins, with the length that the queue now has.
    pub fn start(&mut self, now_ps: u64) {
        self.is_measuring = true;
        self.since_ps = now_ps;
        self.max_bytes = self.max_bytes.max(self.bytes);
    }

    /// Measuring ends.
    pub fn stop(&mut self, now_ps: u64) {
        self.account(now_ps);
        self.is_measuring = false;
    }

    /// From now on the queue holds so many bytes. To be called outside of the window too.
    ///
    /// `now_ps` is not before that of any call before.
    #[inline]
    pub fn change(&mut self, now_ps: u64, bytes: u64) {
        self.account(now_ps);
        self.bytes = bytes;
        if self.is_measuring && bytes > self.max_bytes {
            self.max_bytes = bytes;
        }
    }

    /// Adds the measurements of another queue, as if both had been measured one after the other:
    /// the mean becomes that over queues, the maximum that of all. Measuring must have ended in
    /// both.
    pub fn merge(&mut self, other: &Self) {
        self.max_bytes = self.max_bytes.max(other.max_bytes);
        self.byte_picoseconds += other.byte_picoseconds;
        if self.bucket_ps.len() < other.bucket_ps.len() {
            self.bucket_ps.resize(other.bucket_ps.len(), 0);
        }
        for (time, more) in self.bucket_ps.iter_mut().zip(&other.bucket_ps) {
            *time += more;
        }
    }

    /// The longest so far in the window, in bytes.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// What was measured until the last change or stop; all 0 if that took no time.
    pub fn report(&self) -> QueueReport {
        let total_ps: u128 = self.bucket_ps.iter().copied().map(u128::from).sum();
        if total_ps == 0 {
            return QueueReport { max_bytes: self.max_bytes, ..QueueReport::default() };
        }
        QueueReport {
            mean_bytes: self.byte_picoseconds as f64 / total_ps as f64,
            p99_bytes: self.p99_bytes(total_ps),
            max_bytes: self.max_bytes,
        }
    }

    fn p99_bytes(&self, total_ps: u128) -> u64 {
        let mut upto_ps = 0;
        let bucket = self.bucket_ps.iter().position(|&time| {
            upto_ps += u128::from(time);
            upto_ps * 100 >= total_ps * 99
        });
        bucket.map_or(0, |bucket| upper_bytes(bucket).min(self.max_bytes))
    }

    #[inline]
    fn account(&mut self, now_ps: u64) {
        if !self.is_measuring {
            return;
        }
        let time_ps = now_ps - self.since_ps;
        self.since_ps = now_ps;
        self.byte_picoseconds += u128::from(self.bytes) * u128::from(time_ps);
        let bucket = bucket(self.bytes);
        if bucket >= self.bucket_ps.len() {
            self.bucket_ps.resize(bucket + 1, 0);
        }
        self.bucket_ps[bucket] += time_ps;
    }
}

/// Bucket 0 is the empty queue, so that a P99 of 0 means that.
#[inline]
fn bucket(bytes: u64) -> usize {
    // Lengths are rounded up to whole units, so that a bucket's upper edge belongs to it.
    let units = bytes.div_ceil(1 << UNIT_BITS);
    let octave = (u64::BITS - units.leading_zeros()).saturating_sub(STEPS_BITS + 1);
    // Within an octave: 8 to 15 times a power of 2, rounded up again; 16 is the next octave's 8.
    let step = units.div_ceil(1 << octave);
    ((u64::from(octave) << STEPS_BITS) + step) as usize
}

/// The largest length in a bucket.
fn upper_bytes(bucket: usize) -> u64 {
    let octave = (bucket >> STEPS_BITS).saturating_sub(1);
    let step = (bucket - (octave << STEPS_BITS)) as u64;
    step << octave << UNIT_BITS
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bucket__upper_edges_are_within_an_eighth() {
        assert_eq!((bucket(0), bucket(1), bucket(64), bucket(65)), (0, 1, 1, 2));
        let mut last = 0;
        for bytes in (0..100_000)
            .chain((17..33).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1]))
        {
            let at = bucket(bytes);
            let upper = upper_bytes(at);
            assert!(at >= last && at - last <= 8, "{bytes}: {last} {at}");
            assert!(
                upper >= bytes && upper <= (bytes + bytes / 8).max(bytes + 63),
                "{bytes}: {upper}"
            );
            assert!(at == 0 || upper_bytes(at - 1) < bytes, "{bytes}: {upper}");
            last = at;
        }
    }

    #[test]
    fn report__measures_only_the_window() {
        let mut meter = QueueMeter::new();
        meter.change(5, 9000);
        meter.change(10, 100);
        meter.start(50);
        meter.change(80, 300);
        meter.stop(100);
        meter.change(200, 7000);
        let report = meter.report();
        assert_eq!(report, QueueReport { mean_bytes: 180.0, p99_bytes: 300, max_bytes: 300 });
    }

    #[test]
    fn report__nothing_measured() {
        assert_eq!(QueueMeter::new().report(), QueueReport::default());
        let mut meter = QueueMeter::new();
        meter.change(1, 500);
        meter.start(7);
        meter.stop(7);
        assert_eq!(meter.report(), QueueReport { max_bytes: 500, ..QueueReport::default() });
    }

    #[test]
    fn report__mostly_empty_queue_has_a_p99_of_zero() {
        let mut meter = QueueMeter::new();
        meter.start(0);
        meter.change(990, 64_000);
        meter.stop(1000);
        let report = meter.report();
        assert_eq!(report, QueueReport { mean_bytes: 640.0, p99_bytes: 0, max_bytes: 64_000 });
    }

    /// Times between changes, and the lengths that follow.
    fn changes() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let bytes = prop_oneof![Just(0), 1_u64..3000, 3000_u64..20_000_000];
        proptest::collection::vec((0_u64..1000, bytes), 1..60)
    }

    /// The length in each picosecond of the window, and the longest even for no time.
    fn naive(changes: &[(u64, u64)], window: std::ops::Range<u64>) -> (Vec<u64>, u64) {
        let (mut lengths, mut now, mut bytes, mut max) = (Vec::new(), 0, 0, 0);
        for &(after, next) in changes.iter().chain([&(window.end + 1, 0)]) {
            let until = now + after;
            for time in now..until {
                if window.contains(&time) {
                    lengths.push(bytes);
                    max = max.max(bytes);
                }
            }
            (now, bytes) = (until, next);
            if window.contains(&now) {
                max = max.max(bytes);
            }
        }
        (lengths, max)
    }

    fn measured(changes: &[(u64, u64)], window: std::ops::Range<u64>) -> QueueMeter {
        let mut meter = QueueMeter::new();
        let (mut now, mut started, mut stopped) = (0, false, false);
        for &(after, bytes) in changes {
            now += after;
            if !started && now >= window.start {
                meter.start(window.start);
                started = true;
            }
            if !stopped && now >= window.end {
                meter.stop(window.end);
                stopped = true;
            }
            meter.change(now, bytes);
        }
        if !started {
            meter.start(window.start);
        }
        if !stopped {
            meter.stop(window.end);
        }
        meter
    }

    fn check(report: QueueReport, mut lengths: Vec<u64>, max: u64) -> Result<(), TestCaseError> {
        lengths.sort_unstable();
        let mean = lengths.iter().sum::<u64>() as f64 / lengths.len() as f64;
        prop_assert!((report.mean_bytes - mean).abs() <= mean * 1e-12);
        let p99 = lengths[(lengths.len() * 99).div_ceil(100) - 1];
        prop_assert!((p99..=(p99 + p99 / 8).max(p99 + 63)).contains(&report.p99_bytes));
        prop_assert_eq!(report.max_bytes, max);
        Ok(())
    }

    proptest! {
        #[test]
        fn report__agrees_with_a_length_per_picosecond(
            changes in changes(), start in 0_u64..10_000, time in 1_u64..20_000,
        ) {
            let window = start..start + time;
            let (lengths, max) = naive(&changes, window.clone());
            check(measured(&changes, window).report(), lengths, max)?;
        }

        #[test]
        fn merge__pools_the_time_of_both(a in changes(), b in changes(), time in 1_u64..20_000) {
            let mut merged = measured(&a, 0..time);
            merged.merge(&measured(&b, 0..time));
            let (mut lengths, max) = naive(&a, 0..time);
            let (more, max_b) = naive(&b, 0..time);
            lengths.extend(more);
            check(merged.report(), lengths, max.max(max_b))?;
        }
    }
}
