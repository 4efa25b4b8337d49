//! What stands in front of an authenticated packet, and its MAC.
//!
//! ```text
//!  0  number of the packet in its session, from 1   8 bytes
//!  8  id of the key                                 3
//! 11  0xA1: an authenticated packet, format 1       1
//! 12  the sender's session                          8
//! 20  when it was sent, in us since 1970            8
//! 28  MAC                                          16
//! 44  the Homa packet
//! ```
//!
//! All numbers are big-endian. Byte 11 is where Homa packets have their type (WIRE section 1), and
//! 0xA1 is none: so either kind of packet is never taken for the other.
//!
//! The MAC is that of AEGIS-128X2, with 16 bytes and a nonce of zero, of: the Homa packet; the 28 bytes
//! above before the MAC; address and port of the sender, then of the receiver, as [`Ends`] writes them.

use std::net::{IpAddr, Ipv6Addr};

use super::key::{AuthKey, KeyId, Mac};

/// Length of an authentication header in bytes: by so much are packets longer.
pub(super) const LEN: usize = 44;

const MAC_AT: usize = 28;
const MARK_AT: usize = 11;
const MARK: u8 = 0xA1;

/// What an authentication header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AuthHeader {
    pub(super) number: u64,
    pub(super) key: KeyId,
    pub(super) session: u64,
    /// In microseconds since 1970.
    pub(super) sent_at: u64,
}

/// Where a packet comes from and goes to, which its MAC binds: a packet is good for no other
/// receiver that has the key, in no other sender's name, and not for its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) source: (IpAddr, u16),
    pub(super) dest: (IpAddr, u16),
}

impl AuthHeader {
    /// The header of a packet, and the packet behind it; `None` if it has none of format 1.
    pub(super) fn parse(packet: &[u8]) -> Option<(Self, &[u8])> {
        let (bytes, behind) = packet.split_first_chunk::<LEN>()?;
        if bytes[MARK_AT] != MARK {
            return None;
        }
        let number = |at: usize| {
            bytes[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let key = [bytes[8], bytes[9], bytes[10]];
        Some((Self { number: number(0), key, session: number(12), sent_at: number(20) }, behind))
    }

    /// The header as it is sent in front of a packet of these parts.
    pub(super) fn seal<'a>(
        &self,
        key: &AuthKey,
        ends: &Ends,
        packet: impl Iterator<Item = &'a [u8]>,
    ) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..MARK_AT].copy_from_slice(&self.key);
        bytes[MARK_AT] = MARK;
        bytes[12..20].copy_from_slice(&self.session.to_be_bytes());
        bytes[20..MAC_AT].copy_from_slice(&self.sent_at.to_be_bytes());
        let mac = mac(key, ends, &bytes[..MAC_AT], packet);
        bytes[MAC_AT..].copy_from_slice(&mac.finalize());
        bytes
    }
}

impl Ends {
    /// Addresses as IPv6, IPv4 in its mapped form, each with its port.
    fn emit(&self) -> [u8; 36] {
        let mut bytes = [0; 36];
        for (place, (ip, port)) in bytes.chunks_mut(18).zip([self.source, self.dest]) {
            place[..16].copy_from_slice(&mapped(ip).octets());
            place[16..].copy_from_slice(&port.to_be_bytes());
        }
        bytes
    }
}

/// Whether a packet is an authenticated one, whoever has its key: it is no Homa packet then.
pub(crate) fn is_marked(packet: &[u8]) -> bool {
    AuthHeader::parse(packet).is_some()
}

/// Whether a packet that [`AuthHeader::parse`] took apart has the right MAC.
///
/// # Panics
///
/// If the packet is shorter than an authentication header.
pub(super) fn is_authentic(packet: &[u8], key: &AuthKey, ends: &Ends) -> bool {
    let (bytes, behind) = packet.split_at(LEN);
    let (fields, claimed) = bytes.split_at(MAC_AT);
    let expected = mac(key, ends, fields, std::iter::once(behind));
    claimed.try_into().is_ok_and(|claimed| expected.verify(claimed).is_ok())
}

