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

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::vec;
    use std::vec::Vec;

    use super::{Addresses, FIELD, compute, pseudo_header, verify};
    use crate::testing::packet;
    use crate::{AckList, Body};

    fn v4() -> Addresses {
        Addresses::V4 { source: [10, 0, 0, 2].into(), dest: [10, 0, 0, 1].into() }
    }

    fn v6() -> Addresses {
        let source = "fd00::2".parse().expect("an address");
        Addresses::V6 { source, dest: "fd00::1".parse().expect("an address") }
    }

    /// The packet `need_ack` of WIRE section 11.
    fn need_ack() -> Vec<u8> {
        let mut packet = packet(Body::NeedAck, &[]);
        packet[..4].copy_from_slice(&[0x0F, 0xA0, 0x80, 0x00]);
        packet[27] ^= 1;
        packet
    }

    #[test]
    fn compute__worked_examples() {
        assert_eq!(compute(v4(), &[&need_ack()]), 0x4EB6);
        assert_eq!(compute(v6(), &[&need_ack()]), 0x68B4);
    }

    #[test]
    fn compute__the_field_itself_does_not_count() {
        let mut packet = need_ack();
        for value in [0_u16, 1, 0x4EB6, 0xFFFF] {
            packet[FIELD].copy_from_slice(&value.to_be_bytes());
            assert_eq!(compute(v4(), &[&packet]), 0x4EB6);
        }
    }

    #[test]
    fn compute__any_division_into_parts() {
        let packet = packet(Body::Ack(AckList::new()), b"odd");
        let whole = compute(v4(), &[&packet]);
        for first in 0..=packet.len() {
            for second in first..=packet.len() {
                let parts = [&packet[..first], &packet[first..second], &packet[second..]];
                assert_eq!(compute(v4(), &parts), whole);
            }
        }
    }

    /// A result of 0 is sent as 0xFFFF, because 0 means that none was computed.
    #[test]
    fn compute__never_0() {
        let mut packet = need_ack();
        // Two bytes that count once, set to what makes the sum all ones.
        packet[14..16].copy_from_slice(&0x4EB6_u16.to_be_bytes());
        assert_eq!(compute(v4(), &[&packet]), 0xFFFF);
        packet[FIELD].fill(0xFF);
        assert!(verify(v4(), &[&packet]));
        packet[FIELD].fill(0);
        assert!(!verify(v4(), &[&packet]));
    }

    #[test]
    fn verify__every_single_bit_counts() {
        let mut packet = need_ack();
        packet.extend_from_slice(b"odd");
        let checksum = compute(v4(), &[&packet]);
        packet[FIELD].copy_from_slice(&checksum.to_be_bytes());
        assert!(verify(v4(), &[&packet]));
        assert!(verify(v4(), &[&packet[..7], &packet[7..]]));
        for bit in 0..8 * packet.len() {
            packet[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(v4(), &[&packet]), "bit {bit}");
            packet[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn verify__packet_without_the_field() {
        assert!(!verify(v4(), &[]));
        assert!(!verify(v4(), &[&[0; 17]]));
    }

    #[test]
    fn compute__carries_of_a_large_packet() {
        let packet = vec![0xFF; 65_535];
        // All ones is zero in one's complement, so the last byte, a high one, is all that counts
        // besides the pseudo header; the field itself, which does not count, was zero too.
        let sum = u32::from(pseudo_header(v4(), packet.len())) + 0xFF00;
        assert_eq!(compute(v4(), &[&packet]), !fold(sum));
    }

    /// Protocol 6, the length, and the addresses.
    #[test]
    fn pseudo_header__sum_of_its_fields() {
        assert_eq!(pseudo_header(v4(), 28), 6 + 28 + 0x0A00 + 2 + 0x0A00 + 1);
        assert_eq!(pseudo_header(v6(), 28), fold(6 + 28 + 0xFD00 + 2 + 0xFD00 + 1));
    }

    fn fold(sum: u32) -> u16 {
        u16::try_from((sum & 0xFFFF) + (sum >> 16)).expect("one carry")
    }

    #[test]
    fn addresses__family_decides() {
        let v4 = |last| core::net::IpAddr::from([10, 0, 0, last]);
        let mapped: core::net::IpAddr = "::ffff:10.0.0.2".parse().expect("an address");
        let v6: core::net::IpAddr = "fd00::2".parse().expect("an address");
        assert_eq!(Addresses::new(v4(2), v4(1)), Some(self::v4()));
        assert_eq!(Addresses::new(mapped, v4(1)), Some(self::v4()));
        assert_eq!(Addresses::new(v6, v6), Some(Addresses::V6 { source: addr(), dest: addr() }));
        assert_eq!(Addresses::new(v4(2), v6), None);
    }

    fn addr() -> core::net::Ipv6Addr {
        "fd00::2".parse().expect("an address")
    }
}
