//! Raw IP between hosts of their own. Needs root; says why it is skipped otherwise.
#![allow(non_snake_case, reason = "tests are named function__case")]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use homa_io::{
    Destination, ErrorOrigin, FaultPlan, FaultyIo, PacketIo, PathError, PathErrorKind, RawConfig,
    RawIo, SendBatch,
};
use homa_netns::{Host, Lab, LabOptions, Namespace, skip};
use homa_proto::{LocalAddr, PeerAddr, Priority, Unreachable};
use homa_wire::checksum::{self, Addresses};
use homa_wire::{Body, HEADER_LEN_MAX, Header, RpcId, Version};
use socket2::{Domain, Protocol, Socket, Type};

const LIMIT: Duration = Duration::from_secs(10);
const EVERY_IP: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

fn pair() -> Option<Lab> {
    (!skip(&[])).then(|| Lab::new(2, &LabOptions::default()).unwrap())
}

fn bind(host: &Namespace, ip: IpAddr, config: RawConfig) -> std::io::Result<RawIo> {
    host.enter(|| RawIo::bind(ip, config)).unwrap()
}

/// Both ends on all their addresses.
fn ends(lab: &Lab, config: &RawConfig) -> (RawIo, RawIo) {
    let end = |host: &Host| bind(host, EVERY_IP, config.clone()).unwrap();
    (end(lab.host(0)), end(lab.host(1)))
}

fn peer(ip: impl Into<IpAddr>) -> PeerAddr {
    SocketAddr::new(ip.into(), 0).into()
}

fn header(port: u16) -> Vec<u8> {
    let mut bytes = [0; HEADER_LEN_MAX];
    let header = Header::new(0x8000, port, RpcId(0x1234), Body::Busy);
    let len = header.emit(Version::V1, &mut bytes).unwrap();
    bytes[..len].to_vec()
}

fn push(batch: &mut SendBatch, to: PeerAddr, local: LocalAddr, priority: u8, payload: &[u8]) {
    let priority = Priority::new(priority).unwrap();
    batch.push(Destination { peer: to, local, priority }, &header(4000));
    batch.append_payload(Bytes::copy_from_slice(payload));
}

/// A packet received: from whom, at which address, with which bytes.
type Packet = (PeerAddr, LocalAddr, Vec<u8>);

fn receive(io: &mut impl PacketIo, count: usize) -> Vec<Packet> {
    let (begin, mut packets) = (Instant::now(), Vec::new());
    while packets.len() < count {
        assert!(begin.elapsed() < LIMIT, "{} of {count} packets came", packets.len());
        for index in 0..io.recv_batch().unwrap() {
            let packet = io.packet(index);
            packets.push((packet.peer, packet.local, packet.bytes.to_vec()));
        }
    }
    packets
}

fn next_error(io: &mut RawIo) -> PathError {
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < LIMIT, "nothing was reported");
        io.recv_batch().unwrap();
        if let Some(error) = io.next_error() {
            return error;
        }
    }
}

/// Sends from a thread in the host, for routes are looked up where the caller is.
fn send(host: &Namespace, io: &mut RawIo, batch: &mut SendBatch) {
    host.enter(|| io.send_batch(batch)).unwrap().unwrap();
    assert!(batch.is_empty());
}

/// One packet from the first host to the second.
fn pass(lab: &Lab, client: &mut RawIo, server: &mut impl PacketIo, to: PeerAddr, payload: &[u8]) {
    let mut batch = SendBatch::new();
    push(&mut batch, to, LocalAddr::ANY, 7, payload);
    send(lab.host(0), client, &mut batch);
    receive(server, 1);
}

/// Batches of both families at once, of all priorities, with the checksum of WIRE section 6, and
/// answers from the address that was reached.
#[test]
fn send_and_receive__over_both_families() {
    let Some(lab) = pair() else { return };
    let (mut client, mut server) = ends(&lab, &RawConfig::default());
    let (one, other) = (lab.host(0), lab.host(1));
    let mut batch = SendBatch::new();
    for round in 0..16u8 {
        let payload = vec![round; usize::from(round) * 90];
        push(&mut batch, peer(other.ipv4()), LocalAddr::ANY, round % 8, &payload);
        push(&mut batch, peer(other.ipv6()), LocalAddr::ANY, round % 8, &payload);
    }
    send(lab.host(0), &mut client, &mut batch);
    let packets = receive(&mut server, 32);
    for ipv6 in [false, true] {
        let of_family = packets.iter().filter(|packet| packet.0.is_ipv6() == ipv6);
        for (round, (from, local, bytes)) in of_family.enumerate() {
            let (source, dest): (IpAddr, IpAddr) = match ipv6 {
                false => (one.ipv4().into(), other.ipv4().into()),
                true => (one.ipv6().into(), other.ipv6().into()),
            };
            assert_eq!((*from, local.ip()), (peer(source), Some(dest)));
            assert_eq!(bytes[28..], vec![round as u8; round * 90]);
            assert!(checksum::verify(Addresses::new(source, dest).unwrap(), &[bytes]));
        }
    }
    for (from, local, _) in &packets {
        push(&mut batch, *from, *local, 7, b"answer");
    }
    send(lab.host(1), &mut server, &mut batch);
    for (from, ..) in receive(&mut client, 32) {
        assert!([peer(other.ipv4()), peer(other.ipv6())].contains(&from));
    }
}

