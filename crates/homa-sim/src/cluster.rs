//! A run: hosts with a transport each, a network between them, and traffic.

use std::time::Instant as WallClock;

use crate::drops::DropCause;
use crate::event::{Event, Events};
use crate::faults::{FaultPlan, Held, Interface};
use crate::network::Network;
use crate::outcome::Finished;
use crate::packet::{HostId, Packet, PacketId};
use crate::plan::{Message, Plan};
use crate::port::Node;
use crate::progress::{Progress, ProgressReport};
use crate::slots::Slots;
use crate::time::SimTime;
use crate::traffic::Source;
use crate::transport::{Arrived, Incoming, MessageId, Outgoing, Transport, TransportCounts};

#[derive(Debug)]
struct Host<T> {
    transport: T,
    /// When a timer event for it is due, or [`SimTime::NEVER`].
    timer: SimTime,
    /// When its transport handled a timeout last.
    handled_timeout: Option<SimTime>,
    /// Since when it has withheld what it could have granted.
    withholds_since: Option<SimTime>,
}

/// Events between two reports of progress.
const PROGRESS_EVENTS: u64 = 1 << 16;

#[derive(Debug)]
pub(crate) struct Cluster<T: Transport> {
    now: SimTime,
    events: Events,
    network: Network<T::Header>,
    hosts: Vec<Host<T>>,
    plan: Plan,
    messages: Slots<Message>,
    /// Packets that travel beside the network, to be handed over at once.
    beside: Vec<Packet<T::Header>>,
    /// By host: where packets wait while it is stalled; empty if none ever is.
    interfaces: Vec<Interface>,
    /// When links between switches go down or come up.
    reroutes: Vec<SimTime>,
}

impl<T: Transport> Cluster<T> {
    pub(crate) fn new(
        network: Network<T::Header>,
        transports: Vec<T>,
        plan: Plan,
        faults: FaultPlan,
    ) -> Self {
        let host = |transport| Host {
            transport,
            timer: SimTime::NEVER,
            handled_timeout: None,
            withholds_since: None,
        };
        Self {
            now: SimTime::ZERO,
            events: Events::new(),
            network: network.with_faults(faults.links),
            hosts: transports.into_iter().map(host).collect(),
            plan,
            messages: Slots::new(),
            beside: Vec::new(),
            interfaces: faults.interfaces,
            reroutes: faults.reroutes,
        }
    }

    /// Runs until all messages that are measured have arrived, or the time is over.
    pub(crate) fn run(mut self, progress: Progress<'_>) -> Finished {
        let begun = WallClock::now();
        for &at in &self.reroutes {
            self.events.push(at, Event::Reroute);
        }
        for (at, source) in self.plan.first_times() {
            self.events.push(at, Event::Source(source));
        }
        let mut events: u64 = 0;
        while let Some((at, event)) = self.plan.next_event(&mut self.events) {
            debug_assert!(at >= self.now, "time goes back");
            self.now = at;
            self.handle(event.into());
            events += 1;
            if events.is_multiple_of(PROGRESS_EVENTS) {
                progress(self.progress());
            }
        }
        self.plan.measurement.end(self.now, &mut self.network);
        progress(self.progress());
        let mut counts = TransportCounts::default();
        self.hosts.iter().for_each(|host| counts.add(&host.transport.counts()));
        let memory = self.hosts.iter().filter_map(|host| host.transport.memory()).collect();
        Finished {
            sim_time: self.now,
            wall: begun.elapsed(),
            hosts: self.network.hosts(),
            hops: self.network.hops,
            drops: self.network.drops,
            ports: self.network.ports,
            buffers: self.network.buffers,
            counts,
            memory,
            measurement: self.plan.measurement,
            trace: self.plan.trace,
        }
    }

