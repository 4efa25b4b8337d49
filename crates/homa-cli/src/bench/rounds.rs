//! Who runs when: in each round of a test the transports take turns, so that a disturbance of the
//! machine does not hit one of them alone.

use std::time::{Duration, Instant};

use ::homa::AuthConfig;

use super::aggregate::{RoundResult, aggregate};
use super::child::ServerProcess;
use super::contender::Contender;
use super::progress::ProgressLine;
use super::tests_to_run::Test;
use crate::address::ServerAddress;
use crate::args::BenchArgs;
use crate::exit::Stop;
use crate::interrupt::Interrupt;
use crate::keys;
use crate::load::{Ending, Load, Plan, Progress, Watcher};
use crate::message::MIN_LEN;
use crate::report::{Report, Skipped};
use crate::stats::CpuTime;
use crate::transport::{Dial, HomaOptions, LoadClient, Protocol, Regime};

/// Without any success for this long, a run ends: far longer than any recovery takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest maximum of message lengths that needs no other settings than the defaults.
const DEFAULT_MAX_MESSAGE: u32 = 1_000_000;

/// How the benchmark ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finish {
    Complete,
    Interrupted,
    Failed(String),
}

/// The rounds of one test, by transport.
type Measured = Vec<(Contender, Vec<RoundResult>)>;

/// A benchmark to be run.
pub(super) struct Rounds<'a> {
    args: &'a BenchArgs,
    tests: &'a [Test],
    contenders: &'a [Contender],
    interrupt: &'a Interrupt,
    max_message: u32,
    auth: Option<AuthConfig>,
    /// One per protocol, started for the whole benchmark; they sleep while the other is measured.
    servers: Vec<(Protocol, ServerProcess)>,
    progress: ProgressLine,
}

impl<'a> Rounds<'a> {
    /// Starts the servers.
    pub(super) fn new(
        args: &'a BenchArgs,
        tests: &'a [Test],
        contenders: &'a [Contender],
        interrupt: &'a Interrupt,
    ) -> Result<Self, Stop> {
        let longest = tests.iter().map(|test| test.workload.max_len()).max().unwrap_or(MIN_LEN);
        let max_message = longest.max(DEFAULT_MAX_MESSAGE);
        let auth = keys::read(args.homa.key_file.as_deref())?;
        let mut servers: Vec<(Protocol, ServerProcess)> = Vec::new();
        if args.server.is_none() {
            for protocol in contenders.iter().map(|contender| contender.protocol()) {
                if !servers.iter().any(|(started, _)| *started == protocol) {
                    let server = ServerProcess::start(protocol, args, max_message);
                    servers.push((protocol, server.map_err(Stop::Failed)?));
                }
            }
        }
        let runs = tests.len() * contenders.len() * args.rounds as usize;
        let run_time = args.warmup + args.duration / args.rounds;
        let progress = ProgressLine::new(runs, run_time);
        Ok(Self { args, tests, contenders, interrupt, max_message, auth, servers, progress })
    }

    /// Runs everything; a report of what was measured until the end, whatever ended it.
    pub(super) fn run(mut self) -> Result<(Report, Finish), Stop> {
        let (mut results, mut skipped) = (Vec::new(), Vec::new());
        let mut finish = Finish::Complete;
        for test in self.tests {
            skipped.extend(self.contenders.iter().filter_map(|contender| skip(test, *contender)));
            let (measured, ended) = self.run_test(test)?;
            let regime = Regime::from(self.args.regime);
            results.extend(
                measured
                    .iter()
                    .filter(|(_, rounds)| !rounds.is_empty())
                    .map(|(contender, rounds)| aggregate(test, *contender, regime, rounds)),
            );
            finish = ended;
            if finish != Finish::Complete {
                break;
            }
        }
        self.progress.clear();
        Ok((Report::new(results, skipped), finish))
    }

    fn run_test(&mut self, test: &Test) -> Result<(Measured, Finish), Stop> {
        let able = self.contenders.iter().filter(|contender| skip(test, **contender).is_none());
        let mut measured: Vec<_> = able.map(|contender| (*contender, Vec::new())).collect();
        for round in 0..self.args.rounds {
            for (contender, results) in &mut measured {
                let (result, finish) = self.run_once(test, *contender, round)?;
                results.push(result);
                if finish != Finish::Complete {
                    return Ok((measured, finish));
                }
            }
        }
        Ok((measured, Finish::Complete))
    }

