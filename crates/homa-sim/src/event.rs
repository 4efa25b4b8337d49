//! What happens in a network and at its hosts.

use crate::events::EventQueue;
use crate::packet::{HostId, PacketId};
use crate::port::NodeId;
use crate::traffic::Source;

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A port that is watched may send again.
    Free { port: u32 },
    /// A packet reaches what stands at the end of a link.
    Arrive { packet: PacketId, node: NodeId },
    /// A source has something to send.
    Source(Source),
    /// A host's transport is due.
    Timer(HostId),
    /// A host that was stalled handles what has come.
    Resume(HostId),
    /// A link between switches goes down or comes up.
    Reroute,
}

/// What is to happen.
pub(crate) type Events = EventQueue<Packed>;

/// An event while it waits: two numbers, which are passed on in registers. The enum itself is written to
/// memory in parts and read from there whole, which took longer than all else that the queue does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    /// A node at which a packet arrives, or what else happens.
    what: u32,
    number: u32,
}

const FREE: u32 = NodeId::NO_NODE;
const SOURCE_HOST: u32 = NodeId::NO_NODE + 1;
const SOURCE_AGAIN: u32 = NodeId::NO_NODE + 2;
const SOURCE_OVERLAY: u32 = NodeId::NO_NODE + 3;
const SOURCE_REPLAY: u32 = NodeId::NO_NODE + 4;
const TIMER: u32 = NodeId::NO_NODE + 5;
const RESUME: u32 = NodeId::NO_NODE + 6;
const REROUTE: u32 = NodeId::NO_NODE + 7;

impl From<Event> for Packed {
    #[inline]
    fn from(event: Event) -> Self {
        let (what, number) = match event {
            Event::Free { port } => (FREE, port),
            Event::Arrive { packet, node } => (node.code(), packet.0),
            Event::Source(Source::Host(host)) => (SOURCE_HOST, host),
            Event::Source(Source::Again(host)) => (SOURCE_AGAIN, host),
            Event::Source(Source::Overlay) => (SOURCE_OVERLAY, 0),
            Event::Source(Source::Replay) => (SOURCE_REPLAY, 0),
            Event::Timer(host) => (TIMER, host.0),
            Event::Resume(host) => (RESUME, host.0),
            Event::Reroute => (REROUTE, 0),
        };
        Self { what, number }
    }
}

impl From<Packed> for Event {
    #[inline]
    fn from(Packed { what, number }: Packed) -> Self {
        match what {
            FREE => Self::Free { port: number },
            SOURCE_HOST => Self::Source(Source::Host(number)),
            SOURCE_AGAIN => Self::Source(Source::Again(number)),
            SOURCE_OVERLAY => Self::Source(Source::Overlay),
            SOURCE_REPLAY => Self::Source(Source::Replay),
            TIMER => Self::Timer(HostId(number)),
            RESUME => Self::Resume(HostId(number)),
            REROUTE => Self::Reroute,
            node => Self::Arrive { packet: PacketId(number), node: NodeId::from_code(node) },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn packed__and_back() {
        let at = |node| Event::Arrive { packet: PacketId(u32::MAX - 1), node };
        let host = HostId((1 << 24) - 1);
        for event in [
            Event::Free { port: u32::MAX },
            at(NodeId::host(HostId(0))),
            at(NodeId::host(host)),
            at(NodeId::switch(0)),
            at(NodeId::switch(1 << 20)),
            Event::Source(Source::Host(host.0)),
            Event::Source(Source::Again(host.0)),
            Event::Source(Source::Overlay),
            Event::Source(Source::Replay),
            Event::Timer(host),
            Event::Resume(host),
            Event::Reroute,
        ] {
            assert_eq!(Event::from(Packed::from(event)), event);
        }
    }
}
