//! What all nodes of a run have to agree on.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::args::NodeArgs;
use super::offered::calls_per_second;
use crate::transport::{Protocol, Regime};

/// The measurement, as every node has to be told it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeConfig {
    /// Of the command: versions may differ in what they send.
    version: String,
    pub(crate) size: usize,
    pub(crate) transport: String,
    /// TCP's: `connections` or `pipelined`.
    pub(crate) variant: Option<String>,
    pub(crate) workload: String,
    /// Share of the links that messages take, in either direction.
    pub(crate) load: f64,
    /// Of the links, in bits per second.
    pub(crate) rate_bps: f64,
    /// What follows from these for each node.
    pub(crate) calls_per_second: f64,
    pub(crate) outstanding: usize,
    pub(crate) warmup_seconds: f64,
    pub(crate) duration_seconds: f64,
    pub(crate) seed: u64,
    pub(crate) regime: String,
    checksums: bool,
    authenticated: bool,
}

impl NodeConfig {
    pub(super) fn new(args: &NodeArgs, size: usize) -> Self {
        let variant = (args.transport == Protocol::Tcp).then(|| args.variant().name().to_owned());
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            size,
            transport: args.transport.name().into(),
            variant,
            workload: args.workload.to_string(),
            load: args.load,
            rate_bps: args.rate,
            calls_per_second: calls_per_second(&args.workload, args.load, args.rate),
            outstanding: args.outstanding,
            warmup_seconds: args.warmup.as_secs_f64(),
            duration_seconds: args.duration.as_secs_f64(),
            seed: args.seed,
            regime: Regime::from(args.regime).to_string(),
            checksums: args.homa.checksums,
            authenticated: args.homa.key_file.is_some(),
        }
    }

    /// The first thing in which another configuration differs, such as `load is 0.5 instead of 0.8`.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let value = |config: &Self| serde_json::to_value(config).expect("plain values");
        let (Value::Object(ours), Value::Object(theirs)) = (value(self), value(other)) else {
            return None;
        };
        let mut fields = ours.iter().filter(|(name, value)| theirs.get(*name) != Some(value));
        fields.next().map(|(name, value)| {
            let theirs = theirs.get(name).unwrap_or(&Value::Null);
            format!("{name} is {theirs} instead of {value}")
        })
    }

    /// The same measurement with another transport, as far as results can be compared.
    pub(crate) fn is_comparable(&self, other: &Self) -> bool {
        let without_transport = |config: &Self| Self {
            transport: String::new(),
            variant: None,
            checksums: false,
            authenticated: false,
            ..config.clone()
        };
        without_transport(self) == without_transport(other)
    }
}
