//! A central scheduler that knows every message from its start: the lower bound of the Homa paper's
//! figures ("SRPT-Oracle").
//!
//! At any moment it has those messages sent that have the fewest bytes left, one per sender and one per
//! receiver, each at the full speed of the hosts' links; it interrupts them at any byte, at no cost. What
//! has been sent passes the switches without meeting anything else. So nothing ever queues, and what a
//! message waits for is only shorter ones from the same sender or to the same receiver.
//!
//! It is no strict bound: a greedy choice is not always the best one, and a packet that was interrupted
//! is forwarded in parts, so that a message may arrive somewhat earlier than one that is sent in one
//! piece; its slowdown is then below 1.
//!
//! The published figures come from a script of the authors (`GreedySRPTOracleScheduler.py`,
//! github.com/PlatformLab/HomaSimulation), which has the same rules but for one: between two events
//! anywhere in the cluster it sends the number of bytes that is nearest, and where that is none, cuts the
//! packet. In clusters in which a message comes or goes every few nanoseconds (W1 to W3 on 144 hosts)
//! that cuts most packets, and takes up to a tenth off the slowdown of messages of one packet; it also
//! wastes some bandwidth. [`OracleConfig::whole_bytes`] repeats that, to compare with the published
//! figures. Those are of whole runs of 5,000,000 (W1), 2,000,000 (W3) and 440,012 (W4) messages from an
//! idle start.
//!
//! Traffic is the same as of other protocols under the same configuration, and so its load includes what
//! only others need, such as grants.

mod schedule;
#[cfg(test)]
mod tests;
mod wire;

use std::time::Instant as WallClock;

use serde::{Deserialize, Serialize};

use self::schedule::{Job, JobId, Schedule};
use self::wire::Wire;
use crate::config::SimConfig;
use crate::drops::DropCounts;
use crate::events::EventQueue;
use crate::ideal::delivery;
use crate::network::Network;
use crate::outcome::Finished;
use crate::plan::Plan;
use crate::port::ByteTime;
use crate::progress::{Progress, ProgressReport};
use crate::time::SimTime;
use crate::traffic::Source;
use crate::transport::TransportCounts;

/// Parameters of the central scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OracleConfig {
    /// Whether between two events whole bytes are sent, and packets are cut where that is none, as the
    /// published figures have it. Otherwise time is exact.
    pub whole_bytes: bool,
}

impl Default for OracleConfig {
    /// As published.
    fn default() -> Self {
        Self { whole_bytes: true }
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A source has something to send.
    Source(Source),
    /// A message has been sent, if nothing came between: the number of changes is still this one.
    Sent(u64),
}

/// Changes between two reports of progress.
const PROGRESS_CHANGES: u64 = 1 << 14;

/// A run.
#[derive(Debug)]
pub(crate) struct Oracle {
    now: SimTime,
    events: EventQueue<Event>,
    schedule: Schedule,
    wire: Wire,
    /// Only for its ways and for what its links carry.
    network: Network<()>,
    plan: Plan,
    started: u64,
    /// How often the schedule changed.
    changes: u64,
}

impl Oracle {
    /// A run on a network of which only the ways count, and the speed of the links to hosts.
    pub(crate) fn new(config: &SimConfig, network: Network<()>, plan: Plan) -> Self {
        let byte_time = ByteTime::of_gbps(config.network.host_gbps);
        let wire = Wire::new(config.framing, byte_time, config.oracle.whole_bytes);
        Self {
            now: SimTime::ZERO,
            events: EventQueue::new(),
            schedule: Schedule::new(network.hosts(), wire),
            wire,
            network,
            plan,
            started: 0,
            changes: 0,
        }
    }

    /// Runs until all messages that are measured have been sent, or the time is over.
    pub(crate) fn run(mut self, progress: Progress<'_>) -> Finished {
        let begun = WallClock::now();
        for (at, source) in self.plan.first_times() {
            self.events.push(at, Event::Source(source));
        }
        while let Some((at, event)) = self.plan.next_event(&mut self.events) {
            self.handle(at, event);
            if self.changes.is_multiple_of(PROGRESS_CHANGES) {
                progress(self.progress());
            }
        }
        self.plan.measurement.end(self.now, &mut self.network);
        progress(self.progress());
        Finished {
            sim_time: self.now,
            wall: begun.elapsed(),
            hosts: self.network.hosts(),
            hops: self.changes,
            drops: DropCounts::default(),
            ports: self.network.ports,
            buffers: self.network.buffers,
            counts: TransportCounts::default(),
            memory: Vec::new(),
            measurement: self.plan.measurement,
            trace: self.plan.trace,
        }
    }

    fn progress(&self) -> ProgressReport {
        self.plan.measurement.progress(self.now, self.changes)
    }

    fn handle(&mut self, at: SimTime, event: Event) {
        if matches!(event, Event::Sent(changes) if changes != self.changes) {
            return;
        }
        for id in self.send_until(at) {
            self.complete(id);
        }
        self.schedule.settle();
        if let Event::Source(source) = event {
            self.source(source);
        }
        self.changes += 1;
        let sending = (0..self.network.hosts()).filter_map(|host| self.schedule.sent_by(host));
        if let Some(left) = sending.map(|id| self.schedule.job(id).left).min() {
            self.events.push(self.now + left, Event::Sent(self.changes));
        }
    }

    /// Sends what has been scheduled since the last change. Returns what has been sent whole.
    fn send_until(&mut self, at: SimTime) -> Vec<JobId> {
        let (begin, span) = (self.now, self.wire.sent(at - self.now));
        self.now = at;
        let mut done = Vec::new();
        if span == SimTime::ZERO {
            return done;
        }
        for host in 0..self.network.hosts() {
            let Some(id) = self.schedule.sent_by(host) else { continue };
            let job = self.schedule.job_mut(id);
            let sent = job.send(begin, at, span);
            self.network.carry(job.message.to, sent);
            if job.left == SimTime::ZERO {
                done.push(id);
            }
        }
        done
    }

    /// A message has been sent.
    fn complete(&mut self, id: JobId) {
        let Job { message, stretches, .. } = self.schedule.take(id);
        let packets = self.wire.sent_packets(message.length, &stretches);
        let arrived = delivery(self.plan.hops(&message, &self.network), packets);
        self.plan.measurement.payload(message.length);
        if let Some(source) = self.plan.arrived(arrived, &message, &self.network) {
            self.events.push(arrived, Event::Source(source));
        }
    }

    fn source(&mut self, source: Source) {
        for order in self.plan.orders(source) {
            let message = self.plan.start(self.now, order, &mut self.network);
            let (number, left) = (self.started, self.wire.time(message.length));
            self.started += 1;
            self.schedule.start(Job { message, number, left, stretches: Vec::new() });
            self.schedule.settle();
        }
        if let Some(at) = self.plan.next_time(self.now, source) {
            self.events.push(at, Event::Source(source));
        }
    }
}
