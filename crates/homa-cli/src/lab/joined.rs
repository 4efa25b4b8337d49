//! The results of all nodes together, as JSON (schema `homa-lab/1`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::exit::Stop;
use crate::node::{NodeConfig, NodeReport, wire_bytes};
use crate::stats::{ByLength, Tenth};

const SCHEMA: &str = "homa-lab/1";

/// What a cluster has measured.
#[derive(Debug, Serialize)]
pub(super) struct LabReport {
    schema: &'static str,
    pub(super) config: LabConfig,
    /// By transport.
    pub(super) results: Vec<LabResult>,
    /// What the simulator says of the same setting; nothing, as nodes do not know their network.
    prediction: Vec<Value>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct LabConfig {
    pub(super) hosts: usize,
    pub(super) workload: String,
    pub(super) load: f64,
    pub(super) rate_bps: f64,
    pub(super) seed: u64,
    pub(super) duration_seconds: f64,
    pub(super) warmup_seconds: f64,
    pub(super) outstanding: usize,
    /// What slowdown rests on: the best round trip of a message without length, if it was measured.
    pub(super) host_delay_us: Option<f64>,
}

/// The results with one transport.
#[derive(Debug, Serialize)]
pub(super) struct LabResult {
    pub(super) transport: String,
    pub(super) variant: Option<String>,
    pub(super) rpcs: u64,
    pub(super) errors: u64,
    /// Whether all nodes are here and ran to their end.
    is_complete: bool,
    /// Nodes that are not here.
    missing_ranks: Vec<usize>,
    pub(super) by_size: Vec<Tenth>,
    pub(super) slowdown: Option<Vec<Tenth>>,
}

/// The best time that a call can take.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Unloaded {
    host_delay_us: f64,
    rate_bps: f64,
}

/// The nodes of one run.
struct Nodes {
    config: NodeConfig,
    reports: BTreeMap<usize, NodeReport>,
}

impl LabReport {
    /// Joins the files of nodes.
    ///
    /// # Errors
    ///
    /// They are not such, or not of runs that can be compared.
    pub(super) fn join(paths: &[PathBuf], unloaded: &[PathBuf]) -> Result<Self, Stop> {
        let runs = runs_of(paths)?;
        let config = &runs[0].config;
        let unloaded = Unloaded::of(unloaded, config.rate_bps)?;
        Ok(Self {
            schema: SCHEMA,
            config: LabConfig {
                hosts: config.size,
                workload: config.workload.clone(),
                load: config.load,
                rate_bps: config.rate_bps,
                seed: config.seed,
                duration_seconds: config.duration_seconds,
                warmup_seconds: config.warmup_seconds,
                outstanding: config.outstanding,
                host_delay_us: unloaded.map(|unloaded| unloaded.host_delay_us),
            },
            results: runs.iter().map(|run| run.result(unloaded)).collect(),
            prediction: Vec::new(),
        })
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and strings can be written")
    }

    /// What is not here, if not all is.
    pub(super) fn incomplete(&self) -> Option<String> {
        let result = self.results.iter().find(|result| !result.is_complete)?;
        let ranks: Vec<_> = result.missing_ranks.iter().map(ToString::to_string).collect();
        let which = if ranks.is_empty() {
            "some nodes did not run to their end".into()
        } else {
            format!("the nodes of these ranks are missing: {}", ranks.join(", "))
        };
        Some(format!("the results of {} are incomplete: {which}", result.transport))
    }
}

impl Nodes {
    fn result(&self, unloaded: Option<Unloaded>) -> LabResult {
        let mut lengths = ByLength::default();
        self.reports.values().for_each(|report| lengths.add(&report.lengths));
        let is_missing = |rank: &usize| !self.reports.contains_key(rank);
        let missing_ranks: Vec<_> = (0..self.config.size).filter(is_missing).collect();
        let ended = self.reports.values().all(|report| report.is_complete);
        LabResult {
            transport: self.config.transport.clone(),
            variant: self.config.variant.clone(),
            rpcs: lengths.count(),
            errors: self.reports.values().map(|report| report.errors).sum(),
            is_complete: ended && missing_ranks.is_empty(),
            missing_ranks,
            by_size: lengths.tenths(),
            slowdown: unloaded.map(|unloaded| {
                lengths.tenths_of(|length, nanos| nanos as f64 / 1000.0 / unloaded.best_us(length))
            }),
        }
    }
}

