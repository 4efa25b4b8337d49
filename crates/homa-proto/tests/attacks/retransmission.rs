//! A true peer, or one who knows a live RPC's id, asks for the same bytes again and again
//! (KNOWN_ISSUES 2.4).

use super::{drawn, proven_client};
use homa_proto::{Config, Duration, Priority};
use homa_testkit::{Probe, Remote};
use homa_wire::{Body, Resend};

/// Within a millisecond at most three times what was sent is sent again, whatever is asked for.
#[test]
fn resend__at_any_rate_is_bounded_per_millisecond() {
    for resend in [Resend::all(Priority::HIGHEST), Resend::new(700, 1, Priority::HIGHEST)] {
        let mut config = Config::default();
        config.pacing = false;
        let mut probe = Probe::new(&config);
        let client = proven_client(&mut probe, 1);
        let key = probe.accept_request(client, 2, 100);
        probe.reply(key, 30_000);
        probe.take_sent();
        for _ in 0..1_000 {
            probe.request(client, 2, Body::Resend(resend), 0);
            probe.advance(Duration::from_nanos(900));
        }
        let drawn = drawn(&probe.take_sent());
        assert!(drawn <= 3 * 32_000, "{drawn} B");
        assert!(probe.endpoint.stats().resends_suppressed > 900);
    }
}

/// Requests as well: a server's id is all that it takes.
#[test]
fn resend__of_a_request_is_bounded() {
    let mut config = Config::default();
    config.pacing = false;
    let mut probe = Probe::new(&config);
    let key = probe.call(Remote::server(1), 30_000);
    probe.take_sent();
    for _ in 0..1_000 {
        probe.answer(key, Body::Resend(Resend::all(Priority::HIGHEST)), 0);
    }
    assert!(drawn(&probe.take_sent()) <= 3 * 32_000);
}

/// What some ask for again, at whatever rate, fills the link at most, and leaves half of it to others: no
/// queue is left behind, in the interface or in the estimate of it, for which others would wait.
#[test]
fn resend__of_many_messages_does_not_stop_others() {
    let mut config = Config::default();
    config.link_mbps = 1_000;
    let mut probe = Probe::new(&config);
    let (greedy, honest) = (proven_client(&mut probe, 1), proven_client(&mut probe, 2));
    for id in [2, 4, 6] {
        let key = probe.accept_request(greedy, id, 100);
        probe.reply(key, 40_000);
    }
    probe.advance(Duration::from_millis(1));
    probe.take_sent();
    for id in [2, 4] {
        let key = probe.accept_request(honest, id, 100);
        probe.reply(key, 20_000);
        for _ in 0..50 {
            for id in [2, 4, 6] {
                probe.request(greedy, id, Body::Resend(Resend::all(Priority::HIGHEST)), 0);
            }
            probe.advance(Duration::from_micros(100));
        }
    }
    let sent = probe.take_sent_at();
    let all: Vec<_> = sent.iter().map(|(_, transmit)| *transmit).collect();
    // 125,000 bytes a millisecond.
    let bytes = drawn(&all);
    assert!((1_000_000..1_260_000).contains(&bytes), "{bytes} B in 10 ms");
    let (began, done) = (sent[0].0, probe.endpoint.stats().server_responses_done);
    let to_honest = sent.iter().filter(|(_, t)| t.peer == honest.addr && t.payload.is_some());
    let times: Vec<_> = to_honest.map(|(at, _)| at.saturating_since(began).as_micros()).collect();
    assert_eq!((times.len(), done), (2 * 15, 5));
    assert!(times[14] < 500 && (5_000..5_500).contains(&times[29]), "{times:?}");
}
