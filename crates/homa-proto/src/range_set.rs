//! Byte ranges of a message that wait to be sent again.
//!
//! RESENDs ask for ranges in any order, repeatedly, and overlapping. Retransmission takes them from
//! the front. The set is bounded, and rather than refuse a range it widens one that it has: sending
//! some bytes once more than needed is harmless, forgetting some that were asked for is not.

use alloc::vec::Vec;
use core::ops::Range;

/// An ordered set of offsets, kept as a few disjoint ranges that do not touch each other.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct RangeSet {
    /// Ascending, none empty, with at least one offset between any two.
    ranges: Vec<Range<u32>>,
    ranges_max: usize,
}

impl RangeSet {
    /// An empty set that is kept as at most `ranges_max` ranges (0 counts as 1). Allocates nothing.
    pub(crate) const fn new(ranges_max: usize) -> Self {
        let ranges_max = if ranges_max == 0 { 1 } else { ranges_max };
        Self { ranges: Vec::new(), ranges_max }
    }

    /// Adds the offsets in `range`. If that makes more ranges than allowed, or if memory is short,
    /// the two ranges with the smallest hole between them become one, hole included.
    ///
    /// Returns false only if the set is empty and there is no memory for its first range.
    pub(crate) fn add(&mut self, range: Range<u32>) -> bool {
        if range.is_empty() {
            return true;
        }
        let first = self.ranges.partition_point(|known| known.end < range.start);
        let count = self.ranges[first..].partition_point(|known| known.start <= range.end);
        if count > 0 {
            self.merge(first, count, range);
            return true;
        }
        if self.has_room() {
            self.ranges.insert(first, range);
            return true;
        }
        self.add_in_place_of_a_hole(first, range)
    }

    /// Drops all offsets below `offset`.
    pub(crate) fn remove_before(&mut self, offset: u32) {
        let gone = self.ranges.partition_point(|range| range.end <= offset);
        self.ranges.drain(..gone);
        if let Some(first) = self.ranges.first_mut() {
            first.start = first.start.max(offset);
        }
    }

