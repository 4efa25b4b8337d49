#![allow(non_snake_case, reason = "tests are named function__case")]

use super::*;
use crate::{Destination, FaultPlan, FaultyIo, MemoryIo, PathErrorKind, UdpConfig, UdpIo};
use bytes::Bytes;
use homa_proto::Unreachable;
use homa_wire::Priority;
use std::sync::atomic::{AtomicU64, Ordering};

const FRESHNESS_US: u64 = 30_000_000;

/// The time at which tests begin, in microseconds since 1970.
const BEGIN: u64 = 1_700_000_000_000_000;

/// Two hosts with a key, and an attacker on the path between them.
struct Path {
    a: AuthIo<MemoryIo>,
    b: AuthIo<MemoryIo>,
    /// The attacker's sides: towards `a` in the name of `b`, and towards `b` in the name of `a`.
    to_a: MemoryIo,
    to_b: MemoryIo,
    a_clock: Arc<AtomicU64>,
    b_clock: Arc<AtomicU64>,
}

fn addr(host: u8) -> SocketAddr {
    ([10, 0, 0, host], 4000).into()
}

fn keys(keys: &[u8]) -> AuthConfig {
    AuthConfig::new(keys.iter().map(|key| AuthKey::new(&[*key; 32])).collect())
}

fn auth(io: MemoryIo, config: AuthConfig) -> (AuthIo<MemoryIo>, Arc<AtomicU64>) {
    let clock = Arc::new(AtomicU64::new(BEGIN));
    let own = Arc::clone(&clock);
    let clock_fn = Box::new(move || own.load(Ordering::Relaxed));
    (AuthIo::with_clock(io, config, clock_fn).unwrap(), clock)
}

fn destination(peer: SocketAddr) -> Destination {
    Destination { peer: peer.into(), local: LocalAddr::ANY, priority: Priority::HIGHEST }
}

fn push(batch: &mut SendBatch, peer: SocketAddr, payload: &[u8]) {
    batch.push(destination(peer), &[0x10; 28]);
    batch.append_payload(Bytes::copy_from_slice(payload));
}

fn send(io: &mut impl PacketIo, peer: SocketAddr, payload: &[u8]) {
    let mut batch = SendBatch::new();
    push(&mut batch, peer, payload);
    io.send_batch(&mut batch).unwrap();
    assert!(batch.is_empty());
}

/// Sends bytes as they are.
fn inject(io: &mut MemoryIo, peer: SocketAddr, bytes: &[u8]) {
    let mut batch = SendBatch::new();
    batch.push(destination(peer), &[]);
    batch.append_payload(Bytes::copy_from_slice(bytes));
    io.send_batch(&mut batch).unwrap();
}

/// The payloads of what has arrived.
fn received(io: &mut impl PacketIo) -> Vec<Vec<u8>> {
    let count = io.recv_batch().unwrap();
    (0..count).map(|index| io.packet(index).bytes[28..].to_vec()).collect()
}

/// What the attacker finds on the wire.
fn captured(io: &mut MemoryIo) -> Vec<Vec<u8>> {
    let count = io.recv_batch().unwrap();
    (0..count).map(|index| io.packet(index).bytes.to_vec()).collect()
}

impl Path {
    fn new() -> Self {
        Self::with_config(keys(&[1]), keys(&[1]))
    }

    fn with_config(a_config: AuthConfig, b_config: AuthConfig) -> Self {
        let (a_io, to_a) = MemoryIo::pair(addr(1), addr(2), 4096).unwrap();
        let (to_b, b_io) = MemoryIo::pair(addr(1), addr(2), 4096).unwrap();
        let ((a, a_clock), (b, b_clock)) = (auth(a_io, a_config), auth(b_io, b_config));
        Self { a, b, to_a, to_b, a_clock, b_clock }
    }

