//! Silence: probes, time-outs, and who must not be taken for dead (PROTOCOL section 7).
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{
    CallOptions, Cancelled, Config, Duration, Event, Failure, Instant, Priority, RefuseReason,
    RpcKey,
};
use homa_testkit::{Application, FaultPlan, Network, Outcome, Probe, Remote, data};
use homa_wire::{Body, Cutoffs, PacketType, Resend};

const SERVER: u8 = 1;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn pair() -> Network {
    Network::new(2, &Config::default(), FaultPlan::perfect(Duration::from_micros(5)))
}

fn failure_of(events: &[Event], key: RpcKey) -> Option<Failure> {
    events.iter().find_map(|event| match *event {
        Event::Failed { key: failed, failure } if failed == key => Some(failure),
        _ => None,
    })
}

/// Times in ms after `start` at which packets of a type left.
fn times_of(probe: &mut Probe, start: Instant, packet_type: PacketType) -> Vec<u64> {
    let sent = probe.take_sent_at();
    let of_type = sent.iter().filter(|(_, t)| t.header.packet_type() == packet_type);
    of_type.map(|(at, _)| at.saturating_since(start).as_micros() / 1000).collect()
}

/// HOMA-RESEND-1, HOMA-RESEND-4, HOMA-TIMEOUT-1, HOMA-TIMEOUT-2: the first RESEND after 5 ms of
/// silence, then ever less often, and the end after five of them and 100 ms without any answer.
#[test]
fn silent_server__is_probed_and_given_up_after_the_limit() {
    let mut probe = Probe::new(&Config::default());
    let start = probe.now;
    let key = probe.call(Remote::server(SERVER), 100);
    probe.advance(millis(99));
    assert_eq!(failure_of(&probe.take_events(), key), None);
    let times = times_of(&mut probe, start, PacketType::Resend);
    assert!((5..=20).contains(&times.len()), "{times:?}");
    assert_eq!(times[..2], [5, 10]);
    probe.advance(millis(51));
    assert_eq!(failure_of(&probe.take_events(), key), Some(Failure::Timeout));
    assert_eq!(probe.endpoint.stats().rpc_timeouts, 1);
    assert_eq!(probe.endpoint.poll_timeout(), None);
}

/// HOMA-TIMEOUT-1, DRAFT section 3 "timeout": a peer that is alive for others but answers none of
/// an RPC's RESENDs loses that RPC, and no other.
#[test]
fn live_server__that_leaves_one_rpc_unanswered_loses_only_that() {
    let mut probe = Probe::new(&Config::default());
    let (ignored, answered) =
        (probe.call(Remote::server(SERVER), 100), probe.call(Remote::server(SERVER), 100));
    let start = probe.now;
    let mut failed_at = None;
    for _ in 0..150 {
        probe.advance(millis(1));
        probe.answer(answered, Body::Busy, 0);
        if failure_of(&probe.take_events(), ignored).is_some() {
            failed_at = Some(probe.now.saturating_since(start).as_micros() / 1000);
        }
    }
    let failed_at = failed_at.expect("the ignored RPC ends");
    assert!((100..=150).contains(&failed_at), "after {failed_at} ms");
    assert!(probe.endpoint.info(answered).is_some());
    assert_eq!(probe.endpoint.stats().peer_timeouts, 0);
}

/// DRAFT section 3 "sign of life": RESEND and NEED_ACK keep the peer, not the RPC.
#[test]
fn live_server__that_only_sends_need_acks_loses_the_rpc() {
    let mut probe = Probe::new(&Config::default());
    let key = probe.call(Remote::server(SERVER), 100);
    let mut failed = None;
    for _ in 0..60 {
        probe.advance(millis(3));
        if probe.endpoint.info(key).is_some() {
            probe.answer(key, Body::NeedAck, 0);
        }
        failed = failed.or(failure_of(&probe.take_events(), key));
    }
    assert_eq!(failed, Some(Failure::Timeout));
}

