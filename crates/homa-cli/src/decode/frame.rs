//! Where in a frame Homa is, if there is any.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use homa_wire::ip::{PROTOCOL, PROTOCOL_HIJACKED, is_hijacked};
use pcap_file::DataLink;

use super::authentication::Authentication;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Tags for virtual networks, each followed by another type: 802.1Q and 802.1ad.
const ETHERTYPES_VLAN: [u16; 2] = [0x8100, 0x88a8];
const PROTOCOL_UDP: u8 = 17;
const UDP_HEADER_LEN: usize = 8;
const IPV4_HEADER_LEN: usize = 20;
const IPV6_HEADER_LEN: usize = 40;
/// Hop-by-hop options, routing header, destination options: they may precede the payload.
const IPV6_EXTENSIONS: [u8; 3] = [0, 43, 60];

/// What a frame holds.
#[derive(Debug)]
pub(super) enum Finding<'a> {
    Homa(Carried<'a>),
    Other,
}

/// A Homa packet and what carried it; over UDP it may be several, see [`split`](super::segments::split).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carried<'a> {
    pub(super) source: IpAddr,
    pub(super) dest: IpAddr,
    pub(super) via: Via,
    /// IPv4's type of service, IPv6's traffic class: the priority is in the upper three bits.
    pub(super) traffic_class: u8,
    /// The packet as far as captured.
    pub(super) bytes: &'a [u8],
    /// Its whole length.
    pub(super) length: usize,
    /// What stood in front of it.
    pub(super) authentication: Option<Authentication>,
    /// Packets that followed it in one datagram, and of which nothing was captured.
    pub(super) uncaptured: usize,
}

/// What Homa was carried by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// IP, as protocol 146.
    Native,
    /// IP, in the guise of TCP.
    Hijacked,
    Udp {
        source_port: u16,
        dest_port: u16,
    },
}

/// An IP packet.
struct Ip<'a> {
    source: IpAddr,
    dest: IpAddr,
    traffic_class: u8,
    protocol: u8,
    /// The payload as far as captured.
    payload: &'a [u8],
    /// The payload's whole length.
    length: usize,
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => write!(f, "ip/{PROTOCOL}"),
            Self::Hijacked => write!(f, "ip/{PROTOCOL_HIJACKED}"),
            Self::Udp { source_port, dest_port } => write!(f, "udp/{source_port}-{dest_port}"),
        }
    }
}

/// Looks for Homa in a frame; UDP is taken for Homa if one of its ports is among `udp_ports`.
pub(super) fn find<'a>(link: DataLink, frame: &'a [u8], udp_ports: &[u16]) -> Finding<'a> {
    match ip_packet(link, frame).and_then(parse_ip).and_then(|ip| carried(ip, udp_ports)) {
        Some(carried) => Finding::Homa(carried),
        None => Finding::Other,
    }
}

fn carried<'a>(ip: Ip<'a>, udp_ports: &[u16]) -> Option<Carried<'a>> {
    let (via, bytes, length) = match ip.protocol {
        PROTOCOL => (Via::Native, ip.payload, ip.length),
        PROTOCOL_HIJACKED if is_hijacked(ip.payload) => (Via::Hijacked, ip.payload, ip.length),
        PROTOCOL_UDP => {
            let (header, rest) = ip.payload.split_at_checked(UDP_HEADER_LEN)?;
            let (source_port, dest_port) = (be16(header, 0)?, be16(header, 2)?);
            if !udp_ports.contains(&source_port) && !udp_ports.contains(&dest_port) {
                return None;
            }
            let length = ip.length.checked_sub(UDP_HEADER_LEN)?;
            (Via::Udp { source_port, dest_port }, rest, length)
        }
        _ => return None,
    };
    let Ip { source, dest, traffic_class, .. } = ip;
    let (authentication, uncaptured) = (None, 0);
    Some(Carried { source, dest, via, traffic_class, bytes, length, authentication, uncaptured })
}

