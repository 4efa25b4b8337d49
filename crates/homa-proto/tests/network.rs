//! What the network and the operating system report, and ports and sockets (PROTOCOL section 12).
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{
    BindError, CLIENT_PORT_FIRST, CallOptions, Cancelled, Config, Duration, Event, Failure,
    Priority, QuotedPacket, RpcKey, SendError, Unreachable,
};
use homa_testkit::{FaultPlan, Network, Outcome, Probe, Remote, data};
use homa_wire::{Body, Grant, Refuse, RefuseReason, Resend};

const KINDS: [Unreachable; 3] = [Unreachable::Port, Unreachable::Protocol, Unreachable::Host];

fn quoted(probe: &Probe, key: RpcKey) -> QuotedPacket {
    let info = probe.endpoint.info(key).unwrap();
    let source_port = probe.endpoint.port(info.socket).unwrap();
    QuotedPacket { source_port, dest_port: info.peer_port, sender_id: info.id }
}

/// PROTOCOL section 12 "ICMP received": only the quoted RPC fails, with the reported kind.
#[test]
fn handle_unreachable__fails_the_quoted_rpc_only() {
    for kind in KINDS {
        let mut probe = Probe::new(&Config::default());
        let server = Remote::server(1);
        let (lost, other) = (probe.call(server, 100), probe.call(server, 100));
        probe.take_events();
        let packet = quoted(&probe, lost);
        probe.endpoint.handle_unreachable(probe.now, server.addr, Some(packet), kind);
        probe.drain();
        let failure = Failure::Unreachable(kind);
        assert_eq!(probe.take_events().last(), Some(&Event::Failed { key: lost, failure }));
        assert!(probe.endpoint.info(other).is_some());
    }
}

/// A report can be forged: what it quotes must be a packet that we could have sent.
#[test]
fn handle_unreachable__ignores_what_does_not_match() {
    let mut probe = Probe::new(&Config::default());
    let server = Remote::server(1);
    let key = probe.call(server, 100);
    let right = quoted(&probe, key);
    let wrong = [
        (server, QuotedPacket { source_port: right.source_port ^ 1, ..right }),
        (server, QuotedPacket { dest_port: 1, ..right }),
        (server, QuotedPacket { sender_id: right.sender_id.flipped(), ..right }),
        (Remote::server(2), right),
    ];
    for (from, packet) in wrong {
        let kind = Unreachable::Port;
        probe.endpoint.handle_unreachable(probe.now, from.addr, Some(packet), kind);
        probe.drain();
    }
    assert!(probe.endpoint.info(key).is_some());
    assert_eq!(probe.endpoint.stats().unreachables_ignored, 4);
}

/// Without a quoted packet (a connected UDP socket's error) all RPCs that wait for the peer end;
/// what the application works on, and other peers' RPCs, stay.
#[test]
fn handle_unreachable__without_a_packet_ends_all_that_wait_for_the_peer() {
    let mut probe = Probe::new(&Config::default());
    let host = 1;
    let calls = [probe.call(Remote::server(host), 100), probe.call(Remote::server(host), 9000)];
    let elsewhere = probe.call(Remote::server(2), 100);
    let held = probe.accept_request(Remote::client(host), 2, 100);
    let replying = probe.accept_request(Remote::client(host), 4, 100);
    probe.reply(replying, 100);
    probe.take_events();
    let addr = Remote::server(host).addr;
    probe.endpoint.handle_unreachable(probe.now, addr, None, Unreachable::Host);
    probe.drain();
    let events = probe.take_events();
    for key in calls {
        let failure = Failure::Unreachable(Unreachable::Host);
        assert!(events.contains(&Event::Failed { key, failure }), "{events:?}");
    }
    let cause = Cancelled::Unreachable(Unreachable::Host);
    assert!(events.contains(&Event::Cancelled { key: replying, cause }));
    assert_eq!(events.len(), 3);
    assert!([elsewhere, held].iter().all(|&key| probe.endpoint.info(key).is_some()));
}

