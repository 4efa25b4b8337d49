//! Homa over UDP or raw IP, through the blocking API.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use ::homa::blocking::{Endpoint, Request as Incoming, Server};
use ::homa::proto::{Duration as ProtoDuration, Limits, Resource, Unreachable};
use ::homa::{
    Addr, AuthConfig, CallError, CallId, Config, Message, RawConfig, RefuseReason, ReplyError,
};

pub(crate) use ::homa::FaultPlan;

use super::echo::{echo, message_of};
use super::link::HomaLink;
use super::regime::WAKE_UP;
use super::{Failure, LoadClient, LoadServer, Outcome, Regime, Request, Served, TurnedAway};
use crate::address::ServerAddress;
use crate::drops::Drops;

/// How long a server that was told to stop waits for what is under way.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long it waits for requests meanwhile before it looks again.
const SHUTDOWN_WAIT: Duration = Duration::from_millis(2);
/// Why else a server may seem dead: over UDP, and over raw IP, where there are no keys.
const UNLIKE: &str = ", or it has other --key-file or --checksums options than this side";
const UNLIKE_RAW: &str = ", or it has another --checksums option than this side";
/// How many outcomes or requests are taken at once.
const BATCH: usize = 64;

/// Parameters of an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct HomaOptions {
    max_message: u64,
    fault: Option<FaultPlan>,
    checksums: bool,
    memory_bytes: Option<u64>,
    queue_delay: Option<Duration>,
    /// Time that a server computes before each answer.
    work: Duration,
    timeout: Option<Duration>,
    auth: Option<AuthConfig>,
    raw: Option<RawConfig>,
    link: Option<HomaLink>,
}

impl HomaOptions {
    /// For messages of up to so many bytes.
    pub(crate) fn for_messages_of(max_message: u64) -> Self {
        Self {
            max_message,
            fault: None,
            checksums: false,
            timeout: None,
            auth: None,
            memory_bytes: None,
            queue_delay: None,
            work: Duration::ZERO,
            raw: None,
            link: None,
        }
    }

    /// The same, between hosts with such links.
    pub(crate) fn on_link(mut self, link: HomaLink) -> Self {
        self.link = Some(link);
        self
    }

    /// The same, with checksums of Homa's own or without.
    pub(crate) fn with_checksums(mut self, checksums: bool) -> Self {
        self.checksums = checksums;
        self
    }

    /// The same, in so much memory.
    pub(crate) fn within(mut self, memory_bytes: Option<u64>) -> Self {
        self.memory_bytes = memory_bytes;
        self
    }

    /// The same, for a server that computes for `work` before each answer, and turns requests away
    /// while one has waited for `queue_delay`.
    pub(crate) fn working(mut self, work: Duration, queue_delay: Option<Duration>) -> Self {
        self.work = work;
        self.queue_delay = queue_delay;
        self
    }

    /// The same, with another time than usual that a peer may be silent.
    pub(crate) fn with_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same, with packets authenticated or not.
    pub(crate) fn with_auth(mut self, auth: Option<AuthConfig>) -> Self {
        self.auth = auth;
        self
    }

    /// The same, over raw IP: with all Homa ports of this host, or sharing them with other processes
    /// (a client takes one port only).
    pub(crate) fn over_raw_ip(mut self, shares: bool, serves: Option<u16>) -> Self {
        let mut raw = RawConfig::default();
        raw.shared_ports = shares.then(|| serves.into_iter().collect());
        self.raw = Some(raw);
        self
    }

    /// The same, with faults injected; `seed` changes which packets they meet.
    pub(crate) fn with_fault(mut self, plan: Option<FaultPlan>, seed: u64) -> Self {
        self.fault = plan.map(|mut plan| {
            plan.seed = plan.seed.wrapping_add(seed);
            plan
        });
        self
    }

    /// An address, interface included, for a socket of this transport: over raw IP there is no UDP port.
    fn socket_addr(&self, mut address: SocketAddr) -> SocketAddr {
        if self.raw.is_some() {
            address.set_port(0);
        }
        address
    }

    /// With room for so many calls at once.
    pub(super) fn config_for_calls(&self, regime: Regime, slots: usize) -> Config {
        let mut config = self.config(regime);
        let limits = &mut config.proto.limits;
        limits.client_rpcs_max = limits.client_rpcs_max.max(slots as u32);
        // The bodies of requests are shared, so this memory is not really needed.
        let outgoing = slots as u64 * u64::from(config.proto.message_length_max);
        limits.outgoing_bytes_max = limits.outgoing_bytes_max.max(outgoing);
        config
    }

