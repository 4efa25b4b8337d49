//! Loss recovery: who asks for what, when, and what the sender does about it (PROTOCOL section 5).
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{Cancelled, Config, Duration, Event, Instant, Priority};
use homa_testkit::{FaultPlan, Network, Outcome, Probe, Remote, data};
use homa_wire::{Body, Data, Grant, PacketType, Resend};
use std::collections::BTreeSet;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn resends(probe: &mut Probe) -> Vec<(u32, u32)> {
    let bodies = probe.take_bodies();
    let ranges = bodies.iter().filter_map(|body| match body {
        Body::Resend(resend) => Some((resend.offset, resend.length)),
        _ => None,
    });
    ranges.collect()
}

fn resend(offset: u32, length: u32) -> Body {
    Body::Resend(Resend::new(offset, length, Priority::clamped(3)))
}

fn retransmission(length: u32, offset: u32, incoming: u32) -> Body {
    Body::Data(Data { retransmit: true, ..data(length, offset, incoming) })
}

/// HOMA-MODEL-4: reordering alone causes no retransmission.
#[test]
fn reordered_packets__are_reassembled_without_resend() {
    let mut probe = Probe::new(&Config::default());
    for offset in [4248, 0, 2832, 1416] {
        probe.request(
            Remote::client(2),
            2,
            Body::Data(data(5000, offset, 5000)),
            1416.min(5000 - offset),
        );
    }
    assert!(probe.complete_request().is_some());
    probe.advance(millis(1000));
    assert_eq!(resends(&mut probe), []);
}

/// HOMA-DATA-14, HOMA-RESEND-13, HOMA-UNKNOWN-1: the announcement of a message without unscheduled
/// bytes is sent again, of a request as of a response, when it was lost.
#[test]
fn lost_announcement__is_sent_again() {
    let mut config = Config::default();
    config.unscheduled_bytes = 0;
    for announcement in [1, 2] {
        let mut network = Network::new(2, &config, FaultPlan::perfect(Duration::from_micros(5)));
        let mut seen = 0;
        network.set_filter(move |_, _, header| {
            let is_announcement =
                matches!(header.body, Body::Data(data) if data.offset == 0 && data.incoming == 0);
            seen += u32::from(is_announcement);
            !is_announcement || seen != announcement
        });
        let key = network.call(0, 1, 5000).unwrap();
        let outcome = network.run_until_outcome(0, key, millis(200));
        assert_eq!(outcome, Some(Outcome::Response(5000)), "announcement {announcement}");
    }
}

/// HOMA-MODEL-5, HOMA-RESEND-2: exactly what is missing is asked for: each gap, then what was to
/// come without grants beyond the last byte.
#[test]
fn missing_bytes__are_asked_for_range_by_range() {
    let mut probe = Probe::new(&Config::default());
    for offset in [1416, 4248] {
        probe.request(Remote::client(2), 2, Body::Data(data(10_000, offset, 8000)), 1416);
    }
    probe.take_sent();
    probe.advance(millis(6));
    assert_eq!(resends(&mut probe), [(0, 1416), (2832, 1416), (5664, 4336)]);
}

/// HOMA-RESEND-11, HOMA-RESEND-10: bytes that were not granted are not due, and are not asked for.
#[test]
fn ungranted_bytes__are_not_asked_for() {
    let mut config = Config::default();
    // Nothing can be granted while another message fills this.
    config.grants.incoming_bytes_max = 1;
    config.grants.fifo_share_permille = 0;
    let mut probe = Probe::new(&config);
    probe.request(Remote::client(3), 2, Body::Data(data(500_000, 0, 500_000)), 1416);
    probe.take_sent();
    probe.request(Remote::client(2), 2, Body::Data(data(100_000, 0, 1416)), 1416);
    for _ in 0..10 {
        probe.advance(millis(4));
        let from = Remote::client(3);
        probe.request(from, 2, Body::Data(data(500_000, 1416, 500_000)), 1416);
    }
    let sent = probe.take_sent();
    let to_client = sent.iter().filter(|t| t.peer == Remote::client(2).addr);
    let resends = to_client.filter(|t| t.header.packet_type() == PacketType::Resend).count();
    assert_eq!(resends, 0);
}

