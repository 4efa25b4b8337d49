//! Which priorities unscheduled bytes use: this host's cutoffs, computed from what arrives, and
//! the use of a peer's (PROTOCOL section 9, "homa_prio").
//!
//! The receiver decides the priorities of all its inbound data (HOMA-PRIO-1). Short messages go
//! first; the cutoffs between levels are chosen so that each unscheduled level carries about the
//! same number of bytes (HOMA-CUTOFFS-12). HomaModule leaves the computation to a daemon; here the
//! transport does it itself.
//!
//! Fractions are in thousandths; there are no floats.

use homa_wire::{PRIORITY_LEVELS, Priority};

use crate::size_class;
use crate::time::{Duration, Instant};

/// Cutoffs by priority level: the longest message that may use the level for unscheduled bytes.
pub(crate) type CutoffTable = [u32; PRIORITY_LEVELS];

/// No message is longer: the largest value that a kernel peer's signed arithmetic holds.
const INFINITE: u32 = i32::MAX as u32;

/// Parameters of the computation of cutoffs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CutoffConfig {
    /// Priority levels in use, 1 to 8. Taken from `Config::priority_levels`.
    pub(crate) priority_levels: u8,
    /// Bytes of a message that peers are assumed to send without grants. Taken from
    /// `Config::unscheduled_bytes`.
    pub(crate) unscheduled_bytes: u32,
    /// Longest message in bytes, at least 1. Taken from `Config::message_length_max`.
    pub(crate) message_length_max: u32,
    /// Messages that must have arrived before the cutoffs are computed anew. Default 10,000
    /// (homa_prio's `--min-messages`).
    pub messages_min: u64,
    /// How much the message sizes must have changed, in thousandths: the sum, over the nine
    /// deciles of message length, of their relative changes, so at most 9,000. Default 1,000
    /// (homa_prio's `--min-drift` 1.0).
    pub drift_min_permille: u32,
    /// Time between computations. Default 1 s (homa_prio's `--interval`).
    pub interval: Duration,
    /// Levels for unscheduled bytes, or `None` to divide the levels by bytes. At least one level
    /// is left to each kind where there are two. Default `None` (homa_prio's `--unsched`).
    pub unscheduled_levels: Option<u8>,
    /// Added to the computed number of unscheduled levels, in thousandths of a level. Default 0
    /// (homa_prio's `--unsched-boost`).
    pub unscheduled_boost_permille: u32,
    /// Whether cutoffs follow the traffic (HOMA-CUTOFFS-8); otherwise they stay as they start.
    /// Default on.
    pub adaptive: bool,
}

impl Default for CutoffConfig {
    fn default() -> Self {
        Self {
            priority_levels: 8,
            unscheduled_bytes: 40_000,
            message_length_max: homa_wire::MESSAGE_LENGTH_MAX,
            messages_min: 10_000,
            drift_min_permille: 1_000,
            interval: Duration::from_secs(1),
            unscheduled_levels: None,
            unscheduled_boost_permille: 0,
            adaptive: true,
        }
    }
}

impl CutoffConfig {
    fn levels(&self) -> usize {
        usize::from(self.priority_levels).clamp(1, PRIORITY_LEVELS)
    }
}

/// The cutoffs that this host tells its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnscheduledCutoffs {
    /// Non-increasing; level 0 takes every message (HOMA-CUTOFFS-1, HOMA-CUTOFFS-3). Levels below
    /// the lowest unscheduled one carry its value, so that a kernel, which searches from above,
    /// chooses as if they were unused; levels above those in use carry 0.
    pub(crate) cutoffs: CutoffTable,
    /// What peers echo in DATA once they know these; never 0, which says that they know none.
    pub(crate) version: u16,
    /// Highest level for scheduled bytes.
    pub(crate) scheduled_max: u8,
}

