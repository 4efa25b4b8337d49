//! What goes wrong at given times: links that carry nothing, hosts that are slow, hosts that take nothing.

mod interface;
mod link;
mod plan;

use serde::{Deserialize, Serialize};

use crate::time::SimTime;
use crate::topology::SwitchName;

pub(crate) use interface::{Held, Interface, Stall};
pub(crate) use link::LinkFaults;
pub(crate) use plan::FaultPlan;

/// Something that goes wrong from one time to another, both in microseconds since the start of the run,
/// at most 10^12; the first is the earlier one. Faults may overlap.
///
/// What travels beside the network (the ends of one-way messages) is not affected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fault", deny_unknown_fields)]
pub enum Fault {
    /// The link between two switches carries nothing, in either direction; where there are several, all
    /// of them. What is on it is lost, and so is what still waits for it. Switches know at once: packets
    /// take the shortest ways that are left, and are lost where there is none.
    LinkDown {
        /// The switches.
        between: [SwitchName; 2],
        /// From this time on.
        from_us: f64,
        /// Up to this time.
        to_us: f64,
    },
    /// The link of a host carries nothing, in either direction: what is sent on it is lost.
    HostLinkDown {
        /// Number of the host, from 0.
        host: u32,
        /// From this time on.
        from_us: f64,
        /// Up to this time.
        to_us: f64,
    },
    /// A host takes longer for everything.
    SlowHost {
        /// Number of the host, from 0.
        host: u32,
        /// By so much `host_send_ns` and `host_receive_ns` are multiplied; 1 to 10^6, default 1.
        #[serde(default = "one")]
        delay_factor: f64,
        /// Every so many microseconds, counted from the beginning, its transport handles the packets and
        /// timeouts that there are; it sends at any time what it may. At most 10^12; default 0: all is
        /// handled at once.
        #[serde(default)]
        every_us: f64,
        /// Bytes of packets that wait to be handled at most, more are lost; default 0: no limit.
        #[serde(default)]
        nic_bytes: u64,
        /// From this time on.
        from_us: f64,
        /// Up to this time.
        to_us: f64,
    },
    /// A host's transport handles neither packets nor timeouts; it still sends what it may. Packets wait
    /// at its interface and are handled afterwards.
    PausedHost {
        /// Number of the host, from 0.
        host: u32,
        /// Bytes of packets that wait at most, more are lost; default 0: no limit.
        #[serde(default)]
        nic_bytes: u64,
        /// From this time on.
        from_us: f64,
        /// Up to this time.
        to_us: f64,
    },
}

impl Fault {
    /// When it begins and ends, in microseconds.
    const fn times_us(&self) -> (f64, f64) {
        match *self {
            Self::LinkDown { from_us, to_us, .. }
            | Self::HostLinkDown { from_us, to_us, .. }
            | Self::SlowHost { from_us, to_us, .. }
            | Self::PausedHost { from_us, to_us, .. } => (from_us, to_us),
        }
    }
}

const fn one() -> f64 {
    1.0
}

/// A stretch of time, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) begin: SimTime,
    pub(crate) end: SimTime,
}

impl Span {
    pub(crate) fn contains(self, at: SimTime) -> bool {
        self.begin <= at && at < self.end
    }
}