/// The IP packet within a frame.
fn ip_packet(link: DataLink, frame: &[u8]) -> Option<&[u8]> {
    match link {
        DataLink::ETHERNET => after_ethertype(frame, 12),
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => Some(frame),
        // Linux's form for captures of all interfaces, in both versions.
        DataLink::LINUX_SLL => after_ethertype(frame, 14),
        DataLink::LINUX_SLL2 => is_ip(be16(frame, 0)?).then(|| frame.get(20..))?,
        // Loopback of BSD: an address family, which the IP version says as well.
        DataLink::NULL | DataLink::LOOP => frame.get(4..),
        _ => None,
    }
}

/// What follows the type field at `at`, if it is IP, beyond any tags for virtual networks.
fn after_ethertype(frame: &[u8], mut at: usize) -> Option<&[u8]> {
    while ETHERTYPES_VLAN.contains(&be16(frame, at)?) {
        at += 4;
    }
    is_ip(be16(frame, at)?).then(|| frame.get(at + 2..))?
}

fn is_ip(ethertype: u16) -> bool {
    matches!(ethertype, ETHERTYPE_IPV4 | ETHERTYPE_IPV6)
}

fn parse_ip(packet: &[u8]) -> Option<Ip<'_>> {
    match packet.first()? >> 4 {
        4 => parse_ipv4(packet),
        6 => parse_ipv6(packet),
        _ => None,
    }
}

fn parse_ipv4(packet: &[u8]) -> Option<Ip<'_>> {
    let header = packet.get(..IPV4_HEADER_LEN)?;
    let header_len = 4 * usize::from(header[0] & 0x0f);
    // All but the "don't fragment" bit: pieces of packets can't be decoded.
    if be16(header, 6)? & 0xbfff != 0 {
        return None;
    }
    // With segmentation offload a captured packet may be longer than its length field can say.
    let total = match usize::from(be16(header, 2)?) {
        0 => packet.len(),
        total => total,
    };
    let end = packet.len().min(total);
    Some(Ip {
        source: IpAddr::V4(ipv4(header, 12)?),
        dest: IpAddr::V4(ipv4(header, 16)?),
        traffic_class: header[1],
        protocol: header[9],
        payload: packet.get(header_len..end)?,
        length: total.checked_sub(header_len)?,
    })
}

fn parse_ipv6(packet: &[u8]) -> Option<Ip<'_>> {
    let header = packet.get(..IPV6_HEADER_LEN)?;
    let mut protocol = header[6];
    let mut at = IPV6_HEADER_LEN;
    while IPV6_EXTENSIONS.contains(&protocol) {
        let extension = packet.get(at..at + 2)?;
        protocol = extension[0];
        at += 8 + 8 * usize::from(extension[1]);
    }
    let total = match usize::from(be16(header, 4)?) {
        0 => packet.len(),
        payload => IPV6_HEADER_LEN + payload,
    };
    Some(Ip {
        source: IpAddr::V6(ipv6(header, 8)?),
        dest: IpAddr::V6(ipv6(header, 24)?),
        traffic_class: (be16(header, 0)? >> 4) as u8,
        protocol,
        payload: packet.get(at..packet.len().min(total))?,
        length: total.checked_sub(at)?,
    })
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|pair| u16::from_be_bytes(*pair))
}

fn ipv4(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    bytes.get(at..)?.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets))
}

