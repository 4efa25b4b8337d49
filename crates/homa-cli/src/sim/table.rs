//! The results as people read them.

use std::fmt::Write;

use comfy_table::Table;
use homa_sim::{DropCounts, MemoryReport, RunReport};

use super::comparison::{self, Row};
use super::report::{Run, SimReport};
use crate::figures_table::figures_table;

/// One run in all detail, or several side by side.
pub(super) fn render(report: &SimReport) -> String {
    match &report.runs[..] {
        [] => "nothing was run\n".into(),
        [run] => details(run),
        runs => side_by_side(runs),
    }
}

/// What was run, such as `W4 at load 0.8, 144 hosts, seeds 1, 2`.
fn title(run: &Run) -> String {
    let RunReport { protocol, workload, load, seeds, .. } = &run.report;
    let hosts = run.config.network.topology.hosts();
    let seeds = match seeds[..] {
        [seed] => format!("seed {seed}"),
        [first, .., last] => format!("seeds {first} to {last}"),
        [] => "no seed".into(),
    };
    if let Some(file) = &run.config.replay {
        return format!("{protocol}, replay of {}, {hosts} hosts, {seeds}", file.display());
    }
    format!("{protocol}, {} at load {load}, {hosts} hosts, {seeds}", workload.to_uppercase())
}

fn details(run: &Run) -> String {
    let rows = comparison::rows(run);
    let mut text = format!("{}\n{}\n", title(run), slowdown_table(&rows));
    if rows.iter().any(|row| row.published.is_some()) {
        text += "published: the Homa paper, SIGCOMM 2018, figures 12 and 13, and table 1\n";
    }
    text + &format!("{}\n{}", queue_table(run), figures(run))
}

fn slowdown_table(rows: &[Row]) -> Table {
    let is_compared = rows.iter().any(|row| row.published.is_some());
    let mut header = vec!["% of messages", "up to bytes", "count", "P50", "P99"];
    if is_compared {
        header.extend(["published P50", "ratio", "published P99", "ratio"]);
    }
    let mut table = figures_table(header, 1);
    for row in rows {
        let mut cells = vec![
            format!("{:.0}", row.percent),
            row.upper_bytes.to_string(),
            row.count.to_string(),
            slowdown(row.p50),
            slowdown(row.p99),
        ];
        if let Some((p50, p99)) = row.published {
            let ratio = |ours: Option<f64>, theirs| slowdown(ours.map(|ours| ours / theirs));
            cells.extend([slowdown(Some(p50)), ratio(row.p50, p50)]);
            cells.extend([slowdown(Some(p99)), ratio(row.p99, p99)]);
        }
        table.add_row(cells);
    }
    table
}

fn queue_table(run: &Run) -> Table {
    let published = |place: &str| comparison::published_queue(run, place);
    let is_compared = run.report.queues.keys().any(|place| published(place).is_some());
    let mut header = vec!["queue (KB)", "mean", "P99", "max"];
    if is_compared {
        header.extend(["published mean", "published max"]);
    }
    let mut table = figures_table(header, 1);
    let whole = run.report.buffers.iter().map(|(tier, all)| (format!("all of a {tier}"), all));
    let queues = run.report.queues.iter().map(|(place, queue)| (place.clone(), queue));
    for (place, queue) in queues.chain(whole) {
        let mut cells = vec![
            place.clone(),
            format!("{:.1}", queue.mean_bytes / 1e3),
            kilobytes(queue.p99_bytes),
            kilobytes(queue.max_bytes),
        ];
        if is_compared {
            let cell = |kb: Option<f64>| kb.map_or_else(String::new, |kb| format!("{kb:.1}"));
            let lengths = published(&place);
            cells.push(cell(lengths.map(|lengths| lengths.mean_kb)));
            cells.push(cell(lengths.map(|lengths| lengths.max_kb)));
        }
        table.add_row(cells);
    }
    table
}

