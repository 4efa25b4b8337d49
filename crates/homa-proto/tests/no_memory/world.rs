//! A few endpoints on a network of their own, which ask for memory in [`starving`] only.

use crate::sys::{Plan, follow, starving};
use homa_proto::{
    CallOptions, Config, Duration, Endpoint, Event, Failure, Header, Instant, LocalAddr,
    PacketMeta, PeerAddr, ReplyError, RpcKey, SendError, SocketId, Transmit,
};
use homa_testkit::Ledger;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;

const PORT: u16 = 4000;
const DELAY: Duration = Duration::from_micros(20);
/// After so long an application tries again what failed for lack of memory.
const RETRY: Duration = Duration::from_millis(1);

/// One call to be made: after how long, from whom, to whom, and how long requests and responses are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) after: Duration,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) length: u32,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Response,
    Failed(Failure),
}

pub(crate) struct World {
    now: Instant,
    hosts: Vec<Host>,
    /// Packets on their way, and calls and replies to be tried, by time and number.
    agenda: BTreeMap<(Instant, u64), Item>,
    next_number: u64,
    packets: u64,
    /// When there is no memory at all.
    famine: Option<Range<Instant>>,
    /// Every so many packets one is lost.
    loss: u64,
    outcomes: Vec<(Wanted, Outcome)>,
}

struct Host {
    endpoint: Endpoint,
    addr: PeerAddr,
    client: SocketId,
    calls: BTreeMap<RpcKey, Wanted>,
    ledger: Ledger,
    executed: BTreeSet<(PeerAddr, u64)>,
}

enum Item {
    Packet { from: usize, to: usize, transmit: Box<Transmit> },
    Call(Wanted),
    Reply { host: usize, key: RpcKey, length: u32 },
}

impl World {
    pub(crate) fn new(hosts: usize, config: &Config, loss: u64) -> Self {
        let hosts = (0..hosts).map(|host| Host::new(host as u8, config)).collect();
        Self {
            now: Instant::ZERO,
            hosts,
            agenda: BTreeMap::new(),
            next_number: 0,
            packets: 0,
            famine: None,
            loss,
            outcomes: Vec::new(),
        }
    }

    pub(crate) fn call(&mut self, wanted: Wanted) {
        self.schedule(wanted.after, Item::Call(wanted));
    }

    /// Runs until so many calls are open, though packets may be under way.
    pub(crate) fn run_until_called(&mut self, calls: usize) {
        while self.hosts.iter().map(|host| host.calls.len()).sum::<usize>() < calls {
            self.step();
        }
    }

    /// There is no memory from `after` on, for `time`.
    pub(crate) fn starve(&mut self, after: Duration, time: Duration) {
        let begin = self.now + after;
        self.famine = Some(begin..begin + time);
    }

    /// Closes the client socket of a host.
    pub(crate) fn close(&mut self, host: usize) {
        let (now, host_at) = (self.now, &mut self.hosts[host]);
        starving(|| host_at.endpoint.close(now, host_at.client));
        self.drain(host);
    }

    /// No packet arrives any more.
    pub(crate) fn cut(&mut self) {
        self.loss = 1;
        self.agenda.clear();
    }