    /// `b` with the same configuration started anew, with the time that it has.
    fn restart_b(&mut self, config: AuthConfig) {
        let (to_b, b_io) = MemoryIo::pair(addr(1), addr(2), 4096).unwrap();
        let now = self.b_clock.load(Ordering::Relaxed);
        let clock = Arc::new(AtomicU64::new(now));
        let own = Arc::clone(&clock);
        let clock_fn = Box::new(move || own.load(Ordering::Relaxed));
        self.b = AuthIo::with_clock(b_io, config, clock_fn).unwrap();
        (self.to_b, self.b_clock) = (to_b, clock);
    }

    /// A packet as `a` sends it to `b`, which the attacker took off the wire.
    fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        send(&mut self.a, addr(2), payload);
        captured(&mut self.to_a).remove(0)
    }

    fn pass_on(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        inject(&mut self.to_b, addr(2), bytes);
        received(&mut self.b)
    }

    fn stats(&self) -> AuthStats {
        self.b.counters().snapshot()
    }
}

const NOTHING: Vec<Vec<u8>> = Vec::new();

#[test]
fn packets__pass_without_their_header() {
    let mut path = Path::new();
    let packet = path.packet(b"hello");
    assert_eq!(packet.len(), AuthIo::<MemoryIo>::OVERHEAD_BYTES + 28 + 5);
    assert_eq!(path.pass_on(&packet), [b"hello"]);
    assert_eq!(path.b.packet(0).peer, addr(1).into());
    assert_eq!(path.stats(), AuthStats { accepted: 1, ..AuthStats::default() });
    assert_eq!(path.a.path_mtu(&addr(2).into()), 1500 - 44);
}

#[test]
fn packets__altered_plain_or_of_another_key_are_dropped() {
    let mut path = Path::new();
    let packet = path.packet(b"hello");
    for index in 0..packet.len() {
        let mut altered = packet.clone();
        altered[index] ^= 1;
        assert_eq!(path.pass_on(&altered), NOTHING, "byte {index}");
    }
    assert_eq!(path.stats().rejected(), packet.len() as u64);
    assert_eq!(path.pass_on(&packet[44..]), NOTHING);
    assert_eq!(path.pass_on(&[]), NOTHING);
    // Of the altered ones, one had a wrong mark.
    assert_eq!(path.stats().plain, 3);
    let mut other = Path::with_config(keys(&[2]), keys(&[2]));
    let before = path.stats().unknown_key;
    assert_eq!(path.pass_on(&other.packet(b"x")), NOTHING);
    assert_eq!(path.stats().unknown_key, before + 1);
    assert_eq!(path.pass_on(&packet), [b"hello"], "nothing was remembered of the altered ones");
}

#[test]
fn packets__replayed_are_dropped() {
    let mut path = Path::new();
    let packets: Vec<_> = (0..200_u8).map(|n| path.packet(&[n])).collect();
    for (n, packet) in packets.iter().enumerate().rev() {
        assert_eq!(path.pass_on(packet), [[n as u8]], "in any order");
    }
    for packet in &packets {
        assert_eq!(path.pass_on(packet), NOTHING);
    }
    assert_eq!(path.stats().replayed, 200);
}

#[test]
fn packets__are_good_for_their_receiver_from_their_sender_only() {
    let mut path = Path::new();
    let packet = path.packet(b"hello");
    inject(&mut path.to_a, addr(1), &packet);
    assert_eq!(received(&mut path.a), NOTHING, "reflected");
    assert_eq!(path.a.counters().snapshot().bad_mac, 1);
    for (source, dest) in [(addr(1), addr(3)), (addr(3), addr(2))] {
        let (mut attacker, io) = MemoryIo::pair(source, dest, 10).unwrap();
        let (mut other, _) = auth(io, keys(&[1]));
        inject(&mut attacker, dest, &packet);
        assert_eq!(received(&mut other), NOTHING, "{source} to {dest}");
        assert_eq!(other.counters().snapshot().bad_mac, 1);
    }
    assert_eq!(path.pass_on(&packet), [b"hello"]);
}

