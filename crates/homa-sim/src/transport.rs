//! What runs on the hosts: the Homa core, or something to compare it with.

use std::fmt::Debug;

use crate::memory::HostMemory;
use crate::packet::HostId;
use crate::time::SimTime;

/// Number of a message, unique among those that are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub u32);

/// A packet that a transport hands to its host's link.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<H> {
    /// Its receiver.
    pub to: HostId,
    /// Bytes of message data.
    pub payload_len: u32,
    /// Bytes for which it occupies a link.
    pub wire_bytes: u32,
    /// Its level, 0 to 7.
    pub priority: u8,
    /// Whether it travels beside the network: without taking time or room. For what a protocol needs
    /// to end an exchange that the evaluation that is reproduced did not have.
    pub is_beside: bool,
    /// What the transport says.
    pub header: H,
}

/// A packet that has reached a host.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a, H> {
    /// Its sender.
    pub from: HostId,
    /// Bytes of message data.
    pub payload_len: u32,
    /// Whether it met congestion (ECN).
    pub is_marked: bool,
    /// What the sender's transport says.
    pub header: &'a H,
}

/// A message that has arrived whole, as the receiving side names it; the sending side knows which one
/// that is ([`Transport::message`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its sender.
    pub from: HostId,
    /// The sender's name for it.
    pub token: u64,
}

/// One host's side of a transport protocol. Like `homa_proto::Endpoint` it reads no clock and sends
/// nothing by itself.
pub trait Transport {
    /// What its packets carry.
    type Header: Copy + Debug;

    /// Takes a message to send.
    fn start(&mut self, now: SimTime, message: MessageId, to: HostId, length: u32);

    /// Takes a packet.
    fn receive(&mut self, now: SimTime, packet: Incoming<'_, Self::Header>);

    /// The next packet to send.
    fn transmit(&mut self, now: SimTime) -> Option<Outgoing<Self::Header>>;

    /// The next message that has arrived here.
    fn poll_arrived(&mut self, now: SimTime) -> Option<Arrived>;

    /// Which message of this sender a token names.
    fn message(&self, token: u64) -> Option<MessageId>;

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    fn timeout(&self) -> Option<SimTime>;

    /// The time that [`timeout`](Self::timeout) named has come.
    fn handle_timeout(&mut self, now: SimTime);

    /// Whether it keeps senders waiting that could send: an idle link then is bandwidth wasted.
    fn withholds(&self) -> bool;

    /// What it counted.
    fn counts(&self) -> TransportCounts;

    /// The most that it held so far for messages; `None` if it does not know.
    fn memory(&self) -> Option<HostMemory> {
        None
    }
}

/// What a transport counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TransportCounts {
    /// Data packets sent.
    pub data_packets: u64,
    /// GRANT packets sent, or what corresponds to them.
    pub grants: u64,
    /// Data packets sent again.
    pub retransmissions: u64,
    /// Messages given up.
    pub failures: u64,
}

impl TransportCounts {
    /// Adds those of another host.
    pub fn add(&mut self, other: &Self) {
        self.data_packets += other.data_packets;
        self.grants += other.grants;
        self.retransmissions += other.retransmissions;
        self.failures += other.failures;
    }
}
