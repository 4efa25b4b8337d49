//! Switches and links: where packets wait, and for how long.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::buffer::Buffer;
use crate::drops::{DropCause, DropCounts};
use crate::event::{Event, Events};
use crate::faults::LinkFaults;
use crate::ideal::Hop;
use crate::packet::{HostId, Packet, PacketId, PacketPool};
use crate::port::{ByteTime, Node, NodeId, Place, Port, QueueLimits};
use crate::random::Random;
use crate::time::SimTime;
use crate::topology::{Routes, Shape, Topology, TopologyError};

/// How a packet's way is chosen where several are equally short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Routing {
    /// At random for each packet.
    #[default]
    Spray,
    /// The same for all packets from one host to another (ECMP).
    Flow,
}

/// A network of links and switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Which switches there are.
    pub topology: Shape,
    /// Speed of links to hosts, in Gb/s.
    pub host_gbps: f64,
    /// Speed of links between switches, in Gb/s.
    pub core_gbps: f64,
    /// Time that a signal takes along a link, in ns.
    pub propagation_ns: u64,
    /// Time in a switch besides serialization and waiting, in ns. Packets are received whole first.
    pub switch_ns: u64,
    /// From a transport's decision to send to the start of the transmission, in ns.
    pub host_send_ns: u64,
    /// From a packet's arrival to its being handled, in ns.
    pub host_receive_ns: u64,
    /// Which of several ways.
    pub routing: Routing,
    /// Bytes that a host's interface takes before it has sent them, or 0 if hosts decide what to send
    /// at the last moment.
    pub nic_queue_bytes: u64,
    /// Bytes that each output queue of a switch holds, or 0 for no limit.
    pub buffer_bytes: u64,
    /// Packets are marked that meet so many bytes in a queue, or 0 for none.
    pub mark_bytes: u64,
    /// Of so many packets, in thousandths, each link loses some at random.
    pub loss_permille: f64,
}

impl Default for NetworkConfig {
    /// That of the simulations published at SIGCOMM'18 (PAPER_RESULTS 1.1).
    fn default() -> Self {
        Self {
            topology: Shape::sigcomm18(),
            host_gbps: 10.0,
            core_gbps: 40.0,
            propagation_ns: 0,
            switch_ns: 250,
            host_send_ns: 1000,
            host_receive_ns: 500,
            routing: Routing::Spray,
            nic_queue_bytes: 0,
            buffer_bytes: 0,
            mark_bytes: 0,
            loss_permille: 0.0,
        }
    }
}

/// All ports, and the packets that wait in them.
#[derive(Debug)]
pub(crate) struct Network<H> {
    pool: PacketPool<H>,
    /// First those from and to each host, in turn.
    pub(crate) ports: Vec<Port>,
    /// By switch.
    pub(crate) buffers: Vec<Buffer>,
    host_switch: Vec<u32>,
    /// By switch: which port leads where.
    neighbours: Vec<Vec<(u32, u32)>>,
    /// When all links are up.
    routes: Routes,
    /// Otherwise.
    detours: Option<Routes>,
    routing: Routing,
    nic_queue_bytes: u64,
    random: Random,
    /// Packets that have left a queue.
    pub(crate) hops: u64,
    pub(crate) drops: DropCounts,
    loss: f64,
}

impl<H: Copy> Network<H> {
    pub(crate) fn new(config: &NetworkConfig, random: Random) -> Result<Self, TopologyError> {
        let topology = config.topology.build()?;
        let hosts = topology.host_switch.len();
        let mut ports = Vec::with_capacity(2 * (hosts + topology.links.len()));
        let wire = config.propagation_ns;
        let host_time = ByteTime::of_gbps(config.host_gbps);
        let up_delay = SimTime::from_nanos(config.host_send_ns + wire);
        let down_delay = SimTime::from_nanos(config.switch_ns + wire + config.host_receive_ns);
        for (host, &switch) in (0..).map(HostId).zip(&topology.host_switch) {
            let (host, switch) = (NodeId::host(host), NodeId::switch(switch));
            ports.push(Port::new([host, switch], Place::HostUp, host_time, up_delay));
            ports.push(Port::new([switch, host], Place::Down(1), host_time, down_delay));
        }
        let neighbours = join_switches(&topology, config, &mut ports);
        let limits =
            QueueLimits { buffer_bytes: config.buffer_bytes, mark_bytes: config.mark_bytes };
        for port in ports.iter_mut().filter(|port| port.place != Place::HostUp) {
            port.limits = limits;
        }
        let routes = Routes::new(&topology.host_switch, &neighbours);
        if !routes.are_complete() {
            return Err(TopologyError("some hosts can't reach others".into()));
        }
        Ok(Self {
            pool: PacketPool::new(),
            ports,
            buffers: topology.tiers.iter().copied().map(Buffer::new).collect(),
            neighbours,
            routes,
            detours: None,
            host_switch: topology.host_switch,
            routing: config.routing,
            nic_queue_bytes: config.nic_queue_bytes,
            random,
            hops: 0,
            drops: DropCounts::default(),
            loss: config.loss_permille / 1000.0,
        })
    }