    fn config(&self, regime: Regime) -> Config {
        let mut config = Config::default();
        let max_message = u32::try_from(self.max_message).unwrap_or(u32::MAX);
        config.proto.message_length_max = config.proto.message_length_max.max(max_message);
        if let Some(memory_bytes) = self.memory_bytes {
            config.proto.limits = Limits::within(memory_bytes);
        }
        if let Some(delay) = self.queue_delay {
            let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
            config.proto.overload.queue_delay_max = ProtoDuration::from_nanos(nanos);
        }
        config.poll = regime.poll;
        config.fault = self.fault;
        config.checksums = self.checksums;
        if let Some(timeout) = self.timeout {
            let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
            config.proto.timing.timeout = ::homa::proto::Duration::from_nanos(nanos);
        }
        if let Some(link) = self.link {
            link.apply(&mut config.proto);
        }
        config.auth = self.auth.clone();
        config.raw.clone_from(&self.raw);
        config
    }
}

/// Makes calls to one server, or several.
#[derive(Debug)]
pub(crate) struct HomaClient {
    endpoint: Endpoint,
    servers: Vec<Addr>,
    /// Requests to be sent together, and the slots of their calls.
    unsent: Vec<(Addr, Message)>,
    unsent_slots: Vec<u32>,
    /// What became of sending them.
    started: Vec<Result<CallId, CallError>>,
    /// By index of the call.
    slots: Vec<u32>,
    outcomes: Vec<(CallId, Result<Message, CallError>)>,
    /// Calls that failed at once.
    failed: Vec<(u32, Failure)>,
}

impl HomaClient {
    /// A client for up to `slots` calls at once.
    pub(crate) fn new(
        server: SocketAddr,
        homa_port: u16,
        slots: usize,
        regime: Regime,
        options: &HomaOptions,
    ) -> Result<Self, String> {
        let config = options.config_for_calls(regime, slots);
        let endpoint = Endpoint::bind(SocketAddr::new(local_ip(server.ip()), 0), config);
        let endpoint = endpoint.map_err(|error| error.to_string())?;
        Ok(Self::on(endpoint, vec![addr(server, homa_port, options)?]))
    }