/// KNOWN_ISSUES 2.2: 10,000 RPCs with a dead peer cost as many probes as one, and all of them end.
/// HOMA-TIMEOUT-3, HOMA-TIMEOUT-4.
#[test]
fn silent_server__is_probed_by_one_rpc_at_a_time() {
    let mut probe = Probe::new(&Config::default());
    let server = Remote::server(SERVER);
    let first = probe.call(server, 100);
    let cutoffs = Cutoffs { cutoffs: [u32::MAX, 0, 0, 0, 0, 0, 0, 0], version: 77 };
    probe.answer(first, Body::Cutoffs(cutoffs), 0);
    let keys: Vec<_> = (0..10_000).map(|_| probe.call_later(server)).collect();
    probe.drain();
    probe.take_sent();
    let start = probe.now;
    probe.advance(millis(100));
    let times = times_of(&mut probe, start, PacketType::Resend);
    assert!((5..=21).contains(&times.len()), "{} RESENDs in 100 ms", times.len());
    probe.advance(millis(80));
    let events = probe.take_events();
    let failed = events.iter().filter(|e| matches!(e, Event::Failed { .. })).count();
    assert_eq!(failed, keys.len() + 1);
    assert!(probe.endpoint.is_idle());
    let next = probe.call(server, 100);
    let sent = probe.take_sent();
    let Some(Body::Data(request)) = sent.last().map(|t| t.header.body) else { panic!("{sent:?}") };
    assert_eq!(request.cutoff_version, 77, "what is known of the peer stays");
    assert!(probe.endpoint.info(next).is_some());
}

/// One RESEND per `resend_spacing` to a peer at the most, however many RPCs wait for it.
#[test]
fn live_server__gets_resends_at_a_limited_rate() {
    let mut config = Config::default();
    config.timing.resend_spacing = millis(1);
    let mut probe = Probe::new(&config);
    let server = Remote::server(SERVER);
    let keys: Vec<_> = (0..1000).map(|_| probe.call_later(server)).collect();
    probe.drain();
    probe.take_sent();
    let start = probe.now;
    for _ in 0..50 {
        probe.advance(millis(2));
        probe.answer(keys[0], Body::Busy, 0);
    }
    let times = times_of(&mut probe, start, PacketType::Resend);
    assert!((80..=101).contains(&times.len()), "{} RESENDs in 100 ms", times.len());
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
}

/// A call to a peer that was found dead before gets its own chance, with its own RESENDs
/// (HOMA-TIMEOUT-2), even if its first packet is lost.
#[test]
fn dead_server__that_returns_serves_new_calls() {
    let mut probe = Probe::new(&Config::default());
    let server = Remote::server(SERVER);
    probe.call(server, 100);
    probe.advance(millis(200));
    assert_eq!(probe.endpoint.client_rpcs(), 0);
    probe.advance(millis(5000));
    probe.take_sent();
    let second = probe.call(server, 100);
    probe.advance(millis(50));
    assert_eq!(failure_of(&probe.take_events(), second), None, "it was asked for 50 ms only");
    let resends = probe.take_bodies().iter().filter(|b| matches!(b, Body::Resend(_))).count();
    assert!(resends >= 3, "{resends} RESENDs");
    probe.answer(second, Body::Data(data(10, 0, 10)), 10);
    assert!(probe.take_events().contains(&Event::ResponseComplete { key: second }));
}

/// NEED_ACKs that a dead client leaves unanswered do not count against a new call to that host.
#[test]
fn dead_client__does_not_end_a_new_call_to_its_host() {
    let mut probe = Probe::new(&Config::default());
    let request = probe.accept_request(Remote::client(SERVER), 2, 100);
    probe.reply(request, 100);
    probe.advance(millis(1000));
    let key = probe.call(Remote::server(SERVER), 100);
    probe.advance(millis(50));
    assert_eq!(failure_of(&probe.take_events(), key), None, "it was asked for 50 ms only");
    probe.advance(millis(200));
    assert_eq!(failure_of(&probe.take_events(), key), Some(Failure::Timeout));
}

/// HOMA-RESEND-9, HOMA-BUSY-1, KNOWN_ISSUES 2.5: a handler may take its time.
#[test]
fn slow_handler__is_waited_for() {
    for hold in [500, 20_000] {
        let mut network = pair();
        network.host_mut(1).application = Application::Hold;
        let mut options = CallOptions::default();
        options.deadline = Some(Duration::from_secs(60));
        let key = network.call_with(0, 1, 4000, 5000, options).unwrap();
        network.run_for(millis(hold));
        assert_eq!(network.host(0).outcome(key), None);
        network.reply_to_held(1, 200);
        let outcome = network.run_until_outcome(0, key, millis(100));
        assert_eq!(outcome, Some(Outcome::Response(200)), "after {hold} ms");
        let resends = network.host(0).endpoint.stats().packets_sent[PacketType::Resend.index()];
        // The wait doubles with each BUSY, up to 40 ms.
        assert!(resends <= hold / 40 + 5, "{resends} RESENDs in {hold} ms");
        assert!(network.run_until_quiet(Duration::from_secs(1)));
        network.assert_quiet();
    }
}

