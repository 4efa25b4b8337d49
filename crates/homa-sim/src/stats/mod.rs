//! What a run measured: slowdown by message length, and the lengths of queues.

mod queue;
mod slowdown;

pub use queue::{QueueMeter, QueueReport};
pub use slowdown::{BinReport, SlowdownBins, SlowdownSummary, TENTHS, bin_at, tenths};
