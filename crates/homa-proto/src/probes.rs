//! Whose turn it is to ask a peer for what it owes: at a pace that the answers decide.
//!
//! A thousand calls in service at one peer are no reason to ask it a thousand times every few
//! milliseconds, and a peer that can't keep up with questions must not get more of them. But what was lost is asked for
//! at once, however many other calls the peer works on.
//!
//! Who may not ask yet waits in a line, and costs nothing there: only the first in it has a deadline for its turn.

use crate::config::Timing;
use crate::time::{Duration, Instant};
use homa_wire::PacketType;

/// So far turns may be behind the time and be made good for: timers are coarser than the pace of many.
const LATE_MAX: Duration = Duration::from_millis(1);

/// Which of a peer's lines an RPC waits in. Requests have one of their own since anybody may send them in the name of
/// a server that this host calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// The peer is the server, and something of the call may be lost.
    Call,
    /// The peer is the server, and has said that it works on the call.
    BusyCall,
    /// The peer is the client.
    Request,
}

/// The turns to ask one peer.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    call: Line,
    busy_call: Line,
    request: Line,
}

impl Probes {
    pub(crate) fn line(&self, kind: LineKind) -> &Line {
        match kind {
            LineKind::Call => &self.call,
            LineKind::BusyCall => &self.busy_call,
            LineKind::Request => &self.request,
        }
    }

    pub(crate) fn line_mut(&mut self, kind: LineKind) -> &mut Line {
        match kind {
            LineKind::Call => &mut self.call,
            LineKind::BusyCall => &mut self.busy_call,
            LineKind::Request => &mut self.request,
        }
    }
}

/// Turns to ask a peer, one after the other: the fewer of them find something, the farther apart.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// When the next turn is, or was.
    next: Instant,
    /// Time between two turns, if more than the least.
    spacing: Duration,
    /// The slots of the first and the last RPC that wait.
    pub(crate) ends: Option<(u32, u32)>,
}

/// An RPC's place in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: LineKind,
    /// Slots of its neighbours.
    pub(crate) before: Option<u32>,
    pub(crate) behind: Option<u32>,
}

impl Line {
    /// Whether an RPC that waits nowhere may ask now.
    pub(crate) fn is_free(&self, now: Instant) -> bool {
        self.ends.is_none() && self.next <= now
    }

    /// When the first may ask.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// No turn comes before `at`.
    pub(crate) fn wait_until(&mut self, at: Instant) {
        self.next = self.next.max(at);
    }

    /// A turn is taken.
    pub(crate) fn take_turn(&mut self, now: Instant, timing: &Timing) {
        let spacing = self.spacing.max(timing.resend_spacing);
        // If nobody waits, a late turn has kept nobody waiting.
        let earliest = if self.ends.is_none() { now } else { now - LATE_MAX };
        self.next = self.next.max(earliest) + spacing;
    }

    /// A packet has come for an RPC whose last probe was unanswered, and which the peer had said that it works on, or
    /// not.
    pub(crate) fn answered(&mut self, by: PacketType, was_told_busy: bool, timing: &Timing) {
        match by {
            PacketType::Busy if was_told_busy => self.slow_down(timing),
            // These are what is asked for, or ask for what was lost themselves.
            PacketType::Busy
            | PacketType::Data
            | PacketType::Grant
            | PacketType::RpcUnknown
            | PacketType::Resend
            | PacketType::Ack => self.speed_up(),
            PacketType::Cutoffs | PacketType::Freeze | PacketType::NeedAck | PacketType::Refuse => {
            }
        }
    }

    /// A probe was of no use: the peer has not answered until the RPC was due to ask again, or has only said again
    /// that it is busy.
    pub(crate) fn slow_down(&mut self, timing: &Timing) {
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

    /// Takes one turn at that time, which must be there; how many milliseconds later the next one is.
    fn spacing_after(line: &mut Line, now: Instant) -> u64 {
        line.next = now;
        line.take_turn(now, &timing());
        line.next.saturating_since(now).as_nanos() / 1_000_000
    }

    #[test]
    fn take_turn__keeps_probes_apart() {
        let mut line = Line::default();
        assert!(line.is_free(at(5)));
        line.take_turn(at(5), &timing());
        assert!(!line.is_free(at(5)));
        assert!(line.is_free(at(6)));
        line.take_turn(at(20), &timing());
        assert_eq!((line.is_free(at(20)), line.is_free(at(21))), (false, true));
    }

    #[test]
    fn take_turn__makes_good_for_little_lateness() {
        let mut line = Line { ends: Some((0, 1)), ..Line::default() };
        line.take_turn(at(10), &timing());
        assert_eq!(line.next(), at(10), "a millisecond behind the time, and one later");
        line.take_turn(at(10), &timing());
        assert_eq!(line.next(), at(11));
        assert!(!line.is_free(at(20)), "others were first");
    }

    #[test]
    fn slow_down__within_limits() {
        let mut line = Line::default();
        let mut after = |change: &dyn Fn(&mut Line)| {
            change(&mut line);
            spacing_after(&mut line, at(10))
        };
        let slow_down = |line: &mut Line| line.slow_down(&timing());
        assert_eq!([(); 4].map(|()| after(&slow_down)), [2, 4, 5, 5]);
        assert_eq!([(); 4].map(|()| after(&Line::speed_up)), [2, 1, 1, 1]);
        assert_eq!(after(&slow_down), 2, "what was of use before need not be made good");
    }

    #[test]
    fn answered__of_use_unless_busy_again() {
        let after = |was_told_busy: bool, by: PacketType| {
            let mut line = Line::default();
            line.slow_down(&timing());
            line.answered(by, was_told_busy, &timing());
            spacing_after(&mut line, at(10))
        };
        assert_eq!(after(false, PacketType::Busy), 1, "it might have been lost");
        assert_eq!(after(true, PacketType::Busy), 4);
        assert_eq!(after(true, PacketType::Data), 1);
        assert_eq!(after(true, PacketType::RpcUnknown), 1);
        assert_eq!(after(true, PacketType::Cutoffs), 2, "no answer");
    }
}
