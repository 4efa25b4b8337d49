//! Many responses for one host at the same time: requests that say so, and responses that begin small
//! (SIGCOMM 2018, section 3.6; ADR 0011).
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{Config, Duration, Event, Priority, TraceEvent};
use homa_testkit::{Application, FaultPlan, Network, Outcome, Probe, Remote, data};
use homa_wire::{Body, Data, Grant};

fn unpaced() -> Config {
    let mut config = Config::default();
    config.pacing = false;
    config
}

/// Of each DATA packet sent, whether it bears the mark.
fn marks(probe: &mut Probe) -> Vec<bool> {
    let sent = probe.take_sent();
    let marks = sent.iter().filter_map(|t| match t.header.body {
        Body::Data(data) => Some(data.incast),
        _ => None,
    });
    marks.collect()
}

/// Responses that are there but were not taken count: their calls are open.
#[test]
fn incast_calls_max__marks_requests_beyond_it() {
    let mut config = unpaced();
    config.incast_calls_max = Some(2);
    let mut probe = Probe::new(&config);
    let server = Remote::server(1);
    let first = probe.call(server, 100);
    probe.call(server, 100);
    assert_eq!(marks(&mut probe), [false; 2]);
    let third = probe.call(server, 5_000);
    assert_eq!(marks(&mut probe), [true; 4], "in every packet");
    probe.answer(first, Body::Data(data(100, 0, 100)), 100);
    assert!(probe.take_events().contains(&Event::ResponseComplete { key: first }));
    probe.call(server, 100);
    assert_eq!(marks(&mut probe), [true]);
    for key in [first, third] {
        probe.endpoint.abort(probe.now, key);
    }
    probe.drain();
    probe.take_sent();
    probe.call(server, 100);
    assert_eq!(marks(&mut probe), [true], "two are left");
    config.incast_calls_max = Some(0);
    let mut always = Probe::new(&config);
    always.call(server, 100);
    assert_eq!(marks(&mut always), [true]);
}

#[test]
fn incast_calls_max__is_off_by_default() {
    let mut probe = Probe::new(&unpaced());
    for _ in 0..1_000 {
        probe.call(Remote::server(1), 100);
    }
    assert_eq!(marks(&mut probe), [false; 1_000]);
}

/// A request that is sent again still bears its mark, since the server may have nothing of it yet.
#[test]
fn retransmissions__bear_the_mark() {
    let mut config = unpaced();
    config.incast_calls_max = Some(0);
    let mut probe = Probe::new(&config);
    let key = probe.call(Remote::server(1), 3_000);
    probe.take_sent();
    probe.advance(Duration::from_millis(1));
    probe.answer(key, Body::RpcUnknown, 0);
    assert_eq!(marks(&mut probe), [true; 3]);
}

/// The rest of the response waits for grants, as of any message longer than its unscheduled part
/// (HOMA-GRANT-1, HOMA-GRANT-2). Shorter ones go at once.
#[test]
fn incast_unscheduled_bytes__limits_responses_to_marked_requests() {
    for (marked, length, unasked) in
        [(true, 20_000, 400), (true, 400, 400), (true, 20, 20), (false, 20_000, 20_000)]
    {
        let mut probe = Probe::new(&unpaced());
        let client = Remote::client(1);
        let request = Body::Data(Data { incast: marked, ..data(100, 0, 100) });
        probe.request(client, 2, request, 100);
        let key = probe.complete_request().expect("the request is complete");
        probe.endpoint.accept(probe.now, key);
        probe.take_sent();
        probe.reply(key, length);
        let sent = probe.take_sent();
        let bytes: u32 = sent.iter().filter_map(|t| t.payload).map(|(_, p)| p.len()).sum();
        assert_eq!(bytes, unasked);
        for transmit in &sent {
            let Body::Data(data) = transmit.header.body else { panic!("{transmit:?}") };
            assert_eq!((data.incoming, data.message_length), (unasked, length), "HOMA-DATA-4");
            assert!(!data.incast, "responses bear no mark");
        }
        probe.answer(key, Body::Grant(Grant::new(length, Priority::LOWEST)), 0);
        let rest: u32 = probe.take_data().iter().map(|d| d.1).sum();
        assert_eq!(bytes + rest, length);
    }
}

/// Requests are not limited, however many are open: only responses come all at once.
#[test]
fn incast_unscheduled_bytes__leaves_requests_alone() {
    let mut config = unpaced();
    config.incast_calls_max = Some(0);
    let mut probe = Probe::new(&config);
    probe.call(Remote::server(1), 20_000);
    assert_eq!(probe.take_data().iter().map(|d| d.1).sum::<u32>(), 20_000);
}

const DELAY: Duration = Duration::from_micros(5);

/// The most bytes of payload that are on their way to one client at a time when `servers` respond at
/// the same time with 20,000 bytes each: what meets at its link.
fn peak_bytes(servers: usize, incast_calls_max: Option<u32>) -> u64 {
    let mut config = Config::default();
    config.incast_calls_max = incast_calls_max;
    config.grants.incoming_bytes_max = 100_000;
    let mut network = Network::new(1 + servers, &config, FaultPlan::perfect(DELAY));
    for server in 1..=servers {
        network.host_mut(server).application = Application::Reply(20_000);
        network.host_mut(server).keep_trace();
    }
    let calls: Vec<_> =
        (1..=servers).map(|server| network.call(0, server, 100).expect("it starts")).collect();
    assert!(network.run_until_quiet(Duration::from_secs(5)));
    for key in calls {
        assert_eq!(network.host(0).outcome(key), Some(Outcome::Response(20_000)));
    }
    let mut changes = Vec::new();
    for server in 1..=servers {
        for (at, event) in network.host_mut(server).trace() {
            if let TraceEvent::PacketSent { payload_len, .. } = event {
                let bytes = i64::from(payload_len);
                changes.extend([(at, bytes), (at + DELAY, -bytes)]);
            }
        }
    }
    // What arrives makes room for what leaves at the same time.
    changes.sort_unstable();
    let on_their_way = changes.iter().scan(0, |sum, (_, change)| {
        *sum += change;
        Some(*sum)
    });
    on_their_way.max().map_or(0, i64::unsigned_abs)
}

/// N:1: unasked, all responses are on their way at once; asked for, no more of them than is granted at
/// a time, but for the few bytes with which each begins.
#[test]
fn incast__is_bounded_by_grants() {
    let unlimited = peak_bytes(60, None);
    assert!(unlimited > 60 * 12_000, "{unlimited}");
    let limited = peak_bytes(60, Some(4));
    // Four calls came before the marks.
    let bound = 100_000 + 56 * 400 + 4 * 20_000;
    assert!(limited <= bound, "{limited}");
    assert!(limited * 4 < unlimited, "{limited} of {unlimited}");
}
