//! Packets that were lost, and why.

use serde::{Deserialize, Serialize};

/// Why a packet was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropCause {
    QueueFull,
    Random,
    LinkDown,
    HostStalled,
}

/// How many packets were lost, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropCounts {
    /// A switch's queue had no room.
    pub queue_full: u64,
    /// At random.
    pub random: u64,
    /// They were on a link that went down, or there was no way.
    pub link_down: u64,
    /// Their receiver was paused or slow, and its interface had no room.
    pub host_stalled: u64,
}

impl DropCounts {
    pub(crate) fn count(&mut self, cause: DropCause) {
        *match cause {
            DropCause::QueueFull => &mut self.queue_full,
            DropCause::Random => &mut self.random,
            DropCause::LinkDown => &mut self.link_down,
            DropCause::HostStalled => &mut self.host_stalled,
        } += 1;
    }

    /// Adds those of another run.
    pub(crate) fn add(&mut self, other: &Self) {
        self.queue_full += other.queue_full;
        self.random += other.random;
        self.link_down += other.link_down;
        self.host_stalled += other.host_stalled;
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.queue_full + self.random + self.link_down + self.host_stalled
    }
}