impl Unloaded {
    /// From what nodes measured without load; `None` without files.
    fn of(paths: &[PathBuf], rate_bps: f64) -> Result<Option<Self>, Stop> {
        if paths.is_empty() {
            return Ok(None);
        }
        let runs = runs_of(paths)?;
        if let Some(other) = runs.iter().find(|run| run.config.rate_bps != rate_bps) {
            let why =
                format!("--unloaded was measured with links of {} bit/s", other.config.rate_bps);
            return Err(Stop::Failed(format!("{why}, the rest of {rate_bps}")));
        }
        let delays = runs.iter().filter_map(|run| {
            let mut lengths = ByLength::default();
            run.reports.values().for_each(|report| lengths.add(&report.lengths));
            let (shortest, latency) = lengths.shortest()?;
            Some((latency.p50 - on_link_us(shortest, rate_bps)).max(0.0))
        });
        // One measure for all transports: that of the best.
        let delay = delays.min_by(f64::total_cmp);
        let host_delay_us =
            delay.ok_or_else(|| Stop::Failed("--unloaded holds no calls".into()))?;
        Ok(Some(Self { host_delay_us, rate_bps }))
    }

    /// The best time that a call with request and response of `length` bytes can take, in microseconds.
    fn best_us(self, length: u32) -> f64 {
        self.host_delay_us + on_link_us(length, self.rate_bps)
    }
}

/// The time that request and response, each of `length` bytes, take on a link, one after the other.
fn on_link_us(length: u32, rate_bps: f64) -> f64 {
    2.0 * wire_bytes(length) as f64 * 8.0 / rate_bps * 1e6
}

/// The files' runs, one for each transport.
fn runs_of(paths: &[PathBuf]) -> Result<Vec<Nodes>, Stop> {
    let mut runs: Vec<Nodes> = Vec::new();
    for path in paths {
        add(&mut runs, path, NodeReport::read(path)?)?;
    }
    if runs.is_empty() { Err(Stop::Usage("there are no files".into())) } else { Ok(runs) }
}

fn add(runs: &mut Vec<Nodes>, path: &Path, report: NodeReport) -> Result<(), Stop> {
    let wrong = |why: String| Err(Stop::Failed(format!("{}: {why}", path.display())));
    if let Some(first) = runs.first()
        && !first.config.is_comparable(&report.config)
    {
        let difference = first.config.difference(&report.config).unwrap_or_default();
        return wrong(format!(
            "its run can't be compared with that of the first file: {difference}"
        ));
    }
    let is_same = |run: &&mut Nodes| run.config == report.config;
    let Some(run) = runs.iter_mut().find(is_same) else {
        let config = report.config.clone();
        runs.push(Nodes { config, reports: BTreeMap::from([(report.rank, report)]) });
        return Ok(());
    };
    let rank = report.rank;
    if run.reports.insert(rank, report).is_some() {
        return wrong(format!("an earlier file is of rank {rank}, too"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    /// A short call of 202 bytes on the link takes 16 us there and back at 202 Mb/s.
    #[test]
    fn best_us__grows_with_the_bytes_on_the_link() {
        let unloaded = Unloaded { host_delay_us: 100.0, rate_bps: 202e6 };
        assert!((unloaded.best_us(100) - 116.0).abs() < 1e-9);
        let long = unloaded.best_us(1_000_000) - 100.0;
        assert!((long - 2.0 * (1_000_000.0 + 709.0 * 102.0) * 8.0 / 202.0).abs() < 1e-6, "{long}");
    }
}