impl UnscheduledCutoffs {
    /// HomaModule's defaults: the upper half of the levels is unscheduled. `version` should be
    /// random, lest peers take the cutoffs of an earlier life for these (KNOWN_ISSUES 1.12).
    pub(crate) fn new(config: &CutoffConfig, version: u16) -> Self {
        const BOUNDS: [u32; 3] = [200, 2_800, 15_000];
        let unscheduled_levels = (config.levels() / 2).max(1);
        let mut table = CutoffTable::default();
        let mut bounds = BOUNDS[BOUNDS.len() + 1 - unscheduled_levels..].iter();
        for cutoff in table[..config.levels()].iter_mut().rev() {
            let bound = bounds.next().map(|&bound| bound.min(config.message_length_max));
            *cutoff = bound.unwrap_or(config.message_length_max);
        }
        table[0] = INFINITE;
        let scheduled_max = scheduled_max(&table, config);
        Self { cutoffs: table, version: version.max(1), scheduled_max }
    }

    /// Takes new cutoffs, under a new version if they differ (HOMA-CUTOFFS-9). Returns whether
    /// they do.
    fn replace(&mut self, config: &CutoffConfig, cutoffs: CutoffTable) -> bool {
        if self.cutoffs == cutoffs {
            return false;
        }
        self.cutoffs = cutoffs;
        self.scheduled_max = scheduled_max(&cutoffs, config);
        self.version = self.version.checked_add(1).unwrap_or(1);
        true
    }
}

/// One below the lowest unscheduled level, or 0 if there is no level below: the lowest
/// unscheduled level may double as the only scheduled one then (HOMA-CUTOFFS-16).
fn scheduled_max(table: &CutoffTable, config: &CutoffConfig) -> u8 {
    let lowest = table.iter().rposition(|&cutoff| cutoff >= config.message_length_max);
    lowest.unwrap_or(0).saturating_sub(1) as u8
}

/// The priority for the unscheduled bytes of a message to a peer with these cutoffs: the highest
/// level whose cutoff is not below the message's length (HOMA-CUTOFFS-2). Level 0 takes every
/// message, whatever its cutoff says. `levels` is the number of levels in use here.
pub(crate) fn unscheduled_priority(cutoffs: &CutoffTable, levels: u8, length: u32) -> Priority {
    let in_use = usize::from(levels).min(PRIORITY_LEVELS);
    let level = cutoffs[..in_use].iter().rposition(|&cutoff| cutoff >= length).unwrap_or(0);
    Priority::clamped(level as u8)
}

/// The cutoffs assumed of a peer that has not told its own: all messages use the level below the
/// highest, which control packets have to themselves (PROTOCOL section 9; with fewer levels, the
/// kernel implementation fails where this takes the next level that exists).
pub(crate) fn cutoffs_of_unknown_peer(levels: u8) -> CutoffTable {
    let level = usize::from(levels.saturating_sub(2)).min(PRIORITY_LEVELS - 1);
    let mut table = CutoffTable::default();
    table[..=level].fill(INFINITE);
    table
}

/// Counting stops here, far from overflow, which nothing reaches while computations go on.
const BYTES_MAX: u64 = 1 << 48;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    messages: u64,
    bytes: u64,
}

impl Bucket {
    /// Unscheduled bytes of the bucket's messages, none of which is longer than `upper`.
    fn unscheduled(&self, upper: u32, unscheduled_bytes: u32) -> u64 {
        if upper <= unscheduled_bytes {
            return self.bytes;
        }
        self.messages.saturating_mul(u64::from(unscheduled_bytes)).min(self.bytes)
    }
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

    /// Counts an incoming message, when its first packet has arrived.
    pub(crate) fn record(&mut self, length: u32) {
        if self.bytes >= BYTES_MAX || length == 0 {
            return;
        }
        let bucket = &mut self.buckets[size_class::of(length)];
        bucket.messages += 1;
        bucket.bytes += u64::from(length);
        self.messages += 1;
        self.bytes += u64::from(length);
    }

