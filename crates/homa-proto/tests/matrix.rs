//! Every packet type in every state of an RPC: PROTOCOL section 3's summary matrix, as amended by
//! DRAFT section 3.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{Config, Duration, Event, Failure, Priority, RefuseReason, RpcId, RpcKey, Stats};
use homa_testkit::{Probe, Remote, data};
use homa_wire::{Ack, AckList, Body, Cutoffs, Data, Grant, PacketType, Refuse, Resend};

/// Columns of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Situation {
    UnknownAtClient,
    UnknownAtServer,
    Requesting,
    Receiving,
    Complete,
    Collecting,
    Ready,
    InService,
    Replying,
    Refused,
}
use Situation::*;

const ALL: [Situation; 10] = [
    UnknownAtClient,
    UnknownAtServer,
    Requesting,
    Receiving,
    Complete,
    Collecting,
    Ready,
    InService,
    Replying,
    Refused,
];

/// The request id of the server's situations.
const ID: u64 = 1000;
const LENGTH: u32 = 60_000;

/// An endpoint in a situation, and what the other side of the RPC in question sends.
struct Scene {
    probe: Probe,
    key: Option<RpcKey>,
    remote: Remote,
    port: u16,
    sender_id: RpcId,
}

/// With the limit on what peers draw, or without.
fn config(limited: bool) -> Config {
    let mut config = Config::default();
    config.amplification = config.amplification.filter(|_| limited);
    config.pacing = false;
    config
}

/// Each situation without the limit on what peers draw and with it. Every cell is the same for a client
/// that has shown its address. For others only Replying differs, whose response waits: what is asked
/// for by GRANT or RESEND comes when there is credit (ADR 0009, `tests/attacks/amplification.rs`).
fn scenes(situations: &[Situation]) -> impl Iterator<Item = (Situation, Scene)> + '_ {
    let both = |&situation: &Situation| [false, true].map(|limited| (situation, limited));
    let all = situations.iter().flat_map(both);
    all.map(|(situation, limited)| (situation, Scene::new(situation, limited)))
}

/// The client echoes the version that it was told, in a request that it gives up again.
fn prove(probe: &mut Probe, client: Remote) {
    probe.request(client, ID - 2, Body::Data(data(3_000, 0, 3_000)), 1416);
    let told = probe.take_bodies().into_iter().find_map(|body| match body {
        Body::Cutoffs(cutoffs) => Some(cutoffs.version),
        _ => None,
    });
    let cutoff_version = told.expect("a new peer is told");
    let echo = Data { cutoff_version, ..data(3_000, 1416, 3_000) };
    probe.request(client, ID - 2, Body::Data(echo), 100);
    probe.request(client, ID - 2, Body::RpcUnknown, 0);
    assert_eq!(probe.endpoint.stats().addresses_validated, 1);
}

impl Scene {
    fn new(situation: Situation, limited: bool) -> Self {
        match situation {
            UnknownAtClient | Requesting | Receiving | Complete => {
                Self::at_client(situation, limited)
            }
            _ => Self::at_server(situation, limited),
        }
    }

    fn at_client(situation: Situation, limited: bool) -> Self {
        let mut probe = Probe::new(&config(limited));
        let remote = Remote::server(1);
        let key = probe.call(remote, LENGTH);
        let sender_id = probe.endpoint.info(key).unwrap().id.flipped();
        let port = probe.endpoint.port(probe.client_socket).unwrap();
        match situation {
            UnknownAtClient => probe.endpoint.abort(probe.now, key),
            Receiving => probe.answer(key, Body::Data(data(LENGTH, 0, 40_000)), 1416),
            Complete => probe.answer(key, Body::Data(data(100, 0, 100)), 100),
            _ => {}
        }
        probe.drain();
        probe.take_sent();
        probe.take_events();
        let key = Some(key).filter(|&key| probe.endpoint.info(key).is_some());
        Self { probe, key, remote, port, sender_id }
    }

