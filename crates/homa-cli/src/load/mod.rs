//! The load generator: makes calls as a plan says, and measures what comes of them.

mod calls;
mod pace;
mod run;
mod schedule;

use std::time::Duration;

pub(crate) use self::pace::Pace;
pub(crate) use self::run::{Load, Progress, Watcher};
pub(crate) use self::schedule::schedule;

use crate::stats::{ByLength, BySize, Failures, Latency};
use crate::workload::Workload;

/// Calls at once in an open loop, unless said otherwise (that of the Linux experiments).
pub(crate) const OPEN_LOOP_OUTSTANDING: usize = 200;

/// What calls are to be made.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Lengths of requests.
    pub(crate) workload: Workload,
    /// How many calls may be under way at once.
    pub(crate) outstanding: usize,
    /// When calls begin.
    pub(crate) pace: Pace,
    /// Whether servers are to send at most 100 bytes back.
    pub(crate) one_way: bool,
    /// Determines lengths and times.
    pub(crate) seed: u64,
    /// How long to run before measuring.
    pub(crate) warmup: Duration,
    /// How long to measure.
    pub(crate) duration: Duration,
    /// After how long without any success to give up; `None`: never.
    pub(crate) patience: Option<Duration>,
}

/// What came of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// How the run ended.
    pub(crate) ending: Ending,
    /// How long was measured.
    pub(crate) measured: Duration,
    /// Calls that succeeded in this time.
    pub(crate) rpcs: u64,
    /// Bytes of their requests.
    pub(crate) request_bytes: u64,
    /// Bytes of their responses.
    pub(crate) response_bytes: u64,
    /// Their latencies, from the intended begin of each call, by length of the request.
    pub(crate) by_size: BySize,
    /// Their latencies, from when each request was released (`cp_node`'s round-trip time).
    pub(crate) release: Latency,
    /// How long those that failed in this time took, from when each request was released.
    pub(crate) until_failure: Latency,
    /// Calls that failed, in the whole run.
    pub(crate) failures: Failures,
    /// Cores that this process used while measuring, if that took any time.
    pub(crate) cpu: Option<f64>,
    /// By what part of the time an open loop was behind at the end.
    pub(crate) lag: f64,
    /// Of a run among several servers: latencies of the calls whose intended begin lay in the measured time,
    /// whenever they ended, by exact length. Empty otherwise.
    pub(crate) by_length: ByLength,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As planned.
    Complete,
    /// The user ended it.
    Interrupted,
    /// There was no success for as long as the plan's patience.
    NoSuccess {
        /// How long there had been none.
        waited: Duration,
        /// Whether a failure since the last success said that nothing listens at the address.
        nothing_listens: bool,
    },
}