/// KNOWN_ISSUES 2.7: a smaller path MTU ends nothing. What is sent from then on fits, within the old
/// boundaries, retransmissions included.
#[test]
fn handle_path_mtu__cuts_later_packets_smaller() {
    let mut config = Config::default();
    config.pacing = false;
    let mut probe = Probe::new(&config);
    let server = Remote::server(1);
    let key = probe.call(server, 50_000);
    let before = probe.take_data();
    assert!(before[..before.len() - 1].iter().all(|&(_, len, _)| len == 1416));
    probe.endpoint.handle_path_mtu(server.addr, 1000);
    probe.answer(key, Body::Grant(Grant::new(50_000, Priority::LOWEST)), 0);
    probe.answer(key, Body::Resend(Resend::new(0, 3000, Priority::HIGHEST)), 0);
    let after = probe.take_data();
    let payload_max = 1000 - 20 - 8 - 56;
    assert!(after.iter().all(|&(_, len, _)| len <= payload_max), "{after:?}");
    let resent: u32 = after.iter().filter(|d| d.2).map(|d| d.1).sum();
    // Two packets of 1416 bytes in two pieces each, and the first piece of the third.
    assert_eq!(resent, 2 * 1416 + payload_max, "{after:?}");
    let fresh: u32 = after.iter().filter(|d| !d.2).map(|d| d.1).sum();
    assert_eq!(fresh, 10_000);
    // A new message is cut anew. What forged reports do is shown among the attacks.
    probe.call(server, 5000);
    assert_eq!(probe.take_data()[0].1, payload_max);
}

/// As above, through a network: the path shrinks in mid-message and the message arrives whole.
#[test]
fn handle_path_mtu__in_mid_message_loses_nothing() {
    let faults = FaultPlan::lossy(Duration::from_micros(5), 50);
    let mut network = Network::new(2, &Config::default(), faults);
    let key = network.call(0, 1, 800_000).unwrap();
    for mtu in [1400, 1200, 600, 1500, 300] {
        network.run_for(Duration::from_micros(40));
        let server = network.host(1).addr;
        network.host_mut(0).endpoint.handle_path_mtu(server, mtu);
    }
    let outcome = network.run_until_outcome(0, key, Duration::from_secs(5));
    assert_eq!(outcome, Some(Outcome::Response(800_000)));
}

#[test]
fn handle_send_error__ends_the_rpc() {
    let mut probe = Probe::new(&Config::default());
    let call = probe.call(Remote::server(1), 100);
    let request = probe.accept_request(Remote::client(1), 2, 100);
    probe.reply(request, 100);
    probe.take_events();
    probe.endpoint.handle_send_error(probe.now, call);
    probe.endpoint.handle_send_error(probe.now, request);
    probe.endpoint.handle_send_error(probe.now, call);
    probe.drain();
    let events = probe.take_events();
    assert_eq!(events[0], Event::Failed { key: call, failure: Failure::SendFailed });
    assert!(matches!(events[1..], [Event::Cancelled { .. }]));
    assert_eq!(probe.endpoint.stats().data_xmit_errors, 3);
}

/// A response that is there stays there, and a call has one outcome, whatever becomes of packets.
#[test]
fn handle_send_error__does_not_undo_what_is_complete() {
    let mut probe = Probe::new(&Config::default());
    let call = probe.call(Remote::server(1), 100);
    probe.answer(call, Body::Data(data(100, 0, 100)), 100);
    let request = probe.accept_request(Remote::client(1), 2, 100);
    let completed = probe.take_events();
    assert!(completed.contains(&Event::ResponseComplete { key: call }));
    probe.endpoint.handle_send_error(probe.now, call);
    probe.endpoint.handle_send_error(probe.now, request);
    probe.drain();
    assert_eq!(probe.take_events(), []);
    probe.endpoint.finish(probe.now, call);
    probe.reply(request, 100);
}

