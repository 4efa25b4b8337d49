//! Random numbers: every use in a run has its own stream, and one seed determines all of them.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A stream of random numbers.
///
/// Streams are independent, so that drawing more numbers for one purpose (another spraying rule,
/// say) leaves the other purposes' numbers (the messages of the workload) as they were: two
/// protocols are then compared under the very same arrivals.
#[derive(Debug, Clone)]
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    /// The stream of a run with `seed` for the purpose `stream`, such as `"arrivals"`, of the
    /// host, link or switch `index`.
    pub fn new(seed: u64, stream: &str, index: u64) -> Self {
        let key = [hash(stream), index].into_iter().fold(mix(seed), |key, part| mix(key ^ part));
        Self::from_seed(key)
    }

    /// The stream of something that needs only one.
    pub fn from_seed(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        // The upper 53 bits are what an f64 can hold exactly.
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Exponentially distributed with mean 1: the gaps between arrivals of a Poisson process.
    pub fn exponential(&mut self) -> f64 {
        // 1 - unit() lies in (0, 1], so the logarithm is finite.
        -(1.0 - self.unit()).ln()
    }

    /// Uniform in 0..`n`, or 0 if `n` is 0.
    ///
    /// Some values are more likely than others by at most `n` in 2^32, which no simulation notices.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(n)) >> 32) as u32
    }
}

/// FNV-1a, 64 bits: unlike those of the standard library and of fast hash maps, this one is the
/// same for ever, and with it the numbers of a run.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finalizer of SplitMix64, a bijection: near-by seeds and indices end up far apart.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn mean_of(draw: impl FnMut() -> f64) -> f64 {
        std::iter::repeat_with(draw).take(100_000).sum::<f64>() / 100_000.0
    }

    fn draws(mut random: Random) -> Vec<f64> {
        (0..10).map(|_| random.unit()).collect()
    }

    #[test]
    fn new__seed_stream_and_index_each_matter() {
        let first = draws(Random::new(3, "arrivals", 0));
        assert_eq!(first, draws(Random::new(3, "arrivals", 0)));
        assert_ne!(first, draws(Random::new(4, "arrivals", 0)));
        assert_ne!(first, draws(Random::new(3, "lengths", 0)));
        assert_ne!(first, draws(Random::new(3, "arrivals", 1)));
    }

    /// As xoshiro256++ is defined, with SplitMix64's numbers as its first state.
    #[test]
    fn from_seed__is_the_same_for_ever() {
        let mut random = Random::from_seed(3);
        let numbers = [0x0d2b_eb91_b919_6929, 0xa5dd_ec9f_6e30_6924, 0xddf4_a242_68e3_e59f];
        assert_eq!([(); 3].map(|()| random.0.next_u64()), numbers);
    }

    #[test]
    fn new__neighbours_are_not_correlated() {
        // Of two independent uniform numbers the product has mean 1/4.
        let mut hosts: Vec<_> = (0..1000).map(|host| Random::new(1, "arrivals", host)).collect();
        let units: Vec<_> = hosts.iter_mut().map(Random::unit).collect();
        let products = units.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / 999.0;
        assert!((products - 0.25).abs() < 0.03, "{products}");
    }

    #[test]
    fn unit__is_uniform() {
        let mut random = Random::new(1, "test", 0);
        assert!((mean_of(|| random.unit()) - 0.5).abs() < 0.005);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.unit())));
    }

    #[test]
    fn exponential__has_mean_one() {
        let mut random = Random::new(2, "test", 0);
        assert!((mean_of(|| random.exponential()) - 1.0).abs() < 0.02);
    }

    #[test]
    fn below__reaches_every_value_equally_often() {
        let mut random = Random::new(3, "test", 0);
        let mut counts = [0_u32; 143];
        for _ in 0..143_000 {
            counts[random.below(143) as usize] += 1;
        }
        // Five standard deviations around 1,000.
        assert!(counts.iter().all(|count| (840..1160).contains(count)), "{counts:?}");
        assert_eq!((random.below(1), random.below(0)), (0, 0));
    }
}