/// An endpoint may call itself.
#[test]
fn packets__to_oneself_pass() {
    let any = || UdpIo::bind("127.0.0.1:0".parse().unwrap(), UdpConfig::default()).unwrap();
    let mut io = AuthIo::new(any(), keys(&[1])).unwrap();
    let own = io.local_addr();
    send(&mut io, own, b"self");
    assert_eq!(received(&mut io), [b"self"]);
}

#[test]
fn keys__rotate_without_interruption() {
    let steps: [(&[u8], &[u8]); 6] = [
        (&[1], &[1, 2]),
        (&[1, 2], &[1, 2]),
        (&[1, 2], &[2, 1]),
        (&[2, 1], &[2, 1]),
        (&[2, 1], &[2]),
        (&[2], &[2]),
    ];
    for (a, b) in steps {
        let mut path = Path::with_config(keys(a), keys(b));
        let packet = path.packet(b"x");
        assert_eq!(path.pass_on(&packet), [b"x"], "{a:?} to {b:?}");
        let mut path = Path::with_config(keys(b), keys(a));
        let packet = path.packet(b"x");
        assert_eq!(path.pass_on(&packet), [b"x"], "{b:?} to {a:?}");
    }
}

#[test]
fn clocks__may_differ_by_the_freshness() {
    let mut path = Path::new();
    let cases = [
        (BEGIN - FRESHNESS_US, true),
        (BEGIN - FRESHNESS_US - 1, false),
        (BEGIN + FRESHNESS_US, true),
        (BEGIN + FRESHNESS_US + 1, false),
    ];
    // Started long before, for nothing from before its start is accepted.
    path.b_clock.store(BEGIN - FRESHNESS_US, Ordering::Relaxed);
    path.restart_b(keys(&[1]));
    path.b_clock.store(BEGIN, Ordering::Relaxed);
    for (sent_at, accepted) in cases {
        path.a_clock.store(sent_at, Ordering::Relaxed);
        let packet = path.packet(b"x");
        assert_eq!(path.pass_on(&packet).len(), usize::from(accepted), "{sent_at}");
    }
    assert_eq!(path.stats().stale, 2);
}

/// An attacker who holds a packet back can't use it later.
#[test]
fn packets__held_back_are_dropped() {
    let mut path = Path::new();
    let packet = path.packet(b"x");
    path.b_clock.fetch_add(FRESHNESS_US + 1, Ordering::Relaxed);
    assert_eq!(path.pass_on(&packet), NOTHING);
    assert_eq!(path.stats().stale, 1);
}

#[test]
fn restart__of_either_side_works_at_once_and_replays_do_not() {
    let mut path = Path::new();
    let old = path.packet(b"old");
    assert_eq!(path.pass_on(&old).len(), 1);
    for clock in [&path.a_clock, &path.b_clock] {
        clock.fetch_add(1000, Ordering::Relaxed);
    }
    path.restart_b(keys(&[1]));
    assert_eq!(path.pass_on(&old), NOTHING, "sent to the run before");
    assert_eq!(path.stats().stale, 1);
    let packet = path.packet(b"still here");
    assert_eq!(path.pass_on(&packet).len(), 1);

    let mut restarted = Path::new();
    let packet = restarted.packet(b"new session");
    assert_eq!(path.pass_on(&packet).len(), 0, "that run began before");
    restarted.a_clock.fetch_add(1000, Ordering::Relaxed);
    let packet = restarted.packet(b"new session");
    assert_eq!(path.pass_on(&packet).len(), 1);
}

/// Even a flood of sessions by somebody who has the key takes no more memory than configured, and
/// lets nothing in again.
#[test]
fn sessions__are_bounded() {
    let mut config = keys(&[1]);
    config.sessions_max = 10;
    let mut path = Path::with_config(keys(&[1]), config);
    let mut all = Vec::new();
    for n in 0..1000 {
        path.a.session = random_session();
        path.a_clock.fetch_add(10, Ordering::Relaxed);
        path.b_clock.fetch_add(10, Ordering::Relaxed);
        let packet = path.packet(&[n as u8]);
        assert_eq!(path.pass_on(&packet).len(), 1, "session {n}");
        all.push(packet);
    }
    for packet in &all {
        assert_eq!(path.pass_on(packet), NOTHING);
    }
    assert_eq!(path.stats().rejected(), 1000);
}

