//! What arrives: the lengths of incoming messages, and this host's own cutoffs that follow (PROTOCOL
//! section 9, "homa_prio"). HomaModule leaves the computation to a daemon; here the transport does
//! it itself.

use crate::cutoffs::{CutoffConfig, CutoffTable, UnscheduledCutoffs, unscheduled_parts};
use crate::size_class;
use crate::time::Instant;

/// Counting stops here, far from overflow, which nothing reaches while computations go on.
const BYTES_MAX: u64 = 1 << 48;

/// A message costs about so many steps at the most, however small its sender's packets are.
const PARTS_MAX: u32 = 64;

/// A class of lengths.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    messages: u64,
    /// Unscheduled bytes whose level such a length decides.
    unscheduled: u64,
}

/// The lengths of incoming messages since the last computation, and the cutoffs that follow.
#[derive(Debug)]
pub(crate) struct TrafficStats {
    config: CutoffConfig,
    cutoffs: UnscheduledCutoffs,
    buckets: [Bucket; size_class::COUNT],
    messages: u64,
    bytes: u64,
    /// Nine message lengths, below each of which a further tenth of the messages lies, as of the
    /// last change of cutoffs.
    deciles: [u32; 9],
    due: Instant,
}

impl TrafficStats {
    /// Nothing has arrived yet; the cutoffs are [`UnscheduledCutoffs::new`] with this version.
    pub(crate) fn new(config: CutoffConfig, version: u16, now: Instant) -> Self {
        Self {
            cutoffs: UnscheduledCutoffs::new(&config, version),
            due: now + config.interval,
            config,
            buckets: [Bucket::default(); size_class::COUNT],
            messages: 0,
            bytes: 0,
            deciles: [0; 9],
        }
    }

    /// Counts an incoming message, when its first packet has arrived. `segment_bytes` is how many of
    /// its bytes share a level: those of a packet, if levels follow from what remains, else all.
    pub(crate) fn record(&mut self, length: u32, segment_bytes: u32) {
        if self.bytes >= BYTES_MAX || length == 0 {
            return;
        }
        let unscheduled_bytes = self.config.unscheduled_bytes;
        let part_bytes = segment_bytes.max(unscheduled_bytes / PARTS_MAX);
        let bucket = &mut self.buckets[size_class::of(length)];
        bucket.messages += 1;
        // Each message comes by here, mostly as one part: its class need not be found twice.
        if part_bytes >= length {
            bucket.unscheduled += u64::from(length.min(unscheduled_bytes));
        } else {
            for (at, bytes) in unscheduled_parts(length, unscheduled_bytes, part_bytes) {
                self.buckets[size_class::of(at)].unscheduled += u64::from(bytes);
            }
        }
        self.messages += 1;
        self.bytes += u64::from(length);
    }

    /// New cutoffs, if the interval has passed since the last call that looked, enough messages
    /// have come since the last computation, their lengths have changed enough since the last
    /// change, and other cutoffs follow. Cheap otherwise: to be called whenever convenient.
    pub(crate) fn recompute(&mut self, now: Instant) -> Option<UnscheduledCutoffs> {
        if !self.config.adaptive || self.config.fixed.is_some() || now < self.due {
            return None;
        }
        self.due = now + self.config.interval;
        if self.messages < self.config.messages_min.max(1) {
            return None;
        }
        let table = self.compute();
        self.buckets = [Bucket::default(); size_class::COUNT];
        self.messages = 0;
        self.bytes = 0;
        self.cutoffs.replace(&self.config, table?).then_some(self.cutoffs)
    }

    /// What to tell peers now.
    pub(crate) fn cutoffs(&self) -> &UnscheduledCutoffs {
        &self.cutoffs
    }

    /// What is assumed of a peer that has not told its cutoffs.
    pub(crate) fn cutoffs_of_unknown_peer(&self) -> CutoffTable {
        self.config.of_unknown_peer()
    }

