//! What is measured: latencies, rates, CPU time, failures.

mod by_length;
mod by_size;
mod cpu;
mod failures;
mod latency;

pub(crate) use by_length::{ByLength, Tenth};
pub(crate) use by_size::{BySize, SizeClass};
pub(crate) use cpu::CpuTime;
pub(crate) use failures::Failures;
pub(crate) use latency::{Latency, LatencySummary};
