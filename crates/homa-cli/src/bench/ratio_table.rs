//! Homa beside each other transport, as ratios.

use super::contender::Contender;
use crate::figures_table::figures_table;
use crate::report::Report;

/// What is compared, and how its lines are called.
const METRICS: [(&str, &str); 6] = [
    ("p50", "P50"),
    ("p99", "P99"),
    ("p99_9", "P99.9"),
    ("shorter_half_p99", "P99 of the shorter half"),
    ("kops", "Kops/s"),
    ("gbps", "Gbps"),
];

/// The transports that Homa can be compared with, in the order of the table.
pub(super) fn others(report: &Report) -> Vec<Contender> {
    let compared = |contender: &Contender| {
        report.comparisons.iter().any(|comparison| comparison.is_with(*contender))
    };
    Contender::ALL.into_iter().filter(compared).collect()
}

/// A line per test and metric, a column per transport.
pub(super) fn render(report: &Report, others: &[Contender]) -> String {
    let header = ["Homa over", ""].into_iter().chain(others.iter().map(|c| c.title()));
    let mut table = figures_table(header.collect::<Vec<_>>(), 2);
    let mut tests: Vec<_> = report.comparisons.iter().map(|c| c.test.as_str()).collect();
    tests.dedup();
    for test in tests {
        let mut label = test;
        for (metric, name) in METRICS {
            let ratios: Vec<_> =
                others.iter().map(|other| report.ratio(test, metric, *other)).collect();
            if ratios.iter().any(Option::is_some) {
                let cells = ratios.into_iter().map(|ratio| ratio.map_or("".into(), digits));
                table.add_row([label.to_owned(), name.to_owned()].into_iter().chain(cells));
                label = "";
            }
        }
    }
    format!("{table}\nHoma's figure divided by that of the other transport.")
}

/// Three digits, as ratios may be far from 1.
fn digits(ratio: f64) -> String {
    match ratio {
        r if r >= 100.0 => format!("{r:.0}"),
        r if r >= 10.0 => format!("{r:.1}"),
        r if r >= 0.1 => format!("{r:.2}"),
        r => format!("{r:.3}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use crate::report::tests::{full_report, report};

    #[test]
    fn others__without_homa_itself() {
        let homa = [Contender::Homa, Contender::Raw];
        let expected = Contender::ALL.into_iter().filter(|contender| !homa.contains(contender));
        assert_eq!(others(&full_report()), expected.collect::<Vec<_>>());
    }

    #[test]
    fn render__a_column_per_transport() {
        let report = report(4.0, 5.0);
        let text = render(&report, &others(&report));
        let line = text.lines().find(|line| line.contains("Kops/s")).unwrap();
        let cells: Vec<_> = line.split(['│', '┆']).map(str::trim).collect();
        assert_eq!(cells[1..5], ["", "Kops/s", "2.00", "0.25"]);
        assert!(text.lines().any(|line| line.contains("latency") && line.contains("P50")));
    }

    #[test]
    fn digits__three_of_them() {
        let text = [0.0123, 0.25, 1.5, 12.34, 123.4].map(digits);
        assert_eq!(text, ["0.012", "0.25", "1.50", "12.3", "123"]);
    }
}
