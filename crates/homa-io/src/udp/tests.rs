#![allow(non_snake_case, reason = "tests are named function__case")]

use super::*;
use crate::PathErrorKind;
use crate::ip::Path;
use crate::sys::{option, set_option};
use bytes::Bytes;
use homa_proto::Unreachable;
use homa_wire::{Priority, RpcId};
use std::time::{Duration, Instant};

const V4: &str = "127.0.0.1:0";
const V6: &str = "[::1]:0";

fn bind(addr: &str) -> UdpIo {
    UdpIo::bind(addr.parse().unwrap(), UdpConfig::default()).unwrap()
}

/// `None`, with the reason printed, on machines without IPv6.
fn bind_v6(addr: &str) -> Option<UdpIo> {
    UdpIo::bind(addr.parse().unwrap(), UdpConfig::default())
        .inspect_err(|error| println!("skipped: no IPv6 here ({error})"))
        .ok()
}

/// The address under which a local peer is reached that may be bound to a wildcard.
fn peer_at(ip: &str, io: &UdpIo) -> PeerAddr {
    SocketAddr::new(ip.parse().unwrap(), io.local_addr().port()).into()
}

fn push(batch: &mut SendBatch, peer: PeerAddr, header: &[u8], payload: &[&'static str]) {
    push_at(batch, peer, LocalAddr::ANY, Priority::HIGHEST, header);
    payload.iter().for_each(|slice| batch.append_payload(Bytes::from(*slice)));
}

fn push_at(
    batch: &mut SendBatch,
    peer: PeerAddr,
    local: LocalAddr,
    priority: Priority,
    header: &[u8],
) {
    batch.push(Destination { peer, local, priority }, header);
}

/// Receives until `count` packets have come: who sent them, what they reached, what they hold.
fn receive(io: &mut UdpIo, count: usize) -> Vec<(PeerAddr, LocalAddr, Vec<u8>)> {
    let mut packets = Vec::new();
    let start = Instant::now();
    while packets.len() < count && start.elapsed() < Duration::from_secs(5) {
        for index in 0..io.recv_batch().unwrap() {
            let packet = io.packet(index);
            packets.push((packet.peer, packet.local, packet.bytes.to_vec()));
        }
    }
    assert_eq!(packets.len(), count);
    packets
}

/// The next report, waiting for it by receiving as a drive loop does.
fn wait_for_error(io: &mut UdpIo) -> PathError {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        assert_eq!(io.recv_batch().unwrap(), 0);
        if let Some(error) = io.next_error() {
            return error;
        }
    }
    panic!("nothing was reported");
}

/// A common header of the client's side.
fn header(source_port: u16, dest_port: u16, id: u64) -> [u8; 28] {
    let mut bytes = [0; 28];
    bytes[..2].copy_from_slice(&source_port.to_be_bytes());
    bytes[2..4].copy_from_slice(&dest_port.to_be_bytes());
    bytes[20..].copy_from_slice(&id.to_be_bytes());
    bytes
}

/// A port on which nobody listens (tcpmux).
fn closed_port(addr: &str) -> PeerAddr {
    SocketAddr::new(addr.parse::<SocketAddr>().unwrap().ip(), 1).into()
}

fn batches_cross_both_ways(mut a: UdpIo, mut b: UdpIo) {
    let (from_a, from_b) = (a.local_addr().into(), b.local_addr().into());
    let mut batch = SendBatch::new();
    for count in [1, 2, SendBatch::CAPACITY, 1, 3] {
        (0..count).for_each(|n| push(&mut batch, from_b, &[n as u8], &["some", " ", "payload"]));
        a.send_batch(&mut batch).unwrap();
        assert!(batch.is_empty());
        for (n, (peer, local, bytes)) in receive(&mut b, count).into_iter().enumerate() {
            assert_eq!((peer, local), (from_a, LocalAddr::ANY));
            assert_eq!(bytes, [&[n as u8], &b"some payload"[..]].concat());
        }
        push(&mut batch, from_a, b"back", &[]);
        b.send_batch(&mut batch).unwrap();
        assert_eq!(receive(&mut a, 1)[0], (from_b, LocalAddr::ANY, b"back".to_vec()));
    }
    assert_eq!((a.next_error(), b.next_error()), (None, None));
}

#[test]
fn send_batch__crosses_both_ways_over_ipv4() {
    batches_cross_both_ways(bind(V4), bind(V4));
}

