//! RPCs between two hosts.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{Config, Duration};
use homa_testkit::{FaultPlan, Network, Outcome};

fn pair() -> Network {
    Network::new(2, &Config::default(), FaultPlan::perfect(Duration::from_micros(5)))
}

#[test]
fn call__short() {
    let mut network = pair();
    let key = network.call(0, 1, 100).unwrap();
    let outcome = network.run_until_outcome(0, key, Duration::from_millis(1));
    assert_eq!(outcome, Some(Outcome::Response(100)));
    assert!(network.run_until_quiet(Duration::from_secs(1)));
    network.assert_quiet();
}

#[test]
fn call__long() {
    let mut network = pair();
    let key = network.call(0, 1, 1_000_000).unwrap();
    let outcome = network.run_until_outcome(0, key, Duration::from_millis(100));
    assert_eq!(outcome, Some(Outcome::Response(1_000_000)));
    assert!(network.run_until_quiet(Duration::from_secs(1)));
    network.assert_quiet();
    assert_eq!(network.host(0).endpoint.stats().resent_packets, 0);
    assert_eq!(network.host(1).endpoint.stats().packets_rcvd[2], 0, "no RESENDs");
}
