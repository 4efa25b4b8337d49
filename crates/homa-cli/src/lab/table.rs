//! A lab's results for people.

use comfy_table::Table;

use super::joined::{LabReport, LabResult};
use crate::figures_table::figures_table;
use crate::stats::Tenth;

/// A table for each transport, shortest messages first.
pub(super) fn render(report: &LabReport) -> String {
    let config = &report.config;
    let pattern = config.incast.map_or(String::new(), |callers| format!(", {callers} call one"));
    let congestion =
        config.congestion.as_ref().map_or(String::new(), |name| format!(", TCP with {name}"));
    let delay = config.host_delay_us;
    let delay = delay.map_or(String::new(), |us| format!(", {us:.0} us without load"));
    let mut text = format!(
        "{} hosts, {} Mbit/s, workload {} at {} % load, {} s{pattern}{congestion}{delay}\n",
        config.hosts,
        config.rate_bps / 1e6,
        config.workload,
        config.load * 100.0,
        config.duration_seconds
    );
    for result in &report.results {
        text += &format!("\n{}\n", heading(result));
        text += &format!("{}\n", table(&result.by_size, result.slowdown.as_deref()));
    }
    for prediction in &report.prediction {
        let (name, rpcs) = (&prediction.transport, prediction.rpcs);
        let buffers = prediction.buffer_bytes as f64 / 1e3;
        text += &format!("\n{name} as simulated, buffers of {buffers} KB: {rpcs} calls\n");
        text += &format!("{}\n", table(&prediction.by_size, Some(&prediction.slowdown)));
    }
    text
}

fn heading(result: &LabResult) -> String {
    let variant = result.variant.as_ref().map_or(String::new(), |variant| format!(" ({variant})"));
    let mixed = if result.setting.is_mixed { " beside others" } else { "" };
    let buffers = result.setting.buffer_bytes;
    let buffers =
        buffers.map_or(String::new(), |bytes| format!(", buffers of {} KB", bytes as f64 / 1e3));
    let mut text = format!("{}{variant}{mixed}{buffers}: ", result.transport);
    text += &format!("{} calls, {} failed", result.rpcs, result.errors);
    if let Some(dropped) = result.setting.dropped_packets {
        text += &format!(", {dropped} packets dropped");
    }
    if let Some(cpu) = result.cpu {
        text += &format!(", {cpu:.2} cores");
    }
    for (reason, count) in &result.failures {
        text += &format!("\n  {count} failed: {reason}");
    }
    text
}

fn table(by_size: &[Tenth], slowdown: Option<&[Tenth]>) -> Table {
    let mut header = vec!["up to (B)", "calls", "P50 (us)", "P99 (us)", "P99.9 (us)"];
    if slowdown.is_some() {
        header.extend(["P50 (slowdown)", "P99", "P99.9"]);
    }
    let mut table = figures_table(header, 0);
    for (index, tenth) in by_size.iter().enumerate() {
        let mut row = vec![tenth.upper_bytes.to_string(), tenth.count.to_string()];
        row.extend([tenth.p50, tenth.p99, tenth.p99_9].map(|figure| format!("{figure:.1}")));
        if let Some(slowdown) = slowdown.and_then(|tenths| tenths.get(index)) {
            let figures = [slowdown.p50, slowdown.p99, slowdown.p99_9];
            row.extend(figures.map(|figure| format!("{figure:.2}")));
        }
        table.add_row(row);
    }
    table
}
