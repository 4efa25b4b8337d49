//! What a run is reported as: part of the JSON schema `homa-sim/1`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::Finished;
use crate::config::{Protocol, SimConfig};
use crate::port::{LEVELS, Place, Port};
use crate::stats::{BinReport, QueueMeter, QueueReport, SlowdownSummary};
use crate::transport::TransportCounts;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// What ran on the hosts.
    pub protocol: String,
    /// Lengths of messages.
    pub workload: String,
    /// Share of the hosts' links asked for.
    pub load: f64,
    /// Seed of the run.
    pub seed: u64,
    /// Messages measured.
    pub messages: u64,
    /// Measured messages that had not arrived when the run ended at its limit of time.
    pub unfinished: u64,
    /// Simulated seconds, in all.
    pub sim_seconds: f64,
    /// Simulated seconds in which queues and links were measured.
    pub window_seconds: f64,
    /// Seconds that the run took.
    pub wall_seconds: f64,
    /// Packets that left a queue; of the oracle, which has none, changes of the schedule.
    pub events: u64,
    /// The same per second of the run.
    pub events_per_second: f64,
    /// Message data that arrived, per host, in Gb/s.
    pub goodput_gbps: f64,
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
    /// Share of the bytes that hosts sent at each level, lowest first, in percent.
    pub priorities: [f64; LEVELS],
    /// Packets lost in full queues or at random.
    pub drops: u64,
    /// What the transports counted.
    pub counts: TransportCounts,
    /// The same for the same run, and another one for any other.
    pub fingerprint: String,
}

impl RunReport {
    pub(crate) fn new(config: &SimConfig, finished: &Finished) -> Self {
        let measurement = &finished.measurement;
        let begin = measurement.begin.unwrap_or_default();
        let window = measurement.end.unwrap_or(finished.sim_time).saturating_since(begin);
        let window_seconds = window.as_secs_f64();
        let hosts = f64::from(finished.hosts);
        let share = |time: f64| percent(time, window_seconds * hosts);
        let busy: f64 =
            down_ports(&finished.ports).map(|port| port.busy_measured.as_secs_f64()).sum();
        let sent: u64 = measurement.priority_bytes.iter().sum();
        let wall_seconds = finished.wall.as_secs_f64();
        Self {
            protocol: protocol_name(config),
            workload: config.workload.clone(),
            load: config.load,
            seed: config.seed,
            messages: measurement.slowdown.count() + measurement.overlay_slowdown.count(),
            unfinished: measurement.under_way(),
            sim_seconds: finished.sim_time.as_secs_f64(),
            window_seconds,
            wall_seconds,
            events: finished.hops,
            events_per_second: finished.hops as f64 / wall_seconds.max(f64::MIN_POSITIVE),
            goodput_gbps: measurement.payload_bytes as f64 * 8e-9 / (window_seconds * hosts),
            utilization_pct: share(busy),
            wasted_pct: share(measurement.wasted.as_secs_f64()),
            slowdown: measurement.slowdown.summary(),
            bins: measurement.slowdown.report(),
            incast: config.incast.map(|_| measurement.overlay_slowdown.summary()),
            queues: queues(&finished.ports),
            priorities: measurement.priority_bytes.map(|bytes| percent(bytes as f64, sent as f64)),
            drops: finished.drops,
            counts: finished.counts,
            fingerprint: format!("{:016x}", finished.fingerprint),
        }
    }
}

fn protocol_name(config: &SimConfig) -> String {
    match config.protocol {
        Protocol::Homa => "homa".into(),
        Protocol::Oracle => "oracle".into(),
    }
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

fn down_ports(ports: &[Port]) -> impl Iterator<Item = &Port> {
    ports.iter().filter(|port| port.place == Place::Down(1))
}

fn queues(ports: &[Port]) -> BTreeMap<String, QueueReport> {
    let mut meters: BTreeMap<Place, QueueMeter> = BTreeMap::new();
    for port in ports {
        meters.entry(port.place).or_default().merge(&port.meter);
    }
    meters.into_iter().map(|(place, meter)| (place.name().into(), meter.report())).collect()
}
