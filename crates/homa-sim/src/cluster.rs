//! A run: hosts with a transport each, a network between them, and traffic.

use std::time::Instant as WallClock;

use crate::events::EventQueue;
use crate::ideal::{IdealTimes, WayId};
use crate::measure::Measurement;
use crate::network::{Network, NetworkEvent};
use crate::packet::{HostId, Packet, PacketId};
use crate::port::Node;
use crate::random::Random;
use crate::time::SimTime;
use crate::traffic::{Order, Source, Traffic};
use crate::transport::{Arrived, Incoming, MessageId, Outgoing, Transport, TransportCounts};
use crate::workload::Workload;

/// Something that happens in a run.
#[derive(Clone, Copy, Debug)]
enum Event {
    Network(NetworkEvent),
    /// A source has something to send.
    Source(Source),
    /// A host's transport is due.
    Timer(u32),
}

impl From<NetworkEvent> for Event {
    fn from(event: NetworkEvent) -> Self {
        Self::Network(event)
    }
}

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
}

impl Message {
    /// The fingerprint of a run, once this message too has arrived after such a time.
    pub(crate) fn mark(&self, fingerprint: u64, time: SimTime) -> u64 {
        let mark = time.0 ^ (u64::from(self.length) << 32) ^ u64::from(self.to.0);
        mix(fingerprint, mark)
    }
}

#[derive(Debug)]
struct Host<T> {
    transport: T,
    /// When a timer event for it is due, or [`SimTime::NEVER`].
    timer: SimTime,
    /// Since when it has withheld what it could have granted.
    withholds_since: Option<SimTime>,
}

/// What a run needs besides hosts and network.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) workload: Workload,
    pub(crate) traffic: Traffic,
    pub(crate) ideal: IdealTimes,
    pub(crate) seed: u64,
    /// The run ends at this time if measured messages are still under way.
    pub(crate) time_limit: SimTime,
}

/// Tells how far a run is: messages measured, all that are to be, simulated time, packet hops.
pub type Progress<'a> = &'a (dyn Fn(ProgressReport) + Sync);

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct ProgressReport {
    /// Measured messages that have arrived.
    pub messages: u64,
    /// Messages that are to be measured.
    pub messages_total: u64,
    /// Simulated time so far.
    pub now: SimTime,
    /// Packets that left a queue so far.
    pub hops: u64,
}

/// Events between two reports of progress.
const PROGRESS_EVENTS: u64 = 1 << 16;

#[derive(Debug)]
pub(crate) struct Cluster<T: Transport> {
    now: SimTime,
    events: EventQueue<Event>,
    network: Network<T::Header>,
    hosts: Vec<Host<T>>,
    plan: Plan,
    lengths: Random,
    messages: Vec<Message>,
    free_messages: Vec<MessageId>,
    /// Kinds of ways, by the switches of both ends; computed when first needed.
    ways: std::collections::HashMap<(u32, u32), WayId, foldhash::fast::FixedState>,
    measurement: Measurement,
    /// Packets that travel beside the network, to be handed over at once.
    beside: Vec<Packet<T::Header>>,
    orders: Vec<Order>,
    fingerprint: u64,
}

impl<T: Transport> Cluster<T> {
    pub(crate) fn new(
        network: Network<T::Header>,
        transports: Vec<T>,
        plan: Plan,
        measurement: Measurement,
    ) -> Self {
        let host = |transport| Host { transport, timer: SimTime::NEVER, withholds_since: None };
        Self {
            now: SimTime::ZERO,
            events: EventQueue::new(),
            network,
            hosts: transports.into_iter().map(host).collect(),
            lengths: Random::new(plan.seed, "lengths", 0),
            plan,
            messages: Vec::new(),
            free_messages: Vec::new(),
            ways: std::collections::HashMap::default(),
            measurement,
            beside: Vec::new(),
            orders: Vec::new(),
            fingerprint: 0,
        }
    }

