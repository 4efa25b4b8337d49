//! One host's protocol: the public entry points. Each file of this module holds one part of the
//! work: `verbs` (the application's wishes), `receive` (dispatch of packets), `data` and `control`
//! (their handlers), `transmit` (what to send next), `timers` (deadlines), `turns` (who asks a peer when), `ending`
//! (how RPCs end), `amplification` (what unproven addresses draw), `memory` (accounts), `network` (what the network reports),
//! `overload` (what happens near a limit).

mod amplification;
mod check;
mod control;
mod data;
mod ending;
mod memory;
mod network;
mod order;
mod overload;
mod receive;
mod room;
#[cfg(test)]
mod tests;
mod timers;
mod transmit;
mod turns;
mod verbs;

use crate::addr::{LocalAddr, PeerAddr};
use crate::config::Config;
use crate::error::{BindError, ConfigError, NoMemory};
use crate::event::{Event, RpcInfo};
use crate::grant::GrantScheduler;
use crate::heap::IndexedHeap;
use crate::ids::IdSource;
use crate::observer::{Observer, TraceEvent};
use crate::outgoing::Outgoing;
use crate::peer::Peer;
use crate::peer_table::{PeerError, PeerTable};
use crate::proof::AddressProof;
use crate::random::{Purpose, Stream};
use crate::resend_queue::ResendQueue;
use crate::rpc::Rpc;
use crate::rpc_table::RpcTable;
use crate::send::SendScheduler;
use crate::slab::RpcKey;
use crate::sockets::{Service, SocketId, SocketTable};
use crate::stats::Stats;
use crate::time::{Duration, Instant};
use crate::traffic::TrafficStats;
use crate::wheel::TimerWheel;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;
use homa_wire::{Ack, Body, DATA_HEADER_LEN, Header, Priority};

use memory::Meters;
pub use network::QuotedPacket;
pub use verbs::CallOptions;

/// What carries Homa packets: it decides how much payload a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// The Homa packet is the payload of an IP packet (WIRE section 1).
    Raw,
    /// The Homa packet is the payload of a UDP datagram.
    Udp,
}

impl Encapsulation {
    /// Bytes between the IP header and the Homa header.
    const fn overhead(self) -> u32 {
        match self {
            Self::Raw => 0,
            Self::Udp => 8,
        }
    }
}

/// Smallest IP packet that every path carries (RFC 791: 68 bytes; one full header and some payload
/// more makes sense here).
const MTU_MIN: u32 = 256;

/// Events that the driver must learn of an RPC, at the most: its message is complete, the other one is
/// released, it has failed.
const EVENTS_PER_RPC: usize = 3;

/// One host's protocol state machine. See the crate's documentation for how to drive it.
#[derive(Debug)]
pub struct Endpoint<O: Observer = ()> {
    config: Config,
    observer: O,
    stats: Stats,

    sockets: SocketTable,
    peers: PeerTable,
    rpcs: RpcTable,
    wheel: TimerWheel,

    /// The receiver's side: who may send us more.
    grants: GrantScheduler,
    /// Something changed that may let `grants` decide anew.
    grants_due: bool,
    traffic: TrafficStats,
    /// Server RPCs kept only to repeat their refusal.
    refused_rpcs: u32,
    /// What everything that grows holds.
    meters: Meters,
    /// Server RPCs that may become inactive by their peers' fault, by when they last made progress,
    /// or earlier: looked at when room is short.
    watched: IndexedHeap<Instant>,
    /// Complete requests that wait to be accepted, oldest first, with the time of their completion;
    /// some were accepted, or ended, since.
    unaccepted: VecDeque<(Instant, RpcKey)>,
    /// When to look at the watched RPCs again for the sake of messages that wait for memory.
    reclaim_at: Option<Instant>,
    /// The search for a message that little memory would help goes on at once.
    grant_search: Option<Instant>,
    /// The new ranges of the packet handled last.
    fresh: Vec<Range<u32>>,
    /// The acknowledgement that the DATA handled last brought along, and the slot of its sender: see
    /// [`Endpoint::settle`].
    put_off: Option<(u32, Ack)>,

    /// The sender's side: what leaves next.
    sender: SendScheduler,
    /// What is to be sent again.
    resend_queue: ResendQueue,
    control_queue: VecDeque<ControlPacket>,
    /// How many of them hosts drew that are no peers.
    drawn_by_strangers: u32,
    /// Peers for which more acknowledgements wait than should for long.
    crowded: Vec<u32>,
    /// Control packets sent since data had a turn.
    control_run: u32,
    /// The DATA packet sent last was sent again.
    resent_last: bool,
    /// Sending pauses until then, by the pacer's word.
    paused_until: Option<Instant>,

