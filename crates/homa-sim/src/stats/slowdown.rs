//! Slowdown, in bins of message length.
//!
//! The slowdown of a message is the time it took divided by the shortest that a message of its
//! length can take on an idle network. Percentiles are nearest-rank: the P-th is the smallest value
//! that at least P % of the values do not exceed, thus always one of the values.

use serde::{Deserialize, Serialize};

use crate::workload::Bin;

/// Where figures of the Homa paper are compared: percentages of messages, by ascending length.
pub const TENTHS: [f64; 10] = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0];

/// Up to which percentage of the workload messages are the shortest half.
const HALF_PERCENT: f64 = 50.0;

/// Slowdowns as they come in, each kept.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowdownBins {
    bins: Vec<Bin>,
    /// The slowdowns recorded in each bin. Their relative error as `f32` is below 10^-7; a run
    /// holds millions.
    values: Vec<Vec<f32>>,
    /// The sum over messages of length times slowdown.
    weighted_bytes: f64,
    /// The sum of all lengths.
    bytes: u64,
}

/// The slowdown in one bin; its statistics are `None` (in JSON: null) if it has no messages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BinReport {
    /// The percentage of the workload's messages up to and with this bin.
    pub cum_pct: f64,
    /// The longest length that belongs to this bin.
    pub upper_bytes: u32,
    /// Messages recorded.
    pub count: u64,
    /// Their mean.
    pub mean: Option<f64>,
    /// Their median.
    pub p50: Option<f64>,
    /// Their 99th percentile.
    pub p99: Option<f64>,
    /// Their 99.9th percentile.
    pub p99_9: Option<f64>,
}

/// The slowdown of a run in few figures; all are `None` (in JSON: null) without messages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SlowdownSummary {
    /// Messages recorded.
    pub count: u64,
    /// The median of the shortest half: of the messages in bins up to 50 % of the workload's
    /// messages, or in the first bin if that holds more.
    pub short_p50: Option<f64>,
    /// The 99th percentile of the shortest half.
    pub short_p99: Option<f64>,
    /// The median of all messages.
    pub p50: Option<f64>,
    /// The 99th percentile of all messages.
    pub p99: Option<f64>,
    /// The 99.9th percentile of all messages.
    pub p99_9: Option<f64>,
    /// The mean, in which every message counts as much.
    pub mean_by_message: Option<f64>,
    /// The mean, in which every byte of every message counts as much.
    pub mean_by_byte: Option<f64>,
}

impl SlowdownBins {
    /// None yet, for bins by ascending length, at least one.
    ///
    /// # Panics
    ///
    /// There are no bins.
    pub fn new(bins: &[Bin]) -> Self {
        assert!(!bins.is_empty(), "slowdown is recorded in at least one bin");
        Self {
            bins: bins.to_vec(),
            values: vec![Vec::new(); bins.len()],
            weighted_bytes: 0.0,
            bytes: 0,
        }
    }

    /// A message of `length` bytes had this slowdown. Messages longer than those of the last bin
    /// belong to it too.
    pub fn record(&mut self, length: u32, slowdown: f64) {
        let bin = self.bins.partition_point(|bin| bin.upper_bytes < length);
        self.values[bin.min(self.bins.len() - 1)].push(slowdown as f32);
        self.weighted_bytes += f64::from(length) * slowdown;
        self.bytes += u64::from(length);
    }

    /// Adds what another recorded in the same bins.
    ///
    /// # Panics
    ///
    /// The other has other bins.
    pub fn merge(&mut self, other: Self) {
        assert_eq!(self.bins, other.bins, "slowdown in different bins cannot be merged");
        for (values, more) in self.values.iter_mut().zip(other.values) {
            values.extend(more);
        }
        self.weighted_bytes += other.weighted_bytes;
        self.bytes += other.bytes;
    }

    /// Messages recorded.
    pub fn count(&self) -> u64 {
        self.values.iter().map(|values| values.len() as u64).sum()
    }

    /// The slowdown in each bin, in their order. It does not depend on the order of recording.
    pub fn report(&self) -> Vec<BinReport> {
        self.bins
            .iter()
            .zip(&self.values)
            .map(|(bin, values)| {
                let sorted = Sorted::new(values.iter());
                BinReport {
                    cum_pct: bin.cumulative_percent,
                    upper_bytes: bin.upper_bytes,
                    count: values.len() as u64,
                    mean: sorted.mean(),
                    p50: sorted.percentile(500),
                    p99: sorted.percentile(990),
                    p99_9: sorted.percentile(999),
                }
            })
            .collect()
    }

