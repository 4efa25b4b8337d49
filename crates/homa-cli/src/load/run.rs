//! The loop that makes calls and takes their outcomes.

use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use homa_sim::Random;

use super::calls::{Call, Calls};
use super::pace::Arrivals;
use super::schedule::{NextCall, next_call};
use super::{Ending, Outcome, Pace, Plan};
use crate::interrupt::Interrupt;
use crate::message::{Header, Pattern};
use crate::stats::{ByLength, BySize, CpuTime, Failures, Latency};
use crate::transport::{LoadClient, Outcome as CallOutcome, Request};

/// How many calls begin before outcomes are looked at: those that wait meanwhile must not fill the
/// socket's buffer.
const MAX_RELEASED: usize = 256;
/// How long a slot rests after its call failed: failures can be very quick.
const REST: Duration = Duration::from_millis(10);
/// The longest wait, so that Ctrl-C is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// How long the last calls may take after the end of the run.
const DRAIN: Duration = Duration::from_secs(5);
/// Patience with an address where, as its host says, nothing listens.
const NOBODY_PATIENCE: Duration = Duration::from_millis(400);

/// Sees a run while it goes on.
pub(crate) trait Watcher {
    /// Measuring begins, or ends. The time spent here is not measured.
    fn measuring(&mut self, begins: bool);

    /// Called now and then with the totals since the beginning of the run.
    fn progress(&mut self, now: Instant, progress: &mut Progress<'_>);
}

/// How far a run is.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    /// Calls that succeeded.
    pub(crate) rpcs: u64,
    /// Bytes of their requests.
    pub(crate) request_bytes: u64,
    /// Bytes of their responses.
    pub(crate) response_bytes: u64,
    /// Calls under way.
    pub(crate) outstanding: usize,
    /// Calls that failed.
    pub(crate) failures: &'a Failures,
    /// Latencies since the watcher last cleared this.
    pub(crate) recent: &'a mut Latency,
}

/// A run of a plan against one server, or several.
pub(crate) struct Load<'a> {
    client: &'a mut dyn LoadClient,
    watcher: &'a mut dyn Watcher,
    interrupt: &'a Interrupt,
    tracker: Tracker,
}

/// What is known of the run's calls.
struct Tracker {
    plan: Plan,
    pattern: Pattern,
    random: Random,
    arrivals: Arrivals,
    calls: Calls,
    next_number: u64,
    totals: Totals,
    /// What was done when measuring began.
    base: Totals,
    window: Option<Instant>,
    by_size: BySize,
    release: Latency,
    until_failure: Latency,
    recent: Latency,
    failures: Failures,
    among: Option<Among>,
    /// How long a success has been waited for in vain; `None` if no call is under way.
    silence: Option<Duration>,
    nothing_listens: bool,
}

/// What a run among several servers has beyond that against one.
struct Among {
    servers: u32,
    /// Calls count whose intended begin lies in this time.
    span: Range<Instant>,
    by_length: ByLength,
}

/// Counts of calls that succeeded.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    rpcs: u64,
    request_bytes: u64,
    response_bytes: u64,
}

impl<'a> Load<'a> {
    pub(crate) fn new(
        plan: Plan,
        client: &'a mut dyn LoadClient,
        watcher: &'a mut dyn Watcher,
        interrupt: &'a Interrupt,
    ) -> Self {
        Self { client, watcher, interrupt, tracker: Tracker::new(plan) }
    }

    /// The same plan among so many servers: for each call one is drawn, and latencies are kept by length
    /// ([`Outcome::by_length`]). Calls that could not begin in time, as too many were under way, are failures.
    pub(crate) fn among(mut self, servers: u32) -> Self {
        let now = Instant::now();
        self.tracker.among =
            Some(Among { servers, span: now..now, by_length: ByLength::default() });
        self
    }

    /// Runs the plan.
    ///
    /// # Errors
    ///
    /// The transport itself does not work (a system call failed); failed calls are no errors here.
    pub(crate) fn run(mut self) -> io::Result<Outcome> {
        let begin = Instant::now();
        self.tracker.arrivals = Arrivals::new(self.tracker.plan.pace, begin);
        self.tracker.plan_span(begin);
        let mut ending = self.run_until(begin + self.tracker.plan.warmup)?;
        self.watcher.measuring(true);
        let cpu = CpuTime::of_this_process();
        let window = Instant::now();
        self.tracker.begin_window(window);
        if ending == Ending::Complete {
            ending = self.run_until(window + self.tracker.plan.duration)?;
        }
        let now = Instant::now();
        let measured = now - window;
        let cpu = CpuTime::of_this_process().cores_since(cpu, measured);
        self.watcher.measuring(false);
        let mut outcome = self.tracker.end_window(ending, measured, cpu);
        if let (Some(next), true) = (self.tracker.arrivals.next(), ending == Ending::Complete) {
            outcome.lag =
                now.saturating_duration_since(next).as_secs_f64() / measured.as_secs_f64();
        }
        if ending == Ending::Complete {
            self.tracker.begin_what_was_due(self.client);
            self.drain()?;
        }
        outcome.failures = self.tracker.failures;
        outcome.by_length = self.tracker.among.map(|among| among.by_length).unwrap_or_default();
        Ok(outcome)
    }