/// The call's own deadline ends it, however often the server says BUSY, and the server is told.
#[test]
fn call_deadline__ends_a_call_that_is_busy_for_ever() {
    let mut network = pair();
    network.host_mut(1).application = Application::Hold;
    let key = network.call(0, 1, 100).unwrap();
    network.run_for(millis(9_990));
    assert_eq!(network.host(0).outcome(key), None);
    network.run_for(millis(20));
    assert_eq!(network.host(0).outcome(key), Some(Outcome::Failed(Failure::DeadlineExceeded)));
    assert_eq!(network.host(0).endpoint.stats().call_deadlines, 1);
    assert_eq!(network.host(1).cancelled.len(), 1);
    assert_eq!(network.reply_to_held(1, 5), None);
    network.assert_quiet();
}

/// As above, with a deadline of the call's own.
#[test]
fn call_deadline__may_be_chosen() {
    let mut network = pair();
    network.host_mut(1).application = Application::Ignore;
    let mut options = CallOptions::default();
    options.deadline = Some(millis(30));
    let key = network.call_with(0, 1, 4000, 100, options).unwrap();
    let outcome = network.run_until_outcome(0, key, millis(31));
    assert_eq!(outcome, Some(Outcome::Failed(Failure::DeadlineExceeded)));
}

/// A client that is stopped for a second, with packets waiting in its socket, fails nothing: they
/// are handed in before the deadlines that passed meanwhile.
#[test]
fn stopped_client__finds_its_responses() {
    let mut network = pair();
    let keys: Vec<_> = (1..=20).map(|n| network.call(0, 1, n * 20_000).unwrap()).collect();
    network.run_for(Duration::from_micros(30));
    network.set_stopped(0, true);
    network.run_for(Duration::from_secs(1));
    network.set_stopped(0, false);
    for (key, n) in keys.iter().zip(1..) {
        let outcome = network.run_until_outcome(0, *key, Duration::from_secs(1));
        assert_eq!(outcome, Some(Outcome::Response(n * 20_000)));
    }
    assert!(network.run_until_quiet(Duration::from_secs(2)));
    network.assert_quiet();
}

/// As above with the client stopped while its requests are held: the server must not give them up.
#[test]
fn stopped_client__keeps_its_held_requests() {
    let mut network = pair();
    network.host_mut(1).application = Application::Hold;
    let key = network.call(0, 1, 300_000).unwrap();
    network.run_for(millis(2));
    network.set_stopped(0, true);
    network.run_for(millis(500));
    network.reply_to_held(1, 50_000);
    network.run_for(millis(500));
    network.set_stopped(0, false);
    let outcome = network.run_until_outcome(0, key, millis(200));
    assert_eq!(outcome, Some(Outcome::Response(50_000)));
}

/// HOMA-RESEND-6, HOMA-RESEND-7, HOMA-NEEDACK-5, HOMA-ONCE-5: a request of which the rest never comes is asked for
/// and given up; the application hears of it.
#[test]
fn silent_client__loses_its_incomplete_request() {
    let mut probe = Probe::new(&Config::default());
    probe.request(Remote::client(SERVER), 2, Body::Data(data(5000, 0, 5000)), 1416);
    probe.advance(millis(95));
    let resends = probe.take_bodies();
    assert!(resends.iter().all(|body| matches!(body, Body::Resend(r) if r.offset == 1416
        && r.length == 5000 - 1416)
        || matches!(body, Body::Cutoffs(_))));
    assert!(resends.len() >= 5, "{} RESENDs", resends.len());
    probe.advance(millis(60));
    assert!(probe.take_events().iter().any(|e| matches!(e, Event::Cancelled { .. })));
    assert!(probe.endpoint.is_idle());
}

