//! Slowdown by length, and the queues of the same runs (SIGCOMM 2018, figures 12 and 13, table 1).

use homa_sim::plot::{self, Curve, Line};
use homa_sim::published::{self, Comparison};
use homa_sim::stats::{self, BinReport};
use homa_sim::{Workload, published::PublishedSlowdown};

use super::command::Command;
use super::figures::Run;
use super::markdown::{one, ratio, table, two};
use super::{Experiment, Rendered, Results};
use crate::Findings;

/// At 80 % load.
pub(super) const AT_80: Experiment = Experiment {
    name: "slowdown",
    title: "Slowdown and queues at 80 % load",
    about: "\
P50 and P99 of slowdown in the bin at each tenth of messages, beside figures 12 and 13 of SIGCOMM'18 (W1, W3 and W4 are published as \
data), queue lengths beside its table 1, and the share of the links' traffic that is message data beside the factors of the authors' \
configuration. Bars: P50 at most 1.10 and P99 at most 1.20 times the published, 1.30 in the last bin (of W1 and W3 that at 99 % is compared); \
at least 1,000 messages in each bin. `w1` has the lengths of the authors' file, `w1-pareto` those of the formula from which they drew \
them.",
    commands: || commands("0.8"),
    render,
};

const WORKLOADS: [&str; 6] = ["w1", "w1-pareto", "w2", "w3", "w4", "w5"];

/// What of the links' traffic is message data, by the authors' configuration (PAPER_RESULTS 1.1).
const DATA_SHARES: [f64; 6] = [0.657, 0.657, 0.796, 0.887, 0.898, 0.898];

const P50_RATIO_MAX: f64 = 1.10;
const P99_RATIO_MAX: f64 = 1.20;
/// Of the last bin that is compared.
const LAST_P99_RATIO_MAX: f64 = 1.30;
/// Below this a reason is due.
const RATIO_REMARKABLE: f64 = 0.80;
const SAMPLES_MIN: u64 = 1000;
/// Of W2 the bin here is shown instead of the last.
const NEARLY_ALL_PERCENT: f64 = 99.0;

/// At half of the links' bandwidth.
pub(super) const AT_50: Experiment = Experiment {
    name: "slowdown-50",
    title: "Slowdown at 50 % load",
    about: "\
The same at 50 % load, for comparison: of that load nothing is published as data.",
    commands: || commands("0.5"),
    render: render_alone,
};

fn commands(load: &str) -> Vec<Command> {
    let command = |&workload: &&str| {
        // W5's messages are so long that as many as elsewhere would take an hour, and no slowdown of it is
        // published as data.
        let (less, quick) = match workload {
            "w1" | "w1-pareto" | "w2" => ("", "messages=30K warmup_ms=2"),
            "w5" => (" --messages 3000 --runs 1 --set warmup_ms=100", "messages=300 warmup_ms=20"),
            "w3" => ("", "messages=50K warmup_ms=5 seconds_max=0.06"),
            _ => ("", "messages=5K warmup_ms=10 seconds_max=0.06"),
        };
        Command::new(workload, format!("--workload {workload} --load {load}{less}")).quick(quick)
    };
    WORKLOADS.iter().map(command).collect()
}

fn render(results: &Results) -> Rendered {
    let mut rendered = Rendered::default();
    let measured = || {
        WORKLOADS
            .into_iter()
            .filter_map(|workload| Some((workload, results.runs(workload).first()?)))
    };
    for (workload, run) in measured() {
        rendered.text += &format!("## {}\n\n{}\n", workload.to_uppercase(), slowdown_table(run));
        rendered.findings.extend(findings("Homa", run));
        rendered.plots.extend(svg(run).map(|svg| (workload.into(), svg)));
    }
    if measured().next().is_some() {
        let runs: Vec<&Run> = measured().map(|(_, run)| run).collect();
        rendered.text += &format!("## Queues, KB\n\n{}\n", queue_table(&runs));
        rendered.text +=
            &format!("## Message data in the links' traffic\n\n{}\n", share_table(&runs));
    }
    rendered
}