#[test]
fn send_batch__crosses_both_ways_over_ipv6() {
    let (Some(a), Some(b)) = (bind_v6(V6), bind_v6(V6)) else { return };
    batches_cross_both_ways(a, b);
}

#[test]
fn send_batch__carries_the_longest_datagram() {
    let (mut a, mut b) = (bind(V4), bind(V4));
    let mut batch = SendBatch::new();
    let payload = Bytes::from((0..65_507 - 80).map(|n| n as u8).collect::<Vec<_>>());
    for _ in 0..3 {
        push(&mut batch, b.local_addr().into(), &[9; 80], &[]);
        batch.append_payload(payload.slice(..30_000));
        batch.append_payload(payload.slice(30_000..));
    }
    a.send_batch(&mut batch).unwrap();
    for (_, _, bytes) in receive(&mut b, 3) {
        assert_eq!(bytes.len(), 65_507);
        assert_eq!(bytes[80..], payload);
    }
}

/// What the kernel would not send is reported and does not stop the rest.
#[test]
fn take_payload__gives_the_buffer_away() {
    let (mut a, mut b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let (pool, peer) = (ChunkPool::new(4), peer_at("127.0.0.1", &b));
    let mut taken = Vec::new();
    for round in 0..4 {
        let mut batch = SendBatch::new();
        for packet in 0..3 {
            push(&mut batch, peer, b"header", &[]);
            batch.append_payload(vec![10 * round + packet; 60_000].into());
        }
        a.send_batch(&mut batch).unwrap();
        let mut packet = 0;
        while packet < 3 {
            for index in 0..b.recv_batch().unwrap() {
                let address = b.packet(index).bytes[7..].as_ptr();
                let payload = b.take_payload(index, 7..60_006, &pool).unwrap();
                assert_eq!(payload.as_ptr(), address);
                taken.push((10 * round + packet, payload));
                packet += 1;
            }
        }
    }
    for (content, payload) in taken {
        assert!(payload.len() == 59_999 && payload.iter().all(|byte| *byte == content));
    }
    assert_eq!(pool.existing_bytes(), pool.retained_bytes());
}

/// Packets that came in one message lie in one buffer.
#[test]
fn take_payload__leaves_packets_that_came_together() {
    let (mut a, mut b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let (pool, peer) = (ChunkPool::new(4), peer_at("127.0.0.1", &b));
    let mut batch = SendBatch::new();
    push(&mut batch, peer, b"first", &[]);
    push(&mut batch, peer, b"2nd", &[]);
    a.send_batch(&mut batch).unwrap();
    while b.received.len() < 2 {
        if b.recv_batch().unwrap() == 1 {
            eprintln!("SKIPPED: this system does not receive packets together");
            return;
        }
    }
    assert_eq!(b.take_payload(0, 0..5, &pool), None);
    assert_eq!((b.packet(0).bytes, b.packet(1).bytes), (&b"first"[..], &b"2nd"[..]));
}

#[test]
fn send_batch__goes_on_after_packets_that_fail() {
    let (mut a, mut b) = (bind(V4), bind(V4));
    let to = PeerAddr::from(b.local_addr());
    let broadcast = SocketAddr::from(([255; 4], 9)).into();
    let other_family = "[fd00::1]:9".parse::<SocketAddr>().unwrap().into();
    let mut batch = SendBatch::new();
    push(&mut batch, broadcast, &header(32_768, 4_000, 10), &[]);
    push(&mut batch, to, b"1", &[]);
    push(&mut batch, other_family, b"", &[]);
    push(&mut batch, to, b"too long", &[]);
    batch.append_payload(Bytes::from(vec![0; 65_500]));
    push(&mut batch, to, b"2", &[]);
    a.send_batch(&mut batch).unwrap();
    assert!(batch.is_empty());
    let arrived: Vec<_> = receive(&mut b, 2).into_iter().map(|(_, _, bytes)| bytes).collect();
    assert_eq!(arrived, [b"1", b"2"]);

    let error = a.next_error().unwrap();
    assert_eq!(
        (error.peer, error.kind),
        (broadcast, PathErrorKind::Unreachable(Unreachable::Host))
    );
    assert_eq!(error.quoted.unwrap().sender_id, RpcId(10));
    let error = a.next_error().unwrap();
    assert_eq!(error.kind, PathErrorKind::SendFailed(io::ErrorKind::Unsupported));
    let error = a.next_error().unwrap();
    assert_eq!((error.peer, error.kind), (to, PathErrorKind::PathMtu(65_535)));
    assert_eq!(a.next_error(), None);
}

/// PROTOCOL section 12: the error of one packet concerns neither others nor other peers.
fn closed_port_is_reported(mut a: UdpIo, mut b: UdpIo, closed: PeerAddr) {
    let open = PeerAddr::from(b.local_addr());
    let mut batch = SendBatch::new();
    push(&mut batch, closed, &header(32_768, 4_000, 1234), &["request"]);
    a.send_batch(&mut batch).unwrap();
    let error = wait_for_error(&mut a);
    assert_eq!((error.peer, error.kind), (closed, PathErrorKind::Unreachable(Unreachable::Port)));
    let quoted = error.quoted.unwrap();
    assert_eq!((quoted.source_port, quoted.dest_port), (32_768, 4_000));
    assert_eq!(quoted.sender_id, RpcId(1234));

    for n in 0..10 {
        push(&mut batch, closed, &header(32_768, 4_000, 100 + n), &[]);
        push(&mut batch, open, &[n as u8], &[]);
    }
    a.send_batch(&mut batch).unwrap();
    assert!(batch.is_empty());
    let arrived: Vec<_> = receive(&mut b, 10).into_iter().flat_map(|(_, _, bytes)| bytes).collect();
    assert_eq!(arrived, (0..10).collect::<Vec<u8>>());
    // Hosts limit the rate of their ICMP errors, so not all packets need be reported.
    let mut reports = Vec::from([wait_for_error(&mut a)]);
    reports.extend(std::iter::from_fn(|| a.next_error()));
    assert!(reports.iter().all(|report| report.peer == closed));

    // What arrives is received, whatever error is pending.
    push(&mut batch, closed, &header(32_768, 4_000, 1), &[]);
    a.send_batch(&mut batch).unwrap();
    push(&mut batch, a.local_addr().into(), b"reply", &[]);
    b.send_batch(&mut batch).unwrap();
    assert_eq!(receive(&mut a, 1)[0].2, b"reply");
}

#[test]
fn next_error__reports_a_closed_port_over_ipv4() {
    closed_port_is_reported(bind(V4), bind(V4), closed_port(V4));
}

#[test]
fn next_error__reports_a_closed_port_over_ipv6() {
    let (Some(a), Some(b)) = (bind_v6(V6), bind_v6(V6)) else { return };
    closed_port_is_reported(a, b, closed_port(V6));
}

#[test]
fn next_error__reports_a_closed_ipv4_port_to_a_dual_stack_socket() {
    let Some(a) = bind_v6("[::]:0") else { return };
    let (mut a, b) = (a, bind(V4));
    let closed = closed_port(V4);
    let mut batch = SendBatch::new();
    push(&mut batch, closed, &header(1, 2, 3), &[]);
    a.send_batch(&mut batch).unwrap();
    let error = wait_for_error(&mut a);
    assert_eq!((error.peer, error.kind), (closed, PathErrorKind::Unreachable(Unreachable::Port)));
    assert_eq!(error.quoted.unwrap().sender_id, RpcId(3));
    drop(b);
}

/// The kernel may have no memory left to queue a report, and fails the next send all the same.
#[test]
fn send_batch__is_not_misled_by_an_error_without_report() {
    let config = UdpConfig { receive_buffer_bytes: 0, ..UdpConfig::default() };
    let mut a = UdpIo::bind(V4.parse().unwrap(), config).unwrap();
    let mut b = bind(V4);
    let mut batch = SendBatch::new();
    for _ in 0..20 {
        push(&mut batch, a.local_addr().into(), &[0; 28], &[]);
        batch.append_payload(Bytes::from(vec![0; 1000]));
    }
    b.send_batch(&mut batch).unwrap();
    push(&mut batch, closed_port(V4), &header(1, 2, 3), &[]);
    a.send_batch(&mut batch).unwrap();
    push(&mut batch, b.local_addr().into(), b"innocent", &[]);
    a.send_batch(&mut batch).unwrap();
    assert_eq!(receive(&mut b, 1)[0].2, b"innocent");
    assert_eq!(a.next_error(), None);
}

#[test]
fn ready_fd__is_quiet_once_errors_and_packets_are_read() {
    let mut a = bind(V4);
    let mut batch = SendBatch::new();
    push(&mut batch, closed_port(V4), &header(1, 2, 3), &[]);
    a.send_batch(&mut batch).unwrap();
    wait_for_error(&mut a);
    let error = option(a.ready_fd(), libc::SOL_SOCKET, libc::SO_ERROR).unwrap();
    assert_eq!(error, 0);
    assert!(crate::sys::receive_error(a.ready_fd()).is_err(), "the error queue is empty");
}

/// The traffic class with which the next packet arrives at `socket`.
fn arriving_class(socket: &UdpSocket, buffers: &mut ReceiveBuffers) -> u8 {
    let start = Instant::now();
    while let Err(error) = buffers.receive_one(socket.as_fd()) {
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(start.elapsed() < Duration::from_secs(5), "no packet came");
    }
    let control = buffers.received(0).control;
    let v4 = control.find(libc::SOL_IP, libc::IP_TOS);
    v4.or(control.find(libc::SOL_IPV6, libc::IPV6_TCLASS)).expect("the class was asked for")[0]
}

/// WIRE section 8, HOMA-PRIO-4: alone and in batches, whatever class the socket had before.
fn classes_follow_priorities(mut sender: UdpIo, receiver: &str) {
    let receiver = UdpSocket::bind(receiver).unwrap();
    receiver.set_nonblocking(true).unwrap();
    if receiver.local_addr().unwrap().is_ipv6() {
        set_option(receiver.as_fd(), libc::SOL_IPV6, libc::IPV6_RECVTCLASS, 1).unwrap();
    } else {
        set_option(receiver.as_fd(), libc::SOL_IP, libc::IP_RECVTOS, 1).unwrap();
    }
    let to = receiver.local_addr().unwrap().into();
    let mut buffers = ReceiveBuffers::new();
    let mut batch = SendBatch::new();
    let every_level = || (0..8).filter_map(Priority::new);
    for level in every_level() {
        for _ in 0..CLASS_STREAK + 2 {
            push_at(&mut batch, to, LocalAddr::ANY, level, b"alone");
            sender.send_batch(&mut batch).unwrap();
            assert_eq!(arriving_class(&receiver, &mut buffers), level.traffic_class());
        }
        assert_eq!(sender.default_class, level.traffic_class());
        every_level().for_each(|other| push_at(&mut batch, to, LocalAddr::ANY, other, b"many"));
        sender.send_batch(&mut batch).unwrap();
        for other in every_level() {
            assert_eq!(arriving_class(&receiver, &mut buffers), other.traffic_class());
        }
    }
}

#[test]
fn traffic_class__follows_the_priority_over_ipv4() {
    classes_follow_priorities(bind(V4), V4);
}

#[test]
fn traffic_class__follows_the_priority_over_ipv6() {
    let Some(sender) = bind_v6(V6) else { return };
    classes_follow_priorities(sender, V6);
}

#[test]
fn traffic_class__follows_the_priority_from_dual_stack() {
    let (Some(to_v4), Some(to_v6)) = (bind_v6("[::]:0"), bind_v6("[::]:0")) else { return };
    classes_follow_priorities(to_v4, V4);
    classes_follow_priorities(to_v6, V6);
}

#[test]
fn traffic_class__is_taken_from_the_map() {
    let config = UdpConfig { priority_map: [1; 8], ..UdpConfig::default() };
    let io = UdpIo::bind(V4.parse().unwrap(), config).unwrap();
    assert_eq!(io.traffic_classes, [0x20; 8]);
    let config = UdpConfig { priority_map: [8; 8], ..UdpConfig::default() };
    let error = UdpIo::bind(V4.parse().unwrap(), config).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

/// Replies leave from the address that the request reached, though the system would choose another.
fn replies_come_from_the_address_reached(mut server: UdpIo, mut client: UdpIo, ip: &str) {
    let to = peer_at(ip, &server);
    let mut batch = SendBatch::new();
    // One alone, then several: the two ways of receiving.
    for count in [1, 1, 5, 5] {
        (0..count).for_each(|_| push(&mut batch, to, b"request", &[]));
        client.send_batch(&mut batch).unwrap();
        for (peer, local, _) in receive(&mut server, count) {
            assert_eq!(local, LocalAddr::from(ip.parse::<IpAddr>().unwrap()));
            push_at(&mut batch, peer, local, Priority::LOWEST, b"reply");
        }
        server.send_batch(&mut batch).unwrap();
        assert!(receive(&mut client, count).iter().all(|(peer, _, _)| *peer == to));
    }
    // Without an address the system chooses.
    push(&mut batch, client.local_addr().into(), b"", &[]);
    server.send_batch(&mut batch).unwrap();
    let chosen = receive(&mut client, 1)[0].0;
    assert_eq!(chosen.port(), to.port());
    assert_eq!((server.next_error(), client.next_error()), (None, None));
}

#[test]
fn local__is_kept_on_an_ipv4_wildcard() {
    replies_come_from_the_address_reached(bind("0.0.0.0:0"), bind(V4), "127.0.0.2");
}

#[test]
fn local__is_kept_on_a_dual_stack_wildcard() {
    let Some(server) = bind_v6("[::]:0") else { return };
    replies_come_from_the_address_reached(server, bind(V4), "127.0.0.2");
    let (Some(server), Some(client)) = (bind_v6("[::]:0"), bind_v6(V6)) else { return };
    replies_come_from_the_address_reached(server, client, "::1");
}

#[test]
fn bind__a_specific_ipv6_address_is_not_dual_stack() {
    let Some(io) = bind_v6(V6) else { return };
    assert!(io.local_addr().is_ipv6() && io.local_addr().port() != 0);
    let error = UdpIo::bind(io.local_addr(), UdpConfig::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let only_v6 = |io: &UdpIo| option(io.ready_fd(), libc::SOL_IPV6, libc::IPV6_V6ONLY).unwrap();
    assert_eq!(only_v6(&io), 1);
    assert_eq!(only_v6(&bind("[::]:0")), 0);
}

#[test]
fn receive_buffer_bytes__is_what_was_granted() {
    let config = UdpConfig { receive_buffer_bytes: 64 << 10, ..UdpConfig::default() };
    let small = UdpIo::bind(V4.parse().unwrap(), config).unwrap();
    assert_eq!(small.receive_buffer_bytes(), 64 << 10);
    assert!(bind(V4).receive_buffer_bytes() > 64 << 10);
}

/// No IPv4 packet is longer than 65,535 bytes, though the interface would carry 65,536.
#[test]
fn path_mtu__of_loopback() {
    let mut io = bind("0.0.0.0:0");
    let peer = SocketAddr::from(([127, 0, 0, 1], 1)).into();
    assert_eq!(io.path_mtu(&peer), 65_535);
    assert_eq!(io.path_mtu(&peer), 65_535, "from memory");
    let Some(mut io) = bind_v6("[::]:0") else { return };
    assert_eq!(io.path_mtu(&SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 1)).into()), 65_536);
    assert_eq!(io.path_mtu(&peer), 65_535);
}

/// A packet longer than the path carries isn't fragmented but reported, with what the path carries.
#[test]
fn next_error__reports_the_mtu_of_a_narrow_path() {
    let mut io = bind("0.0.0.0:0");
    // Of a range set aside for benchmarks. Nothing leaves this host: the packet is too long.
    let peer = PeerAddr::from(SocketAddr::from(([198, 18, 0, 1], 9)));
    let mtu = Path::find(&peer, io.local_addr()).mtu;
    if mtu > 65_000 {
        println!("skipped: this host has no narrow path");
        return;
    }
    io.network.assume(&peer, Path { mtu: 65_535, source: None });
    let mut batch = SendBatch::new();
    push(&mut batch, peer, b"", &[]);
    batch.append_payload(Bytes::from(vec![0; mtu as usize - 27]));
    io.send_batch(&mut batch).unwrap();
    assert!(batch.is_empty());
    let error = io.next_error().unwrap();
    assert_eq!((error.peer, error.kind), (peer, PathErrorKind::PathMtu(mtu)));
    assert_eq!(io.next_error(), None);
    assert_eq!(io.path_mtu(&peer), mtu);
}

#[test]
fn no_room__tells_full_buffers_from_failures() {
    assert!(no_room(&io::Error::from_raw_os_error(libc::EAGAIN)));
    assert!(no_room(&io::Error::from_raw_os_error(libc::ENOBUFS)));
    assert!(!no_room(&io::Error::from_raw_os_error(libc::EPERM)));
}

#[test]
fn source_ip__is_that_which_packets_leave_from() {
    let (mut wildcard, mut receiver) = (bind("0.0.0.0:0"), bind(V4));
    let peer = receiver.local_addr().into();
    let source = wildcard.source_ip(&peer).unwrap();
    assert_eq!(source, receiver.local_addr().ip());
    assert_eq!(receiver.source_ip(&peer), Some(source));

    let mut batch = SendBatch::new();
    for local in [LocalAddr::ANY, source.into()] {
        push_at(&mut batch, peer, local, Priority::HIGHEST, b"x");
        wildcard.send_batch(&mut batch).unwrap();
        assert_eq!(receive(&mut receiver, 1)[0].0.ip(), source);
    }
}