/// HOMA-NEEDACK-4, HOMA-NEEDACK-5, HOMA-ONCE-6: a request that the application has is kept while
/// its client may still wait for it, which a live client shows by asking; a dead one's is cancelled,
/// before the reply as after it.
#[test]
fn silent_client__keeps_a_request_in_service_as_long_as_it_may_live() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(SERVER);
    let (worked_on, replied) =
        (probe.accept_request(client, 2, 100), probe.accept_request(client, 4, 100));
    for _ in 0..30 {
        probe.advance(Duration::from_secs(9));
        probe.receive(
            client,
            4000,
            homa_proto::RpcId(2),
            Body::Resend(Resend::all(Priority::HIGHEST)),
            0,
        );
    }
    assert!(probe.endpoint.info(worked_on).is_some() && probe.endpoint.info(replied).is_some());
    probe.reply(replied, 100);
    probe.advance(Duration::from_secs(9));
    assert!(probe.endpoint.info(worked_on).is_some() && probe.endpoint.info(replied).is_some());
    probe.take_events();
    probe.advance(Duration::from_secs(2));
    let cause = Cancelled::ClientSilent;
    let events = probe.take_events();
    for key in [worked_on, replied] {
        assert!(events.contains(&Event::Cancelled { key, cause }), "{events:?}");
    }
    assert!(probe.endpoint.is_idle());
}

/// KNOWN_ISSUES 2.2, and the other way round: those who wait for a silent peer don't wait for one
/// that has stopped asking.
#[test]
fn refused_request__lets_others_probe() {
    let mut probe = Probe::new(&Config::default());
    let peer = Remote::client(SERVER);
    probe.request(peer, 2, Body::Data(data(5000, 0, 5000)), 1416);
    let events = probe.take_events();
    let Some(Event::RequestStarted { key }) = events.first().copied() else { panic!("{events:?}") };
    probe.advance(millis(20));
    let call = probe.call(peer, 100);
    probe.advance(millis(10));
    probe.endpoint.refuse(probe.now, key, RefuseReason::DroppedUnanswered);
    probe.advance(millis(400));
    let failure = Failure::Timeout;
    assert!(probe.take_events().contains(&Event::Failed { key: call, failure }));
}

/// A streamed request outlives the short silence of its client, and is never handed over twice.
#[test]
fn streamed_request__is_not_begun_twice() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(SERVER);
    let packet = Body::Data(data(5000, 0, 5000));
    probe.request(client, 2, packet, 1416);
    let events = probe.take_events();
    let Some(Event::RequestStarted { key }) = events.first().copied() else { panic!("{events:?}") };
    probe.endpoint.begin_stream(key);
    probe.advance(Duration::from_secs(2));
    assert!(probe.endpoint.info(key).is_some());
    probe.advance(Duration::from_secs(10));
    assert!(probe.endpoint.info(key).is_none());
    probe.take_events();
    probe.request(client, 2, packet, 1416);
    assert!(!probe.take_events().iter().any(|e| matches!(e, Event::RequestStarted { .. })));
}

/// HOMA-RESEND-1: whoever waited for many others to ask is still heard, at any rate of calls.
#[test]
fn lost_request__is_asked_for_at_high_rates() {
    let faults = FaultPlan::perfect(Duration::from_micros(5));
    let mut config = Config::default();
    config.timing.resend_spacing = Duration::from_micros(100);
    let mut network = Network::new(2, &config, faults);
    network.checks = false;
    network.host_mut(1).application = Application::Hold;
    for _ in 0..100 {
        for _ in 0..150 {
            network.call(0, 1, 100).unwrap();
        }
        network.run_for(millis(1));
        // Each is answered after 10 ms: late enough to have asked.
        while network.host(1).held.len() > 1500 {
            network.reply_to_held(1, 100);
        }
    }
    network.set_filter(|_, _, header| !matches!(header.body, Body::Data(_)));
    let lost = network.call(0, 1, 100).unwrap();
    network.run_for(millis(1));
    network.clear_filter();
    network.host_mut(1).application = Application::Echo;
    let outcome = network.run_until_outcome(0, lost, millis(500));
    assert_eq!(outcome, Some(Outcome::Response(100)));
}

/// A network with many calls in service at host 1, all of which host 0 has asked for already.
fn many_in_service(calls: u32) -> Network {
    let faults = FaultPlan::perfect(Duration::from_micros(5));
    let mut network = Network::new(2, &Config::default(), faults);
    network.checks = false;
    network.host_mut(1).application = Application::Hold;
    for _ in 0..calls {
        network.call(0, 1, 100).unwrap();
    }
    network.run_for(millis(100));
    assert_eq!(network.host(1).held.len(), calls as usize);
    network
}

