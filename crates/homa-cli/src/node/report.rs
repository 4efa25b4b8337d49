//! What a node has measured, as JSON (schema `homa-node/1`).

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::NodeConfig;
use crate::exit::Stop;
use crate::load::{Ending, Outcome};
use crate::report::Host;
use crate::stats::ByLength;
use crate::transport::Served;

const SCHEMA: &str = "homa-node/1";

/// The results of one node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NodeReport {
    schema: String,
    pub(crate) rank: usize,
    /// As the others reach it.
    address: String,
    /// The machine; any, where it is read.
    host: Value,
    pub(crate) config: NodeConfig,
    /// Whether it ran to its end, with all nodes.
    pub(crate) is_complete: bool,
    /// Why not.
    why: Option<String>,
    /// How long was measured.
    seconds: f64,
    /// Calls that were to begin in this time and succeeded.
    pub(crate) rpcs: u64,
    /// Calls that failed, in the whole run.
    pub(crate) errors: u64,
    /// The same by reason.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Bytes of the requests of `rpcs`.
    request_bytes: u64,
    /// Requests of others that were answered, in the whole run.
    served: u64,
    /// Cores in use while measuring.
    pub(crate) cpu: Option<f64>,
    /// By what part of the time the node was behind at the end.
    lag: f64,
    /// Latencies from the intended begin of each call, by length.
    pub(crate) lengths: ByLength,
}

impl NodeReport {
    pub(super) fn new(
        (rank, address): (usize, String),
        config: &NodeConfig,
        outcome: &Outcome,
        served: Served,
        why: Option<String>,
    ) -> Self {
        let failures = outcome.failures.by_frequency().into_iter();
        Self {
            schema: SCHEMA.into(),
            rank,
            address,
            host: serde_json::to_value(Host::detect()).expect("strings and numbers"),
            config: config.clone(),
            is_complete: why.is_none() && outcome.ending == Ending::Complete,
            why,
            seconds: outcome.measured.as_secs_f64(),
            rpcs: outcome.by_length.count(),
            errors: outcome.failures.total(),
            failures: failures.map(|(reason, count)| (reason.to_owned(), count)).collect(),
            request_bytes: outcome.by_length.bytes(),
            served: served.requests,
            cpu: outcome.cpu,
            lag: outcome.lag,
            lengths: outcome.by_length.clone(),
        }
    }

    /// # Errors
    ///
    /// The file is none of a node.
    pub(crate) fn read(path: &Path) -> Result<Self, Stop> {
        let cannot = |why: String| Stop::Failed(format!("cannot use {}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
        Self::parse(&text).map_err(cannot)
    }

    /// # Errors
    ///
    /// The text is not what a node writes.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty: its node died, or has not ended".into());
        }
        let any: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if any.get("schema").and_then(Value::as_str) != Some(SCHEMA) {
            return Err(format!("its schema is not {SCHEMA}"));
        }
        serde_json::from_value(any).map_err(|error| error.to_string())
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings can be written")
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let latency = self.lengths.summary().map_or_else(String::new, |latency| {
            format!(
                ", RTT (us) P50 {:.1} P99 {:.1} P99.9 {:.1}",
                latency.p50, latency.p99, latency.p99_9
            )
        });
        let incomplete = if self.is_complete { "" } else { ", incomplete" };
        format!(
            "rank {} of {}, {} {}, {:.2} s: {} calls, {} failed{latency}{incomplete}",
            self.rank,
            self.config.size,
            self.config.transport,
            self.config.workload,
            self.seconds,
            self.rpcs,
            self.errors
        )
    }

    /// Whether all was well.
    pub(super) fn verdict(&self) -> Result<(), Stop> {
        let foremost = self.failures.iter().max_by_key(|(_, count)| **count);
        match foremost {
            Some((reason, count)) => Err(Stop::Failed(format!(
                "{} calls failed ({count} of them: {reason})",
                self.errors
            ))),
            None if self.rpcs == 0 && self.config.has_calls(self.rank) => {
                Err(Stop::Failed("no call has succeeded".into()))
            }
            None => Ok(()),
        }
    }
}
