//! What Homa looks like to IP: protocol numbers, and packets in the guise of TCP (WIRE sections
//! 1 and 7).

use crate::field;

/// IP protocol number (IPv6: next header) of Homa packets (HOMA-HDR-2).
pub const PROTOCOL: u8 = 146;

/// IP protocol number of Homa packets that a "TCP-hijacking" sender passes off as TCP, so that NICs
/// segment them: that of TCP.
pub const PROTOCOL_HIJACKED: u8 = 6;

/// TCP flags of every Homa packet: SYN and RST, which TCP never sends together.
pub const HIJACK_FLAGS: u8 = 0x06;

/// TCP urgent pointer of every Homa packet (HOMA-HDR-10).
pub const HIJACK_URGENT: u16 = 0xB97D;

/// Length of a TCP header without options.
const TCP_HEADER_LEN: usize = 20;

/// Whether the payload of an IP packet of protocol [`PROTOCOL_HIJACKED`] is a Homa packet in the
/// guise of TCP rather than TCP: whether it has flags SYN and RST and no others, and Homa's urgent
/// pointer (HOMA-HDR-10). Whether it is a legal one is for [`PacketView`](crate::PacketView) to say.
pub fn is_hijacked(tcp: &[u8]) -> bool {
    tcp.first_chunk::<TCP_HEADER_LEN>().is_some_and(|header| {
        field::FLAGS.value(header) == HIJACK_FLAGS && field::URGENT.value(header) == HIJACK_URGENT
    })
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::is_hijacked;
    use crate::Body;
    use crate::testing::packet;

    /// HOMA-HDR-10.
    #[test]
    fn is_hijacked__everything_that_we_emit() {
        assert!(is_hijacked(&packet(Body::NeedAck, &[])));
    }

    /// HOMA-HDR-10: flags that TCP may send, with any urgent pointer, and any other one with Homa's
    /// flags, are TCP.
    #[test]
    fn is_hijacked__flags_and_urgent_pointer_must_both_match() {
        let homa = packet(Body::NeedAck, &[]);
        for bit in 0..8 {
            for place in [13, 18, 19] {
                let mut tcp = homa.clone();
                tcp[place] ^= 1 << bit;
                assert!(!is_hijacked(&tcp), "byte {place} bit {bit}");
            }
        }
    }

    #[test]
    fn is_hijacked__too_short_for_tcp() {
        let homa = packet(Body::NeedAck, &[]);
        assert!(!is_hijacked(&homa[..19]));
        assert!(!is_hijacked(&[]));
    }
}