fn resends_sent(network: &Network) -> u64 {
    network.host(0).endpoint.stats().packets_sent[PacketType::Resend.index()]
}

/// A server that is busy with many calls is not kept busy with questions, too: at 100,000 per second a
/// slow one did nothing else, and lost the requests for which its socket had no room.
#[test]
fn busy_server__is_asked_ever_less() {
    let mut network = many_in_service(5000);
    let asked = resends_sent(&network);
    assert!((5000..6000).contains(&asked), "each once: {asked}");
    network.run_for(millis(1000));
    let again = resends_sent(&network) - asked;
    assert!((900..=1100).contains(&again), "{again} RESENDs in 1 s");
}

/// However many wait for their turn to ask, and however long, each is looked at when it begins to, and when its
/// turn has come.
#[test]
fn waiting_calls__cost_nothing_meanwhile() {
    let queued = |network: &Network| network.host(0).endpoint.stats().queued_probes;
    let mut network = many_in_service(5000);
    network.run_for(millis(100));
    let (asked, waited) = (resends_sent(&network), queued(&network));
    network.run_for(millis(2000));
    let asked = resends_sent(&network) - asked;
    let waited = queued(&network) - waited;
    assert!(asked >= 1800, "{asked} RESENDs in 2 s");
    assert!(waited <= asked + 100, "waited {waited} times for {asked} turns");
}

/// Nor does a server that falls silent again and again have all calls looked at each time.
#[test]
fn waiting_calls__are_not_disturbed_by_each_packet() {
    let mut probe = Probe::new(&Config::default());
    let keys: Vec<_> = (0..1000).map(|_| probe.call_later(Remote::server(SERVER))).collect();
    probe.drain();
    for _ in 0..100 {
        probe.advance(millis(6));
        probe.answer(keys[0], Body::Busy, 0);
    }
    let stats = probe.endpoint.stats();
    let waited = stats.parked_probes + stats.queued_probes;
    let asked = stats.packets_sent[PacketType::Resend.index()];
    assert!((1000..=1000 + asked).contains(&waited), "{waited} times for {asked} RESENDs");
    assert_eq!(probe.endpoint.client_rpcs(), 1000);
}

/// The line to ask a peer goes on when those at its head have ended.
#[test]
fn waiting_calls__move_up_for_those_that_end() {
    let mut config = Config::default();
    config.timing.resend_spacing = millis(1);
    let mut probe = Probe::new(&config);
    let keys: Vec<_> = (0..40).map(|_| probe.call_later(Remote::server(SERVER))).collect();
    probe.drain();
    // The server lives, and has lost all requests but the first.
    let run_for = |probe: &mut Probe, count| {
        for _ in 0..count {
            probe.advance(millis(1));
            probe.answer(keys[0], Body::Busy, 0);
        }
    };
    run_for(&mut probe, 10);
    for &key in &keys[1..35] {
        probe.endpoint.abort(probe.now, key);
    }
    probe.drain();
    probe.take_sent();
    let start = probe.now;
    run_for(&mut probe, 8);
    let times = times_of(&mut probe, start, PacketType::Resend);
    assert!(times.len() >= 5, "those that are left ask: {times:?}");
}

/// What was lost is asked for at once, however many other calls the server works on.
#[test]
fn lost_request__does_not_wait_behind_those_in_service() {
    let mut network = many_in_service(5000);
    network.set_filter(|_, _, header| !matches!(header.body, Body::Data(_)));
    let lost = network.call(0, 1, 100).unwrap();
    network.run_for(millis(1));
    network.clear_filter();
    network.host_mut(1).application = Application::Echo;
    let outcome = network.run_until_outcome(0, lost, millis(20));
    assert_eq!(outcome, Some(Outcome::Response(100)));
}

/// So is a lost response: its server asks whether it has arrived.
#[test]
fn lost_response__does_not_wait_behind_those_in_service() {
    let mut network = many_in_service(5000);
    let lost = network.call(0, 1, 100).unwrap();
    network.run_for(millis(30));
    network.set_filter(|_, _, header| !matches!(header.body, Body::Data(_)));
    network.host_mut(1).application = Application::Echo;
    network.host_mut(1).held.rotate_right(1);
    network.reply_to_held(1, 100);
    network.run_for(millis(1));
    network.clear_filter();
    let outcome = network.run_until_outcome(0, lost, millis(20));
    assert_eq!(outcome, Some(Outcome::Response(100)));
}