/// WIRE section 7.
#[test]
fn send_and_receive__in_the_guise_of_tcp() {
    let Some(lab) = pair() else { return };
    let mut hijacking = RawConfig::default();
    hijacking.hijack = true;
    let mut client = bind(lab.host(0), EVERY_IP, hijacking).unwrap();
    let mut server = bind(lab.host(1), EVERY_IP, RawConfig::default()).unwrap();
    let mut batch = SendBatch::new();
    push(&mut batch, peer(lab.host(1).ipv4()), LocalAddr::ANY, 7, b"disguised");
    push(&mut batch, peer(lab.host(1).ipv6()), LocalAddr::ANY, 7, b"disguised");
    send(lab.host(0), &mut client, &mut batch);
    for (_, _, bytes) in receive(&mut server, 2) {
        assert_eq!(bytes[28..], *b"disguised");
    }

    let mut native_only = RawConfig::default();
    native_only.accept_hijacked = false;
    drop(server);
    let mut server = bind(lab.host(1), EVERY_IP, native_only).unwrap();
    push(&mut batch, peer(lab.host(1).ipv4()), LocalAddr::ANY, 7, b"disguised");
    send(lab.host(0), &mut client, &mut batch);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(server.recv_batch().unwrap(), 0);
}

/// WIRE section 9, PROTOCOL section 12: a closed port, and a host without Homa.
#[test]
fn next_error__a_closed_port_and_a_host_without_homa() {
    let Some(lab) = pair() else { return };
    let (mut client, mut server) = ends(&lab, &RawConfig::default());
    for to in [peer(lab.host(1).ipv4()), peer(lab.host(1).ipv6())] {
        pass(&lab, &mut client, &mut server, to, &[0; 500]);
        server.send_port_unreachable(0);
        let error = next_error(&mut client);
        assert_eq!((error.peer, error.origin), (to, ErrorOrigin::Network));
        assert_eq!(error.kind, PathErrorKind::Unreachable(Unreachable::Port));
        let quoted = error.quoted.unwrap();
        assert_eq!((quoted.source_port, quoted.dest_port), (0x8000, 4000));
        assert_eq!(quoted.sender_id, RpcId(0x1234));
    }
    drop(server);
    let mut batch = SendBatch::new();
    for to in [peer(lab.host(1).ipv4()), peer(lab.host(1).ipv6())] {
        push(&mut batch, to, LocalAddr::ANY, 7, b"anybody?");
        send(lab.host(0), &mut client, &mut batch);
        let error = next_error(&mut client);
        assert_eq!(error.peer, to);
        assert_eq!(error.kind, PathErrorKind::Unreachable(Unreachable::Protocol));
    }
}

/// Faults on purpose leave a host's answers to packets for closed ports alone.
#[test]
fn send_port_unreachable__through_faults() {
    let Some(lab) = pair() else { return };
    let (mut client, server) = ends(&lab, &RawConfig::default());
    let mut server = FaultyIo::new(server, FaultPlan::default());
    let to = peer(lab.host(1).ipv4());
    pass(&lab, &mut client, &mut server, to, b"x");
    server.send_port_unreachable(0);
    let error = next_error(&mut client);
    assert_eq!((error.peer, error.kind), (to, PathErrorKind::Unreachable(Unreachable::Port)));
}