    fn compute(&mut self) -> Option<CutoffTable> {
        // With one level there is nothing to decide.
        if self.config.levels() == 1 {
            return None;
        }
        let deciles = self.current_deciles();
        let drift: u64 =
            deciles.iter().zip(&self.deciles).map(|(&new, &old)| change(old, new)).sum();
        if drift < u64::from(self.config.drift_min_permille) {
            return None;
        }
        self.deciles = deciles;
        let unscheduled = self.buckets.iter().enumerate();
        let unscheduled =
            unscheduled.map(|(index, bucket)| (self.upper_bound(index), bucket.unscheduled));
        Some(self.config.balance(self.bytes, unscheduled))
    }

    fn current_deciles(&self) -> [u32; 9] {
        let mut deciles = [self.config.message_length_max; 9];
        let (mut below, mut next) = (0, 0);
        for (index, bucket) in self.buckets.iter().enumerate() {
            below += bucket.messages;
            while next < deciles.len() && below * 10 >= self.messages * (next as u64 + 1) {
                deciles[next] = self.upper_bound(index);
                next += 1;
            }
        }
        deciles
    }

    /// Length of the longest messages in a bucket.
    fn upper_bound(&self, class: usize) -> u32 {
        let length_max = self.config.message_length_max;
        size_class::upper(class).map_or(length_max, |upper| upper.min(length_max))
    }
}