/// HOMA-RESEND-12, HOMA-RESEND-5: the response is asked for once all permitted bytes of the request
/// are out, not before; a request that waits for grants asks all the same.
#[test]
fn response__is_asked_for_after_the_permitted_request_bytes() {
    let mut config = Config::default();
    config.link_mbps = 10;
    let mut probe = Probe::new(&config);
    probe.call(Remote::server(1), 100_000);
    // 40,000 unscheduled bytes take more than 30 ms at 10 Mb/s.
    probe.advance(millis(30));
    assert_eq!(resends(&mut probe), []);
    probe.advance(millis(15));
    assert_eq!(resends(&mut probe).first(), Some(&(0, Resend::ALL)));
}

/// PROTOCOL section 4: packets that overlap what is there are trimmed, not dropped: KNOWN_ISSUES 2.3.
#[test]
fn overlapping_data__is_trimmed() {
    let mut probe = Probe::new(&Config::default());
    probe.request(Remote::client(2), 2, Body::Data(data(3000, 0, 3000)), 1000);
    probe.request(Remote::client(2), 2, Body::Data(data(3000, 2000, 3000)), 500);
    // Crosses both boundaries of the gap. The ledger counts every byte once.
    probe.request(Remote::client(2), 2, retransmission(3000, 500, 3000), 1800);
    probe.request(Remote::client(2), 2, retransmission(3000, 2400, 3000), 600);
    assert!(probe.complete_request().is_some());
    assert_eq!(probe.endpoint.stats().resent_packets_used, 2);
}

/// PROTOCOL section 4: duplicates are counted apart from retransmissions that came too late.
#[test]
fn duplicates__are_counted_by_kind() {
    let mut probe = Probe::new(&Config::default());
    probe.request(Remote::client(2), 2, Body::Data(data(3000, 0, 3000)), 1416);
    probe.request(Remote::client(2), 2, Body::Data(data(3000, 0, 3000)), 1416);
    probe.request(Remote::client(2), 2, retransmission(3000, 0, 3000), 1416);
    assert_eq!(probe.endpoint.stats().packet_discards, 1);
    assert_eq!(probe.endpoint.stats().resent_discards, 1);
}

/// HOMA-RESEND-3, HOMA-RESEND-14, HOMA-RESEND-15, HOMA-RESEND-16, HOMA-DATA-10: the range is sent
/// again in whole packets, marked, at the RESEND's priority.
#[test]
fn on_resend__retransmits_whole_packets_at_the_priority_asked_for() {
    let mut probe = Probe::new(&Config::default());
    let key = probe.call(Remote::server(1), 5000);
    assert_eq!(probe.take_data().len(), 4);
    probe.answer(key, resend(1500, 1400), 0);
    let sent = probe.take_sent();
    assert_eq!(sent.len(), 2);
    for (transmit, start) in sent.iter().zip([1416, 2832]) {
        let Body::Data(data) = transmit.header.body else { panic!("{transmit:?}") };
        assert!(data.retransmit && data.offset == start && data.message_length == 5000);
        assert_eq!(transmit.priority, Priority::clamped(3));
        assert_eq!(transmit.payload.unwrap().1.len(), 1416);
    }
}

/// WIRE section 10: the forms that kernels of all branches send, and their answers.
#[test]
fn on_resend__understands_every_form() {
    // HEAD: nothing arrived yet.
    let all = Body::Resend(Resend::all(Priority::HIGHEST));
    // linux_6.10.6: the same; answered with the first packet.
    let first = resend(0, 100);
    // Upstream: 36 bytes, without a priority.
    let short = Body::Resend(Resend { offset: 0, length: 3000, priority: None });
    for (body, packets) in [(all, 4), (first, 1), (short, 3)] {
        let mut probe = Probe::new(&Config::default());
        let key = probe.call(Remote::server(1), 5000);
        probe.take_sent();
        probe.answer(key, body, 0);
        let sent = probe.take_sent();
        assert_eq!(sent.len(), packets, "{body:?}");
        let is_data = |t: &homa_proto::Transmit| t.header.packet_type() == PacketType::Data;
        assert!(sent.iter().all(is_data), "{sent:?}");
    }
}

/// HOMA-RESEND-13, HOMA-RESEND-18: a RESEND for what was not sent yet, or for nothing, is answered
/// by BUSY.
#[test]
fn on_resend__says_busy_when_there_is_nothing_to_send_again() {
    let mut config = Config::default();
    config.link_mbps = 10;
    let mut probe = Probe::new(&config);
    let key = probe.call(Remote::server(1), 20_000);
    probe.take_sent();
    for (offset, length) in [(15_000, 1000), (0, 0), (u32::MAX, 5), (19_999, u32::MAX - 1)] {
        probe.answer(key, resend(offset, length), 0);
        let bodies = probe.take_bodies();
        assert_eq!(bodies, [Body::Busy], "RESEND {offset}, {length}");
    }
}

