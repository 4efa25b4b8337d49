//! What all nodes of a run have to agree on.

use std::time::Duration;

use homa_sim::Random;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::args::NodeArgs;
use super::offered::calls_per_second;
use crate::load::{Pace, Plan, schedule};
use crate::transport::{HomaLink, Protocol, Regime};
use crate::workload::Workload;

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
    /// Homa's parameters.
    pub(crate) rtt_bytes: u32,
    pub(crate) priorities: u8,
    /// The nodes from 1 to this one call node 0, and there are no other calls.
    pub(crate) incast: Option<usize>,
    /// What follows from these for each node that calls.
    pub(crate) calls_per_second: f64,
    pub(crate) outstanding: usize,
    pub(crate) warmup_seconds: f64,
    pub(crate) duration_seconds: f64,
    pub(crate) seed: u64,
    pub(crate) regime: String,
    checksums: bool,
    authenticated: bool,
}

/// A call that one node will make to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PlannedCall {
    /// From the beginning of the run.
    pub(crate) after: Duration,
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Bytes of the request, and of the response.
    pub(crate) length: u32,
}

impl NodeConfig {
    pub(super) fn new(args: &NodeArgs, size: usize) -> Self {
        let variant = (args.transport == Protocol::Tcp).then(|| args.variant().name().to_owned());
        let each = calls_per_second(&args.workload, args.load, args.rate);
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            size,
            transport: args.transport.name().into(),
            variant,
            workload: args.workload.to_string(),
            load: args.load,
            rate_bps: args.rate,
            rtt_bytes: args.rtt_bytes,
            priorities: args.priorities,
            incast: args.incast,
            // In an incast one link has all the requests, and all the responses the other way.
            calls_per_second: args.incast.map_or(each, |callers| 2.0 * each / callers as f64),
            outstanding: args.outstanding,
            warmup_seconds: args.warmup.as_secs_f64(),
            duration_seconds: args.duration.as_secs_f64(),
            seed: args.seed,
            regime: Regime::from(args.regime).to_string(),
            checksums: args.homa.checksums,
            authenticated: args.homa.key_file.is_some(),
        }
    }

    /// What Homa is told of the links.
    pub(crate) fn link(&self) -> HomaLink {
        HomaLink {
            bits_per_second: self.rate_bps,
            rtt_bytes: self.rtt_bytes,
            priorities: self.priorities,
        }
    }

    /// What a node does.
    pub(super) fn plan(&self, workload: Workload, rank: usize) -> Plan {
        Plan {
            workload,
            outstanding: self.outstanding,
            pace: match self.has_calls(rank) {
                true => Pace::Open { per_second: self.calls_per_second },
                false => Pace::Never,
            },
            one_way: false,
            seed: seed_of(self.seed, rank),
            warmup: Duration::from_secs_f64(self.warmup_seconds),
            duration: Duration::from_secs_f64(self.duration_seconds),
            patience: None,
        }
    }

    /// How many others a node calls: all, or the first.
    pub(super) fn servers(&self) -> u32 {
        if self.incast.is_some() { 1 } else { self.size as u32 - 1 }
    }

    /// All calls that all nodes will make, by node: when, from which to which, and the length.
    pub(crate) fn calls(&self, workload: &Workload) -> Vec<PlannedCall> {
        let of_node = |from: usize| {
            let calls = schedule(&self.plan(workload.clone(), from), self.servers());
            calls.into_iter().map(move |call| {
                // Servers are all other nodes, by rank.
                let server = call.server as usize;
                let to = if server < from { server } else { server + 1 };
                PlannedCall { after: call.after, from, to, length: call.length }
            })
        };
        (0..self.size).flat_map(of_node).collect()
    }

    /// Whether this node makes calls.
    pub(super) fn has_calls(&self, rank: usize) -> bool {
        self.incast.is_none_or(|callers| (1..=callers).contains(&rank))
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

/// Another seed for each node.
fn seed_of(seed: u64, rank: usize) -> u64 {
    let mut random = Random::new(seed, "node", rank as u64);
    u64::from(random.below(u32::MAX)) << 32 | u64::from(random.below(u32::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn calls(more: &[&str]) -> Vec<PlannedCall> {
        let options =
            ["homa", "node", "--workload", "1000", "--rate", "10mbit", "--duration", "5s"];
        let cli = Cli::parse_from(options.iter().chain(more));
        let Command::Node(args) = cli.command else { panic!("not node") };
        NodeConfig::new(&args, 4).calls(&args.workload)
    }

    #[test]
    fn calls__go_from_all_to_all_others() {
        let calls = calls(&[]);
        assert!(
            calls.iter().all(|call| call.from != call.to && call.to < 4 && call.length == 1000)
        );
        for from in 0..4 {
            let to = |to| calls.iter().any(|call| (call.from, call.to) == (from, to));
            assert_eq!((0..4).filter(|&node| to(node)).count(), 3);
        }
    }

    /// A link of 10 Mb/s carries 1102 bytes 1134 times per second, at a load of 0.8 907 times, and here all requests
    /// of 7 s go to one.
    #[test]
    fn calls__of_an_incast_go_to_the_first() {
        let calls = calls(&["--incast", "2"]);
        assert!(calls.iter().all(|call| call.to == 0 && [1, 2].contains(&call.from)));
        let expected = 0.8 * 10e6 / 8.0 / 1102.0 * 7.0;
        assert!((calls.len() as f64 / expected - 1.0).abs() < 0.1, "{}", calls.len());
    }
}
