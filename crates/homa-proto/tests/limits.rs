//! What may accumulate, and what happens at each limit.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{CallOptions, Config, Duration, Limit, Resource, RpcKey, SendError};
use homa_testkit::{Probe, Remote, data};
use homa_wire::{Ack, AckList, Body, Priority, Refuse, RefuseReason, Resend};

fn full(resource: Resource, max: u64) -> Result<RpcKey, SendError> {
    Err(SendError::Full(Limit::of_host(resource, max)))
}

fn send(probe: &mut Probe, to: Remote, length: u32) -> Result<RpcKey, SendError> {
    let (now, socket) = (probe.now, probe.client_socket);
    let options = CallOptions::default();
    let sent = probe.endpoint.send_request(now, socket, to.addr, to.port, length, options);
    probe.drain();
    sent
}

/// HOMA-MODEL-6.
#[test]
fn message_length__is_from_1_to_the_maximum() {
    let mut probe = Probe::new(&Config::default());
    let server = Remote::server(1);
    assert_eq!(send(&mut probe, server, 0), Err(SendError::Empty));
    assert_eq!(send(&mut probe, server, 1_000_001), Err(SendError::TooLong(1_000_000)));
    assert_eq!(send(&mut probe, server.with_port(0), 1), Err(SendError::BadPort));
    assert!(send(&mut probe, server, 1_000_000).is_ok());
    assert!(send(&mut probe, server, 1).is_ok());
}

/// KNOWN_ISSUES 1.6, 1.7: announced lengths of 0, or of more than the maximum.
#[test]
fn message_length__announced_by_a_peer() {
    let mut probe = Probe::new(&Config::default());
    probe.request(Remote::client(1), 2, Body::Data(data(0, 0, 0)), 0);
    assert_eq!((probe.endpoint.server_rpcs(), probe.take_bodies()), (0, vec![]));
    probe.request(Remote::client(1), 2, Body::Data(data(u32::MAX, 0, 0)), 0);
    let refuse = Refuse { reason: RefuseReason::TooLong, detail: 1_000_000 };
    assert_eq!(probe.take_bodies(), [Body::Refuse(refuse)]);
    for length in [0, 1_000_001, u32::MAX] {
        let key = probe.call(Remote::server(1), 100);
        probe.take_events();
        probe.answer(key, Body::Data(data(length, 0, 0)), 0);
        let failure = homa_proto::Failure::BadResponse;
        let events = probe.take_events();
        assert_eq!(events.last(), Some(&homa_proto::Event::Failed { key, failure }));
    }
    assert_eq!(probe.endpoint.stats().length_mismatches, 4);
}

/// DRAFT section 3 "Message Length", HOMA-DATA-3: another length later is dropped and counted.
#[test]
fn message_length__may_not_change() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(1);
    probe.request(client, 2, Body::Data(data(3000, 0, 3000)), 1416);
    probe.request(client, 2, Body::Data(data(2900, 1416, 3000)), 1416);
    assert_eq!(probe.endpoint.stats().length_mismatches, 1);
    probe.request(client, 2, Body::Data(data(3000, 1416, 3000)), 1584);
    assert!(probe.complete_request().is_some());
}

/// PROTOCOL section 4, first row: bytes outside the message, offsets that overflow.
#[test]
fn ranges__outside_the_message_are_dropped() {
    for (offset, payload_len) in [(3000, 1), (2999, 2), (0, 3001), (u32::MAX - 1, 1416)] {
        let mut probe = Probe::new(&Config::default());
        let client = Remote::client(1);
        let body = Body::Data(data(3000, offset, 3000));
        probe.request(client, 2, body, payload_len);
        assert_eq!(probe.endpoint.server_rpcs(), 0, "nothing comes of it");
        probe.request(client, 2, Body::Data(data(3000, 0, 3000)), 1000);
        let bytes = probe.endpoint.incoming_bytes();
        probe.request(client, 2, body, payload_len);
        assert_eq!(probe.endpoint.stats().range_errors, 2);
        assert_eq!(probe.endpoint.incoming_bytes(), bytes);
    }
}

