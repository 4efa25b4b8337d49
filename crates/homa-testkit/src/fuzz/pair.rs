//! Arbitrary operations on two hosts whose every packet is delivered, lost, repeated or overtaken as
//! the input says.

use super::Choices;
use crate::host::{Application, Host, HostId, Outcome, PORT};
use homa_proto::{
    CallOptions, Config, Duration, Header, Instant, LocalAddr, PacketMeta, QuotedPacket,
    RefuseReason, RpcKey, Stats, Transmit, Unreachable,
};
use homa_wire::{HEADER_LEN_MAX, Version};
use std::collections::VecDeque;

/// Operations of one input.
const STEPS_MAX: u32 = 400;
/// Packets that the way to a host holds; further ones are lost.
const WAY_MAX: usize = 512;
/// How long a packet takes when nothing else is said.
const DELAY: Duration = Duration::from_micros(5);
/// Turns that a run takes at most until it is quiet.
const TURNS_MAX: u32 = 1_000_000;
const LENGTHS: [u32; 8] = [1, 100, 1416, 5000, 20_000, 60_000, 200_000, 1_000_000];

/// How long packets live: less than finished ids are remembered, as HOMA-ONCE-7 demands.
const LIFETIME: Duration = Duration::from_secs(1);

/// A packet on its way: its header as bytes, and the number of its payload bytes.
#[derive(Clone, Debug)]
struct Flight {
    sent: Instant,
    header: Vec<u8>,
    payload_len: u32,
}

/// A call, and which life of its host made it.
#[derive(Clone, Copy, Debug)]
struct Call {
    host: usize,
    key: RpcKey,
    life: u64,
}

struct Pair {
    now: Instant,
    config: Config,
    hosts: [Host; 2],
    /// Packets on their way to each host.
    ways: [VecDeque<Flight>; 2],
    /// Hosts that neither receive nor act, as after SIGSTOP.
    stalled: [bool; 2],
    /// How often each host was replaced.
    lives: [u64; 2],
    calls: Vec<Call>,
    /// What the counters of earlier lives say.
    past: Vec<Stats>,
}

/// Does what the input says with two hosts: calls, replies, refusals, aborts and closed sockets;
/// packets delivered, lost, repeated, overtaken; time; stalls and restarts; reports of the network.
/// In the end all is well, and everything comes to rest. Returns the counters of all endpoints.
///
/// # Panics
///
/// If a call has not exactly one outcome, a request is executed twice, a byte is delivered twice or
/// a message without all its bytes, an invariant breaks, or something is left in the end.
pub fn pair(input: &[u8]) -> Vec<Stats> {
    let mut choices = Choices::new(input);
    let mut pair = Pair::new(&mut choices);
    for _ in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        pair.step(&mut choices);
    }
    pair.settle();
    pair.stats()
}