#[test]
fn send_batch__what_found_no_room_is_authenticated_once() {
    let (a_io, b_io) = MemoryIo::pair(addr(1), addr(2), 3).unwrap();
    let ((mut a, _), (mut b, _)) = (auth(a_io, keys(&[1])), auth(b_io, keys(&[1])));
    let mut batch = SendBatch::new();
    (0..5).for_each(|n| push(&mut batch, addr(2), &[n]));
    a.send_batch(&mut batch).unwrap();
    assert_eq!(batch.len(), 2);
    assert_eq!(received(&mut b), [[0], [1], [2]]);
    a.send_batch(&mut batch).unwrap();
    assert_eq!(received(&mut b), [[3], [4]]);
    assert_eq!(a.number, 5);
}

#[test]
fn recv_batch__under_a_flood_of_forgeries_lets_others_have_their_turn() {
    let mut path = Path::new();
    for _ in 0..1000 {
        inject(&mut path.to_b, addr(2), &[0xA1; 100]);
    }
    let packet = path.packet(b"honest");
    inject(&mut path.to_b, addr(2), &packet);
    assert_eq!(path.b.recv_batch().unwrap(), 0);
    assert!(path.b.next_due().is_some_and(|due| due <= Instant::now()), "more waits");
    assert!(path.stats().unknown_key < 1000);
    assert_eq!(received(&mut path.b), [b"honest"]);
    assert_eq!(path.stats().unknown_key, 1000);
    assert_eq!((path.b.recv_batch().unwrap(), path.b.next_due()), (0, None));
}

#[test]
fn next_error__believes_this_host_and_of_the_network_only_a_smaller_mtu() {
    let (mut io, _other) = MemoryIo::pair(addr(1), addr(2), 10).unwrap();
    let peer = PeerAddr::from(addr(2));
    let peer_v6 = PeerAddr::from(SocketAddr::from(([0xFD00, 0, 0, 0, 0, 0, 0, 2], 4000)));
    let error = |peer, kind, origin| PathError { peer, kind, quoted: None, origin };
    let unreachable = PathErrorKind::Unreachable(Unreachable::Host);
    for (peer, kind, origin) in [
        (peer, PathErrorKind::Unreachable(Unreachable::Port), ErrorOrigin::Network),
        (peer, PathErrorKind::PathMtu(1400), ErrorOrigin::Network),
        (peer, PathErrorKind::PathMtu(68), ErrorOrigin::Network),
        (peer_v6, PathErrorKind::PathMtu(68), ErrorOrigin::Network),
        (peer, unreachable, ErrorOrigin::Host),
    ] {
        io.report(error(peer, kind, origin));
    }
    let (mut io, _) = auth(io, keys(&[1]));
    let reports: Vec<_> = std::iter::from_fn(|| io.next_error()).map(|e| e.kind).collect();
    let mtu = PathErrorKind::PathMtu;
    assert_eq!(reports, [mtu(1400 - 44), mtu(552 - 44), mtu(1280 - 44), unreachable]);
    assert_eq!(io.counters().snapshot().icmp_ignored, 1);
}

#[test]
fn new__checks_the_configuration() {
    let io = || MemoryIo::pair(addr(1), addr(2), 1).unwrap().0;
    let message = |config| AuthIo::new(io(), config).unwrap_err().to_string();
    assert_eq!(message(keys(&[])), "auth.keys: there must be at least one");
    assert_eq!(message(keys(&[1, 2, 1])), "auth.keys: a key is given twice");
    let config = AuthConfig { freshness: Duration::ZERO, ..keys(&[1]) };
    assert_eq!(message(config), "auth.freshness: must be above 0");
    let config = AuthConfig { sessions_max: 0, ..keys(&[1]) };
    assert_eq!(message(config), "auth.sessions_max: must be at least 1");
}

