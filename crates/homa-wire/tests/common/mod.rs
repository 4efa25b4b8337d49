//! What the integration tests share: taking IP packets apart.

use homa_wire::checksum::Addresses;

/// An IP packet, as far as it concerns Homa.
pub(crate) struct IpPacket<'a> {
    pub(crate) protocol: u8,
    pub(crate) addresses: Addresses,
    /// Length of the payload as sent, which a capture may have cut short.
    pub(crate) payload_len: usize,
    /// The payload, as far as there is of it.
    pub(crate) payload: &'a [u8],
}

impl IpPacket<'_> {
    pub(crate) fn is_whole(&self) -> bool {
        self.payload.len() == self.payload_len
    }
}

/// Takes an IPv4 packet, or an IPv6 packet without extension headers,
/// apart.
pub(crate) fn parse_ip(packet: &[u8]) -> IpPacket<'_> {
    let word = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    match packet[0] >> 4 {
        4 => {
            let header_len = usize::from(packet[0] & 0x0F) * 4;
            let total_len = word(2);
            let (source, dest): ([u8; 4], [u8; 4]) = (array(packet, 12), array(packet, 16));
            IpPacket {
                protocol: packet[9],
                addresses: Addresses::V4 { source: source.into(), dest: dest.into() },
                payload_len: total_len - header_len,
                payload: &packet[header_len..total_len.min(packet.len())],
            }
        }
        6 => {
            let payload_len = word(4);
            let (source, dest): ([u8; 16], [u8; 16]) = (array(packet, 8), array(packet, 24));
            IpPacket {
                protocol: packet[6],
                addresses: Addresses::V6 { source: source.into(), dest: dest.into() },
                payload_len,
                payload: &packet[40..(40 + payload_len).min(packet.len())],
            }
        }
        version => panic!("IP version {version}"),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("an address")
}
