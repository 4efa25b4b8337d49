//! ICMP port unreachable: how a kernel peer learns that nobody has a Homa port (WIRE section 9).

use super::channel::explain;
use super::filter::NOTHING;
use crate::ip::push_source;
use crate::sys::{ControlMessages, Family, Messages, SocketName, attach_filter};
use homa_proto::PeerAddr;
use homa_wire::ip;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Bytes of the Homa packet that are quoted: its header, or most of it.
const QUOTE_LEN_MAX: usize = 64;

/// Reports per second at most: what a scan of all ports would draw otherwise.
const PER_SECOND_MAX: u32 = 100;

const IPV4_DEST_UNREACHABLE: u8 = 3;
const IPV4_PORT_UNREACHABLE: u8 = 3;
const IPV6_DEST_UNREACHABLE: u8 = 1;
const IPV6_PORT_UNREACHABLE: u8 = 4;
const IPV6_HEADER_LEN: usize = 40;

/// Sends reports of unreachable ports for one family.
#[derive(Debug)]
pub(super) struct PortUnreachable {
    socket: Socket,
    family: Family,
    second: Instant,
    sent: u32,
}

/// A packet for a port that nobody has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Misdirected<'a> {
    pub(super) peer: PeerAddr,
    /// The address that it was for.
    pub(super) local: IpAddr,
    /// Its IPv4 header; nothing in IPv6.
    pub(super) ipv4_header: &'a [u8],
    pub(super) homa: &'a [u8],
}

impl PortUnreachable {
    /// # Errors
    ///
    /// `PermissionDenied` without CAP_NET_RAW, or what else the operating system says.
    pub(super) fn new(family: Family) -> io::Result<Self> {
        let (domain, protocol) = match family {
            Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
            Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket =
            Socket::new(domain, Type::from(libc::SOCK_RAW), Some(protocol)).map_err(explain)?;
        socket.set_nonblocking(true)?;
        // It only sends: nothing that the host receives is passed to it.
        attach_filter(socket.as_fd(), &NOTHING)?;
        Ok(Self { socket, family, second: Instant::now(), sent: 0 })
    }

    /// Reports a packet to its sender, unless too many were reported within the second. That it
    /// can't be sent is no matter: such reports may get lost.
    pub(super) fn report(&mut self, packet: &Misdirected<'_>, now: Instant) {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.sent) = (now, 0);
        }
        if self.sent >= PER_SECOND_MAX {
            return;
        }
        self.sent += 1;
        let Some(message) = message(packet) else { return };
        let Some(name) = SocketName::new(&packet.peer, self.family) else { return };
        let mut control = ControlMessages::EMPTY;
        push_source(&mut control, packet.local);
        let mut messages = Messages::new();
        messages.push(&name, &control);
        messages.add(&message);
        let _ = messages.send(self.socket.as_fd());
    }
}

/// The ICMP message that quotes a packet. `None` for mixed families.
fn message(packet: &Misdirected<'_>) -> Option<Vec<u8>> {
    let quote = &packet.homa[..packet.homa.len().min(QUOTE_LEN_MAX)];
    match (packet.peer.ip(), packet.local) {
        (IpAddr::V4(_), IpAddr::V4(_)) => Some(icmpv4(packet.ipv4_header, quote)),
        (IpAddr::V6(source), IpAddr::V6(dest)) => {
            Some(icmpv6(source, dest, packet.homa.len(), quote))
        }
        _ => None,
    }
}

fn icmpv4(header: &[u8], quote: &[u8]) -> Vec<u8> {
    let mut message = vec![IPV4_DEST_UNREACHABLE, IPV4_PORT_UNREACHABLE, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(header);
    // A hijacked packet is Homa's all the same, and the sender's stack looks for it by protocol
    // (WIRE section 7).
    if let Some(protocol) = message.get_mut(8 + 9) {
        *protocol = ip::PROTOCOL;
    }
    message.extend_from_slice(quote);
    let sum = internet_checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// The kernel does not pass IPv6 headers to raw sockets, so it is made up anew; and it computes the
/// checksum itself.
fn icmpv6(source: Ipv6Addr, dest: Ipv6Addr, homa_len: usize, quote: &[u8]) -> Vec<u8> {
    let mut message = vec![IPV6_DEST_UNREACHABLE, IPV6_PORT_UNREACHABLE, 0, 0, 0, 0, 0, 0];
    let mut header = [0; IPV6_HEADER_LEN];
    header[0] = 0x60;
    header[4..6].copy_from_slice(&(homa_len as u16).to_be_bytes());
    header[6] = ip::PROTOCOL;
    header[7] = 64;
    header[8..24].copy_from_slice(&source.octets());
    header[24..40].copy_from_slice(&dest.octets());
    message.extend_from_slice(&header);
    message.extend_from_slice(quote);
    message
}

/// RFC 1071.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

/// Whether a sender at this address may be told anything: not if the packet came from, or was for,
/// more than one host (RFC 1122 section 3.2.2).
pub(super) fn may_be_told(peer: IpAddr, local: IpAddr) -> bool {
    let single = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => !(v4.is_multicast() || v4.is_broadcast() || v4 == Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(v6) => !(v6.is_multicast() || v6.is_unspecified()),
    };
    single(peer) && single(local)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use std::net::SocketAddr;

    fn misdirected<'a>(
        peer: &str,
        local: &str,
        header: &'a [u8],
        homa: &'a [u8],
    ) -> Misdirected<'a> {
        let peer = SocketAddr::new(peer.parse().unwrap(), 0).into();
        Misdirected { peer, local: local.parse().unwrap(), ipv4_header: header, homa }
    }

    /// The receiver of such a message finds the packet's ports in the first four bytes quoted.
    #[test]
    fn message__quotes_header_and_ports() {
        let mut header = [7; 20];
        header[9] = ip::PROTOCOL_HIJACKED;
        let homa: Vec<u8> = (0..100).collect();
        let v4 = message(&misdirected("10.0.0.1", "10.0.0.2", &header, &homa)).unwrap();
        assert_eq!(v4[..2], [3, 3]);
        assert_eq!(internet_checksum(&v4), 0, "a message with its checksum sums up to nothing");
        assert_eq!((v4[8], v4[8 + 9]), (7, ip::PROTOCOL));
        assert_eq!(v4[28..], homa[..64]);

        let v6 = message(&misdirected("fd00::1", "fd00::2", &[], &homa)).unwrap();
        assert_eq!(v6[..2], [1, 4]);
        assert_eq!((v6[8] >> 4, v6[8 + 6], &v6[12..14]), (6, ip::PROTOCOL, &[0, 100][..]));
        assert_eq!((v6[8 + 23], v6[8 + 39]), (1, 2));
        assert_eq!(v6[48..], homa[..64]);
        assert!(message(&misdirected("fd00::1", "10.0.0.2", &[], &homa)).is_none());
    }

    #[test]
    fn may_be_told__only_one_host_of_one_host() {
        let told =
            |peer: &str, local: &str| may_be_told(peer.parse().unwrap(), local.parse().unwrap());
        assert!(told("10.0.0.1", "10.0.0.2") && told("fd00::1", "fd00::2"));
        assert!(!told("10.0.0.1", "255.255.255.255") && !told("10.0.0.1", "224.0.0.1"));
        assert!(!told("0.0.0.0", "10.0.0.2") && !told("fd00::1", "ff02::1"));
    }
}
