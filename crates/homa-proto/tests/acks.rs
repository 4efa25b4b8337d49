//! Acknowledgements: when servers may forget (PROTOCOL section 6).
#![allow(non_snake_case, reason = "tests are named function__case")]

use std::collections::BTreeSet;
use std::net::SocketAddr;

use homa_proto::{
    CallOptions, Config, Duration, Endpoint, Event, Instant, LocalAddr, PacketMeta, PeerAddr,
    Resource, RpcId, RpcKey, Transmit,
};
use homa_testkit::{FaultPlan, Network, Probe, Remote, data};
use homa_wire::{Ack, AckList, Body, PacketType, Resend};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A call answered with one packet and taken by the application.
fn finished_call(probe: &mut Probe, server: Remote) -> RpcId {
    let key = probe.call(server, 100);
    let id = probe.endpoint.info(key).unwrap().id;
    probe.answer(key, Body::Data(data(100, 0, 100)), 100);
    probe.endpoint.finish(probe.now, key);
    probe.drain();
    id
}

fn acks_in_data(probe: &mut Probe) -> Vec<Ack> {
    let bodies = probe.take_bodies();
    let acks = bodies.iter().filter_map(|body| match body {
        Body::Data(data) => data.ack,
        _ => None,
    });
    acks.collect()
}

/// HOMA-ACK-5, HOMA-ACK-6, HOMA-DATA-5, HOMA-DATA-8: the next DATA to that server takes the ack
/// along, and only one; HOMA-ACK-7: once.
#[test]
fn finished_call__is_acknowledged_by_the_next_request_to_its_server() {
    let mut probe = Probe::new(&Config::default());
    let (server, other) = (Remote::server(1), Remote::server(2));
    let id = finished_call(&mut probe, server);
    probe.take_sent();
    probe.call(other, 100);
    assert_eq!(acks_in_data(&mut probe), [], "not to another server");
    probe.call(server, 100);
    assert_eq!(acks_in_data(&mut probe), [Ack { client_id: id, server_port: 4000 }]);
    probe.call(server, 100);
    assert_eq!(acks_in_data(&mut probe), []);
}

/// HOMA-ACK-6: who closes sends what it has to acknowledge, in one packet to each server.
#[test]
fn close__sends_waiting_acks() {
    let mut probe = Probe::new(&Config::default());
    let servers = [Remote::server(1), Remote::server(2)];
    let ids = servers.map(|server| [(); 2].map(|()| finished_call(&mut probe, server)));
    probe.take_sent();
    let client = probe.client_socket;
    probe.endpoint.close(probe.now, client);
    probe.drain();
    let sent = probe.take_sent();
    let [first, second] = &sent[..] else { panic!("{sent:?}") };
    for (transmit, (server, ids)) in [first, second].into_iter().zip(servers.iter().zip(ids)) {
        assert_eq!((transmit.peer, transmit.header.dest_port), (server.addr, server.port));
        // The second goes with the request of the first; see HOMA-DATA-5.
        let Body::Ack(acks) = transmit.header.body else { panic!("{transmit:?}") };
        assert_eq!((transmit.header.sender_id, acks.iter().count()), (ids[1], 0));
    }
}

/// A call that failed or was aborted is not acknowledged: its server is told by RPC_UNKNOWN.
#[test]
fn failed_call__is_not_acknowledged() {
    let mut probe = Probe::new(&Config::default());
    let server = Remote::server(1);
    let key = probe.call(server, 100);
    probe.take_sent();
    probe.endpoint.abort(probe.now, key);
    probe.drain();
    assert_eq!(probe.take_bodies(), [Body::RpcUnknown]);
    probe.call(server, 100);
    assert_eq!(acks_in_data(&mut probe), []);
}

