//! Packets on their way out: headers by value, payload by reference.

use bytes::Bytes;
use homa_proto::{LocalAddr, PeerAddr};
use homa_wire::checksum::{self, Addresses};
use homa_wire::{HEADER_LEN_MAX, Priority};
use std::net::Ipv4Addr;
use std::ops::Range;

/// No addresses: what checksums over UDP are computed with.
const UNSPECIFIED: Addresses =
    Addresses::V4 { source: Ipv4Addr::UNSPECIFIED, dest: Ipv4Addr::UNSPECIFIED };

/// What is copied of a packet at most: its header, and a short payload.
const FRONT_LEN_MAX: usize = HEADER_LEN_MAX + SendBatch::COPIED_PAYLOAD_MAX;

/// Whether a packet as received carries the checksum that [`SendBatch::seal_last`] gives.
#[must_use]
pub fn is_sealed(packet: &[u8]) -> bool {
    checksum::verify(UNSPECIFIED, &[packet])
}

/// Packets to send, in order.
///
/// Headers and short payloads are copied in, packet after packet; longer payloads are held as slices of
/// reference-counted messages, so that a message can be released while its last packets still wait
/// here. Once it has been filled for the first time, a batch allocates nothing.
///
/// Segmentation offload sends consecutive packets with one [`Destination`] as one: that is why
/// whoever fills a batch keeps packets of one destination together, and why the order in which they
/// were pushed is kept.
#[derive(Debug)]
pub struct SendBatch {
    entries: Vec<Entry>,
    /// What was copied in, in the order of the packets.
    bytes: Vec<u8>,
    slices: Vec<Bytes>,
    /// Prefixes of packets, in the order in which they were set.
    prefixes: Vec<u8>,
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
    /// Where its prefix begins, and how long that is.
    prefix_at: u32,
    prefix_len: u32,
    /// Where what was copied in of it begins, and how long that is.
    bytes_at: u32,
    bytes_len: u32,
    first_slice: u32,
    slice_count: u32,
    /// Bytes in its slices.
    slices_len: u32,
}

/// One packet of a [`SendBatch`].
#[derive(Clone, Copy, Debug)]
pub struct OutgoingPacket<'a> {
    /// Where it goes.
    pub destination: Destination,
    /// What a layer below the protocol put in front of the Homa packet, usually nothing.
    pub prefix: &'a [u8],
    /// The emitted header, and behind it the payload that was short enough to be copied.
    pub front: &'a [u8],
    /// The rest of the payload, in this order.
    pub payload: &'a [Bytes],
    /// Length of all parts in bytes.
    pub len: usize,
}

impl SendBatch {
    /// A batch of so many packets is full: it is to be sent.
    ///
    /// A quarter of what fits a usual socket buffer, and enough to spread a system call thin; with
    /// more, the receiving core would sit idle while the sending one fills its batch.
    pub const FULL: usize = 64;

    /// Packets that a batch holds at most: another run of as many as make it full finds room while it is
    /// not.
    pub const CAPACITY: usize = 2 * Self::FULL;

    /// Slices of payload that a packet has at most; what is more scattered has to be copied
    /// together first (as [`MessageStore::gather`](crate::MessageStore::gather) does).
    pub const SLICES_PER_PACKET_MAX: usize = 16;

    /// Longest prefix of a packet in bytes.
    pub const PREFIX_LEN_MAX: usize = 44;