    fn progress(&self) -> ProgressReport {
        self.plan.measurement.progress(self.now, self.network.hops)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive { packet, node } => match node.node() {
                Node::Switch(switch) => self.forward(switch, packet),
                Node::Host(host) => self.receive(host, packet),
            },
            Event::Free { port } => {
                if let Some(host) = self.network.free(self.now, port, &mut self.events) {
                    self.pump(host);
                }
            }
            Event::Source(source) => self.source(source),
            Event::Timer(host) => self.timer(host),
            Event::Resume(host) => self.resume(host),
            Event::Reroute => self.network.reroute(self.now),
        }
    }

    fn source(&mut self, source: Source) {
        for order in self.plan.orders(source) {
            let message = self.plan.start(self.now, order, &mut self.network);
            let Message { from, to, length, .. } = message;
            let id = MessageId(self.messages.insert(message));
            self.hosts[from.index()].transport.start(self.now, id, to, length);
            self.settle(from);
        }
        if let Some(at) = self.plan.next_time(self.now, source) {
            self.events.push(at, Event::Source(source));
        }
    }

    fn forward(&mut self, switch: u32, id: PacketId) {
        if let Some(host) = self.network.wakes(self.now, switch, id) {
            self.count_waste(host);
        }
        self.network.forward(self.now, switch, id, &mut self.events);
    }

    fn receive(&mut self, host: HostId, id: PacketId) {
        if self.is_stalled(host) {
            self.hold(host, id);
            return;
        }
        let packet = self.network.take(id);
        self.deliver(host, &packet);
        self.settle(host);
    }

    /// Keeps a packet until its receiver handles packets again.
    fn hold(&mut self, host: HostId, id: PacketId) {
        let bytes = self.network.wire_bytes(id).into();
        let interface = &mut self.interfaces[host.index()];
        match interface.hold(self.now, id, bytes) {
            Held::First => self.events.push(interface.resumes_at(self.now), Event::Resume(host)),
            Held::Behind => {}
            Held::Lost => self.network.drop_packet(id, DropCause::HostStalled),
        }
    }

    /// Handles what waits, unless another stall has begun.
    fn resume(&mut self, host: HostId) {
        let interface = &mut self.interfaces[host.index()];
        let at = interface.resumes_at(self.now);
        if at > self.now {
            self.events.push(at, Event::Resume(host));
            return;
        }
        for id in interface.take() {
            let packet = self.network.take(id);
            self.deliver(host, &packet);
        }
        self.settle(host);
    }

    fn deliver(&mut self, host: HostId, packet: &Packet<T::Header>) {
        let incoming = Incoming {
            from: packet.from,
            payload_len: packet.payload_len,
            is_marked: packet.is_marked,
            header: &packet.header,
        };
        self.plan.measurement.payload(packet.payload_len);
        self.hosts[host.index()].transport.receive(self.now, incoming);
    }

    fn timer(&mut self, host: HostId) {
        let is_stalled = self.is_stalled(host);
        let this = &mut self.hosts[host.index()];
        if this.timer > self.now {
            // A later one replaced it.
            return;
        }
        this.timer = SimTime::NEVER;
        if !is_stalled {
            this.handled_timeout = Some(self.now);
        }
        if !is_stalled && this.transport.timeout().is_some_and(|at| at <= self.now) {
            this.transport.handle_timeout(self.now);
        }
        self.settle(host);
    }

    /// After anything happened at a host: what arrived is taken, what can be sent is sent, and what
    /// travels beside the network is handed over.
    fn settle(&mut self, host: HostId) {
        self.pump(host);
        while let Some(packet) = self.beside.pop() {
            let to = packet.to;
            self.deliver(to, &packet);
            self.pump(to);
        }
    }

    /// Sends what a host can send now.
    fn pump(&mut self, host: HostId) {
        self.take_arrived(host);
        while self.network.takes_from(self.now, host) {
            let Some(outgoing) = self.hosts[host.index()].transport.transmit(self.now) else {
                break;
            };
            self.send(host, outgoing);
        }
        self.take_arrived(host);
        self.watch(host);
    }

    fn send(&mut self, from: HostId, outgoing: Outgoing<T::Header>) {
        let Outgoing { to, payload_len, wire_bytes, priority, is_beside, header } = outgoing;
        let packet =
            Packet { from, to, payload_len, wire_bytes, priority, is_marked: false, header };
        if is_beside {
            self.beside.push(packet);
        } else {
            self.plan.measurement.sent(priority, wire_bytes);
            self.network.send(self.now, packet, &mut self.events);
        }
    }

    fn take_arrived(&mut self, host: HostId) {
        while let Some(arrived) = self.hosts[host.index()].transport.poll_arrived(self.now) {
            self.complete(arrived);
        }
    }

    /// A message has arrived whole.
    fn complete(&mut self, arrived: Arrived) {
        let Some(id) = self.hosts[arrived.from.index()].transport.message(arrived.token) else {
            return;
        };
        self.messages.free(id.0);
        let message = &self.messages[id.0];
        if let Some(source) = self.plan.arrived(self.now, message, &self.network) {
            // As an event of its own, lest calls nest.
            self.events.push(self.now, Event::Source(source));
        }
    }

    /// Sees to it that a host's next timeout is an event, and notes whether it withholds anything.
    fn watch(&mut self, host: HostId) {
        let interface = self.interfaces.get(host.index());
        let earliest = interface.map_or(self.now, |interface| interface.resumes_at(self.now));
        let takes = self.network.takes_from(self.now, host);
        let this = &mut self.hosts[host.index()];
        // What is still due after it was handled is something to send: that waits for the link, which
        // comes back here when it is free.
        let waits = |at| at <= self.now && this.handled_timeout == Some(self.now) && !takes;
        if let Some(at) = this.transport.timeout()
            && at.max(earliest) < this.timer
            && !waits(at)
        {
            this.timer = at.max(earliest);
            self.events.push(this.timer, Event::Timer(host));
        }
        let withholds = this.transport.withholds();
        if withholds != this.withholds_since.is_some() {
            self.count_waste(host);
            self.hosts[host.index()].withholds_since = withholds.then_some(self.now);
        }
    }

    /// Whether a host handles nothing now.
    fn is_stalled(&self, host: HostId) -> bool {
        let interface = self.interfaces.get(host.index());
        interface.is_some_and(|interface| interface.holds(self.now))
    }

    /// If the link to a host has been idle while it withheld grants, that was wasted.
    fn count_waste(&mut self, host: HostId) {
        let Some(since) = self.hosts[host.index()].withholds_since else { return };
        let idle_since = self.network.down_idle_since(host);
        let begin = since.max(idle_since);
        self.plan.measurement.waste(begin, self.now);
    }
}
