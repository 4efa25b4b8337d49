//! The slowdown in each bin, one line each.

use std::fmt::Write;

use super::report::{Run, SimReport};
use super::table;

const HEADER: &str =
    "run,set,protocol,workload,load,seed,cum_pct,upper_bytes,count,mean,p50,p99,p99_9";

/// All bins of all runs; a figure without messages is empty. The last line has no end.
pub(super) fn render(report: &SimReport) -> String {
    report.runs.iter().fold(HEADER.into(), |mut text, run| {
        add(&mut text, run);
        text
    })
}

fn add(text: &mut String, run: &Run) {
    let report = &run.report;
    let set = if run.set.is_empty() { String::new() } else { quoted(&table::label(run)) };
    let (protocol, workload, load) = (&report.protocol, &report.workload, report.load);
    let which = format!("{},{set},{protocol},{workload},{load},{}", run.index, report.seed);
    let figure = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for bin in &report.bins {
        let figures = [bin.mean, bin.p50, bin.p99, bin.p99_9].map(figure).join(",");
        let _ =
            write!(text, "\n{which},{},{},{},{figures}", bin.cum_pct, bin.upper_bytes, bin.count);
    }
}

/// A field that may hold separators.
fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}
