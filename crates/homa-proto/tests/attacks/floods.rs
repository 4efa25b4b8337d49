//! Floods of what costs its sender little. Others are in `tests/overload.rs`: long announcements, many
//! requests, slow loris, gaps, peers by the thousand, and one peer's many answers, each with its
//! defence and without. Speed and memory of a whole process under a flood: `cargo xtask flood`.

use super::{proven_client, request};
use homa_proto::{
    Config, Duration, Event, Header, LocalAddr, PacketMeta, PeerAddr, Priority, Resource, RpcId,
};
use homa_testkit::{Probe, Remote, data};
use homa_wire::{AckList, Body, PacketType, ParseError, Resend, Version};
use std::net::SocketAddr;

/// Where a packet says its type (WIRE section 2).
const TYPE_AT: usize = 11;

/// Forged address number `n`.
fn stranger(n: u32) -> Remote {
    let [_, a, b, c] = n.to_be_bytes();
    Remote { addr: PeerAddr::from(SocketAddr::from(([11, a, b, c], 4000))), port: 40_000 }
}

/// Takes in a packet without the checks that a probe makes, which look at all there is.
fn receive(probe: &mut Probe, from: Remote, id: u64, body: Body, payload_len: usize) {
    let header = Header::new(from.port, 4000, RpcId(id), body);
    let meta = PacketMeta { peer: from.addr, local: LocalAddr::ANY };
    probe.endpoint.handle_packet(probe.now, meta, &header, payload_len);
}

/// The application answers whatever has come; returns how many requests that was.
fn serve(probe: &mut Probe) -> u32 {
    let mut served = 0;
    while let Some(event) = probe.endpoint.poll_event() {
        if let Event::RequestComplete { key } = event {
            probe.endpoint.accept(probe.now, key);
            served += u32::from(probe.endpoint.send_reply(probe.now, key, 10).is_ok());
        }
    }
    while probe.endpoint.poll_transmit(probe.now).is_some() {}
    served
}

/// A million addresses, each of which sends a request, and acknowledges its response so that nothing
/// but the peer remains: the table stays within its limit, and hosts that have shown their address
/// keep their place in it, though one of them says nothing for all that time.
#[test]
fn million_addresses__drive_out_no_proven_peer() {
    let mut config = Config::default();
    config.pacing = false;
    config.limits.peers_max = 1_000;
    let mut probe = Probe::new(&config);
    let (quiet, busy) = (proven_client(&mut probe, 1), proven_client(&mut probe, 2));
    serve(&mut probe);
    let mut served = 0;
    for n in 0..1_000_000 {
        receive(&mut probe, stranger(n), 2, request(100, 0), 100);
        serve(&mut probe);
        receive(&mut probe, stranger(n), 2, Body::Ack(AckList::new()), 0);
        // 20,000 per second.
        probe.now += Duration::from_micros(50);
        if n % 10_000 == 0 {
            probe.endpoint.handle_timeout(probe.now);
            receive(&mut probe, busy, u64::from(4 + 2 * n), request(100, 0), 100);
            served += serve(&mut probe);
            receive(&mut probe, busy, u64::from(4 + 2 * n), Body::Ack(AckList::new()), 0);
            assert!(probe.endpoint.accounts().get(Resource::Peers).unwrap().used <= 1_000);
        }
    }
    assert_eq!(served, 100, "all that the busy one asked for");
    assert!(probe.endpoint.knows_peer(&quiet.addr), "the quiet one is known");
    receive(&mut probe, quiet, 50, request(100, 0), 100);
    assert_eq!(serve(&mut probe), 1);
    let peers = probe.endpoint.accounts().get(Resource::Peers).unwrap();
    assert_eq!(peers.high_water, 1_000);
    assert!(probe.endpoint.stats().peer_allocs > 4_000, "strangers make room for strangers");
    probe.drain();
}

