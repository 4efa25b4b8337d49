//! The order and the pace of sending (PROTOCOL section 10), and what DATA carries.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{
    CallOptions, Config, Duration, Event, Instant, LocalAddr, PacketMeta, Priority, RpcKey, RunMax,
};
use homa_testkit::{FaultPlan, Network, Outcome, Probe, Remote, data};
use homa_wire::{Body, Data, Grant, Header, Resend};

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// The keys of DATA packets sent, in order, repetitions left out.
fn order(probe: &mut Probe) -> Vec<RpcKey> {
    let sent = probe.take_sent();
    let mut keys: Vec<_> = sent.iter().filter_map(|t| t.payload.map(|(key, _)| key)).collect();
    keys.dedup();
    keys
}

/// HOMA-PACER-1: shortest remaining first, the older of equals first.
#[test]
fn messages__leave_in_order_of_their_remaining_bytes() {
    let mut config = Config::default();
    config.pacing = false;
    let mut probe = Probe::new(&config);
    let (now, socket, to) = (probe.now, probe.client_socket, Remote::server(1));
    let keys = [30_000, 5_000, 20_000, 5_000, 90_000].map(|length| {
        let options = CallOptions::default();
        probe.endpoint.send_request(now, socket, to.addr, to.port, length, options).unwrap()
    });
    probe.drain();
    assert_eq!(order(&mut probe), [1, 3, 2, 0, 4].map(|n| keys[n]));
}

/// All that waits to be sent: DATA by its key and bytes, cut into packets, and at the level that it has.
fn drain_runs(probe: &mut Probe, max: RunMax) -> Vec<(RpcKey, u32, u32, Priority)> {
    let mut packets = Vec::new();
    while let Some(transmit) = probe.endpoint.poll_transmit_run(probe.now, max) {
        assert!(transmit.packets() <= max.packets, "{transmit:?}");
        let Some((key, payload)) = transmit.payload else { continue };
        let segment = transmit.segment_bytes;
        assert!(transmit.packets() == 1 || payload.len() <= max.bytes, "{transmit:?}");
        for start in (payload.start..payload.end).step_by(segment as usize) {
            packets.push((key, start, payload.end.min(start + segment), transmit.priority));
        }
    }
    packets
}

/// Whoever polls runs sends what others send, and counts the same.
#[test]
fn poll_transmit_run__is_what_comes_one_by_one() {
    let mut config = Config::default();
    config.pacing = false;
    let drained = [(1, 0), (2, 4_000), (64, 62_500), (64, u32::MAX)].map(|(packets, bytes)| {
        let mut probe = Probe::new(&config);
        let (now, socket) = (probe.now, probe.client_socket);
        let to = Remote::server(1);
        let options = CallOptions::default();
        let keys = [30_000, 900, 5_000, 90_000, 5_000].map(|length| {
            probe.endpoint.send_request(now, socket, to.addr, to.port, length, options).unwrap()
        });
        let max = RunMax { packets, bytes };
        let mut sent = drain_runs(&mut probe, max);
        for (offset, level) in [(55_000, 2), (80_001, 1), (90_000, 0)] {
            let grant = Body::Grant(Grant::new(offset, Priority::clamped(level)));
            let info = probe.endpoint.info(keys[3]).unwrap();
            let port = probe.endpoint.port(info.socket).unwrap();
            let header = Header::new(to.port, port, info.id.flipped(), grant);
            let meta = PacketMeta { peer: to.addr, local: LocalAddr::ANY };
            assert!(probe.endpoint.handle_packet(now, meta, &header, 0).is_none());
            sent.extend(drain_runs(&mut probe, max));
        }
        assert_eq!(probe.take_sent(), [], "all of it was polled here");
        let stats = probe.endpoint.stats();
        (sent, stats.packets_sent, stats.priority_packets, stats.priority_bytes)
    });
    assert!(drained[0].0.len() > 80);
    assert!(drained.iter().all(|other| *other == drained[0]), "{drained:?}");
}

/// A run is no longer than what the pacer lets go at a time.
#[test]
fn poll_transmit_run__keeps_to_the_pace() {
    let mut config = Config::default();
    config.link_mbps = 10_000;
    config.pacer.backlog_max = micros(20);
    config.pacer.fifo_share_permille = 0;
    config.unscheduled_bytes = 1_000_000;
    let mut probe = Probe::new(&config);
    let (now, socket, to) = (probe.now, probe.client_socket, Remote::server(1));
    let options = CallOptions::default();
    probe.endpoint.send_request(now, socket, to.addr, to.port, 1_000_000, options).unwrap();
    let max = RunMax { packets: 64, bytes: u32::MAX };
    let sent = drain_runs(&mut probe, max);
    // 20 us of 10 Gb/s at 99 % are 24,750 bytes, of which headers take a part, and a packet more.
    assert_eq!(sent.len(), 17);
    assert_eq!(drain_runs(&mut probe, max), []);
}