/// Batches of packets, most of which leave and arrive as one.
fn udp_packets_pass(client: &str, server: &str, server_ip: &str) {
    let bind = |addr: &str| UdpIo::bind(addr.parse().unwrap(), UdpConfig::default());
    let (Ok(client), Ok(server)) = (bind(client), bind(server)) else {
        println!("skipped: no IPv6 here");
        return;
    };
    let peer = SocketAddr::new(server_ip.parse().unwrap(), server.local_addr().port());
    let mut client = AuthIo::new(client, keys(&[1])).unwrap();
    let mut server = AuthIo::new(server, keys(&[1])).unwrap();
    let mut batch = SendBatch::new();
    for len in [1_usize, 1000, 1400] {
        (0..SendBatch::CAPACITY).for_each(|n| push(&mut batch, peer, &vec![n as u8; len]));
        client.send_batch(&mut batch).unwrap();
        let begin = Instant::now();
        let mut arrived = Vec::new();
        while arrived.len() < SendBatch::CAPACITY && begin.elapsed() < Duration::from_secs(5) {
            arrived.extend(received(&mut server));
        }
        let expected: Vec<_> = (0..SendBatch::CAPACITY).map(|n| vec![n as u8; len]).collect();
        assert!(arrived == expected, "{:?}", server.counters());
        // Back to where it came from, from the address that it reached.
        let from = server.packet(0);
        let (to, local) = (from.peer, from.local);
        batch.push(Destination { local, ..destination(to.socket_addr()) }, &[0x10; 28]);
        batch.append_payload(Bytes::from_static(b"back"));
        server.send_batch(&mut batch).unwrap();
        while client.recv_batch().unwrap() == 0 && begin.elapsed() < Duration::from_secs(5) {}
        assert_eq!(&client.packet(0).bytes[28..], b"back");
    }
    assert_eq!(server.counters().snapshot().rejected(), 0);
}

#[test]
fn udp__packets_pass_between_all_kinds_of_sockets() {
    udp_packets_pass("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1");
    udp_packets_pass("0.0.0.0:0", "0.0.0.0:0", "127.0.0.5");
    udp_packets_pass("[::]:0", "[::]:0", "127.0.0.1");
    udp_packets_pass("[::]:0", "[::]:0", "::1");
    udp_packets_pass("[::]:0", "127.0.0.1:0", "127.0.0.1");
    udp_packets_pass("127.0.0.1:0", "[::]:0", "127.0.0.1");
}

/// What a checksum misses, the MAC finds: no wrong byte passes, however many are flipped.
#[test]
fn faults__below_never_show_above() {
    let (a_io, b_io) = MemoryIo::pair(addr(1), addr(2), 4096).unwrap();
    let plan: FaultPlan = "corrupt-undetected=0.3,dup=0.2,reorder=0.2,seed=5".parse().unwrap();
    let mut a = AuthIo::new(FaultyIo::new(a_io, plan), keys(&[1])).unwrap();
    let mut b = AuthIo::new(b_io, keys(&[1])).unwrap();
    let mut arrived = vec![0; 1000];
    for n in 0..1000_u32 {
        send(&mut a, addr(2), &n.to_be_bytes().repeat(20));
        for payload in received(&mut b) {
            let number = u32::from_be_bytes(payload[..4].try_into().unwrap());
            assert_eq!(payload, number.to_be_bytes().repeat(20));
            arrived[number as usize] += 1;
        }
    }
    assert!(arrived.iter().all(|times| *times <= 1), "duplicates are replays");
    let passed: u32 = arrived.iter().sum();
    let stats = b.counters().snapshot();
    assert!((600..800).contains(&passed), "{passed}");
    assert!(stats.bad_mac > 100 && stats.replayed > 50, "{stats:?}");
}
