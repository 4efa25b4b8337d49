//! Whose turn it is to ask a peer for what it owes: at a pace that the answers decide.
//!
//! A thousand calls in service at one peer are no reason to ask it a thousand times every few
//! milliseconds, and a peer that can't keep up with questions must not get more of them. But what was lost is asked for
//! at once, however many other calls the peer works on.
//!
//! Who may not ask yet waits in a line, and costs nothing there: only the first in it has a deadline for its turn.

use crate::config::Timing;
use crate::slab::RpcKey;
use crate::time::{Duration, Instant};
use alloc::collections::VecDeque;
use homa_wire::PacketType;

/// So far turns may be behind the time and be made good for: timers are coarser than the pace of many.
const LATE_MAX: Duration = Duration::from_millis(1);

/// Entries of a line that may be out of date, beyond as many as there are RPCs, before they are cleared out.
const STALE_MAX: usize = 64;

/// Which of a peer's lines an RPC waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// Something of the RPC may be lost.
    Suspicious,
    /// The peer has said that it works on the RPC.
    Busy,
}

/// The RPCs that ask one peer, or wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    suspicious: Line,
    busy: Line,
}

impl Probes {
    pub(crate) fn line(&self, kind: LineKind) -> &Line {
        match kind {
            LineKind::Suspicious => &self.suspicious,
            LineKind::Busy => &self.busy,
        }
    }

    pub(crate) fn line_mut(&mut self, kind: LineKind) -> &mut Line {
        match kind {
            LineKind::Suspicious => &mut self.suspicious,
            LineKind::Busy => &mut self.busy,
        }
    }

    /// An RPC's probe has not been answered until it is due to ask again.
    pub(crate) fn unanswered(&mut self, kind: LineKind, timing: &Timing) {
        self.line_mut(kind).slow_down(timing);
    }

    /// A packet has come for an RPC whose last probe was unanswered.
    pub(crate) fn answered(&mut self, kind: LineKind, by: PacketType, timing: &Timing) {
        let line = self.line_mut(kind);
        match by {
            PacketType::Busy if kind == LineKind::Busy => line.slow_down(timing),
            // These are what is asked for, or ask for what was lost themselves.
            PacketType::Busy
            | PacketType::Data
            | PacketType::Grant
            | PacketType::RpcUnknown
            | PacketType::Resend
            | PacketType::Ack => line.speed_up(),
            PacketType::Cutoffs | PacketType::Freeze | PacketType::NeedAck | PacketType::Refuse => {
            }
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
    /// Who waits for one, in order. Some have ended since.
    waiting: VecDeque<RpcKey>,
}

impl Line {
    /// Whether an RPC that waits nowhere may ask now.
    pub(crate) fn is_free(&self, now: Instant) -> bool {
        self.waiting.is_empty() && self.next <= now
    }

    /// The RPC whose turn is next, and when that is.
    pub(crate) fn first(&self) -> Option<(RpcKey, Instant)> {
        Some((*self.waiting.front()?, self.next))
    }

    /// A turn is taken.
    pub(crate) fn take_turn(&mut self, now: Instant, timing: &Timing) {
        let spacing = self.spacing.max(timing.resend_spacing);
        // Without others before and behind it, a late turn makes good for none.
        let earliest = if self.waiting.is_empty() { now } else { now - LATE_MAX };
        self.next = self.next.max(earliest) + spacing;
    }

    /// An RPC waits behind all others; false if there is no memory for it. Of those that wait `is_waiting` says
    /// whether they still do, and `open_rpcs` are open with the peer.
    pub(crate) fn join(
        &mut self,
        key: RpcKey,
        open_rpcs: u32,
        is_waiting: impl Fn(RpcKey) -> bool,
    ) -> bool {
        if self.waiting.len() > 2 * open_rpcs as usize + STALE_MAX {
            self.waiting.retain(|&other| is_waiting(other));
        }
        let has_room = self.waiting.try_reserve(1).is_ok();
        if has_room {
            self.waiting.push_back(key);
        }
        has_room
    }

    /// The first leaves the line.
    pub(crate) fn leave(&mut self) {
        self.waiting.pop_front();
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
    use crate::slab::Slab;

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

    /// Keys of RPCs.
    fn keys<const N: usize>() -> [RpcKey; N] {
        let mut slab = Slab::new(N as u32);
        [(); N].map(|()| slab.insert(()).unwrap())
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
        let mut line = Line::default();
        for key in keys::<3>() {
            assert!(line.join(key, 3, |_| true));
        }
        line.take_turn(at(10), &timing());
        assert_eq!(line.first().unwrap().1, at(10), "a millisecond behind the time, and one later");
        line.take_turn(at(10), &timing());
        assert_eq!(line.first().unwrap().1, at(11));
    }

    #[test]
    fn join__is_in_order() {
        let [a, b] = keys();
        let mut line = Line::default();
        assert!(line.join(a, 2, |_| true) && line.join(b, 2, |_| true));
        assert!(!line.is_free(at(5)), "others were first");
        assert_eq!(line.first(), Some((a, at(0))));
        line.leave();
        assert_eq!(line.first(), Some((b, at(0))));
        line.leave();
        assert_eq!((line.first(), line.is_free(at(5))), (None, true));
    }

    #[test]
    fn join__clears_out_who_has_ended() {
        let [first, ended] = keys();
        let mut line = Line::default();
        assert!(line.join(first, 1, |key| key != ended));
        for _ in 0..10 * STALE_MAX {
            assert!(line.join(ended, 1, |key| key != ended));
            assert!(line.waiting.len() <= STALE_MAX + 4, "{}", line.waiting.len());
        }
        assert_eq!(line.first().unwrap().0, first);
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
        let after = |kind: LineKind, by: PacketType| {
            let mut probes = Probes::default();
            probes.unanswered(kind, &timing());
            probes.answered(kind, by, &timing());
            spacing_after(probes.line_mut(kind), at(10))
        };
        assert_eq!(after(LineKind::Suspicious, PacketType::Busy), 1, "it might have been lost");
        assert_eq!(after(LineKind::Busy, PacketType::Busy), 4);
        assert_eq!(after(LineKind::Busy, PacketType::Data), 1);
        assert_eq!(after(LineKind::Busy, PacketType::RpcUnknown), 1);
        assert_eq!(after(LineKind::Busy, PacketType::Cutoffs), 2, "no answer");
    }

    #[test]
    fn line__of_the_suspicious_is_not_slowed_by_the_busy() {
        let mut probes = Probes::default();
        probes.unanswered(LineKind::Busy, &timing());
        assert_eq!(spacing_after(probes.line_mut(LineKind::Busy), at(1)), 2);
        assert_eq!(spacing_after(probes.line_mut(LineKind::Suspicious), at(1)), 1);
    }
}