/// RFC 1122 section 3.2.2: no host may make many answer to one.
#[test]
fn send_port_unreachable__not_about_broadcasts() {
    let Some(lab) = pair() else { return };
    let (mut client, mut server) = ends(&lab, &RawConfig::default());
    let open = || Socket::new(Domain::IPV4, Type::from(libc::SOCK_RAW), Some(Protocol::from(146)));
    let caller = lab.host(0).enter(open).unwrap().unwrap();
    caller.set_broadcast(true).unwrap();
    let [a, b, ..] = lab.host(1).ipv4().octets();
    let everybody = SocketAddr::from(([a, b, 255, 255], 0));
    caller.send_to(&header(4000), &everybody.into()).unwrap();
    receive(&mut server, 1);
    server.send_port_unreachable(0);

    let to = peer(lab.host(1).ipv4());
    pass(&lab, &mut client, &mut server, to, b"x");
    server.send_port_unreachable(0);
    assert_eq!(next_error(&mut client).peer, to, "not the broadcast, which came first");
}

/// At most so many per second, whoever asks.
#[test]
fn send_port_unreachable__is_limited() {
    let Some(lab) = pair() else { return };
    let (mut client, mut server) = ends(&lab, &RawConfig::default());
    pass(&lab, &mut client, &mut server, peer(lab.host(1).ipv4()), b"x");
    let (begin, mut reports) = (Instant::now(), 0);
    for _ in 0..500 {
        server.send_port_unreachable(0);
    }
    let seconds = begin.elapsed().as_secs() as usize + 1;
    std::thread::sleep(Duration::from_millis(50));
    client.recv_batch().unwrap();
    while client.next_error().is_some() {
        reports += 1;
    }
    assert!((1..=100 * seconds).contains(&reports), "{reports}");
}

#[test]
fn next_error__too_long_for_the_link() {
    let Some(lab) = pair() else { return };
    let (mut client, _server) = ends(&lab, &RawConfig::default());
    for to in [peer(lab.host(1).ipv4()), peer(lab.host(1).ipv6())] {
        assert_eq!(lab.host(0).enter(|| client.path_mtu(&to)).unwrap(), 1500);
        let mut batch = SendBatch::new();
        push(&mut batch, to, LocalAddr::ANY, 7, &[0; 1500]);
        send(lab.host(0), &mut client, &mut batch);
        let error = lab.host(0).enter(|| next_error(&mut client)).unwrap();
        assert_eq!((error.peer, error.kind), (to, PathErrorKind::PathMtu(1500)));
    }
}

/// One process has the protocol, or several share it by port.
#[test]
fn bind__owners_and_sharers() {
    if skip(&[]) {
        return;
    }
    let host = Namespace::new("raw").unwrap();
    host.ip("link set lo up").unwrap();
    let localhost: IpAddr = [127, 0, 0, 1].into();
    let sharing = |ports: &[u16]| {
        let mut config = RawConfig::default();
        config.shared_ports = Some(ports.to_vec());
        config
    };
    let fails = |config: RawConfig| {
        let error = bind(&host, localhost, config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
        error.to_string()
    };
    let owner = bind(&host, localhost, RawConfig::default()).unwrap();
    assert!(fails(RawConfig::default()).contains("protocol 146 to itself"));
    assert!(fails(sharing(&[7])).contains("protocol 146 to itself"));
    drop(owner);
    // A process that another test starts at this moment has copies of all descriptors, for a while.
    let begin = Instant::now();
    let mut seven = loop {
        match bind(&host, localhost, sharing(&[7])) {
            Ok(seven) => break seven,
            Err(error) => assert!(begin.elapsed() < Duration::from_secs(2), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let mut eight = bind(&host, localhost, sharing(&[8, 9])).unwrap();
    assert!(fails(RawConfig::default()).contains("share protocol 146"));
    assert!(fails(sharing(&[9])).contains("port 9"));
    assert_ne!(seven.client_port().unwrap(), eight.client_port().unwrap());

    // Each gets what is for its ports.
    let mut batch = SendBatch::new();
    let client_port = seven.client_port().unwrap();
    for port in [7, 8, 9, 10, client_port] {
        let priority = Priority::HIGHEST;
        let to = Destination { peer: peer(localhost), local: LocalAddr::ANY, priority };
        batch.push(to, &header(port));
    }
    send(&host, &mut seven, &mut batch);
    let ports = |packets: Vec<Packet>| -> Vec<u16> {
        packets.iter().map(|(.., bytes)| u16::from_be_bytes([bytes[2], bytes[3]])).collect()
    };
    assert_eq!(ports(receive(&mut seven, 2)), [7, client_port]);
    assert_eq!(ports(receive(&mut eight, 2)), [8, 9]);
    assert_eq!(seven.recv_batch().unwrap() + eight.recv_batch().unwrap(), 0);
}