fn mac<'a>(
    key: &AuthKey,
    ends: &Ends,
    fields: &[u8],
    packet: impl Iterator<Item = &'a [u8]>,
) -> Mac {
    let mut mac = key.mac();
    for part in packet {
        mac.update(part);
    }
    // Of fixed length, so that no two packets make the same input.
    mac.update(fields);
    mac.update(&ends.emit());
    mac
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use homa_wire::{Header, Version};
    use proptest::prelude::*;

    fn ends() -> Ends {
        Ends { source: ([10, 0, 0, 1].into(), 1000), dest: ([10, 0, 0, 2].into(), 4000) }
    }

    fn header(key: &AuthKey) -> AuthHeader {
        AuthHeader { number: 5, key: key.id(), session: 0x0102_0304, sent_at: 1_700_000_000_000 }
    }

    fn sealed(key: &AuthKey, payload: &[u8]) -> Vec<u8> {
        let parts = [&payload[..payload.len() / 3], &payload[payload.len() / 3..]];
        let mut bytes = header(key).seal(key, &ends(), parts.into_iter()).to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn seal__parses_again_and_is_authentic() {
        let key = AuthKey::new(&[7; 32]);
        for payload in [&b""[..], b"packet", &[3; 5000]] {
            let packet = sealed(&key, payload);
            assert_eq!(AuthHeader::parse(&packet), Some((header(&key), payload)));
            assert!(is_authentic(&packet, &key, &ends()));
        }
    }

    /// The format of other versions of this crate.
    #[test]
    fn seal__known_answer() {
        let key = AuthKey::new(&[7; 32]);
        let bytes = header(&key).seal(&key, &ends(), std::iter::once(&b"Homa"[..]));
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (fields, mac) = text.split_at(2 * MAC_AT);
        assert_eq!(fields, "00000000000000050398a2a100000000010203040000018bcfe56800");
        assert_eq!(mac, "cbf55795ee95b5e97acee743cd725853");
    }

    #[test]
    fn is_authentic__binds_key_addresses_ports_and_direction() {
        let key = AuthKey::new(&[7; 32]);
        let packet = sealed(&key, b"packet");
        assert!(!is_authentic(&packet, &AuthKey::new(&[8; 32]), &ends()));
        let other_ip = IpAddr::from([10, 0, 0, 9]);
        let Ends { source, dest } = ends();
        for ends in [
            Ends { source: dest, dest: source },
            Ends { source: (other_ip, source.1), dest },
            Ends { source: (source.0, 1), dest },
            Ends { source, dest: (other_ip, dest.1) },
            Ends { source, dest: (dest.0, 1) },
        ] {
            assert!(!is_authentic(&packet, &key, &ends), "{ends:?}");
        }
        let mapped = Ends { source: ("::ffff:10.0.0.1".parse().unwrap(), source.1), dest };
        assert!(is_authentic(&packet, &key, &mapped), "one address in two forms");
    }

    /// A peer without keys drops authenticated packets as unknown, rather than to read the header.
    #[test]
    fn parse__neither_kind_of_packet_is_taken_for_the_other() {
        let packet = sealed(&AuthKey::new(&[7; 32]), &[0x10; 200]);
        assert!(Header::parse(&packet, Version::V1).is_err());
        for code in 0..=u8::MAX {
            let mut plain = [0x10; 200];
            plain[MARK_AT] = code;
            let is_homa = Header::parse(&plain, Version::V1).is_ok();
            assert!(!(is_homa && AuthHeader::parse(&plain).is_some()), "{code:#x}");
        }
        assert_eq!(AuthHeader::parse(&packet[..LEN - 1]), None);
        assert!(AuthHeader::parse(&packet[..LEN]).is_some());
    }

    proptest! {
        #[test]
        fn is_authentic__no_bit_may_change(
            payload in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let key = AuthKey::new(&[7; 32]);
            let mut packet = sealed(&key, &payload);
            let at = at.index(packet.len());
            packet[at] ^= 1_u8 << bit;
            prop_assert!(!is_authentic(&packet, &key, &ends()));
        }

        #[test]
        fn is_authentic__no_byte_may_be_missing_or_added(
            payload in prop::collection::vec(any::<u8>(), 0..300),
            len in 0_usize..350,
        ) {
            let key = AuthKey::new(&[7; 32]);
            let mut packet = sealed(&key, &payload);
            let whole = packet.len();
            packet.resize((LEN + len).min(whole + 3), 0);
            prop_assert_eq!(is_authentic(&packet, &key, &ends()), packet.len() == whole);
        }

        #[test]
        fn parse__never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = AuthHeader::parse(&bytes);
        }
    }
}
