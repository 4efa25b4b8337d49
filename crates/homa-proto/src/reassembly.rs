//! Which bytes of an incoming message are there.
//!
//! Payload is not held here, only offsets: the bytes up to the highest one received, less an
//! ordered list of gaps. Messages mostly arrive in order, and then there are no gaps, nothing is
//! allocated, and a packet costs one comparison. Packets that overlap what is there already are
//! trimmed to their new bytes, so that a sender may cut its message anew at any time
//! (PROTOCOL section 4; dropping such packets whole can keep a message from ever completing).

use alloc::vec::Vec;
use core::iter;
use core::ops::Range;

/// Why a packet's bytes were not taken. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InsertError {
    /// Memory for one more gap, or for the list of new bytes, could not be allocated.
    NoMemory,
    /// The bytes end before they start, or after the end of the message.
    OutOfRange,
    /// The bytes would leave more gaps than allowed.
    TooManyGaps,
}

/// The state of arrival of one message. Offsets and lengths are in bytes.
#[derive(Debug)]
pub(crate) struct Reassembly {
    length: u32,
    /// Every byte from here on is missing, and the byte before it (if any) is there.
    highest: u32,
    received: u32,
    gaps_max: usize,
    /// What is missing below `highest`: not empty, ascending, with received bytes between.
    gaps: Vec<Range<u32>>,
}

impl Reassembly {
    /// A message of `length` bytes of which none is there yet, and which may have up to `gaps_max`
    /// gaps at a time. Allocates nothing.
    pub(crate) const fn new(length: u32, gaps_max: usize) -> Self {
        Self { length, highest: 0, received: 0, gaps_max, gaps: Vec::new() }
    }

    /// Takes the bytes `start..end`. Appends to `fresh` those of them that were missing, in order,
    /// and returns how many these are. No bytes at all are allowed and change nothing.
    ///
    /// Allocates only if there are gaps, before or after, and for `fresh`.
    ///
    /// # Errors
    /// See [`InsertError`]. Neither `self` nor `fresh` was changed then.
    pub(crate) fn insert(
        &mut self,
        start: u32,
        end: u32,
        fresh: &mut Vec<Range<u32>>,
    ) -> Result<u32, InsertError> {
        if start > end || end > self.length {
            return Err(InsertError::OutOfRange);
        }
        if start == end {
            return Ok(0);
        }
        let filled = if start < self.highest { self.gaps_meeting(start, end) } else { 0..0 };
        fresh.try_reserve(filled.len() + 1).map_err(|_| InsertError::NoMemory)?;
        let fresh_before = fresh.len();
        if start > self.highest {
            self.insert_gap(self.gaps.len(), self.highest..start)?;
        } else if !filled.is_empty() {
            self.fill(filled, start, end, fresh)?;
        }
        if end > self.highest {
            fresh.push(start.max(self.highest)..end);
            self.highest = end;
        }
        let new_bytes = fresh[fresh_before..].iter().map(|range| range.end - range.start).sum();
        self.received += new_bytes;
        Ok(new_bytes)
    }

    /// The length of the message.
    pub(crate) const fn length(&self) -> u32 {
        self.length
    }

    /// How many bytes are there.
    pub(crate) const fn received(&self) -> u32 {
        self.received
    }

    /// How many bytes are missing.
    #[cfg(test)]
    pub(crate) const fn remaining(&self) -> u32 {
        self.length - self.received
    }

    /// The offset after the highest byte that is there; 0 if none is (PROTOCOL's `recv_end`).
    pub(crate) const fn highest(&self) -> u32 {
        self.highest
    }

    /// How many bytes are there from the start of the message up to the first missing one.
    pub(crate) fn prefix(&self) -> u32 {
        self.gaps.first().map_or(self.highest, |gap| gap.start)
    }

    /// Whether every byte is there.
    #[cfg(test)]
    pub(crate) const fn is_complete(&self) -> bool {
        self.received == self.length
    }

    /// Whether a byte is missing before one that is there.
    pub(crate) const fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// From now on no more gaps than `gaps_max` may be made, or than there are if `gaps_max` is
    /// `None`.
    pub(crate) fn limit_gaps(&mut self, gaps_max: Option<usize>) {
        self.gaps_max = gaps_max.unwrap_or(self.gaps.len());
    }

    /// For how many gaps memory is held.
    pub(crate) fn gap_room(&self) -> u64 {
        self.gaps.capacity() as u64
    }

    /// What is missing below [`highest`](Self::highest), in order.
    #[cfg(test)]
    pub(crate) fn gaps(&self) -> &[Range<u32>] {
        &self.gaps
    }

    /// What is missing below `upto` (or below the length, if that is less), in order: the ranges to
    /// ask for with RESENDs when bytes up to `upto` were granted (PROTOCOL section 5).
    pub(crate) fn missing(&self, upto: u32) -> impl Iterator<Item = Range<u32>> {
        let upto = upto.min(self.length);
        self.gaps
            .iter()
            .cloned()
            .chain(iter::once(self.highest..upto))
            .map(move |range| range.start..range.end.min(upto))
            .filter(|range| !range.is_empty())
    }

