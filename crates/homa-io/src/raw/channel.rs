//! One raw socket: a family and a protocol.

use super::RawConfig;
use super::filter::{NOTHING, Start, Wanted};
use crate::ip::set_buffer;
use crate::sys::{Family, attach_filter, set_option};
use homa_wire::ip;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

/// A raw socket, bound.
#[derive(Debug)]
pub(super) struct Channel {
    socket: Socket,
    pub(super) family: Family,
    /// Whether its packets are in the guise of TCP.
    pub(super) hijacked: bool,
    /// Traffic class of packets without a control message.
    pub(super) default_class: u8,
    /// Whether it had no room for the last packet that was to be sent.
    pub(super) is_blocked: bool,
}

/// Which sockets to open.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    /// Where to be bound; unspecified for all addresses of its family.
    pub(super) ip: IpAddr,
    pub(super) config: &'a RawConfig,
    /// The ports wanted; `None` for all.
    pub(super) ports: Option<Vec<u16>>,
    pub(super) default_class: u8,
}

impl Opening<'_> {
    /// Opens one of the sockets.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without CAP_NET_RAW, or what else the operating system says.
    pub(super) fn open(&self, hijacked: bool) -> io::Result<Channel> {
        let protocol = if hijacked { ip::PROTOCOL_HIJACKED } else { ip::PROTOCOL };
        let domain = Domain::for_address(SocketAddr::new(self.ip, 0));
        let protocol = Protocol::from(i32::from(protocol));
        let socket =
            Socket::new(domain, Type::from(libc::SOCK_RAW), Some(protocol)).map_err(explain)?;
        let family = if self.ip.is_ipv4() { Family::V4 } else { Family::V6 };
        let start = if family == Family::V4 { Start::Ipv4Header } else { Start::HomaHeader };
        let wanted = Wanted { hijacked, ports: self.ports.clone() };
        socket.set_nonblocking(true)?;
        if let Some(program) = wanted.program(start) {
            // A socket receives from the moment it is made: what it got by then may be others'.
            attach_filter(socket.as_fd(), &NOTHING)?;
            discard_waiting(&socket);
            attach_filter(socket.as_fd(), &program)?;
        }
        self.set_options(socket.as_fd(), family, hijacked)?;
        socket.bind(&SocketAddr::new(self.ip, 0).into())?;
        let default_class = self.default_class;
        Ok(Channel { socket, family, hijacked, default_class, is_blocked: false })
    }

    fn set_options(&self, fd: BorrowedFd<'_>, family: Family, hijacked: bool) -> io::Result<()> {
        let class = self.default_class.into();
        // A socket that only listens to hijacked packets would hear what is reported about TCP's.
        let hears_errors = !hijacked || self.config.hijack;
        match family {
            Family::V4 => {
                set_option(fd, libc::SOL_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)?;
                set_option(fd, libc::SOL_IP, libc::IP_RECVERR, hears_errors.into())?;
                set_option(fd, libc::SOL_IP, libc::IP_PKTINFO, 1)?;
                set_option(fd, libc::SOL_IP, libc::IP_TOS, class)?;
            }
            Family::V6 => {
                set_option(fd, libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO)?;
                set_option(fd, libc::SOL_IPV6, libc::IPV6_RECVERR, hears_errors.into())?;
                set_option(fd, libc::SOL_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
                set_option(fd, libc::SOL_IPV6, libc::IPV6_TCLASS, class)?;
            }
        }
        let receive = self.config.receive_buffer_bytes;
        set_buffer(fd, receive, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)?;
        let send = self.config.send_buffer_bytes;
        set_buffer(fd, send, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Empties a socket that receives no more, and so comes to an end.
fn discard_waiting(socket: &Socket) {
    let mut byte = [MaybeUninit::uninit()];
    while socket.recv(&mut byte).is_ok() {}
}

/// Says what is missing, and what to do about it.
pub(super) fn explain(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    let message = "raw IP needs the capability CAP_NET_RAW: run as root, or once \
                   `setcap cap_net_raw+ep` on the program";
    io::Error::new(io::ErrorKind::PermissionDenied, message)
}

/// Where the Homa packet lies in what a raw IPv4 socket receives: behind an IP header of 20 to 60
/// bytes, up to the total length. `None` if that is not to be had.
pub(super) fn ipv4_payload(packet: &[u8]) -> Option<(usize, usize)> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let header_len = usize::from(header[0] & 15) * 4;
    let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let is_ipv4 = header[0] >> 4 == 4 && header_len >= 20;
    (is_ipv4 && header_len <= total_len && total_len <= packet.len())
        .then_some((header_len, total_len))
}

/// Where a packet was addressed to, from its IPv4 header; `None` of no header, as with IPv6.
pub(super) fn ipv4_dest(header: &[u8]) -> Option<IpAddr> {
    let octets: [u8; 4] = header.get(16..20)?.try_into().ok()?;
    Some(octets.into())
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn packet(first: u8, total_len: u16, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        bytes[0] = first;
        bytes[2..4].copy_from_slice(&total_len.to_be_bytes());
        bytes
    }

    #[test]
    fn ipv4_payload__lies_behind_the_header_and_before_padding() {
        assert_eq!(ipv4_payload(&packet(0x45, 48, 48)), Some((20, 48)));
        assert_eq!(ipv4_payload(&packet(0x45, 48, 60)), Some((20, 48)));
        assert_eq!(ipv4_payload(&packet(0x4F, 88, 88)), Some((60, 88)));
        assert_eq!(ipv4_payload(&packet(0x45, 20, 20)), Some((20, 20)));
    }

    #[test]
    fn ipv4_dest__is_what_the_header_says() {
        let mut header = packet(0x45, 48, 20);
        header[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 255]);
        assert_eq!(ipv4_dest(&header), Some([10, 0, 0, 255].into()));
        assert_eq!(ipv4_dest(&[]), None);
    }

    #[test]
    fn ipv4_payload__of_nonsense_is_none() {
        for (first, total_len, len) in
            [(0x45, 49, 48), (0x44, 48, 48), (0x65, 48, 48), (0x4F, 48, 48), (0x45, 0, 48)]
        {
            assert_eq!(ipv4_payload(&packet(first, total_len, len)), None, "{first:#x}");
        }
        assert_eq!(ipv4_payload(&[0x45; 19]), None);
        assert_eq!(ipv4_payload(&[]), None);
    }
}