/// HOMA-DATA-14: a message that is wholly scheduled is announced before shorter ones that wait, at their level,
/// and sends nothing else until it is granted.
#[test]
fn wholly_scheduled_message__is_announced_first() {
    let mut config = Config::default();
    config.pacing = false;
    config.wholly_scheduled_min = 50_000;
    config.cutoffs.fixed = Some([u32::MAX, 20_000, 10_000, 5_000, 500, 400, 300, 200]);
    let mut probe = Probe::new(&config);
    let (now, socket, to) = (probe.now, probe.client_socket, Remote::server(1));
    let [long, short] = [50_000, 49_999].map(|length| {
        let options = CallOptions::default();
        probe.endpoint.send_request(now, socket, to.addr, to.port, length, options).unwrap()
    });
    probe.drain();
    let sent = probe.take_sent();
    assert!(sent[0].payload.is_none() && sent[0].priority == Priority::HIGHEST, "{:?}", sent[0]);
    let Body::Data(announcement) = sent[0].header.body else { panic!("{:?}", sent[0]) };
    assert_eq!((announcement.message_length, announcement.incoming), (50_000, 0));
    let others = sent[1..].iter().map(|transmit| transmit.payload.unwrap().0);
    assert!(others.into_iter().all(|key| key == short));
    assert_eq!(probe.take_data(), []);
    probe.answer(long, Body::Grant(Grant::new(1_000, Priority::clamped(1))), 0);
    assert_eq!(probe.take_sent()[0].priority, Priority::clamped(1));
}

/// HOMA-PACER-2, HOMA-PACER-3, HOMA-PACER-4, HOMA-PACER-5, HOMA-PACER-7: long messages leave at
/// slightly less than the link's speed, a short one and control packets at once.
#[test]
fn pacer__holds_back_long_messages_only() {
    let mut config = Config::default();
    config.link_mbps = 1_000;
    config.pacer.fifo_share_permille = 0;
    config.unscheduled_bytes = 1_000_000;
    let mut probe = Probe::new(&config);
    let (server, start) = (Remote::server(1), probe.now);
    probe.call(server, 1_000_000);
    assert!(probe.take_data().len() <= 2, "about 5 us of the link");
    probe.advance(micros(1000));
    let sent: u64 = probe.take_data().iter().map(|d| u64::from(d.1)).sum();
    // 125,000 bytes a millisecond at 99%, of which headers take a part.
    assert!((112_000..124_000).contains(&sent), "{sent} bytes in a millisecond");
    let short = probe.call(server, 900);
    assert_eq!(order(&mut probe), [short], "it does not wait");
    let resend = Body::Resend(Resend::all(Priority::HIGHEST));
    probe.request(Remote::client(2), 2, resend, 0);
    assert_eq!(probe.take_bodies(), [Body::RpcUnknown], "nor do control packets");
    probe.advance(micros(10_000));
    let sent = probe.take_sent_at();
    let finished = sent.last().map(|(at, _)| at.saturating_since(start).as_micros());
    assert!((8_000..9_000).contains(&finished.unwrap()), "{finished:?}");
    assert!(probe.endpoint.stats().pacer_pauses > 100);
    assert!(probe.endpoint.poll_timeout() > Some(probe.now));
}

/// HOMA-PACER-8: a share of the paced bytes is the oldest message's.
#[test]
fn pacer__reserves_a_share_for_the_oldest() {
    let mut config = Config::default();
    config.link_mbps = 1_000;
    config.unscheduled_bytes = 1_000_000;
    config.pacer.fifo_share_permille = 100;
    let mut probe = Probe::new(&config);
    let server = Remote::server(1);
    let oldest = probe.call(server, 1_000_000);
    for _ in 0..12 {
        probe.call(server, 90_000);
    }
    probe.take_sent();
    probe.advance(micros(8_000));
    let sent = probe.take_sent();
    let bytes_of = |wanted: bool| {
        let of =
            sent.iter().filter_map(|t| t.payload).filter(|(key, _)| (*key == oldest) == wanted);
        of.map(|(_, payload)| u64::from(payload.len())).sum::<u64>()
    };
    let (own, others) = (bytes_of(true), bytes_of(false));
    let permille = own * 1000 / (own + others);
    assert!((80..=120).contains(&permille), "{permille} per mille");
    assert!(probe.endpoint.stats().pacer_fifo_bytes > 0);
}