/// PROTOCOL section 6 "Creating acks": five wait, a sixth sends them all (HOMA-ACK-3).
#[test]
fn sixth_ack__sends_all_at_once() {
    let mut probe = Probe::new(&Config::default());
    let server = Remote::server(1);
    let keys: Vec<_> = (0..6).map(|_| probe.call_later(server)).collect();
    probe.drain();
    probe.take_sent();
    let ids: Vec<_> = keys.iter().map(|&key| probe.endpoint.info(key).unwrap().id).collect();
    for &key in &keys {
        probe.answer(key, Body::Data(data(100, 0, 100)), 100);
        probe.endpoint.finish(probe.now, key);
        probe.drain();
    }
    let sent = probe.take_sent();
    let explicit: Vec<_> = sent
        .iter()
        .filter_map(|t| match t.header.body {
            Body::Ack(list) => Some((t.header.sender_id, list)),
            _ => None,
        })
        .collect();
    let [(named, list)] = explicit[..] else { panic!("{sent:?}") };
    assert_eq!(named, ids[5]);
    let mut listed: Vec<_> = list.iter().map(|ack| ack.client_id).collect();
    listed.sort_unstable();
    assert_eq!(listed, ids[..5]);
    assert_eq!(probe.endpoint.stats().ack_overflows, 1);
}

/// More than five wait only until nothing else is to be sent: requests that begin meanwhile take them
/// along, each one, and no ACK is needed; whoever closes sends all (HOMA-ACK-6).
#[test]
fn many_acks__leave_with_requests_that_begin_meanwhile() {
    let mut probe = Probe::new(&Config::default());
    let server = Remote::server(1);
    let finish_twenty = |probe: &mut Probe| -> BTreeSet<RpcId> {
        let keys: Vec<_> = (0..20).map(|_| probe.call_later(server)).collect();
        probe.drain();
        let ids = keys.iter().map(|&key| probe.endpoint.info(key).unwrap().id).collect();
        keys.iter().for_each(|&key| probe.answer(key, Body::Data(data(100, 0, 100)), 100));
        keys.into_iter().for_each(|key| probe.endpoint.finish(probe.now, key));
        ids
    };
    let finished = finish_twenty(&mut probe);
    probe.take_sent();
    assert!(!probe.endpoint.is_urgent(probe.now));
    let later = finish_twenty(&mut probe);
    let sent = probe.take_sent();
    let taken_along = sent.iter().filter_map(|t| match t.header.body {
        Body::Data(data) => data.ack.map(|ack| ack.client_id),
        _ => panic!("no ACK is needed: {t:?}"),
    });
    assert_eq!(taken_along.collect::<BTreeSet<_>>(), finished);

    let client = probe.client_socket;
    probe.endpoint.close(probe.now, client);
    probe.drain();
    let acked = probe.take_sent().into_iter().flat_map(|t| match t.header.body {
        Body::Ack(list) => {
            let listed = list.iter().map(|ack| ack.client_id);
            listed.chain([t.header.sender_id]).collect::<Vec<_>>()
        }
        _ => panic!("{t:?}"),
    });
    assert_eq!(acked.collect::<BTreeSet<_>>(), later);
}

/// NEED_ACK is answered with what else waits for this server (HOMA-NEEDACK-6, HOMA-ACK-5), also
/// before the application has taken the response; no second ack follows.
#[test]
fn need_ack__takes_waiting_acks_along() {
    let mut probe = Probe::new(&Config::default());
    let server = Remote::server(1);
    let earlier = finished_call(&mut probe, server);
    let mut list = AckList::new();
    assert!(list.push(Ack { client_id: earlier, server_port: 4000 }));
    let second = Remote::server(2);
    finished_call(&mut probe, second);
    probe.take_sent();
    let port = probe.endpoint.port(probe.client_socket).unwrap();
    probe.receive(server, port, earlier.flipped(), Body::NeedAck, 0);
    assert_eq!(probe.take_bodies(), [Body::Ack(list)]);
    let key = probe.call(server, 100);
    probe.answer(key, Body::Data(data(100, 0, 100)), 100);
    probe.take_sent();
    probe.answer(key, Body::NeedAck, 0);
    assert_eq!(probe.take_bodies(), [Body::Ack(AckList::new())]);
    probe.endpoint.finish(probe.now, key);
    probe.call(server, 100);
    assert_eq!(acks_in_data(&mut probe), []);
}

