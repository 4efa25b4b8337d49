//! When RPCs may ask a peer for what they miss: at a pace that the answers decide.
//!
//! A thousand calls in service at one peer are no reason to ask it a thousand times every few
//! milliseconds, and a peer that can't keep up with questions must not get more of them. But what was lost is asked for
//! at once, however many other calls the peer works on.

use crate::config::Timing;
use crate::time::{Duration, Instant};
use homa_wire::PacketType;

/// The paces of probes to one peer.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    /// Of RPCs of which something may be lost.
    suspicious: Pace,
    /// Of RPCs that the peer has said it works on.
    busy: Pace,
}

impl Probes {
    /// Takes the next place among the probes of its kind, and returns its time. `None` if that is
    /// more than `resend_interval` ahead: many places are no longer needed when their time comes,
    /// and must not put off the others for ever.
    pub(crate) fn reserve(
        &mut self,
        now: Instant,
        is_told_busy: bool,
        timing: &Timing,
    ) -> Option<Instant> {
        self.pace_mut(is_told_busy).reserve(now, timing)
    }

    /// An RPC's probe has not been answered until it is due to ask again.
    pub(crate) fn unanswered(&mut self, is_told_busy: bool, timing: &Timing) {
        self.pace_mut(is_told_busy).slow_down(timing);
    }

    /// A packet has come for an RPC whose last probe was unanswered.
    pub(crate) fn answered(&mut self, is_told_busy: bool, by: PacketType, timing: &Timing) {
        let pace = self.pace_mut(is_told_busy);
        match by {
            PacketType::Busy if is_told_busy => pace.slow_down(timing),
            // These are what is asked for, or ask for what was lost themselves.
            PacketType::Busy
            | PacketType::Data
            | PacketType::Grant
            | PacketType::RpcUnknown
            | PacketType::Resend
            | PacketType::Ack => pace.speed_up(),
            PacketType::Cutoffs | PacketType::Freeze | PacketType::NeedAck | PacketType::Refuse => {
            }
        }
    }

    fn pace_mut(&mut self, is_told_busy: bool) -> &mut Pace {
        if is_told_busy { &mut self.busy } else { &mut self.suspicious }
    }
}

/// Keeps probes apart: the fewer of them find something, the farther.
#[derive(Debug, Default)]
struct Pace {
    /// Earliest time for a further probe.
    next: Instant,
    /// Time between two probes, if more than the least.
    spacing: Duration,
}

impl Pace {
    fn reserve(&mut self, now: Instant, timing: &Timing) -> Option<Instant> {
        let at = self.next.max(now);
        if at > now + timing.resend_interval {
            return None;
        }
        self.next = at + self.spacing.max(timing.resend_spacing);
        Some(at)
    }

    /// A probe was of no use: the peer did not answer, or only said again that it is busy.
    fn slow_down(&mut self, timing: &Timing) {
        let spacing = self.spacing.max(timing.resend_spacing).saturating_mul(2);
        self.spacing = spacing.min(timing.resend_spacing_max);
    }

    /// A probe found something.
    fn speed_up(&mut self) {
        self.spacing = self.spacing.divided_by(2);
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn timing() -> Timing {
        Timing {
            resend_interval: Duration::from_millis(2),
            resend_spacing: Duration::from_millis(1),
            resend_spacing_max: Duration::from_millis(5),
            ..Timing::default()
        }
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn reserve__keeps_probes_apart() {
        let mut pace = Pace::default();
        assert_eq!(pace.reserve(at(5), &timing()), Some(at(5)));
        assert_eq!(pace.reserve(at(5), &timing()), Some(at(6)));
        assert_eq!(pace.reserve(at(5), &timing()), Some(at(7)));
        assert_eq!(pace.reserve(at(5), &timing()), None);
        assert_eq!(pace.reserve(at(6), &timing()), Some(at(8)));
        assert_eq!(pace.reserve(at(20), &timing()), Some(at(20)));
    }

    #[test]
    fn slow_down__within_limits() {
        let mut pace = Pace::default();
        let mut spacing_after = |change: &dyn Fn(&mut Pace)| {
            change(&mut pace);
            pace.next = at(0);
            pace.reserve(at(10), &timing());
            pace.next.saturating_since(at(10)).as_nanos() / 1_000_000
        };
        let slow_down = |pace: &mut Pace| pace.slow_down(&timing());
        assert_eq!([(); 4].map(|()| spacing_after(&slow_down)), [2, 4, 5, 5]);
        assert_eq!([(); 4].map(|()| spacing_after(&Pace::speed_up)), [2, 1, 1, 1]);
        assert_eq!(spacing_after(&slow_down), 2, "what was of use before need not be made good");
    }

    #[test]
    fn answered__of_use_unless_busy_again() {
        let spacing_after = |is_told_busy: bool, by: PacketType| {
            let mut probes = Probes::default();
            probes.unanswered(is_told_busy, &timing());
            probes.answered(is_told_busy, by, &timing());
            probes.reserve(at(10), is_told_busy, &timing());
            probes.pace_mut(is_told_busy).next.saturating_since(at(10)).as_nanos() / 1_000_000
        };
        assert_eq!(spacing_after(false, PacketType::Busy), 1, "it might have been lost");
        assert_eq!(spacing_after(true, PacketType::Busy), 4);
        assert_eq!(spacing_after(true, PacketType::Data), 1);
        assert_eq!(spacing_after(true, PacketType::RpcUnknown), 1);
        assert_eq!(spacing_after(true, PacketType::Cutoffs), 2, "no answer");
    }

    #[test]
    fn reserve__of_the_suspicious_is_not_slowed_by_the_busy() {
        let mut probes = Probes::default();
        probes.unanswered(true, &timing());
        assert_eq!(probes.reserve(at(1), true, &timing()), Some(at(1)));
        assert_eq!(probes.reserve(at(1), true, &timing()), Some(at(3)));
        assert_eq!(probes.reserve(at(1), false, &timing()), Some(at(1)));
        assert_eq!(probes.reserve(at(1), false, &timing()), Some(at(2)));
    }
}
