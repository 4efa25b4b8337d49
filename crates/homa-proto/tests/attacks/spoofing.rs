//! An attacker off the path sends packets in the name of a host's peers, without seeing what they
//! send: it knows addresses, perhaps ports, and guesses the rest. Nothing that does not name an RPC by
//! its peer's address, both ports and its id ends it, delays it, speeds it up or changes what is sent
//! for it (KNOWN_ISSUES 1.5).

use super::stories::{Attack, Record, Target, calls, requests};
use homa_proto::{
    Config, Duration, Header, LocalAddr, PacketMeta, PeerAddr, Priority, QuotedPacket, RpcId,
    Unreachable,
};
use homa_testkit::{Probe, Remote, data};
use homa_wire::{Ack, AckList, Body, Cutoffs, Data, Grant, Refuse, RefuseReason, Resend};
use std::net::SocketAddr;

const STORIES: [fn(Attack<'_>) -> Record; 2] = [calls, requests];

fn nothing(_probe: &mut Probe, _targets: &[Target]) {}

/// Sends `body` after each step, to each RPC, under each wrong name; and checks that under its right
/// name it would have made a difference.
fn assert_unheard(body: Body) {
    let misnamed = move |probe: &mut Probe, targets: &[Target]| {
        targets.iter().flat_map(|target| target.misnamed()).for_each(|t| t.send(probe, body));
    };
    let named = move |probe: &mut Probe, targets: &[Target]| {
        targets.iter().for_each(|target| target.send(probe, body));
    };
    let mut has_effect = false;
    for story in STORIES {
        let calm = story(&nothing);
        calm.assert_unchanged(&story(&misnamed));
        has_effect |= calm != story(&named);
    }
    assert!(has_effect, "{body:?} does nothing anyway");
}

#[test]
fn data__of_no_rpc_changes_none() {
    let body = Body::Data(data(50_000, 2832, 40_000));
    let misnamed = move |probe: &mut Probe, targets: &[Target]| {
        for target in targets.iter() {
            // Anybody may begin a request in whoever's name, under another id or from another port.
            let is_request = target.sender_id.is_client();
            let begins_none = |t: &Target| {
                let same = t.sender_id == target.sender_id && t.from.port == target.from.port;
                !is_request || same
            };
            target.misnamed().into_iter().filter(begins_none).for_each(|t| t.send(probe, body));
        }
    };
    for story in STORIES {
        story(&nothing).assert_same_packets(&story(&misnamed));
    }
}

#[test]
fn ack__of_no_rpc_changes_none() {
    assert_unheard(Body::Ack(AckList::new()));
}

/// A list names RPCs by id and server port; the address is that of the packet.
#[test]
fn ack__in_a_list_ends_only_what_it_names() {
    let attack = |probe: &mut Probe, targets: &[Target]| {
        for target in targets.iter().filter(|target| target.sender_id.is_client()) {
            let id = target.sender_id;
            let list = |acks: &[(u64, u16)]| {
                let mut list = AckList::new();
                for &(id, server_port) in acks {
                    assert!(list.push(Ack { client_id: RpcId(id), server_port }));
                }
                Body::Ack(list)
            };
            let wrong = list(&[(id.0 + 2, 4000), (id.0, 4001), (id.0 ^ 1, 4000), (id.0, 0)]);
            let right = list(&[(id.0, 4000)]);
            let unknown = Target { sender_id: RpcId(7_000), ..*target };
            unknown.send(probe, wrong);
            Target { from: Remote::client(99), ..unknown }.send(probe, right);
        }
    };
    for story in STORIES {
        story(&nothing).assert_unchanged(&story(&attack));
    }
}

#[test]
fn rpc_unknown__of_no_rpc_changes_none() {
    assert_unheard(Body::RpcUnknown);
}

#[test]
fn grant__of_no_rpc_changes_none() {
    assert_unheard(Body::Grant(Grant::new(55_000, Priority::clamped(1))));
}

/// Even with its right name a GRANT permits no more than there is of the message.
#[test]
fn grant__beyond_the_message_permits_its_end() {
    let mut config = Config::default();
    config.pacing = false;
    for offset in [60_000, 60_001, u32::MAX] {
        let mut probe = Probe::new(&config);
        let key = probe.call(Remote::server(1), 60_000);
        let unscheduled: u32 = probe.take_data().iter().map(|data| data.1).sum();
        let id = probe.endpoint.info(key).unwrap().id.flipped();
        let port = probe.endpoint.port(probe.client_socket).unwrap();
        let header =
            Header::new(4000, port, id, Body::Grant(Grant::new(offset, Priority::HIGHEST)));
        let meta = PacketMeta { peer: Remote::server(1).addr, local: LocalAddr::ANY };
        for _ in 0..3 {
            probe.endpoint.handle_packet(probe.now, meta, &header, 0);
        }
        // No more than a few are asked for, lest a message without end fill the memory.
        let packets = std::iter::from_fn(|| probe.endpoint.poll_transmit(probe.now)).take(1_000);
        let payloads: Vec<_> = packets.filter_map(|packet| Some(packet.payload?.1)).collect();
        let sent: u32 = payloads.iter().map(|payload| payload.len()).sum();
        assert_eq!(unscheduled + sent, 60_000, "each byte once");
        assert_eq!(payloads.last().map(|payload| payload.end), Some(60_000));
    }
}

#[test]
fn resend__of_no_rpc_changes_none() {
    assert_unheard(Body::Resend(Resend::all(Priority::LOWEST)));
}

#[test]
fn busy__of_no_rpc_changes_none() {
    assert_unheard(Body::Busy);
}

#[test]
fn need_ack__of_no_rpc_changes_none() {
    assert_unheard(Body::NeedAck);
}

#[test]
fn refuse__of_no_rpc_changes_none() {
    assert_unheard(Body::Refuse(Refuse { reason: RefuseReason::DroppedUnanswered, detail: 0 }));
}

#[test]
fn cutoffs__of_no_rpc_change_none() {
    assert_unheard(Body::Cutoffs(Cutoffs { cutoffs: [u32::MAX; 8], version: 666 }));
}

#[test]
fn freeze__changes_nothing() {
    let everything = |probe: &mut Probe, targets: &[Target]| {
        for target in targets {
            target.send(probe, Body::Freeze);
            target.misnamed().into_iter().for_each(|t| t.send(probe, Body::Freeze));
        }
    };
    for story in STORIES {
        story(&nothing).assert_unchanged(&story(&everything));
    }
}

/// ICMP "unreachable" is believed if it quotes a packet that was sent for an open RPC.
#[test]
fn unreachable__of_no_rpc_changes_none() {
    fn report(probe: &mut Probe, target: Target, peer: PeerAddr) {
        let quoted = QuotedPacket {
            source_port: target.port,
            dest_port: target.from.port,
            sender_id: target.sender_id.flipped(),
        };
        let kind = Unreachable::Port;
        probe.endpoint.handle_unreachable(probe.now, peer, Some(quoted), kind);
        probe.drain();
    }
    let misnamed = |probe: &mut Probe, targets: &[Target]| {
        for target in targets.iter().flat_map(|target| target.misnamed()) {
            report(probe, target, target.from.addr);
        }
    };
    let named = |probe: &mut Probe, targets: &[Target]| {
        targets.iter().for_each(|&target| report(probe, target, target.from.addr));
    };
    for story in STORIES {
        let calm = story(&nothing);
        calm.assert_unchanged(&story(&misnamed));
        assert!(calm != story(&named), "the right name makes a difference");
    }
}

/// ICMP "fragmentation needed" about hosts that are no peers takes no memory, and no place of theirs.
#[test]
fn path_mtu__of_strangers_is_ignored() {
    let mut config = Config::default();
    config.limits.peers_max = 4;
    let mut probe = Probe::new(&config);
    for host in 0..200 {
        probe.endpoint.handle_path_mtu(Remote::client(host).addr, 600);
        assert!(!probe.endpoint.knows_peer(&Remote::client(host).addr));
    }
    probe.call(Remote::server(1), 9_000);
    assert_eq!(probe.take_data()[0].1, 1416, "the default");
}

/// It lowers the MTU of a peer to what any path carries, and raises it never.
#[test]
fn path_mtu__has_a_floor_and_never_rises() {
    let v6 = PeerAddr::from(SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, 1], 4000)));
    let headers = |peer: PeerAddr| if peer.is_ipv6() { 40 + 8 + 56 } else { 20 + 8 + 56 };
    for (peer, least) in [(Remote::server(1).addr, 552 - 64), (v6, 1_280 - 64)] {
        let mut probe = Probe::new(&Config::default());
        let server = Remote { addr: peer, port: 4000 };
        let segment = |probe: &mut Probe| {
            probe.call(server, 3_000);
            probe.take_data()[0].1
        };
        assert_eq!(segment(&mut probe), 1_500 - headers(peer));
        for (reported, carries) in [(9_000, 1_500), (1_400, 1_400), (1_500, 1_400), (0, least)] {
            probe.endpoint.handle_path_mtu(peer, reported);
            assert_eq!(segment(&mut probe), carries - headers(peer), "{reported} reported");
        }
    }
}

