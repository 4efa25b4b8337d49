//! Random operations and faults on a few hosts: what must hold in every run.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{Config, Duration, Failure, RefuseReason, RpcKey, SendError};
use homa_testkit::{Application, FaultPlan, Network, Outcome};
use proptest::prelude::*;

/// One thing that an application or a host does, or how long the network runs.
#[derive(Clone, Debug)]
enum Operation {
    Call { from: usize, to: usize, length: u32 },
    Abort { host: usize, nth: usize },
    Wait { micros: u64 },
    Serve { host: usize, application: Application },
    ReplyToHeld { host: usize, length: u32 },
    Stop { host: usize, micros: u64 },
    Restart { host: usize },
}

const HOSTS: usize = 3;

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![1u32..2000, 2000u32..100_000, 100_000u32..1_000_000]
}

/// What may happen while all hosts stay alive.
fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (0..HOSTS, 1..HOSTS, length())
            .prop_map(|(from, step, length)| Operation::Call { from, to: (from + step) % HOSTS, length }),
        1 => (0..HOSTS, 0usize..20).prop_map(|(host, nth)| Operation::Abort { host, nth }),
        3 => (0u64..3000).prop_map(|micros| Operation::Wait { micros }),
    ]
}

/// The above, and applications that hold or refuse requests, and hosts that stop or crash.
fn rough_operation() -> impl Strategy<Value = Operation> {
    let application = prop_oneof![
        3 => Just(Application::Echo),
        2 => Just(Application::Hold),
        1 => Just(Application::Refuse(RefuseReason::DroppedUnanswered)),
        1 => length().prop_map(Application::Reply),
    ];
    prop_oneof![
        10 => operation(),
        2 => (0..HOSTS, application)
            .prop_map(|(host, application)| Operation::Serve { host, application }),
        3 => (0..HOSTS, length()).prop_map(|(host, length)| Operation::ReplyToHeld { host, length }),
        1 => (0..HOSTS, 0u64..1_500_000).prop_map(|(host, micros)| Operation::Stop { host, micros }),
        1 => (0..HOSTS).prop_map(|host| Operation::Restart { host }),
    ]
}

fn faults() -> impl Strategy<Value = FaultPlan> {
    let delay = prop_oneof![4 => 1u64..200, 1 => 200u64..5000];
    (0u32..200, 0u32..100, 0u32..200, delay, 0u64..50).prop_map(
        |(drop_permille, duplicate_permille, reorder_permille, delay, jitter)| FaultPlan {
            drop_permille,
            duplicate_permille,
            reorder_permille,
            delay: Duration::from_micros(delay),
            jitter: Duration::from_micros(jitter),
        },
    )
}

/// Limits so small that they are met all the time.
fn tiny_limits() -> Config {
    let mut config = Config::default();
    config.limits.client_rpcs_max = 5;
    config.limits.server_rpcs_max = 4;
    config.limits.incoming_bytes_max = 1_500_000;
    config.limits.gaps_max = 5;
    config.limits.finished_ids_max = 4;
    config.grants.incoming_bytes_max = 20_000;
    config.grants.overcommit_max = 2;
    config
}

/// A call that was started.
#[derive(Clone, Copy, Debug)]
struct Call {
    host: usize,
    key: RpcKey,
    length: u32,
    /// How often its host had restarted before: the outcome is gone with an earlier life.
    life: u32,
}

struct Run {
    network: Network,
    calls: Vec<Call>,
    lives: [u32; HOSTS],
    config: Config,
}

impl Run {
    fn new(config: Config, faults: FaultPlan) -> Self {
        let network = Network::new(HOSTS, &config, faults);
        Self { network, calls: Vec::new(), lives: [0; HOSTS], config }
    }

    fn take(&mut self, operation: &Operation) {
        match *operation {
            Operation::Call { from, to, length } => match self.network.call(from, to, length) {
                Ok(key) => {
                    let life = self.lives[from];
                    self.calls.push(Call { host: from, key, length, life });
                }
                Err(SendError::Full(_)) => {}
                Err(error) => panic!("{error}"),
            },
            Operation::Abort { host, nth } => {
                let mut own = self.calls.iter().filter(|c| c.host == host);
                if let Some(call) = own.nth(nth).filter(|c| c.life == self.lives[host]) {
                    self.network.abort(host, call.key);
                }
            }
            Operation::Wait { micros } => self.network.run_for(Duration::from_micros(micros)),
            Operation::Serve { host, application } => {
                self.network.host_mut(host).application = application;
            }
            Operation::ReplyToHeld { host, length } => {
                self.network.reply_to_held(host, length);
            }
            Operation::Stop { host, micros } => {
                self.network.set_stopped(host, true);
                self.network.run_for(Duration::from_micros(micros));
                self.network.set_stopped(host, false);
            }
            Operation::Restart { host } => {
                self.lives[host] += 1;
                let mut config = self.config.clone();
                config.seed = config.seed.wrapping_add(u64::from(self.lives[host]) << 32);
                self.network.restart(host, &config);
            }
        }
    }

