//! What a run is reported as: part of the JSON schema `homa-sim/1`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::drops::DropCounts;
use crate::memory::MemoryReport;
use crate::port::LEVELS;
use crate::stats::{BinReport, QueueReport, SlowdownSummary};
use crate::transport::TransportCounts;

/// A run, or several that differ in their seeds together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// What ran on the hosts.
    pub protocol: String,
    /// Lengths of messages.
    pub workload: String,
    /// Share of the hosts' links asked for.
    pub load: f64,
    /// Seed of the run, or of the first of several.
    pub seed: u64,
    /// The seeds of all of them.
    pub seeds: Vec<u64>,
    /// Messages measured.
    pub messages: u64,
    /// Messages that were to be measured and had not arrived when the run ended at its limit of time.
    pub unfinished: u64,
    /// Simulated seconds, in all, those of several runs added.
    pub sim_seconds: f64,
    /// Simulated seconds in which queues and links were measured.
    pub window_seconds: f64,
    /// Seconds that the run took; those of several runs added, though they may run in parallel.
    pub wall_seconds: f64,
    /// Packets that left a queue; of the oracle, which has none, changes of the schedule.
    pub events: u64,
    /// The same per second of the run.
    pub events_per_second: f64,
    /// Message data that arrived, per host, in Gb/s.
    pub goodput_gbps: f64,
    /// Message data (of requests, where there are responses) that hosts were given to send, per host, in
    /// Gb/s.
    pub offered_gbps: f64,
    /// Message data of messages that had started and not arrived whole, per host, when the measurement
    /// began and when it ended: where this grows, the load is more than the network sustains.
    pub backlog_bytes: [f64; 2],
    /// Share of the links to hosts that was occupied, in percent.
    pub utilization_pct: f64,
    /// Time for which links to hosts were idle although grants were withheld, in percent.
    pub wasted_pct: f64,
    /// Slowdown of all messages.
    pub slowdown: SlowdownSummary,
    /// Slowdown by length of message.
    pub bins: Vec<BinReport>,
    /// Slowdown of the incasts beside the workload.
    pub incast: Option<SlowdownSummary>,
    /// Lengths of queues, by place.
    pub queues: BTreeMap<String, QueueReport>,
    /// What all queues of a switch hold together, by the switch's tier: `tor`, `aggr`, `core`. Reports of
    /// earlier versions have none.
    #[serde(default)]
    pub buffers: BTreeMap<String, QueueReport>,
    /// Share of the bytes that hosts sent at each level, lowest first, in percent.
    pub priorities: [f64; LEVELS],
    /// Packets lost.
    pub drops: u64,
    /// The same by cause.
    pub drops_by_cause: DropCounts,
    /// What the transports counted.
    pub counts: TransportCounts,
    /// The most that hosts held for messages at any time of the run, before and after the measurement too;
    /// `None` if the protocol does not tell. Reports of earlier versions have none.
    #[serde(default)]
    pub memory: Option<MemoryReport>,
    /// The same for the same run, and another one for any other.
    pub fingerprint: String,
}
