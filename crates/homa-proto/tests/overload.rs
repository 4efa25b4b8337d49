//! Hostile and broken peers that try to use up what a host has. Each attack is run with its defence
//! and without, so that the test shows what the defence is good for.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{Config, Duration, Limit, OverloadAnswer, PeerAddr, Resource, SendError};
use homa_testkit::{Application, FaultPlan, Network, Outcome, Probe, Remote, data};
use homa_wire::{Ack, AckList, Body, Refuse, RefuseReason};
use std::net::SocketAddr;

const OVERLOADED: Body = Body::Refuse(Refuse { reason: RefuseReason::Overloaded, detail: 0 });
const MEMORY: u64 = 8 << 20;

/// Spoofed address number `n`.
fn stranger(n: u32) -> Remote {
    let [_, a, b, c] = n.to_be_bytes();
    Remote { addr: PeerAddr::from(SocketAddr::from(([11, a, b, c], 4000))), port: 40_000 }
}

fn small_memory(defended: bool) -> Config {
    let mut config = Config::default();
    config.limits.incoming_bytes_max = MEMORY;
    if !defended {
        config.overload.peer_share_permille = 1000;
        config.overload.inactive_after = Duration::from_secs(1000);
    }
    config
}

/// Whether a request of one packet from `from` reaches the application.
fn is_served(probe: &mut Probe, from: Remote, id: u64) -> bool {
    probe.take_bodies();
    while probe.complete_request().is_some() {}
    probe.request(from, id, Body::Data(data(1000, 0, 1000)), 1000);
    let served = probe.complete_request();
    if let Some(key) = served {
        probe.endpoint.accept(probe.now, key);
        probe.reply(key, 10);
        let mut acks = AckList::new();
        assert!(acks.push(Ack { client_id: homa_proto::RpcId(id), server_port: 4000 }));
        probe.request(from, id, Body::Ack(acks), 0);
    }
    served.is_some()
}

fn used(probe: &Probe, resource: Resource) -> u64 {
    probe.endpoint.accounts().get(resource).unwrap().used
}

/// One peer announces thousands of longest messages and sends the first packet of each: it gets its
/// share of the memory, and others theirs.
#[test]
fn flood_of_long_announcements__leaves_room_for_others() {
    for defended in [true, false] {
        let mut probe = Probe::new(&small_memory(defended));
        for id in 1..1000 {
            probe.request(stranger(1), 2 * id, Body::Data(data(1_000_000, 0, 40_000)), 1416);
            assert!(probe.endpoint.incoming_bytes() <= MEMORY);
        }
        let held = used(&probe, Resource::IncomingBytes);
        probe.take_bodies();
        let mut long = 0;
        for n in 2..5 {
            probe.request(stranger(n), 2, Body::Data(data(1_000_000, 0, 40_000)), 1416);
            long += u32::from(!probe.take_bodies().contains(&OVERLOADED));
        }
        if defended {
            assert!(held <= MEMORY / 2, "{held}");
            assert_eq!(long, 3, "others have room for their longest messages");
            assert!(probe.endpoint.stats().peer_share_refusals > 900);
        } else {
            assert!(held > MEMORY * 3 / 4, "{held}");
            assert_eq!(long, 0);
        }
        assert!(is_served(&mut probe, stranger(9), 2));
    }
}

/// A peer sends requests that fill every place for RPCs, and never acknowledges a response.
#[test]
fn flood_of_requests__leaves_places_for_others() {
    for defended in [true, false] {
        let mut config = small_memory(defended);
        config.limits.server_rpcs_max = 100;
        let mut probe = Probe::new(&config);
        for id in 1..300 {
            probe.request(stranger(1), 2 * id, Body::Data(data(10, 0, 10)), 10);
        }
        assert_eq!(used(&probe, Resource::ServerRpcs), if defended { 50 } else { 100 });
        assert_eq!(is_served(&mut probe, stranger(2), 2), defended);
    }
}

/// Slow loris: strangers begin messages, never complete them, and send a byte now and then, from so
/// many addresses that shares don't help. What is longest inactive is given up for a newcomer.
#[test]
fn slow_loris__is_given_up_when_memory_is_short() {
    for defended in [true, false] {
        let mut probe = Probe::new(&small_memory(defended));
        let begin = |probe: &mut Probe, n, offset| {
            let body = Body::Data(data(1_000_000, offset, 40_000));
            probe.request(stranger(n), 2, body, 1);
        };
        for n in 1..200 {
            begin(&mut probe, n, 0);
        }
        let begun = used(&probe, Resource::ServerRpcs);
        assert!(begun > 100, "{begun}");
        // A byte each 20 ms keeps any timeout from striking.
        for round in 1..=15 {
            probe.advance(Duration::from_millis(20));
            (1..200).filter(|n| u64::from(*n) <= begun).for_each(|n| begin(&mut probe, n, round));
            probe.take_bodies();
        }
        let long = Body::Data(data(1_000_000, 0, 40_000));
        probe.request(Remote::client(1), 2, long, 1416);
        let refused = probe.take_bodies().contains(&OVERLOADED) && !defended;
        assert_eq!(refused, !defended);
        assert_eq!(probe.endpoint.stats().inactive_requests_dropped > 0, defended);
        let info = probe.endpoint.incoming_bytes();
        assert!(info <= MEMORY);
    }
}