    fn run_until(&mut self, end: Instant) -> io::Result<Ending> {
        let mut now = Instant::now();
        while now < end {
            if self.interrupt.is_set() {
                return Ok(Ending::Interrupted);
            }
            let more = self.tracker.release(now, self.client);
            let wake = if more { now } else { self.tracker.next_wake(end) };
            let timeout = wake.saturating_duration_since(now);
            self.receive(timeout.min(LONGEST_WAIT))?;
            let step = now.elapsed();
            now += step;
            self.watcher.progress(now, &mut self.tracker.progress());
            if let Some(ending) = self.tracker.out_of_patience(step) {
                return Ok(ending);
            }
        }
        Ok(Ending::Complete)
    }

    /// Takes outcomes, waiting for at most `timeout` for the first.
    fn receive(&mut self, timeout: Duration) -> io::Result<()> {
        let (tracker, batched) = (&mut self.tracker, self.client.is_batched());
        let mut together = None;
        let mut sink = |slot, outcome: CallOutcome<'_>| {
            let now = together.unwrap_or_else(Instant::now);
            together = batched.then_some(now);
            tracker.end_call(now, slot, outcome);
        };
        self.client.receive(timeout, &mut sink)
    }

    /// Waits for the calls still under way; those that don't end are failures.
    fn drain(&mut self) -> io::Result<()> {
        let end = Instant::now() + DRAIN;
        while self.tracker.calls.count() > 0 && Instant::now() < end && !self.interrupt.is_set() {
            self.receive(LONGEST_WAIT)?;
        }
        let missing = self.tracker.calls.count() as u64;
        if missing > 0 && !self.interrupt.is_set() {
            let reason =
                format!("no response within {} s after the end of the run", DRAIN.as_secs());
            self.tracker.failures.record(&reason, missing);
        }
        Ok(())
    }
}

impl Tracker {
    fn new(plan: Plan) -> Self {
        Self {
            pattern: Pattern::new(plan.workload.max_len()),
            random: Random::from_seed(plan.seed),
            arrivals: Arrivals::new(Pace::Closed, Instant::now()),
            calls: Calls::new(plan.outstanding),
            next_number: 0,
            totals: Totals::default(),
            base: Totals::default(),
            window: None,
            by_size: BySize::default(),
            release: Latency::new(),
            until_failure: Latency::new(),
            recent: Latency::new(),
            failures: Failures::default(),
            among: None,
            silence: None,
            nothing_listens: false,
            plan,
        }
    }

    /// Of a run among servers that begins now.
    fn plan_span(&mut self, begin: Instant) {
        if let Some(among) = &mut self.among {
            let first = begin + self.plan.warmup;
            among.span = first..first + self.plan.duration;
        }
    }

    /// Begins the calls of a run among servers that were due before its end, and counts as failures those that
    /// find no slot.
    fn begin_what_was_due(&mut self, client: &mut dyn LoadClient) {
        let Some(end) = self.among.as_ref().map(|among| among.span.end) else { return };
        while self.release(end, client) {}
        let due = std::iter::from_fn(|| self.arrivals.take(end, &mut self.random));
        let count = due.count() as u64;
        if count > 0 {
            let most = self.plan.outstanding;
            self.failures.record(&format!("not begun: {most} others were under way"), count);
        }
    }

    fn begin_window(&mut self, now: Instant) {
        self.window = Some(now);
        self.base = self.totals;
    }

    fn end_window(&mut self, ending: Ending, measured: Duration, cpu: Option<f64>) -> Outcome {
        self.window = None;
        let by_size = std::mem::take(&mut self.by_size);
        // In a closed loop a call is released when it is intended to be.
        let closed = self.plan.pace == Pace::Closed;
        let release = if closed { by_size.total() } else { self.release.clone() };
        Outcome {
            ending,
            measured,
            rpcs: self.totals.rpcs - self.base.rpcs,
            request_bytes: self.totals.request_bytes - self.base.request_bytes,
            response_bytes: self.totals.response_bytes - self.base.response_bytes,
            by_size,
            release,
            until_failure: std::mem::replace(&mut self.until_failure, Latency::new()),
            failures: Failures::default(),
            cpu,
            lag: 0.0,
            by_length: ByLength::default(),
        }
    }