/// HOMA-NEEDACK-6, DRAFT section 3 "NEED_ACK to a closed port".
#[test]
fn need_ack__to_a_closed_port_is_acknowledged() {
    let mut probe = Probe::new(&Config::default());
    probe.receive(Remote::server(1), 50_123, RpcId(77), Body::NeedAck, 0);
    let sent = probe.take_sent();
    assert_eq!(sent[0].header.body, Body::Ack(AckList::new()));
    assert_eq!((sent[0].header.source_port, sent[0].header.dest_port), (50_123, 4000));
    assert_eq!(sent[0].header.sender_id, RpcId(76));
}

/// HOMA-NEEDACK-8, HOMA-MODEL-7: nothing is acknowledged before the whole response is there.
#[test]
fn incomplete_response__is_never_acknowledged() {
    let mut probe = Probe::new(&Config::default());
    let key = probe.call(Remote::server(1), 100);
    probe.answer(key, Body::Data(data(3000, 0, 3000)), 1416);
    probe.take_sent();
    probe.answer(key, Body::NeedAck, 0);
    let bodies = probe.take_bodies();
    assert_eq!(bodies.len(), 1);
    assert!(matches!(bodies[0], Body::Resend(Resend { offset: 1416, length: 1584, .. })));
    assert_eq!(probe.endpoint.stats().ignored_need_acks, 1);
}

fn need_acks(probe: &mut Probe, start: Instant) -> Vec<u64> {
    let sent = probe.take_sent_at();
    let of_type = sent.iter().filter(|(_, t)| t.header.packet_type() == PacketType::NeedAck);
    of_type.map(|(at, _)| at.saturating_since(start).as_micros() / 1000).collect()
}

fn replied(probe: &mut Probe, length: u32) -> RpcKey {
    let key = probe.accept_request(Remote::client(1), 10, 100);
    probe.reply(key, length);
    probe.take_sent();
    key
}

/// KNOWN_ISSUES 1.4, HOMA-NEEDACK-2, HOMA-NEEDACK-3, HOMA-NEEDACK-4: from 2 ms on, at doubling
/// intervals up to 100 ms, until the server gives up 10 s after the client's last packet.
#[test]
fn unacknowledged_response__is_asked_about_ever_less_often_and_given_up() {
    let mut probe = Probe::new(&Config::default());
    let start = probe.now;
    let key = replied(&mut probe, 100);
    probe.advance(millis(300));
    let times = need_acks(&mut probe, start);
    assert_eq!(times[..5], [2, 6, 14, 30, 62]);
    probe.advance(millis(9_690));
    let times = need_acks(&mut probe, start);
    assert!((90..=100).contains(&times.len()), "{}", times.len());
    assert!(probe.endpoint.info(key).is_some());
    probe.advance(millis(20));
    assert!(probe.endpoint.is_idle());
    let cancelled = |e: &Event| matches!(e, Event::Cancelled { .. });
    assert!(probe.take_events().iter().any(cancelled));
    assert_eq!(probe.endpoint.poll_timeout(), None);
}

/// HOMA-NEEDACK-1: not while part of the response waits for grants, or to be sent again.
#[test]
fn incomplete_transmission__asks_for_no_ack() {
    let mut probe = Probe::new(&Config::default());
    let start = probe.now;
    replied(&mut probe, 100_000);
    probe.advance(millis(50));
    assert_eq!(need_acks(&mut probe, start), []);
}

/// A client that is alive but asks for data again and again is not asked faster for it.
#[test]
fn server__restarts_its_patience_when_the_client_asks() {
    let mut probe = Probe::new(&Config::default());
    replied(&mut probe, 100);
    probe.advance(Duration::from_secs(9));
    let resend = Body::Resend(Resend::all(homa_proto::Priority::HIGHEST));
    probe.request(Remote::client(1), 10, resend, 0);
    probe.advance(Duration::from_secs(9));
    assert_eq!(probe.endpoint.server_rpcs(), 1, "the client was heard 9 s ago");
    probe.advance(Duration::from_secs(2));
    assert!(probe.endpoint.is_idle());
}

