//! What is known of the time that packets take to and from one peer, so that loss recovery need
//! be no slower than the network (KNOWN_ISSUES 2.1).
//!
//! Round trips are smoothed as in RFC 6298, in integers: the smoothed value is kept times eight
//! and the variation times four, so that small differences are not rounded away. Besides, the
//! span of reordering is kept: asking again for packets that are merely late multiplied
//! retransmissions twentyfold in HomaModule's experiments.

use crate::time::Duration;

/// Longest time that is taken in: what takes longer was not delay but failure. Keeps sums far
/// from overflow.
const LONGEST: Duration = Duration::from_secs(60);

/// A later sample takes away one part in so many of the remembered reordering span.
const SPAN_DECAY: u64 = 128;

/// Delays to one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DelayEstimate {
    /// Smoothed round trip in ns, times 8; 0 before the first sample.
    smoothed_8: u64,
    /// Smoothed deviation in ns, times 4.
    variation_4: u64,
    minimum: Duration,
    reordering: Duration,
}

impl DelayEstimate {
    /// Takes in a round trip. Not to be called for packets that were retransmitted, whose answers
    /// say nothing (Karn's rule).
    pub(crate) fn sample(&mut self, round_trip: Duration) {
        let sample = round_trip.min(LONGEST).max(Duration::from_nanos(1));
        let nanos = sample.as_nanos();
        if self.smoothed_8 == 0 {
            self.smoothed_8 = nanos * 8;
            self.variation_4 = nanos * 2;
            self.minimum = sample;
        } else {
            let deviation = (self.smoothed_8 / 8).abs_diff(nanos);
            self.variation_4 = self.variation_4 - self.variation_4 / 4 + deviation;
            self.smoothed_8 = self.smoothed_8 - self.smoothed_8 / 8 + nanos;
            self.minimum = self.minimum.min(sample);
        }
        let decay = self.reordering.as_nanos().div_ceil(SPAN_DECAY);
        self.reordering = self.reordering.saturating_sub(Duration::from_nanos(decay));
    }

    /// Takes in that a packet, not retransmitted, came so long after one sent later.
    pub(crate) fn reordered_by(&mut self, late: Duration) {
        self.reordering = self.reordering.max(late.min(LONGEST));
    }