    events: VecDeque<Event>,
    ids: IdSource,
    hash_keys: Stream,
    /// Versions that peers are told in CUTOFFS.
    versions: Stream,
    next_birth: u64,
    encapsulation: Encapsulation,
    default_mtu: u32,
    /// Whether the packet handled last was for a port that nobody has, or that does not serve.
    port_closed: bool,
}

/// A control packet waiting for the driver.
#[derive(Clone, Copy, Debug)]
struct ControlPacket {
    peer: PeerAddr,
    local: LocalAddr,
    header: Header,
    /// It reacts to what came from there, rather than being part of this host's own calls.
    is_drawn: bool,
}

impl Endpoint<()> {
    /// An endpoint without observer. `now` is the first instant it will ever see.
    ///
    /// # Errors
    ///
    /// The first rule of [`Config`] that is broken.
    pub fn new(config: Config, now: Instant) -> Result<Self, ConfigError> {
        Self::with_observer(config, now, ())
    }
}

impl<O: Observer> Endpoint<O> {
    /// An endpoint that tells `observer` all it does.
    ///
    /// # Errors
    ///
    /// The first rule of [`Config`] that is broken.
    pub fn with_observer(config: Config, now: Instant, observer: O) -> Result<Self, ConfigError> {
        config.validate()?;
        let seed = config.seed;
        let mut hash_keys = Stream::new(seed, Purpose::HashKeys);
        let rpcs_max = config.limits.client_rpcs_max.saturating_add(config.limits.server_rpcs_max);
        let random_port = Stream::new(seed, Purpose::ClientPorts).next_u64() as u16;
        let first_port = config.first_client_port.unwrap_or(random_port);
        let traffic = TrafficStats::new(config.cutoff_config(), 1, now);
        let mut grants = GrantScheduler::new(config.grant_config());
        grants.set_cutoffs(traffic.cutoffs());
        Ok(Self {
            observer,
            stats: Stats::default(),
            sockets: SocketTable::new(first_port),
            peers: PeerTable::new(config.limits.peers_max, hash_keys.next_u64()),
            rpcs: RpcTable::new(rpcs_max, hash_keys.next_u64()),
            wheel: TimerWheel::new(config.timing.granularity),
            grants,
            grants_due: false,
            traffic,
            refused_rpcs: 0,
            meters: Meters::default(),
            watched: IndexedHeap::new(),
            unaccepted: VecDeque::new(),
            reclaim_at: None,
            grant_search: None,
            fresh: Vec::new(),
            put_off: None,
            sender: SendScheduler::new(config.pacer_config()),
            resend_queue: ResendQueue::default(),
            control_queue: VecDeque::new(),
            drawn_by_strangers: 0,
            crowded: Vec::new(),
            control_run: 0,
            resent_last: false,
            paused_until: None,
            events: VecDeque::new(),
            ids: IdSource::new(seed, config.first_client_id),
            hash_keys,
            versions: Stream::new(seed, Purpose::CutoffVersion),
            next_birth: 0,
            encapsulation: Encapsulation::Udp,
            default_mtu: 1500,
            port_closed: false,
            config,
        })
    }

    /// Says what carries the packets. Before any traffic; default [`Encapsulation::Udp`].
    pub fn set_encapsulation(&mut self, encapsulation: Encapsulation) {
        self.encapsulation = encapsulation;
    }

    /// Largest IP packet in bytes that reaches peers about which nothing better is known.
    /// Default 1500; values below 256 count as 256.
    pub fn set_default_mtu(&mut self, mtu: u32) {
        self.default_mtu = mtu.max(MTU_MIN);
    }