/// PROTOCOL section 5, step 5: a RESEND beyond the granted bytes shows that a GRANT was lost.
#[test]
fn on_resend__beyond_the_grant_counts_as_a_grant() {
    let mut config = Config::default();
    config.pacing = false;
    let mut probe = Probe::new(&config);
    let key = probe.call(Remote::server(1), 60_000);
    let sent: u32 = probe.take_data().iter().map(|(_, length, _)| length).sum();
    assert_eq!(sent, 40_000, "the unscheduled bytes");
    probe.answer(key, resend(40_000, 5000), 0);
    let more: u32 = probe.take_data().iter().map(|(_, length, _)| length).sum();
    assert!((5000..5000 + 1416).contains(&more), "{more}");
    probe.answer(key, resend(0, u32::MAX - 1), 0);
    assert!(probe.take_data().iter().any(|(offset, length, _)| offset + length == 60_000));
}

/// DRAFT section 3 "Resend All set": what was sent before the offset goes out again, but not
/// more often than once per interval (HOMA-GRANT-4).
#[test]
fn on_grant__with_resend_all_sends_again_once_per_interval() {
    let mut probe = Probe::new(&Config::default());
    let key = probe.call(Remote::server(1), 5000);
    probe.take_sent();
    let grant =
        Body::Grant(Grant { offset: 2000, priority: Priority::LOWEST, resend_all: Some(true) });
    probe.answer(key, grant, 0);
    assert_eq!(probe.take_data(), [(0, 1416, true), (1416, 1416, true)]);
    probe.answer(key, grant, 0);
    assert_eq!(probe.take_data(), []);
    probe.advance(millis(5));
    probe.take_sent();
    probe.answer(key, grant, 0);
    assert_eq!(probe.take_data().len(), 2);
}

/// DRAFT section 3, "either of these, at the client": RPC_UNKNOWN makes a client send all again
/// while no byte of the response has come; later it is ignored, since the request was executed
/// (HOMA-ONCE-3).
#[test]
fn on_rpc_unknown__restarts_a_request_only_before_the_response() {
    let mut probe = Probe::new(&Config::default());
    let key = probe.call(Remote::server(1), 5000);
    probe.take_sent();
    probe.answer(key, Body::RpcUnknown, 0);
    assert_eq!(probe.take_data().len(), 4);
    probe.answer(key, Body::RpcUnknown, 0);
    assert_eq!(probe.take_data(), [], "not twice at a time");
    probe.answer(key, Body::Data(data(3000, 0, 3000)), 1416);
    probe.take_sent();
    probe.advance(millis(2));
    probe.answer(key, Body::RpcUnknown, 0);
    probe.answer(key, resend(0, 5000), 0);
    let bodies = probe.take_bodies();
    assert!(bodies.iter().all(|body| !matches!(body, Body::Data(_))), "{bodies:?}");
    assert!(bodies.contains(&Body::Busy), "{bodies:?}");
}

/// A server that answers everything with RPC_UNKNOWN is not sent a long request again and again.
#[test]
fn on_rpc_unknown__restarts_half_as_often_each_time() {
    let mut probe = Probe::new(&Config::default());
    let key = probe.call(Remote::server(1), 5000);
    probe.take_sent();
    let mut restarts = Vec::new();
    for at in 0..1000 {
        probe.advance(millis(1));
        probe.answer(key, Body::RpcUnknown, 0);
        if !probe.take_data().is_empty() {
            restarts.push(at);
        }
    }
    assert_eq!(restarts[..8], [0, 2, 6, 14, 30, 62, 126, 226], "1 ms doubled, 100 ms at most");
    probe.answer(key, Body::Busy, 0);
    probe.take_data();
    probe.advance(millis(1));
    probe.answer(key, Body::RpcUnknown, 0);
    assert_eq!(probe.take_data().len(), 4, "after a sign of life at once again");
}