    /// Payload up to this many bytes of a packet is copied: that costs less than to count another
    /// reference to its message, and packets that lie one behind the other are handed over as one.
    pub const COPIED_PAYLOAD_MAX: usize = 1024;

    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entries: Vec::with_capacity(Self::CAPACITY),
            bytes: Vec::with_capacity(Self::CAPACITY * (HEADER_LEN_MAX + 128)),
            slices: Vec::with_capacity(Self::CAPACITY),
            prefixes: Vec::new(),
        }
    }

    /// Adds a packet that begins with these bytes, which are copied: a header, or nothing. The rest
    /// is given by [`append`](Self::append).
    ///
    /// # Panics
    ///
    /// If the batch holds [`CAPACITY`](Self::CAPACITY) packets, or these are more bytes than are ever copied
    /// of a packet.
    pub fn push(&mut self, destination: Destination, front: &[u8]) {
        assert!(self.len() < Self::CAPACITY, "a batch holds {} packets", Self::CAPACITY);
        assert!(front.len() <= FRONT_LEN_MAX, "more than is copied of a packet");
        self.entries.push(Entry {
            destination,
            prefix_at: 0,
            prefix_len: 0,
            bytes_at: self.bytes.len() as u32,
            bytes_len: front.len() as u32,
            first_slice: self.slices.len() as u32,
            slice_count: 0,
            slices_len: 0,
        });
        self.bytes.extend_from_slice(front);
    }

    /// Appends a part of a message to the packet pushed last.
    ///
    /// # Panics
    ///
    /// If the batch is empty, the range exceeds the bytes, or the packet has
    /// [`SLICES_PER_PACKET_MAX`](Self::SLICES_PER_PACKET_MAX) slices already.
    pub fn append(&mut self, bytes: &Bytes, range: Range<usize>) {
        let entry = self.entries.last_mut().expect("payload belongs to a packet");
        if entry.slice_count == 0 && entry.bytes_len as usize + range.len() <= FRONT_LEN_MAX {
            entry.bytes_len += range.len() as u32;
            self.bytes.extend_from_slice(&bytes[range]);
            return;
        }
        let slices_max = Self::SLICES_PER_PACKET_MAX;
        assert!((entry.slice_count as usize) < slices_max, "too many slices");
        entry.slice_count += 1;
        entry.slices_len += range.len() as u32;
        self.slices.push(bytes.slice(range));
    }

    /// Appends all of a piece of a message to the packet pushed last, as [`append`](Self::append) does.
    ///
    /// # Panics
    ///
    /// As [`append`](Self::append).
    pub fn append_payload(&mut self, slice: Bytes) {
        self.append(&slice, 0..slice.len());
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
        let Entry { bytes_at, bytes_len, .. } = self.entries[index];
        let front = &mut self.bytes[bytes_at as usize..][..bytes_len as usize];
        front[checksum::FIELD].copy_from_slice(&sum.to_be_bytes());
    }

    /// Puts `prefix` in front of packet `index`, in place of the one that it may have, for it to
    /// leave from `local`: what authenticates a packet ([`AuthIo`](crate::AuthIo)).
    ///
    /// # Panics
    ///
    /// If there is no such packet, or the prefix is longer than
    /// [`PREFIX_LEN_MAX`](Self::PREFIX_LEN_MAX) bytes.
    pub fn set_prefix(&mut self, index: usize, local: LocalAddr, prefix: &[u8]) {
        assert!(prefix.len() <= Self::PREFIX_LEN_MAX, "no prefix is that long");
        let entry = &mut self.entries[index];
        entry.destination.local = local;
        entry.prefix_at = self.prefixes.len() as u32;
        entry.prefix_len = prefix.len() as u32;
        self.prefixes.extend_from_slice(prefix);
    }

    /// Takes the packet pushed last back.
    pub fn pop(&mut self) {
        if let Some(entry) = self.entries.pop() {
            self.bytes.truncate(entry.bytes_at as usize);
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
        let Entry { bytes_at: bytes_gone, first_slice: slices_gone, .. } = self.entries[0];
        self.bytes.drain(..bytes_gone as usize);
        self.slices.drain(..slices_gone as usize);
        for entry in &mut self.entries {
            entry.bytes_at -= bytes_gone;
            entry.first_slice -= slices_gone;
        }
    }

    /// Removes all packets.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.slices.clear();
        self.prefixes.clear();
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

    /// Whether it is to be sent before another packet, or run of packets, is pushed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= Self::FULL
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

    /// The bytes of these packets one behind the other, if that is how they lie here.
    ///
    /// # Panics
    ///
    /// If there are no such packets.
    #[must_use]
    pub fn in_one_piece(&self, packets: Range<usize>) -> Option<&[u8]> {
        let entries = &self.entries[packets];
        let scattered = |entry: &Entry| entry.slice_count > 0 || entry.prefix_len > 0;
        if entries.iter().any(scattered) {
            return None;
        }
        let (first, last) = (entries.first()?, entries.last()?);
        Some(&self.bytes[first.bytes_at as usize..(last.bytes_at + last.bytes_len) as usize])
    }

    fn view<'a>(&'a self, entry: &'a Entry) -> OutgoingPacket<'a> {
        let part = |bytes: &'a [u8], at: u32, len: u32| &bytes[at as usize..][..len as usize];
        let slices = &self.slices[entry.first_slice as usize..];
        OutgoingPacket {
            destination: entry.destination,
            prefix: part(&self.prefixes, entry.prefix_at, entry.prefix_len),
            front: part(&self.bytes, entry.bytes_at, entry.bytes_len),
            payload: &slices[..entry.slice_count as usize],
            len: (entry.prefix_len + entry.bytes_len + entry.slices_len) as usize,
        }
    }
}

