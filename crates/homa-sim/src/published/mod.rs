//! Results that others have published, to set beside those of a run.
//!
//! Names of protocols and workloads are taken in upper or lower case; `w1-pareto` means W1. Where
//! each table comes from says `data/published/README.md` beside the sources; SIGCOMM 2018 is
//! "Homa: A Receiver-Driven Low-Latency Transport Protocol Using Network Priorities", in its
//! complete version (arXiv 1803.09615v2).

mod comparison;
mod csv;
mod load;
mod sensitivity;
mod sird;
mod slowdown;

pub use comparison::{Comparison, comparison};
pub use load::{
    IncastThroughput, MaxLoad, PriorityShare, QueueLength, incast_throughput, max_load,
    priority_shares, queue_length, wasted_bandwidth,
};
pub use sensitivity::{Parameter, sensitivity};
pub use sird::{SIRD_SCENARIOS, SirdMetric, SirdScenario, sird};
pub use slowdown::{PublishedSlowdown, slowdown, tenths};

/// One curve of a family that differs in a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterCurve {
    /// The value of the parameter.
    pub parameter: u32,
    /// The points, by ascending abscissa.
    pub points: Vec<(f64, f64)>,
}