    /// Runs until all messages that are measured have arrived, or the time is over.
    pub(crate) fn run(mut self, progress: Progress<'_>) -> Finished {
        let begun = WallClock::now();
        for source in self.plan.traffic.sources() {
            let at = self.plan.traffic.first_gap(source);
            self.events.push(at, Event::Source(source));
        }
        let mut events: u64 = 0;
        while !self.measurement.is_complete() {
            let Some((at, event)) = self.events.pop() else { break };
            debug_assert!(at >= self.now, "time goes back");
            if at > self.plan.time_limit {
                break;
            }
            self.now = at;
            self.handle(event);
            events += 1;
            if events.is_multiple_of(PROGRESS_EVENTS) {
                progress(self.progress());
            }
        }
        self.measurement.end(self.now, &mut self.network.ports);
        progress(self.progress());
        let mut counts = TransportCounts::default();
        self.hosts.iter().for_each(|host| counts.add(&host.transport.counts()));
        Finished {
            sim_time: self.now,
            wall: begun.elapsed(),
            hops: self.network.hops,
            drops: self.network.drops,
            fingerprint: self.fingerprint,
            ports: self.network.ports,
            hosts: self.hosts.len() as u32,
            counts,
            measurement: self.measurement,
        }
    }

    fn progress(&self) -> ProgressReport {
        let (messages, messages_total) = self.measurement.progress();
        ProgressReport { messages, messages_total, now: self.now, hops: self.network.hops }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Network(NetworkEvent::Arrive { packet, node }) => match node.node() {
                Node::Switch(switch) => self.forward(switch, packet),
                Node::Host(host) => self.receive(host, packet),
            },
            Event::Network(NetworkEvent::Free { port }) => {
                let from = self.network.free(self.now, port, &mut self.events);
                if let Some(host) = from {
                    self.pump(host);
                }
            }
            Event::Source(source) => self.source(source),
            Event::Timer(host) => self.timer(host),
        }
    }

    fn source(&mut self, source: Source) {
        let mut orders = std::mem::take(&mut self.orders);
        self.plan.traffic.orders(source, &mut orders);
        for order in orders.drain(..) {
            self.start(order);
        }
        self.orders = orders;
        if self.plan.traffic.is_clocked(source) {
            let at = self.now + self.plan.traffic.gap(source);
            self.events.push(at, Event::Source(source));
        }
    }

    /// A new message.
    fn start(&mut self, order: Order) {
        let length = order.length.unwrap_or_else(|| self.plan.workload.sample(&mut self.lengths));
        let is_overlay = order.length.is_some();
        let is_measured = self.measurement.start(self.now, &mut self.network.ports);
        let Order { from, to, .. } = order;
        let message = Message { from, to, length, started: self.now, is_measured, is_overlay };
        let id = self.insert_message(message);
        self.hosts[from.index()].transport.start(self.now, id, to, length);
        self.settle(from.0);
    }

    fn insert_message(&mut self, message: Message) -> MessageId {
        if let Some(id) = self.free_messages.pop() {
            self.messages[id.0 as usize] = message;
            return id;
        }
        self.messages.push(message);
        MessageId(self.messages.len() as u32 - 1)
    }

    fn forward(&mut self, switch: u32, id: PacketId) {
        if let Some(host) = self.network.wakes(self.now, switch, id) {
            self.count_waste(host);
        }
        self.network.forward(self.now, switch, id, &mut self.events);
    }

    fn receive(&mut self, host: u32, id: PacketId) {
        let packet = *self.network.pool.get(id);
        self.network.remove(id);
        self.deliver(host, &packet);
        self.settle(host);
    }

    fn deliver(&mut self, host: u32, packet: &Packet<T::Header>) {
        let incoming = Incoming {
            from: packet.from,
            payload_len: packet.payload_len,
            is_marked: packet.is_marked,
            header: &packet.header,
        };
        self.measurement.payload(packet.payload_len);
        self.hosts[host as usize].transport.receive(self.now, incoming);
    }

    fn timer(&mut self, host: u32) {
        let this = &mut self.hosts[host as usize];
        if this.timer > self.now {
            // A later one replaced it.
            return;
        }
        this.timer = SimTime::NEVER;
        if this.transport.timeout().is_some_and(|at| at <= self.now) {
            this.transport.handle_timeout(self.now);
        }
        self.settle(host);
    }

    /// After anything happened at a host: what arrived is taken, what can be sent is sent, and what
    /// travels beside the network is handed over.
    fn settle(&mut self, host: u32) {
        self.pump(host);
        while let Some(packet) = self.beside.pop() {
            let to = packet.to.0;
            self.deliver(to, &packet);
            self.pump(to);
        }
    }

    /// Sends what a host can send now.
    fn pump(&mut self, host: u32) {
        self.take_arrived(host);
        while self.network.takes_from(self.now, host) {
            let Some(outgoing) = self.hosts[host as usize].transport.transmit(self.now) else {
                break;
            };
            self.send(host, outgoing);
        }
        self.take_arrived(host);
        self.watch(host);
    }

    fn send(&mut self, host: u32, outgoing: Outgoing<T::Header>) {
        let Outgoing { to, payload_len, wire_bytes, priority, is_beside, header } = outgoing;
        let from = HostId(host);
        let packet =
            Packet { from, to, payload_len, wire_bytes, priority, is_marked: false, header };
        if is_beside {
            self.beside.push(packet);
        } else {
            self.measurement.sent(priority, wire_bytes);
            self.network.send(self.now, packet, &mut self.events);
        }
    }

    fn take_arrived(&mut self, host: u32) {
        while let Some(arrived) = self.hosts[host as usize].transport.poll_arrived(self.now) {
            self.complete(arrived);
        }
    }

    /// A message has arrived whole.
    fn complete(&mut self, arrived: Arrived) {
        let Some(id) = self.hosts[arrived.from.index()].transport.message(arrived.token) else {
            return;
        };
        let message = self.messages[id.0 as usize];
        self.free_messages.push(id);
        let time = self.now - message.started;
        self.fingerprint = message.mark(self.fingerprint, time);
        if message.is_measured {
            let way = self.way(message.from, message.to);
            let best = self.plan.ideal.time(way, message.length);
            let slowdown = time.0 as f64 / best.0 as f64;
            self.measurement.complete(message.length, slowdown, message.is_overlay);
        }
        if !message.is_overlay && self.plan.traffic.is_closed_loop() {
            // The next one starts as an event of its own, lest calls nest.
            self.events.push(self.now, Event::Source(Source::Again(message.from.0)));
        }
    }

    fn way(&mut self, from: HostId, to: HostId) -> WayId {
        let ends = (self.network.host_switch(from), self.network.host_switch(to));
        let (network, ideal) = (&self.network, &mut self.plan.ideal);
        *self.ways.entry(ends).or_insert_with(|| network.way(from, to, ideal))
    }

    /// Sees to it that a host's next timeout is an event, and notes whether it withholds anything.
    fn watch(&mut self, host: u32) {
        let this = &mut self.hosts[host as usize];
        if let Some(at) = this.transport.timeout()
            && at < this.timer
        {
            this.timer = at.max(self.now);
            self.events.push(this.timer, Event::Timer(host));
        }
        let withholds = this.transport.withholds();
        if withholds != this.withholds_since.is_some() {
            self.count_waste(host);
            self.hosts[host as usize].withholds_since = withholds.then_some(self.now);
        }
    }

    /// If the link to a host has been idle while it withheld grants, that was wasted.
    fn count_waste(&mut self, host: u32) {
        let Some(since) = self.hosts[host as usize].withholds_since else { return };
        let idle_since = self.network.down_idle_since(host);
        let begin = since.max(idle_since);
        self.measurement.waste(begin, self.now);
    }
}

/// A fingerprint continued: what happened, and in which order, decides what becomes of it.
pub(crate) const fn mix(fingerprint: u64, mark: u64) -> u64 {
    // FNV's multiplier for 64 bits.
    (fingerprint.rotate_left(5) ^ mark).wrapping_mul(0x0000_0100_0000_01b3)
}

/// What is left of a run.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) sim_time: SimTime,
    pub(crate) wall: std::time::Duration,
    pub(crate) hops: u64,
    pub(crate) drops: u64,
    pub(crate) fingerprint: u64,
    pub(crate) ports: Vec<crate::port::Port>,
    pub(crate) hosts: u32,
    pub(crate) counts: TransportCounts,
    pub(crate) measurement: Measurement,
}