    /// Once the faults stop and every request is answered, everything comes to an end.
    fn settle(&mut self) {
        self.network.faults = FaultPlan::perfect(self.network.faults.delay);
        for host in 0..HOSTS {
            self.network.host_mut(host).application = Application::Echo;
        }
        for _ in 0..4 {
            for host in 0..HOSTS {
                while self.network.reply_to_held(host, 100).is_some() {}
            }
            assert!(
                self.network.run_until_quiet(Duration::from_secs(120)),
                "the network does not come to rest"
            );
        }
    }

    /// The outcomes of the calls that were made in their host's present life.
    fn outcomes(&self) -> impl Iterator<Item = (Call, Option<Outcome>)> {
        let present = self.calls.iter().filter(|call| call.life == self.lives[call.host]);
        present.map(|&call| (call, self.network.host(call.host).outcome(call.key)))
    }
}

fn run(seed: u64, faults: FaultPlan, operations: &[Operation]) -> Run {
    let mut config = Config::default();
    config.seed = seed;
    let mut run = Run::new(config, faults);
    operations.iter().for_each(|operation| run.take(operation));
    run.settle();
    run
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(24), ..ProptestConfig::default() })]

    /// HOMA-MODEL-1, HOMA-ONCE-1, HOMA-ONCE-3, HOMA-HDR-1: over a network that loses, repeats,
    /// reorders and delays packets every call ends exactly once, with its whole response; no request
    /// is executed twice; nothing is left behind.
    #[test]
    fn network__ends_every_call_once_and_leaves_nothing(
        seed in any::<u64>(), faults in faults(), operations in prop::collection::vec(operation(), 1..40),
    ) {
        let run = run(seed, faults, &operations);
        run.network.assert_quiet();
        for (call, outcome) in run.outcomes() {
            match outcome {
                Some(Outcome::Response(response)) => prop_assert_eq!(response, call.length),
                Some(Outcome::Aborted) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    /// HOMA-ONCE-2: with hosts that stop and crash, and applications that refuse or keep
    /// requests, calls may fail, but every one ends once, and nothing is left behind. Afterwards all
    /// is well again.
    #[test]
    fn network__survives_stops_crashes_and_refusals(
        seed in any::<u64>(), faults in faults(),
        operations in prop::collection::vec(rough_operation(), 1..40),
    ) {
        let mut run = run(seed, faults, &operations);
        run.network.assert_quiet();
        for (call, outcome) in run.outcomes() {
            prop_assert!(outcome.is_some(), "{call:?} has no outcome");
        }
        for to in 1..HOSTS {
            let key = run.network.call(0, to, 50_000).unwrap();
            let outcome = run.network.run_until_outcome(0, key, Duration::from_millis(100));
            prop_assert_eq!(outcome, Some(Outcome::Response(50_000)));
        }
    }

    /// With tiny limits calls are refused at once, here or there, but those that are not refused
    /// succeed.
    #[test]
    fn network__survives_tiny_limits(
        seed in any::<u64>(), faults in faults(), operations in prop::collection::vec(operation(), 1..40),
    ) {
        let mut config = tiny_limits();
        config.seed = seed;
        let mut run = Run::new(config, faults);
        operations.iter().for_each(|operation| run.take(operation));
        run.settle();
        run.network.assert_quiet();
        for (call, outcome) in run.outcomes() {
            match outcome {
                Some(Outcome::Response(response)) => prop_assert_eq!(response, call.length),
                Some(Outcome::Aborted) => {}
                Some(Outcome::Failed(Failure::Refused { reason: RefuseReason::Overloaded, .. })) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    /// The same seed gives the same trace.
    #[test]
    fn network__is_deterministic(
        seed in any::<u64>(), faults in faults(),
        operations in prop::collection::vec(rough_operation(), 1..10),
    ) {
        let first = run(seed, faults, &operations).network.fingerprint();
        let second = run(seed, faults, &operations).network.fingerprint();
        prop_assert_eq!(first, second);
    }
}

/// As many cases as `PROPTEST_CASES` says, or else `default`.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}