#[test]
fn client_rpcs__beyond_the_limit_are_an_error() {
    let mut config = Config::default();
    config.limits.client_rpcs_max = 2;
    let mut probe = Probe::new(&config);
    let first = probe.call(Remote::server(1), 100);
    probe.call(Remote::server(1), 100);
    assert_eq!(send(&mut probe, Remote::server(1), 100), full(Resource::ClientRpcs, 2));
    probe.endpoint.abort(probe.now, first);
    assert!(send(&mut probe, Remote::server(1), 100).is_ok());
}

/// One limit is not the other's: servers' RPCs do not keep clients from calling.
#[test]
fn server_rpcs__do_not_take_the_clients_places() {
    let mut config = Config::default();
    config.limits.client_rpcs_max = 2;
    config.limits.server_rpcs_max = 2;
    config.overload.peer_share_permille = 1000;
    let mut probe = Probe::new(&config);
    for id in [2, 4, 6] {
        probe.request(Remote::client(1), id, Body::Data(data(100, 0, 100)), 100);
    }
    let overloaded = Refuse { reason: RefuseReason::Overloaded, detail: 0 };
    assert!(probe.take_bodies().contains(&Body::Refuse(overloaded)));
    assert_eq!(probe.endpoint.server_rpcs(), 2);
    assert!(send(&mut probe, Remote::server(1), 100).is_ok());
    assert!(send(&mut probe, Remote::server(1), 100).is_ok());
}

#[test]
fn outgoing_bytes__beyond_the_limit_are_an_error_until_released() {
    let mut config = Config::default();
    config.pacing = false;
    config.limits.outgoing_bytes_max = 1_000_000;
    let mut probe = Probe::new(&config);
    let key = probe.call(Remote::server(1), 900_000);
    assert_eq!(
        send(&mut probe, Remote::server(1), 200_000),
        full(Resource::OutgoingBytes, 1_000_000)
    );
    // The first byte of the response releases the request (ARCHITECTURE "early release").
    probe.answer(key, Body::Data(data(5000, 0, 5000)), 1416);
    assert!(probe.take_events().contains(&homa_proto::Event::Release { key }));
    assert_eq!(probe.endpoint.outgoing_bytes(), 0);
    assert!(send(&mut probe, Remote::server(1), 200_000).is_ok());
}

/// Peers in use can't be evicted; idle ones make room after a while.
#[test]
fn peers__beyond_the_limit() {
    let mut config = Config::default();
    config.limits.peers_max = 2;
    let mut probe = Probe::new(&config);
    let first = probe.call(Remote::server(1), 100);
    probe.call(Remote::server(2), 100);
    assert_eq!(send(&mut probe, Remote::server(3), 100), full(Resource::Peers, 2));
    probe.request(Remote::client(3), 2, Body::Data(data(5, 0, 5)), 5);
    assert_eq!(probe.endpoint.stats().server_cant_create_rpcs, 1);
    probe.endpoint.abort(probe.now, first);
    assert_eq!(send(&mut probe, Remote::server(3), 100), full(Resource::Peers, 2));
    probe.advance(Duration::from_secs(11));
    assert!(send(&mut probe, Remote::server(3), 100).is_ok());
    assert_eq!(probe.endpoint.stats().peer_failures, 3);
}

/// Gaps cost memory: a packet that would make one too many is dropped, others are not.
#[test]
fn gaps__beyond_the_limit_drop_the_packet() {
    let mut config = Config::default();
    config.limits.gaps_max = 2;
    let mut probe = Probe::new(&config);
    let client = Remote::client(1);
    for offset in [1000, 3000, 5000, 0] {
        probe.request(client, 2, Body::Data(data(9000, offset, 9000)), 500);
    }
    assert_eq!(probe.endpoint.stats().gap_overflows, 1);
    for (offset, length) in [(500, 500), (1500, 1500), (3500, 5500)] {
        probe.request(client, 2, Body::Data(data(9000, offset, 9000)), length);
    }
    assert!(probe.complete_request().is_some());
}

/// A driver that drains nothing loses control packets, not memory.
#[test]
fn control_packets__beyond_the_limit_are_dropped() {
    let mut config = Config::default();
    config.limits.control_packets_max = 16;
    let mut probe = Probe::new(&config);
    let resend = Body::Resend(Resend::all(Priority::HIGHEST));
    let header = homa_proto::Header::new(40_000, 4000, homa_proto::RpcId(2), resend);
    let meta =
        homa_proto::PacketMeta { peer: Remote::client(1).addr, local: homa_proto::LocalAddr::ANY };
    for _ in 0..20 {
        probe.endpoint.handle_packet(probe.now, meta, &header, 0);
    }
    probe.drain();
    assert_eq!(probe.take_bodies(), [Body::RpcUnknown; 16]);
    assert_eq!(probe.endpoint.stats().control_overflows, 4);
}

