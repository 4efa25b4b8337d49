//! Hosts, links and the clock.

use crate::faults::FaultPlan;
use crate::host::{Host, HostId, Outcome, PORT};
use homa_proto::{
    CallOptions, Config, Duration, Header, Instant, LocalAddr, PacketMeta, PeerAddr, RpcKey,
    SendError, Transmit,
};
use homa_wire::{HEADER_LEN_MAX, Version};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::{BTreeMap, HashMap};

/// Steps without an end that a run may take before it counts as a livelock.
const STEPS_MAX: u64 = 50_000_000;

/// A packet on its way. It carries its header as bytes, so that emitting and parsing are in every
/// run, and the number of its payload bytes.
#[derive(Clone, Debug)]
struct Flight {
    from: PeerAddr,
    to: HostId,
    header: Vec<u8>,
    payload_len: u32,
}

/// Decides about a packet: see [`Network::set_filter`].
type Filter = Box<dyn FnMut(Instant, HostId, &Header) -> bool>;

/// Hosts joined by links with virtual time.
pub struct Network {
    /// Virtual time.
    pub now: Instant,
    hosts: Vec<Host>,
    by_addr: HashMap<PeerAddr, HostId>,
    /// Faults of every link.
    pub faults: FaultPlan,
    /// Whether `check_invariants` runs after every step.
    pub checks: bool,
    random: Xoshiro256PlusPlus,
    in_flight: BTreeMap<(Instant, u64), Flight>,
    sequence: u64,
    last_arrival: HashMap<(PeerAddr, HostId), Instant>,
    /// Hosts that receive nothing and do nothing.
    stopped: Vec<bool>,
    filter: Option<Filter>,
    steps: u64,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("now", &self.now).field("hosts", &self.hosts).finish()
    }
}

