//! Packets on their way out: headers by value, payload by reference.

use bytes::Bytes;
use homa_proto::{LocalAddr, PeerAddr};
use homa_wire::checksum::{self, Addresses};
use homa_wire::{HEADER_LEN_MAX, Priority};
use std::net::Ipv4Addr;

/// No addresses: what checksums over UDP are computed with.
const UNSPECIFIED: Addresses =
    Addresses::V4 { source: Ipv4Addr::UNSPECIFIED, dest: Ipv4Addr::UNSPECIFIED };

/// Whether a packet as received carries the checksum that [`SendBatch::seal_last`] gives.
#[must_use]
pub fn is_sealed(packet: &[u8]) -> bool {
    checksum::verify(UNSPECIFIED, &[packet])
}

/// Packets to send, in order.
///
/// Headers are copied in; payload is held as slices of reference-counted messages, so that a
/// message can be released while its last packets still wait here. Once it has been filled for the
/// first time, a batch allocates nothing.
///
/// Segmentation offload sends consecutive packets with one [`Destination`] as one: that is why
/// whoever fills a batch keeps packets of one destination together, and why the order in which they
/// were pushed is kept.
#[derive(Debug)]
pub struct SendBatch {
    entries: Vec<Entry>,
    slices: Vec<Bytes>,
}

/// Where a packet goes, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The receiver.
    pub peer: PeerAddr,
    /// The address of this host from which the packet leaves.
    pub local: LocalAddr,
    /// The level to map into the IP header (WIRE section 8).
    pub priority: Priority,
}

#[derive(Debug)]
struct Entry {
    destination: Destination,
    prefix: [u8; SendBatch::PREFIX_LEN_MAX],
    prefix_len: u8,
    header: [u8; HEADER_LEN_MAX],
    header_len: u8,
    slice_count: u8,
    first_slice: u32,
    payload_len: u32,
}

/// One packet of a [`SendBatch`].
#[derive(Clone, Copy, Debug)]
pub struct OutgoingPacket<'a> {
    /// Where it goes.
    pub destination: Destination,
    /// What a layer below the protocol put in front of the Homa packet, usually nothing.
    pub prefix: &'a [u8],
    /// The emitted header.
    pub header: &'a [u8],
    /// The payload, in this order.
    pub payload: &'a [Bytes],
    /// Length of prefix, header and payload in bytes.
    pub len: usize,
}

impl SendBatch {
    /// Packets that a batch holds at most.
    ///
    /// A quarter of what fits a usual socket buffer, and enough to spread a system call thin; with
    /// more, the receiving core would sit idle while the sending one fills its batch.
    pub const CAPACITY: usize = 64;

    /// Slices of payload that a packet has at most; what is more scattered has to be copied
    /// together first (as [`MessageStore::gather`](crate::MessageStore::gather) does).
    pub const SLICES_PER_PACKET_MAX: usize = 16;

