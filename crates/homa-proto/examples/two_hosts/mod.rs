//! Two endpoints that hand each other's packets over directly, without sockets or bytes: for examples that
//! count what the protocol itself costs.

#![allow(dead_code, reason = "each example uses a part")]

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

use homa_proto::{
    CallOptions, Config, Duration, Endpoint, Event, Instant, LocalAddr, PacketMeta, PeerAddr,
    RpcKey, SocketId,
};
use homa_wire::Body;

const PORT: u16 = 4000;

/// What the limit on unproven peers has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shield {
    /// There is no limit.
    Open,
    /// Clients echo their cutoff version, as all do that know CUTOFFS.
    Proven,
    /// Clients never echo it.
    Unproven,
}

/// What is sent, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// Bytes of requests and of responses.
    pub(crate) length: u32,
    /// Calls that are open at once.
    pub(crate) outstanding: u32,
    /// How many of them are answered at once, the oldest first.
    pub(crate) answered_at_once: u32,
    /// Peers that calls are made to, one after the other.
    pub(crate) peers: u32,
    /// How much time passes whenever calls have been answered.
    pub(crate) step: Duration,
    pub(crate) shield: Shield,
    pub(crate) mtu: u32,
    /// How much of a message may be on its way, or 0 for a share of what may come to a host.
    pub(crate) window_bytes: u32,
}

/// Calls of 100 B, one after the other.
pub(crate) const SHORT: Case = Case {
    length: 100,
    outstanding: 1,
    answered_at_once: u32::MAX,
    peers: 1,
    step: Duration::from_micros(2),
    shield: Shield::Proven,
    mtu: 65_536,
    window_bytes: 0,
};

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) data: u64,
    pub(crate) grants: u64,
}

/// A client and a server. Each knows the other by as many addresses as there are peers, so that either does
/// what a host with so many peers does.
pub(crate) struct Hosts {
    pub(crate) client: Endpoint,
    pub(crate) server: Endpoint,
    pub(crate) counts: Counts,
    case: Case,
    socket: SocketId,
    now: Instant,
    started: u64,
    done: u64,
    /// Requests that the server has accepted and not answered.
    accepted: VecDeque<RpcKey>,
}

impl Hosts {
    /// Two hosts with `config`, but for what the case says.
    pub(crate) fn new(case: Case, config: &Config) -> Self {
        let endpoint = |seed| {
            let mut config = config.clone();
            config.amplification = config.amplification.filter(|_| case.shield != Shield::Open);
            config.grants.window_bytes = case.window_bytes;
            config.seed = seed;
            config.pacing = false;
            let mut endpoint = Endpoint::new(config, Instant::ZERO).expect("a valid configuration");
            endpoint.set_default_mtu(case.mtu);
            endpoint
        };
        let (mut client, mut server) = (endpoint(1), endpoint(2));
        let socket = client.open_client().expect("a port is free");
        server.open_server(PORT).expect("the port is free");
        Self {
            client,
            server,
            counts: Counts::default(),
            case,
            socket,
            now: Instant::ZERO,
            started: 0,
            done: 0,
            accepted: VecDeque::new(),
        }
    }

    /// Makes so many more calls, all of whose answers have come in the end.
    pub(crate) fn run(&mut self, rpcs: u32) {
        let last = self.started + u64::from(rpcs);
        while self.done < last {
            self.step(last);
        }
    }

    /// Makes calls until so many more have ended; others are open then, as many as there may be.
    pub(crate) fn run_steadily(&mut self, rpcs: u32) {
        let enough = self.done + u64::from(rpcs);
        while self.done < enough {
            self.step(u64::MAX);
        }
    }

    /// Begins calls as far as there may be more, the last being number `last`; answers; lets time pass.
    fn step(&mut self, last: u64) {
        self.send_requests(last);
        self.accept();
        self.answer();
        self.take_responses();
        self.now += self.case.step;
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
    }

    /// Begins calls as far as there may be more, and brings them to the server.
    pub(crate) fn send_requests(&mut self, last: u64) {
        let Case { length, outstanding, peers, .. } = self.case;
        while self.started < last && self.started - self.done < u64::from(outstanding) {
            let peer = peer((self.started % u64::from(peers)) as u32);
            let options = CallOptions::default();
            let sent = self.client.send_request(self.now, self.socket, peer, PORT, length, options);
            sent.expect("within the limits");
            self.started += 1;
        }
        let (now, case, counts) = (self.now, &self.case, &mut self.counts);
        transfer(now, &mut self.client, &mut self.server, case, counts);
    }

    /// Lets half a second pass without calls, in which the last ones are acknowledged.
    pub(crate) fn rest(&mut self) {
        for _ in 0..500 {
            self.now += Duration::from_millis(1);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.step(self.started);
        }
    }

    fn accept(&mut self) {
        while let Some(event) = self.server.poll_event() {
            if let Event::RequestComplete { key } = event {
                self.server.accept(self.now, key);
                self.accepted.push_back(key);
            }
        }
    }

    fn answer(&mut self) {
        for _ in 0..self.case.answered_at_once {
            let Some(key) = self.accepted.pop_front() else { break };
            let sent = self.server.send_reply(self.now, key, self.case.length);
            sent.expect("within the limits");
        }
        let (now, case, counts) = (self.now, &self.case, &mut self.counts);
        transfer(now, &mut self.server, &mut self.client, case, counts);
    }

    fn take_responses(&mut self) {
        while let Some(event) = self.client.poll_event() {
            if let Event::ResponseComplete { key } = event {
                self.client.finish(self.now, key);
                self.done += 1;
            }
        }
    }
}

/// The address with this number.
fn peer(number: u32) -> PeerAddr {
    let base = u32::from(Ipv4Addr::new(10, 0, 0, 1));
    PeerAddr::from(SocketAddr::from((Ipv4Addr::from(base + number), PORT)))
}

/// Moves all packets that one host has to send to the other, which knows it by the address that it calls the
/// other by.
fn transfer(
    now: Instant,
    from: &mut Endpoint,
    to: &mut Endpoint,
    case: &Case,
    counts: &mut Counts,
) {
    while let Some(transmit) = from.poll_transmit(now) {
        let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
        let mut header = transmit.header;
        match &mut header.body {
            Body::Data(data) => {
                counts.data += 1;
                if case.shield == Shield::Unproven {
                    data.cutoff_version = 0;
                }
            }
            Body::Grant(_) => counts.grants += 1,
            _ => {}
        }
        let meta = PacketMeta { peer: transmit.peer, local: LocalAddr::ANY };
        to.handle_packet(now, meta, &header, payload_len as usize);
    }
}