/// Requests for whose first packet there is no memory are refused; an application that takes nothing
/// holds bounded memory.
#[test]
fn incoming_bytes__beyond_the_limit_are_refused() {
    let mut config = Config::default();
    config.message_length_max = 10_000;
    config.limits.incoming_bytes_max = 20_000;
    config.overload.peer_share_permille = 1000;
    let mut probe = Probe::new(&config);
    for id in 1..50 {
        probe.request(Remote::client(1), 2 * id, Body::Data(data(1400, 0, 1400)), 1400);
        assert!(probe.endpoint.incoming_bytes() <= 20_000);
    }
    let overloaded = Body::Refuse(Refuse { reason: RefuseReason::Overloaded, detail: 0 });
    let refused = probe.take_bodies().iter().filter(|body| **body == overloaded).count();
    assert_eq!(refused, 49 - 14);
    let key = probe.complete_request().unwrap();
    probe.endpoint.accept(probe.now, key);
    probe.request(Remote::client(1), 200, Body::Data(data(1400, 0, 1400)), 1400);
    assert_eq!(probe.endpoint.server_rpcs(), 15);
}

/// Every request that is turned away is counted where one looks for it: at the account whose limit left no
/// room, of the endpoint or of the socket.
#[test]
fn accounts__count_each_request_that_a_limit_turned_away() {
    let base = |of_host: fn(&mut Config)| {
        let mut config = Config::default();
        config.message_length_max = 10_000;
        config.overload.peer_share_permille = 1000;
        of_host(&mut config);
        config
    };
    let cases: [(Config, Resource, bool); 4] = [
        (base(|c| c.limits.server_rpcs_max = 3), Resource::ServerRpcs, false),
        (base(|c| c.limits.incoming_bytes_max = 20_000), Resource::IncomingBytes, false),
        (base(|c| c.limits.socket_rpcs_max = 3), Resource::ServerRpcs, true),
        (base(|c| c.limits.socket_incoming_bytes_max = 20_000), Resource::IncomingBytes, true),
    ];
    for (config, resource, of_socket) in cases {
        let mut probe = Probe::new(&config);
        for id in 1..=30 {
            probe.request(Remote::client(1), 2 * id, Body::Data(data(1400, 0, 1400)), 1400);
        }
        let turned_away = probe.endpoint.stats().server_requests_overloaded;
        let host = probe.endpoint.accounts().get(resource).unwrap().refusals;
        let socket = probe.endpoint.socket_accounts(probe.server_socket).unwrap();
        let socket = socket.get(resource).unwrap().refusals;
        assert!(turned_away > 10);
        let expected = if of_socket { (0, turned_away) } else { (turned_away, 0) };
        assert_eq!((host, socket), expected, "{resource}");
    }
}

/// Finished ids beyond the limit are forgotten early, and that is counted.
#[test]
fn finished_ids__beyond_the_limit_are_forgotten_early() {
    let mut config = Config::default();
    config.limits.finished_ids_max = 2;
    let mut probe = Probe::new(&config);
    let client = Remote::client(1);
    for n in 1..=10 {
        let key = probe.accept_request(client, n * 1000, 100);
        probe.reply(key, 100);
        let mut list = AckList::new();
        assert!(list.push(Ack { client_id: homa_proto::RpcId(n * 1000), server_port: 4000 }));
        probe.request(client, n * 1000, Body::Ack(list), 0);
    }
    assert!(probe.endpoint.stats().finished_ids_forgotten > 0);
    probe.request(client, 10_000, Body::Data(data(100, 0, 100)), 100);
    assert_eq!(probe.complete_request(), None, "the latest are known");
}