    /// Longest prefix of a packet in bytes.
    pub const PREFIX_LEN_MAX: usize = 44;

    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        let entries = Vec::with_capacity(Self::CAPACITY);
        Self { entries, slices: Vec::with_capacity(Self::CAPACITY) }
    }

    /// Adds a packet with an emitted header (or without one: what is sent is the payload then).
    /// Its payload is given by [`append_payload`](Self::append_payload).
    ///
    /// # Panics
    ///
    /// If the batch is full, or the header longer than [`HEADER_LEN_MAX`] bytes.
    pub fn push(&mut self, destination: Destination, header: &[u8]) {
        assert!(!self.is_full(), "a batch holds {} packets", Self::CAPACITY);
        let mut entry = Entry {
            destination,
            prefix: [0; Self::PREFIX_LEN_MAX],
            prefix_len: 0,
            header: [0; HEADER_LEN_MAX],
            header_len: header.len() as u8,
            slice_count: 0,
            first_slice: self.slices.len() as u32,
            payload_len: 0,
        };
        entry.header[..header.len()].copy_from_slice(header);
        self.entries.push(entry);
    }

    /// Appends payload to the packet pushed last.
    ///
    /// # Panics
    ///
    /// If the batch is empty, or the packet has
    /// [`SLICES_PER_PACKET_MAX`](Self::SLICES_PER_PACKET_MAX) slices already.
    pub fn append_payload(&mut self, slice: Bytes) {
        let entry = self.entries.last_mut().expect("payload belongs to a packet");
        assert!(usize::from(entry.slice_count) < Self::SLICES_PER_PACKET_MAX, "too many slices");
        entry.slice_count += 1;
        entry.payload_len += slice.len() as u32;
        self.slices.push(slice);
    }

    /// Puts the checksum of WIRE section 6 into the packet pushed last, once its payload is complete.
    /// The addresses are left out of it: a socket bound to all addresses does not know which of
    /// them a packet will leave from, and the UDP checksum covers them.
    ///
    /// # Panics
    ///
    /// If the batch is empty, or the packet's header shorter than a Homa header.
    pub fn seal_last(&mut self) {
        let last = self.len().checked_sub(1).expect("a packet to seal");
        self.seal(last, UNSPECIFIED);
    }

    /// Puts the checksum of WIRE section 6, for a packet between these addresses, into packet
    /// `index`.
    ///
    /// # Panics
    ///
    /// If there is no such packet, or its header is shorter than a Homa header.
    pub fn seal(&mut self, index: usize, addresses: Addresses) {
        let packet = self.packet(index);
        let mut parts = [&[][..]; Self::SLICES_PER_PACKET_MAX + 1];
        for (place, part) in parts.iter_mut().zip(packet.homa_parts()) {
            *place = part;
        }
        let sum = checksum::compute(addresses, &parts);
        self.entries[index].header[checksum::FIELD].copy_from_slice(&sum.to_be_bytes());
    }

    /// Puts `prefix` in front of packet `index`, in place of the one that it may have, for it to
    /// leave from `local`: what authenticates a packet ([`AuthIo`](crate::AuthIo)).
    ///
    /// # Panics
    ///
    /// If there is no such packet, or the prefix is longer than
    /// [`PREFIX_LEN_MAX`](Self::PREFIX_LEN_MAX) bytes.
    pub fn set_prefix(&mut self, index: usize, local: LocalAddr, prefix: &[u8]) {
        let entry = &mut self.entries[index];
        entry.destination.local = local;
        entry.prefix[..prefix.len()].copy_from_slice(prefix);
        entry.prefix_len = prefix.len() as u8;
    }

    /// Takes the packet pushed last back.
    pub fn pop(&mut self) {
        if let Some(entry) = self.entries.pop() {
            self.slices.truncate(entry.first_slice as usize);
        }
    }

    /// Removes the first `count` packets, or all if there are fewer.
    pub fn remove_front(&mut self, count: usize) {
        if count >= self.entries.len() {
            self.clear();
            return;
        }
        self.entries.drain(..count);
        let slices_gone = self.entries[0].first_slice;
        self.slices.drain(..slices_gone as usize);
        for entry in &mut self.entries {
            entry.first_slice -= slices_gone;
        }
    }

    /// Removes all packets.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.slices.clear();
    }

    /// Number of packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no packet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it must be sent before another packet is pushed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= Self::CAPACITY
    }

    /// The packets, first to last.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = OutgoingPacket<'_>> {
        self.entries.iter().map(|entry| self.view(entry))
    }

    /// Packet `index`, from 0.
    ///
    /// # Panics
    ///
    /// If there is no such packet.
    #[must_use]
    pub fn packet(&self, index: usize) -> OutgoingPacket<'_> {
        self.view(&self.entries[index])
    }

    /// The packet to be sent first.
    #[must_use]
    pub fn front(&self) -> Option<OutgoingPacket<'_>> {
        self.entries.first().map(|entry| self.view(entry))
    }

    fn view<'a>(&'a self, entry: &'a Entry) -> OutgoingPacket<'a> {
        let first = entry.first_slice as usize;
        let (prefix_len, header_len) = (entry.prefix_len.into(), usize::from(entry.header_len));
        OutgoingPacket {
            destination: entry.destination,
            prefix: &entry.prefix[..prefix_len],
            header: &entry.header[..header_len],
            payload: &self.slices[first..first + usize::from(entry.slice_count)],
            len: prefix_len + header_len + entry.payload_len as usize,
        }
    }
}

