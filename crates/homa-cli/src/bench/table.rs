//! The table at the end: transports side by side.

use comfy_table::Table;

use super::contender::Contender;
use super::ratio_table;
use crate::figures_table::figures_table;
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

/// One table of all results; another of ratios if there are more than TCP's; and why cells are empty.
pub(super) fn render(report: &Report) -> String {
    let contenders = report.contenders();
    let others = ratio_table::others(report);
    // Ratios to TCP alone stand in the same table.
    let compares = others == [Contender::TcpConnections]
        || others == [Contender::TcpConnections, Contender::TcpPipelined];
    let mut table = figures_table(header(&contenders, compares), 2);
    for test in test_names(report) {
        add_test(&mut table, report, test, &contenders, compares);
    }
    let mut text = format!("{table}\n");
    if !compares && !others.is_empty() {
        text += &format!("{}\n", ratio_table::render(report, &others));
    }
    for skipped in &report.skipped {
        let who = contenders.iter().find(|contender| skipped.is_of(**contender));
        let who = who.map(|contender| contender.to_string()).unwrap_or_default();
        text += &format!("-: {} over {who} is not measured: {}.\n", skipped.test, skipped.reason);
    }
    let regime = report.results.first().map_or("", |result| result.regime.as_str());
    text + &format!(
        "Both sides wait in the same way ({regime}). Gbps: message data of the requests. CPU: cores."
    )
}

fn header(contenders: &[Contender], compares: bool) -> Vec<&'static str> {
    let mut header = vec!["test", ""];
    for contender in contenders {
        header.push(contender.title());
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
    // The test's name and parameters fill the first cells of its lines.
    let mut labels = [test.to_owned(), parameters(report, test)].into_iter();
    let lengths_differ =
        report.results.iter().any(|result| result.test == test && result.shorter_half.is_some());
    for line in LINES.iter().filter(|line| lengths_differ || !line.is_of_shorter_half()) {
        let mut row = vec![labels.next().unwrap_or_default(), line.name.to_owned()];
        for contender in contenders {
            let absent = if report.skipped(test, *contender).is_some() { "-" } else { "" };
            let result = report.result(test, *contender);
            row.push(result.map_or_else(|| absent.into(), line.figure));
            if compares && *contender == Contender::TcpConnections {
                let ratio = line.ratio.and_then(|metric| report.ratio(test, metric, *contender));
                row.push(ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")));
            }
        }
        table.add_row(row);
    }
}

fn parameters(report: &Report, test: &str) -> String {
    let measured = report.results.iter().map(|r| (&r.test, &r.workload, r.outstanding));
    let skipped = report.skipped.iter().map(|s| (&s.test, &s.workload, s.outstanding));
    let any = measured.chain(skipped).find(|(name, ..)| *name == test);
    any.map_or_else(String::new, |(_, workload, outstanding)| {
        format!("{}, {outstanding} outstanding", length_label(workload))
    })
}

/// The tests in the order they were run in.
fn test_names(report: &Report) -> Vec<&str> {
    let measured = report.results.iter().map(|result| result.test.as_str());
    let mut names = Vec::new();
    for name in measured.chain(report.skipped.iter().map(|skipped| skipped.test.as_str())) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
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

/// A latency, or a dash where no call succeeded. From a millisecond on, fractions mean nothing.
fn us(value: Option<f64>) -> String {
    let digits = |value: f64| if value < 1000.0 { 2 } else { 0 };
    value.map_or_else(|| "-".into(), |value| format!("{value:.*}", digits(value)))
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
    use crate::report::tests::{full_report, report, result};

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
        let text =
            render(&Report::new(vec![result("rate", Contender::Homa, 4.0, 1234.5)], Vec::new()));
        assert!(text.contains("Homa") && !text.contains("TCP"));
        assert!(text.contains("1234") || text.contains("1235"));
    }

    /// Ratios have a table of their own then, and what was not measured has a reason.
    #[test]
    fn render__all_transports_fit_on_a_screen() {
        let text = render(&full_report());
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(140), "{text}");
        assert!(text.contains("QUIC") && text.contains("gRPC") && text.contains("UDP"));
        assert!(text.contains("Homa's figure divided by that of"), "{text}");
        assert!(text.contains("-: workload over udp is not measured: too long."), "{text}");
        assert!(text.contains("123457 "), "no fractions of long times: {text}");
    }

    #[test]
    fn render__only_what_can_not_be_measured() {
        let mut report = full_report();
        report.results.clear();
        let text = render(&Report::new(Vec::new(), report.skipped));
        assert!(text.contains("W4, 64 outstanding") && text.contains("too long"), "{text}");
    }

    #[test]
    fn length_label__is_readable() {
        assert_eq!(length_label("1000000"), "1 MB");
        assert_eq!(length_label("100"), "100 B");
        assert_eq!(length_label("w4"), "W4");
    }
}
