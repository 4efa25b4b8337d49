//! Unscheduled cutoffs: their form, what they mean for a message, and how a balanced table is computed
//! (PROTOCOL section 9).
//!
//! The receiver decides the priorities of all its inbound data (HOMA-PRIO-1). Short messages go
//! first; the cutoffs between levels are chosen so that each unscheduled level carries about the
//! same number of bytes (HOMA-CUTOFFS-12).
//!
//! Fractions are in thousandths; there are no floats.

use alloc::vec::Vec;

use homa_wire::{PRIORITY_LEVELS, Priority};

use crate::error::NoMemory;
use crate::time::Duration;

/// Cutoffs by priority level: the longest message that may use the level for unscheduled bytes.
pub(crate) type CutoffTable = [u32; PRIORITY_LEVELS];

/// No message is longer: the largest value that a kernel peer's signed arithmetic holds.
pub(crate) const INFINITE: u32 = i32::MAX as u32;

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
    /// Whether packets use the level of what remains of their message. Taken from
    /// `Config::unscheduled_by_remaining`.
    pub(crate) by_remaining: bool,
    /// The cutoffs of this host, by level as told on the wire, and of all others that have not told
    /// theirs: for clusters whose hosts are configured alike for traffic that is known beforehand
    /// ([`crate::Config::balanced_cutoffs`] computes them). They never change then. The scheduled
    /// levels are those below the highest whose cutoff reaches `Config::message_length_max`.
    ///
    /// Non-increasing; level 0 takes every message whatever is written there, and so do levels
    /// from 1 up that are 0, as the kernel implementation writes what is left to scheduled bytes; levels
    /// that are not in use are ignored. Default `None` (`unsched_cutoffs`, there without `homa_prio`).
    pub fixed: Option<[u32; PRIORITY_LEVELS]>,
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
            by_remaining: false,
            fixed: None,
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
    /// The table that is [fixed](Self::fixed), if one is, in the form of [`UnscheduledCutoffs`].
    pub(crate) fn fixed_table(&self) -> Option<CutoffTable> {
        let mut table = self.fixed?;
        table[self.levels()..].fill(0);
        let lowest = (1..self.levels()).find(|&level| table[level] > 0).unwrap_or(0);
        let longest = table[lowest];
        table[..lowest].fill(longest);
        table[0] = INFINITE;
        Some(table)
    }

    /// The cutoffs assumed of a peer that has not told its own: those that are fixed for all hosts, or
    /// else all messages use the level below the highest, which control packets have to themselves
    /// (PROTOCOL section 9; with fewer levels, the kernel implementation fails where this takes
    /// the next level that exists).
    pub(crate) fn of_unknown_peer(&self) -> CutoffTable {
        self.fixed_table().unwrap_or_else(|| {
            let level = self.levels().saturating_sub(2);
            let mut table = CutoffTable::default();
            table[..=level].fill(INFINITE);
            table
        })
    }

    /// Cutoffs that give each unscheduled level about the same number of bytes. `unscheduled` has
    /// the unscheduled bytes at each length by which levels are chosen, from short to long;
    /// `all_bytes` includes scheduled ones.
    pub(crate) fn balance(
        &self,
        all_bytes: u64,
        unscheduled: impl Iterator<Item = (u32, u64)> + Clone,
    ) -> CutoffTable {
        let total = unscheduled.clone().fold(0u64, |sum, (_, bytes)| sum.saturating_add(bytes));
        let levels = self.levels();
        let share = total.div_ceil(self.unscheduled_level_count(total, all_bytes) as u64);

        let mut table = CutoffTable::default();
        let mut level = levels - 1;
        let (mut below, mut target) = (0, share);
        for (upper, bytes) in unscheduled {
            below = bytes.saturating_add(below);
            if below >= total || target >= total {
                break;
            }
            if below >= target {
                table[level] = upper;
                level -= 1;
                target = share.saturating_add(below);
            }
        }
        // What is longer uses the next level, and kernels never look further down.
        table[..=level].fill(self.message_length_max);
        table[0] = INFINITE;
        table
    }

    /// [`balance`](Self::balance) for messages of these lengths, each with its number, in packets of
    /// `segment_bytes`.
    pub(crate) fn balance_messages(
        &self,
        messages: impl IntoIterator<Item = (u32, u64)>,
        segment_bytes: u32,
    ) -> Result<CutoffTable, NoMemory> {
        let segment_bytes = if self.by_remaining { segment_bytes } else { u32::MAX };
        let mut unscheduled: Vec<(u32, u64)> = Vec::new();
        let mut all_bytes = 0u64;
        for (length, count) in messages {
            all_bytes = all_bytes.saturating_add(count.saturating_mul(length.into()));
            for (at, bytes) in unscheduled_parts(length, self.unscheduled_bytes, segment_bytes) {
                unscheduled.try_reserve(1).map_err(|_| NoMemory)?;
                unscheduled.push((at, count.saturating_mul(bytes.into())));
            }
        }
        unscheduled.sort_unstable();
        unscheduled.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 = if same { kept.1.saturating_add(next.1) } else { kept.1 };
            same
        });
        Ok(self.balance(all_bytes, unscheduled.iter().copied()))
    }

    /// How many levels unscheduled bytes get: their share of all bytes (HOMA-CUTOFFS-13), but
    /// leaving a level to either kind (HOMA-CUTOFFS-15).
    fn unscheduled_level_count(&self, unscheduled: u64, all_bytes: u64) -> usize {
        let levels = self.levels() as u64;
        let count = match self.unscheduled_levels {
            Some(count) => u64::from(count),
            None => {
                let proportional = (levels * 1_000).saturating_mul(unscheduled) / all_bytes.max(1);
                (proportional + u64::from(self.unscheduled_boost_permille) + 500) / 1_000
            }
        };
        count.min(levels - 1).max(1) as usize
    }

    pub(crate) fn levels(&self) -> usize {
        usize::from(self.priority_levels).clamp(1, PRIORITY_LEVELS)
    }
}

