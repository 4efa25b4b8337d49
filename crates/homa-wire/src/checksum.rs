//! The checksum of Homa over IP (WIRE section 6).
//!
//! It is that of TCP: over a pseudo header (with TCP's protocol number, whatever Homa's is) and the
//! whole packet. No Homa receiver relies on it (HOMA-HDR-9), but middleboxes may verify it in
//! packets in the guise of TCP. Over UDP the field is 0, which is never the result of computing
//! it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Range;

/// Where the field lies in a packet.
pub const FIELD: Range<usize> = 16..18;

/// TCP's protocol number.
const PROTOCOL: u8 = 6;

/// Source and destination address of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Addresses {
    /// Addresses of an IPv4 packet.
    V4 { source: Ipv4Addr, dest: Ipv4Addr },
    /// Addresses of an IPv6 packet.
    V6 { source: Ipv6Addr, dest: Ipv6Addr },
}

impl Addresses {
    /// Addresses of the packet that goes from `source` to `dest`, or `None` if there is no such
    /// packet because one is IPv4 and the other IPv6. An IPv4 address mapped into IPv6 counts as
    /// IPv4.
    pub fn new(source: IpAddr, dest: IpAddr) -> Option<Self> {
        match (source.to_canonical(), dest.to_canonical()) {
            (IpAddr::V4(source), IpAddr::V4(dest)) => Some(Self::V4 { source, dest }),
            (IpAddr::V6(source), IpAddr::V6(dest)) => Some(Self::V6 { source, dest }),
            _ => None,
        }
    }
}

/// The checksum of a packet, given in one or several parts (such as header and payload). What the
/// packet has in the checksum field makes no difference. Never 0.
pub fn compute(addresses: Addresses, parts: &[&[u8]]) -> u16 {
    let mut sum = pseudo_header_sum(addresses, packet_len(parts));
    for part in parts {
        sum.add(part);
    }
    if let Some(field) = field_value(parts) {
        sum.remove(field);
    }
    match !sum.folded() {
        0 => 0xFFFF,
        checksum => checksum,
    }
}

/// Whether the packet, given in one or several parts, has the right value in its checksum field.
/// Packets with a 0 there, whose sender computed none, have not.
pub fn verify(addresses: Addresses, parts: &[&[u8]]) -> bool {
    field_value(parts) == Some(compute(addresses, parts))
}

/// What hardware that completes checksums expects in the checksum field of a packet of `length`
/// bytes: the sum over the pseudo header alone, not inverted.
pub fn pseudo_header(addresses: Addresses, length: usize) -> u16 {
    pseudo_header_sum(addresses, length).folded()
}

fn pseudo_header_sum(addresses: Addresses, length: usize) -> Sum {
    let mut sum = Sum::default();
    match addresses {
        Addresses::V4 { source, dest } => {
            sum.add(&source.octets());
            sum.add(&dest.octets());
        }
        Addresses::V6 { source, dest } => {
            sum.add(&source.octets());
            sum.add(&dest.octets());
        }
    }
    sum.add(&[0, PROTOCOL]);
    sum.add(&(length as u64).to_be_bytes());
    sum
}

fn packet_len(parts: &[&[u8]]) -> usize {
    parts.iter().fold(0, |len, part| part.len().saturating_add(len))
}

/// The checksum field of a packet in parts, if the packet is long enough to have one.
fn field_value(parts: &[&[u8]]) -> Option<u16> {
    let mut bytes = parts.iter().flat_map(|part| part.iter().copied()).skip(FIELD.start);
    Some(u16::from_be_bytes([bytes.next()?, bytes.next()?]))
}

/// A one's-complement sum of 16-bit words, big-endian.
///
/// Kept in 64 bits: carries are folded in once, at the end, and words may be added two at a time.
/// It cannot overflow before 16 GiB were added.
#[derive(Clone, Copy, Default)]
struct Sum {
    total: u64,
    /// The first half of a word whose second half has yet to come.
    pending: Option<u8>,
}

impl Sum {
    /// Adds bytes that follow on those added so far.
    fn add(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if let (Some(high), Some((low, rest))) = (self.pending, bytes.split_first()) {
            self.add_word(u16::from_be_bytes([high, *low]).into());
            self.pending = None;
            bytes = rest;
        }
        let (pairs, rest) = bytes.as_chunks();
        for pair in pairs {
            self.add_word(u32::from_be_bytes(*pair));
        }
        let (words, rest) = rest.as_chunks();
        for word in words {
            self.add_word(u16::from_be_bytes(*word).into());
        }
        if let Some(last) = rest.first() {
            self.pending = Some(*last);
        }
    }

    /// Takes a word out again: in one's complement, its inverse is its negative.
    fn remove(&mut self, word: u16) {
        self.add_word((!word).into());
    }

    fn add_word(&mut self, word: u32) {
        self.total = self.total.wrapping_add(word.into());
    }

    /// The sum in 16 bits, the missing half of an odd last word taken as 0.
    fn folded(mut self) -> u16 {
        if let Some(high) = self.pending {
            self.add_word(u16::from_be_bytes([high, 0]).into());
        }
        let mut total = self.total;
        loop {
            match u16::try_from(total) {
                Ok(sum) => return sum,
                Err(_) => total = (total & 0xFFFF).wrapping_add(total >> 16),
            }
        }
    }
}