fn ipv6(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    bytes.get(at..)?.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use homa_wire::{Body, HEADER_LEN_MAX, Header, RpcId, Version};
    use proptest::prelude::*;

    use super::*;

    fn need_ack() -> Vec<u8> {
        let mut packet = [0; HEADER_LEN_MAX];
        let header = Header::new(4000, 32768, RpcId(1001), Body::NeedAck);
        let length = header.emit(Version::V1, &mut packet).unwrap();
        packet[..length].to_vec()
    }

    fn ipv4_packet(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0xe0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        packet[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
        packet.extend([10, 0, 0, 2, 10, 0, 0, 1]);
        packet.extend(payload);
        packet
    }

    fn ipv6_packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x6e, 0, 0, 0, 0, payload.len() as u8, next_header, 64];
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend(payload);
        packet
    }

    fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0xff, 0xff, 0, 0, 0, 0, 0, 0];
        packet[2..4].copy_from_slice(&port.to_be_bytes());
        packet.extend(payload);
        packet
    }

    fn found<'a>(link: DataLink, frame: &'a [u8], ports: &[u16]) -> Option<Carried<'a>> {
        match find(link, frame, ports) {
            Finding::Homa(carried) => Some(carried),
            Finding::Other => None,
        }
    }

    #[test]
    fn find__native_hijacked_and_udp() {
        let homa = need_ack();
        let native = ipv4_packet(146, &homa);
        let carried = found(DataLink::RAW, &native, &[]).unwrap();
        assert_eq!((carried.via, carried.bytes, carried.length), (Via::Native, &homa[..], 28));
        assert_eq!(carried.source.to_string(), "10.0.0.2");
        assert_eq!(carried.traffic_class, 0xe0);

        let hijacked = ipv4_packet(6, &homa);
        assert_eq!(found(DataLink::RAW, &hijacked, &[]).unwrap().via, Via::Hijacked);
        let mut tcp = homa.clone();
        tcp[13] = 0x02;
        assert_eq!(found(DataLink::RAW, &ipv4_packet(6, &tcp), &[]), None);

        let over_udp = ipv4_packet(17, &udp(4000, &homa));
        let carried = found(DataLink::RAW, &over_udp, &[99, 4000]).unwrap();
        assert_eq!(carried.via.to_string(), "udp/65535-4000");
        assert_eq!((carried.bytes, carried.length), (&homa[..], 28));
        assert_eq!(found(DataLink::RAW, &over_udp, &[99]), None);
    }

    #[test]
    fn find__link_layers() {
        let homa = need_ack();
        let ip = ipv4_packet(146, &homa);
        let with = |prefix: &[u8]| [prefix, &ip].concat();
        let ethernet = [&[0; 12][..], &[0x08, 0x00]].concat();
        let vlan = [&[0; 12][..], &[0x81, 0x00, 0, 5, 0x08, 0x00]].concat();
        let sll = [&[0; 14][..], &[0x08, 0x00]].concat();
        let sll2 = [&[0x08, 0x00][..], &[0; 18]].concat();
        for (link, prefix) in [
            (DataLink::ETHERNET, &ethernet[..]),
            (DataLink::ETHERNET, &vlan),
            (DataLink::LINUX_SLL, &sll),
            (DataLink::LINUX_SLL2, &sll2),
            (DataLink::NULL, &[2, 0, 0, 0]),
            (DataLink::IPV4, &[]),
        ] {
            let frame = with(prefix);
            assert_eq!(found(link, &frame, &[]).expect("found").bytes, homa, "{link:?}");
        }
        let arp = [&[0; 12][..], &[0x08, 0x06], &ip].concat();
        assert_eq!(found(DataLink::ETHERNET, &arp, &[]), None);
    }

    #[test]
    fn find__ipv6_with_extension_header() {
        let homa = need_ack();
        let plain = ipv6_packet(146, &homa);
        let carried = found(DataLink::RAW, &plain, &[]).unwrap();
        assert_eq!((carried.bytes, carried.traffic_class), (&homa[..], 0xe0));
        let options = [&[146, 0, 1, 4, 0, 0, 0, 0][..], &homa].concat();
        assert_eq!(found(DataLink::RAW, &ipv6_packet(0, &options), &[]).unwrap().bytes, homa);
    }

    #[test]
    fn find__padding_is_cut_and_truncation_known() {
        let homa = need_ack();
        let mut frame = ipv4_packet(146, &homa);
        frame.extend([0; 18]);
        assert_eq!(found(DataLink::RAW, &frame, &[]).unwrap().bytes, homa);
        let carried = found(DataLink::RAW, &frame[..40], &[]).unwrap();
        assert_eq!((carried.bytes.len(), carried.length), (20, 28));
    }

    #[test]
    fn find__fragments_are_not_decoded() {
        let mut fragment = ipv4_packet(146, &need_ack());
        fragment[6] = 0x20;
        assert_eq!(found(DataLink::RAW, &fragment, &[]), None);
    }

    proptest! {
        #[test]
        fn find__never_panics(bytes: Vec<u8>, first in prop::sample::select(vec![0x45, 0x60, 0x4f, 0])) {
            let frame = [&[first][..], &bytes].concat();
            for link in [DataLink::RAW, DataLink::ETHERNET, DataLink::LINUX_SLL2, DataLink::NULL] {
                let _ = find(link, &frame, &[4000]);
            }
        }
    }
}
