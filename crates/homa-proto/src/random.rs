//! Named random streams from one seed, so that a new draw in one place does not disturb others.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What a stream of random numbers is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    RpcIds = 1,
    ClientPorts = 2,
    CutoffVersion = 3,
    HashKeys = 4,
}

/// A stream of random numbers for one purpose.
#[derive(Debug)]
pub(crate) struct Stream(Xoshiro256PlusPlus);

impl Stream {
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        // seed_from_u64 mixes thoroughly; the multiplier keeps purposes apart for small seeds.
        let mixed = seed ^ (purpose as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(Xoshiro256PlusPlus::seed_from_u64(mixed))
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}