/// A message that its sender can't continue, since it waits for grants, is never given up for that.
#[test]
fn waiting_for_grants__is_not_inactivity() {
    let mut config = small_memory(true);
    config.grants.incoming_bytes_max = 1;
    config.grants.fifo_share_permille = 0;
    let mut probe = Probe::new(&config);
    // The limit on bytes under way lets one of them be granted anything.
    for n in 1..200 {
        probe.request(stranger(n), 2, Body::Data(data(1_000_000, 0, 1416)), 1416);
        probe.advance(Duration::from_millis(5));
    }
    // Only such as were granted something and did not send it.
    assert!(probe.endpoint.stats().inactive_requests_dropped < 20);
}

/// Responses that nobody acknowledges hold places: when these are short, the client's silence ends
/// them long before its ten seconds are over.
#[test]
fn unacknowledged_responses__make_room_when_places_are_short() {
    for defended in [true, false] {
        let mut config = small_memory(defended);
        config.limits.server_rpcs_max = 64;
        let mut probe = Probe::new(&config);
        for n in 1..=64 {
            let key = probe.accept_request(stranger(n), 2, 100);
            probe.reply(key, 100);
        }
        assert!(!is_served(&mut probe, Remote::client(1), 2), "not at once");
        probe.advance(Duration::from_millis(300));
        assert_eq!(is_served(&mut probe, Remote::client(1), 4), defended);
        let dropped = probe.endpoint.stats().unacked_responses_dropped;
        assert_eq!(dropped, u64::from(defended), "no more than needed");
        if defended {
            // At most once, even so.
            probe.request(stranger(1), 2, Body::Data(data(100, 0, 100)), 100);
            assert_eq!(probe.complete_request(), None);
        }
    }
}

/// Strangers from ever new addresses fill the peer table: known peers go on, newcomers are told at
/// once, and get in when peers have been idle for long enough.
#[test]
fn distinct_peers__do_not_shut_out_known_ones() {
    let mut config = small_memory(true);
    config.limits.peers_max = 100;
    let mut probe = Probe::new(&config);
    assert!(is_served(&mut probe, Remote::client(1), 2));
    for n in 0..1000 {
        is_served(&mut probe, stranger(n), 2);
    }
    assert_eq!(used(&probe, Resource::Peers), 100);
    assert!(probe.endpoint.accounts().get(Resource::Peers).unwrap().refusals > 800);
    assert!(is_served(&mut probe, Remote::client(1), 4));
    probe.request(Remote::client(2), 2, Body::Data(data(10, 0, 10)), 10);
    assert!(probe.take_bodies().contains(&OVERLOADED), "a newcomer learns why");
    probe.advance(Duration::from_secs(11));
    assert!(is_served(&mut probe, Remote::client(2), 4));
}

/// Many gaps in many messages, all of which hold memory.
#[test]
fn gaps__are_bounded_over_all_messages() {
    let mut config = Config::default();
    config.limits.gaps_total_max = 1000;
    let mut probe = Probe::new(&config);
    for n in 0..50 {
        for piece in 0..200 {
            let body = Body::Data(data(60_000, 200 * piece + 100, 60_000));
            probe.request(stranger(n), 2, body, 1);
        }
    }
    assert!(used(&probe, Resource::Gaps) < 1000 + 2 * 4096);
    assert!(probe.endpoint.stats().gap_overflows > 5000);
    // In order, messages need none.
    assert!(is_served(&mut probe, Remote::client(1), 2));
}

#[test]
fn sockets__have_limits_of_their_own() {
    let mut config = Config::default();
    config.limits.socket_rpcs_max = 2;
    config.limits.socket_outgoing_bytes_max = 10_000;
    let mut probe = Probe::new(&config);
    let other = probe.endpoint.open_client().unwrap();
    let mut send = |socket, length| {
        let (now, to) = (probe.now, Remote::server(1));
        let options = homa_proto::CallOptions::default();
        probe.endpoint.send_request(now, socket, to.addr, to.port, length, options)
    };
    let full = |resource, max| Err(SendError::Full(Limit::of_socket(resource, max)));
    let socket = probe.client_socket;
    send(socket, 6000).unwrap();
    assert_eq!(send(socket, 6000), full(Resource::OutgoingBytes, 10_000));
    send(socket, 1000).unwrap();
    assert_eq!(send(socket, 10), full(Resource::ClientRpcs, 2));
    send(other, 6000).unwrap();
    let accounts = probe.endpoint.socket_accounts(socket).unwrap();
    let row = |resource| accounts.get(resource).unwrap();
    assert_eq!((row(Resource::ClientRpcs).used, row(Resource::ClientRpcs).refusals), (2, 1));
    let outgoing = row(Resource::OutgoingBytes);
    assert_eq!((outgoing.used, outgoing.limit, outgoing.refusals), (7000, Some(10_000), 1));
    for (n, served) in [(1, true), (2, true), (3, false)] {
        probe.request(stranger(n), 2, Body::Data(data(10, 0, 10)), 10);
        assert_eq!(probe.complete_request().is_some(), served);
    }
}