impl Pair {
    fn new(choices: &mut Choices<'_>) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let config = config(choices);
        let host = |id| Host::new(HostId(id), config.clone(), now);
        Self {
            now,
            hosts: [host(0), host(1)],
            config,
            ways: Default::default(),
            stalled: [false; 2],
            lives: [0; 2],
            calls: Vec::new(),
            past: Vec::new(),
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let kind = choices.byte();
        let host = usize::from(kind & 1);
        match (kind >> 1) % 32 {
            // Its process does nothing.
            0..10 | 29 if self.stalled[host] => {}
            0..6 => self.call(host, choices),
            6 | 7 => self.serve(host, choices),
            8 | 9 => self.end(host, choices),
            10..16 => {
                for _ in 0..=choices.byte() % 64 {
                    self.deliver(host, 0);
                }
            }
            16 | 17 => {
                let nth = choices.index(self.ways[host].len());
                self.deliver(host, nth);
            }
            18 | 19 => {
                let nth = choices.index(self.ways[host].len());
                self.ways[host].remove(nth);
            }
            20 => self.repeat(host, choices),
            21 => self.ways[host].clear(),
            22..26 => {
                let scale = choices.pick(&[1, 100, 1000, 10_000]);
                self.advance(Duration::from_micros(u64::from(choices.byte()) * scale));
            }
            26 | 27 => self.flow(Duration::from_micros(10 * u64::from(choices.byte()))),
            28 => {
                self.stalled[host] = choices.one_in(2);
                self.drain(host);
            }
            29 => self.report(host, choices),
            30 => self.disturb(host, choices),
            _ => self.loose(choices),
        }
    }

    fn call(&mut self, host: usize, choices: &mut Choices<'_>) {
        let (now, to) = (self.now, self.hosts[1 - host].addr);
        let port = if choices.one_in(16) { 7 } else { PORT };
        let length = choices.pick(&LENGTHS) + u32::from(choices.byte());
        let mut options = CallOptions::default();
        options.deadline = choices.one_in(16).then(|| Duration::from_millis(3));
        if let Ok(key) = self.hosts[host].call(now, to, port, length, options) {
            self.calls.push(Call { host, key, life: self.lives[host] });
        }
        self.drain(host);
    }

    fn serve(&mut self, host: usize, choices: &mut Choices<'_>) {
        if choices.flag() {
            self.hosts[host].application = match choices.below(6) {
                0 | 1 => Application::Echo,
                2 => Application::Reply(choices.pick(&LENGTHS)),
                3 => Application::Hold,
                4 => Application::Refuse(choices.pick(&RefuseReason::ALL)),
                _ => Application::Ignore,
            };
        } else {
            let length = choices.pick(&LENGTHS);
            self.hosts[host].reply_to_held(self.now, length);
        }
        self.drain(host);
    }

    /// A call is aborted; or, rarely, a socket is closed, and another one opened.
    fn end(&mut self, host: usize, choices: &mut Choices<'_>) {
        let now = self.now;
        if choices.one_in(16) {
            let host = &mut self.hosts[host];
            if choices.flag() {
                host.endpoint.close(now, host.client_socket);
                host.drain_events(now);
                host.client_socket = host.endpoint.open_client().expect("a port is free");
            } else {
                host.endpoint.close(now, host.server_socket);
                host.drain_events(now);
                host.server_socket = host.endpoint.open_server(PORT).expect("the port is free");
            }
        } else {
            let recent = self.calls.iter().rev().filter(|call| call.host == host).take(8);
            let own: Vec<_> = recent.filter(|call| call.life == self.lives[host]).collect();
            if own.is_empty() {
                return;
            }
            let key = choices.pick(&own).key;
            self.hosts[host].abort(now, key);
        }
        self.drain(host);
    }

    /// The nth packet on its way to a host arrives.
    fn deliver(&mut self, to: usize, nth: usize) {
        if self.stalled[to] {
            return;
        }
        let Some(flight) = self.ways[to].remove(nth) else { return };
        if self.now.saturating_since(flight.sent) > LIFETIME {
            return;
        }
        let (header, _) = Header::parse(&flight.header, Version::V1).expect("a host sent it");
        let from = self.hosts[1 - to].addr;
        let meta = PacketMeta { peer: from, local: LocalAddr::from(self.hosts[to].addr.ip()) };
        self.hosts[to].receive(self.now, meta, &header, flight.payload_len as usize);
        self.drain(to);
    }

    /// A packet is there twice, the second time at the end.
    fn repeat(&mut self, to: usize, choices: &mut Choices<'_>) {
        let nth = choices.index(self.ways[to].len());
        if let Some(flight) = self.ways[to].get(nth).cloned() {
            self.launch(to, flight);
        }
    }

    /// Lets time pass without any packet arriving; deadlines are served when they come.
    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next_deadline().filter(|&at| at <= end) {
            self.reach(at);
        }
        self.now = end;
    }