    /// New cutoffs, if the interval has passed since the last call that looked, enough messages
    /// have come since the last computation, their lengths have changed enough since the last
    /// change, and other cutoffs follow. Cheap otherwise: to be called whenever convenient.
    pub(crate) fn recompute(&mut self, now: Instant) -> Option<UnscheduledCutoffs> {
        if !self.config.adaptive || now < self.due {
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

    /// The highest level for scheduled bytes now.
    pub(crate) fn scheduled_priority_max(&self) -> u8 {
        self.cutoffs.scheduled_max
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
        Some(self.balanced_cutoffs())
    }

    /// Cutoffs that give each unscheduled level about the same number of bytes.
    fn balanced_cutoffs(&self) -> CutoffTable {
        let unscheduled: u64 = self.unscheduled_by_bucket().map(|(_, bytes)| bytes).sum();
        let levels = self.config.levels();
        let unscheduled_levels = self.unscheduled_levels(unscheduled);
        let share = 1 + unscheduled / unscheduled_levels as u64;

        let mut table = CutoffTable::default();
        let mut level = levels - 1;
        let (mut below, mut target) = (0, share);
        for (upper, bytes) in self.unscheduled_by_bucket() {
            below += bytes;
            if below >= unscheduled || target >= unscheduled {
                break;
            }
            if below >= target {
                table[level] = upper;
                level -= 1;
                target = below + share;
            }
        }
        // What is longer uses the next level, and kernels never look further down.
        table[..=level].fill(self.config.message_length_max);
        table[0] = INFINITE;
        table
    }

    /// How many levels unscheduled bytes get: their share of all bytes (HOMA-CUTOFFS-13), but
    /// leaving a level to either kind (HOMA-CUTOFFS-15).
    fn unscheduled_levels(&self, unscheduled: u64) -> usize {
        let levels = self.config.levels() as u64;
        let count = match self.config.unscheduled_levels {
            Some(count) => u64::from(count),
            None => {
                let proportional = levels * 1_000 * unscheduled / self.bytes.max(1);
                (proportional + u64::from(self.config.unscheduled_boost_permille) + 500) / 1_000
            }
        };
        count.min(levels - 1).max(1) as usize
    }

    /// Message length in the bucket and unscheduled bytes, from short to long.
    fn unscheduled_by_bucket(&self) -> impl Iterator<Item = (u32, u64)> {
        self.buckets.iter().enumerate().map(|(index, bucket)| {
            let upper = self.upper_bound(index);
            (upper, bucket.unscheduled(upper, self.config.unscheduled_bytes))
        })
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
    use proptest::prelude::*;

    const MAX: u32 = 1_000_000;

    fn level(cutoffs: &CutoffTable, levels: u8, length: u32) -> u8 {
        unscheduled_priority(cutoffs, levels, length).level()
    }

    fn stats(config: CutoffConfig, messages: impl IntoIterator<Item = (u64, u32)>) -> TrafficStats {
        let mut stats = TrafficStats::new(config, 1, Instant::ZERO);
        for (count, length) in messages {
            (0..count).for_each(|_| stats.record(length));
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

    /// PROTOCOL section 9: 200, 2,800, 15,000, 1,000,000; in the form of DRAFT "CUTOFFS values".
    #[test]
    fn new__eight_levels() {
        let ours = UnscheduledCutoffs::new(&CutoffConfig::default(), 7);
        assert_eq!(ours.cutoffs, [INFINITE, MAX, MAX, MAX, MAX, 15_000, 2_800, 200]);
        assert_eq!((ours.version, ours.scheduled_max), (7, 3));
    }

    /// HOMA-CUTOFFS-15, HOMA-PRIO-7: a level for each kind wherever there are two.
    #[test]
    fn new__fewer_levels() {
        let with = |priority_levels| {
            UnscheduledCutoffs::new(&CutoffConfig { priority_levels, ..Default::default() }, 0)
        };
        assert_eq!(with(4).cutoffs, [INFINITE, MAX, MAX, 15_000, 0, 0, 0, 0]);
        assert_eq!(with(4).scheduled_max, 1);
        assert_eq!(with(2).cutoffs, [INFINITE, MAX, 0, 0, 0, 0, 0, 0]);
        assert_eq!(with(2).scheduled_max, 0);
        assert_eq!(with(1).cutoffs, [INFINITE, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(with(1).scheduled_max, 0);
        assert_eq!(with(1).version, 1, "0 means no version");
    }

    /// HOMA-CUTOFFS-9, KNOWN_ISSUES 1.12: 16-bit versions that skip 0.
    #[test]
    fn replace__numbers_versions() {
        let config = CutoffConfig::default();
        let mut ours = UnscheduledCutoffs::new(&config, u16::MAX);
        assert!(!ours.replace(&config, ours.cutoffs));
        assert_eq!(ours.version, u16::MAX);
        assert!(ours.replace(&config, [INFINITE, MAX, MAX, MAX, MAX, MAX, MAX, 500]));
        assert_eq!((ours.version, ours.scheduled_max), (1, 5));
    }

    /// HOMA-CUTOFFS-2.
    #[test]
    fn unscheduled_priority__highest_sufficient_level() {
        let kernel = [0, 0, 0, 0, 1_000_000, 15_000, 2_800, 200];
        for (length, expected) in
            [(1, 7), (200, 7), (201, 6), (2_800, 6), (2_801, 5), (15_001, 4), (1_000_001, 0)]
        {
            assert_eq!(level(&kernel, 8, length), expected, "{length}");
        }
        assert_eq!(level(&kernel, 6, 1), 5, "levels that are not in use here");
        assert_eq!(level(&[0; 8], 8, 1), 0, "level 0 takes every message");
        assert_eq!(level(&kernel, 0, 1), 0);
    }

    /// PROTOCOL section 9: everything at level 6 of 8.
    #[test]
    fn cutoffs_of_unknown_peer__level_below_control() {
        for (levels, expected) in [(8, 6), (6, 4), (3, 1), (2, 0), (1, 0)] {
            for length in [1, MAX] {
                assert_eq!(level(&cutoffs_of_unknown_peer(levels), levels, length), expected);
            }
        }
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
            carried[usize::from(level(&cutoffs, 8, length))] += count * u64::from(length);
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
        stats.record(100);
        assert_eq!(stats.recompute(now), None, "too early after the last look");
        now += second;
        assert!(stats.recompute(now).is_some(), "earlier messages were kept");
        (0..10_000).for_each(|_| stats.record(100));
        now += second;
        assert_eq!(stats.recompute(now), None, "the same lengths");
        (0..10_000).for_each(|_| stats.record(20_000));
        (0..10_000).for_each(|_| stats.record(30_000));
        now += second;
        assert!(stats.recompute(now).is_some(), "other lengths");
        assert_eq!((stats.cutoffs().version, stats.scheduled_priority_max()), (3, 5));
    }

    #[test]
    fn recompute__not_adaptive() {
        let fixed = CutoffConfig { adaptive: false, ..Default::default() };
        let mut stats = stats(fixed, [(20_000, 100)]);
        assert_eq!(stats.recompute(Instant::FAR_FUTURE), None);
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
        let full = Bucket { messages: BYTES_MAX / 2, bytes: BYTES_MAX / 2 - 1 };
        stats.buckets[0] = full;
        stats.buckets[size_class::COUNT - 1] = full;
        stats.messages = full.messages * 2;
        stats.bytes = full.bytes * 2;
        stats.record(u32::MAX);
        let last = stats.messages;
        stats.record(1);
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
        ) {
            let config = CutoffConfig {
                priority_levels,
                unscheduled_bytes,
                unscheduled_levels,
                unscheduled_boost_permille: boost,
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
            let lowest = level(&cutoffs, priority_levels, MAX);
            prop_assert_eq!(ours.scheduled_max + 1, lowest);
        }
    }
}
