//! Random numbers for workloads: seeded, so that runs can be repeated.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random(Xoshiro256PlusPlus);

impl Random {
    /// A stream that `seed` determines.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        // The upper 53 bits are what an f64 can hold exactly.
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Exponentially distributed with mean 1: the gaps between arrivals of a Poisson process.
    pub(crate) fn exponential(&mut self) -> f64 {
        // 1 - unit() lies in (0, 1], so the logarithm is finite.
        -(1.0 - self.unit()).ln()
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn mean_of(draw: impl FnMut() -> f64) -> f64 {
        std::iter::repeat_with(draw).take(100_000).sum::<f64>() / 100_000.0
    }

    #[test]
    fn unit__is_uniform() {
        let mut random = Random::new(1);
        assert!((mean_of(|| random.unit()) - 0.5).abs() < 0.005);
    }

    #[test]
    fn exponential__has_mean_one() {
        let mut random = Random::new(2);
        assert!((mean_of(|| random.exponential()) - 1.0).abs() < 0.02);
    }

    #[test]
    fn new__same_seed_same_stream() {
        let (mut a, mut b, mut c) = (Random::new(3), Random::new(3), Random::new(4));
        let draws = |r: &mut Random| (0..10).map(|_| r.unit()).collect::<Vec<_>>();
        let first = draws(&mut a);
        assert_eq!(first, draws(&mut b));
        assert_ne!(first, draws(&mut c));
    }
}