/// With BUSY in place of REFUSE clients wait for room instead of failing.
#[test]
fn busy__keeps_clients_waiting_for_room() {
    for (answer, waits) in [(OverloadAnswer::Busy, true), (OverloadAnswer::Refuse, false)] {
        let mut config = Config::default();
        config.limits.server_rpcs_max = 2;
        config.overload.answer = answer;
        config.overload.peer_share_permille = 1000;
        let mut network = Network::new(2, &config, FaultPlan::perfect(Duration::from_micros(5)));
        network.host_mut(1).application = Application::Hold;
        let held: Vec<_> = (0..2).map(|_| network.call(0, 1, 100).unwrap()).collect();
        network.run_for(Duration::from_millis(1));
        let late = network.call(0, 1, 100).unwrap();
        network.run_for(Duration::from_millis(300));
        assert_eq!(network.host(0).outcome(late).is_none(), waits);
        while network.reply_to_held(1, 10).is_some() {}
        network.host_mut(1).application = Application::Echo;
        network.run_for(Duration::from_millis(300));
        for key in held {
            assert_eq!(network.host(0).outcome(key), Some(Outcome::Response(10)));
        }
        if waits {
            assert_eq!(network.host(0).outcome(late), Some(Outcome::Response(100)));
        }
    }
}

/// Messages that together need far more memory than there is complete in turn although some of
/// their senders stop in the middle: nothing else arrives that would wake the host up.
#[test]
fn stopped_senders__do_not_keep_others_from_their_memory() {
    let mut config = Config::default();
    config.limits.incoming_bytes_max = 2 << 20;
    let mut network = Network::new(4, &config, FaultPlan::perfect(Duration::from_micros(5)));
    let mut calls = Vec::new();
    for n in 0..12 {
        calls.push((1 + n % 3, network.call(1 + n % 3, 0, 1_000_000).unwrap()));
    }
    network.run_for(Duration::from_micros(100));
    network.set_stopped(1, true);
    network.run_for(Duration::from_secs(2));
    for (from, key) in calls.into_iter().filter(|(from, _)| *from != 1) {
        match network.host(from).outcome(key) {
            Some(Outcome::Response(1_000_000)) => {}
            // Those for which there was no room at the beginning.
            Some(Outcome::Failed(homa_proto::Failure::Refused { reason, .. })) => {
                assert_eq!(reason, RefuseReason::Overloaded);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// `Limits::within` gives limits that fit together, at every size.
#[test]
fn limits_within__are_valid() {
    for mebibytes in [1, 4, 64, 128, 1024, 100_000] {
        let mut config = Config::default();
        config.limits = homa_proto::Limits::within(mebibytes << 20);
        config.validate().unwrap();
        assert!(config.limits.incoming_bytes_max >= 1 << 20);
    }
}

/// One peer has this host answer far more than it can send: others' answers still find room in the
/// queue, and their data leave in between.
#[test]
fn answers_to_one_peer__do_not_hold_up_others() {
    let mut probe = Probe::new(&Config::default());
    let honest = probe.accept_request(Remote::client(1), 2, 100);
    probe.take_bodies();
    let resend = Body::Resend(homa_wire::Resend::all(homa_wire::Priority::HIGHEST));
    let receive = |probe: &mut Probe, from: Remote, id: u64| {
        let header = homa_proto::Header::new(from.port, 4000, homa_proto::RpcId(id), resend);
        let meta = homa_proto::PacketMeta { peer: from.addr, local: homa_proto::LocalAddr::ANY };
        probe.endpoint.handle_packet(probe.now, meta, &header, 0);
    };
    // The driver finds no room to send all the while.
    for id in 1..100_000 {
        receive(&mut probe, stranger(1), 2 * id);
    }
    receive(&mut probe, Remote::client(1), 1000);
    probe.endpoint.send_reply(probe.now, honest, 100).unwrap();
    probe.drain();
    let sent = probe.take_sent();
    let to_honest = |transmit: &&homa_proto::Transmit| transmit.peer == Remote::client(1).addr;
    assert_eq!(sent.iter().filter(to_honest).count(), 2, "its answer and its response");
    let is_data = |transmit: &homa_proto::Transmit| matches!(transmit.header.body, Body::Data(_));
    assert!(sent.iter().position(is_data).unwrap() <= 8, "data do not wait for all the others");
    assert!(sent.len() < 2000, "{}", sent.len());
}