impl Default for SendBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl OutgoingPacket<'_> {
    /// The packet's bytes, prefix, header and payload, one part after the other.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.prefix).chain(self.homa_parts())
    }

    /// The Homa packet's bytes, header and payload, one part after the other.
    pub fn homa_parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.header).chain(self.payload.iter().map(|slice| &slice[..]))
    }

    /// The packet's bytes in one piece: a copy.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len);
        self.parts().for_each(|part| bytes.extend_from_slice(part));
        bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use std::net::SocketAddr;

    fn destination() -> Destination {
        let peer = SocketAddr::from(([10, 0, 0, 1], 4000)).into();
        Destination { peer, local: LocalAddr::ANY, priority: Priority::HIGHEST }
    }

    fn batch(packets: &[&[&'static str]]) -> SendBatch {
        let mut batch = SendBatch::new();
        for slices in packets {
            batch.push(destination(), b"h:");
            slices.iter().for_each(|slice| batch.append_payload(Bytes::from(*slice)));
        }
        batch
    }

    fn contents(batch: &SendBatch) -> Vec<String> {
        batch.iter().map(|packet| String::from_utf8(packet.to_vec()).unwrap()).collect()
    }

    #[test]
    fn push__keeps_order_and_gathers_slices() {
        let batch = batch(&[&["a", "bc"], &[], &["d"]]);
        assert_eq!(contents(&batch), ["h:abc", "h:", "h:d"]);
        assert_eq!(batch.front().unwrap().len, 5);
        assert_eq!(batch.iter().map(|packet| packet.len).sum::<usize>(), 10);
    }

    #[test]
    fn remove_front__leaves_the_rest_whole() {
        let mut batch = batch(&[&["a", "bc"], &["d"], &["e", "f"], &["g"]]);
        batch.remove_front(2);
        assert_eq!(contents(&batch), ["h:ef", "h:g"]);
        batch.push(destination(), b"");
        batch.append_payload(Bytes::from("i"));
        batch.remove_front(1);
        assert_eq!(contents(&batch), ["h:g", "i"]);
        batch.remove_front(5);
        assert!(batch.is_empty() && batch.slices.is_empty());
    }

    #[test]
    fn pop__takes_the_payload_along() {
        let mut batch = batch(&[&["a"], &["b", "c"]]);
        batch.pop();
        assert_eq!(contents(&batch), ["h:a"]);
        assert_eq!(batch.slices.len(), 1);
        batch.pop();
        batch.pop();
        assert!(batch.is_empty());
    }

    #[test]
    fn set_prefix__comes_first_and_counts() {
        let mut batch = batch(&[&["a"], &["b"]]);
        let local = LocalAddr::from(std::net::IpAddr::from([10, 0, 0, 9]));
        batch.set_prefix(1, local, b"p:");
        assert_eq!(contents(&batch), ["h:a", "p:h:b"]);
        batch.remove_front(1);
        let packet = batch.front().unwrap();
        assert_eq!((packet.len, packet.destination.local), (5, local));
        assert_eq!(packet.homa_parts().collect::<Vec<_>>().concat(), b"h:b");
    }

    /// WIRE section 6, over header and all slices.
    #[test]
    fn seal_last__covers_the_whole_packet() {
        let mut batch = SendBatch::new();
        batch.push(destination(), &[3; 28]);
        batch.append_payload(Bytes::from_static(b"odd"));
        batch.append_payload(Bytes::from_static(b"even"));
        batch.seal_last();
        let mut packet = batch.front().unwrap().to_vec();
        assert!(is_sealed(&packet));
        for index in (0..16).chain(18..packet.len()) {
            packet[index] ^= 0x10;
            assert!(!is_sealed(&packet), "byte {index} is not covered");
            packet[index] ^= 0x10;
        }
        assert!(!is_sealed(&[3; 35]), "no checksum is no seal");
    }

    #[test]
    fn is_full__after_capacity_packets_and_never_reallocates_headers() {
        let mut batch = SendBatch::new();
        let capacity = batch.entries.capacity();
        for _ in 0..3 {
            while !batch.is_full() {
                batch.push(destination(), &[7; HEADER_LEN_MAX]);
                batch.append_payload(Bytes::from_static(b"x"));
            }
            assert_eq!(batch.len(), SendBatch::CAPACITY);
            batch.clear();
        }
        assert_eq!(batch.entries.capacity(), capacity);
    }

    #[test]
    #[should_panic(expected = "a batch holds 64 packets")]
    fn push__beyond_capacity_panics() {
        let mut batch = SendBatch::new();
        (0..=SendBatch::CAPACITY).for_each(|_| batch.push(destination(), b""));
    }
}