/// Relative change in thousandths of the larger value.
fn change(old: u32, new: u32) -> u64 {
    u64::from(old.abs_diff(new)) * 1_000 / u64::from(old.max(new)).max(1)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::cutoffs::{INFINITE, unscheduled_priority};
    use crate::time::Duration;
    use homa_wire::MESSAGE_LENGTH_MAX as MAX;
    use proptest::prelude::*;

    fn stats(config: CutoffConfig, messages: impl IntoIterator<Item = (u64, u32)>) -> TrafficStats {
        let segment_bytes = if config.by_remaining { 1_400 } else { u32::MAX };
        let mut stats = TrafficStats::new(config, 1, Instant::ZERO);
        for (count, length) in messages {
            (0..count).for_each(|_| stats.record(length, segment_bytes));
        }
        stats
    }

    fn computed(
        config: CutoffConfig,
        messages: impl IntoIterator<Item = (u64, u32)>,
    ) -> CutoffTable {
        let mut stats = stats(config, messages);
        let before = *stats.cutoffs();
        let now = Instant::ZERO + Duration::from_secs(1);
        match stats.recompute(now) {
            Some(new) => assert_eq!((new, new.version), (*stats.cutoffs(), before.version + 1)),
            None => assert_eq!(*stats.cutoffs(), before),
        }
        assert_eq!(stats.messages, 0, "the messages were used");
        stats.cutoffs().cutoffs
    }

    /// All bytes unscheduled: one level is left to scheduled data, and one bucket cannot be
    /// divided.
    #[test]
    fn recompute__all_tiny() {
        let cutoffs = computed(CutoffConfig::default(), [(20_000, 100)]);
        assert_eq!(cutoffs, [INFINITE, MAX, MAX, MAX, MAX, MAX, MAX, MAX]);
        let spread = (1..=64).map(|size| (1_000, size * 64));
        let cutoffs = computed(CutoffConfig::default(), spread);
        assert_eq!(cutoffs[..2], [INFINITE, MAX]);
        assert!(cutoffs[2] > cutoffs[3] && cutoffs[6] > cutoffs[7] && cutoffs[7] > 1_000);
    }

    /// Almost no bytes unscheduled: one level for them (HOMA-CUTOFFS-15).
    #[test]
    fn recompute__all_huge() {
        let config = CutoffConfig { unscheduled_bytes: 10_000, ..Default::default() };
        let cutoffs = computed(config.clone(), [(10_000, MAX)]);
        assert_eq!(cutoffs, [INFINITE, MAX, MAX, MAX, MAX, MAX, MAX, MAX]);
        let mut ours = UnscheduledCutoffs::new(&config, 1);
        ours.replace(&config, cutoffs);
        assert_eq!(ours.scheduled_max, 6);
    }

    /// Three of four bytes are unscheduled: six of eight levels (HOMA-CUTOFFS-13), which carry
    /// about the same (HOMA-CUTOFFS-12).
    #[test]
    fn recompute__mixed_load() {
        let config = CutoffConfig { unscheduled_bytes: 10_000, ..Default::default() };
        // 66,560,000 bytes in short messages, and 22,000,000 bytes in long ones of which 220,000
        // are unscheduled.
        let short = (1..=64).map(|size| (500, size * 64));
        let cutoffs = computed(config, short.clone().chain([(22, MAX)]));
        assert_eq!(cutoffs[..3], [INFINITE, MAX, MAX]);
        let mut carried = [0u64; 8];
        for (count, length) in short {
            let level = unscheduled_priority(&cutoffs, 8, length).level();
            carried[usize::from(level)] += count * u64::from(length);
        }
        assert_eq!(carried[..2], [0, 0]);
        let share = 66_780_000 / 6;
        let bucket_max = 500 * 4_096;
        for bytes in &carried[3..] {
            assert!((share..share + bucket_max).contains(bytes), "{carried:?} {cutoffs:?}");
        }
        assert!((1..share).contains(&carried[2]), "the rest");
    }

    #[test]
    fn recompute__fixed_number_of_unscheduled_levels() {
        let spread = || (1..=64).map(|size| (1_000, size * 64));
        let with = |levels| {
            computed(
                CutoffConfig { unscheduled_levels: Some(levels), ..Default::default() },
                spread(),
            )
        };
        assert_eq!(with(1), [INFINITE, MAX, MAX, MAX, MAX, MAX, MAX, MAX]);
        assert_eq!(with(2)[..7], [INFINITE, MAX, MAX, MAX, MAX, MAX, MAX]);
        assert!((2_700..3_100).contains(&with(2)[7]), "half the bytes are in 71% of the lengths");
        assert_eq!(with(0), with(1), "HOMA-CUTOFFS-15");
        assert_eq!(with(9), with(7), "HOMA-CUTOFFS-15");
    }

    #[test]
    fn recompute__boost_adds_levels() {
        let spread = || (1..=128).map(|size| (100, size * 1_024));
        let count = |boost| {
            let config = CutoffConfig {
                unscheduled_boost_permille: boost,
                messages_min: 1_000,
                ..Default::default()
            };
            computed(config, spread()).iter().filter(|&&cutoff| cutoff < MAX).count()
        };
        assert_eq!(count(1_000), count(0) + 1);
        assert_eq!(count(2_000), (count(0) + 2).min(6));
    }

    #[test]
    fn recompute__waits_for_interval_messages_and_drift() {
        let second = Duration::from_secs(1);
        let mut stats = stats(CutoffConfig::default(), [(9_999, 100)]);
        assert_eq!(stats.recompute(Instant::ZERO), None, "too early");
        let mut now = Instant::ZERO + second;
        assert_eq!(stats.recompute(now), None, "too few messages");
        stats.record(100, u32::MAX);
        assert_eq!(stats.recompute(now), None, "too early after the last look");
        now += second;
        assert!(stats.recompute(now).is_some(), "earlier messages were kept");
        (0..10_000).for_each(|_| stats.record(100, u32::MAX));
        now += second;
        assert_eq!(stats.recompute(now), None, "the same lengths");
        (0..10_000).for_each(|_| stats.record(20_000, u32::MAX));
        (0..10_000).for_each(|_| stats.record(30_000, u32::MAX));
        now += second;
        assert!(stats.recompute(now).is_some(), "other lengths");
        assert_eq!((stats.cutoffs().version, stats.cutoffs().scheduled_max), (3, 5));
    }

    #[test]
    fn recompute__not_adaptive() {
        let fixed = CutoffConfig { adaptive: false, ..Default::default() };
        let mut stats = stats(fixed, [(20_000, 100)]);
        assert_eq!(stats.recompute(Instant::FAR_FUTURE), None);
    }

    #[test]
    fn recompute__fixed() {
        let fixed = CutoffConfig { fixed: Some([0, MAX, 5, 4, 3, 2, 1, 1]), ..Default::default() };
        let mut stats = stats(fixed, [(20_000, 100)]);
        assert_eq!(stats.recompute(Instant::FAR_FUTURE), None);
        assert_eq!(stats.cutoffs().cutoffs, [INFINITE, MAX, 5, 4, 3, 2, 1, 1]);
    }

    /// What is computed from traffic is what is computed from its description, up to the width of
    /// classes.
    #[test]
    fn recompute__agrees_with_balance_messages() {
        for by_remaining in [false, true] {
            let config = CutoffConfig { by_remaining, ..Default::default() };
            let messages = || (1..=60u32).map(|size| (200, size * 64));
            let described = messages().map(|(count, length)| (length, count));
            let expected = config.balance_messages(described, 1_400).unwrap();
            let table = computed(config, messages());
            for (level, (&ours, &theirs)) in table.iter().zip(&expected).enumerate() {
                assert!(ours.abs_diff(theirs) <= 64, "{level}: {table:?} {expected:?}");
            }
            assert!(table[7] < MAX);
        }
    }

    #[test]
    fn recompute__single_level() {
        let single = CutoffConfig { priority_levels: 1, ..Default::default() };
        let mut stats = stats(single, [(20_000, 100)]);
        assert_eq!(stats.recompute(Instant::FAR_FUTURE), None);
    }

    #[test]
    fn record__stops_before_overflow() {
        let mut stats = stats(CutoffConfig::default(), [(1, u32::MAX)]);
        let full = Bucket { messages: BYTES_MAX / 2, unscheduled: BYTES_MAX / 2 - 1 };
        stats.buckets[0] = full;
        stats.buckets[size_class::COUNT - 1] = full;
        stats.messages = full.messages * 2;
        stats.bytes = full.unscheduled * 2;
        stats.record(u32::MAX, u32::MAX);
        let last = stats.messages;
        stats.record(1, u32::MAX);
        assert_eq!(stats.messages, last, "full");
        assert!(stats.recompute(Instant::FAR_FUTURE).is_some());
        assert_eq!((stats.messages, stats.bytes), (0, 0));
    }

    proptest! {
        /// HOMA-CUTOFFS-1, HOMA-CUTOFFS-3, HOMA-CUTOFFS-5, HOMA-CUTOFFS-14, HOMA-CUTOFFS-15:
        /// well-formed whatever arrives, shorter messages never lower.
        #[test]
        fn recompute__is_well_formed(
            loads in prop::collection::vec((1..500u64, 1..2_000_000u32), 1..30),
            priority_levels in 2..=8u8,
            unscheduled_bytes in 0..200_000u32,
            unscheduled_levels in prop::option::of(0..10u8),
            boost in 0..3_000u32,
            by_remaining in any::<bool>(),
        ) {
            let config = CutoffConfig {
                priority_levels,
                unscheduled_bytes,
                unscheduled_levels,
                unscheduled_boost_permille: boost,
                by_remaining,
                messages_min: 1,
                ..Default::default()
            };
            let cutoffs = computed(config.clone(), loads.iter().copied());
            prop_assert!(cutoffs.is_sorted_by(|a, b| a >= b));
            prop_assert_eq!(cutoffs[0], INFINITE);
            let in_use = usize::from(priority_levels);
            prop_assert!(cutoffs[..in_use].iter().all(|&cutoff| cutoff > 0));
            prop_assert!(cutoffs[in_use..].iter().all(|&cutoff| cutoff == 0));
            prop_assert!(cutoffs[1] >= MAX, "a level below all unscheduled ones");
            let mut ours = UnscheduledCutoffs::new(&config, 1);
            ours.replace(&config, cutoffs);
            let lowest = unscheduled_priority(&cutoffs, priority_levels, MAX).level();
            prop_assert_eq!(ours.scheduled_max + 1, lowest);
        }
    }
}
