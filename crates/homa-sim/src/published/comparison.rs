//! The slowdown of a run beside that published.

use serde::{Deserialize, Serialize};

use super::csv::{base_workload, is_same};
use super::slowdown::{PublishedSlowdown, slowdown, tenths};
use crate::stats::BinReport;

/// Which bin is compared instead of the last one where that holds few messages, in percent.
const NEARLY_ALL_PERCENT: f64 = 99.0;

/// One bin of a run beside the published one of the same lengths.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Where this is, in percent of the messages from the shortest: 10, 20 and so on to 90, and 100
    /// for W4 or 99 for W1 and W3.
    pub percent: f64,
    /// The longest length in the bin.
    pub upper_bytes: u32,
    /// Messages of the run in the bin.
    pub count: u64,
    /// The run's median.
    pub p50: Option<f64>,
    /// The run's 99th percentile.
    pub p99: Option<f64>,
    /// The published median.
    pub published_p50: f64,
    /// The published 99th percentile.
    pub published_p99: f64,
}

impl Comparison {
    /// The run's median as a multiple of the published one.
    pub fn p50_ratio(&self) -> Option<f64> {
        self.p50.map(|p50| p50 / self.published_p50)
    }

    /// The run's 99th percentile as a multiple of the published one.
    pub fn p99_ratio(&self) -> Option<f64> {
        self.p99.map(|p99| p99 / self.published_p99)
    }
}

/// The bin at each tenth of the messages beside what was published for `protocol` at 80 % load;
/// `None` where nothing was (see [`slowdown`]). `bins` are those of the run, which has the
/// workload's own.
///
/// The last bin of W1 and W3 holds too few messages to compare: that at 99 % takes its place.
pub fn comparison(protocol: &str, workload: &str, bins: &[BinReport]) -> Option<Vec<Comparison>> {
    let (last, below) = tenths(protocol, workload)?.split_last()?;
    let last = if is_same("w4", base_workload(workload)) {
        *last
    } else {
        let nearly = |row: &&PublishedSlowdown| row.percent >= NEARLY_ALL_PERCENT;
        let row = slowdown(protocol, workload)?.iter().find(nearly)?;
        PublishedSlowdown { percent: NEARLY_ALL_PERCENT, ..*row }
    };
    let beside = |row: &PublishedSlowdown| {
        let bin = bins.iter().find(|bin| bin.upper_bytes == row.upper_bytes);
        Comparison {
            percent: row.percent,
            upper_bytes: row.upper_bytes,
            count: bin.map_or(0, |bin| bin.count),
            p50: bin.and_then(|bin| bin.p50),
            p99: bin.and_then(|bin| bin.p99),
            published_p50: row.p50,
            published_p99: row.p99,
        }
    };
    Some(below.iter().chain([&last]).map(beside).collect())
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use crate::Workload;
    use crate::stats::SlowdownBins;

    /// A run in which the slowdown of every message is its bin's number.
    fn run_of(workload: &str) -> Vec<BinReport> {
        let workload = Workload::named(workload).unwrap();
        let mut slowdown = SlowdownBins::new(workload.bins());
        for (number, bin) in workload.bins().iter().enumerate() {
            slowdown.record(bin.upper_bytes, number as f64);
        }
        slowdown.report()
    }

    #[test]
    fn comparison__is_at_tenths_and_the_last_that_counts() {
        let percents = |workload: &str| {
            let compared = comparison("Homa", workload, &run_of(workload)).unwrap();
            compared.iter().map(|row| (row.percent, row.upper_bytes)).collect::<Vec<_>>()
        };
        let expected = [
            (10.0, 315),
            (20.0, 376),
            (30.0, 502),
            (40.0, 561),
            (50.0, 662),
            (60.0, 960),
            (70.0, 6387),
            (80.0, 49_408),
            (90.0, 120_373),
            (100.0, 10_000_000),
        ];
        assert_eq!(percents("w4"), expected);
        assert_eq!(*percents("w3").last().unwrap(), (99.0, 40_018));
        assert_eq!(percents("w1"), percents("w1-pareto"));
    }

    #[test]
    fn comparison__sets_bins_of_the_same_lengths_side_by_side() {
        let run = run_of("w4");
        for row in comparison("Homa", "w4", &run).unwrap() {
            let number = run.iter().position(|bin| bin.upper_bytes == row.upper_bytes).unwrap();
            assert_eq!(
                (row.count, row.p50, row.p99),
                (1, Some(number as f64), Some(number as f64))
            );
            let published = slowdown("Homa", "w4").unwrap()[number];
            assert_eq!(row.published_p99, published.p99);
            assert_eq!(row.p50_ratio(), Some(number as f64 / published.p50));
            assert_eq!(row.p99_ratio(), Some(number as f64 / published.p99));
        }
    }

    #[test]
    fn comparison__without_messages_or_publication() {
        let rows = comparison("Homa", "w4", &[]).unwrap();
        assert!(rows.iter().all(|row| row.count == 0 && row.p99_ratio().is_none()));
        assert_eq!(comparison("Homa", "w5", &[]), None);
        assert_eq!(comparison("DCTCP", "w4", &[]), None);
    }
}