/// There is no link to peers on the same host.
#[test]
fn pacer__leaves_loopback_alone() {
    let mut config = Config::default();
    config.link_mbps = 10;
    config.unscheduled_bytes = 1_000_000;
    let mut probe = Probe::new(&config);
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], 4000));
    let server = Remote { addr: local.into(), ..Remote::server(1) };
    probe.call(server, 1_000_000);
    let sent: u32 = probe.take_data().iter().map(|(_, length, _)| length).sum();
    assert_eq!(sent, 1_000_000);
    assert_eq!(probe.endpoint.stats().pacer_pauses, 0);
    // Nor do they take anything from those behind it.
    probe.call(Remote::server(2), 5_000);
    assert!(!probe.take_data().is_empty());
}

/// A driver that knows its queue slows the pacer down (HOMA-PACER-3).
#[test]
fn handle_tx_backlog__holds_back() {
    let mut config = Config::default();
    config.link_mbps = 1_000;
    let mut probe = Probe::new(&config);
    // 125,000 bytes take a millisecond.
    probe.endpoint.handle_tx_backlog(probe.now, 125_000);
    probe.call(Remote::server(1), 20_000);
    assert_eq!(probe.take_data(), []);
    probe.advance(micros(900));
    assert_eq!(probe.take_data(), []);
    probe.advance(micros(200));
    assert!(!probe.take_data().is_empty());
}

/// HOMA-PACER-2, HOMA-PACER-3: what is sent again fills the link like all else, and is held back like it.
#[test]
fn retransmissions__keep_to_the_pace_of_the_link() {
    let mut config = Config::default();
    config.link_mbps = 1_000;
    let mut probe = Probe::new(&config);
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], 4000));
    let local = Remote { addr: local.into(), ..Remote::server(1) };
    let calls = [(Remote::server(2), 20_000), (Remote::server(1), 900), (local, 20_000)];
    let keys = calls.map(|(to, length)| probe.call(to, length));
    probe.advance(micros(1_000));
    probe.take_sent();
    // 125,000 bytes take a millisecond.
    probe.endpoint.handle_tx_backlog(probe.now, 125_000);
    for key in keys {
        probe.answer(key, Body::Resend(Resend::all(Priority::HIGHEST)), 0);
    }
    assert_eq!(order(&mut probe), keys[1..], "the short one, and that over no link");
    probe.advance(micros(900));
    assert_eq!(order(&mut probe), []);
    probe.advance(micros(300));
    let (start, sent) = (probe.now, probe.take_data());
    assert!(sent.iter().all(|data| data.2) && sent.len() == 15, "{sent:?}");
    assert!(probe.endpoint.poll_timeout() > Some(start));
}

/// Neither what is sent again nor what is sent for the first time waits for the end of the other.
#[test]
fn retransmissions__take_turns_with_first_transmissions() {
    let mut config = Config::default();
    config.link_mbps = 1_000;
    let mut probe = Probe::new(&config);
    let again = probe.call(Remote::server(1), 20_000);
    probe.advance(micros(1_000));
    probe.take_sent();
    probe.call(Remote::server(2), 20_000);
    probe.answer(again, Body::Resend(Resend::all(Priority::HIGHEST)), 0);
    probe.advance(micros(1_000));
    let sent: Vec<_> = probe.take_data().iter().map(|data| data.2).collect();
    assert_eq!(sent.len(), 30);
    // The last packet is short, and waits for nothing.
    assert!(sent[..27].windows(2).all(|two| two[0] != two[1]), "{sent:?}");
}

/// The wait for the own link is no silence of the peer: nothing is asked for before all was sent, and
/// nobody is given up, however long that takes.
#[test]
fn retransmissions__that_wait_for_the_link_are_not_the_peers_silence() {
    let mut config = Config::default();
    config.link_mbps = 1_000;
    config.amplification = None;
    let mut probe = Probe::new(&config);
    let call = probe.call(Remote::server(1), 20_000);
    let client = Remote::client(1);
    let reply = probe.accept_request(client, 2, 100);
    probe.reply(reply, 20_000);
    probe.advance(micros(1_000));
    probe.take_sent();
    // Of a second, and 10 ms since 1% of the link is not used: ten times as long as a peer may be silent.
    probe.endpoint.handle_tx_backlog(probe.now, 125_000_000);
    probe.answer(call, Body::Resend(Resend::all(Priority::HIGHEST)), 0);
    probe.request(client, 2, Body::Resend(Resend::all(Priority::HIGHEST)), 0);
    probe.advance(micros(999_000));
    assert_eq!((probe.take_bodies(), probe.take_events()), (vec![], vec![]));
    probe.advance(micros(12_000));
    let sent = probe.take_data();
    assert!(sent.len() == 30 && sent.iter().all(|data| data.2), "{sent:?}");
    assert_eq!(probe.endpoint.stats().resent_packets, 30);
    probe.advance(micros(30_000));
    let asked = probe.take_bodies();
    assert!(asked.iter().any(|body| matches!(body, Body::Resend(_))), "{asked:?}");
    assert!(asked.contains(&Body::NeedAck), "{asked:?}");
}

