//! How far a run is, for who waits for it.

use crate::time::SimTime;

/// Told now and then how far a run is.
pub type Progress<'a> = &'a (dyn Fn(ProgressReport) + Sync);

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct ProgressReport {
    /// Measured messages that have arrived.
    pub messages: u64,
    /// Messages that are to be measured.
    pub messages_total: u64,
    /// Simulated time so far.
    pub now: SimTime,
    /// Packets that left a queue so far.
    pub hops: u64,
}
