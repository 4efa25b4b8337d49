//! Six transports in nine scenarios (SIRD, NSDI 2025, table 5): 144 hosts at 100 Gb/s.

use super::csv::{base_workload, is_same, number, rows};

const TABLE: &str = include_str!("../../data/published/sird_nsdi25_table5_raw.csv");

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SirdMetric {
    /// The 99th percentile of slowdown over all messages at 50 % load.
    P99Slowdown,
    /// The highest goodput, in Gb/s for each host.
    MaxGoodputGbps,
    /// The longest queue of any top-of-rack switch (all its ports together), in 10^6 bytes.
    MaxTorQueueMb,
}

/// One column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SirdScenario {
    /// `balanced` (core links at 400 Gb/s), `core` (2:1 over-subscription of the core) or `incast`
    /// (7 % of the load comes from 30 senders at once, 500 KB each).
    pub pattern: &'static str,
    /// `w3`, `w4` or `w5`.
    pub workload: &'static str,
}

/// The nine scenarios, as the table orders them.
pub const SIRD_SCENARIOS: [SirdScenario; 9] = [
    SirdScenario { pattern: "balanced", workload: "w3" },
    SirdScenario { pattern: "balanced", workload: "w4" },
    SirdScenario { pattern: "balanced", workload: "w5" },
    SirdScenario { pattern: "core", workload: "w3" },
    SirdScenario { pattern: "core", workload: "w4" },
    SirdScenario { pattern: "core", workload: "w5" },
    SirdScenario { pattern: "incast", workload: "w3" },
    SirdScenario { pattern: "incast", workload: "w4" },
    SirdScenario { pattern: "incast", workload: "w5" },
];

/// What DCTCP, Swift, ExpressPass, Homa, dcPIM or SIRD achieved in one scenario; `None` also where
/// the authors call it unstable.
pub fn sird(metric: SirdMetric, protocol: &str, pattern: &str, workload: &str) -> Option<f64> {
    let name = match metric {
        SirdMetric::P99Slowdown => "p99_slowdown_50pct_load",
        SirdMetric::MaxGoodputGbps => "max_goodput_gbps",
        SirdMetric::MaxTorQueueMb => "max_tor_queue_mb",
    };
    let workload = base_workload(workload);
    let scenario = SIRD_SCENARIOS.iter().position(|scenario| {
        is_same(scenario.pattern, pattern) && is_same(scenario.workload, workload)
    })?;
    let row = rows(TABLE).find(|fields| fields[0] == name && is_same(fields[1], protocol))?;
    let field = row[2 + scenario];
    (field != "U").then(|| number(field))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn sird__scenarios_are_the_columns_of_the_table() {
        let header = TABLE.lines().nth(1).unwrap();
        let columns: Vec<_> = header.split(',').skip(2).take(9).collect();
        for (column, scenario) in columns.iter().zip(SIRD_SCENARIOS) {
            let (pattern, workload) = column.split_once('_').unwrap();
            assert!(scenario.pattern.starts_with(pattern), "{column} {scenario:?}");
            assert!(is_same(scenario.workload, workload), "{column} {scenario:?}");
        }
    }

    #[test]
    fn sird__has_every_number() {
        for metric in
            [SirdMetric::P99Slowdown, SirdMetric::MaxGoodputGbps, SirdMetric::MaxTorQueueMb]
        {
            let mut found = 0;
            for protocol in ["DCTCP", "Swift", "ExpressPass", "Homa", "dcPIM", "SIRD"] {
                for scenario in SIRD_SCENARIOS {
                    let value = sird(metric, protocol, scenario.pattern, scenario.workload);
                    assert!(value.is_none_or(|value| value > 0.0));
                    found += usize::from(value.is_some());
                }
            }
            // All but those that the authors call unstable.
            let unstable = TABLE
                .lines()
                .filter(|line| sird_metric_of(line) == Some(metric))
                .map(|line| line.matches(",U").count())
                .sum::<usize>();
            assert_eq!(found + unstable, 54, "{metric:?}");
        }
    }

    fn sird_metric_of(line: &str) -> Option<SirdMetric> {
        match line.split(',').next()? {
            "p99_slowdown_50pct_load" => Some(SirdMetric::P99Slowdown),
            "max_goodput_gbps" => Some(SirdMetric::MaxGoodputGbps),
            "max_tor_queue_mb" => Some(SirdMetric::MaxTorQueueMb),
            _ => None,
        }
    }

    #[test]
    fn sird__single_cells() {
        assert_eq!(sird(SirdMetric::P99Slowdown, "homa", "incast", "w5"), Some(7.37));
        assert_eq!(sird(SirdMetric::MaxGoodputGbps, "SIRD", "core", "W4"), Some(50.47));
        assert_eq!(sird(SirdMetric::MaxTorQueueMb, "Homa", "balanced", "w4"), Some(9.46));
        assert_eq!(sird(SirdMetric::P99Slowdown, "DCTCP", "incast", "w3"), None);
        assert_eq!(sird(SirdMetric::P99Slowdown, "Homa", "balanced", "w1"), None);
    }
}
