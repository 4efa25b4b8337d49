//! What the nodes of a cluster have measured, as JSON (schema `homa-lab/1`).

use std::collections::BTreeMap;

use serde::Serialize;

use super::unloaded::Unloaded;
use crate::node::{NodeConfig, NodeReport};
use crate::stats::{ByLength, Tenth};

const SCHEMA: &str = "homa-lab/1";

/// What a cluster has measured.
#[derive(Debug, Serialize)]
pub(super) struct LabReport {
    schema: &'static str,
    pub(super) config: LabConfig,
    /// By transport, and by size of buffers.
    pub(super) results: Vec<LabResult>,
    /// What the simulator says of the same setting; nothing where nodes do not know their network.
    pub(super) prediction: Vec<Prediction>,
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
    /// Homa's.
    pub(super) priorities: u8,
    pub(super) rtt_bytes: u32,
    /// How many hosts call one, if not all call all.
    pub(super) incast: Option<usize>,
    /// TCP's, if nodes ran on hosts of this machine.
    pub(super) congestion: Option<String>,
    /// How hosts wait.
    pub(super) regime: String,
    /// What slowdown rests on: the best round trip of a message without length, if it was measured.
    pub(super) host_delay_us: Option<f64>,
}

/// The results with one transport.
#[derive(Debug, Serialize)]
pub(super) struct LabResult {
    pub(super) transport: String,
    pub(super) variant: Option<String>,
    #[serde(flatten)]
    pub(super) setting: Setting,
    pub(super) rpcs: u64,
    pub(super) errors: u64,
    /// The same by reason.
    pub(super) failures: BTreeMap<String, u64>,
    /// Cores in use by all nodes together.
    pub(super) cpu: Option<f64>,
    /// Whether all nodes are here and ran to their end.
    is_complete: bool,
    /// Nodes that are not here.
    missing_ranks: Vec<usize>,
    pub(super) by_size: Vec<Tenth>,
    pub(super) slowdown: Option<Vec<Tenth>>,
}

/// In what network a transport ran, as far as that is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Setting {
    /// What each level of a port of the switch can hold.
    pub(super) buffer_bytes: Option<u64>,
    /// Whether others ran at the same time.
    pub(super) is_mixed: bool,
    /// Packets that all ports have dropped.
    pub(super) dropped_packets: Option<u64>,
}

/// What the simulator says.
#[derive(Debug, Serialize)]
pub(super) struct Prediction {
    pub(super) transport: String,
    pub(super) buffer_bytes: u64,
    pub(super) rpcs: u64,
    pub(super) by_size: Vec<Tenth>,
    pub(super) slowdown: Vec<Tenth>,
}

/// The nodes of one run.
#[derive(Debug)]
pub(super) struct Run {
    config: NodeConfig,
    setting: Setting,
    reports: BTreeMap<usize, NodeReport>,
}

impl LabReport {
    /// Of one run or more, which can be compared.
    pub(super) fn of(
        runs: &[Run],
        unloaded: Option<Unloaded>,
        prediction: Vec<Prediction>,
    ) -> Self {
        let config = runs[0].config();
        Self {
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
                priorities: config.priorities,
                rtt_bytes: config.rtt_bytes,
                incast: config.incast,
                congestion: None,
                regime: config.regime.clone(),
                host_delay_us: unloaded.map(|unloaded| unloaded.host_delay_us),
            },
            results: runs.iter().map(|run| run.result(unloaded)).collect(),
            prediction,
        }
    }

    /// The same, of hosts with such a congestion control.
    pub(super) fn with_congestion(mut self, congestion: Option<String>) -> Self {
        self.config.congestion = congestion;
        self
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

impl Run {
    pub(super) fn of(report: NodeReport) -> Self {
        Self {
            config: report.config.clone(),
            setting: Setting::default(),
            reports: BTreeMap::from([(report.rank, report)]),
        }
    }

    /// All reports of a run in a network that is known.
    pub(super) fn in_network(reports: Vec<NodeReport>, setting: Setting) -> Option<Self> {
        let config = reports.first()?.config.clone();
        let reports = reports.into_iter().map(|report| (report.rank, report)).collect();
        Some(Self { config, setting, reports })
    }

    pub(super) fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Whether a report is of this run.
    pub(super) fn is_of(&self, report: &NodeReport) -> bool {
        self.config == report.config
    }

    /// Adds a report of this run; an error if there is one of its rank.
    pub(super) fn add(&mut self, report: NodeReport) -> Result<(), String> {
        let rank = report.rank;
        match self.reports.insert(rank, report) {
            None => Ok(()),
            Some(_) => Err(format!("an earlier file is of rank {rank}, too")),
        }
    }

    /// An error if the report is of a run that can't be compared with this.
    pub(super) fn check_comparable(&self, report: &NodeReport) -> Result<(), String> {
        if self.config.is_comparable(&report.config) {
            return Ok(());
        }
        let difference = self.config.difference(&report.config).unwrap_or_default();
        Err(format!("its run can't be compared with that of the first file: {difference}"))
    }

    /// Latencies of all nodes.
    pub(super) fn lengths(&self) -> ByLength {
        let mut lengths = ByLength::default();
        self.reports.values().for_each(|report| lengths.add(&report.lengths));
        lengths
    }

    fn failures(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for (reason, count) in self.reports.values().flat_map(|report| &report.failures) {
            *all.entry(reason.clone()).or_default() += count;
        }
        all
    }

    fn result(&self, unloaded: Option<Unloaded>) -> LabResult {
        let lengths = self.lengths();
        let is_missing = |rank: &usize| !self.reports.contains_key(rank);
        let missing_ranks: Vec<_> = (0..self.config.size).filter(is_missing).collect();
        let ended = self.reports.values().all(|report| report.is_complete);
        LabResult {
            transport: self.config.transport.clone(),
            variant: self.config.variant.clone(),
            setting: self.setting,
            rpcs: lengths.count(),
            errors: self.reports.values().map(|report| report.errors).sum(),
            failures: self.failures(),
            cpu: self.reports.values().map(|report| report.cpu).sum(),
            is_complete: ended && missing_ranks.is_empty(),
            missing_ranks,
            by_size: lengths.tenths(),
            slowdown: unloaded.map(|unloaded| unloaded.slowdown(&lengths)),
        }
    }
}