/// Nor does it wait behind requests that never become whole, which anybody may have sent in the server's name.
#[test]
fn lost_request__does_not_wait_behind_requests_in_its_servers_name() {
    let mut config = Config::default();
    config.timing.resend_spacing = millis(1);
    let mut probe = Probe::new(&config);
    let request = |probe: &mut Probe, n: u64| {
        probe.request(Remote::client(SERVER), 2 * n, Body::Data(data(2000, 0, 2000)), 1000);
    };
    // The first comes again and again: a silent client would be asked by one of them only.
    let run_for = |probe: &mut Probe, count| {
        for _ in 0..count {
            request(probe, 1);
            probe.advance(millis(1));
        }
    };
    (1..=200).for_each(|n| request(&mut probe, n));
    run_for(&mut probe, 20);
    let lost = probe.call(Remote::server(SERVER), 100);
    let id = probe.endpoint.info(lost).unwrap().id;
    probe.take_sent();
    run_for(&mut probe, 10);
    let sent = probe.take_sent();
    let is_asked = |t: &homa_proto::Transmit| {
        t.header.sender_id == id && matches!(t.header.body, Body::Resend(_))
    };
    assert!(sent.iter().any(is_asked), "within 10 ms");
}

/// An idle endpoint has no deadline, whatever it did before; refusals are forgotten.
#[test]
fn poll_timeout__is_none_when_idle() {
    let mut probe = Probe::new(&Config::default());
    assert_eq!(probe.endpoint.poll_timeout(), None);
    let key = probe.accept_request(Remote::client(SERVER), 2, 100);
    probe.endpoint.refuse(probe.now, key, RefuseReason::DroppedUnanswered);
    probe.drain();
    assert!(probe.endpoint.poll_timeout().is_some());
    probe.advance(Duration::from_secs(3));
    assert_eq!(probe.endpoint.poll_timeout(), None);
    assert!(probe.endpoint.is_idle());
}

/// A request in service, or one that the application has not taken, has no deadline before its client
/// could be given up.
#[test]
fn poll_timeout__is_far_away_while_the_application_works() {
    let mut probe = Probe::new(&Config::default());
    probe.accept_request(Remote::client(SERVER), 2, 100);
    probe.request(Remote::client(SERVER), 4, Body::Data(data(100, 0, 100)), 100);
    probe.advance(Duration::from_secs(1));
    let due = probe.endpoint.poll_timeout().unwrap();
    assert!(due > probe.now + Duration::from_secs(8), "{due:?}");
}

/// A deadline without end, and one that is over at once.
#[test]
fn call_deadline__may_be_extreme() {
    let mut probe = Probe::new(&Config::default());
    let mut options = CallOptions::default();
    options.deadline = Some(Duration::MAX);
    let endless = probe.call_with(Remote::server(SERVER), 100, options);
    options.deadline = Some(Duration::ZERO);
    let over = probe.call_with(Remote::server(SERVER), 100, options);
    probe.advance(millis(1));
    let events = probe.take_events();
    assert_eq!(failure_of(&events, over), Some(Failure::DeadlineExceeded));
    for _ in 0..1000 {
        probe.advance(millis(40));
        probe.answer(endless, Body::Busy, 0);
    }
    assert!(probe.endpoint.info(endless).is_some());
}

/// Loss recovery goes on over a path whose round trip exceeds every interval; nothing is asked for
/// twice within one.
#[test]
fn long_path__needs_few_resends() {
    let faults = FaultPlan::perfect(millis(30));
    let mut network = Network::new(2, &Config::default(), faults);
    for n in 1..=10 {
        let key = network.call(0, 1, n * 30_000).unwrap();
        let outcome = network.run_until_outcome(0, key, Duration::from_secs(5));
        assert_eq!(outcome, Some(Outcome::Response(n * 30_000)));
    }
    assert!(network.run_until_quiet(Duration::from_secs(10)));
    network.assert_quiet();
    let stats = network.host(0).endpoint.stats().clone();
    let resends = stats.packets_sent[PacketType::Resend.index()];
    assert!(resends <= 200, "{resends} RESENDs");
}