/// What strangers draw waits in a queue that has a limit, and a peer's answer finds room in it.
#[test]
fn resends_of_strangers__leave_room_for_a_peers_answer() {
    let mut probe = Probe::new(&Config::default());
    probe.accept_request(Remote::client(1), 2, 100);
    probe.take_sent();
    let resend = Body::Resend(Resend::all(Priority::HIGHEST));
    // The driver finds no room to send all the while.
    for n in 0..200_000 {
        receive(&mut probe, stranger(n), 2, resend, 0);
    }
    receive(&mut probe, Remote::client(1), 2, resend, 0);
    let queued = probe.endpoint.accounts().get(Resource::ControlPackets).unwrap();
    assert!(queued.used < 2_000, "{}", queued.used);
    probe.drain();
    let is_busy =
        |t: &homa_proto::Transmit| t.peer == Remote::client(1).addr && t.header.body == Body::Busy;
    assert!(probe.take_sent().iter().any(is_busy));
}

/// Slow loris: others begin messages for more memory than there is, go on by a byte now and then, and
/// begin anew when they are given up. The longest message of a client that has shown its address
/// arrives whole meanwhile; without that it is one among many.
#[test]
fn slow_loris__does_not_keep_an_honest_message_from_arriving() {
    for defended in [true, false] {
        let mut config = Config::default();
        config.limits.incoming_bytes_max = 8 << 20;
        let mut probe = Probe::new(&config);
        let honest = if defended { proven_client(&mut probe, 1) } else { Remote::client(1) };
        let mut upto = 0;
        for round in 0..100_u32 {
            for n in 0..200 {
                let body = Body::Data(data(1_000_000, round, 40_000));
                receive(&mut probe, stranger(n), 2, body, 1);
            }
            probe.drain();
            if round == 20 {
                probe.take_sent();
                send(&mut probe, honest, 0, 40_000);
                upto = 40_000;
            }
            let granted = granted(&mut probe, honest, upto);
            send(&mut probe, honest, upto, granted);
            upto = granted;
            probe.advance(Duration::from_millis(20));
        }
        let is_complete = |event: &Event| matches!(event, Event::RequestComplete { .. });
        assert_eq!(probe.take_events().iter().any(is_complete), defended);
    }
}

/// How far a client may send its message of 1,000,000 bytes that could send it up to `upto` before.
fn granted(probe: &mut Probe, client: Remote, upto: u32) -> u32 {
    let sent = probe.take_sent();
    let bodies = sent.iter().filter(|t| t.peer == client.addr).map(|t| t.header.body);
    let offsets = bodies.filter_map(|body| match body {
        Body::Grant(grant) => Some(grant.offset),
        _ => None,
    });
    offsets.fold(upto, u32::max)
}

/// Sends bytes of that message.
fn send(probe: &mut Probe, client: Remote, from: u32, upto: u32) {
    for offset in (from..upto).step_by(1416) {
        let payload_len = 1416.min(upto - offset);
        probe.request(client, 2, Body::Data(data(1_000_000, offset, 40_000)), payload_len);
    }
}

/// Packets of no known type, and such as are too short, cost their being counted.
#[test]
fn unknown_types__are_counted_and_dropped() {
    let mut probe = Probe::new(&Config::default());
    probe.accept_request(Remote::client(1), 2, 100);
    probe.take_sent();
    let header = Header::new(40_000, 4000, RpcId(2), Body::Busy);
    let mut packet = [0; 128];
    let length = header.emit(Version::V1, &mut packet).unwrap();
    let mut unknown = 0;
    for code in 0..=u8::MAX {
        packet[TYPE_AT] = code;
        if let Err(error @ ParseError::UnknownType(_)) = Header::parse(&packet, Version::V1) {
            probe.endpoint.count_bad_packet(&error);
            unknown += 1;
        }
    }
    for end in 0..length {
        let error = Header::parse(&packet[..end], Version::V1).expect_err("it is short");
        probe.endpoint.count_bad_packet(&error);
    }
    assert_eq!(unknown as usize, 256 - PacketType::ALL.len());
    let stats = probe.endpoint.stats();
    assert_eq!(stats.unknown_packet_types + stats.short_packets, unknown + length as u64);
    assert_eq!(probe.endpoint.server_rpcs(), 1);
    assert_eq!(probe.take_sent(), [], "nothing is said to them");
}