    /// The slowdown of all messages together.
    pub fn summary(&self) -> SlowdownSummary {
        let short_bins =
            self.bins.partition_point(|bin| bin.cumulative_percent <= HALF_PERCENT).max(1);
        let short = Sorted::new(self.values[..short_bins].iter().flatten());
        let all = Sorted::new(self.values.iter().flatten());
        SlowdownSummary {
            count: self.count(),
            short_p50: short.percentile(500),
            short_p99: short.percentile(990),
            p50: all.percentile(500),
            p99: all.percentile(990),
            p99_9: all.percentile(999),
            mean_by_message: all.mean(),
            mean_by_byte: (self.bytes > 0).then(|| self.weighted_bytes / self.bytes as f64),
        }
    }
}

/// The bin at each tenth of the messages (see [`TENTHS`]): the first that reaches the tenth; for
/// the last tenth the last bin that has messages, as the longest lengths may not have occurred.
/// Empty if no bin has messages.
///
/// These are the bins that `published::tenths` has too. The last holds few messages in W1 to W3:
/// there [`bin_at`] 99 % is the one to compare.
pub fn tenths(bins: &[BinReport]) -> Vec<&BinReport> {
    let Some(last) = bins.iter().rfind(|bin| bin.count > 0) else { return Vec::new() };
    let (_, below) = TENTHS.split_last().expect("there are ten");
    below.iter().filter_map(|&percent| bin_at(bins, percent)).chain([last]).collect()
}

/// The first bin that reaches a percentage of the messages.
pub fn bin_at(bins: &[BinReport], percent: f64) -> Option<&BinReport> {
    bins.iter().find(|bin| bin.cum_pct >= percent)
}

/// Values in ascending order.
struct Sorted(Vec<f32>);

