//! What is wrong with a link in one direction.

use super::Span;
use crate::time::SimTime;

/// When a link carries nothing, and when it takes longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkFaults {
    pub(crate) outages: Vec<Span>,
    /// Packets that are sent then take so much longer.
    pub(crate) lags: Vec<(Span, SimTime)>,
    /// Time from one end to the other.
    pub(crate) propagation: SimTime,
}

impl LinkFaults {
    pub(crate) fn is_down(&self, now: SimTime) -> bool {
        self.outages.iter().any(|outage| outage.contains(now))
    }

    /// Whether a packet that is sent from `begin` to `end` is lost.
    pub(crate) fn loses(&self, begin: SimTime, end: SimTime) -> bool {
        let there = end + self.propagation;
        self.outages.iter().any(|outage| begin < outage.end && outage.begin < there)
    }

    /// By how much later a packet arrives that is sent at this time.
    pub(crate) fn lag(&self, now: SimTime) -> SimTime {
        let lags = self.lags.iter().filter(|(span, _)| span.contains(now));
        lags.fold(SimTime::ZERO, |sum, &(_, lag)| sum + lag)
    }
}
