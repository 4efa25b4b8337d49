//! Ranges of message lengths, in each of which slowdown is reported.

use super::Step;

/// The bins of the figures in the Homa paper (SIGCOMM 2018), from its authors' raw data.
const PUBLISHED: &str = include_str!("../../data/workloads/bins.csv");

/// The messages longer than those of the bin before and not longer than `upper_bytes`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// The percentage of messages up to and with this bin, up to 100.
    pub cumulative_percent: f64,
    /// The longest length that belongs here.
    pub upper_bytes: u32,
}

/// Those of W1 to W5, in the order of the publication; `None` for any other name.
pub(super) fn published(name: &str) -> Option<Vec<Bin>> {
    let bins: Vec<Bin> = PUBLISHED
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|fields| fields[0].eq_ignore_ascii_case(name))
        .map(|fields| Bin {
            cumulative_percent: fields[1].parse().expect("a test parses all lines"),
            upper_bytes: fields[2].parse().expect("a test parses all lines"),
        })
        .collect();
    (!bins.is_empty()).then_some(bins)
}

/// At most `count` bins with as equal shares of messages as the steps allow.
pub(super) fn of_equal_count(steps: &[Step], cumulative: &[f64], count: u32) -> Vec<Bin> {
    let mut bins = Vec::new();
    // How many of the equal parts are full; half a millionth forgives rounding in the sums.
    let mut full = 0;
    for (step, sum) in steps.iter().zip(cumulative) {
        let reached = (sum * f64::from(count) + 5e-7) as u32;
        if reached > full {
            full = reached;
            bins.push(Bin { cumulative_percent: sum * 100.0, upper_bytes: step.length });
        }
    }
    bins
}
