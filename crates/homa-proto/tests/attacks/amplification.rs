//! An attacker writes a victim's address into its packets, so that the victim gets the answers.

use super::{bytes, drawn, header_bytes, proven_client};
use homa_proto::{Amplification, Config, Duration, Header, Priority, RpcId};
use homa_testkit::{FaultPlan, Network, Outcome, Probe, Remote, data};
use homa_wire::{Body, Resend};

const WINDOW: u64 = 40_000;

fn config() -> Config {
    let mut config = Config::default();
    config.pacing = false;
    config
}

/// A victim's requests with long responses, and RESENDs and GRANTs for them, for some seconds.
fn attack(config: &Config, seconds: u64) -> (u64, u64) {
    let mut probe = Probe::new(config);
    let victim = Remote::client(1);
    let (mut sent, mut received) = (0, 0);
    for n in 0..20 * seconds {
        let id = 2 + n % 8 * 2;
        if n < 8 {
            let key = probe.accept_request(victim, id, 100);
            probe.reply(key, 900_000);
            sent += header_bytes(&header(victim, id, Body::Data(data(100, 0, 100)))) + 100;
        } else {
            for body in [
                Body::Grant(homa_wire::Grant::new(900_000, Priority::HIGHEST)),
                Body::Resend(Resend::all(Priority::HIGHEST)),
            ] {
                probe.request(victim, id, body, 0);
                sent += header_bytes(&header(victim, id, body));
            }
        }
        probe.advance(Duration::from_millis(50));
        received += drawn(&probe.take_sent());
    }
    (sent, received)
}

fn header(from: Remote, id: u64, body: Body) -> Header {
    Header::new(from.port, 4000, RpcId(id), body)
}

#[test]
fn spoofed_requests__draw_three_times_their_bytes_and_a_window_per_second() {
    let (sent, received) = attack(&config(), 3);
    assert!(received <= 3 * sent + 3 * WINDOW, "{sent} B drew {received} B");
    assert!(received > WINDOW, "the limit is what held it: {received}");
    let mut open = config();
    open.amplification = None;
    let (sent, received) = attack(&open, 3);
    assert!(received > 100 * (3 * sent + 3 * WINDOW) / 10, "{sent} B drew {received} B");
}

/// Control packets beyond what a peer may draw are dropped, and none of them when there is no limit.
#[test]
fn control_packets__beyond_the_limit_are_dropped() {
    let busy_after = |limited: bool| {
        let mut config = config();
        config.unscheduled_bytes = 1_500;
        config.amplification = limited.then_some(Amplification { factor: 0, ..Default::default() });
        let mut probe = Probe::new(&config);
        let victim = Remote::client(1);
        probe.accept_request(victim, 2, 100);
        for _ in 0..200 {
            probe.request(victim, 2, Body::Resend(Resend::all(Priority::HIGHEST)), 0);
        }
        drawn(&probe.take_sent())
    };
    assert!((1_400..=1_500).contains(&busy_after(true)), "{}", busy_after(true));
    assert!(busy_after(false) > 200 * 28);
}

/// Nothing of a long response leaves before the client was asked, and all of it when it has answered.
#[test]
fn long_response__waits_for_the_echo() {
    let mut probe = Probe::new(&config());
    let client = Remote::client(1);
    let key = probe.accept_request(client, 2, 100);
    probe.take_sent();
    probe.reply(key, 60_000);
    let asked = probe.take_bodies();
    let [Body::Cutoffs(cutoffs), Body::Resend(resend)] = asked[..] else { panic!("{asked:?}") };
    assert_eq!((resend.offset, resend.length), (0, 1));
    let mut again = homa_testkit::data(100, 0, 100);
    (again.retransmit, again.cutoff_version) = (true, cutoffs.version);
    probe.request(client, 2, Body::Data(again), 100);
    assert_eq!(probe.take_data().iter().map(|data| data.1).sum::<u32>(), 40_000);
    assert_eq!(probe.endpoint.stats().addresses_validated, 1);
}

/// A client that never echoes (WIRE section 10) gets its response at the limited rate.
#[test]
fn long_response__without_an_echo_is_sent_slowly() {
    let mut probe = Probe::new(&config());
    let client = Remote::client(1);
    let key = probe.accept_request(client, 2, 100);
    probe.reply(key, 100_000);
    probe.advance(Duration::from_millis(4));
    assert_eq!(probe.take_data(), []);
    let mut arrived = 0;
    for _ in 0..4 {
        probe.advance(Duration::from_secs(1));
        probe.request(client, 2, Body::Grant(homa_wire::Grant::new(100_000, Priority::LOWEST)), 0);
        arrived += probe.take_data().iter().map(|data| data.1).sum::<u32>();
    }
    assert_eq!(arrived, 100_000);
    assert_eq!(probe.endpoint.stats().address_challenges, 3);
}

/// The first call of a new client: no packet more than without the limit if its response is short,
/// and one round trip more if it is long.
#[test]
fn first_call__costs_a_round_trip_only_if_long() {
    let run = |limited: bool, length: u32| {
        let mut config = config();
        if !limited {
            config.amplification = None;
        }
        let mut network = Network::new(2, &config, FaultPlan::perfect(Duration::from_micros(5)));
        network.host_mut(1).application = homa_testkit::Application::Reply(length);
        let start = network.now;
        let key = network.call(0, 1, 100).unwrap();
        let outcome = network.run_until_outcome(0, key, Duration::from_secs(1));
        assert_eq!(outcome, Some(Outcome::Response(length)));
        let sent: u64 = network.host(1).endpoint.stats().packets_sent.iter().sum();
        (network.now.saturating_since(start), sent)
    };
    assert_eq!(run(true, 10_000), run(false, 10_000));
    let (limited, open) = (run(true, 900_000), run(false, 900_000));
    assert!(limited.0 <= open.0 + Duration::from_micros(11), "{limited:?} {open:?}");
}

/// A client with an address of its own draws what it asks for.
#[test]
fn proven_client__is_not_limited() {
    let mut probe = Probe::new(&config());
    let client = proven_client(&mut probe, 1);
    let key = probe.accept_request(client, 2, 100);
    probe.take_sent();
    probe.reply(key, 60_000);
    let sent = probe.take_sent();
    assert!(sent.iter().all(|t| matches!(t.header.body, Body::Data(_))), "{sent:?}");
    assert!(sent.iter().map(bytes).sum::<u64>() >= 40_000);
}
