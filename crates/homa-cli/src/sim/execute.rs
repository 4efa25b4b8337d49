//! Running all of a plan on all cores.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use homa_sim::{Outcome, ProgressReport, SimConfig, SimError, TracedMessage};

use super::plan::{Plan, PlannedRun};
use super::progress::Progress;
use super::report::Run;
use crate::exit::Stop;
use crate::interrupt::Interrupt;

/// How long an interrupt may go unnoticed.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a thread tells of its simulation.
enum News {
    Progress(usize, ProgressReport),
    Done(usize, Box<Result<Simulated, SimError>>),
}

/// What was measured, and the trace, empty if none is wanted.
type Simulated = (Outcome, Vec<TracedMessage>);

/// What came of a plan.
pub(super) struct Executed {
    /// What is complete, in the order of the plan.
    pub(super) runs: Vec<Run>,
    /// Whether that is all: it is not after an interrupt, whose simulations are left to end with the
    /// process.
    pub(super) is_all: bool,
    /// The messages of the only run, if they are wanted.
    pub(super) trace: Vec<TracedMessage>,
}

/// One of the plan's runs, with one of its seeds.
#[derive(Clone)]
struct Job {
    /// Place of the run in the plan.
    run: usize,
    /// Place of the seed in the run.
    seed: usize,
    config: SimConfig,
    is_traced: bool,
}

/// Runs what is planned.
///
/// # Errors
///
/// A configuration that turns out to be impossible.
pub(super) fn execute(plan: &Plan, interrupt: &Interrupt) -> Result<Executed, Stop> {
    let jobs: Vec<Job> = jobs(plan).collect();
    let mut progress = Progress::new(jobs.iter().map(|job| &job.config));
    let mut trace = Vec::new();
    let mut results: Vec<_> = plan.runs.iter().map(Results::new).collect();
    let (sender, news) = mpsc::channel();
    for (number, job) in jobs.iter().enumerate() {
        let (sender, job) = (sender.clone(), job.clone());
        rayon::spawn_fifo(move || simulate(number, &job, &sender));
    }
    drop(sender);
    let mut left = jobs.len();
    while left > 0 && !interrupt.is_set() {
        match news.recv_timeout(PATIENCE) {
            Ok(News::Progress(number, report)) => progress.update(number, report),
            Ok(News::Done(number, simulated)) => {
                let (outcome, messages) =
                    simulated.map_err(|error| Stop::Usage(error.to_string()))?;
                trace.extend(messages);
                let Job { run, seed, .. } = jobs[number];
                results[run].add(seed, outcome);
                left -= 1;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Stop::Failed("a simulation ended without a result".into()));
            }
        }
    }
    progress.clear();
    let runs = results.into_iter().filter_map(|results| results.run).collect();
    Ok(Executed { runs, is_all: left == 0, trace })
}

fn jobs(plan: &Plan) -> impl Iterator<Item = Job> {
    plan.runs.iter().enumerate().flat_map(move |(run, planned)| {
        let configs = planned.configs().enumerate();
        configs.map(move |(seed, config)| Job { run, seed, config, is_traced: plan.is_traced })
    })
}

fn simulate(number: usize, job: &Job, sender: &Sender<News>) {
    // After an interrupt nobody listens, and the process is about to end.
    let progress = |report| {
        let _ = sender.send(News::Progress(number, report));
    };
    let simulated = if job.is_traced {
        homa_sim::run_traced(&job.config, &progress)
    } else {
        homa_sim::run_detailed(&job.config, &progress).map(|outcome| (outcome, Vec::new()))
    };
    let _ = sender.send(News::Done(number, Box::new(simulated)));
}

/// What is known of a run.
struct Results<'a> {
    planned: &'a PlannedRun,
    /// By seed, until all are there.
    outcomes: Vec<Option<Outcome>>,
    /// All together.
    run: Option<Run>,
}

impl<'a> Results<'a> {
    fn new(planned: &'a PlannedRun) -> Self {
        let outcomes = (0..planned.seeds).map(|_| None).collect();
        Self { planned, outcomes, run: None }
    }

    /// The last one to come completes the run; seeds are merged in their order all the same.
    fn add(&mut self, seed: usize, outcome: Outcome) {
        self.outcomes[seed] = Some(outcome);
        if self.outcomes.iter().any(Option::is_none) {
            return;
        }
        let whole = self.outcomes.drain(..).flatten().reduce(|mut whole, part| {
            whole.merge(part);
            whole
        });
        self.run = whole.map(|whole| Run {
            index: self.planned.index,
            set: self.planned.set.clone(),
            config: self.planned.config.clone(),
            report: whole.report(),
        });
    }
}