fn render_alone(results: &Results) -> Rendered {
    let mut rendered = Rendered::default();
    for workload in WORKLOADS {
        let Some(run) = results.runs(workload).first() else { continue };
        let table = plain_table(&bins_of_note(run));
        rendered.text += &format!("## {}\n\n{table}\n", workload.to_uppercase());
    }
    rendered
}

/// Each tenth, beside what was published if it was.
pub(super) fn slowdown_table(run: &Run) -> String {
    match published::comparison("Homa", &run.workload, &run.bins) {
        Some(rows) => comparison_table(&rows),
        None => plain_table(&bins_of_note(run)),
    }
}

/// Figures beside published ones.
pub(super) fn comparison_table(rows: &[Comparison]) -> String {
    let header = [
        "% of messages",
        "up to bytes",
        "samples",
        "P50",
        "published",
        "ratio",
        "P99",
        "published",
        "ratio",
    ];
    let cells = |row: &Comparison| {
        vec![
            format!("{:.0}", row.percent),
            row.upper_bytes.to_string(),
            row.count.to_string(),
            two(row.p50),
            two(Some(row.published_p50)),
            two(row.p50_ratio()),
            two(row.p99),
            two(Some(row.published_p99)),
            two(row.p99_ratio()),
        ]
    };
    table(&header, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// The bin at each tenth; the last of W2 has next to no messages.
fn bins_of_note(run: &Run) -> Vec<&BinReport> {
    let mut bins = stats::tenths(&run.bins);
    if run.workload == "w2"
        && let Some(last) = bins.last_mut()
        && let Some(nearly_last) = stats::bin_at(&run.bins, NEARLY_ALL_PERCENT)
    {
        *last = nearly_last;
    }
    bins
}

fn plain_table(bins: &[&BinReport]) -> String {
    let header = ["% of messages", "up to bytes", "samples", "P50", "P99"];
    let cells = |bin: &&BinReport| {
        vec![
            format!("{:.0}", bin.cum_pct),
            bin.upper_bytes.to_string(),
            bin.count.to_string(),
            two(bin.p50),
            two(bin.p99),
        ]
    };
    table(&header, &bins.iter().map(cells).collect::<Vec<_>>())
}

/// What is beyond its bar, or so far below the published that there must be a reason.
fn findings(protocol: &str, run: &Run) -> Findings {
    let rows = published::comparison(protocol, &run.workload, &run.bins).unwrap_or_default();
    let mut findings = Findings::new();
    for (index, row) in rows.iter().enumerate() {
        let at = format!("{} at {:.0} %", run.workload.to_uppercase(), row.percent);
        let p99_max = if index + 1 == rows.len() { LAST_P99_RATIO_MAX } else { P99_RATIO_MAX };
        let ratios = [("P50", row.p50_ratio(), P50_RATIO_MAX), ("P99", row.p99_ratio(), p99_max)];
        for (name, ratio, max) in ratios {
            let ratio = ratio.unwrap_or(f64::INFINITY);
            if ratio > max {
                findings.push(format!("{at}: {name} is {ratio:.2} times the published"));
            } else if ratio < RATIO_REMARKABLE {
                findings.push(format!("{at}: {name} is only {ratio:.2} times the published: why?"));
            }
        }
        if row.count < SAMPLES_MIN {
            findings.push(format!("{at}: only {} messages", row.count));
        }
    }
    findings
}

const PLACES: [(&str, &str); 3] = [
    ("tor_to_aggr", "TOR to aggregation"),
    ("aggr_to_tor", "aggregation to TOR"),
    ("tor_to_host", "TOR to host"),
];

fn queue_table(runs: &[&Run]) -> String {
    let header =
        ["queue", "workload", "mean", "published", "ratio", "P99", "max", "published", "ratio"];
    let row = |(place, name): (&str, &str), run: &Run| {
        let queue = run.queues.get(place);
        let published = published::queue_length(place, &run.workload);
        let (mean, max) = (published.map(|p| p.mean_kb), published.map(|p| p.max_kb));
        let our_mean = queue.map(|queue| queue.mean_bytes / 1e3);
        let our_max = queue.map(|queue| queue.max_bytes as f64 / 1e3);
        vec![
            name.to_owned(),
            run.workload.to_uppercase(),
            one(our_mean),
            one(mean),
            two(ratio(our_mean, mean)),
            one(queue.map(|queue| queue.p99_bytes as f64 / 1e3)),
            one(our_max),
            one(max),
            two(ratio(our_max, max)),
        ]
    };
    let rows: Vec<_> =
        PLACES.into_iter().flat_map(|place| runs.iter().map(move |run| row(place, run))).collect();
    table(&header, &rows)
}

fn share_table(runs: &[&Run]) -> String {
    let header =
        ["workload", "links to hosts in use, %", "message data, Gb/s", "share", "published"];
    let row = |run: &&Run| {
        let used_gbps = run.utilization_pct / 10.0;
        let index = WORKLOADS.iter().position(|workload| *workload == run.workload);
        vec![
            run.workload.to_uppercase(),
            one(Some(run.utilization_pct)),
            two(Some(run.goodput_gbps)),
            format!("{:.3}", run.goodput_gbps / used_gbps),
            index.map_or_else(String::new, |index| format!("{:.3}", DATA_SHARES[index])),
        ]
    };
    table(&header, &runs.iter().map(row).collect::<Vec<_>>())
}

/// All bins; not only those of the table.
fn svg(run: &Run) -> Option<String> {
    let lengths = Workload::named(&run.workload).ok()?;
    let ours = |value: fn(&BinReport) -> Option<f64>| {
        run.bins.iter().filter_map(|bin| Some((bin.cum_pct, value(bin)?))).collect()
    };
    let rows = published::slowdown("Homa", &run.workload).unwrap_or_default();
    let theirs = |value: fn(&PublishedSlowdown) -> f64| {
        rows.iter().map(|row| (row.percent, value(row))).collect()
    };
    let curve = |name: &str, points, color, line| Curve { name: name.into(), points, color, line };
    let mut curves = vec![
        curve("P99", ours(|bin| bin.p99), 1, Line::Solid),
        curve("P50", ours(|bin| bin.p50), 1, Line::Dashed),
        curve("published P99", theirs(|row| row.p99), 0, Line::Dotted),
        curve("published P50", theirs(|row| row.p50), 0, Line::Dotted),
    ];
    curves.retain(|curve| !curve.points.is_empty());
    let title = format!("{} at {} % load", run.workload.to_uppercase(), 100.0 * run.load);
    Some(plot::slowdown(&title, lengths.bins(), &curves))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::super::figures::Figures;
    use super::super::figures::tests::small;
    use super::*;

    /// A run with the published slowdown, times a factor, in every bin.
    fn as_published(factor: f64) -> Run {
        let mut run = small("w4");
        let rows = published::slowdown("Homa", "w4").unwrap();
        for (bin, row) in run.bins.iter_mut().zip(rows) {
            (bin.count, bin.p50, bin.p99) = (2000, Some(row.p50), Some(factor * row.p99));
        }
        run
    }

    #[test]
    fn findings__are_what_is_out_of_bounds() {
        assert!(findings("Homa", &as_published(1.19)).is_empty());
        let all_but_last = findings("Homa", &as_published(1.25));
        assert_eq!(all_but_last.len(), 9, "{all_but_last:?}");
        assert_eq!(findings("Homa", &as_published(1.31)).len(), 10);
        assert!(findings("Homa", &as_published(0.7))[0].contains("W4 at 10 %: P99 is only 0.70"));
        let mut run = as_published(1.0);
        run.bins.iter_mut().for_each(|bin| bin.count = 999);
        assert_eq!(findings("Homa", &run).len(), 10);
    }

    #[test]
    fn render__has_ours_and_the_published() {
        let commands = commands("0.8");
        let mut figures = Figures::default();
        figures.put(&commands[4], vec![as_published(1.1)]);
        let rendered = render(&Results { commands, figures });
        assert!(
            rendered.text.contains("| 10 | 315 | 2000 | 1.42 | 1.42 | 1.00 |"),
            "{}",
            rendered.text
        );
        assert!(rendered.text.contains("| TOR to host | W4 |"));
        assert!(rendered.findings.is_empty());
        let [(suffix, svg)] = &rendered.plots[..] else { panic!() };
        assert!(suffix == "w4" && svg.contains("published P99") && svg.contains("W4 at 80 % load"));
    }
}