    /// The indices of the gaps that have bytes in `start..end`.
    fn gaps_meeting(&self, start: u32, end: u32) -> Range<usize> {
        let first = self.gaps.partition_point(|gap| gap.end <= start);
        let count = self.gaps[first..].partition_point(|gap| gap.start < end);
        first..first + count
    }

    /// Closes the part in `start..end` of the gaps with indices `filled`, all of which have some,
    /// and appends these parts to `fresh`, where there is room. Changes nothing on failure.
    fn fill(
        &mut self,
        filled: Range<usize>,
        start: u32,
        end: u32,
        fresh: &mut Vec<Range<u32>>,
    ) -> Result<(), InsertError> {
        let before = self.gaps[filled.start].start..start;
        let after = end..self.gaps[filled.end - 1].end;
        if filled.len() == 1 && !before.is_empty() && !after.is_empty() {
            // In the midst of a gap: two remain of one.
            self.insert_gap(filled.start, before)?;
            self.gaps[filled.end] = after;
            fresh.push(start..end);
            return Ok(());
        }
        fresh.extend(
            self.gaps[filled.clone()].iter().map(|gap| gap.start.max(start)..gap.end.min(end)),
        );
        let mut closed = filled;
        if !before.is_empty() {
            self.gaps[closed.start] = before;
            closed.start += 1;
        }
        if !after.is_empty() {
            closed.end -= 1;
            self.gaps[closed.end] = after;
        }
        self.gaps.drain(closed);
        if self.gaps.is_empty() {
            // Most messages never have gaps again.
            self.gaps = Vec::new();
        }
        Ok(())
    }

