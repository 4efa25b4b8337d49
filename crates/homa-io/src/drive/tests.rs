#![allow(non_snake_case, reason = "tests are named function__case")]

use super::*;
use crate::{FaultPlan, FaultyIo, MemoryIo};
use homa_proto::{Config, Duration};
use homa_wire::PacketType;
use std::time::Duration as StdDuration;

const SERVER_PORT: u16 = 7;

/// What a driver reported, by key.
#[derive(Debug, Default)]
struct Log {
    started: Vec<RpcKey>,
    requests: Vec<RpcKey>,
    readable: Vec<u32>,
    responses: Vec<RpcKey>,
    failures: Vec<(RpcKey, Failure)>,
    cancelled: Vec<(RpcKey, Cancelled)>,
}

impl Sink for Log {
    fn request_started(&mut self, key: RpcKey, _info: &RpcInfo) {
        self.started.push(key);
    }

    fn request_complete(&mut self, key: RpcKey, _info: &RpcInfo) {
        self.requests.push(key);
    }

    fn readable(&mut self, _key: RpcKey, upto: u32) {
        self.readable.push(upto);
    }

    fn response(&mut self, key: RpcKey) {
        self.responses.push(key);
    }

    fn failed(&mut self, key: RpcKey, failure: Failure) {
        self.failures.push((key, failure));
    }

    fn cancelled(&mut self, key: RpcKey, cause: Cancelled) {
        self.cancelled.push((key, cause));
    }
}

struct Host<I> {
    driver: Driver<I>,
    log: Log,
    socket: SocketId,
}

/// A client and a server, with a wire that holds `capacity` packets each way.
struct Pair<I = MemoryIo> {
    client: Host<I>,
    server: Host<I>,
    server_addr: PeerAddr,
}

impl<I: PacketIo> Host<I> {
    fn new(io: I, config: &Config, open: impl Fn(&mut Driver<I>) -> SocketId) -> Self {
        let endpoint = Endpoint::new(config.clone(), Clock::now()).unwrap();
        let mut driver = Driver::new(endpoint, io);
        let socket = open(&mut driver);
        Self { driver, log: Log::default(), socket }
    }

    fn turn(&mut self) -> Turn {
        self.driver.turn(&mut self.log)
    }

    fn flush(&mut self) {
        self.driver.flush(&mut self.log);
    }
}

impl Pair {
    fn new(capacity: usize) -> Self {
        Self::with_config(capacity, &Config::default())
    }

    fn with_config(capacity: usize, config: &Config) -> Self {
        Self::over(capacity, config, |io| io)
    }
}

impl<I: PacketIo> Pair<I> {
    fn over(capacity: usize, config: &Config, wrap: impl Fn(MemoryIo) -> I) -> Self {
        let [a, b] = [1000, 2000].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let (a_io, b_io) = MemoryIo::pair(a, b, capacity).unwrap();
        let open_server = |driver: &mut Driver<I>| driver.open_server(SERVER_PORT).unwrap();
        Self {
            client: Host::new(wrap(a_io), config, |driver| driver.open_client().unwrap()),
            server: Host::new(wrap(b_io), config, open_server),
            server_addr: b.into(),
        }
    }

    fn call(&mut self, message: impl Into<Message>) -> RpcKey {
        self.call_to(self.server_addr, message)
    }

    fn call_to(&mut self, peer: PeerAddr, message: impl Into<Message>) -> RpcKey {
        let Host { driver, socket, .. } = &mut self.client;
        let options = CallOptions::default();
        driver.send_request(*socket, peer, SERVER_PORT, message.into(), options).unwrap()
    }

    /// Turns on both sides until `done`.
    fn run(&mut self, done: impl Fn(&Self) -> bool) {
        let start = std::time::Instant::now();
        while !done(self) {
            assert!(start.elapsed() < StdDuration::from_secs(5), "{:?}", self.client.log);
            self.client.turn();
            self.server.turn();
        }
    }

    fn sent(&self, packet_type: PacketType) -> u64 {
        self.client.driver.stats().packets_sent[packet_type.index()]
    }
}

