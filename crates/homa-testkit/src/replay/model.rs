//! What a correct host knows of one RPC: a second, simple account of it, kept for comparison.

use homa_proto::{Instant, Payload, Priority};

/// Payload of a full packet: MTU 1500 less the IPv4 and DATA headers (WIRE section 4).
const SEGMENT: u32 = 1500 - 20 - 56;

/// A message that arrives.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) granted: u32,
    arrived: Vec<bool>,
    pub(super) received: u32,
}

impl Incoming {
    pub(super) fn new(length: u32, unscheduled: u32) -> Self {
        let arrived = vec![false; length as usize];
        Self { granted: unscheduled.min(length), arrived, received: 0 }
    }

    pub(super) fn add(&mut self, start: u32, end: u32) {
        for byte in &mut self.arrived[start as usize..end as usize] {
            self.received += u32::from(!std::mem::replace(byte, true));
        }
    }

    pub(super) fn length(&self) -> u32 {
        u32::try_from(self.arrived.len()).expect("lengths are 32 bits")
    }

    pub(super) fn is_complete(&self) -> bool {
        self.received == self.length()
    }

    /// Whether none of these bytes has arrived.
    pub(super) fn is_missing(&self, start: u32, end: u32) -> bool {
        !self.arrived[start as usize..end as usize].contains(&true)
    }

    /// Bytes that were permitted and have not come.
    pub(super) fn on_its_way(&self) -> u32 {
        self.granted.saturating_sub(self.received)
    }
}

/// A message that is sent.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) length: u32,
    pub(super) unscheduled: u32,
    pub(super) granted: u32,
    /// Bytes before this offset were sent.
    pub(super) next: u32,
    /// Priority of the latest GRANT.
    pub(super) scheduled_priority: Priority,
}

impl Outgoing {
    pub(super) fn new(length: u32, unscheduled_max: u32) -> Self {
        let unscheduled = unscheduled_max.min(length);
        let scheduled_priority = Priority::LOWEST;
        Self { length, unscheduled, granted: unscheduled, next: 0, scheduled_priority }
    }

    /// The packet that holds the byte at `offset`: cut at multiples of a full packet from the
    /// message's start, and again from the end of its unscheduled bytes (WIRE section 4).
    pub(super) fn packet_at(&self, offset: u32) -> Payload {
        let (from, upto) = if offset < self.unscheduled {
            (0, self.unscheduled)
        } else {
            (self.unscheduled, self.length)
        };
        let start = from + (offset - from) / SEGMENT * SEGMENT;
        Payload { start, end: (start + SEGMENT).min(upto) }
    }

    /// The packets sent before that hold any byte of `start` to `end`.
    pub(super) fn packets_sent(&self, start: u32, end: u32) -> Vec<Payload> {
        let end = end.min(self.next);
        let mut packets = Vec::new();
        let mut at = start;
        while at < end {
            let packet = self.packet_at(at);
            packets.push(packet);
            at = packet.end;
        }
        packets
    }

    pub(super) fn is_sent(&self) -> bool {
        self.next == self.length
    }

    /// Whether the other side permits more than was sent.
    pub(super) fn is_behind(&self) -> bool {
        self.next < self.granted
    }
}

/// One RPC.
#[derive(Clone, Debug)]
pub(super) struct Rpc {
    pub(super) incoming: Option<Incoming>,
    pub(super) outgoing: Option<Outgoing>,
    /// The application was told that the incoming message is complete.
    pub(super) reported: bool,
    /// When it last made progress, or a RESEND or NEED_ACK about it left.
    pub(super) since: Instant,
    /// When the last RESEND or NEED_ACK left.
    pub(super) probed: Option<Instant>,
    /// NEED_ACKs that left.
    pub(super) need_acks: u32,
    /// When everything was last sent again because of RPC_UNKNOWN.
    pub(super) restarted: Option<Instant>,
    /// When a NEED_ACK came that could not be answered by an ACK, and no RESEND has left for it.
    pub(super) asked: Option<Instant>,
}

impl Rpc {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            incoming: None,
            outgoing: None,
            reported: false,
            since: now,
            probed: None,
            need_acks: 0,
            restarted: None,
            asked: None,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.incoming.as_ref().is_some_and(Incoming::is_complete)
    }

    /// Whether the other side has to send something: bytes that it may send are missing, or
    /// nothing of the answer to a message sent as far as permitted.
    pub(super) fn is_owed_data(&self) -> bool {
        match (&self.incoming, &self.outgoing) {
            (Some(incoming), _) => incoming.received < incoming.granted,
            (None, Some(out)) => !out.is_behind(),
            (None, None) => false,
        }
    }
}