/// KNOWN_ISSUES 2.4, 2.1: what was asked for is not asked for again within a round trip, even if
/// other packets arrive meanwhile.
#[test]
fn gap__is_not_asked_for_again_within_a_round_trip() {
    let round_trip = millis(4);
    let mut probe = Probe::new(&Config::default());
    probe.request(Remote::client(2), 2, Body::Data(data(900_000, 0, 1416)), 1416);
    // The first granted byte comes a round trip after its GRANT: the delay is known.
    let mut offset = 1416;
    for _ in 0..5 {
        probe.advance(round_trip);
        probe.request(Remote::client(2), 2, Body::Data(data(900_000, offset, 1416)), 1416);
        offset += 1416;
    }
    probe.take_sent();
    let gap = offset;
    offset += 1416;
    let start = probe.now;
    let mut asked: Vec<Instant> = Vec::new();
    for _ in 0..40 {
        probe.request(Remote::client(2), 2, Body::Data(data(900_000, offset, 1416)), 1416);
        offset += 1416;
        probe.advance(Duration::from_micros(200));
        let sent = probe.take_sent_at();
        let resends = sent.iter().filter(|(_, t)| t.header.packet_type() == PacketType::Resend);
        asked.extend(resends.map(|(at, t)| match t.header.body {
            Body::Resend(resend) => {
                assert_eq!((resend.offset, resend.length), (gap, 1416), "only the gap is due");
                *at
            }
            _ => unreachable!("filtered"),
        }));
    }
    assert!(!asked.is_empty(), "the gap is asked for");
    assert!(asked[0].saturating_since(start) < round_trip, "before a silence");
    assert!(asked.windows(2).all(|w| w[1].saturating_since(w[0]) >= round_trip), "{asked:?}");
}

/// KNOWN_ISSUES 2.1: over a fast network a lost packet in the middle is recovered in about a
/// millisecond, not in five.
#[test]
fn gap__is_asked_for_early_when_the_delay_is_known() {
    let faults = FaultPlan::perfect(Duration::from_micros(5));
    let mut network = Network::new(2, &Config::default(), faults);
    let warm = network.call(0, 1, 500_000).unwrap();
    network.run_until_outcome(0, warm, millis(100)).unwrap();
    let mut seen = 0;
    network.set_filter(move |_, from, header| {
        let is_data = from.0 == 0 && header.packet_type() == PacketType::Data;
        seen += u32::from(is_data);
        !(is_data && seen == 10)
    });
    let start = network.now;
    let key = network.call(0, 1, 500_000).unwrap();
    let outcome = network.run_until_outcome(0, key, millis(100));
    assert_eq!(outcome, Some(Outcome::Response(500_000)));
    let took = network.now.saturating_since(start);
    assert!(took < millis(3), "{took:?}");
}

/// More messages miss bytes than may be asked for at once: all are, in turn. (The time until a gap is
/// asked for did not begin anew, so that the endpoint went round for ever.)
#[test]
fn gaps__of_many_messages_are_asked_for_in_turn() {
    let mut probe = Probe::new(&Config::default());
    let count = 700;
    for id in 1..=count {
        for offset in [0, 4248] {
            let body = Body::Data(data(10_000, offset, 10_000));
            probe.request(Remote::client(2), 2 * id, body, 1416);
        }
    }
    // A peer that is not silent is asked for each message.
    for id in count + 1..=count + 120 {
        probe.advance(Duration::from_micros(500));
        probe.request(Remote::client(2), 2 * id, Body::Data(data(10, 0, 10)), 10);
    }
    let sent = probe.take_sent();
    let asked = sent.iter().filter(|t| t.header.packet_type() == PacketType::Resend);
    let ids: BTreeSet<u64> = asked.map(|t| t.header.sender_id.0).collect();
    assert_eq!(ids.len() as u64, count);
}

/// HOMA-RESEND-14: any single packet may be lost.
#[test]
fn call__survives_the_loss_of_any_one_packet() {
    for lost in 0..60 {
        let faults = FaultPlan::perfect(Duration::from_micros(5));
        let mut network = Network::new(2, &Config::default(), faults);
        let mut seen = 0;
        network.set_filter(move |_, _, _| {
            seen += 1;
            seen != lost + 1
        });
        let key = network.call(0, 1, 60_000).unwrap();
        let outcome = network.run_until_outcome(0, key, millis(60));
        assert_eq!(outcome, Some(Outcome::Response(60_000)), "without packet {lost}");
        assert!(network.run_until_quiet(Duration::from_secs(20)));
        network.assert_quiet();
    }
}

/// A server that lost everything gets the request again (PROTOCOL section 3 "unknown RPC").
#[test]
fn restarted_server__gets_the_request_again() {
    let faults = FaultPlan::perfect(Duration::from_micros(5));
    let mut network = Network::new(2, &Config::default(), faults);
    network.host_mut(1).application = homa_testkit::Application::Ignore;
    let key = network.call(0, 1, 100_000).unwrap();
    network.run_for(millis(3));
    network.restart(1, &Config::default());
    network.host_mut(1).application = homa_testkit::Application::Echo;
    let outcome = network.run_until_outcome(0, key, millis(200));
    assert_eq!(outcome, Some(Outcome::Response(100_000)));
}