fn contents(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

#[test]
fn turn__a_short_call_there_and_back() {
    let mut pair = Pair::new(64);
    let call = pair.call("request");
    pair.client.flush();
    assert!(pair.server.turn().progress);
    let request = pair.server.log.requests[0];
    assert!(pair.server.log.started.is_empty(), "it was whole in one packet");
    assert_eq!(pair.server.driver.accept(request).unwrap().into_bytes(), "request");
    pair.server.driver.reply(request, &mut "response".into()).unwrap();
    pair.server.flush();
    assert!(pair.client.turn().progress);
    assert_eq!(pair.client.log.responses, [call]);
    assert_eq!(pair.client.driver.take_response(call).unwrap().into_bytes(), "response");
    assert!(pair.client.driver.take_response(call).is_none(), "once");
    assert!(pair.client.driver.is_idle());
    assert!(!pair.client.turn().progress);
}

#[test]
fn turn__long_messages_by_grants() {
    let mut pair = Pair::new(4096);
    let (request, response) = (contents(300_000), contents(200_001));
    let call = pair.call(request.clone());
    pair.run(|pair| !pair.server.log.requests.is_empty());
    let key = pair.server.log.requests[0];
    assert_eq!(pair.server.log.started, [key]);
    assert!(pair.server.log.readable.is_sorted());
    assert!(pair.server.driver.accept(key).unwrap() == request);
    pair.server.driver.reply(key, &mut response.clone().into()).unwrap();
    pair.run(|pair| !pair.client.log.responses.is_empty());
    assert!(pair.client.driver.take_response(call).unwrap() == response);
}

/// Runs of packets in which some are missing, come twice, or come late.
#[test]
fn turn__long_messages_in_broken_runs() {
    let mut config = Config::default();
    config.timing.resend_interval = Duration::from_millis(1);
    let plan: FaultPlan = "drop=0.05,dup=0.05,reorder=0.05,seed=7".parse().unwrap();
    let mut pair = Pair::over(4096, &config, |io| FaultyIo::new(io, plan));
    for round in 0..10 {
        let (request, response) = (contents(100_000 + round), contents(150_000 - round));
        let call = pair.call(request.clone());
        pair.run(|pair| pair.server.log.requests.len() > round);
        let key = pair.server.log.requests[round];
        assert!(pair.server.driver.accept(key).unwrap() == request);
        pair.server.driver.reply(key, &mut response.clone().into()).unwrap();
        pair.run(|pair| pair.client.log.responses.len() > round);
        assert!(pair.client.driver.take_response(call).unwrap() == response);
    }
    let stats = pair.server.driver.stats();
    assert!(stats.packet_discards > 0 && stats.gaps_created > 0, "{stats:?}");
}

#[test]
fn read__what_was_announced() {
    let mut pair = Pair::new(8);
    let request = contents(100_000);
    pair.call(request.clone());
    pair.run(|pair| !pair.server.log.readable.is_empty());
    let (key, upto) = (pair.server.log.started[0], pair.server.log.readable[0]);
    let bytes = pair.server.driver.read(key, 0, upto).unwrap();
    assert_eq!(bytes, request[..upto as usize]);
    assert!(pair.server.driver.accept(key).is_none(), "it is not complete");
}

/// The core's contract: a full socket keeps at most one batch, and nothing is polled behind it.
#[test]
fn transmit__a_full_wire_holds_one_batch_back() {
    const CAPACITY: usize = 5;
    let mut config = Config::default();
    // Nothing is sent twice, however slow the machine.
    config.timing.resend_interval = Duration::from_secs(5);
    config.timing.resend_interval_max = Duration::from_secs(5);
    let mut pair = Pair::with_config(CAPACITY, &config);
    let keys: Vec<_> = (0..200).map(|_| pair.call("x")).collect();
    pair.client.flush();
    assert!(pair.client.driver.wants_room());
    assert!(pair.client.driver.batch.len() < SendBatch::CAPACITY);
    let polled = pair.sent(PacketType::Data);
    assert!(polled <= SendBatch::CAPACITY as u64);
    pair.client.flush();
    assert_eq!(pair.sent(PacketType::Data), polled, "no packet is polled meanwhile");
    pair.run(|pair| pair.server.log.requests.len() == keys.len());
    assert!(!pair.client.driver.wants_room());
    assert_eq!(pair.sent(PacketType::Data), 200, "each packet left once");
}

/// What waited for room leaves together with what the protocol wanted sent behind it.
#[test]
fn transmit__goes_on_behind_what_waited_for_room() {
    const CAPACITY: usize = 100;
    let mut pair = Pair::new(CAPACITY);
    for _ in 0..150 {
        pair.call("x");
    }
    pair.client.flush();
    assert!(pair.client.driver.wants_room());
    let waiting = pair.client.driver.batch.len();
    let polled = pair.sent(PacketType::Data) as usize;
    assert_eq!(polled, CAPACITY + waiting);
    while pair.server.turn().progress {}
    pair.client.flush();
    assert!(!pair.client.driver.wants_room() && !pair.client.driver.has_more());
    assert_eq!(pair.sent(PacketType::Data), 150);
}

#[test]
fn transmit__a_large_backlog_stops_at_the_limit() {
    let mut pair = Pair::new(4096);
    for _ in 0..FLUSH_PACKETS_MAX + 10 {
        pair.call("x");
    }
    pair.client.flush();
    assert!(pair.client.driver.has_more());
    assert_eq!(pair.sent(PacketType::Data), FLUSH_PACKETS_MAX as u64);
    assert!(!pair.client.turn().more);
    assert_eq!(pair.sent(PacketType::Data), FLUSH_PACKETS_MAX as u64 + 10);
}

/// Who takes turns listens again after some long packets; a verb's own flush sends them all.
#[test]
fn transmit__a_turn_stops_after_so_many_bytes() {
    let mut pair = Pair::new(1000);
    for _ in 0..8 {
        pair.call(contents(40_000));
    }
    assert!(pair.client.turn().more);
    let in_a_turn = pair.sent(PacketType::Data);
    let with_a_run = TURN_BYTES_MAX + u64::from(RUN_MAX.bytes);
    assert!((TURN_BYTES_MAX / 1500..with_a_run / 1300).contains(&in_a_turn), "{in_a_turn}");
    while pair.client.turn().more {}
    let all = pair.sent(PacketType::Data);
    for _ in 0..8 {
        pair.call(contents(40_000));
    }
    pair.client.flush();
    assert_eq!(pair.sent(PacketType::Data), 2 * all);
}

/// The core's contract: a late thread never mistakes its own delay for silence. All responses wait
/// in several batches when the timers are due.
#[test]
fn turn__packets_received_go_before_timers_that_are_due() {
    let mut config = Config::default();
    config.timing.resend_interval = Duration::from_millis(1);
    let mut pair = Pair::with_config(4096, &config);
    let keys: Vec<_> = (0..150).map(|_| pair.call("x")).collect();
    pair.client.flush();
    while pair.server.log.requests.len() < keys.len() {
        pair.server.turn();
    }
    for key in std::mem::take(&mut pair.server.log.requests) {
        pair.server.driver.accept(key).unwrap();
        pair.server.driver.reply(key, &mut "y".into()).unwrap();
    }
    pair.server.flush();
    std::thread::sleep(StdDuration::from_millis(30));
    assert!(pair.client.driver.next_due().unwrap() < Clock::now());
    pair.client.turn();
    assert_eq!(pair.client.log.responses.len(), keys.len());
    assert_eq!(pair.sent(PacketType::Resend), 0);
}

#[test]
fn turn__a_peer_that_cannot_be_reached_fails_the_call() {
    let mut pair = Pair::new(64);
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9)).into();
    let call = pair.call_to(nobody, "x");
    pair.client.flush();
    pair.client.turn();
    let failure = Failure::Unreachable(Unreachable::Port);
    assert_eq!(pair.client.log.failures, [(call, failure)]);
    assert!(pair.client.driver.is_idle());
}