/// A host whose last RPC has ended does not wake for what that had to send again.
#[test]
fn retransmissions__of_ended_rpcs_are_not_waited_for() {
    let mut probe = Probe::new(&Config::default());
    let call = probe.call(Remote::server(1), 20_000);
    probe.take_sent();
    probe.endpoint.handle_tx_backlog(probe.now, 1 << 40);
    probe.answer(call, Body::Resend(Resend::all(Priority::HIGHEST)), 0);
    assert!(probe.endpoint.poll_timeout().is_some());
    probe.endpoint.abort(probe.now, call);
    probe.drain();
    assert!(probe.endpoint.is_idle());
    assert_eq!(probe.endpoint.poll_timeout(), None);
}

/// HOMA-DATA-1, HOMA-DATA-3, HOMA-DATA-4, HOMA-DATA-6, HOMA-DATA-11, HOMA-MODEL-10, HOMA-MODEL-2: the
/// first packet is DATA, and all of a message say the same.
#[test]
fn data__says_what_the_receiver_needs() {
    let mut config = Config::default();
    config.pacing = false;
    let mut probe = Probe::new(&config);
    let key = probe.call(Remote::server(1), 50_000);
    let info = probe.endpoint.info(key).unwrap();
    let grant = homa_wire::Grant::new(50_000, Priority::LOWEST);
    probe.answer(key, Body::Grant(grant), 0);
    let mut at = 0;
    for transmit in probe.take_sent() {
        let Body::Data(Data { message_length, incoming, ack, retransmit, offset, .. }) =
            transmit.header.body
        else {
            panic!("{transmit:?}")
        };
        assert_eq!((message_length, incoming, ack, retransmit), (50_000, 40_000, None, false));
        assert_eq!(transmit.header.sender_id, info.id);
        assert_eq!(transmit.header.dest_port, 4000);
        let (of, payload) = transmit.payload.unwrap();
        assert_eq!((of, payload.start, offset), (key, at, at));
        at = payload.end;
    }
    assert_eq!(at, 50_000);
}

/// The application may choose the level of a request's unscheduled bytes.
#[test]
fn call_options__priority() {
    let mut config = Config::default();
    config.priority_levels = 6;
    let mut probe = Probe::new(&config);
    for (asked, got) in [(0, 0), (3, 3), (7, 5)] {
        let mut options = CallOptions::default();
        options.priority = Some(Priority::clamped(asked));
        probe.call_with(Remote::server(1), 100, options);
        assert_eq!(probe.take_sent()[0].priority.level(), got);
    }
}

/// HOMA-MODEL-1, HOMA-MODEL-3: RPCs are independent: later and shorter ones end first.
#[test]
fn calls__end_in_any_order() {
    let mut network = Network::new(2, &Config::default(), FaultPlan::perfect(micros(5)));
    let long = network.call(0, 1, 1_000_000).unwrap();
    let short = network.call(0, 1, 100).unwrap();
    let outcome = network.run_until_outcome(0, short, micros(100));
    assert_eq!(outcome, Some(Outcome::Response(100)));
    assert_eq!(network.host(0).outcome(long), None);
    let outcome = network.run_until_outcome(0, long, Duration::from_millis(10));
    assert_eq!(outcome, Some(Outcome::Response(1_000_000)));
}

/// PROTOCOL section 2: a response may come while the request is incomplete: the request is released,
/// and no more of it is sent.
#[test]
fn response__may_come_before_the_request_is_out() {
    let mut probe = Probe::new(&Config::default());
    let key = probe.call(Remote::server(1), 500_000);
    probe.answer(key, Body::Data(data(2000, 0, 2000)), 1416);
    probe.take_sent();
    let release = Event::Release { key };
    assert_eq!(probe.take_events().iter().filter(|event| **event == release).count(), 1);
    let grant = homa_wire::Grant::new(500_000, Priority::LOWEST);
    probe.answer(key, Body::Grant(grant), 0);
    assert_eq!(probe.take_data(), []);
    probe.answer(key, Body::Data(data(2000, 1416, 2000)), 584);
    assert!(probe.take_events().contains(&Event::ResponseComplete { key }));
}