    /// Drops everything. Keeps the memory.
    #[cfg(test)]
    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
    }

    /// The range with the lowest offsets.
    pub(crate) fn first(&self) -> Option<Range<u32>> {
        self.ranges.first().cloned()
    }

    /// Whether there is no offset in the set.
    pub(crate) const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many offsets are in the set.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u32 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether one more range is allowed, and there is memory for it.
    fn has_room(&mut self) -> bool {
        self.ranges.len() < self.ranges_max && self.ranges.try_reserve(1).is_ok()
    }

    /// Makes one range of `count` known ranges from index `first` on and of `range`.
    fn merge(&mut self, first: usize, count: usize, range: Range<u32>) {
        let last_end = self.ranges[first + count - 1].end;
        let merged = &mut self.ranges[first];
        *merged = merged.start.min(range.start)..last_end.max(range.end);
        self.ranges.drain(first + 1..first + count);
    }

    /// Adds `range`, which touches no other and belongs at `index`, without needing room: fills the
    /// smallest hole that there is with it. Returns false if there is no other range.
    fn add_in_place_of_a_hole(&mut self, index: usize, range: Range<u32>) -> bool {
        let hole_before = index.checked_sub(1).map(|left| range.start - self.ranges[left].end);
        let hole_after = self.ranges.get(index).map(|right| right.start - range.end);
        let holes = self.ranges.windows(2).map(|pair| pair[1].start - pair[0].end).enumerate();
        let known = holes.min_by_key(|(_, hole)| *hole);
        let beside = hole_before.into_iter().chain(hole_after).min();
        match (known, beside) {
            (_, None) => return false,
            (Some((left, hole)), Some(beside)) if hole < beside => {
                let right = self.ranges.remove(left + 1);
                self.ranges[left].end = right.end;
                // Everything right of the hole moved down by one; there is room for one again.
                self.ranges.insert(if index > left { index - 1 } else { index }, range);
            }
            (_, beside) if hole_before == beside => self.ranges[index - 1].end = range.end,
            _ => self.ranges[index].start = range.start,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    #![expect(clippy::single_range_in_vec_init, reason = "lists of ranges, some of one range")]
    use super::*;
    use proptest::prelude::*;

    fn set(ranges_max: usize, ranges: &[Range<u32>]) -> RangeSet {
        let mut set = RangeSet::new(ranges_max);
        for range in ranges {
            assert!(set.add(range.clone()));
        }
        set
    }

    #[test]
    fn add__merges_what_overlaps_or_touches() {
        let mut set = set(10, &[50..60, 10..20, 30..40]);
        assert_eq!(set.ranges, [10..20, 30..40, 50..60]);
        set.add(20..25);
        set.add(28..30);
        assert_eq!(set.ranges, [10..25, 28..40, 50..60]);
        set.add(12..50);
        assert_eq!(set.ranges, [10..60]);
        assert_eq!(set.bytes(), 50);
    }

    #[test]
    fn add__of_nothing_changes_nothing() {
        let mut set = set(1, &[]);
        assert!(set.add(5..5));
        assert!(set.is_empty());
        assert_eq!((set.first(), set.bytes()), (None, 0));
    }

    #[test]
    fn add__takes_all_of_the_number_space() {
        let mut set = set(2, &[0..1, u32::MAX - 1..u32::MAX]);
        set.add(0..u32::MAX);
        assert_eq!((set.first(), set.bytes()), (Some(0..u32::MAX), u32::MAX));
    }

    #[test]
    fn add__at_the_limit_fills_the_smallest_hole() {
        // Between known ranges, left of the new one and right of it.
        assert_eq!(set(3, &[0..10, 12..20, 90..95, 50..60]).ranges, [0..20, 50..60, 90..95]);
        assert_eq!(set(3, &[60..70, 72..80, 90..95, 10..20]).ranges, [10..20, 60..80, 90..95]);
        assert_eq!(set(2, &[0..10, 50..60, 13..20]).ranges, [0..20, 50..60]);
        assert_eq!(set(2, &[0..10, 50..60, 40..47]).ranges, [0..10, 40..60]);
        // Before the first and after the last.
        assert_eq!(set(1, &[50..60, 10..20]).ranges, [10..60]);
        assert_eq!(set(0, &[10..20, 50..60]).ranges, [10..60]);
    }

    #[test]
    fn remove_before__cuts_the_first_range() {
        let mut set = set(10, &[10..20, 30..40, 50..60]);
        set.remove_before(5);
        assert_eq!(set.first(), Some(10..20));
        set.remove_before(35);
        assert_eq!((set.first(), set.bytes()), (Some(35..40), 15));
        set.remove_before(40);
        assert_eq!(set.first(), Some(50..60));
        set.remove_before(60);
        assert!(set.is_empty());
    }

    #[test]
    fn clear__leaves_nothing() {
        let mut set = set(10, &[10..20, 30..40]);
        set.clear();
        assert!(set.is_empty());
    }

    const OFFSETS: u32 = 120;

    fn contains(set: &RangeSet, offset: u32) -> bool {
        set.ranges.iter().any(|range| range.contains(&offset))
    }

    proptest! {
        #[test]
        fn range_set__agrees_with_a_bitmap(
            ranges_max in 1usize..6,
            ops in prop::collection::vec((0u32..100, 0u32..20, prop::bool::weighted(0.8)), 0..60),
        ) {
            let mut set = RangeSet::new(ranges_max);
            let mut wanted = [false; OFFSETS as usize];
            // Whether a range was ever widened; the set is exact until then.
            let mut limit_hit = false;
            for (start, count, add) in ops {
                if add {
                    let before: Vec<_> = set.ranges.clone();
                    prop_assert!(set.add(start..start + count));
                    wanted[start as usize..(start + count) as usize].fill(true);
                    let touches =
                        before.iter().any(|range| range.start <= start + count && start <= range.end);
                    limit_hit |= count > 0 && !touches && before.len() == ranges_max;
                } else {
                    set.remove_before(start);
                    wanted[..start as usize].fill(false);
                    prop_assert!(set.first().is_none_or(|first| first.start >= start));
                }
                prop_assert!(set.ranges.len() <= ranges_max);
                prop_assert!(set.ranges.iter().all(|range| !range.is_empty()));
                prop_assert!(set.ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
                for offset in 0..OFFSETS {
                    let (has, wants) = (contains(&set, offset), wanted[offset as usize]);
                    prop_assert!(has || !wants, "{offset} was forgotten");
                    prop_assert!(limit_hit || has == wants, "{offset} was never asked for");
                }
                let bytes = (0..OFFSETS).filter(|offset| contains(&set, *offset)).count();
                prop_assert_eq!(set.bytes() as usize, bytes);
                prop_assert_eq!(set.is_empty(), bytes == 0);
            }
        }

        /// At the limit, an added range costs no more than the smallest hole.
        #[test]
        fn add__at_the_limit_adds_as_little_as_possible(
            ranges in prop::collection::vec((0u32..1000, 1u32..20), 1..20),
        ) {
            let mut limited = RangeSet::new(4);
            for (start, count) in ranges {
                let mut exact = RangeSet::new(usize::MAX);
                exact.ranges = limited.ranges.clone();
                exact.add(start..start + count);
                let holes = exact.ranges.windows(2).map(|pair| pair[1].start - pair[0].end);
                let spare = if exact.ranges.len() > 4 { holes.min().unwrap() } else { 0 };
                limited.add(start..start + count);
                prop_assert_eq!(limited.bytes(), exact.bytes() + spare);
            }
        }
    }
}
