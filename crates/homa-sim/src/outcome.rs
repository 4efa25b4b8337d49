//! What a run measured, before it is condensed: several of them can become one report.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::buffer::{Buffer, tier_name};
use crate::config::{Protocol, SimConfig};
use crate::drops::DropCounts;
use crate::measure::{Measurement, mix};
use crate::memory::{HostMemory, MemoryReport};
use crate::port::{LEVELS, Place, Port};
use crate::report::RunReport;
use crate::stats::{QueueMeter, QueueReport, SlowdownBins};
use crate::time::SimTime;
use crate::trace::Trace;
use crate::transport::TransportCounts;

/// What is left of a run.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) sim_time: SimTime,
    pub(crate) wall: Duration,
    pub(crate) hosts: u32,
    pub(crate) hops: u64,
    pub(crate) drops: DropCounts,
    pub(crate) ports: Vec<Port>,
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) counts: TransportCounts,
    /// Of the hosts that know.
    pub(crate) memory: Vec<HostMemory>,
    pub(crate) measurement: Measurement,
    pub(crate) trace: Option<Trace>,
}

/// Meters by the place that they are reported under.
type Meters = BTreeMap<&'static str, QueueMeter>;

/// What a run measured, or several that differ in their seeds.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Of the first.
    config: SimConfig,
    seeds: Vec<u64>,
    hosts: u32,
    unfinished: u64,
    sim_time: SimTime,
    window: SimTime,
    wall: Duration,
    hops: u64,
    drops: DropCounts,
    payload_bytes: u64,
    offered_bytes: u64,
    /// When meters were started and stopped.
    backlog_ends: [u64; 2],
    /// Over all links to hosts.
    busy: SimTime,
    wasted: SimTime,
    slowdown: SlowdownBins,
    overlay_slowdown: SlowdownBins,
    queues: Meters,
    /// Of whole switches.
    buffers: Meters,
    priority_bytes: [u64; LEVELS],
    counts: TransportCounts,
    memory: Vec<HostMemory>,
    fingerprint: u64,
}

impl Outcome {
    pub(crate) fn new(config: &SimConfig, finished: Finished) -> Self {
        let measurement = finished.measurement;
        let begin = measurement.begin.unwrap_or_default();
        Self {
            config: config.clone(),
            seeds: vec![config.seed],
            hosts: finished.hosts,
            unfinished: measurement.missing(),
            sim_time: finished.sim_time,
            window: measurement.end.unwrap_or(finished.sim_time).saturating_since(begin),
            wall: finished.wall,
            hops: finished.hops,
            drops: finished.drops,
            payload_bytes: measurement.payload_bytes,
            offered_bytes: measurement.offered_bytes,
            backlog_ends: measurement.backlog_ends,
            busy: busy_to_hosts(&finished.ports),
            wasted: measurement.wasted,
            slowdown: measurement.slowdown,
            overlay_slowdown: measurement.overlay_slowdown,
            queues: merged(finished.ports.iter().map(|port| (port.place.name(), &port.meter))),
            buffers: merged(finished.buffers.iter().map(|all| (tier_name(all.tier), &all.meter))),
            priority_bytes: measurement.priority_bytes,
            counts: finished.counts,
            memory: finished.memory,
            fingerprint: measurement.fingerprint,
        }
    }

