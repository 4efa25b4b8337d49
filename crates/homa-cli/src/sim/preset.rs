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
}

/// How much is measured unless something else is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Effort {
    /// Messages with each seed.
    messages: u64,
    /// Messages before these, as a share of them.
    warmup: f64,
    /// Seeds.
    runs: u32,
}

impl Preset {
    /// The parameters for a workload of this name.
    pub(super) fn config(self, workload: &str) -> SimConfig {
        let config = match self {
            Self::Sigcomm18 => SimConfig::sigcomm18(workload),
            Self::Kernel => SimConfig::kernel(workload),
        };
        let Effort { messages, warmup, .. } = effort(workload);
        SimConfig { messages, warmup, ..config }
    }
}

/// How many seeds a workload is run with unless something else is asked for.
pub(super) fn runs(workload: &str) -> u32 {
    effort(workload).runs
}

/// So that at least 1,000 messages are in each bin that is compared with publications, and so much
/// before them that queues and long messages are as many as they become. Two seeds use two cores.
fn effort(workload: &str) -> Effort {
    let (messages, warmup) = match workload {
        "w1" | "w1-pareto" => (250_000, 0.1),
        "w2" => (60_000, 0.2),
        "w3" => (350_000, 0.1),
        "w4" => (78_000, 1.2),
        "w5" => (55_000, 1.0),
        _ => return Effort { messages: 100_000, warmup: 0.1, runs: 1 },
    };
    Effort { messages, warmup, runs: 2 }
}
