//! The table at the end: transports side by side.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::contender::Contender;
use crate::report::{Report, TestResult};

/// A line of the table: its name, its figure, and the name of its ratio, if there is one.
struct Line {
    name: &'static str,
    figure: fn(&TestResult) -> String,
    ratio: Option<&'static str>,
}

impl Line {
    fn is_of_shorter_half(&self) -> bool {
        self.ratio == Some("shorter_half_p99")
    }
}

const LINES: [Line; 10] = [
    Line { name: "P50 (us)", figure: |r| us(r.rtt_us.map(|rtt| rtt.p50)), ratio: Some("p50") },
    Line { name: "P99 (us)", figure: |r| us(r.rtt_us.map(|rtt| rtt.p99)), ratio: Some("p99") },
    Line {
        name: "P99.9 (us)",
        figure: |r| us(r.rtt_us.map(|rtt| rtt.p99_9)),
        ratio: Some("p99_9"),
    },
    Line { name: "longest (us)", figure: |r| us(r.rtt_us.map(|rtt| rtt.max)), ratio: None },
    Line {
        name: "P99 of the shorter half",
        figure: |r| us(r.shorter_half.map(|half| half.p99)),
        ratio: Some("shorter_half_p99"),
    },
    Line { name: "Kops/s", figure: |r| three_digits(r.kops), ratio: Some("kops") },
    Line { name: "Gbps", figure: |r| three_digits(r.gbps), ratio: Some("gbps") },
    Line { name: "CPU client", figure: |r| cores(r.cpu.client, "-"), ratio: None },
    Line { name: "CPU server", figure: |r| cores(r.cpu.server, "unknown"), ratio: None },
    Line { name: "errors", figure: |r| r.errors.to_string(), ratio: None },
];

/// One table of all results.
pub(super) fn render(report: &Report) -> String {
    let contenders: Vec<_> = Contender::ALL
        .into_iter()
        .filter(|contender| report.results.iter().any(|result| result.is_of(*contender)))
        .collect();
    let compares = !report.ratios.is_empty();
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header(&contenders, compares));
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for test in test_names(report) {
        add_test(&mut table, report, test, &contenders, compares);
    }
    let regime = report.results.first().map_or("", |result| result.regime.as_str());
    format!(
        "{table}\nBoth sides wait in the same way ({regime}). Gbps: message data of the requests. CPU: cores."
    )
}

fn header(contenders: &[Contender], compares: bool) -> Vec<&'static str> {
    let mut header = vec!["test", ""];
    for contender in contenders {
        header.push(match contender {
            Contender::Homa => "Homa",
            Contender::Raw => "Homa raw IP",
            Contender::TcpConnections => "TCP",
            Contender::TcpPipelined => "TCP pipelined",
        });
        // The ratio stands beside the two that it compares.
        if compares && *contender == Contender::TcpConnections {
            header.push("Homa/TCP");
        }
    }
    header
}

fn add_test(
    table: &mut Table,
    report: &Report,
    test: &str,
    contenders: &[Contender],
    compares: bool,
) {
    let any = report.results.iter().find(|result| result.test == test);
    // The test's name and parameters fill the first cells of its lines.
    let mut labels = any.into_iter().flat_map(|result| {
        [
            test.to_owned(),
            format!("{}, {} outstanding", length_label(&result.workload), result.outstanding),
        ]
    });
    let lengths_differ =
        report.results.iter().any(|result| result.test == test && result.shorter_half.is_some());
    for line in LINES.iter().filter(|line| lengths_differ || !line.is_of_shorter_half()) {
        let mut row = vec![labels.next().unwrap_or_default(), line.name.to_owned()];
        for contender in contenders {
            let result = report.result(test, *contender);
            row.push(result.map_or_else(String::new, line.figure));
            if compares && *contender == Contender::TcpConnections {
                let ratio = line.ratio.and_then(|metric| report.ratio(test, metric));
                row.push(ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")));
            }
        }
        table.add_row(row);
    }
}

/// The tests in the order they were run in.
fn test_names(report: &Report) -> Vec<&str> {
    let mut names: Vec<_> = report.results.iter().map(|result| result.test.as_str()).collect();
    names.dedup();
    names
}

fn length_label(workload: &str) -> String {
    match workload.parse::<u64>() {
        Ok(bytes) if bytes >= 1_000_000 && bytes.is_multiple_of(1_000_000) => {
            format!("{} MB", bytes / 1_000_000)
        }
        Ok(bytes) => format!("{bytes} B"),
        Err(_) => workload.to_uppercase(),
    }
}

/// A latency, or a dash where no call succeeded.
fn us(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.2}"))
}

fn cores(value: Option<f64>, absent: &str) -> String {
    value.map_or_else(|| absent.into(), |value| format!("{value:.2}"))
}

/// Three significant digits or all before the point.
fn three_digits(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use crate::report::tests::{report, result};

    #[test]
    fn render__side_by_side_with_ratio() {
        let text = render(&report(4.0, 5.0));
        let line = text.lines().find(|line| line.contains("P50")).unwrap();
        let cells: Vec<_> = line.split(['│', '┆']).map(str::trim).collect();
        assert_eq!(cells[1..7], ["latency", "P50 (us)", "4.00", "5.00", "0.80", "5.00"]);
        assert!(text.contains("100 B, 1 outstanding"));
        assert!(text.lines().all(|line| line.chars().count() <= 110));
    }

    #[test]
    fn render__one_transport_alone() {
        let text = render(&Report::new(vec![result("rate", Contender::Homa, 4.0, 1234.5)]));
        assert!(text.contains("Homa") && !text.contains("TCP"));
        assert!(text.contains("1234") || text.contains("1235"));
    }

    #[test]
    fn length_label__is_readable() {
        assert_eq!(length_label("1000000"), "1 MB");
        assert_eq!(length_label("100"), "100 B");
        assert_eq!(length_label("w4"), "W4");
    }
}