    /// Smoothed round trip, `None` before the first sample.
    #[cfg(test)]
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.measured().then(|| Duration::from_nanos(self.smoothed_8 / 8))
    }

    /// Smoothed deviation from the smoothed round trip, `None` before the first sample.
    #[cfg(test)]
    pub(crate) fn variation(&self) -> Option<Duration> {
        self.measured().then(|| Duration::from_nanos(self.variation_4 / 4))
    }

    /// Shortest round trip ever, `None` before the first sample.
    pub(crate) fn minimum(&self) -> Option<Duration> {
        self.measured().then_some(self.minimum)
    }

    /// Silence after which something expected counts as lost: smoothed round trip plus four times
    /// the variation, between `floor` and `ceiling`; `ceiling` before the first sample.
    pub(crate) fn retransmit_after(&self, floor: Duration, ceiling: Duration) -> Duration {
        let timeout = Duration::from_nanos(self.smoothed_8 / 8 + self.variation_4);
        self.bounded(timeout, floor, ceiling)
    }

    /// How old a gap must be before it is asked for: twice the span of reordering seen lately,
    /// and a quarter of the shortest round trip for what was not seen (RFC 8985 section 7.2
    /// begins with that), between `floor` and `ceiling`; `ceiling` before the first sample.
    pub(crate) fn gap_patience(&self, floor: Duration, ceiling: Duration) -> Duration {
        let patience = self.reordering.saturating_mul(2) + self.minimum.divided_by(4);
        self.bounded(patience, floor, ceiling)
    }

    fn measured(&self) -> bool {
        self.smoothed_8 > 0
    }

    fn bounded(&self, time: Duration, floor: Duration, ceiling: Duration) -> Duration {
        if self.measured() { time.max(floor).min(ceiling) } else { ceiling }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;

    const FLOOR: Duration = Duration::from_micros(100);
    const CEILING: Duration = Duration::from_millis(5);

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    fn sampled(samples: impl IntoIterator<Item = Duration>) -> DelayEstimate {
        let mut estimate = DelayEstimate::default();
        samples.into_iter().for_each(|sample| estimate.sample(sample));
        estimate
    }

    #[test]
    fn estimate__is_small() {
        assert!(size_of::<DelayEstimate>() <= 32);
    }

    #[test]
    fn default__knows_nothing() {
        let mut estimate = DelayEstimate::default();
        assert_eq!(
            (estimate.smoothed(), estimate.variation(), estimate.minimum()),
            (None, None, None)
        );
        estimate.reordered_by(micros(1));
        assert_eq!(estimate.retransmit_after(FLOOR, CEILING), CEILING);
        assert_eq!(estimate.gap_patience(FLOOR, CEILING), CEILING);
    }

    /// RFC 6298 section 2.2.
    #[test]
    fn sample__first() {
        let estimate = sampled([micros(200)]);
        assert_eq!(estimate.smoothed(), Some(micros(200)));
        assert_eq!(estimate.variation(), Some(micros(100)));
        assert_eq!(estimate.minimum(), Some(micros(200)));
        assert_eq!(estimate.retransmit_after(FLOOR, CEILING), micros(600));
    }

    /// RFC 6298 section 2.3: the variation first, from the smoothed value before.
    #[test]
    fn sample__second() {
        let estimate = sampled([micros(200), micros(120)]);
        assert_eq!(estimate.variation(), Some(micros(95)));
        assert_eq!(estimate.smoothed(), Some(micros(190)));
        assert_eq!(estimate.minimum(), Some(micros(120)));
        assert_eq!(estimate.retransmit_after(FLOOR, CEILING), micros(190 + 4 * 95));
    }

    #[test]
    fn retransmit_after__bounds() {
        assert_eq!(sampled([micros(1)]).retransmit_after(FLOOR, CEILING), FLOOR);
        assert_eq!(sampled([Duration::from_secs(1)]).retransmit_after(FLOOR, CEILING), CEILING);
        assert_eq!(sampled([micros(1)]).retransmit_after(CEILING, FLOOR), FLOOR, "ceiling wins");
    }

    #[test]
    fn sample__extremes() {
        let estimate = sampled([Duration::MAX, Duration::MAX, Duration::ZERO]);
        assert!(estimate.smoothed() < Some(LONGEST));
        assert_eq!(estimate.minimum(), Some(Duration::from_nanos(1)));
        assert!(sampled([Duration::ZERO]).smoothed().is_some());
    }

    #[test]
    fn gap_patience__without_reordering() {
        let estimate = sampled([micros(800)]);
        assert_eq!(estimate.gap_patience(FLOOR, CEILING), micros(200));
        assert_eq!(sampled([micros(40)]).gap_patience(FLOOR, CEILING), FLOOR);
    }

    /// KNOWN_ISSUES 2.1: older than the observed reordering span.
    #[test]
    fn gap_patience__exceeds_reordering() {
        let mut estimate = sampled([micros(800)]);
        estimate.reordered_by(micros(300));
        estimate.reordered_by(micros(100));
        assert_eq!(estimate.gap_patience(FLOOR, CEILING), micros(800));
        estimate.reordered_by(Duration::MAX);
        assert_eq!(estimate.gap_patience(FLOOR, CEILING), CEILING);
    }

    #[test]
    fn gap_patience__forgets_slowly() {
        let mut estimate = sampled([micros(40)]);
        estimate.reordered_by(micros(1_000));
        (0..10).for_each(|_| estimate.sample(micros(40)));
        assert!(estimate.gap_patience(FLOOR, CEILING) > micros(1_800));
        (0..3_000).for_each(|_| estimate.sample(micros(40)));
        assert_eq!(estimate.gap_patience(Duration::ZERO, CEILING), micros(10), "entirely");
    }

    proptest! {
        /// The smoothed value lies within the samples, and constant delays are learnt exactly.
        #[test]
        fn sample__stays_within_range(
            samples in prop::collection::vec(1..100_000_000u64, 1..200),
            settled in 1..100_000_000u64,
        ) {
            let mut estimate = sampled(samples.iter().map(|&nanos| Duration::from_nanos(nanos)));
            let smoothed = estimate.smoothed().unwrap().as_nanos();
            let (least, most) = (samples.iter().min().unwrap(), samples.iter().max().unwrap());
            prop_assert!(smoothed >= *least && smoothed <= *most + 1);
            prop_assert_eq!(estimate.minimum(), Some(Duration::from_nanos(*least)));
            (0..400).for_each(|_| estimate.sample(Duration::from_nanos(settled)));
            prop_assert!(estimate.smoothed().unwrap().as_nanos().abs_diff(settled) <= 1);
            prop_assert!(estimate.variation().unwrap() <= Duration::from_nanos(1));
        }
    }
}
