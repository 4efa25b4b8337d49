//! Latencies, in histograms with a resolution of 0.1 %.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies above this are counted as this: no call lasts as long.
const LONGEST: Duration = Duration::from_secs(1000);

/// A collection of latencies.
#[derive(Debug, Clone)]
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    /// None yet.
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST.as_nanos() as u64, 3);
        Self(histogram.expect("the bounds are valid"))
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_nanos() as u64);
    }

    /// So many more of this latency.
    pub(crate) fn record_many(&mut self, nanos: u64, count: u64) {
        self.0.saturating_record_n(nanos, count);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Each latency that was met, in nanoseconds and to the resolution, with how often it was, shortest first.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()))
    }

    /// The figures to report; `None` if nothing was recorded.
    pub(crate) fn summary(&self) -> Option<LatencySummary> {
        let us = |nanos: u64| nanos as f64 / 1000.0;
        let at = |quantile| us(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| LatencySummary {
            min: us(self.0.min()),
            p50: at(0.5),
            p99: at(0.99),
            p99_9: at(0.999),
            max: us(self.0.max()),
        })
    }
}

/// Figures of a distribution of latencies, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct LatencySummary {
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
    pub(crate) max: f64,
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn summary__percentiles_within_a_thousandth() {
        let mut latency = Latency::new();
        for us in 1..=1000 {
            latency.record(Duration::from_micros(us));
        }
        let summary = latency.summary().unwrap();
        for (actual, expected) in [
            (summary.min, 1.0),
            (summary.p50, 500.0),
            (summary.p99, 990.0),
            (summary.p99_9, 999.0),
            (summary.max, 1000.0),
        ] {
            assert!((actual / expected - 1.0).abs() < 2e-3, "{actual} {expected}");
        }
    }

    #[test]
    fn add__is_as_if_recorded_here() {
        let (mut a, mut b) = (Latency::new(), Latency::new());
        a.record(Duration::from_micros(5));
        b.record(Duration::from_millis(7));
        a.add(&b);
        assert_eq!(a.count(), 2);
        assert!(a.summary().unwrap().max >= 7000.0);
    }

    #[test]
    fn summary__of_nothing_is_none() {
        let mut latency = Latency::new();
        assert_eq!(latency.summary(), None);
        latency.record(Duration::from_secs(1));
        latency.clear();
        assert_eq!(latency.summary(), None);
    }
}
