//! Starvation of long messages, with and without the share for the oldest.

use homa_sim::stats::BinReport;

use super::command::Command;
use super::markdown::{table, two};
use super::{Experiment, Rendered, Results};

/// One of a bin's figures.
type Figure = fn(&BinReport) -> Option<f64>;

/// Nothing of the kind is published as figures.
pub(super) const STARVATION: Experiment = Experiment {
    name: "starvation",
    title: "Starvation of long messages, with and without the FIFO share",
    about: "\
Whether the longest messages starve where shorter ones always go first: messages of 100 KB to 1 MB (`starve`), all to all among 32 \
hosts at 90 % load, with 0, 5 and 10 % of each host's grants for its oldest message (`homa.fifo_permille`; the kernel \
implementation has 5 %). Nothing is published to set beside it.",
    commands,
    render,
};

fn commands() -> Vec<Command> {
    let arguments = "--workload starve --load 0.9 --hosts 32 --messages 10000 --runs 1 --set warmup_ms=50 \
                     --sweep homa.fifo_permille=0,50,100";
    vec![Command::new("all", arguments).quick("messages=2000 warmup_ms=10")]
}

fn render(results: &Results) -> Rendered {
    let runs = results.runs("all");
    let Some(first) = runs.first() else { return Rendered::default() };
    let shares: Vec<String> = runs
        .iter()
        .map(|run| format!("{:.0} %", run.swept("homa.fifo_permille").unwrap_or_default() / 10.0))
        .collect();
    let mut text = String::new();
    let figures: [(&str, Figure); 3] =
        [("P50", |bin| bin.p50), ("P99", |bin| bin.p99), ("P99.9", |bin| bin.p99_9)];
    for (name, figure) in figures {
        let mut header = vec!["up to bytes", "messages"];
        header.extend(shares.iter().map(String::as_str));
        let row = |(index, bin): (usize, &BinReport)| {
            let values = runs.iter().map(|run| two(run.bins.get(index).and_then(figure)));
            [bin.upper_bytes.to_string(), bin.count.to_string()].into_iter().chain(values).collect()
        };
        let rows: Vec<Vec<String>> = first.bins.iter().enumerate().map(row).collect();
        text += &format!("## {name} of slowdown, by FIFO share\n\n{}\n", table(&header, &rows));
    }
    Rendered { text, ..Rendered::default() }
}