impl Sorted {
    fn new<'a>(values: impl Iterator<Item = &'a f32>) -> Self {
        let mut sorted: Vec<f32> = values.copied().collect();
        sorted.sort_unstable_by(f32::total_cmp);
        Self(sorted)
    }

    fn mean(&self) -> Option<f64> {
        let sum: f64 = self.0.iter().copied().map(f64::from).sum();
        (!self.0.is_empty()).then(|| sum / self.0.len() as f64)
    }

    /// The nearest-rank percentile, in thousandths from 1 to 1000.
    fn percentile(&self, thousandths: usize) -> Option<f64> {
        let rank = (self.0.len() * thousandths).div_ceil(1000);
        Some(f64::from(*self.0.get(rank.checked_sub(1)?)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use crate::Workload;
    use proptest::prelude::*;

    fn bins_of(edges: &[(f64, u32)]) -> Vec<Bin> {
        edges
            .iter()
            .map(|&(cumulative_percent, upper_bytes)| Bin { cumulative_percent, upper_bytes })
            .collect()
    }

    fn recorded(bins: &[Bin], messages: &[(u32, f64)]) -> SlowdownBins {
        let mut slowdown = SlowdownBins::new(bins);
        for &(length, value) in messages {
            slowdown.record(length, value);
        }
        slowdown
    }

    /// The smallest value that at least the given share of all values does not exceed, by trying
    /// each.
    fn naive_percentile(values: &[f64], percent: f64) -> Option<f64> {
        let reaches = |value: f64| {
            let upto = values.iter().filter(|&&other| other <= value).count();
            upto as f64 * 100.0 >= percent * values.len() as f64 - 1e-6
        };
        let candidates = values.iter().copied().filter(|&value| reaches(value));
        candidates.reduce(f64::min)
    }

    #[test]
    fn record__upper_edges_belong_to_their_bin() {
        let bins = bins_of(&[(50.0, 10), (90.0, 20), (100.0, 30)]);
        let slowdown =
            recorded(&bins, &[(1, 1.0), (10, 2.0), (11, 3.0), (30, 4.0), (31, 5.0), (99, 6.0)]);
        let counts: Vec<_> = slowdown.report().iter().map(|bin| bin.count).collect();
        assert_eq!(counts, [2, 1, 3]);
        assert_eq!(slowdown.count(), 6);
    }

    #[test]
    fn report__bins_are_those_published() {
        for name in ["w1", "w2", "w3", "w4", "w5"] {
            let workload = Workload::named(name).unwrap();
            let report = SlowdownBins::new(workload.bins()).report();
            let bins = bins_of(
                &report.iter().map(|bin| (bin.cum_pct, bin.upper_bytes)).collect::<Vec<_>>(),
            );
            assert_eq!(bins, workload.bins(), "{name}");
        }
    }

    #[test]
    fn report__empty_bins_are_null_in_json() {
        let report = SlowdownBins::new(&bins_of(&[(100.0, 10)])).report();
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(
            json,
            r#"[{"cum_pct":100.0,"upper_bytes":10,"count":0,"mean":null,"p50":null,"p99":null,"p99_9":null}]"#
        );
        assert_eq!(serde_json::from_str::<Vec<BinReport>>(&json).unwrap(), report);
    }

    #[test]
    fn summary__short_messages_and_weights() {
        let bins = bins_of(&[(40.0, 10), (50.0, 20), (60.0, 30), (100.0, 100)]);
        let slowdown = recorded(&bins, &[(10, 1.0), (20, 3.0), (30, 5.0), (100, 7.0)]);
        let summary = slowdown.summary();
        assert_eq!((summary.short_p50, summary.short_p99), (Some(1.0), Some(3.0)));
        assert_eq!((summary.p50, summary.p99, summary.p99_9), (Some(3.0), Some(7.0), Some(7.0)));
        assert_eq!(summary.mean_by_message, Some(4.0));
        assert_eq!(summary.mean_by_byte, Some((10.0 + 60.0 + 150.0 + 700.0) / 160.0));
        // One bin with everything is its own shortest half.
        let one = recorded(&bins_of(&[(100.0, 10)]), &[(10, 2.0)]);
        assert_eq!(one.summary().short_p99, Some(2.0));
        assert_eq!(SlowdownBins::new(&bins).summary().p99, None);
    }

    #[test]
    fn tenths__first_bins_that_reach_them() {
        let bins = bins_of(&[(9.9, 1), (10.0, 2), (35.0, 3), (99.0, 4), (100.0, 5), (100.0, 6)]);
        let report = recorded(&bins, &[(5, 1.0)]).report();
        let uppers: Vec<_> = tenths(&report).iter().map(|bin| bin.upper_bytes).collect();
        assert_eq!(uppers, [2, 3, 3, 4, 4, 4, 4, 4, 4, 5]);
        assert_eq!(bin_at(&report, 99.0).unwrap().upper_bytes, 4);
        assert!(tenths(&SlowdownBins::new(&bins).report()).is_empty());
    }

    fn messages() -> impl Strategy<Value = Vec<(u32, f64)>> {
        // Slowdowns that f32 holds exactly, with repetitions.
        let slowdown = (8_u16..200).prop_map(|eighths| f64::from(eighths) / 8.0);
        proptest::collection::vec((1_u32..40, slowdown), 0..300)
    }

    proptest! {
        #[test]
        fn report__agrees_with_naive_statistics(messages in messages()) {
            let bins = bins_of(&[(20.0, 5), (50.0, 15), (100.0, 30)]);
            let report = recorded(&bins, &messages).report();
            let mut above = 0;
            for bin in &report {
                let upper = if bin.upper_bytes == 30 { u32::MAX } else { bin.upper_bytes };
                let values: Vec<f64> = messages
                    .iter()
                    .filter(|(length, _)| (above + 1..=upper).contains(length))
                    .map(|&(_, value)| value)
                    .collect();
                above = upper;
                prop_assert_eq!(bin.count, values.len() as u64);
                prop_assert_eq!(bin.p50, naive_percentile(&values, 50.0));
                prop_assert_eq!(bin.p99, naive_percentile(&values, 99.0));
                prop_assert_eq!(bin.p99_9, naive_percentile(&values, 99.9));
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                prop_assert_eq!(bin.mean, (!values.is_empty()).then_some(mean));
            }
        }

        #[test]
        fn merge__is_recording_everything_in_one(messages in messages(), split in 0_usize..300) {
            let bins = bins_of(&[(20.0, 5), (50.0, 15), (100.0, 30)]);
            let (first, second) = messages.split_at(split.min(messages.len()));
            let mut merged = recorded(&bins, second);
            merged.merge(recorded(&bins, first));
            let whole = recorded(&bins, &messages);
            prop_assert_eq!(merged.report(), whole.report());
            prop_assert_eq!(merged.summary(), whole.summary());
        }
    }
}
