//! A run's slowdown at each tenth of the messages, beside what was published where it was.

use homa_sim::published::{self, QueueLength};
use homa_sim::{Exchange, Pattern, Protocol, SimConfig, stats};

use super::report::Run;

/// The load at which results were published.
const PUBLISHED_LOAD: f64 = 0.8;

/// One bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// Where it is, in percent of the messages from the shortest.
    pub(super) percent: f64,
    /// The longest length in it.
    pub(super) upper_bytes: u32,
    pub(super) count: u64,
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
    /// P50 and P99.
    pub(super) published: Option<(f64, f64)>,
}

/// The bins at each tenth of a run's messages.
pub(super) fn rows(run: &Run) -> Vec<Row> {
    let bins = &run.report.bins;
    let compared = is_as_published(&run.config)
        .then(|| published::comparison(published_name(run), &run.report.workload, bins));
    if let Some(compared) = compared.flatten() {
        let row = |row: published::Comparison| Row {
            percent: row.percent,
            upper_bytes: row.upper_bytes,
            count: row.count,
            p50: row.p50,
            p99: row.p99,
            published: Some((row.published_p50, row.published_p99)),
        };
        return compared.into_iter().map(row).collect();
    }
    let row = |bin: &stats::BinReport| Row {
        percent: bin.cum_pct,
        upper_bytes: bin.upper_bytes,
        count: bin.count,
        p50: bin.p50,
        p99: bin.p99,
        published: None,
    };
    stats::tenths(bins).into_iter().map(row).collect()
}

/// Points of the published curves, (percent of messages, slowdown): P50 and P99.
pub(super) fn published_curves(run: &Run) -> Option<[Vec<(f64, f64)>; 2]> {
    let rows = is_as_published(&run.config)
        .then(|| published::slowdown(published_name(run), &run.report.workload))??;
    let curve = |value: fn(&published::PublishedSlowdown) -> f64| {
        rows.iter().map(|row| (row.percent, value(row))).collect()
    };
    Some([curve(|row| row.p50), curve(|row| row.p99)])
}

/// The published length of the queues at a place, by its name in reports.
pub(super) fn published_queue(run: &Run, place: &str) -> Option<QueueLength> {
    let is_published = is_as_published(&run.config) && run.config.protocol == Protocol::Homa;
    is_published.then(|| published::queue_length(place, &run.report.workload))?
}

/// What publications call the protocol.
fn published_name(run: &Run) -> &'static str {
    match run.config.protocol {
        Protocol::Homa => "Homa",
        Protocol::Dctcp => "DCTCP",
        Protocol::Oracle => "SRPT-Oracle",
    }
}

/// Whether this is what was published: with other protocol parameters too, which is what one wants to
/// compare.
fn is_as_published(config: &SimConfig) -> bool {
    let is_all_to_all = config.traffic == Pattern::AllToAll && config.incast.is_none();
    config.load == PUBLISHED_LOAD && config.exchange == Exchange::OneWay && is_all_to_all
}