    /// Starts calls that are due and have a slot; whether there may be more.
    fn release(&mut self, now: Instant, client: &mut dyn LoadClient) -> bool {
        let (batched, mut together) = (client.is_batched(), None);
        for _ in 0..MAX_RELEASED {
            let Some(slot) = self.calls.take_slot(now) else { return false };
            let servers = self.among.as_ref().map(|among| among.servers);
            let (workload, random) = (&self.plan.workload, &mut self.random);
            let next = next_call(&mut self.arrivals, now, workload, servers, random);
            let Some(NextCall { intended, length, server }) = next else {
                self.calls.give_back(slot);
                return false;
            };
            let header = Header::request(slot, length, self.plan.one_way);
            let number = self.next_number;
            self.next_number += 1;
            let body = self.pattern.body(number, length);
            // Where each leaves at once, starting the ones before it takes time.
            let released = together.unwrap_or_else(Instant::now);
            together = batched.then_some(released);
            let intended = if self.plan.pace == Pace::Closed { released } else { intended };
            self.calls.begin(slot, Call { header, number, intended, released });
            self.silence.get_or_insert(Duration::ZERO);
            client.send_to(server, Request { slot, header, body });
        }
        true
    }

    fn end_call(&mut self, now: Instant, slot: u32, outcome: CallOutcome<'_>) {
        let Some(call) = self.calls.end(slot) else {
            self.failures.record("a second outcome of one call", 1);
            return;
        };
        let failure = match outcome {
            Ok(response) => match self.pattern.verify(call.header, call.number, response) {
                Ok(()) => return self.succeed(slot, &call, now),
                Err(mismatch) => crate::transport::Failure::new(mismatch.to_string()),
            },
            Err(failure) => failure,
        };
        // That other calls are met by silence does not contradict it.
        self.nothing_listens |= failure.nothing_listens;
        if failure.nothing_listens {
            self.failures.record_telling(&failure.reason);
        } else {
            self.failures.record(&failure.reason, 1);
        }
        if self.is_measured(&call) {
            self.until_failure.record(now - call.released);
        }
        self.calls.rest(slot, now + REST);
    }

    fn succeed(&mut self, slot: u32, call: &Call, now: Instant) {
        self.calls.give_back(slot);
        self.silence = (self.calls.count() > 0).then_some(Duration::ZERO);
        self.nothing_listens = false;
        self.totals.rpcs += 1;
        self.totals.request_bytes += u64::from(call.header.length);
        self.totals.response_bytes += u64::from(call.header.response().length);
        let latency = now - call.intended;
        self.recent.record(latency);
        if let Some(among) = &mut self.among
            && among.span.contains(&call.intended)
        {
            among.by_length.record(call.header.length, latency);
        }
        if self.is_measured(call) {
            self.by_size.class_mut(call.header.length).record(latency);
            if self.plan.pace != Pace::Closed {
                self.release.record(now - call.released);
            }
        }
    }

    /// Whether a call that ends counts among the latencies.
    fn is_measured(&self, call: &Call) -> bool {
        self.window.is_some_and(|begin| call.released >= begin)
    }

    fn progress(&mut self) -> Progress<'_> {
        Progress {
            rpcs: self.totals.rpcs,
            request_bytes: self.totals.request_bytes,
            response_bytes: self.totals.response_bytes,
            outstanding: self.calls.count(),
            failures: &self.failures,
            recent: &mut self.recent,
        }
    }

    /// When there will be something to do even if nothing arrives.
    fn next_wake(&self, end: Instant) -> Instant {
        let arrival = self.arrivals.next().filter(|_| self.calls.has_free());
        [arrival, self.calls.next_rested()].into_iter().flatten().fold(end, Instant::min)
    }

    /// Whether it is time to give up, after `step` more was waited.
    fn out_of_patience(&mut self, step: Duration) -> Option<Ending> {
        let waited = self.silence.as_mut()?;
        // A process that was stopped for a while did not wait for anybody meanwhile.
        *waited += step.min(2 * LONGEST_WAIT);
        let (waited, nothing_listens) = (*waited, self.nothing_listens);
        let patience = self.plan.patience?;
        let patience = if nothing_listens { patience.min(NOBODY_PATIENCE) } else { patience };
        (waited >= patience).then_some(Ending::NoSuccess { waited, nothing_listens })
    }
}