    /// Adds a gap at `index`, or fails without changing anything.
    fn insert_gap(&mut self, index: usize, gap: Range<u32>) -> Result<(), InsertError> {
        if self.gaps.len() >= self.gaps_max {
            return Err(InsertError::TooManyGaps);
        }
        self.gaps.try_reserve(1).map_err(|_| InsertError::NoMemory)?;
        self.gaps.insert(index, gap);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    #![expect(clippy::single_range_in_vec_init, reason = "lists of ranges, some of one range")]
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    /// A message of 100 bytes, after the given ranges have arrived.
    fn after(ranges: &[Range<u32>]) -> Reassembly {
        let mut message = Reassembly::new(100, 10);
        for range in ranges {
            message.insert(range.start, range.end, &mut Vec::new()).unwrap();
        }
        message
    }

    fn fresh(message: &mut Reassembly, range: Range<u32>) -> Vec<Range<u32>> {
        let mut fresh = Vec::new();
        message.insert(range.start, range.end, &mut fresh).unwrap();
        fresh
    }

    #[test]
    fn insert__single_packet_message_completes() {
        let mut message = Reassembly::new(100, 0);
        assert_eq!(message.insert(0, 100, &mut Vec::new()), Ok(100));
        assert!(message.is_complete());
        assert_eq!((message.remaining(), message.prefix(), message.highest()), (0, 100, 100));
    }

    #[test]
    fn insert__in_order_allocates_nothing() {
        let mut message = Reassembly::new(1_000_000, 0);
        let mut fresh = Vec::with_capacity(1);
        for start in (0..1_000_000).step_by(1_000) {
            fresh.clear();
            assert_eq!(message.insert(start, start + 1_000, &mut fresh), Ok(1_000));
            assert_eq!(fresh, [start..start + 1_000]);
        }
        assert!(message.is_complete());
        assert_eq!((message.gaps.capacity(), fresh.capacity()), (0, 1));
    }

    #[test]
    fn insert__of_a_duplicate_brings_nothing_new() {
        let mut message = after(&[0..50]);
        assert_eq!(fresh(&mut message, 10..50), []);
        assert_eq!(message.received(), 50);
    }

    #[test]
    fn insert__of_no_bytes_changes_nothing() {
        let mut message = after(&[0..20, 60..80]);
        for offset in [0, 30, 70, 90, 100] {
            assert_eq!(fresh(&mut message, offset..offset), []);
        }
        assert_eq!((message.highest(), message.gaps()), (80, [20..60].as_slice()));
    }

    /// Packets that cross the boundary of a gap are trimmed, not dropped.
    #[test]
    fn insert__trims_what_overlaps_a_gap_partly() {
        let mut message = after(&[0..20, 40..60]);
        assert_eq!(fresh(&mut message, 10..30), [20..30]);
        assert_eq!(fresh(&mut message, 35..45), [35..40]);
        assert_eq!(message.gaps(), [30..35]);
        assert_eq!(fresh(&mut message, 0..100), [30..35, 60..100]);
        assert!(message.is_complete());
    }

    #[test]
    fn insert__into_the_midst_of_a_gap_splits_it() {
        let mut message = after(&[90..100]);
        assert_eq!(fresh(&mut message, 40..50), [40..50]);
        assert_eq!(message.gaps(), [0..40, 50..90]);
        assert_eq!(message.prefix(), 0);
    }

    #[test]
    fn insert__out_of_range_is_refused() {
        let mut message = after(&[0..10]);
        for (start, end) in [(50, 101), (101, 101), (20, 10), (u32::MAX, u32::MAX), (0, u32::MAX)] {
            let result = message.insert(start, end, &mut Vec::new());
            assert_eq!(result, Err(InsertError::OutOfRange));
        }
        assert_eq!(message.received(), 10);
    }

    #[test]
    fn insert__of_one_gap_too_many_changes_nothing() {
        let mut message = Reassembly::new(100, 1);
        let mut fresh = vec![7..8];
        message.insert(50, 60, &mut fresh).unwrap();
        for (start, end) in [(80, 90), (20, 30)] {
            let result = message.insert(start, end, &mut fresh);
            assert_eq!(result, Err(InsertError::TooManyGaps));
        }
        assert_eq!((message.received(), message.highest()), (10, 60));
        assert_eq!((message.gaps(), fresh.as_slice()), ([0..50].as_slice(), &[7..8, 50..60][..]));
        // What leaves no further gap is still taken.
        assert_eq!(message.insert(0, 100, &mut fresh), Ok(90));
    }

    #[test]
    fn missing__is_clipped_to_the_granted_bytes() {
        let message = after(&[10..20, 30..40]);
        let missing = |upto| message.missing(upto).collect::<Vec<_>>();
        assert_eq!(missing(0), []);
        assert_eq!(missing(5), [0..5]);
        assert_eq!(missing(25), [0..10, 20..25]);
        assert_eq!(missing(40), [0..10, 20..30]);
        assert_eq!(missing(70), [0..10, 20..30, 40..70]);
        assert_eq!(missing(u32::MAX), [0..10, 20..30, 40..100]);
    }

    /// The maximal runs of missing bytes below `upto`.
    fn runs(there: &[bool], upto: usize) -> Vec<Range<u32>> {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for at in (0..upto).filter(|at| !there[*at]) {
            match runs.last_mut() {
                Some(run) if run.end == at as u32 => run.end += 1,
                _ => runs.push(at as u32..at as u32 + 1),
            }
        }
        runs
    }

    fn agree(message: &Reassembly, there: &[bool]) {
        let received = there.iter().filter(|there| **there).count();
        let highest = there.iter().rposition(|there| *there).map_or(0, |at| at + 1);
        assert_eq!(message.received() as usize, received);
        assert_eq!(message.remaining() as usize, there.len() - received);
        assert_eq!(message.length() as usize, there.len());
        assert_eq!(message.highest() as usize, highest);
        let prefix = there.iter().position(|there| !there).unwrap_or(there.len());
        assert_eq!(message.prefix() as usize, prefix);
        assert_eq!(message.is_complete(), received == there.len());
        assert_eq!(message.gaps(), runs(there, highest));
        assert_eq!(message.has_gaps(), !runs(there, highest).is_empty());
    }

    proptest! {
        #[test]
        fn reassembly__agrees_with_a_bitmap(
            length in 0u32..90,
            gaps_max in 0usize..8,
            packets in prop::collection::vec((0u32..100, 0u32..30, 0u32..100), 0..60),
        ) {
            let mut message = Reassembly::new(length, gaps_max);
            let mut there = vec![false; length as usize];
            for (start, count, upto) in packets {
                let end = start + count;
                let mut fresh = vec![1..2];
                let result = message.insert(start, end, &mut fresh);
                prop_assert_eq!(fresh.remove(0), 1..2);
                if end > length {
                    prop_assert_eq!(result, Err(InsertError::OutOfRange));
                    continue;
                }
                let mut filled = there.clone();
                filled[start as usize..end as usize].fill(true);
                let highest = filled.iter().rposition(|there| *there).map_or(0, |at| at + 1);
                if runs(&filled, highest).len() > gaps_max {
                    prop_assert_eq!(result, Err(InsertError::TooManyGaps));
                    prop_assert!(fresh.is_empty());
                } else {
                    let new: Vec<bool> = (0..there.len()).map(|at| there[at] == filled[at]).collect();
                    prop_assert_eq!(&fresh, &runs(&new, new.len()));
                    prop_assert_eq!(result, Ok(new.iter().filter(|same| !**same).count() as u32));
                    there = filled;
                }
                agree(&message, &there);
                let missing: Vec<_> = message.missing(upto).collect();
                // `missing` cuts at the highest byte, where the run of missing bytes begins anyway.
                prop_assert_eq!(missing, runs(&there, there.len().min(upto as usize)));
            }
        }
    }
}