/// A live client that never says anything about an RPC loses it after `rpc_silence_max`.
#[test]
fn forgotten_rpc__of_a_live_client_is_dropped_at_last() {
    let mut probe = Probe::new(&Config::default());
    replied(&mut probe, 100);
    probe.accept_request(Remote::client(1), 98, 100);
    for _ in 0..59 {
        probe.advance(Duration::from_secs(1));
        probe.request(Remote::client(1), 98, Body::Busy, 0);
    }
    assert_eq!(probe.endpoint.server_rpcs(), 2);
    probe.advance(Duration::from_secs(2));
    assert_eq!(probe.endpoint.server_rpcs(), 1, "the one that was asked about");
}

/// An ACK's list may name RPCs of other ports and must name nobody else's (HOMA-ACK-2, HOMA-ACK-3,
/// KNOWN_ISSUES 1.5).
#[test]
fn ack_list__ends_only_this_clients_rpcs() {
    let mut probe = Probe::new(&Config::default());
    let (client, other) = (Remote::client(1), Remote::client(2));
    for (from, id) in [(client, 10), (client, 12), (client, 14), (other, 10)] {
        let key = probe.accept_request(from, id, 100);
        probe.reply(key, 100);
    }
    let mut list = AckList::new();
    for (id, port) in [(12, 4000), (14, 7), (10, 4000), (11, 4000), (99, 4000)] {
        assert!(list.push(Ack { client_id: RpcId(id), server_port: port }));
    }
    // Sent for an RPC that is unknown by now.
    probe.request(client, 2, Body::Ack(list), 0);
    assert_eq!(probe.endpoint.server_rpcs(), 2, "14 and the other client's remain");
    assert_eq!(probe.endpoint.stats().server_rpcs_acked, 2);
}

/// With traffic in both directions, acks ride along and NEED_ACK is hardly needed.
#[test]
fn steady_traffic__needs_few_explicit_acks() {
    let mut network =
        Network::new(2, &Config::default(), FaultPlan::perfect(Duration::from_micros(5)));
    for _ in 0..500 {
        let key = network.call(0, 1, 100).unwrap();
        network.run_until_outcome(0, key, millis(1)).unwrap();
    }
    let sent = network.host(1).endpoint.stats().packets_sent[PacketType::NeedAck.index()];
    assert_eq!(sent, 0);
    assert!(network.run_until_quiet(Duration::from_secs(1)));
    network.assert_quiet();
}

/// What ends by an acknowledgement that came with a request does so behind that request: when the driver has
/// nothing else to do, or with the next packet.
#[test]
fn piggybacked_ack__is_settled_later() {
    let [client_addr, server_addr] =
        [1, 2].map(|host| PeerAddr::from(SocketAddr::from(([10, 0, 0, host], 4000))));
    let now = Instant::ZERO;
    let [mut client, mut server] = [1, 2].map(|_| Endpoint::new(Config::default(), now).unwrap());
    server.open_server(7).unwrap();
    let socket = client.open_client().unwrap();
    fn transfer(from: &mut Endpoint, addr: PeerAddr, to: &mut Endpoint) {
        while let Some(Transmit { header, payload, .. }) = from.poll_transmit(Instant::ZERO) {
            let meta = PacketMeta { peer: addr, local: LocalAddr::ANY };
            let length = payload.map_or(0, |(_, payload)| payload.len());
            to.handle_packet(Instant::ZERO, meta, &header, length as usize);
        }
    }
    let mut call = |server: &mut Endpoint| {
        let options = CallOptions::default();
        let key = client.send_request(now, socket, server_addr, 7, 100, options).unwrap();
        transfer(&mut client, client_addr, server);
        let open = server.accounts().get(Resource::ServerRpcs).unwrap().used;
        let request = std::iter::from_fn(|| server.poll_event()).find_map(|event| {
            if let Event::RequestComplete { key } = event { Some(key) } else { None }
        });
        server.accept(now, request.expect("a request"));
        server.send_reply(now, request.unwrap(), 100).unwrap();
        transfer(server, server_addr, &mut client);
        client.finish(now, key);
        open
    };
    let open: Vec<_> = (0..3).map(|_| call(&mut server)).collect();
    assert_eq!(open, [1, 2, 2], "with the next packet");
    server.settle(now);
    assert_eq!(server.accounts().get(Resource::ServerRpcs).unwrap().used, 1);
}
