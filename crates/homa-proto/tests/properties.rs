//! Random operations and faults on a few hosts: what must hold in every run.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{Config, Duration, RpcKey};
use homa_testkit::{FaultPlan, Network, Outcome};
use proptest::prelude::*;

/// One thing that an application does, and how long it lets the network run afterwards.
#[derive(Clone, Debug)]
enum Operation {
    Call { from: usize, to: usize, length: u32 },
    Abort { host: usize, nth: usize },
    Wait { micros: u64 },
}

const HOSTS: usize = 3;

fn operation() -> impl Strategy<Value = Operation> {
    let length = prop_oneof![1u32..2000, 2000u32..100_000, 100_000u32..1_000_000];
    prop_oneof![
        6 => (0..HOSTS, 1..HOSTS, length)
            .prop_map(|(from, step, length)| Operation::Call { from, to: (from + step) % HOSTS, length }),
        1 => (0..HOSTS, 0usize..20).prop_map(|(host, nth)| Operation::Abort { host, nth }),
        3 => (0u64..3000).prop_map(|micros| Operation::Wait { micros }),
    ]
}

fn faults() -> impl Strategy<Value = FaultPlan> {
    (0u32..200, 0u32..100, 0u32..200, 1u64..200, 0u64..50).prop_map(
        |(drop_permille, duplicate_permille, reorder_permille, delay, jitter)| FaultPlan {
            drop_permille,
            duplicate_permille,
            reorder_permille,
            delay: Duration::from_micros(delay),
            jitter: Duration::from_micros(jitter),
        },
    )
}

fn run(
    seed: u64,
    faults: FaultPlan,
    operations: &[Operation],
) -> (u64, Network, Vec<(usize, RpcKey, u32)>) {
    let mut config = Config::default();
    config.seed = seed;
    let mut network = Network::new(HOSTS, &config, faults);
    let mut calls = Vec::new();
    for operation in operations {
        match *operation {
            Operation::Call { from, to, length } => {
                calls.push((from, network.call(from, to, length).unwrap(), length));
            }
            Operation::Abort { host, nth } => {
                let mut of_host = calls.iter().filter(|(h, ..)| *h == host);
                if let Some(&(host, key, _)) = of_host.nth(nth) {
                    network.abort(host, key);
                }
            }
            Operation::Wait { micros } => network.run_for(Duration::from_micros(micros)),
        }
    }
    // Once the faults stop, everything comes to an end.
    network.faults = FaultPlan::perfect(faults.delay);
    assert!(network.run_until_quiet(Duration::from_secs(120)), "the network does not come to rest");
    (network.fingerprint(), network, calls)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// HOMA-MODEL-1, HOMA-ONCE-1, HOMA-ONCE-3: every call ends exactly once, with its whole response
    /// or not at all; no request is executed twice; nothing is left behind.
    #[test]
    fn network__ends_every_call_once_and_leaves_nothing(
        seed in any::<u64>(), faults in faults(), operations in prop::collection::vec(operation(), 1..40),
    ) {
        let (_, network, calls) = run(seed, faults, &operations);
        network.assert_quiet();
        for (host, key, length) in calls {
            match network.host(host).outcome(key) {
                Some(Outcome::Response(response)) => prop_assert_eq!(response, length),
                Some(Outcome::Aborted) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    /// The same seed gives the same trace.
    #[test]
    fn network__is_deterministic(
        seed in any::<u64>(), faults in faults(), operations in prop::collection::vec(operation(), 1..10),
    ) {
        let (first, ..) = run(seed, faults, &operations);
        let (second, ..) = run(seed, faults, &operations);
        prop_assert_eq!(first, second);
    }
}