    /// Runs until nothing is left to happen, and says how the calls ended.
    ///
    /// # Panics
    ///
    /// If the tables of an endpoint disagree, a call has no outcome or a second one, a request is
    /// executed twice, bytes are missing or come twice, or something is left at the end.
    pub(crate) fn run(&mut self) -> Vec<(Wanted, Outcome)> {
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < 1_000_000, "it does not end");
        }
        for host in &self.hosts {
            assert!(host.calls.is_empty(), "without an outcome: {:?}", host.calls);
            assert!(host.ledger.is_empty(), "partly there: {:?}", host.ledger);
            assert!(host.endpoint.is_idle(), "RPCs are left: {:?}", host.endpoint);
            assert_eq!((host.endpoint.incoming_bytes(), host.endpoint.outgoing_bytes()), (0, 0));
        }
        std::mem::take(&mut self.outcomes)
    }

    /// What the endpoints say that they dropped or turned away for lack of memory.
    pub(crate) fn counted(&self) -> u64 {
        let counted = |host: &Host| {
            let stats = host.endpoint.stats();
            stats.dropped_data_no_bufs + stats.server_cant_create_rpcs + stats.control_overflows
        };
        self.hosts.iter().map(counted).sum()
    }

    /// Whether there was anything left to happen.
    fn step(&mut self) -> bool {
        let Some(at) = self.next_time() else { return false };
        self.now = at.max(self.now);
        if let Some(famine) = &self.famine {
            follow(if famine.contains(&self.now) { Plan::Always } else { Plan::Never });
        }
        match self.agenda.first_entry().filter(|entry| entry.key().0 <= at) {
            Some(entry) => {
                let item = entry.remove();
                self.happen(item);
            }
            None => self.expire(),
        }
        true
    }

    fn happen(&mut self, item: Item) {
        match item {
            Item::Packet { from, to, transmit } => self.arrive(from, to, &transmit),
            Item::Call(wanted) => self.start(wanted),
            Item::Reply { host, key, length } => self.reply(host, key, length),
        }
    }

    fn arrive(&mut self, from: usize, to: usize, transmit: &Transmit) {
        let (peer, now) = (self.hosts[from].addr, self.now);
        let host = &mut self.hosts[to];
        let meta = PacketMeta { peer, local: LocalAddr::from(host.addr.ip()) };
        let length = transmit.payload.map_or(0, |(_, payload)| payload.len());
        let header: &Header = &transmit.header;
        let delivery = starving(|| host.endpoint.handle_packet(now, meta, header, length as usize));
        if let Some(delivery) = delivery {
            for range in delivery.ranges {
                host.ledger.deliver(delivery.key, delivery.message_length, range.clone());
            }
        }
        starving(|| host.endpoint.settle(now));
        self.drain(to);
    }

    fn start(&mut self, wanted: Wanted) {
        let (now, peer) = (self.now, self.hosts[wanted.to].addr);
        let host = &mut self.hosts[wanted.from];
        let (socket, options) = (host.client, CallOptions::default());
        let started = starving(|| {
            host.endpoint.send_request(now, socket, peer, PORT, wanted.length, options)
        });
        match started {
            Ok(key) => drop(host.calls.insert(key, wanted)),
            Err(SendError::NoMemory) => {
                self.schedule(RETRY, Item::Call(wanted));
            }
            Err(error) => panic!("{error}"),
        }
        self.drain(wanted.from);
    }

    fn reply(&mut self, host: usize, key: RpcKey, length: u32) {
        let now = self.now;
        let endpoint = &mut self.hosts[host].endpoint;
        match starving(|| endpoint.send_reply(now, key, length)) {
            Ok(()) | Err(ReplyError::Gone) => {}
            Err(ReplyError::NoMemory) => {
                self.schedule(RETRY, Item::Reply { host, key, length });
            }
            Err(error) => panic!("{error}"),
        }
        self.drain(host);
    }

    fn expire(&mut self) {
        let now = self.now;
        for host in 0..self.hosts.len() {
            let endpoint = &mut self.hosts[host].endpoint;
            if endpoint.poll_timeout().is_some_and(|due| due <= now) {
                starving(|| endpoint.handle_timeout(now));
                self.drain(host);
            }
        }
    }

    /// Takes what a host has to tell and to send.
    fn drain(&mut self, host: usize) {
        let now = self.now;
        loop {
            while let Some(event) = starving(|| self.hosts[host].endpoint.poll_event()) {
                self.note(host, event);
            }
            let endpoint = &mut self.hosts[host].endpoint;
            let Some(transmit) = starving(|| endpoint.poll_transmit(now)) else { break };
            self.send(host, transmit);
        }
        self.hosts[host].endpoint.check_invariants();
    }

    fn send(&mut self, from: usize, transmit: Transmit) {
        let to = self.hosts.iter().position(|host| host.addr == transmit.peer);
        self.packets += 1;
        if let Some(to) = to.filter(|_| !self.packets.is_multiple_of(self.loss)) {
            self.schedule(DELAY, Item::Packet { from, to, transmit: Box::new(transmit) });
        }
    }

    fn note(&mut self, host: usize, event: Event) {
        let now = self.now;
        let at = &mut self.hosts[host];
        match event {
            Event::RequestComplete { key } => {
                let info = at.endpoint.info(key).expect("it is open");
                assert!(at.executed.insert((info.peer, info.id.0)), "executed twice");
                let length = at.ledger.complete(key);
                starving(|| at.endpoint.accept(now, key));
                // The application takes its time.
                self.schedule(DELAY, Item::Reply { host, key, length });
            }
            Event::ResponseComplete { key } => {
                let length = at.ledger.complete(key);
                starving(|| at.endpoint.finish(now, key));
                let wanted = at.calls.remove(&key).expect("it had no outcome");
                assert_eq!(length, wanted.length);
                self.outcomes.push((wanted, Outcome::Response));
            }
            Event::Failed { key, failure } => {
                at.ledger.forget(key);
                let wanted = at.calls.remove(&key).expect("it had no outcome");
                self.outcomes.push((wanted, Outcome::Failed(failure)));
            }
            Event::Cancelled { key, .. } => at.ledger.forget(key),
            _ => {}
        }
    }

    fn next_time(&self) -> Option<Instant> {
        let timers = self.hosts.iter().filter_map(|host| host.endpoint.poll_timeout());
        timers.chain(self.agenda.keys().next().map(|(at, _)| *at)).min()
    }

    fn schedule(&mut self, after: Duration, item: Item) {
        self.agenda.insert((self.now + after, self.next_number), item);
        self.next_number += 1;
    }
}

impl Host {
    fn new(number: u8, config: &Config) -> Self {
        let mut config = config.clone();
        config.seed = number.into();
        let addr = PeerAddr::from(SocketAddr::from(([10, 0, 0, number + 1], 4000)));
        let mut endpoint = Endpoint::new(config, Instant::ZERO).expect("a valid configuration");
        endpoint.open_server(PORT).expect("there is memory");
        let client = endpoint.open_client().expect("there is memory");
        Self {
            endpoint,
            addr,
            client,
            calls: BTreeMap::new(),
            ledger: Ledger::default(),
            executed: BTreeSet::new(),
        }
    }
}
