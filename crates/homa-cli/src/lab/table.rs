//! The results of a cluster for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::joined::{LabReport, LabResult};

/// A table for each transport, shortest messages first.
pub(super) fn render(report: &LabReport) -> String {
    let config = &report.config;
    let mut text = format!(
        "{} hosts, {} Mbit/s, workload {} at {} % load, {} s\n",
        config.hosts,
        config.rate_bps / 1e6,
        config.workload,
        config.load * 100.0,
        config.duration_seconds
    );
    for result in &report.results {
        let variant =
            result.variant.as_ref().map_or(String::new(), |variant| format!(" ({variant})"));
        let failed = format!("{} calls, {} failed", result.rpcs, result.errors);
        text += &format!("\n{}{variant}: {failed}\n{}\n", result.transport, table(result));
    }
    text
}

fn table(result: &LabResult) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Disabled);
    let mut header = vec!["up to (B)", "calls", "P50 (us)", "P99 (us)", "P99.9 (us)"];
    if result.slowdown.is_some() {
        header.extend(["P50 (slowdown)", "P99", "P99.9"]);
    }
    table.set_header(header);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (index, tenth) in result.by_size.iter().enumerate() {
        let mut row = vec![tenth.upper_bytes.to_string(), tenth.count.to_string()];
        row.extend([tenth.p50, tenth.p99, tenth.p99_9].map(|figure| format!("{figure:.1}")));
        if let Some(slowdown) = result.slowdown.as_ref().and_then(|tenths| tenths.get(index)) {
            let figures = [slowdown.p50, slowdown.p99, slowdown.p99_9];
            row.extend(figures.map(|figure| format!("{figure:.2}")));
        }
        table.add_row(row);
    }
    table
}