    /// The same with faults of links, by port.
    pub(crate) fn with_faults(mut self, faults: BTreeMap<u32, LinkFaults>) -> Self {
        for (port, faults) in faults {
            self.ports[port as usize].faults = Some(Box::new(faults));
        }
        self
    }

    pub(crate) fn hosts(&self) -> u32 {
        self.host_switch.len() as u32
    }

    /// The links from one host to another, one way of several that are alike.
    pub(crate) fn hops(&self, from: HostId, to: HostId) -> Vec<Hop> {
        let mut hops = Vec::with_capacity(8);
        let hop = |port: &Port| Hop { byte_time: port.byte_time, delay: port.delay };
        hops.push(hop(&self.ports[up(from) as usize]));
        let mut switch = self.host_switch(from);
        let last = self.host_switch(to);
        while switch != last {
            let port = &self.ports[self.routes.ports(switch, last)[0] as usize];
            hops.push(hop(port));
            let Node::Switch(next) = port.to.node() else {
                unreachable!("ways lead through switches")
            };
            switch = next;
        }
        hops.push(hop(&self.ports[down(to) as usize]));
        hops
    }

    pub(crate) fn host_switch(&self, host: HostId) -> u32 {
        self.host_switch[host.index()]
    }

    /// Hands a packet to its sender's link.
    pub(crate) fn send(&mut self, now: SimTime, packet: Packet<H>, events: &mut Events) {
        let port = up(packet.from);
        let id = self.pool.insert(packet);
        self.put(now, port, id, events);
    }

    /// Whether the link from a host takes a packet now.
    pub(crate) fn takes_from(&self, now: SimTime, host: HostId) -> bool {
        let port = &self.ports[up(host) as usize];
        port.is_free(now) || port.queued_bytes() < self.nic_queue_bytes
    }

    /// The host whose link has been idle and carries this packet next.
    pub(crate) fn wakes(&self, now: SimTime, switch: u32, id: PacketId) -> Option<HostId> {
        let to = self.pool.get(id).to;
        let is_last = self.host_switch(to) == switch;
        (is_last && self.ports[down(to) as usize].is_free(now)).then_some(to)
    }

    /// Since when the link to a host has been idle, or until when it is occupied.
    pub(crate) fn down_idle_since(&self, host: HostId) -> SimTime {
        self.ports[down(host) as usize].busy_until
    }

    /// A message occupied the link to a host for some time, though not as packets.
    pub(crate) fn carry(&mut self, to: HostId, time: SimTime) {
        self.ports[down(to) as usize].busy += time;
    }

    /// A packet has reached a switch: it goes on.
    pub(crate) fn forward(&mut self, now: SimTime, switch: u32, id: PacketId, events: &mut Events) {
        let Some(port) = self.next_port(switch, id) else {
            self.drop_packet(id, DropCause::LinkDown);
            return;
        };
        if self.loss > 0.0 && self.random.unit() < self.loss {
            self.drop_packet(id, DropCause::Random);
            return;
        }
        self.put(now, port, id, events);
    }

    /// A watched port may send again. Returns the host whose port it is, if so.
    pub(crate) fn free(&mut self, now: SimTime, port: u32, events: &mut Events) -> Option<HostId> {
        let index = port as usize;
        self.ports[index].is_watched = false;
        if let Some(id) = self.ports[index].dequeue(now, &mut self.pool) {
            let bytes = self.pool.get(id).wire_bytes;
            if let Node::Switch(switch) = self.ports[index].from.node() {
                self.buffers[switch as usize].remove(now, bytes);
            }
            self.begin(now, port, id, events);
        }
        (self.ports[index].place == Place::HostUp).then_some(HostId(port / 2))
    }

    /// From now on lengths of queues and the use of links count.
    pub(crate) fn start_meters(&mut self, now: SimTime) {
        self.buffers.iter_mut().for_each(|buffer| buffer.meter.start(now.0));
        for port in &mut self.ports {
            port.meter.start(now.0);
            port.busy = SimTime::ZERO;
        }
    }

    /// They count no more.
    pub(crate) fn stop_meters(&mut self, now: SimTime) {
        self.buffers.iter_mut().for_each(|buffer| buffer.meter.stop(now.0));
        for port in &mut self.ports {
            port.meter.stop(now.0);
            port.busy_measured = port.busy;
        }
    }

    /// Takes a packet that is where it was to go.
    pub(crate) fn take(&mut self, id: PacketId) -> Packet<H> {
        let packet = *self.pool.get(id);
        self.pool.remove(id);
        packet
    }

    /// Bytes for which a packet occupies a link.
    pub(crate) fn wire_bytes(&self, id: PacketId) -> u32 {
        self.pool.get(id).wire_bytes
    }

