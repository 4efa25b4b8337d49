//! What a simulation begins with: parameters, and how many messages give figures worth comparing.

use clap::ValueEnum;
use homa_sim::SimConfig;

/// Parameters to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// The published evaluation: SIGCOMM 2018, section 5.2
    Sigcomm18,
    /// The parameters of the kernel implementation
    Kernel,
    /// The evaluation of SIRD: NSDI 2025, section 6
    Nsdi25,
    /// The same with Homa's informed overcommitment
    Informed,
}

/// The workload that has the lengths of the messages that are replayed.
pub(super) const REPLAY: &str = "replay";

/// How much is measured unless something else is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Effort {
    /// Messages with each seed.
    messages: u64,
    /// Seeds.
    runs: u32,
}

impl Preset {
    /// The parameters for a workload of this name.
    pub(super) fn config(self, workload: &str) -> SimConfig {
        let (config, messages) = match self {
            Self::Sigcomm18 => (SimConfig::sigcomm18(workload), effort(workload).messages),
            Self::Kernel => (SimConfig::kernel(workload), effort(workload).messages),
            Self::Nsdi25 => (SimConfig::nsdi25(workload), nsdi25_messages(workload)),
            Self::Informed => (SimConfig::informed(workload), nsdi25_messages(workload)),
        };
        SimConfig { messages, ..config }
    }
}

/// How many seeds a workload is run with unless something else is asked for.
pub(super) fn runs(workload: &str) -> u32 {
    effort(workload).runs
}

/// So that at least 1,000 messages are in each bin that is compared with publications. Two seeds use
/// two cores.
fn effort(workload: &str) -> Effort {
    let messages = match workload {
        "w1" | "w1-pareto" => 250_000,
        "w2" => 60_000,
        "w3" => 350_000,
        "w4" => 78_000,
        "w5" => 55_000,
        // All that there are.
        REPLAY => return Effort { messages: u64::MAX, runs: 1 },
        _ => return Effort { messages: 100_000, runs: 1 },
    };
    Effort { messages, runs: 2 }
}

/// At 50 % load, about the milliseconds that come before what is measured.
fn nsdi25_messages(workload: &str) -> u64 {
    match workload {
        "w3" => 60_000,
        "w4" => 24_000,
        "w5" => 3_500,
        _ => effort(workload).messages,
    }
}
