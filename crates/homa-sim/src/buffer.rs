//! What all queues of a switch hold together: they share its memory.

use crate::stats::QueueMeter;
use crate::time::SimTime;
use crate::topology::Tier;

/// The packet memory of a switch.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) tier: Tier,
    bytes: u64,
    pub(crate) meter: QueueMeter,
}

impl Buffer {
    pub(crate) fn new(tier: Tier) -> Self {
        Self { tier, bytes: 0, meter: QueueMeter::new() }
    }

    /// A packet begins to wait.
    pub(crate) fn add(&mut self, now: SimTime, bytes: u32) {
        self.bytes += u64::from(bytes);
        self.meter.change(now.0, self.bytes);
    }

    /// A packet has waited long enough.
    pub(crate) fn remove(&mut self, now: SimTime, bytes: u32) {
        self.bytes -= u64::from(bytes);
        self.meter.change(now.0, self.bytes);
    }
}

/// How reports call the switches of a tier.
pub(crate) const fn tier_name(tier: Tier) -> &'static str {
    match tier {
        1 => "tor",
        2 => "aggr",
        _ => "core",
    }
}
