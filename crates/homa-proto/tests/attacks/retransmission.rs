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