    /// Opens a server port, 1 to 32767, which takes requests at once.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn open_server(&mut self, port: u16) -> Result<SocketId, BindError> {
        self.sockets.open_server(port)
    }

    /// Opens the next free client port, which takes no requests.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn open_client(&mut self) -> Result<SocketId, BindError> {
        self.sockets.open_client()
    }

    /// Opens a given client port, for hosts whose client ports several processes share.
    ///
    /// # Errors
    ///
    /// [`BindError::OutOfRange`] below 32768, [`BindError::InUse`] if it is open.
    pub fn open_client_at(&mut self, port: u16) -> Result<SocketId, BindError> {
        self.sockets.open_client_at(port)
    }

    /// Turns taking requests on or off, as `SO_HOMA_SERVER` does. Requests that are not taken are
    /// refused as "not serving".
    pub fn set_serving(&mut self, socket: SocketId, serving: bool) {
        let service = if serving { Service::Serving } else { Service::ClientOnly };
        self.sockets.set_service(socket, service);
    }

    /// Refuses new requests as "shutting down"; open ones go on.
    pub fn set_draining(&mut self, socket: SocketId) {
        self.sockets.set_service(socket, Service::Draining);
    }

    /// The next thing that happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.meters.events.set(self.events.len() as u64);
        let event = self.events.pop_front();
        self.meters.events.set(self.events.len() as u64);
        event
    }

    /// The Homa port of an open socket.
    #[must_use]
    pub fn port(&self, socket: SocketId) -> Option<u16> {
        self.sockets.by_id(socket).map(|socket| socket.port)
    }

    /// What is known of an open RPC.
    #[must_use]
    pub fn info(&self, key: RpcKey) -> Option<RpcInfo> {
        let rpc = self.rpcs.get(key)?;
        Some(RpcInfo {
            id: rpc.id,
            socket: rpc.socket,
            peer: self.peers.get(rpc.peer)?.addr,
            peer_port: rpc.peer_port,
            incoming_length: rpc.incoming.as_ref().map(|incoming| incoming.bytes.length()),
        })
    }

    /// Whether no RPC is open, but for refusals that are remembered, and nothing waits to be sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.rpcs.len() == self.refused_rpcs && self.control_queue.is_empty()
    }

    /// Whether no server RPC is open but those refused: all answers have arrived, for they were
    /// acknowledged, or are given up.
    #[must_use]
    pub fn has_answered_all(&self) -> bool {
        self.rpcs.servers() == self.refused_rpcs
    }

    /// Number of open client RPCs.
    #[must_use]
    pub fn client_rpcs(&self) -> u32 {
        self.rpcs.clients()
    }

    /// Number of open server RPCs, refused and unacknowledged ones included.
    #[must_use]
    pub fn server_rpcs(&self) -> u32 {
        self.rpcs.servers()
    }

    /// Bytes accounted to incoming messages that the application has not taken yet.
    #[must_use]
    pub fn incoming_bytes(&self) -> u64 {
        self.meters.incoming_bytes.used()
    }

    /// Bytes of outgoing messages not yet released.
    #[must_use]
    pub fn outgoing_bytes(&self) -> u64 {
        self.meters.outgoing_bytes.used()
    }

    /// Whether some incoming message has bytes that its sender might be granted, but is granted none
    /// now, because `grants.overcommit_max` messages of others are or `grants.incoming_bytes_max`
    /// are on their way. As of the last drain of [`poll_transmit`](Self::poll_transmit). While this
    /// host's link is idle as well, its bandwidth is wasted (SIGCOMM 2018, section 5.2).
    ///
    /// Messages that wait for others of their own sender (`grants.messages_per_peer_max`) or for
    /// memory (`limits.incoming_bytes_max`) don't count. Looks at the messages that are granted to,
    /// which are few.
    #[must_use]
    pub fn withholds_grants(&self) -> bool {
        self.grants.withholds()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The observer.
    pub fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    fn trace(&mut self, now: Instant, event: TraceEvent) {
        self.observer.observe(now, event);
    }

    /// Queues a control packet of an open RPC.
    fn send_control(&mut self, key: RpcKey, body: Body) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        let Some(peer) = self.peers.get(rpc.peer) else { return };
        let packet = ControlPacket {
            peer: peer.addr,
            local: rpc.local,
            header: rpc.header(body),
            is_drawn: !rpc.is_client(),
        };
        self.queue_control(packet);
    }

    fn queue_control(&mut self, packet: ControlPacket) {
        let all = self.config.limits.control_packets_max;
        let full = self.control_queue.len() >= all || self.has_its_control_packets(&packet);
        if full || self.control_queue.try_reserve(1).is_err() {
            self.stats.control_overflows += 1;
            self.meters.control_packets.refuse();
            return;
        }
        self.count_control_packet(&packet);
        self.control_queue.push_back(packet);
        self.meters.control_packets.set(self.control_queue.len() as u64);
    }

    /// The slot of a peer, which is made if it is new.
    fn peer_slot(&mut self, now: Instant, addr: &PeerAddr) -> Result<u32, PeerError> {
        if let Some(slot) = self.peers.find(addr) {
            return Ok(slot);
        }
        let cutoffs = self.traffic.cutoffs_of_unknown_peer();
        let proof = AddressProof::new(now, self.traffic.cutoffs().version, &mut self.versions);
        let hash_seed = self.hash_keys.next_u64();
        let peer = Peer::new(*addr, now, self.default_mtu, cutoffs, hash_seed, proof);
        let inserted = self.peers.insert(now, peer, self.config.timing.peer_idle_min);
        match inserted {
            Ok(_) => self.stats.peer_allocs += 1,
            Err(_) => {
                self.stats.peer_failures += 1;
                self.meters.peers.refuse();
            }
        }
        self.meters.peers.set(self.peers.len().into());
        inserted
    }

    /// Adds an RPC to all tables, so that nothing later can fail for want of memory.
    #[inline]
    fn insert_rpc(&mut self, rpc: Rpc) -> Result<RpcKey, NoMemory> {
        let peer = rpc.peer;
        let rpcs = self.rpcs.len() as usize + 1;
        self.events.try_reserve(EVENTS_PER_RPC * rpcs).map_err(|_| NoMemory)?;
        self.reserve_resends(rpcs)?;
        let key = self.rpcs.insert(rpc)?;
        let reserved = self.reserve_slot(key.slot());
        if let Err(NoMemory) = reserved {
            self.rpcs.remove(key);
            return Err(NoMemory);
        }
        if let Some(peer) = self.peers.get(peer) {
            self.sender.set_off_link(key.slot(), peer.addr.is_loopback());
        }
        self.count_rpc(key);
        self.next_birth += 1;
        Ok(key)
    }

    /// Tells the driver what it must know of an RPC: its end, that a message is complete, or released.
    /// There is room for these events of all open RPCs, whoever ends them at once.
    fn tell(&mut self, event: Event) {
        debug_assert!(self.events.len() < self.events.capacity(), "there is room for each RPC's");
        self.events.push_back(event);
    }

    /// Tells the driver what it may learn later as well: how far a message can be read.
    fn tell_if_room(&mut self, event: Event) {
        let others = EVENTS_PER_RPC * self.rpcs.len() as usize;
        if self.events.try_reserve(others + 1).is_ok() {
            self.events.push_back(event);
        }
    }

    fn reserve_slot(&mut self, slot: u32) -> Result<(), NoMemory> {
        self.sender.reserve_slot(slot)?;
        self.wheel.reserve_slot(slot)?;
        self.watched.reserve_slot(slot)
    }

    /// The sending side of a new message to a peer, of which at most `unscheduled_max` bytes go
    /// without grants.
    fn new_outgoing(&self, peer: u32, length: u32, unscheduled_max: u32) -> Outgoing {
        let packet_max = self.packet_payload_max(peer);
        let unscheduled = match length {
            length if length >= self.config.wholly_scheduled_min => 0,
            _ => self.unscheduled_bytes(peer, packet_max).min(unscheduled_max),
        };
        Outgoing::new(length, unscheduled, packet_max)
    }

    /// Payload bytes of a full packet to a peer: MTU - IP header - UDP header - DATA header.
    fn packet_payload_max(&self, peer: u32) -> u32 {
        let Some(peer) = self.peers.get(peer) else { return 1 };
        let ip_header = if peer.addr.is_ipv6() { 40 } else { 20 };
        let overhead = ip_header + self.encapsulation.overhead() + DATA_HEADER_LEN as u32;
        // An IP packet's length field ends at 65,535, whatever a loopback interface offers.
        peer.mtu.min(65_535).saturating_sub(overhead).max(1)
    }

    /// Bytes of a message to this peer that go without grants.
    fn unscheduled_bytes(&self, peer: u32, packet_max: u32) -> u32 {
        let limit = self.config.unscheduled_bytes;
        if !self.config.unscheduled_by_round_trip {
            return limit;
        }
        let round_trip = self.peers.get(peer).and_then(|peer| peer.delay.minimum());
        let Some(round_trip) = round_trip else { return limit };
        let bits = u64::from(self.config.link_mbps).saturating_mul(round_trip.as_micros());
        let bytes = u32::try_from(bits / 8).unwrap_or(u32::MAX);
        limit.min(bytes.max(packet_max))
    }

    /// Configured priority levels' highest one, for control packets (HOMA-PRIO-10).
    fn control_priority(&self) -> Priority {
        Priority::clamped(self.config.priority_levels - 1)
    }

    /// Clamps a level that a peer chose to the levels in use (KNOWN_ISSUES 1.9).
    fn clamp_priority(&self, priority: Priority) -> Priority {
        priority.min(self.control_priority())
    }

    fn timeout_after(&self, now: Instant, wanted: Option<Duration>) -> Instant {
        now + wanted.unwrap_or(self.config.timing.call_deadline)
    }
}
