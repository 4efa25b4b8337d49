//! What hosts hold for messages, at its highest.

use serde::{Deserialize, Serialize};

/// The most that a host's transport held at any time of a run, in bytes; each of these may have been at
/// another time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// For incoming messages: granted or arrived, in the pieces in which memory is allocated.
    pub incoming_bytes: u64,
    /// Of incoming messages that had arrived: applications take a message as soon as it is whole.
    pub arrived_bytes: u64,
    /// Of outgoing messages, sent or not, until nothing of them can be asked for again.
    pub outgoing_bytes: u64,
}

/// [`HostMemory`] over all hosts, those of several runs together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryReport {
    /// See [`HostMemory::incoming_bytes`].
    pub incoming_bytes: PeakReport,
    /// See [`HostMemory::arrived_bytes`].
    pub arrived_bytes: PeakReport,
    /// See [`HostMemory::outgoing_bytes`].
    pub outgoing_bytes: PeakReport,
}

/// The peaks of all hosts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeakReport {
    /// Mean over hosts of the most that each held.
    pub peak_mean: f64,
    /// The most that any host held.
    pub peak_max: u64,
}

impl MemoryReport {
    /// Of these hosts; `None` if there are none.
    pub(crate) fn of(hosts: &[HostMemory]) -> Option<Self> {
        let peaks = |bytes: fn(&HostMemory) -> u64| {
            let max = hosts.iter().map(bytes).max()?;
            let sum: u64 = hosts.iter().map(bytes).sum();
            Some(PeakReport { peak_mean: sum as f64 / hosts.len() as f64, peak_max: max })
        };
        Some(Self {
            incoming_bytes: peaks(|host| host.incoming_bytes)?,
            arrived_bytes: peaks(|host| host.arrived_bytes)?,
            outgoing_bytes: peaks(|host| host.outgoing_bytes)?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn of__is_the_mean_and_the_most_of_each() {
        let host = |incoming_bytes, arrived_bytes, outgoing_bytes| HostMemory {
            incoming_bytes,
            arrived_bytes,
            outgoing_bytes,
        };
        let report = MemoryReport::of(&[host(10, 7, 0), host(20, 2, 3)]).unwrap();
        let peak = |peak_mean, peak_max| PeakReport { peak_mean, peak_max };
        assert_eq!(report.incoming_bytes, peak(15.0, 20));
        assert_eq!(report.arrived_bytes, peak(4.5, 7));
        assert_eq!(report.outgoing_bytes, peak(1.5, 3));
        assert_eq!(MemoryReport::of(&[]), None);
    }
}
