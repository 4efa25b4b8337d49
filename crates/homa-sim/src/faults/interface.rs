//! Where packets wait while their host handles nothing.

use super::Span;
use crate::packet::PacketId;
use crate::time::SimTime;

/// A time in which a host handles nothing but every so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stall {
    pub(crate) span: Span,
    /// Time between the moments at which it handles what there is, above 0.
    pub(crate) every: SimTime,
    /// Bytes that may wait, or 0 for no limit.
    pub(crate) room_bytes: u64,
}

/// The receiving side of a host's network interface.
#[derive(Debug, Default)]
pub(crate) struct Interface {
    stalls: Vec<Stall>,
    waiting: Vec<PacketId>,
    waiting_bytes: u64,
}

/// What became of a packet that can't be handled yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// It waits alone.
    First,
    /// It waits behind others.
    Behind,
    /// There was no room.
    Lost,
}

impl Stall {
    /// The first moment, now or later, at which something is handled.
    fn resumes_at(&self, now: SimTime) -> SimTime {
        let periods = (now - self.span.begin).0.div_ceil(self.every.0);
        let next = SimTime(periods.saturating_mul(self.every.0));
        (self.span.begin + next).min(self.span.end)
    }
}

impl Interface {
    pub(crate) fn add(&mut self, stall: Stall) {
        self.stalls.push(stall);
    }

    /// Keeps a packet of so many bytes.
    pub(crate) fn hold(&mut self, now: SimTime, id: PacketId, bytes: u64) -> Held {
        let rooms = self.active(now).map(|stall| stall.room_bytes).filter(|&room| room > 0);
        if rooms.min().is_some_and(|room| self.waiting_bytes + bytes > room) {
            return Held::Lost;
        }
        self.waiting.push(id);
        self.waiting_bytes += bytes;
        if self.waiting.len() == 1 { Held::First } else { Held::Behind }
    }

    /// All that waited, in order.
    pub(crate) fn take(&mut self) -> Vec<PacketId> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Whether what comes now has to wait: for a moment to come, or for what waits already.
    pub(crate) fn holds(&self, now: SimTime) -> bool {
        self.resumes_at(now) > now || !self.waiting.is_empty()
    }

    /// The first moment, now or later, at which something is handled, if no further stall begins.
    pub(crate) fn resumes_at(&self, now: SimTime) -> SimTime {
        self.active(now).map(|stall| stall.resumes_at(now)).max().unwrap_or(now)
    }

    fn active(&self, now: SimTime) -> impl Iterator<Item = &Stall> {
        self.stalls.iter().filter(move |stall| stall.span.contains(now))
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::packet::{HostId, Packet, PacketPool};

    fn stall(begin: u64, end: u64, every: u64, room_bytes: u64) -> Stall {
        let span = Span { begin: SimTime(begin), end: SimTime(end) };
        Stall { span, every: SimTime(every), room_bytes }
    }

    #[test]
    fn resumes_at__the_latest_of_all_that_stall() {
        let mut interface = Interface::default();
        interface.add(stall(100, 1000, 30, 0));
        interface.add(stall(400, 450, 50, 0));
        let resumes = |now| interface.resumes_at(SimTime(now)).0;
        assert_eq!([99, 100, 101, 130, 131].map(resumes), [99, 100, 130, 130, 160]);
        assert_eq!([401, 999, 1000].map(resumes), [450, 1000, 1000]);
    }

    #[test]
    fn hold__in_order_and_as_much_as_there_is_room_for() {
        let mut pool = PacketPool::new();
        let (from, to) = (HostId(0), HostId(1));
        let packet = Packet {
            from,
            to,
            payload_len: 1,
            wire_bytes: 100,
            priority: 0,
            is_marked: false,
            header: (),
        };
        let ids = [(); 4].map(|()| pool.insert(packet));
        let mut interface = Interface::default();
        interface.add(stall(0, 1000, 1000, 250));
        assert!(interface.holds(SimTime(1)) && !interface.holds(SimTime(1000)));
        let held = ids.map(|id| interface.hold(SimTime(1), id, 100));
        assert_eq!(held, [Held::First, Held::Behind, Held::Lost, Held::Lost]);
        assert!(interface.holds(SimTime(1000)), "what comes then does not overtake");
        assert_eq!(interface.take(), ids[..2]);
        assert!(!interface.holds(SimTime(1000)));
        assert_eq!(interface.hold(SimTime(2), ids[0], 250), Held::First);
    }
}