/// PROTOCOL section 12: server ports are 1 to 32767, each once; client ports begin at 32768, at a
/// random place (HOMA-HDR-5).
#[test]
fn ports__of_servers_and_clients() {
    let mut probe = Probe::new(&Config::default());
    for port in [0, CLIENT_PORT_FIRST, u16::MAX] {
        assert_eq!(probe.endpoint.open_server(port), Err(BindError::OutOfRange));
    }
    assert_eq!(probe.endpoint.open_server(4000), Err(BindError::InUse));
    let server = probe.endpoint.open_server(32_767).unwrap();
    assert_eq!(probe.endpoint.port(server), Some(32_767));
    let first_port = |seed| {
        let mut config = Config::default();
        config.seed = seed;
        let probe = Probe::new(&config);
        probe.endpoint.port(probe.client_socket).unwrap()
    };
    let ports: Vec<_> = (0..20).map(first_port).collect();
    assert!(ports.iter().all(|&port| port >= CLIENT_PORT_FIRST));
    assert!(ports.windows(2).any(|pair| pair[0] != pair[1]), "{ports:?}");
}

/// A packet for another socket than its RPC's is not its RPC's.
#[test]
fn ports__tell_sockets_apart() {
    let mut probe = Probe::new(&Config::default());
    let server = Remote::server(1);
    let key = probe.call(server, 100);
    let id = probe.endpoint.info(key).unwrap().id;
    let other = probe.endpoint.open_client().unwrap();
    let port = probe.endpoint.port(other).unwrap();
    probe.receive(server, port, id.flipped(), Body::Data(data(100, 0, 100)), 100);
    assert!(!probe.take_events().contains(&Event::ResponseComplete { key }));
    assert_eq!(probe.endpoint.stats().wrong_port_packets, 1);
}

/// PROTOCOL section 17: closing a socket ends its RPCs, and only its; packets find nobody then.
#[test]
fn close__ends_the_sockets_rpcs() {
    let mut probe = Probe::new(&Config::default());
    let call = probe.call(Remote::server(1), 100);
    let request = probe.accept_request(Remote::client(1), 2, 100);
    let (now, client_socket) = (probe.now, probe.client_socket);
    probe.endpoint.close(now, client_socket);
    probe.drain();
    let events = probe.take_events();
    assert!(events.contains(&Event::Failed { key: call, failure: Failure::ShutDown }));
    assert!(probe.take_bodies().contains(&Body::RpcUnknown), "the server is told");
    assert!(probe.endpoint.info(request).is_some());
    let sent = probe.endpoint.send_request(
        now,
        client_socket,
        Remote::server(1).addr,
        4000,
        1,
        CallOptions::default(),
    );
    assert_eq!(sent, Err(SendError::NoSocket));
    probe.endpoint.close(now, probe.server_socket);
    probe.drain();
    let cause = Cancelled::ShutDown;
    assert!(probe.take_events().contains(&Event::Cancelled { key: request, cause }));
    // It was in service: the client must not think that nothing was done.
    let refusal = Refuse { reason: RefuseReason::DroppedUnanswered, detail: 0 };
    assert!(probe.take_bodies().contains(&Body::Refuse(refusal)), "the client is told");
    assert!(probe.endpoint.is_idle());
    assert_eq!(probe.endpoint.poll_timeout(), None);
    probe.endpoint.close(now, probe.server_socket);
}

/// Packets leave from the address that the request reached.
#[test]
fn replies__leave_from_the_address_that_was_addressed() {
    use homa_proto::{Header, LocalAddr, PacketMeta, RpcId};
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(1);
    let local = LocalAddr::from(std::net::IpAddr::from([10, 1, 1, 1]));
    let header = Header::new(client.port, 4000, RpcId(2), Body::Data(data(100, 0, 100)));
    let meta = PacketMeta { peer: client.addr, local };
    probe.endpoint.handle_packet(probe.now, meta, &header, 100);
    probe.drain();
    let key = probe.complete_request().unwrap();
    probe.endpoint.accept(probe.now, key);
    probe.reply(key, 100);
    let sent = probe.take_sent();
    assert!(!sent.is_empty() && sent.iter().all(|t| t.local == local), "{sent:?}");
}