    /// Lets time pass with all packets arriving in order.
    fn flow(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            for to in 0..2 {
                for _ in 0..self.ways[to].len() {
                    self.deliver(to, 0);
                }
            }
            self.advance(DELAY);
        }
    }

    /// The network or the operating system says something to a host.
    fn report(&mut self, host: usize, choices: &mut Choices<'_>) {
        let (now, peer) = (self.now, self.hosts[1 - host].addr);
        let kind = choices.pick(&[Unreachable::Port, Unreachable::Protocol, Unreachable::Host]);
        let quoted = self.ways[1 - host].back().map(|flight| quote(&flight.header));
        let endpoint = &mut self.hosts[host].endpoint;
        match choices.below(8) {
            0 => endpoint.handle_unreachable(now, peer, None, kind),
            1..4 if quoted.is_some() => endpoint.handle_unreachable(now, peer, quoted, kind),
            4 | 5 => endpoint.handle_path_mtu(peer, u32::from(choices.u16())),
            6 => endpoint.handle_tx_backlog(now, u64::from(choices.u16())),
            _ => {
                let recent = self.calls.iter().rev().filter(|call| call.host == host).take(4);
                let own: Vec<_> = recent.filter(|call| call.life == self.lives[host]).collect();
                if !own.is_empty() {
                    endpoint.handle_send_error(now, choices.pick(&own).key);
                }
            }
        }
        self.drain(host);
    }

    /// A host crashes and comes back, or its server stops serving for a while.
    fn disturb(&mut self, host: usize, choices: &mut Choices<'_>) {
        if choices.one_in(4) {
            self.lives[host] += 1;
            let mut config = self.config.clone();
            config.seed = config.seed.wrapping_add(self.lives[host] << 32);
            let fresh = Host::new(HostId(host), config, self.now);
            let old = std::mem::replace(&mut self.hosts[host], fresh);
            self.past.push(old.endpoint.stats().clone());
            return;
        }
        let host = &mut self.hosts[host];
        host.endpoint.set_serving(host.server_socket, choices.flag());
    }

    /// Packets at random places of both ways are lost.
    fn loose(&mut self, choices: &mut Choices<'_>) {
        let pattern = choices.u16();
        for way in &mut self.ways {
            let mut nth = 0;
            way.retain(|_| {
                nth += 1;
                pattern >> (nth % 16) & 1 == 0
            });
        }
    }

    /// The network is well, and the application answers everything, until nothing is left.
    fn settle(&mut self) {
        for host in 0..2 {
            self.stalled[host] = false;
            self.hosts[host].application = Application::Echo;
            let socket = self.hosts[host].server_socket;
            self.hosts[host].endpoint.set_serving(socket, true);
            self.drain(host);
        }
        let mut turns = 0;
        while self.turn() {
            turns += 1;
            assert!(turns < TURNS_MAX, "it does not come to rest");
        }
        self.hosts.iter().for_each(Host::assert_quiet);
        for call in self.calls.iter().filter(|call| call.life == self.lives[call.host]) {
            let outcome = self.hosts[call.host].outcome(call.key);
            assert!(outcome.is_some(), "{call:?} has no outcome");
            assert_ne!(outcome, Some(Outcome::Response(0)), "a response has bytes");
        }
    }

    /// One packet each way, or else the next deadline; whether there was any.
    fn turn(&mut self) -> bool {
        for host in 0..2 {
            while self.hosts[host].reply_to_held(self.now, 100).is_some() {}
            self.drain(host);
        }
        if self.ways.iter().any(|way| !way.is_empty()) {
            self.now += DELAY;
            self.deliver(0, 0);
            self.deliver(1, 0);
            return true;
        }
        let next = self.next_deadline();
        if let Some(at) = next {
            self.reach(at);
        }
        next.is_some()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let running = self.hosts.iter().zip(self.stalled).filter(|(_, stalled)| !stalled);
        running.filter_map(|(host, _)| host.endpoint.poll_timeout()).min()
    }

    /// Serves the deadlines up to a time.
    fn reach(&mut self, at: Instant) {
        self.now = self.now.max(at);
        for host in 0..2 {
            let due = self.hosts[host].endpoint.poll_timeout().is_some_and(|due| due <= self.now);
            if due && !self.stalled[host] {
                self.hosts[host].endpoint.handle_timeout(self.now);
                self.drain(host);
            }
        }
    }

    /// Takes all that a host puts out.
    fn drain(&mut self, host: usize) {
        if self.stalled[host] {
            return;
        }
        loop {
            self.hosts[host].drain_events(self.now);
            let Some(transmit) = self.hosts[host].endpoint.poll_transmit(self.now) else { break };
            self.launch(1 - host, flight(self.now, &transmit));
        }
        self.hosts[host].endpoint.check_invariants();
    }

    fn launch(&mut self, to: usize, flight: Flight) {
        if self.ways[to].len() < WAY_MAX {
            self.ways[to].push_back(flight);
        }
    }

    fn stats(self) -> Vec<Stats> {
        let present = self.hosts.iter().map(|host| host.endpoint.stats().clone());
        self.past.into_iter().chain(present).collect()
    }
}

/// Settings drawn from the input.
fn config(choices: &mut Choices<'_>) -> Config {
    let mut config = Config::default();
    config.message_length_max = 1_100_000;
    let settings = choices.byte();
    if settings & 1 != 0 {
        config.limits.client_rpcs_max = 5;
        config.limits.server_rpcs_max = 4;
        config.limits.incoming_bytes_max = 1_500_000;
        config.limits.outgoing_bytes_max = 1_500_000;
        config.limits.gaps_max = 5;
        config.limits.finished_ids_max = 4;
        config.limits.control_packets_max = 16;
    }
    if settings & 2 != 0 {
        config.grants.incoming_bytes_max = 20_000;
        config.grants.overcommit_max = 2;
    }
    config.unscheduled_bytes = [40_000, 0, 1416, 10_000][usize::from(settings >> 2 & 3)];
    config.pacing = settings & 16 != 0;
    config.refuse = settings & 32 == 0;
    config.unscheduled_by_round_trip = settings & 64 != 0;
    config
}

fn flight(sent: Instant, transmit: &Transmit) -> Flight {
    let mut bytes = [0; HEADER_LEN_MAX];
    let len = transmit.header.emit(Version::V1, &mut bytes).expect("it has room");
    let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
    Flight { sent, header: bytes[..len].to_vec(), payload_len }
}

/// What an ICMP error would quote of a packet.
fn quote(header: &[u8]) -> QuotedPacket {
    let (header, _) = Header::parse(header, Version::V1).expect("a host sent it");
    let (source_port, dest_port) = (header.source_port, header.dest_port);
    QuotedPacket { source_port, dest_port, sender_id: header.sender_id }
}
