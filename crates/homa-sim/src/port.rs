//! Output queues: eight strict priorities in front of a link.

use crate::faults::LinkFaults;
use crate::packet::{Fifo, HostId, PacketId, PacketPool};
use crate::stats::QueueMeter;
use crate::time::SimTime;

/// Priority levels of every queue.
pub(crate) const LEVELS: usize = 8;

/// What stands at the end of a link: a host or a switch, in one number, since every event has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

/// The same, told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Host(HostId),
    Switch(u32),
}

impl NodeId {
    const SWITCH: u32 = 1 << 31;

    /// No node has a number with this bit, which is for those who store other things beside nodes.
    pub(crate) const NO_NODE: u32 = 1 << 30;

    /// As a number, and back.
    pub(crate) const fn code(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_code(code: u32) -> Self {
        Self(code)
    }

    pub(crate) const fn host(host: HostId) -> Self {
        Self(host.0)
    }

    pub(crate) const fn switch(number: u32) -> Self {
        Self(number | Self::SWITCH)
    }

    pub(crate) const fn node(self) -> Node {
        if self.0 & Self::SWITCH == 0 {
            Node::Host(HostId(self.0))
        } else {
            Node::Switch(self.0 & !Self::SWITCH)
        }
    }
}

/// Which queues are reported together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    /// From hosts.
    HostUp,
    /// From switches of a tier to the next one.
    Up(u8),
    /// From switches of a tier to the one below, or from tier 1 to hosts.
    Down(u8),
    /// Between switches of a tier.
    Across(u8),
}

impl Place {
    /// As reports call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::HostUp => "host_to_tor",
            Self::Up(1) => "tor_to_aggr",
            Self::Up(_) => "aggr_to_core",
            Self::Down(1) => "tor_to_host",
            Self::Down(2) => "aggr_to_tor",
            Self::Down(_) => "core_to_aggr",
            Self::Across(_) => "across",
        }
    }
}

/// Speed of a link, as the time that a byte takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ByteTime {
    /// Picoseconds, with 16 binary places.
    scaled: u64,
}

impl ByteTime {
    pub(crate) fn of_gbps(gbps: f64) -> Self {
        Self { scaled: (8000.0 / gbps * 65_536.0).round() as u64 }
    }

    pub(crate) const fn times(self, bytes: u64) -> SimTime {
        SimTime((bytes * self.scaled) >> 16)
    }

    /// The number of bytes that takes a time nearest to `time`, which is below 281 seconds.
    pub(crate) const fn bytes(self, time: SimTime) -> u64 {
        ((time.0 << 16) + self.scaled / 2) / self.scaled
    }

    /// The least number of bytes that takes `time` or longer.
    pub(crate) const fn bytes_ceil(self, time: SimTime) -> u64 {
        (time.0 << 16).div_ceil(self.scaled)
    }
}

/// What an output queue may hold, in bytes; 0 for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// More is dropped.
    pub(crate) buffer_bytes: u64,
    /// Packets that find so much are marked.
    pub(crate) mark_bytes: u64,
}

/// An output queue and the link behind it.
#[derive(Debug)]
pub(crate) struct Port {
    /// Where it is.
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) place: Place,
    pub(crate) byte_time: ByteTime,
    /// From the end of a packet's transmission to its arrival, with what the far end does with it
    /// before it may go on.
    pub(crate) delay: SimTime,
    pub(crate) limits: QueueLimits,
    /// What is wrong with the link at times, if anything ever is.
    pub(crate) faults: Option<Box<LinkFaults>>,
    /// Until when the link is occupied.
    pub(crate) busy_until: SimTime,
    /// Whether somebody will look at the port when the link is free.
    pub(crate) is_watched: bool,
    queues: [Fifo; LEVELS],
    /// A bit for each level that has packets.
    waiting: u8,
    /// Bytes that wait, without the packet that is being sent.
    queued_bytes: u64,
    pub(crate) meter: QueueMeter,
    /// Time for which the link was occupied since measuring began.
    pub(crate) busy: SimTime,
    /// The same when measuring ended.
    pub(crate) busy_measured: SimTime,
}

impl Port {
    pub(crate) fn new(
        [from, to]: [NodeId; 2],
        place: Place,
        byte_time: ByteTime,
        delay: SimTime,
    ) -> Self {
        Self {
            from,
            to,
            place,
            byte_time,
            delay,
            limits: QueueLimits::default(),
            faults: None,
            busy_until: SimTime::ZERO,
            is_watched: false,
            queues: [Fifo::EMPTY; LEVELS],
            waiting: 0,
            queued_bytes: 0,
            meter: QueueMeter::new(),
            busy: SimTime::ZERO,
            busy_measured: SimTime::ZERO,
        }
    }

    /// Whether a packet may be sent now.
    pub(crate) fn is_free(&self, now: SimTime) -> bool {
        now >= self.busy_until && self.waiting == 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Whether the link carries nothing.
    pub(crate) fn is_down(&self, now: SimTime) -> bool {
        self.faults.as_ref().is_some_and(|faults| faults.is_down(now))
    }

    /// When the packet arrives that is being sent since `begin`, unless the link loses it.
    pub(crate) fn arrival(&self, begin: SimTime) -> Option<SimTime> {
        let at = self.busy_until + self.delay;
        match &self.faults {
            None => Some(at),
            Some(faults) if faults.loses(begin, self.busy_until) => None,
            Some(faults) => Some(at + faults.lag(begin)),
        }
    }

    pub(crate) fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    /// Puts a packet into the queue. Returns whether there was room.
    pub(crate) fn enqueue<H>(
        &mut self,
        now: SimTime,
        pool: &mut PacketPool<H>,
        id: PacketId,
    ) -> bool {
        let packet = pool.get_mut(id);
        let bytes = u64::from(packet.wire_bytes);
        let QueueLimits { buffer_bytes, mark_bytes } = self.limits;
        if buffer_bytes > 0 && self.queued_bytes + bytes > buffer_bytes {
            return false;
        }
        packet.is_marked |= mark_bytes > 0 && self.queued_bytes >= mark_bytes;
        let level = usize::from(packet.priority) % LEVELS;
        self.queues[level].push(pool, id);
        self.waiting |= 1 << level;
        self.queued_bytes += bytes;
        self.meter.change(now.0, self.queued_bytes);
        true
    }

    /// Takes the packet that is to be sent next.
    pub(crate) fn dequeue<H>(
        &mut self,
        now: SimTime,
        pool: &mut PacketPool<H>,
    ) -> Option<PacketId> {
        let level = self.waiting.checked_ilog2()? as usize;
        let id = self.queues[level].pop(pool)?;
        if self.queues[level].is_empty() {
            self.waiting &= !(1 << level);
        }
        self.queued_bytes -= u64::from(pool.get(id).wire_bytes);
        self.meter.change(now.0, self.queued_bytes);
        Some(id)
    }
}
