//! Random draws of one stream.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::ops::RangeInclusive;

/// A stream of draws that follows from a seed and a purpose, so that what one purpose draws does not
/// change what another does.
#[derive(Clone, Debug)]
pub(super) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(purpose << 40);
        Self(Xoshiro256PlusPlus::seed_from_u64(mixed))
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    /// An index below `bound`, which is not 0.
    pub(super) fn index(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }

    /// Each number of the range equally often.
    pub(super) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// Each order of magnitude of the range, which starts above 0, about equally often.
    pub(super) fn magnitude(&mut self, range: RangeInclusive<u64>) -> u64 {
        let doublings = (range.end() / range.start()).ilog2();
        let low = range.start() << self.below(u64::from(doublings) + 1);
        self.within(low..=(2 * low).min(*range.end()).max(low))
    }

    /// True for so many of a thousand.
    pub(super) fn chance(&mut self, permille: u64) -> bool {
        permille > 0 && self.below(1000) < permille
    }
}
