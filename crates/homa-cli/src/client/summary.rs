//! What a run of `homa client` came to: as text, and as JSON (schema `homa-client/1`).

use std::collections::BTreeMap;

use comfy_table::Table;
use serde::Serialize;

use crate::figures_table::figures_table;
use crate::interval::{gbps, kops};
use crate::load::{Outcome, Pace, Plan};
use crate::stats::LatencySummary;
use crate::transport::Protocol;

/// A table of latencies, if there are any, and lines with everything else.
pub(super) fn text(plan: &Plan, outcome: &Outcome) -> String {
    let mut text = String::new();
    if outcome.rpcs > 0 || outcome.until_failure.count() > 0 {
        text = format!("{}\n", latency_table(plan, outcome));
    }
    text += &format!(
        "workload {}, {} outstanding, {:.2} s: {} calls, {} failed\n",
        plan.workload,
        plan.outstanding,
        outcome.measured.as_secs_f64(),
        outcome.rpcs,
        outcome.failures.total()
    );
    text += &format!(
        "{:.2} Kops/s, {:.3} Gbps out, {:.3} Gbps in, CPU {} cores",
        kops(outcome.rpcs, outcome.measured),
        gbps(outcome.request_bytes, outcome.measured),
        gbps(outcome.response_bytes, outcome.measured),
        outcome.cpu.map_or("-".into(), |cores| format!("{cores:.2}"))
    );
    if outcome.lag >= 0.01 {
        text += &format!(", lag due to overload {:.1} %", outcome.lag * 100.0);
    }
    text
}

fn latency_table(plan: &Plan, outcome: &Outcome) -> Table {
    let mut table = figures_table(["", "min", "P50", "P99", "P99.9", "max"], 1);
    let mut add = |name: &str, latency: Option<LatencySummary>| {
        let Some(latency) = latency else { return };
        let figures = [latency.min, latency.p50, latency.p99, latency.p99_9, latency.max];
        let cells = figures.map(|figure| format!("{figure:.2}"));
        table.add_row(std::iter::once(name.to_owned()).chain(cells));
    };
    add("RTT (us)", outcome.by_size.total().summary());
    if plan.pace != Pace::Closed {
        add("RTT from release (us)", outcome.release.summary());
    }
    add("to failure (us)", outcome.until_failure.summary());
    table
}

/// Figures of one run. Those that do not exist, such as latencies without a success, are null.
#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    transport: &'static str,
    workload: String,
    outstanding: usize,
    seconds: f64,
    rpcs: u64,
    errors: u64,
    kops: f64,
    gbps_out: f64,
    gbps_in: f64,
    rtt_us: Option<LatencySummary>,
    rtt_release_us: Option<LatencySummary>,
    failure_us: Option<LatencySummary>,
    failures: BTreeMap<&'a str, u64>,
    cpu: Option<f64>,
    lag: f64,
}

/// One object in a line.
pub(super) fn json(transport: Protocol, plan: &Plan, outcome: &Outcome) -> String {
    let json = Json {
        schema: "homa-client/1",
        transport: transport.name(),
        workload: plan.workload.to_string(),
        outstanding: plan.outstanding,
        seconds: outcome.measured.as_secs_f64(),
        rpcs: outcome.rpcs,
        errors: outcome.failures.total(),
        kops: kops(outcome.rpcs, outcome.measured),
        gbps_out: gbps(outcome.request_bytes, outcome.measured),
        gbps_in: gbps(outcome.response_bytes, outcome.measured),
        rtt_us: outcome.by_size.total().summary(),
        rtt_release_us: outcome.release.summary(),
        failure_us: outcome.until_failure.summary(),
        failures: outcome.failures.by_frequency().into_iter().collect(),
        cpu: outcome.cpu,
        lag: outcome.lag,
    };
    serde_json::to_string(&json).expect("numbers and strings can be written")
}
