//! An attacker wants to pass for a host whose packets it does not see.

use super::{proven_client, request, told};
use homa_proto::{Config, Duration};
use homa_testkit::{Probe, Remote};

/// What one peer is told does not help with another address.
#[test]
fn versions__differ_between_peers() {
    let mut probe = Probe::new(&Config::default());
    let mut versions = Vec::new();
    for host in 1..=20 {
        probe.request(Remote::client(host), 2, request(100, 0), 100);
        versions.push(told(&mut probe).unwrap().version);
    }
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 20);
    assert!(!versions.contains(&0));
}

/// Eight guesses per second, so that trying half of all versions takes more than an hour.
#[test]
fn guessing__is_slow() {
    let mut probe = Probe::new(&Config::default());
    let victim = Remote::client(1);
    probe.request(victim, 2, request(100, 0), 100);
    let right = told(&mut probe).unwrap().version;
    for n in 1..=8u16 {
        let guess = right.wrapping_add(n).max(1);
        probe.request(victim, 2 + 2 * u64::from(n), request(100, guess), 100);
    }
    probe.request(victim, 100, request(100, right), 100);
    assert_eq!(probe.endpoint.stats().addresses_validated, 0, "too many guesses");
    probe.advance(Duration::from_secs(1));
    probe.request(victim, 102, request(100, right), 100);
    assert_eq!(probe.endpoint.stats().addresses_validated, 1);
}

/// An honest sender repeats an outdated version until it learns the new one.
#[test]
fn outdated_echoes__are_no_guesses() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(1);
    probe.request(client, 2, request(100, 0), 100);
    let right = told(&mut probe).unwrap().version;
    for n in 0..100 {
        probe.request(client, 4 + 2 * n, request(100, right.wrapping_add(1).max(1)), 100);
    }
    probe.request(client, 1_000, request(100, right), 100);
    assert_eq!(probe.endpoint.stats().addresses_validated, 1);
}

/// An address that was silent for long may have passed to another host.
#[test]
fn proof__expires_with_silence() {
    let mut config = Config::default();
    config.pacing = false;
    let mut probe = Probe::new(&config);
    let client = proven_client(&mut probe, 1);
    probe.advance(config.timing.peer_idle_min);
    let key = probe.accept_request(client, 2, 100);
    probe.take_sent();
    probe.reply(key, 60_000);
    assert_eq!(probe.take_data(), []);
}