/// Streaming: each longer prefix is announced, gaps hold it back.
#[test]
fn readable__announces_prefixes() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(1);
    for offset in [0, 1000, 3000, 2000] {
        probe.request(client, 2, Body::Data(data(5000, offset, 5000)), 1000);
    }
    let events = probe.take_events();
    let key = match events[0] {
        Event::RequestStarted { key } => key,
        other => panic!("{other:?}"),
    };
    let readable = [1000, 2000, 4000].map(|upto| Event::Readable { key, upto });
    assert_eq!(events[1..], readable);
    probe.request(client, 2, Body::Data(data(5000, 4000, 5000)), 1000);
    assert_eq!(probe.take_events(), [Event::RequestComplete { key }]);
}

/// An observer sees packets in and out and the life of RPCs.
#[test]
fn observer__sees_the_life_of_a_call() {
    use homa_proto::TraceEvent;
    let mut network = Network::new(2, &Config::default(), FaultPlan::perfect(micros(5)));
    network.host_mut(0).keep_trace();
    let key = network.call(0, 1, 100).unwrap();
    let id = network.host(0).endpoint.info(key).unwrap().id;
    network.run_until_outcome(0, key, micros(50)).unwrap();
    let trace = network.host_mut(0).trace();
    let times: Vec<Instant> = trace.iter().map(|(at, _)| *at).collect();
    assert!(times.is_sorted());
    let names: Vec<_> = trace
        .iter()
        .filter_map(|(_, event)| match event {
            TraceEvent::RpcStarted { id: of, .. } if *of == id => Some("started"),
            TraceEvent::PacketSent { .. } => Some("sent"),
            TraceEvent::PacketReceived { header, .. } => match header.body {
                Body::Data(_) => Some("received"),
                _ => None,
            },
            TraceEvent::MessageComplete { id: of, .. } if *of == id => Some("complete"),
            TraceEvent::RpcFinished { id: of } if *of == id => Some("finished"),
            _ => None,
        })
        .collect();
    assert_eq!(names[..5], ["started", "sent", "received", "complete", "finished"]);
}

/// Whether BUSY was sent for an RPC, and for no other.
fn is_told(probe: &mut Probe, key: RpcKey) -> bool {
    let id = probe.endpoint.info(key).unwrap().id;
    let sent = probe.take_sent();
    let told: Vec<_> = sent.iter().filter(|t| matches!(t.header.body, Body::Busy)).collect();
    assert!(told.iter().all(|transmit| transmit.header.sender_id == id), "{told:?}");
    told.len() == 1
}

/// ADR 0013: who has granted to a message that has to wait for another one hears of it, once until some of it
/// is sent.
#[test]
fn tell_held__says_busy_once_while_another_message_goes_before() {
    let mut config = Config::default();
    config.wholly_scheduled_min = 10_000;
    config.tell_held_min = 10_000;
    let mut probe = Probe::new(&config);
    let (now, socket) = (probe.now, probe.client_socket);
    let [long, short] = [(1, 90_000), (2, 80_000)].map(|(server, length)| {
        let to = Remote::server(server);
        let options = CallOptions::default();
        probe.endpoint.send_request(now, socket, to.addr, to.port, length, options).unwrap()
    });
    probe.drain();
    probe.take_sent();
    let grant = |offset| Body::Grant(Grant::new(offset, Priority::LOWEST));
    // The link is busy with the first packets of the short one, so that the rest waits.
    probe.answer(short, grant(60_000), 0);
    assert!(!is_told(&mut probe, short));
    probe.answer(long, grant(10_000), 0);
    assert!(is_told(&mut probe, long));
    probe.answer(long, grant(20_000), 0);
    assert!(!is_told(&mut probe, long), "it has been told");
    // Until the short one has sent what it may.
    probe.advance(Duration::from_millis(1));
    assert!(order(&mut probe).contains(&long));
    probe.answer(long, grant(30_000), 0);
    assert!(!is_told(&mut probe, long));
    // A message that is overtaken is one that waits, too.
    probe.answer(long, grant(80_000), 0);
    probe.answer(short, grant(80_000), 0);
    assert!(is_told(&mut probe, long));
}