/// All other figures, one per line.
fn figures(run: &Run) -> String {
    let report = &run.report;
    let levels: Vec<_> = report.priorities.iter().map(|share| format!("{share:.1}")).collect();
    let mut lines = vec![
        ("goodput", format!("{:.2} Gb/s per host", report.goodput_gbps)),
        (
            "links to hosts",
            format!("{:.1} % in use, {:.2} % wasted", report.utilization_pct, report.wasted_pct),
        ),
        ("bytes by priority", format!("{} % from the lowest", levels.join(" "))),
        ("messages", format!("{} measured, {} unfinished", report.messages, report.unfinished)),
        (
            "packets",
            format!("{} of data, {} grants", report.counts.data_packets, report.counts.grants),
        ),
        (
            "losses",
            format!(
                "{}, {} sent again, {} messages given up",
                dropped(report.drops_by_cause),
                report.counts.retransmissions,
                report.counts.failures
            ),
        ),
        ("simulated", format!("{:.1} ms, {} events", report.sim_seconds * 1e3, report.events)),
        (
            "took",
            format!(
                "{:.1} s of one core, {:.2} M events/s",
                report.wall_seconds,
                report.events_per_second / 1e6
            ),
        ),
        ("fingerprint", report.fingerprint.clone()),
    ];
    if let Some(memory) = &report.memory {
        lines.insert(6, ("memory", peaks(memory)));
    }
    if let Some(incast) = &report.incast {
        let (p50, p99) = (slowdown(incast.p50), slowdown(incast.p99));
        lines.insert(3, ("incasts", format!("slowdown P50 {p50}, P99 {p99}")));
    }
    lines.into_iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<18} {value}");
        text
    })
}

/// Such as `at a host at most 857.4 KB incoming, 1394.0 KB outgoing (mean over hosts 393.8, 665.3)`.
fn peaks(memory: &MemoryReport) -> String {
    let MemoryReport { incoming_bytes, outgoing_bytes, .. } = memory;
    let [most_in, most_out] = [incoming_bytes, outgoing_bytes].map(|peak| kilobytes(peak.peak_max));
    let [mean_in, mean_out] = [incoming_bytes, outgoing_bytes].map(|peak| peak.peak_mean / 1e3);
    format!(
        "at a host at most {most_in} KB incoming, {most_out} KB outgoing (mean over hosts {mean_in:.1}, {mean_out:.1})"
    )
}

/// Such as `7 dropped (5 at random, 2 where links were down)`.
fn dropped(drops: DropCounts) -> String {
    let DropCounts { queue_full, random, link_down, host_stalled } = drops;
    let causes = [
        (queue_full, "in full queues"),
        (random, "at random"),
        (link_down, "where links were down"),
        (host_stalled, "at hosts that were stalled"),
    ];
    let causes = causes.iter().filter(|(count, _)| *count > 0);
    let causes: Vec<_> = causes.map(|(count, place)| format!("{count} {place}")).collect();
    let total = drops.total();
    if causes.is_empty() {
        return format!("{total} dropped");
    }
    format!("{total} dropped ({})", causes.join(", "))
}

/// What differs between runs, and the figures that one compares first.
fn side_by_side(runs: &[Run]) -> String {
    let percents: Vec<_> = comparison::rows(&runs[0]).iter().map(|row| row.percent).collect();
    let tenths = |name: &str, value: fn(&Row) -> Option<f64>| {
        let mut header = vec![format!("{name} slowdown at")];
        header.extend(percents.iter().map(|percent| format!("{percent:.0} %")));
        let mut table = figures_table(header, 1);
        for run in runs {
            let values = comparison::rows(run);
            let cells = values.iter().map(|row| slowdown(value(row)));
            table.add_row([label(run)].into_iter().chain(cells));
        }
        table
    };
    let (p50, p99) = (tenths("P50", |row| row.p50), tenths("P99", |row| row.p99));
    format!("{p50}\n{p99}\n{}\n", overview(runs))
}

fn overview(runs: &[Run]) -> Table {
    let header = [
        "",
        "messages",
        "unfinished",
        "goodput Gb/s",
        "in use %",
        "wasted %",
        "max queue KB",
        "M events/s",
        "fingerprint",
    ];
    let mut table = figures_table(header, 1);
    for run in runs {
        let report = &run.report;
        let queue = report.queues.get("tor_to_host").map_or(0, |queue| queue.max_bytes);
        table.add_row([
            label(run),
            report.messages.to_string(),
            report.unfinished.to_string(),
            format!("{:.2}", report.goodput_gbps),
            format!("{:.1}", report.utilization_pct),
            format!("{:.2}", report.wasted_pct),
            kilobytes(queue),
            format!("{:.2}", report.events_per_second / 1e6),
            report.fingerprint.clone(),
        ]);
    }
    table
}

/// What distinguishes a run of a sweep.
pub(super) fn label(run: &Run) -> String {
    let plain = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let pairs = run.set.pairs().iter();
    let parts: Vec<_> = pairs.map(|(key, value)| format!("{key}={}", plain(value))).collect();
    if parts.is_empty() { run.report.workload.clone() } else { parts.join(" ") }
}

/// A slowdown, or a dash where there were no messages.
fn slowdown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.2}"))
}

fn kilobytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e3)
}