    fn run_once(
        &mut self,
        test: &Test,
        contender: Contender,
        round: u32,
    ) -> Result<(RoundResult, Finish), Stop> {
        let mut client = self.connect(test, contender, round)?;
        let server = self.servers.iter_mut().find(|(p, _)| *p == contender.protocol());
        self.progress.begin_run(format!(
            "{} {contender} round {}/{}",
            test.name,
            round + 1,
            self.args.rounds
        ));
        let mut watcher = RunWatcher {
            server: server.map(|(_, server)| server),
            progress: &mut self.progress,
            begin: None,
            cpu_server: None,
        };
        let plan = plan(self.args, test, round);
        let outcome = Load::new(plan, &mut *client, &mut watcher, self.interrupt).run()?;
        let cpu_server = watcher.cpu_server;
        let finish = match outcome.ending {
            Ending::Complete => Finish::Complete,
            Ending::Interrupted => Finish::Interrupted,
            Ending::NoSuccess { waited, .. } => {
                let reason = outcome.failures.foremost().map_or("no call has ended", |(r, _)| r);
                Finish::Failed(format!(
                    "{} over {contender}: no call succeeded for {:.1} s ({reason})",
                    test.name,
                    waited.as_secs_f64()
                ))
            }
        };
        if outcome.failures.total() > 0 {
            self.progress.clear();
            for (reason, count) in outcome.failures.by_frequency() {
                tell!("homa: {} over {contender}: {count} calls failed: {reason}", test.name);
            }
        }
        Ok((RoundResult { outcome, cpu_server }, finish))
    }

    fn connect(
        &self,
        test: &Test,
        contender: Contender,
        round: u32,
    ) -> Result<Box<dyn LoadClient>, Stop> {
        let protocol = contender.protocol();
        // Another seed in every round, or the same packets would be lost each time.
        let seed = self.args.seed.wrapping_add(1 + u64::from(round));
        let mut homa = HomaOptions::for_messages_of(u64::from(self.max_message))
            .with_fault(self.args.fault, seed)
            .with_checksums(self.args.homa.checksums)
            .with_timeout(self.args.homa.timeout)
            .with_auth(self.auth.clone());
        if protocol == Protocol::Raw {
            homa = homa.over_raw_ip(true, None);
        }
        let dial = Dial {
            protocol,
            variant: contender.variant(),
            server: self.server_address(protocol),
            certificate: self.own_server(protocol).and_then(ServerProcess::certificate),
            slots: test.outstanding,
            regime: self.args.regime.into(),
            homa,
        };
        dial.client()
    }

    fn server_address(&self, protocol: Protocol) -> &ServerAddress {
        let own = self.own_server(protocol).map(ServerProcess::address);
        own.or(self.args.server.as_ref()).expect("without --server, one was started per protocol")
    }

    fn own_server(&self, protocol: Protocol) -> Option<&ServerProcess> {
        self.servers.iter().find(|(p, _)| *p == protocol).map(|(_, server)| server)
    }
}

/// What is not measured, if the transport can't carry the test's messages.
fn skip(test: &Test, contender: Contender) -> Option<Skipped> {
    let reason = contender.cannot_carry(test.workload.max_len())?;
    Some(Skipped::new(test, contender, reason))
}

fn plan(args: &BenchArgs, test: &Test, round: u32) -> Plan {
    Plan {
        workload: test.workload.clone(),
        outstanding: test.outstanding,
        pace: test.pace,
        one_way: false,
        seed: args.seed.wrapping_add(u64::from(round)),
        warmup: args.warmup,
        duration: args.duration / args.rounds,
        patience: Some(PATIENCE),
    }
}

/// Asks the server for its CPU time, and shows progress.
struct RunWatcher<'a> {
    server: Option<&'a mut ServerProcess>,
    progress: &'a mut ProgressLine,
    begin: Option<(Instant, CpuTime)>,
    cpu_server: Option<f64>,
}

impl Watcher for RunWatcher<'_> {
    fn measuring(&mut self, begins: bool) {
        let Some(used) = self.server.as_mut().and_then(|server| server.cpu_time()) else { return };
        let now = Instant::now();
        match self.begin {
            None if begins => self.begin = Some((now, used)),
            Some((begin, before)) => self.cpu_server = used.cores_since(before, now - begin),
            None => {}
        }
    }

    fn progress(&mut self, now: Instant, progress: &mut Progress<'_>) {
        self.progress.update(now, progress);
    }
}