    fn at_server(situation: Situation, limited: bool) -> Self {
        let mut probe = Probe::new(&config(limited));
        let remote = Remote::client(2);
        if limited {
            prove(&mut probe, remote);
        }
        let whole = Body::Data(data(100, 0, 100));
        match situation {
            Collecting => probe.request(remote, ID, Body::Data(data(LENGTH, 0, 40_000)), 1416),
            Ready => probe.request(remote, ID, whole, 100),
            InService | Replying | Refused => {
                let key = probe.accept_request(remote, ID, 100);
                match situation {
                    Replying => probe.reply(key, LENGTH),
                    Refused => {
                        probe.endpoint.refuse(probe.now, key, RefuseReason::DroppedUnanswered);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        probe.drain();
        probe.take_sent();
        probe.take_events();
        Self { probe, key: None, remote, port: 4000, sender_id: RpcId(ID) }
    }

    /// Takes in a packet of the RPC; returns the control packets and DATA sent in answer.
    fn receive(&mut self, body: Body, payload_len: u32) -> Vec<Body> {
        self.probe.receive(self.remote, self.port, self.sender_id, body, payload_len);
        let mut bodies = self.probe.take_bodies();
        bodies.retain(|body| !matches!(body, Body::Cutoffs(_)));
        bodies
    }

    fn is_open(&self) -> bool {
        self.probe.endpoint.client_rpcs() + self.probe.endpoint.server_rpcs() > 0
    }

    fn stats(&self) -> &Stats {
        self.probe.endpoint.stats()
    }
}

fn is_data(body: &Body) -> bool {
    matches!(body, Body::Data(_))
}

/// Row DATA. HOMA-ONCE-4, HOMA-DATA-2.
#[test]
fn data__in_every_situation() {
    for (situation, mut scene) in scenes(&ALL) {
        let answers = scene.receive(Body::Data(data(LENGTH, 1416, 40_000)), 1416);
        let stats = scene.stats().clone();
        match situation {
            UnknownAtClient => {
                assert_eq!((stats.unknown_rpcs, answers), (1, vec![]), "nothing is sent back");
            }
            UnknownAtServer => assert_eq!(scene.probe.endpoint.server_rpcs(), 1),
            Requesting => assert_eq!(stats.client_responses_started, 1),
            Receiving | Collecting => assert_eq!(stats.packet_discards, 0),
            Complete | Ready | InService | Replying => {
                assert_eq!((stats.packet_discards, answers), (1, vec![]), "{situation:?}");
            }
            Refused => assert!(matches!(answers[..], [Body::Refuse(_)]), "told again"),
        }
    }
}

/// Row DATA: whatever becomes of the payload, the ack that it takes along counts (HOMA-DATA-7).
#[test]
fn ack_in_data__counts_in_every_situation() {
    let at_server = [UnknownAtServer, Collecting, Ready, InService, Replying, Refused];
    for (situation, mut scene) in scenes(&at_server) {
        let other = scene.probe.accept_request(scene.remote, ID + 2, 100);
        scene.probe.reply(other, 100);
        let ack = Some(Ack { client_id: RpcId(ID + 2), server_port: 4000 });
        scene.receive(Body::Data(Data { ack, ..data(LENGTH, 1416, 40_000) }), 1416);
        assert!(scene.probe.endpoint.info(other).is_none(), "{situation:?}");
        assert_eq!(scene.stats().server_rpcs_acked, 1, "{situation:?}");
    }
}

/// KNOWN_ISSUES 1.9: a priority above the levels in use is clamped, in GRANT and in RESEND.
#[test]
fn priorities__above_the_levels_in_use_are_clamped() {
    let mut config = config(true);
    config.priority_levels = 4;
    let mut probe = Probe::new(&config);
    let key = probe.call(Remote::server(1), LENGTH);
    let grant = Body::Grant(Grant::new(LENGTH, Priority::HIGHEST));
    let resend = Body::Resend(Resend::new(0, 1000, Priority::HIGHEST));
    for body in [grant, resend] {
        probe.take_sent();
        probe.answer(key, body, 0);
        let sent = probe.take_sent();
        let levels: Vec<_> = sent.iter().map(|transmit| transmit.priority.level()).collect();
        assert!(!levels.is_empty() && levels.iter().all(|&level| level == 3), "{levels:?}");
    }
}

/// Row GRANT.
#[test]
fn grant__in_every_situation() {
    for (situation, mut scene) in scenes(&ALL) {
        let grant = Grant { offset: 50_000, priority: Priority::HIGHEST, resend_all: None };
        let answers = scene.receive(Body::Grant(grant), 0);
        match situation {
            Requesting | Replying => {
                assert_eq!(answers.len(), 10_000_usize.div_ceil(1416), "{situation:?}");
                assert!(answers.iter().all(is_data));
            }
            _ => assert_eq!(answers, [], "{situation:?}"),
        }
        // The ack overtook it: normal at a server, so not counted.
        let counted = scene.stats().unknown_rpcs;
        assert_eq!(counted, u64::from(situation == UnknownAtClient), "{situation:?}");
    }
}

/// Row RESEND. HOMA-RESEND-13: every RESEND is responded to. HOMA-UNKNOWN-1, HOMA-BUSY-1.
#[test]
fn resend__in_every_situation() {
    for (situation, mut scene) in scenes(&ALL) {
        let resend = Resend::new(0, 1000, Priority::HIGHEST);
        let answers = scene.receive(Body::Resend(resend), 0);
        let [answer] = answers[..] else { panic!("{situation:?}: {answers:?}") };
        match situation {
            UnknownAtClient | UnknownAtServer => assert_eq!(answer, Body::RpcUnknown),
            Requesting | Replying => assert!(is_data(&answer), "{situation:?}: {answer:?}"),
            Refused => assert!(matches!(answer, Body::Refuse(_))),
            // Who misses a part of the response was answered by an earlier life of this host.
            Collecting => assert_eq!(answer, Body::RpcUnknown),
            _ => assert_eq!(answer, Body::Busy, "{situation:?}"),
        }
    }
    let mut scene = Scene::new(Collecting, true);
    let answers = scene.receive(Body::Resend(Resend::all(Priority::HIGHEST)), 0);
    assert_eq!(answers, [Body::Busy], "nothing of the response has come");
}

/// Row RPC_UNKNOWN. HOMA-ONCE-3: once the response has begun, the request is not sent again.
#[test]
fn rpc_unknown__in_every_situation() {
    for (situation, mut scene) in scenes(&ALL) {
        let answers = scene.receive(Body::RpcUnknown, 0);
        match situation {
            Requesting => {
                assert_eq!(answers.len(), 40_000_usize.div_ceil(1416), "all that was sent");
                assert!(answers.iter().all(is_data));
            }
            Receiving | Complete => assert!(scene.is_open() && answers.is_empty()),
            _ => assert!(!scene.is_open() && answers.is_empty(), "{situation:?}"),
        }
        let cancelled = scene.probe.take_events().len();
        let told = matches!(situation, Collecting | Ready | InService | Replying);
        assert_eq!(cancelled, usize::from(told), "{situation:?}: the application hears of it");
    }
}

/// Row BUSY.
#[test]
fn busy__in_every_situation() {
    for (situation, mut scene) in scenes(&ALL) {
        let open = scene.is_open();
        assert_eq!(scene.receive(Body::Busy, 0), [], "{situation:?}");
        assert_eq!(scene.is_open(), open);
        assert_eq!(scene.probe.take_events(), []);
    }
}

/// Row BUSY: it renews an RPC's patience, so that a message that is owed is not given up. Without
/// it each of these ends within 200 ms.
#[test]
fn busy__renews_the_rpc() {
    for busy in [true, false] {
        for (situation, mut scene) in scenes(&[Requesting, Receiving, Collecting]) {
            if situation == Requesting {
                scene.receive(Body::Grant(Grant::new(LENGTH, Priority::LOWEST)), 0);
            }
            for _ in 0..20 {
                scene.probe.advance(Duration::from_millis(50));
                if busy {
                    scene.receive(Body::Busy, 0);
                }
            }
            assert_eq!(scene.is_open(), busy, "{situation:?}");
        }
    }
}

/// Row BUSY: at a server that has its request it means only that the client is alive.
#[test]
fn busy__keeps_a_request_that_has_arrived() {
    for (situation, mut scene) in scenes(&[InService, Replying]) {
        for _ in 0..5 {
            scene.probe.advance(Duration::from_secs(9));
            scene.receive(Body::Busy, 0);
        }
        assert!(scene.is_open(), "{situation:?}");
        scene.probe.advance(Duration::from_secs(11));
        assert!(!scene.is_open(), "{situation:?}: silent for longer");
    }
}

/// Row CUTOFFS: the peer's cutoffs are updated (HOMA-CUTOFFS-7), if they name an open RPC.
#[test]
fn cutoffs__in_every_situation() {
    for (situation, mut scene) in scenes(&ALL) {
        let open = ![UnknownAtClient, UnknownAtServer].contains(&situation);
        let cutoffs = Cutoffs { cutoffs: [u32::MAX, 0, 0, 500, 0, 0, 0, 0], version: 7 };
        assert_eq!(scene.receive(Body::Cutoffs(cutoffs), 0), [], "{situation:?}");
        scene.probe.call(scene.remote.with_port(4000), 400);
        let sent = scene.probe.take_sent();
        let Some(Body::Data(data)) = sent.last().map(|t| t.header.body) else { panic!("{sent:?}") };
        let expected = if open { (7, 3) } else { (0, 6) };
        let got = (data.cutoff_version, sent.last().unwrap().priority.level());
        assert_eq!(got, expected, "{situation:?}");
    }
}

/// Row NEED_ACK. HOMA-NEEDACK-6, HOMA-NEEDACK-8, HOMA-NEEDACK-9, HOMA-ACK-1.
#[test]
fn need_ack__in_every_situation() {
    for (situation, mut scene) in scenes(&ALL) {
        if situation == Requesting {
            // Everything permitted must be out before the response is asked for.
            scene.receive(Body::Grant(Grant::new(LENGTH, Priority::LOWEST)), 0);
        }
        let answers = scene.receive(Body::NeedAck, 0);
        match situation {
            UnknownAtClient | Complete => {
                assert_eq!(answers, [Body::Ack(AckList::new())], "{situation:?}");
            }
            Requesting | Receiving => {
                assert!(matches!(answers[..], [Body::Resend(_)]), "{situation:?}: {answers:?}");
            }
            // A client has no business to ask.
            _ => assert_eq!(answers, [], "{situation:?}"),
        }
    }
}

/// Row ACK. KNOWN_ISSUES 1.5: only a server's RPC whose response was sent in full can be
/// acknowledged. HOMA-ACK-2.
#[test]
fn ack__in_every_situation() {
    for (situation, mut scene) in scenes(&ALL) {
        let open = scene.is_open();
        assert_eq!(scene.receive(Body::Ack(AckList::new()), 0), []);
        assert_eq!(scene.is_open(), open, "{situation:?}: 40,000 of 60,000 bytes were sent");
        if situation == Replying {
            scene.receive(Body::Grant(Grant::new(LENGTH, Priority::LOWEST)), 0);
            scene.receive(Body::Ack(AckList::new()), 0);
            assert!(!scene.is_open());
            assert_eq!(scene.stats().server_rpcs_acked, 1);
        }
    }
}

/// The extension REFUSE: a client believes it while no byte of the response has come.
#[test]
fn refuse__in_every_situation() {
    for (situation, mut scene) in scenes(&ALL) {
        let open = scene.is_open();
        let refuse = Refuse { reason: RefuseReason::TooLong, detail: 77 };
        assert_eq!(scene.receive(Body::Refuse(refuse), 0), [], "never answered");
        let events = scene.probe.take_events();
        if situation == Requesting {
            let failure = Failure::Refused { reason: RefuseReason::TooLong, detail: 77 };
            assert_eq!(events, [Event::Failed { key: scene.key.unwrap(), failure }]);
        } else {
            assert_eq!((events, scene.is_open()), (vec![], open), "{situation:?}");
        }
    }
}

/// FREEZE is dropped and counted, unless it is enabled (DRAFT section 3).
#[test]
fn freeze__in_every_situation() {
    for (_, mut scene) in scenes(&ALL) {
        let open = scene.is_open();
        assert_eq!(scene.receive(Body::Freeze, 0), []);
        assert_eq!((scene.stats().freezes_ignored, scene.is_open()), (1, open));
    }
}

/// KNOWN_ISSUES 1.5, 1.10: packets from another address, or from another port of the same one,
/// change nothing and get nothing of the RPC.
#[test]
fn strangers__change_nothing() {
    let bodies = [
        Body::Data(data(LENGTH, 1416, 40_000)),
        Body::Grant(Grant::new(50_000, Priority::HIGHEST)),
        Body::Resend(Resend::all(Priority::HIGHEST)),
        Body::RpcUnknown,
        Body::Busy,
        Body::Ack(AckList::new()),
        Body::Refuse(Refuse { reason: RefuseReason::NoPort, detail: 0 }),
    ];
    let of_rpc = [Requesting, Receiving, Complete, Collecting, Ready, InService, Replying];
    for (body, is_near) in bodies.iter().flat_map(|&body| [(body, true), (body, false)]) {
        for (situation, mut scene) in scenes(&of_rpc) {
            let near = scene.remote.with_port(1234);
            let stranger = if is_near { near } else { Remote::client(9) };
            if situation == Replying {
                scene.receive(Body::Grant(Grant::new(LENGTH, Priority::LOWEST)), 0);
            }
            let before = (scene.probe.endpoint.client_rpcs(), scene.stats().packet_discards);
            scene.remote = stranger;
            let answers = scene.receive(body, 1416 * u32::from(is_data(&body)));
            assert!(!answers.iter().any(is_data), "{situation:?}, {body:?}: {answers:?}");
            let after = (scene.probe.endpoint.client_rpcs(), scene.stats().packet_discards);
            assert_eq!(before, after, "{situation:?}, {body:?}");
            let own_rpcs = u32::from(scene.key.is_none());
            let of_stranger = scene.probe.endpoint.server_rpcs() - own_rpcs;
            let may_begin = is_data(&body) && stranger.addr == Remote::client(9).addr;
            assert!(of_stranger == 0 || may_begin, "{situation:?}, {body:?}");
            let events = scene.probe.take_events();
            let foreign = |e: &Event| matches!(e, Event::RequestStarted { .. });
            assert!(events.iter().all(foreign), "{situation:?}, {body:?}: {events:?}");
        }
    }
}

/// HOMA-HDR-4, HOMA-HDR-12: the types that each side sends, over whole RPCs with losses.
#[test]
fn packet_types__of_a_whole_run() {
    use homa_testkit::{FaultPlan, Network};
    let mut faults = FaultPlan::perfect(Duration::from_micros(10));
    faults.drop_permille = 100;
    let mut network = Network::new(2, &Config::default(), faults);
    for n in 1..60 {
        network.call(0, 1, n * 3000).unwrap();
    }
    assert!(network.run_until_quiet(Duration::from_secs(30)));
    let (client, server) = (network.host(0).endpoint.stats(), network.host(1).endpoint.stats());
    let count = |stats: &Stats, kind: PacketType| stats.packets_sent[kind.index()];
    assert_eq!(count(client, PacketType::NeedAck), 0);
    assert_eq!(count(server, PacketType::Ack), 0);
    assert_eq!(count(client, PacketType::Freeze) + count(server, PacketType::Freeze), 0);
    assert!(count(server, PacketType::NeedAck) > 0 && count(client, PacketType::Ack) > 0);
}
