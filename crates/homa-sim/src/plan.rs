//! What all runs have in common, whatever protocol they are of: messages that come, and what is made of
//! their arrival.

use crate::config::{Exchange, Inputs, SimConfig};
use crate::events::EventQueue;
use crate::ideal::{Hop, IdealTimes, WayId};
use crate::measure::{Measurement, Window};
use crate::network::Network;
use crate::packet::HostId;
use crate::random::Random;
use crate::replay::Replay;
use crate::stats::SlowdownBins;
use crate::time::SimTime;
use crate::trace::Trace;
use crate::traffic::{Order, Source, Traffic};
use crate::workload::Workload;

/// A message under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) from: HostId,
    pub(crate) to: HostId,
    pub(crate) length: u32,
    pub(crate) started: SimTime,
    /// Whether it counts.
    pub(crate) is_measured: bool,
    /// Whether it is of an incast beside the workload.
    pub(crate) is_overlay: bool,
    /// Its place in the trace, if there is one.
    pub(crate) traced: Option<usize>,
}

/// Which messages come when, how long they take at best, and how long they took.
#[derive(Debug)]
pub(crate) struct Plan {
    workload: Workload,
    lengths: Random,
    traffic: Traffic,
    /// Instead of the workload's messages.
    replay: Option<Replay>,
    ideal: IdealTimes,
    pub(crate) measurement: Measurement,
    /// What becomes of each message, if that is wanted.
    pub(crate) trace: Option<Trace>,
    /// The run ends at this time if measured messages are still under way.
    time_limit: SimTime,
}

impl Plan {
    /// For so many hosts, and messages of which so many bytes need no grant: best times depend on that.
    pub(crate) fn new(
        config: &SimConfig,
        inputs: Inputs,
        hosts: u32,
        unscheduled_bytes: u32,
        trace: Option<Trace>,
    ) -> Self {
        let Inputs { workload, replay } = inputs;
        let begin = config.warmup();
        let there_are = replay.as_ref().map_or(u64::MAX, |replay| replay.count_since(begin));
        let window = Window { begin, messages: config.messages.min(there_are) };
        Self {
            lengths: Random::new(config.seed, "lengths", 0),
            traffic: traffic(config, &workload, hosts),
            replay,
            ideal: IdealTimes::new(config.framing, unscheduled_bytes),
            measurement: Measurement::new(window, SlowdownBins::new(workload.bins())),
            trace,
            time_limit: SimTime::from_secs_f64(config.seconds_max),
            workload,
        }
    }

    /// When each source has its first orders.
    pub(crate) fn first_times(&mut self) -> Vec<(SimTime, Source)> {
        let is_replay = self.replay.is_some();
        let sources = self.traffic.sources().into_iter();
        // Those of the workload's messages have nothing to do in a replay.
        let sources = sources.filter(|&source| !is_replay || source == Source::Overlay);
        let times = sources.map(|source| (self.traffic.first_gap(source), source));
        let replay = self.replay.as_ref().and_then(Replay::next_time);
        let replay = replay.map(|at| (at, Source::Replay));
        times.chain(replay).collect()
    }

    /// The next event, unless all messages that are measured have arrived, or the time is over.
    pub(crate) fn next_event<E: Copy>(&self, events: &mut EventQueue<E>) -> Option<(SimTime, E)> {
        if self.measurement.is_complete() {
            return None;
        }
        events.pop().filter(|&(at, _)| at <= self.time_limit)
    }

    /// The orders of a source whose time has come.
    pub(crate) fn orders(&mut self, source: Source) -> Vec<Order> {
        match (&mut self.replay, source) {
            (Some(replay), Source::Replay) => replay.orders(),
            _ => self.traffic.orders(source),
        }
    }

    /// When a source that had orders now has the next ones, if by the clock.
    pub(crate) fn next_time(&mut self, now: SimTime, source: Source) -> Option<SimTime> {
        if source == Source::Replay {
            return self.replay.as_ref().and_then(Replay::next_time);
        }
        self.traffic.is_clocked(source).then(|| now + self.traffic.gap(source))
    }

    /// A new message. The first and the last one that count start and stop the meters of all ports.
    pub(crate) fn start<H: Copy>(
        &mut self,
        now: SimTime,
        order: Order,
        network: &mut Network<H>,
    ) -> Message {
        let Order { from, to, length, is_overlay } = order;
        let length = length.unwrap_or_else(|| self.workload.sample(&mut self.lengths));
        let is_measured = self.measurement.start(now, length, network);
        let mut message =
            Message { from, to, length, started: now, is_measured, is_overlay, traced: None };
        if self.trace.is_some() {
            let best = self.best(&message, network);
            message.traced = self.trace.as_mut().map(|trace| trace.start(&message, best));
        }
        message
    }

    /// A message has arrived whole. Returns the source that now has orders because of it.
    pub(crate) fn arrived<H: Copy>(
        &mut self,
        at: SimTime,
        message: &Message,
        network: &Network<H>,
    ) -> Option<Source> {
        let &Message { from, to, length, started, is_measured, is_overlay, traced } = message;
        let time = at - started;
        self.measurement.arrived(length);
        self.measurement.mark(time.0 ^ (u64::from(length) << 32) ^ u64::from(to.0));
        if let (Some(trace), Some(place)) = (&mut self.trace, traced) {
            trace.complete(place, time);
        }
        if is_measured {
            let slowdown = time.0 as f64 / self.best(message, network).0 as f64;
            self.measurement.complete(length, slowdown, is_overlay);
        }
        let is_followed = self.replay.is_none() && self.traffic.is_closed_loop() && !is_overlay;
        is_followed.then_some(Source::Again(from.0))
    }

    /// The links that a message passes.
    pub(crate) fn hops<H: Copy>(&mut self, message: &Message, network: &Network<H>) -> &[Hop] {
        let way = self.way(message, network);
        self.ideal.hops(way)
    }

    /// The shortest time in which a message can get there.
    fn best<H: Copy>(&mut self, message: &Message, network: &Network<H>) -> SimTime {
        let way = self.way(message, network);
        self.ideal.time(way, message.length)
    }

    fn way<H: Copy>(&mut self, message: &Message, network: &Network<H>) -> WayId {
        let &Message { from, to, .. } = message;
        let ends = [from, to].map(|host| network.host_switch(host));
        self.ideal.way(ends, || network.hops(from, to))
    }
}

/// Messages at a rate that gives the links the load that is asked for.
fn traffic(config: &SimConfig, workload: &Workload, hosts: u32) -> Traffic {
    let one_way =
        |length| config.framing.message_with_grants(length, config.homa.unscheduled_bytes);
    // A host that sends as many requests as others gets as many responses as requests.
    let bytes = |length| match config.exchange {
        Exchange::OneWay => one_way(length),
        Exchange::Echo => 2.0 * one_way(length),
        Exchange::Reply(reply) => one_way(length) + one_way(reply),
    };
    let seconds_per_byte = 8e-9 / config.network.host_gbps;
    let time = |bytes: f64| SimTime::from_secs_f64(bytes * seconds_per_byte);
    let incast_bytes = config.incast.map_or(0.0, |incast| bytes(incast.bytes));
    Traffic::new(
        config.traffic,
        config.incast,
        hosts,
        config.load,
        time(workload.expectation(bytes)),
        time(incast_bytes),
        config.seed,
    )
}