    fn on(endpoint: Endpoint, servers: Vec<Addr>) -> Self {
        Self {
            endpoint,
            servers,
            unsent: Vec::new(),
            unsent_slots: Vec::new(),
            started: Vec::new(),
            slots: Vec::new(),
            outcomes: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Waits for outcomes. As over TCP, the last millisecond before a deadline is polled away, since
    /// sleeping past it would distort an open loop.
    fn receive_outcomes(&mut self, timeout: Duration) {
        // The end of a wait is polled away.
        if timeout >= WAKE_UP {
            self.endpoint.recv_batch(&mut self.outcomes, BATCH, Some(timeout - WAKE_UP));
            return;
        }
        let begin = Instant::now();
        while self.endpoint.recv_batch(&mut self.outcomes, BATCH, Some(Duration::ZERO)) == 0
            && begin.elapsed() < timeout
        {
            thread::yield_now();
        }
    }

    fn flush(&mut self) {
        if self.unsent.is_empty() {
            return;
        }
        self.endpoint.send_batch(&mut self.unsent, &mut self.started);
        for (slot, started) in self.unsent_slots.drain(..).zip(self.started.drain(..)) {
            match started {
                Ok(id) => {
                    let index = id.index() as usize;
                    if index >= self.slots.len() {
                        self.slots.resize(index + 1, 0);
                    }
                    self.slots[index] = slot;
                }
                Err(error) => self.failed.push((slot, failure_of(&error))),
            }
        }
    }
}

impl LoadClient for HomaClient {
    fn drops(&self) -> Drops {
        Drops::of(&self.endpoint.stats())
    }

    fn send(&mut self, request: Request) {
        self.send_to(0, request);
    }

    fn send_to(&mut self, server: u32, request: Request) {
        let Request { slot, header, body } = request;
        self.unsent.push((self.servers[server as usize], message_of(header.encode(), body)));
        self.unsent_slots.push(slot);
    }

    fn is_batched(&self) -> bool {
        true
    }

    fn receive(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(u32, Outcome<'_>),
    ) -> io::Result<()> {
        self.flush();
        if !self.failed.is_empty() {
            self.failed.drain(..).for_each(|(slot, failure)| sink(slot, Err(failure)));
            return Ok(());
        }
        self.receive_outcomes(timeout);
        for (id, outcome) in self.outcomes.drain(..) {
            let slot = self.slots[id.index() as usize];
            match outcome {
                Ok(mut response) => sink(slot, Ok(&mut response)),
                Err(error) => sink(slot, Err(failure_of(&error))),
            }
        }
        Ok(())
    }
}

/// Answers requests at one Homa port.
#[derive(Debug)]
pub(crate) struct HomaServer {
    endpoint: Endpoint,
    server: Server,
    homa_port: u16,
    requests: Vec<Incoming>,
    /// Time to compute before each answer.
    work: Duration,
    /// Responses to be sent, and those for which the endpoint had no room.
    replies: Vec<(Incoming, Message)>,
    /// Why some of them were not sent.
    failed: Vec<ReplyError>,
}

impl HomaServer {
    pub(crate) fn bind(
        address: SocketAddr,
        homa_port: u16,
        regime: Regime,
        options: &HomaOptions,
    ) -> Result<Self, String> {
        Self::with_config(address, homa_port, options, options.config(regime))
    }

    /// A server, and a client for up to `slots` calls at once to `peers` (addresses and Homa ports), both of
    /// one endpoint: grants and pacing are decided for all that a host receives and sends.
    pub(crate) fn bind_with_client(
        (address, homa_port): (SocketAddr, u16),
        peers: &[(SocketAddr, u16)],
        slots: usize,
        regime: Regime,
        options: &HomaOptions,
    ) -> Result<(Self, HomaClient), String> {
        let config = options.config_for_calls(regime, slots);
        let server = Self::with_config(address, homa_port, options, config)?;
        let peers = peers.iter().map(|&(peer, port)| addr(peer, port, options));
        let client = HomaClient::on(server.endpoint.clone(), peers.collect::<Result<_, _>>()?);
        Ok((server, client))
    }

    fn with_config(
        address: SocketAddr,
        homa_port: u16,
        options: &HomaOptions,
        config: Config,
    ) -> Result<Self, String> {
        let endpoint = Endpoint::bind(options.socket_addr(address), config);
        let endpoint = endpoint.map_err(|error| error.to_string())?;
        let server = endpoint.serve(homa_port).map_err(|error| error.to_string())?;
        Ok(Self {
            endpoint,
            server,
            homa_port,
            requests: Vec::new(),
            work: options.work,
            replies: Vec::new(),
            failed: Vec::new(),
        })
    }

    fn answer_all(&mut self, served: &mut Served) {
        for mut request in self.requests.drain(..) {
            compute(self.work);
            let message = request.take_message();
            served.requests += 1;
            served.bytes_in += message.len() as u64;
            let response = echo(message);
            served.bytes_out += response.len() as u64;
            self.replies.push((request, response));
        }
        self.reply(served);
    }

    /// Sends what there is room for. The rest stays to be tried again.
    fn reply(&mut self, served: &mut Served) {
        if self.replies.is_empty() {
            return;
        }
        self.endpoint.reply_batch(&mut self.replies, &mut self.failed);
        let mut failed = self.failed.drain(..);
        self.replies.retain(|_| {
            let waits = matches!(failed.next(), Some(ReplyError::Full { .. }));
            served.errors += u64::from(!waits);
            waits
        });
    }
}

impl LoadServer for HomaServer {
    fn address(&self) -> String {
        let mut local = self.endpoint.local_addr();
        // Over raw IP there is no UDP port.
        if local.port() == 0 {
            local.set_port(self.homa_port);
        }
        ServerAddress::new(local, self.homa_port).to_string()
    }

    fn accounts(&self) -> Option<::homa::Accounts> {
        Some(self.endpoint.accounts())
    }

    fn turned_away(&self) -> TurnedAway {
        let stats = self.endpoint.stats().protocol;
        TurnedAway {
            requests: stats.server_requests_overloaded,
            peer_share: stats.peer_share_refusals,
            queue_delay: stats.queue_delay_refusals,
            inactive: stats.inactive_requests_dropped,
        }
    }

    fn open_requests(&self) -> Box<dyn Fn() -> u64 + Send> {
        let endpoint = self.endpoint.clone();
        Box::new(move || {
            let rpcs = endpoint.accounts().endpoint.get(Resource::ServerRpcs);
            rpcs.map_or(0, |rpcs| rpcs.used)
        })
    }

    /// Answers what has arrived meanwhile.
    fn shut_down(&mut self, served: &mut Served) {
        let endpoint = self.endpoint.clone();
        let ending = thread::spawn(move || endpoint.shutdown(PATIENCE));
        while !ending.is_finished() {
            // Neither fails: what can't be answered is given up with the endpoint.
            let _ = self.serve(SHUTDOWN_WAIT, served);
        }
    }

    fn drops(&self) -> Drops {
        Drops::of(&self.endpoint.stats())
    }

    fn serve(&mut self, timeout: Duration, served: &mut Served) -> io::Result<()> {
        // With responses waiting for room there is something to do soon.
        let patience = if self.replies.is_empty() { timeout } else { Duration::from_millis(1) };
        // Requests in hand can't be turned away any more.
        let batch = if self.work.is_zero() { BATCH } else { 1 };
        self.server.accept_batch(&mut self.requests, batch, Some(patience));
        self.answer_all(served);
        Ok(())
    }
}

/// Keeps a processor busy, as an application would.
fn compute(work: Duration) {
    if work.is_zero() {
        return;
    }
    let begin = Instant::now();
    while begin.elapsed() < work {
        std::hint::spin_loop();
    }
}

pub(super) fn addr(
    server: SocketAddr,
    homa_port: u16,
    options: &HomaOptions,
) -> Result<Addr, String> {
    Addr::new(options.socket_addr(server), homa_port).map_err(|error| error.to_string())
}

/// The address to bind to for calls to `server`: on loopback that of loopback, for the endpoint
/// paces its packets for a link otherwise.
pub(super) fn local_ip(server: IpAddr) -> IpAddr {
    match server {
        IpAddr::V4(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

pub(super) fn failure_of(error: &CallError) -> Failure {
    let nobody = matches!(
        error,
        CallError::Unreachable { kind: Unreachable::Port | Unreachable::Protocol, .. }
            | CallError::Refused { reason: RefuseReason::NoPort | RefuseReason::NotServing, .. }
    );
    match error {
        _ if nobody => Failure::nothing_listens(error.to_string()),
        CallError::Timeout { addr } => {
            let is_raw = addr.socket_addr().port() == 0;
            Failure::new(format!("{error}{}", if is_raw { UNLIKE_RAW } else { UNLIKE }))
        }
        _ => Failure::new(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use crate::message::{Header, Pattern};

    /// Over raw IP there are no keys that could differ.
    #[test]
    fn failure_of__silence_may_have_a_reason_on_this_side() {
        let text = |addr: &str| {
            let addr = Addr::new(addr.parse().unwrap(), 7).unwrap();
            failure_of(&CallError::Timeout { addr }).reason
        };
        assert!(text("10.0.0.1:4000").ends_with(UNLIKE));
        assert!(text("10.0.0.1:0").ends_with(UNLIKE_RAW) && !UNLIKE_RAW.contains("key"));
    }

    #[test]
    fn local_ip__loopback_stays_loopback() {
        let local = |ip: &str| local_ip(ip.parse().unwrap()).to_string();
        assert_eq!(local("127.0.0.5"), "127.0.0.1");
        assert_eq!(local("10.0.0.1"), "0.0.0.0");
        assert_eq!(local("::1"), "::1");
        assert_eq!(local("fd00::1"), "::");
    }

    #[test]
    fn calls__over_a_socket() {
        let regime = Regime { poll: Duration::from_micros(50) };
        let options = HomaOptions::for_messages_of(3_000_000);
        let any = "127.0.0.1:0".parse().unwrap();
        let mut server = HomaServer::bind(any, 99, regime, &options).unwrap();
        let address: ServerAddress = server.address().parse().unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let pattern = Pattern::new(3_000_000);
        let lengths = [12, 100, 3_000_000, 70_000, 100];
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| {
                let mut served = Served::default();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    server.serve(Duration::from_millis(5), &mut served).unwrap();
                }
                served
            });
            let resolved = address.resolve().unwrap();
            let mut client = HomaClient::new(resolved, 99, 5, regime, &options).unwrap();
            let header = |slot: u32| Header::request(slot, lengths[slot as usize], false);
            for slot in 0..5 {
                let body = pattern.body(u64::from(slot), lengths[slot as usize]);
                client.send(Request { slot, header: header(slot), body });
            }
            let mut done = Vec::new();
            let begin = std::time::Instant::now();
            while done.len() < 5 && begin.elapsed() < Duration::from_secs(20) {
                let mut sink = |slot, outcome: Outcome<'_>| {
                    let response = outcome.expect("a response");
                    assert_eq!(pattern.verify(header(slot), u64::from(slot), response), Ok(()));
                    done.push(slot);
                };
                client.receive(Duration::from_millis(100), &mut sink).unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            let served = serving.join().unwrap();
            done.sort_unstable();
            assert_eq!(done, [0, 1, 2, 3, 4]);
            assert_eq!((served.requests, served.errors), (5, 0));
        });
    }
}