impl Default for SendBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> OutgoingPacket<'a> {
    /// The packet's bytes, prefix, header and payload, one part after the other, some maybe empty.
    pub fn parts(self) -> impl Iterator<Item = &'a [u8]> {
        std::iter::once(self.prefix).chain(self.homa_parts())
    }

    /// The Homa packet's bytes, header and payload, one part after the other.
    pub fn homa_parts(self) -> impl Iterator<Item = &'a [u8]> {
        std::iter::once(self.front).chain(self.payload.iter().map(|slice| &slice[..]))
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
        assert!(batch.is_empty() && batch.bytes.is_empty());
    }

    /// What is short lies in one piece, in order, so that it can be handed over as one.
    #[test]
    fn in_one_piece__short_packets_one_behind_the_other() {
        let mut batch = batch(&[&["a", "bc"], &[], &["d"]]);
        assert!(batch.slices.is_empty());
        assert_eq!(batch.in_one_piece(0..3), Some(&b"h:abch:h:d"[..]));
        assert_eq!(batch.in_one_piece(1..2), Some(&b"h:"[..]));
        assert_eq!(batch.in_one_piece(1..1), None);
        batch.remove_front(1);
        assert_eq!(batch.in_one_piece(0..2), Some(&b"h:h:d"[..]));
        batch.set_prefix(1, LocalAddr::ANY, b"p:");
        assert_eq!(batch.in_one_piece(0..1), Some(&b"h:"[..]));
        assert_eq!(batch.in_one_piece(0..2), None, "a prefix lies elsewhere");
    }

    #[test]
    fn append__long_payload_is_shared_and_stays_in_order() {
        let long = Bytes::from(vec![7; FRONT_LEN_MAX + 10]);
        let mut batch = SendBatch::new();
        batch.push(destination(), b"h:");
        batch.append(&Bytes::from_static(b"-x-"), 1..2);
        batch.append(&long, 10..long.len());
        batch.append(&Bytes::from_static(b"y"), 0..1);
        let packet = batch.front().unwrap();
        assert_eq!((packet.front, packet.payload.len()), (&b"h:x"[..], 2));
        assert_eq!(packet.payload[0].as_ptr(), long[10..].as_ptr(), "not copied");
        let expected = [b"h:x", &long[10..], b"y"].concat();
        assert_eq!((packet.len, packet.to_vec()), (expected.len(), expected));
        assert_eq!(batch.in_one_piece(0..1), None);
        batch.push(destination(), &[1; FRONT_LEN_MAX]);
        assert!(batch.in_one_piece(1..2).is_some());
    }

    #[test]
    fn pop__takes_the_payload_along() {
        let mut batch = batch(&[&["a"], &["b", "c"]]);
        batch.pop();
        assert_eq!(contents(&batch), ["h:a"]);
        assert_eq!(batch.bytes.len(), 3);
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
    fn is_full__with_room_for_as_many_more_and_never_reallocates_headers() {
        let mut batch = SendBatch::new();
        let capacity = batch.entries.capacity();
        for _ in 0..3 {
            while !batch.is_full() {
                batch.push(destination(), &[7; HEADER_LEN_MAX]);
                batch.append_payload(Bytes::from_static(b"x"));
            }
            assert_eq!(batch.len(), SendBatch::FULL);
            while batch.len() < SendBatch::CAPACITY {
                batch.push(destination(), &[7; HEADER_LEN_MAX]);
            }
            batch.clear();
        }
        assert_eq!(batch.entries.capacity(), capacity);
    }

    #[test]
    #[should_panic(expected = "a batch holds 128 packets")]
    fn push__beyond_capacity_panics() {
        let mut batch = SendBatch::new();
        (0..=SendBatch::CAPACITY).for_each(|_| batch.push(destination(), b""));
    }
}
