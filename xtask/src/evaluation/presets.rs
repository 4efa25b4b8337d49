//! The protocol as deployed beside the protocol as published.

use homa_sim::stats;

use super::command::Command;
use super::figures::Run;
use super::markdown::{table, two};
use super::{Experiment, Rendered, Results};

/// The two presets.
pub(super) const KERNEL: Experiment = Experiment {
    name: "kernel",
    title: "The parameters of the kernel implementation beside the published ones, W3",
    about: "\
The preset `kernel` (40 hosts at 25 Gb/s on one switch, RPCs of which each is answered by as many bytes, software delays of the kernel, \
pacing, priorities that hosts learn) and, on the same network and with the same RPCs, the protocol parameters of `sigcomm18`, at 50 % \
load. Slowdown is that of whole RPCs.",
    commands,
    render,
};

const LABELS: [&str; 2] = ["kernel", "sigcomm18"];

fn commands() -> Vec<Command> {
    let base =
        "--preset kernel --workload w3 --load 0.5 --messages 150000 --runs 1 --set warmup_ms=20";
    let quick = "messages=10000 warmup_ms=5 seconds_max=0.05";
    let published = "--unsched 31250 --rtt-bytes 31250 --overcommit 4 \
                     --set homa.incoming_bytes=1000000000000 --set homa.overcommit_per_sender=1 \
                     --set homa.grant_bytes=0 --set homa.grant_packets=1 --set homa.unscheduled_priorities=4 \
                     --set homa.places_end_when_granted=true --set homa.tail_bytes=31250 \
                     --set homa.by_remaining=true --set homa.known_cutoffs=true --set homa.fifo_permille=0";
    vec![
        Command::new(LABELS[0], base).quick(quick),
        Command::new(LABELS[1], format!("{base} {published}")).quick(quick),
    ]
}

fn render(results: &Results) -> Rendered {
    let runs: Vec<(&str, &Run)> = LABELS
        .into_iter()
        .filter_map(|label| Some((label, results.runs(label).first()?)))
        .collect();
    let [(_, kernel), (_, published)] = runs[..] else { return Rendered::default() };
    let header = [
        "% of messages",
        "up to bytes",
        "P50, kernel",
        "P50, sigcomm18",
        "P99, kernel",
        "P99, sigcomm18",
    ];
    let rows = stats::tenths(&kernel.bins).into_iter().map(|bin| {
        let other = published.bins.iter().find(|other| other.upper_bytes == bin.upper_bytes);
        vec![
            format!("{:.0}", bin.cum_pct),
            bin.upper_bytes.to_string(),
            two(bin.p50),
            two(other.and_then(|bin| bin.p50)),
            two(bin.p99),
            two(other.and_then(|bin| bin.p99)),
        ]
    });
    let slowdowns = table(&header, &rows.collect::<Vec<_>>());
    let queue = |(label, run): &(&str, &Run)| {
        let queue = run.queues.get("tor_to_host");
        let kb = |bytes: Option<f64>| two(bytes.map(|bytes| bytes / 1e3));
        vec![
            (*label).to_owned(),
            kb(queue.map(|queue| queue.mean_bytes)),
            kb(queue.map(|queue| queue.max_bytes as f64)),
            two(Some(run.utilization_pct)),
        ]
    };
    let header = ["parameters", "mean queue to a host, KB", "longest", "links to hosts in use, %"];
    let queues = table(&header, &runs.iter().map(queue).collect::<Vec<_>>());
    Rendered { text: format!("{slowdowns}\n{queues}"), ..Rendered::default() }
}