/// The cutoffs that this host tells its peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// The fixed cutoffs, or else HomaModule's defaults. `version` should be random, lest peers take
    /// the cutoffs of an earlier life for these (KNOWN_ISSUES 1.12).
    pub(crate) fn new(config: &CutoffConfig, version: u16) -> Self {
        let cutoffs = config.fixed_table().unwrap_or_else(|| Self::default_table(config));
        let scheduled_max = scheduled_max(&cutoffs, config);
        Self { cutoffs, version: version.max(1), scheduled_max }
    }

    /// HomaModule's defaults: the upper half of the levels is unscheduled.
    fn default_table(config: &CutoffConfig) -> CutoffTable {
        const BOUNDS: [u32; 3] = [200, 2_800, 15_000];
        let unscheduled_levels = (config.levels() / 2).max(1);
        let mut table = CutoffTable::default();
        let mut bounds = BOUNDS[BOUNDS.len() + 1 - unscheduled_levels..].iter();
        for cutoff in table[..config.levels()].iter_mut().rev() {
            let bound = bounds.next().map(|&bound| bound.min(config.message_length_max));
            *cutoff = bound.unwrap_or(config.message_length_max);
        }
        table[0] = INFINITE;
        table
    }

    /// Takes new cutoffs, under a new version if they differ (HOMA-CUTOFFS-9). Returns whether
    /// they do.
    pub(crate) fn replace(&mut self, config: &CutoffConfig, cutoffs: CutoffTable) -> bool {
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

/// The unscheduled bytes of a message, packet by packet, each with what remains of the message when it
/// leaves, itself included. One packet takes them all if `segment_bytes` is no less.
pub(crate) fn unscheduled_parts(
    length: u32,
    unscheduled_bytes: u32,
    segment_bytes: u32,
) -> impl Iterator<Item = (u32, u32)> {
    let unscheduled = unscheduled_bytes.min(length);
    let segment_bytes = segment_bytes.max(1);
    let starts =
        core::iter::successors(Some(0), move |&start: &u32| start.checked_add(segment_bytes));
    let starts = starts.take_while(move |&start| start < unscheduled);
    starts.map(move |start| (length - start, segment_bytes.min(unscheduled - start)))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use homa_wire::MESSAGE_LENGTH_MAX as MAX;

    fn level(cutoffs: &CutoffTable, levels: u8, length: u32) -> u8 {
        unscheduled_priority(cutoffs, levels, length).level()
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
    fn of_unknown_peer__level_below_control() {
        for (levels, expected) in [(8, 6), (6, 4), (3, 1), (2, 0), (1, 0)] {
            let config = CutoffConfig { priority_levels: levels, ..Default::default() };
            for length in [1, MAX] {
                assert_eq!(level(&config.of_unknown_peer(), levels, length), expected);
            }
        }
    }

    /// As kernels write it and as they are told: unused low levels take what the lowest used one does.
    #[test]
    fn fixed__is_told_and_assumed() {
        let kernel = [0, 0, 0, 0, MAX, 15_000, 2_800, 200];
        let config = CutoffConfig { fixed: Some(kernel), ..Default::default() };
        let ours = UnscheduledCutoffs::new(&config, 7);
        assert_eq!(ours.cutoffs, [INFINITE, MAX, MAX, MAX, MAX, 15_000, 2_800, 200]);
        assert_eq!((ours.version, ours.scheduled_max), (7, 3));
        assert_eq!(config.of_unknown_peer(), ours.cutoffs);
        let fewer = CutoffConfig { priority_levels: 6, ..config };
        assert_eq!(fewer.of_unknown_peer(), [INFINITE, MAX, MAX, MAX, MAX, 15_000, 0, 0]);
    }

    /// All but one level unscheduled, as for the shortest published workload.
    #[test]
    fn fixed__leaves_level_0_to_scheduled_bytes() {
        let table = [0, MAX, 700, 500, 400, 300, 200, 100];
        let config = CutoffConfig { fixed: Some(table), ..Default::default() };
        assert_eq!(UnscheduledCutoffs::new(&config, 1).scheduled_max, 0);
        let none = CutoffConfig { fixed: Some([0; 8]), ..Default::default() };
        assert_eq!(UnscheduledCutoffs::new(&none, 1).cutoffs, [INFINITE, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn unscheduled_parts__of_messages() {
        let parts = |length, unscheduled, segment| -> Vec<_> {
            unscheduled_parts(length, unscheduled, segment).collect()
        };
        assert_eq!(parts(5_000, 10_000, u32::MAX), [(5_000, 5_000)]);
        assert_eq!(parts(5_000, 10_000, 2_000), [(5_000, 2_000), (3_000, 2_000), (1_000, 1_000)]);
        assert_eq!(parts(50_000, 3_000, 2_000), [(50_000, 2_000), (48_000, 1_000)]);
        assert_eq!(parts(50_000, 0, 2_000), []);
        assert_eq!(parts(2, 2, 0), [(2, 1), (1, 1)], "no segment is empty");
    }

    fn even() -> CutoffConfig {
        CutoffConfig { unscheduled_bytes: 8_000, unscheduled_levels: Some(4), ..Default::default() }
    }

    /// Every length counts as it is, in any order: eight messages of 1,000 bytes carry as much as
    /// two of 4,000, and of 50,000 bytes 8,000 are unscheduled.
    #[test]
    fn balance_messages__counts_lengths_exactly() {
        let messages = [(50_000, 1), (10, 800), (1_000, 4), (4_000, 2), (1_000, 4)];
        let table = even().balance_messages(messages, 1_400).unwrap();
        assert_eq!(table, [INFINITE, MAX, MAX, MAX, MAX, 4_000, 1_000, 10]);
    }

    /// The end of a long message counts where a short one does.
    #[test]
    fn balance_messages__by_remaining() {
        let config = CutoffConfig { by_remaining: true, ..even() };
        let table = config.balance_messages([(8_000, 100)], 1_000).unwrap();
        assert_eq!(table, [INFINITE, MAX, MAX, MAX, MAX, 6_000, 4_000, 2_000]);
        let whole = even().balance_messages([(8_000, 100)], 1_000).unwrap();
        assert_eq!(whole, [INFINITE, MAX, MAX, MAX, MAX, MAX, MAX, MAX], "one length, one level");
    }

    #[test]
    fn balance_messages__bears_any_numbers() {
        let huge = [(u32::MAX, u64::MAX), (1, u64::MAX), (0, 9)];
        let table = even().balance_messages(huge, 0).unwrap();
        assert!(table.is_sorted_by(|a, b| a >= b));
        let none = CutoffConfig::default().balance_messages([], 1_400).unwrap();
        assert_eq!(none, [INFINITE, MAX, MAX, MAX, MAX, MAX, MAX, MAX]);
    }
}