/// A server whose application takes nothing holds bounded memory, and all its clients are told:
/// some at once, the others by their deadline, after which nothing is left.
#[test]
fn application_that_never_answers__holds_bounded_memory() {
    use homa_proto::Failure;
    use homa_testkit::{Application, FaultPlan, Network, Outcome};
    let mut config = Config::default();
    config.limits.incoming_bytes_max = 2_000_000;
    config.limits.server_rpcs_max = 150;
    let mut network = Network::new(3, &config, FaultPlan::perfect(Duration::from_micros(5)));
    network.host_mut(0).application = Application::Ignore;
    let mut calls = Vec::new();
    for n in 0..400u32 {
        let from = 1 + n as usize % 2;
        calls.push((from, network.call(from, 0, 100 + n % 5 * 20_000).unwrap()));
        network.run_for(Duration::from_micros(10));
        assert!(network.host(0).endpoint.incoming_bytes() <= 2_000_000);
    }
    // Ten seconds of BUSY make many steps.
    network.checks = false;
    network.run_for(Duration::from_secs(11));
    let (mut refused, mut late) = (0, 0);
    for (from, key) in calls {
        match network.host(from).outcome(key) {
            Some(Outcome::Failed(Failure::Refused {
                reason: RefuseReason::Overloaded, ..
            })) => {
                refused += 1;
            }
            Some(Outcome::Failed(Failure::DeadlineExceeded)) => late += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 100 && late > 20, "{refused} refused, {late} late");
    assert!(network.run_until_quiet(Duration::from_secs(20)));
    network.assert_quiet();
}

/// The high-water mark of gaps is the most that was held at a time.
#[test]
fn accounts__of_gaps_count_nothing_twice() {
    let mut probe = Probe::new(&Config::default());
    let mut most = 0;
    for gap in 1..60 {
        let body = Body::Data(data(900_000, gap * 3000, 900_000));
        probe.request(Remote::client(1), 2, body, 1400);
        let gaps = probe.endpoint.accounts().get(Resource::Gaps).unwrap();
        most = most.max(gaps.used);
        assert_eq!(gaps.high_water, most);
    }
    assert!(most >= 59);
}

/// Responses that the application leaves lying keep it from making more calls, if their socket has a
/// limit: nobody else has to pay for them.
#[test]
fn responses__that_nobody_takes_stop_calls() {
    let mut config = Config::default();
    config.limits.socket_incoming_bytes_max = 10_000;
    let mut probe = Probe::new(&config);
    let server = Remote::server(1);
    let mut keys = vec![];
    for _ in 0..8 {
        let key = probe.call(server, 100);
        probe.answer(key, Body::Data(data(1400, 0, 1400)), 1400);
        keys.push(key);
    }
    let limit = Limit::of_socket(Resource::IncomingBytes, 10_000);
    assert_eq!(send(&mut probe, server, 100), Err(SendError::Full(limit)));
    let text = SendError::Full(limit).to_string();
    assert_eq!(text, "no room: limits.socket_incoming_bytes_max is 10000 bytes");
    let accounts = probe.endpoint.socket_accounts(probe.client_socket).unwrap();
    let incoming = accounts.get(Resource::IncomingBytes).unwrap();
    assert_eq!((incoming.used, incoming.refusals), (8 * 1400, 1));
    let unread = probe.endpoint.accounts().get(Resource::UnreadBytes).unwrap();
    assert_eq!(unread.used, 8 * 1400);
    probe.endpoint.finish(probe.now, keys[0]);
    assert!(send(&mut probe, server, 100).is_ok());
}

/// A request that is read as it arrives has been accepted: however slowly it is read, others are not
/// turned away for it. One that nobody accepts has them turned away.
#[test]
fn queue_delay__is_not_that_of_a_request_being_read() {
    for streamed in [true, false] {
        let mut probe = Probe::new(&Config::default());
        let client = Remote::client(1);
        probe.request(client, 2, Body::Data(data(2000, 0, 2000)), 1416);
        let started = probe.take_events();
        let [homa_proto::Event::RequestStarted { key }, ..] = started[..] else {
            panic!("{started:?}")
        };
        if streamed {
            probe.endpoint.begin_stream(key);
        }
        probe.request(client, 2, Body::Data(data(2000, 1416, 2000)), 584);
        assert_eq!(probe.complete_request(), Some(key));
        probe.advance(Duration::from_millis(1500));
        probe.request(client, 4, Body::Data(data(100, 0, 100)), 100);
        assert_eq!(probe.complete_request().is_some(), streamed);
        let refusals = probe.endpoint.stats().queue_delay_refusals;
        assert_eq!(refusals, u64::from(!streamed));
    }
}