/// A server restarts in mid-response, and late packets begin the request anew: it has not the response,
/// and its client has not the request any more. (They told each other BUSY until the call's deadline.)
#[test]
fn restarted_server__notices_that_it_had_answered() {
    let asked_for = |resend: Resend| {
        let mut probe = Probe::new(&Config::default());
        probe.request(Remote::client(2), 2, Body::Data(data(9000, 1416, 9000)), 1416);
        probe.take_bodies();
        probe.request(Remote::client(2), 2, Body::Resend(resend), 0);
        let answers = probe.take_bodies();
        assert_eq!(answers.len(), 1, "{answers:?}");
        (answers[0].packet_type(), probe.take_events())
    };
    let cancelled = |events: &[Event]| {
        events.iter().any(|e| matches!(e, Event::Cancelled { cause: Cancelled::ByClient, .. }))
    };
    let priority = Priority::HIGHEST;
    for part in [(1416, 1416), (0, 1416), (0, 2832), (100_000, 0)] {
        let (answer, events) = asked_for(Resend::new(part.0, part.1, priority));
        assert_eq!(answer, PacketType::RpcUnknown, "{part:?}");
        assert!(cancelled(&events), "{events:?}");
    }
    for whole in [Resend::all(priority), Resend::new(0, 100, priority)] {
        let (answer, events) = asked_for(whole);
        assert_eq!(answer, PacketType::Busy, "{whole:?}");
        assert!(!cancelled(&events), "{events:?}");
    }
}

/// HOMA-DATA-13, HOMA-DATA-14: a message without unscheduled bytes is announced by an empty packet,
/// begins once, and its granted bytes have the GRANT's priority (HOMA-PRIO-5).
#[test]
fn announcement__begins_a_message_once() {
    let mut probe = Probe::new(&Config::default());
    for _ in 0..3 {
        probe.request(Remote::client(2), 2, Body::Data(data(5000, 0, 0)), 0);
    }
    probe.request(Remote::client(2), 2, Body::Data(data(5000, 0, 0)), 1416);
    let events = probe.take_events();
    let started = events.iter().filter(|e| matches!(e, Event::RequestStarted { .. })).count();
    assert_eq!(started, 1, "{events:?}");
}

/// See above, at the sender.
#[test]
fn announcement__precedes_granted_bytes_at_the_granted_priority() {
    let mut config = Config::default();
    config.unscheduled_bytes = 0;
    let mut probe = Probe::new(&config);
    let key = probe.call(Remote::server(1), 3000);
    assert_eq!(probe.take_data(), [(0, 0, false)]);
    probe.answer(key, Body::Grant(Grant::new(3000, Priority::clamped(2))), 0);
    let sent = probe.take_sent();
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|t| t.priority == Priority::clamped(2)), "{sent:?}");
}

/// HOMA-ONCE-3: a server that lost everything in the middle of its response does not get the request
/// again: the call fails.
#[test]
fn restarted_server__does_not_execute_again_what_it_had_answered() {
    let faults = FaultPlan::perfect(Duration::from_micros(5));
    let mut network = Network::new(2, &Config::default(), faults);
    network.host_mut(1).application = homa_testkit::Application::Reply(900_000);
    let key = network.call(0, 1, 100).unwrap();
    network.run_for(Duration::from_micros(100));
    assert_eq!(network.host(1).executions.len(), 1);
    network.restart(1, &Config::default());
    let outcome = network.run_until_outcome(0, key, millis(400));
    assert_eq!(outcome, Some(Outcome::Failed(homa_proto::Failure::Timeout)));
    assert_eq!(network.host(1).executions.len(), 0);
    assert!(network.run_until_quiet(Duration::from_secs(1)));
    network.assert_quiet();
}

/// RPC_UNKNOWN answers a RESEND: a call whose request keeps getting lost on the way to a live server
/// does not time out, and goes on when packets get through.
#[test]
fn rpc_unknown__keeps_a_call_alive() {
    let faults = FaultPlan::perfect(Duration::from_micros(5));
    let mut network = Network::new(2, &Config::default(), faults);
    network.set_filter(|_, _, header| !matches!(header.body, Body::Data(_)));
    let key = network.call(0, 1, 100).unwrap();
    network.run_for(Duration::from_secs(2));
    assert_eq!(network.host(0).outcome(key), None);
    network.clear_filter();
    let outcome = network.run_until_outcome(0, key, millis(200));
    assert_eq!(outcome, Some(Outcome::Response(100)));
}