impl Network {
    /// `hosts` hosts with the same configuration, but for their seeds, which derive from
    /// `config.seed`.
    #[must_use]
    pub fn new(hosts: usize, config: &Config, faults: FaultPlan) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let hosts: Vec<_> = (0..hosts).map(|i| Host::new(HostId(i), config.clone(), now)).collect();
        Self {
            now,
            by_addr: hosts.iter().enumerate().map(|(i, h)| (h.addr, HostId(i))).collect(),
            stopped: vec![false; hosts.len()],
            hosts,
            faults,
            checks: true,
            random: Xoshiro256PlusPlus::seed_from_u64(config.seed ^ 0x6e65_7477_6f72_6b21),
            in_flight: BTreeMap::new(),
            sequence: 0,
            last_arrival: HashMap::new(),
            filter: None,
            steps: 0,
        }
    }

    /// A host.
    #[must_use]
    pub fn host(&self, id: usize) -> &Host {
        &self.hosts[id]
    }

    /// A host. Call [`Network::flush`] after changing its endpoint.
    pub fn host_mut(&mut self, id: usize) -> &mut Host {
        &mut self.hosts[id]
    }

    /// Lets `filter` see every packet before it leaves (time, sender, header); packets for which it
    /// returns false are lost.
    pub fn set_filter(&mut self, filter: impl FnMut(Instant, HostId, &Header) -> bool + 'static) {
        self.filter = Some(Box::new(filter));
    }

    /// Removes the filter.
    pub fn clear_filter(&mut self) {
        self.filter = None;
    }

    /// Stops a host as SIGSTOP would, or lets it go on: packets that arrive meanwhile wait in its
    /// receive buffer.
    pub fn set_stopped(&mut self, host: usize, stopped: bool) {
        self.stopped[host] = stopped;
        self.flush();
    }

    /// Replaces a host by a new one without any memory of the old one, as after a crash.
    pub fn restart(&mut self, host: usize, config: &Config) {
        let mut fresh = Host::new(HostId(host), config.clone(), self.now);
        fresh.application = self.hosts[host].application;
        self.hosts[host] = fresh;
    }

    /// Starts a call of `length` bytes to the server of another host.
    ///
    /// # Errors
    ///
    /// That of `Endpoint::send_request`.
    pub fn call(&mut self, from: usize, to: usize, length: u32) -> Result<RpcKey, SendError> {
        self.call_with(from, to, PORT, length, CallOptions::default())
    }

    /// Like [`Network::call`], to any port and with options.
    ///
    /// # Errors
    ///
    /// That of `Endpoint::send_request`.
    pub fn call_with(
        &mut self,
        from: usize,
        to: usize,
        port: u16,
        length: u32,
        options: CallOptions,
    ) -> Result<RpcKey, SendError> {
        let addr = self.hosts[to].addr;
        let key = self.hosts[from].call(self.now, addr, port, length, options)?;
        self.flush();
        Ok(key)
    }

    /// Aborts a call that has not ended.
    pub fn abort(&mut self, host: usize, key: RpcKey) {
        self.hosts[host].abort(self.now, key);
        self.flush();
    }

    /// Answers the oldest request that a host holds.
    pub fn reply_to_held(&mut self, host: usize, length: u32) -> Option<RpcKey> {
        let key = self.hosts[host].reply_to_held(self.now, length);
        self.flush();
        key
    }

    /// Puts a packet on the wire as if `from` had sent it.
    pub fn inject(&mut self, from: PeerAddr, to: usize, header: &Header, payload_len: u32) {
        self.launch(from, HostId(to), header, payload_len, self.faults.delay);
    }

    /// Runs until `time` has passed.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.flush();
        while self.next_time().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// Runs until nothing is due any more, at most for `limit`. Returns whether that came to pass.
    pub fn run_until_quiet(&mut self, limit: Duration) -> bool {
        let end = self.now + limit;
        self.flush();
        while let Some(at) = self.next_time() {
            if at > end {
                return false;
            }
            self.step();
        }
        true
    }

    /// Runs until a call has an outcome, at most for `limit`.
    pub fn run_until_outcome(
        &mut self,
        host: usize,
        key: RpcKey,
        limit: Duration,
    ) -> Option<Outcome> {
        let end = self.now + limit;
        self.flush();
        while self.hosts[host].outcome(key).is_none() && self.next_time().is_some_and(|t| t <= end)
        {
            self.step();
        }
        self.hosts[host].outcome(key)
    }

    /// Sends what the hosts have to send, and handles their events.
    pub fn flush(&mut self) {
        for id in 0..self.hosts.len() {
            self.drain(HostId(id));
        }
    }

    /// Panics unless all hosts are quiet: every call ended, nothing is left in any table.
    pub fn assert_quiet(&self) {
        assert!(self.in_flight.is_empty(), "packets are on their way");
        self.hosts.iter().for_each(Host::assert_quiet);
    }

    /// A value that depends on every traced event of every host.
    pub fn fingerprint(&mut self) -> u64 {
        self.hosts.iter_mut().fold(0, |all, host| all.rotate_left(7) ^ host.fingerprint())
    }

    /// Packets on their way.
    #[must_use]
    pub fn packets_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn next_time(&self) -> Option<Instant> {
        let timers = (self.hosts.iter().zip(&self.stopped))
            .filter(|(_, stopped)| !**stopped)
            .filter_map(|(host, _)| host.endpoint.poll_timeout());
        let arrival = self.in_flight.iter().find(|(_, flight)| !self.stopped[flight.to.0]);
        timers.chain(arrival.map(|(&(at, _), _)| at)).min().map(|at| at.max(self.now))
    }

    /// Advances to the next arrival or deadline. Packets come before deadlines of the same time.
    fn step(&mut self) {
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "the run does not end");
        let Some(at) = self.next_time() else { return };
        self.now = at;
        let arrived = self
            .in_flight
            .iter()
            .find(|((time, _), flight)| *time <= at && !self.stopped[flight.to.0])
            .map(|(&order, _)| order);
        if let Some(flight) = arrived.and_then(|order| self.in_flight.remove(&order)) {
            let to = flight.to;
            self.arrive(flight);
            self.drain(to);
            return;
        }
        for id in 0..self.hosts.len() {
            let due = self.hosts[id].endpoint.poll_timeout().is_some_and(|due| due <= at);
            if due && !self.stopped[id] {
                self.hosts[id].endpoint.handle_timeout(at);
                self.drain(HostId(id));
            }
        }
    }

    fn arrive(&mut self, flight: Flight) {
        let host = &mut self.hosts[flight.to.0];
        let (header, _) = Header::parse(&flight.header, Version::V1).expect("we sent it");
        let meta = PacketMeta { peer: flight.from, local: LocalAddr::from(host.addr.ip()) };
        host.receive(self.now, meta, &header, flight.payload_len as usize);
    }

    fn drain(&mut self, id: HostId) {
        if self.stopped[id.0] {
            return;
        }
        loop {
            self.hosts[id.0].drain_events(self.now);
            let Some(transmit) = self.hosts[id.0].endpoint.poll_transmit(self.now) else { break };
            self.transmit(id, &transmit);
        }
        if self.checks {
            self.hosts[id.0].endpoint.check_invariants();
        }
    }

    fn transmit(&mut self, from: HostId, transmit: &Transmit) {
        let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
        let now = self.now;
        if self.filter.as_mut().is_some_and(|filter| !filter(now, from, &transmit.header)) {
            return;
        }
        let Some(&to) = self.by_addr.get(&transmit.peer) else { return };
        if self.chance(self.faults.drop_permille) {
            return;
        }
        let addr = self.hosts[from.0].addr;
        if self.chance(self.faults.duplicate_permille) {
            let late = self.some_delay();
            self.launch(addr, to, &transmit.header, payload_len, late);
        }
        if self.chance(self.faults.reorder_permille) {
            let late = self.some_delay();
            self.launch(addr, to, &transmit.header, payload_len, late);
            return;
        }
        let jitter = self.below(self.faults.jitter.as_nanos() + 1);
        // Packets that are not singled out keep their order.
        let last = self.last_arrival.get(&(addr, to)).copied().unwrap_or_default();
        let at = (self.now + self.faults.delay + Duration::from_nanos(jitter)).max(last);
        self.last_arrival.insert((addr, to), at);
        self.launch(addr, to, &transmit.header, payload_len, at.saturating_since(self.now));
    }

    fn launch(
        &mut self,
        from: PeerAddr,
        to: HostId,
        header: &Header,
        payload_len: u32,
        delay: Duration,
    ) {
        let mut bytes = [0; HEADER_LEN_MAX];
        let len = header.emit(Version::V1, &mut bytes).expect("it has room");
        let flight = Flight { from, to, header: bytes[..len].to_vec(), payload_len };
        self.sequence += 1;
        self.in_flight.insert((self.now + delay, self.sequence), flight);
    }

    fn some_delay(&mut self) -> Duration {
        let delay = self.faults.delay.as_nanos().max(1000);
        Duration::from_nanos(delay + self.below(4 * delay))
    }

    fn chance(&mut self, permille: u32) -> bool {
        permille > 0 && self.below(1000) < u64::from(permille)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }
}
