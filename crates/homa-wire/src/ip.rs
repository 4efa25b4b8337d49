//! What Homa looks like to IP: protocol numbers, and packets in the guise of TCP (WIRE sections
//! 1 and 7).

use crate::field;

/// IP protocol number (IPv6: next header) of Homa packets (HOMA-HDR-2).
pub const PROTOCOL: u8 = 146;

/// IP protocol number of Homa packets that a "TCP-hijacking" sender passes off as TCP, so that NICs
/// segment them: that of TCP.
pub const PROTOCOL_HIJACKED: u8 = 6;

/// TCP flags of every Homa packet: SYN and RST, which TCP never sends together.
pub(crate) const HIJACK_FLAGS: u8 = 0x06;

/// TCP urgent pointer of every Homa packet (HOMA-HDR-10).
pub(crate) const HIJACK_URGENT: u16 = 0xB97D;

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