/// A dead server's calls fail in time, though somebody goes on sending in its name: requests of its
/// own, which are as good as any client's, and packets that say more about those.
#[test]
fn requests__in_a_servers_name_do_not_make_it_look_alive() {
    let outcomes = |attacked: bool| {
        let mut config = Config::default();
        config.pacing = false;
        let mut probe = Probe::new(&config);
        let server = Remote::server(1);
        (0..20).for_each(|_| {
            probe.call(server, 100);
        });
        probe.take_events();
        let mut failed = Vec::new();
        for n in 0..400 {
            if attacked {
                let first = Body::Data(Data { retransmit: n > 0, ..data(60_000, 0, 40_000) });
                probe.request(server, 8, first, 1416);
                probe.request(server, 8, Body::Busy, 0);
            }
            // More seldom than calls wait for their server, so that they would take turns.
            probe.advance(Duration::from_millis(6));
            let is_failure =
                |event: &homa_proto::Event| matches!(event, homa_proto::Event::Failed { .. });
            let failures = probe.take_events().iter().filter(|event| is_failure(event)).count();
            failed.extend((0..failures).map(|_| probe.now));
        }
        failed
    };
    let calm = outcomes(false);
    assert_eq!(calm.len(), 20);
    assert_eq!(outcomes(true), calm);
}
