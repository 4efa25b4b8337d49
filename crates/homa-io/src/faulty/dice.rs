//! What happens to each packet: all random choices of fault injection.

use super::FaultPlan;
use homa_proto::Duration;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Bits that flip together lie at most this far apart.
///
/// Errors on wires come in bursts, and the UDP checksum detects every burst up to 15 bits. (Bits
/// flipped independently would escape it once in a hundred times, which no wire with an Ethernet
/// checksum lets happen.)
const BURST_BITS: usize = 12;

/// A source of choices. Each kind of fault has a random stream of its own, drawn once for every
/// packet, so that switching one fault on does not change where the others strike.
#[derive(Debug)]
pub(super) struct Dice {
    drop: Stream,
    duplicate: Stream,
    reorder: Stream,
    corrupt: Stream,
    corrupt_undetected: Stream,
    jitter: Stream,
    /// Which bits flip, how long a packet is held back.
    details: Stream,
}

/// What happens to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) drop: bool,
    pub(super) duplicate: bool,
    pub(super) reorder: bool,
    pub(super) corrupt: bool,
    pub(super) corrupt_undetected: bool,
}

#[derive(Debug)]
struct Stream(Xoshiro256PlusPlus);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut seeds = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut stream = || Stream(Xoshiro256PlusPlus::seed_from_u64(seeds.next_u64()));
        Self {
            drop: stream(),
            duplicate: stream(),
            reorder: stream(),
            corrupt: stream(),
            corrupt_undetected: stream(),
            jitter: stream(),
            details: stream(),
        }
    }

    /// The fate of the next packet.
    pub(super) fn fate(&mut self, plan: &FaultPlan) -> Fate {
        Fate {
            drop: self.drop.chance(plan.drop),
            duplicate: self.duplicate.chance(plan.duplicate),
            reorder: self.reorder.chance(plan.reorder),
            corrupt: self.corrupt.chance(plan.corrupt),
            corrupt_undetected: self.corrupt_undetected.chance(plan.corrupt_undetected),
        }
    }

    /// How long a packet is delayed.
    pub(super) fn delay(&mut self, plan: &FaultPlan) -> Duration {
        let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let jitter = self.jitter.below(nanos(plan.jitter).saturating_add(1));
        Duration::from_nanos(nanos(plan.delay).saturating_add(jitter))
    }

    /// For how many later packets one is held back: 1 to 8.
    pub(super) fn passes(&mut self) -> u32 {
        self.details.below(8) as u32 + 1
    }

    /// Flips 1 to 3 bits close together, as an error on a wire does.
    pub(super) fn flip_burst(&mut self, bytes: &mut [u8]) {
        let bits = bytes.len() * 8;
        let window = bits.min(BURST_BITS);
        let start = self.details.below((bits - window) as u64 + 1) as usize;
        self.flip(bytes, start, window);
    }

    /// Flips 1 to 3 bits anywhere.
    pub(super) fn flip_anywhere(&mut self, bytes: &mut [u8]) {
        self.flip(bytes, 0, bytes.len() * 8);
    }

    /// Flips 1 to 3 of the `window` bits from bit `start`; there is at least one bit.
    fn flip(&mut self, bytes: &mut [u8], start: usize, window: usize) {
        let count = self.details.below(3) as usize + 1;
        let mut flipped = Vec::with_capacity(count);
        while flipped.len() < count.min(window) {
            let bit = start + self.details.below(window as u64) as usize;
            if !flipped.contains(&bit) {
                bytes[bit / 8] ^= 0x80 >> (bit % 8);
                flipped.push(bit);
            }
        }
    }
}

impl Stream {
    /// True with this probability.
    fn chance(&mut self, probability: f64) -> bool {
        // The 53 bits that a float holds exactly: below 1 always, so that 1 is certain.
        let sample = (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        sample < probability
    }

    /// A number from 0 to `bound` - 1. (The bias, less than `bound` / 2^64, is of no account here.)
    fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }
}

/// The ones' complement sum that a UDP checksum consists of, over the part of the datagram that may
/// have changed. The headers, which did not, add the same to the sum before and after.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u64::from(u16::from_be_bytes([high, low])),
        [high] => u64::from(high) << 8,
        _ => 0,
    });
    // 0 and 65,535 are the same number in ones' complement.
    (words.sum::<u64>() % 65_535) as u16
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn plan(drop: f64, corrupt: f64) -> FaultPlan {
        FaultPlan { drop, corrupt, ..FaultPlan::default() }
    }

    fn drops(plan: &FaultPlan, seed: u64) -> Vec<bool> {
        let mut dice = Dice::new(seed);
        (0..2_000).map(|_| dice.fate(plan).drop).collect()
    }

    #[test]
    fn fate__follows_from_the_seed_alone() {
        assert_eq!(drops(&plan(0.3, 0.0), 1), drops(&plan(0.3, 0.0), 1));
        assert_ne!(drops(&plan(0.3, 0.0), 1), drops(&plan(0.3, 0.0), 2));
    }

    #[test]
    fn fate__of_one_kind_does_not_depend_on_the_others() {
        assert_eq!(drops(&plan(0.3, 0.0), 1), drops(&plan(0.3, 0.9), 1));
    }

    #[test]
    fn chance__never_and_always_are_exact() {
        assert!(drops(&plan(0.0, 0.0), 3).iter().all(|dropped| !dropped));
        assert!(drops(&plan(1.0, 0.0), 3).iter().all(|dropped| *dropped));
    }

    #[test]
    fn flip_burst__never_escapes_the_checksum() {
        let mut dice = Dice::new(5);
        for round in 0..20_000usize {
            let original: Vec<u8> = (0..1 + round % 97).map(|n| (n * round) as u8).collect();
            let mut flipped = original.clone();
            dice.flip_burst(&mut flipped);
            assert_ne!(checksum(&flipped), checksum(&original));
            let changed = original.iter().zip(&flipped).map(|(a, b)| (a ^ b).count_ones());
            assert!((1..=3).contains(&changed.sum::<u32>()));
        }
    }

    #[test]
    fn checksum__misses_what_a_ones_complement_sum_misses() {
        let original = [0x12, 0x34, 0x56, 0x78, 0x9A];
        // The same bit, set in one word and cleared in another; two words exchanged.
        assert_eq!(checksum(&[0x13, 0x34, 0x55, 0x78, 0x9A]), checksum(&original));
        assert_eq!(checksum(&[0x56, 0x78, 0x12, 0x34, 0x9A]), checksum(&original));
        assert_eq!(checksum(&[0, 0]), checksum(&[0xFF, 0xFF]));
        assert_ne!(checksum(&[0x12, 0x34, 0x56, 0x78, 0x9B]), checksum(&original));
    }

    #[test]
    fn delay__lies_between_delay_and_delay_plus_jitter() {
        let time = |text: &str| text.parse::<FaultPlan>().unwrap();
        let mut dice = Dice::new(1);
        assert_eq!(dice.delay(&time("delay=200us")), Duration::from_micros(200));
        let delays: Vec<_> =
            (0..1000).map(|_| dice.delay(&time("delay=1ms,jitter=100us")).as_micros()).collect();
        assert!(delays.iter().all(|delay| (1000..=1100).contains(delay)));
        assert!(
            delays.iter().any(|delay| *delay < 1020) && delays.iter().any(|delay| *delay > 1080)
        );
    }
}