/// ICMP may quote as little as eight bytes: whoever forges that guesses nothing.
#[test]
fn turn__reports_of_the_network_that_name_no_rpc_end_none() {
    let mut pair = Pair::new(64);
    let call = pair.call("x");
    let kind = PathErrorKind::Unreachable(Unreachable::Port);
    let report = |origin| PathError { peer: pair.server_addr, kind, quoted: None, origin };
    pair.client.driver.io.report(report(ErrorOrigin::Network));
    pair.client.turn();
    assert_eq!(pair.client.log.failures, []);
    assert_eq!(pair.client.driver.endpoint.stats().unreachables_ignored, 1);
    pair.client.driver.io.report(report(ErrorOrigin::Host));
    pair.client.turn();
    let failure = Failure::Unreachable(Unreachable::Port);
    assert_eq!(pair.client.log.failures, [(call, failure)], "this host knows");
}

#[test]
fn turn__garbage_is_counted_and_dropped() {
    let mut pair = Pair::new(64);
    let to = pair.server_addr;
    let mut batch = SendBatch::new();
    let priority = homa_wire::Priority::LOWEST;
    batch.push(Destination { peer: to, local: homa_proto::LocalAddr::ANY, priority }, b"garbage");
    pair.client.driver.io.send_batch(&mut batch).unwrap();
    assert!(pair.server.turn().progress);
    assert!(pair.server.log.requests.is_empty());
    assert_eq!(pair.server.driver.drive_stats().packets_rcvd, 1);
}

#[test]
fn abort__cancels_the_request_at_the_server() {
    let mut pair = Pair::new(64);
    let call = pair.call("x");
    pair.client.flush();
    pair.server.turn();
    let request = pair.server.log.requests[0];
    pair.server.driver.accept(request).unwrap();
    pair.client.driver.abort(call);
    pair.client.flush();
    pair.server.turn();
    assert_eq!(pair.server.log.cancelled, [(request, Cancelled::ByClient)]);
    assert_eq!(pair.server.driver.reply(request, &mut "y".into()), Err(ReplyError::Gone));
}

#[test]
fn refuse__fails_the_call_with_the_reason() {
    let mut pair = Pair::new(64);
    let call = pair.call("x");
    pair.client.flush();
    pair.server.turn();
    let request = pair.server.log.requests[0];
    pair.server.driver.refuse(request, RefuseReason::Overloaded);
    pair.server.flush();
    pair.client.turn();
    let [(key, Failure::Refused { reason, .. })] = pair.client.log.failures[..] else {
        panic!("{:?}", pair.client.log);
    };
    assert_eq!((key, reason), (call, RefuseReason::Overloaded));
}

#[test]
fn close__ends_what_is_open() {
    let mut pair = Pair::new(64);
    let call = pair.call("x");
    let socket = pair.client.socket;
    pair.client.driver.close(socket);
    pair.client.flush();
    assert_eq!(pair.client.log.failures, [(call, Failure::ShutDown)]);
    let again = pair.client.driver.send_request(
        socket,
        pair.server_addr,
        SERVER_PORT,
        "y".into(),
        CallOptions::default(),
    );
    assert_eq!(again, Err(SendError::NoSocket));
}
