//! A sender in the manner of DCTCP (RFC 8257), to compare with.
//!
//! Each pair of hosts has one connection per direction, set up before the run: a stream of bytes in which
//! messages follow each other, so that a short one waits for a long one before it, as over TCP. The
//! window grows and shrinks as RFC 5681 and RFC 8257 say, from congestion that switches mark
//! (`network.mark_bytes`); all packets have the same priority, each is acknowledged by a packet of its own.
//! The host's link serves connections with something to send in turn, a packet each.
//!
//! What it simplifies: no handshake, no delayed acknowledgements, no pacing, no restart of the window after
//! idleness, no receive window; a packet carries bytes of one message only; loss is found by three
//! duplicate acknowledgements and repaired a packet per round trip (RFC 6582), not by SACK; ACKs echo the
//! mark of the one packet they answer.

mod receiver;
mod sender;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use self::receiver::Receiver;
use self::sender::Sender;
use crate::framing::Framing;
use crate::packet::HostId;
use crate::time::SimTime;
use crate::transport::{Arrived, Incoming, MessageId, Outgoing, Transport, TransportCounts};

/// Full packets in a queue from which on packets are marked at 10 Gb/s (RFC 8257's authors' value), if
/// the network's configuration sets no threshold.
pub(crate) const MARK_PACKETS: u32 = 65;

/// Parameters of the DCTCP-like sender.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DctcpConfig {
    /// Full packets that a connection may send before it has heard anything, at least 1 (RFC 6928: 10).
    pub initial_window_packets: u32,
    /// Weight of the latest round trip in the estimate of congestion, above 0, at most 1 (RFC 8257: 1/16).
    pub gain: f64,
    /// Least microseconds without an acknowledgement before packets are sent again, at least 1.
    pub rto_min_us: u64,
}

impl Default for DctcpConfig {
    fn default() -> Self {
        Self { initial_window_packets: 10, gain: 1.0 / 16.0, rto_min_us: 1000 }
    }
}

/// What a packet says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Segment {
    /// Bytes of the stream from `offset`, of a message that ends at `message_end`.
    Data { offset: u64, message_end: u64, token: u64 },
    /// All before `next` has arrived; the packet that this answers had this mark.
    Ack { next: u64, is_marked: bool },
}

/// One host.
#[derive(Debug)]
pub(crate) struct DctcpHost {
    config: DctcpConfig,
    framing: Framing,
    senders: BTreeMap<HostId, Sender>,
    receivers: BTreeMap<HostId, Receiver>,
    /// Connections that can send, in turn.
    ready: VecDeque<HostId>,
    acks: VecDeque<Outgoing<Segment>>,
    timers: BTreeSet<(SimTime, HostId)>,
    /// By token.
    messages: Vec<MessageId>,
    arrived: VecDeque<Arrived>,
    counts: TransportCounts,
}

impl DctcpHost {
    pub(crate) fn new(config: DctcpConfig, framing: Framing) -> Self {
        Self {
            config,
            framing,
            senders: BTreeMap::new(),
            receivers: BTreeMap::new(),
            ready: VecDeque::new(),
            acks: VecDeque::new(),
            timers: BTreeSet::new(),
            messages: Vec::new(),
            arrived: VecDeque::new(),
            counts: TransportCounts::default(),
        }
    }

    /// Has `change` happen to the connection to a host, and keeps timer and turn up to date.
    fn with_sender<R>(&mut self, to: HostId, change: impl FnOnce(&mut Sender) -> R) -> R {
        let (config, mss) = (self.config, self.framing.payload_bytes);
        let sender = self.senders.entry(to).or_insert_with(|| Sender::new(config, mss));
        let before = sender.deadline();
        let result = change(sender);
        let after = sender.deadline();
        if before != after {
            before.map(|at| self.timers.remove(&(at, to)));
            after.map(|at| self.timers.insert((at, to)));
        }
        if sender.can_send() && !sender.is_ready {
            sender.is_ready = true;
            self.ready.push_back(to);
        }
        result
    }

    fn take_data(&mut self, packet: &Incoming<'_, Segment>, offset: u64, end: u64, token: u64) {
        let receiver = self.receivers.entry(packet.from).or_default();
        receiver.take(offset, packet.payload_len, end, token);
        let from = packet.from;
        self.arrived.extend(receiver.arrived().map(|token| Arrived { from, token }));
        let header = Segment::Ack { next: receiver.next(), is_marked: packet.is_marked };
        let wire_bytes = self.framing.control_bytes;
        self.acks.push_back(outgoing(from, 0, wire_bytes, header));
    }
}

fn outgoing(to: HostId, len: u32, wire_bytes: u32, header: Segment) -> Outgoing<Segment> {
    Outgoing { to, payload_len: len, wire_bytes, priority: 0, is_beside: false, header }
}

impl Transport for DctcpHost {
    type Header = Segment;

    fn start(&mut self, _now: SimTime, message: MessageId, to: HostId, length: u32) {
        let token = self.messages.len() as u64;
        self.messages.push(message);
        self.with_sender(to, |sender| sender.append(length, token));
    }

    fn receive(&mut self, now: SimTime, packet: Incoming<'_, Segment>) {
        match *packet.header {
            Segment::Data { offset, message_end, token } => {
                self.take_data(&packet, offset, message_end, token);
            }
            Segment::Ack { next, is_marked } => {
                self.with_sender(packet.from, |sender| sender.take_ack(now, next, is_marked));
            }
        }
    }

    fn transmit(&mut self, now: SimTime) -> Option<Outgoing<Segment>> {
        if let Some(ack) = self.acks.pop_front() {
            return Some(ack);
        }
        while let Some(to) = self.ready.pop_front() {
            let sent = self.with_sender(to, |sender| {
                sender.is_ready = false;
                sender.send(now)
            });
            let Some(sent) = sent else { continue };
            self.counts.data_packets += 1;
            self.counts.retransmissions += u64::from(sent.is_again);
            let wire_bytes = self.framing.data(sent.len, false);
            return Some(outgoing(to, sent.len, wire_bytes, sent.header));
        }
        None
    }

    fn poll_arrived(&mut self, _now: SimTime) -> Option<Arrived> {
        self.arrived.pop_front()
    }

    fn message(&self, token: u64) -> Option<MessageId> {
        self.messages.get(usize::try_from(token).ok()?).copied()
    }

    fn timeout(&self) -> Option<SimTime> {
        self.timers.first().map(|&(at, _)| at)
    }

    fn handle_timeout(&mut self, now: SimTime) {
        while let Some(&(at, to)) = self.timers.first()
            && at <= now
        {
            self.with_sender(to, |sender| sender.time_out(now));
        }
    }

    fn withholds(&self) -> bool {
        false
    }

    fn counts(&self) -> TransportCounts {
        self.counts
    }
}