    /// Adds what another run of the same configuration with another seed measured: messages, times and
    /// counts are added, queues and percentiles are those of all runs. The fingerprint depends on the
    /// order.
    ///
    /// # Panics
    ///
    /// The other differs in more than its seeds.
    pub fn merge(&mut self, other: Self) {
        let theirs = SimConfig { seed: self.config.seed, ..other.config };
        assert_eq!(self.config, theirs, "runs that differ in more than seeds cannot be merged");
        self.seeds.extend(other.seeds);
        self.unfinished += other.unfinished;
        self.sim_time += other.sim_time;
        self.window += other.window;
        self.wall += other.wall;
        self.hops += other.hops;
        self.drops.add(&other.drops);
        self.payload_bytes += other.payload_bytes;
        self.offered_bytes += other.offered_bytes;
        for (bytes, more) in self.backlog_ends.iter_mut().zip(other.backlog_ends) {
            *bytes += more;
        }
        self.busy += other.busy;
        self.wasted += other.wasted;
        self.slowdown.merge(other.slowdown);
        self.overlay_slowdown.merge(other.overlay_slowdown);
        merge(&mut self.queues, other.queues.iter().map(|(place, meter)| (*place, meter)));
        merge(&mut self.buffers, other.buffers.iter().map(|(place, meter)| (*place, meter)));
        for (bytes, more) in self.priority_bytes.iter_mut().zip(other.priority_bytes) {
            *bytes += more;
        }
        self.counts.add(&other.counts);
        self.memory.extend(other.memory);
        self.fingerprint = mix(self.fingerprint, other.fingerprint);
    }

    /// All of it in figures.
    #[must_use]
    pub fn report(&self) -> RunReport {
        let window_seconds = self.window.as_secs_f64();
        let host_seconds = window_seconds * f64::from(self.hosts);
        let wall_seconds = self.wall.as_secs_f64();
        let sent: u64 = self.priority_bytes.iter().sum();
        let all_hosts = f64::from(self.hosts) * self.seeds.len() as f64;
        RunReport {
            protocol: protocol_name(self.config.protocol),
            workload: self.config.workload.clone(),
            load: self.config.load,
            seed: self.config.seed,
            seeds: self.seeds.clone(),
            messages: self.slowdown.count() + self.overlay_slowdown.count(),
            unfinished: self.unfinished,
            sim_seconds: self.sim_time.as_secs_f64(),
            window_seconds,
            wall_seconds,
            events: self.hops,
            events_per_second: self.hops as f64 / wall_seconds.max(f64::MIN_POSITIVE),
            goodput_gbps: self.payload_bytes as f64 * 8e-9 / host_seconds,
            offered_gbps: self.offered_bytes as f64 * 8e-9 / host_seconds,
            backlog_bytes: self.backlog_ends.map(|bytes| bytes as f64 / all_hosts),
            utilization_pct: percent(self.busy.as_secs_f64(), host_seconds),
            wasted_pct: percent(self.wasted.as_secs_f64(), host_seconds),
            slowdown: self.slowdown.summary(),
            bins: self.slowdown.report(),
            incast: self.config.incast.map(|_| self.overlay_slowdown.summary()),
            queues: reports(&self.queues),
            buffers: reports(&self.buffers),
            priorities: self.priority_bytes.map(|bytes| percent(bytes as f64, sent as f64)),
            drops: self.drops.total(),
            drops_by_cause: self.drops,
            counts: self.counts,
            memory: MemoryReport::of(&self.memory),
            fingerprint: format!("{:016x}", self.fingerprint),
        }
    }
}

fn protocol_name(protocol: Protocol) -> String {
    match protocol {
        Protocol::Homa => "homa".into(),
        Protocol::Dctcp => "dctcp".into(),
        Protocol::Oracle => "oracle".into(),
    }
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

fn busy_to_hosts(ports: &[Port]) -> SimTime {
    let to_hosts = ports.iter().filter(|port| port.place == Place::Down(1));
    to_hosts.fold(SimTime::ZERO, |sum, port| sum + port.busy_measured)
}

fn merged<'a>(meters: impl Iterator<Item = (&'static str, &'a QueueMeter)>) -> Meters {
    let mut all = Meters::new();
    merge(&mut all, meters);
    all
}

fn merge<'a>(all: &mut Meters, meters: impl Iterator<Item = (&'static str, &'a QueueMeter)>) {
    meters.for_each(|(place, meter)| all.entry(place).or_default().merge(meter));
}

fn reports(meters: &Meters) -> BTreeMap<String, QueueReport> {
    meters.iter().map(|(place, meter)| ((*place).into(), meter.report())).collect()
}