    /// Finds the shortest ways over the links that are up now.
    pub(crate) fn reroute(&mut self, now: SimTime) {
        let is_up = |port: u32| !self.ports[port as usize].is_down(now);
        let up = |ports: &Vec<(u32, u32)>| {
            ports.iter().copied().filter(|&(port, _)| is_up(port)).collect()
        };
        let neighbours: Vec<Vec<_>> = self.neighbours.iter().map(up).collect();
        let is_whole = neighbours == self.neighbours;
        self.detours = (!is_whole).then(|| Routes::new(&self.host_switch, &neighbours));
    }

    /// Loses a packet.
    pub(crate) fn drop_packet(&mut self, id: PacketId, cause: DropCause) {
        self.drops.count(cause);
        self.pool.remove(id);
    }

    fn put(&mut self, now: SimTime, port: u32, id: PacketId, events: &mut Events) {
        let this = &mut self.ports[port as usize];
        if this.is_free(now) {
            self.begin(now, port, id, events);
            return;
        }
        if !this.enqueue(now, &mut self.pool, id) {
            self.drop_packet(id, DropCause::QueueFull);
            return;
        }
        if let Node::Switch(switch) = this.from.node() {
            self.buffers[switch as usize].add(now, self.pool.get(id).wire_bytes);
        }
        if !this.is_watched {
            this.is_watched = true;
            events.push(this.busy_until, Event::Free { port });
        }
    }

    /// Starts to send a packet.
    fn begin(&mut self, now: SimTime, port: u32, id: PacketId, events: &mut Events) {
        let this = &mut self.ports[port as usize];
        let time = this.byte_time.times(u64::from(self.pool.get(id).wire_bytes));
        this.busy += time;
        this.busy_until = now + time;
        self.hops += 1;
        let arrives_at = this.arrival(now);
        if let Some(at) = arrives_at {
            events.push(at, Event::Arrive { packet: id, node: this.to });
        }
        // Hosts decide what to send when they can send it.
        if !this.is_watched && (!this.is_empty() || this.place == Place::HostUp) {
            this.is_watched = true;
            events.push(this.busy_until, Event::Free { port });
        }
        if arrives_at.is_none() {
            self.drop_packet(id, DropCause::LinkDown);
        }
    }

    /// Where a packet goes from a switch, unless there is no way.
    fn next_port(&mut self, switch: u32, id: PacketId) -> Option<u32> {
        let packet = self.pool.get(id);
        let (from, to) = (packet.from, packet.to);
        let last = self.host_switch(to);
        if switch == last {
            return Some(down(to));
        }
        let choices = self.detours.as_ref().unwrap_or(&self.routes).ports(switch, last);
        let index = match self.routing {
            _ if choices.len() <= 1 => 0,
            Routing::Spray => self.random.below(choices.len() as u32) as usize,
            Routing::Flow => flow_hash(from.0, to.0, switch) as usize % choices.len(),
        };
        choices.get(index).copied()
    }
}

/// The port from a host.
pub(crate) const fn up(host: HostId) -> u32 {
    2 * host.0
}

/// The port to a host.
pub(crate) const fn down(host: HostId) -> u32 {
    2 * host.0 + 1
}

/// The ports of a link between switches, of which each has a number in the topology.
pub(crate) const fn link_ports(hosts: u32, link: u32) -> [u32; 2] {
    [2 * (hosts + link), 2 * (hosts + link) + 1]
}

/// A number that depends on a pair of hosts and a switch, the same in every run.
fn flow_hash(from: u32, to: u32, switch: u32) -> u64 {
    let pair = (u64::from(from) << 32 | u64::from(to)) ^ (u64::from(switch) << 17);
    let mixed = pair.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
}

/// Makes the ports between switches, and returns by switch which port leads where.
fn join_switches(
    topology: &Topology,
    config: &NetworkConfig,
    ports: &mut Vec<Port>,
) -> Vec<Vec<(u32, u32)>> {
    let delay = SimTime::from_nanos(config.switch_ns + config.propagation_ns);
    let mut neighbours = vec![Vec::new(); topology.tiers.len()];
    for link in &topology.links {
        let byte_time = ByteTime::of_gbps(link.gbps.unwrap_or(config.core_gbps));
        for (from, to) in [(link.a, link.b), (link.b, link.a)] {
            let (low, high) = (topology.tiers[from as usize], topology.tiers[to as usize]);
            let place = match low.cmp(&high) {
                std::cmp::Ordering::Less => Place::Up(low),
                std::cmp::Ordering::Greater => Place::Down(low),
                std::cmp::Ordering::Equal => Place::Across(low),
            };
            neighbours[from as usize].push((ports.len() as u32, to));
            let ends = [from, to].map(NodeId::switch);
            ports.push(Port::new(ends, place, byte_time, delay));
        }
    }
    neighbours
}
