//! Opening a UDP socket.

use super::UdpConfig;
use crate::ip::set_buffer;
use crate::sys::set_option;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

/// Opens a non-blocking socket on `addr`.
///
/// Every packet is sent unfragmented, and what the network has to say about packets is queued. The
/// address that a packet reached is asked for only if it isn't plain from `addr`.
pub(super) fn open(addr: SocketAddr, config: &UdpConfig) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    let fd = socket.as_fd();
    if addr.is_ipv6() {
        socket.set_only_v6(!addr.ip().is_unspecified())?;
        set_option(fd, libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO)?;
        set_option(fd, libc::SOL_IPV6, libc::IPV6_RECVERR, 1)?;
    }
    if addr.is_ipv4() || addr.ip().is_unspecified() {
        set_option(fd, libc::SOL_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)?;
        set_option(fd, libc::SOL_IP, libc::IP_RECVERR, 1)?;
    }
    if addr.ip().is_unspecified() {
        let (level, name) = match addr {
            SocketAddr::V4(_) => (libc::SOL_IP, libc::IP_PKTINFO),
            SocketAddr::V6(_) => (libc::SOL_IPV6, libc::IPV6_RECVPKTINFO),
        };
        set_option(fd, level, name, 1)?;
    }
    let receive = config.receive_buffer_bytes;
    let send = config.send_buffer_bytes;
    set_buffer(fd, receive, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)?;
    set_buffer(fd, send, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// Asks for packets of one sender to be handed over together; whether the system does that.
pub(super) fn receive_together(socket: &UdpSocket) -> bool {
    set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1).is_ok()
}

/// Sets the traffic class of packets that don't bring their own.
pub(super) fn set_traffic_class(socket: &UdpSocket, wildcard: bool, class: u8) -> io::Result<()> {
    let is_ipv6 = socket.local_addr()?.is_ipv6();
    if is_ipv6 {
        set_option(socket.as_fd(), libc::SOL_IPV6, libc::IPV6_TCLASS, class.into())?;
    }
    if !is_ipv6 || wildcard {
        set_option(socket.as_fd(), libc::SOL_IP, libc::IP_TOS, class.into())?;
    }
    Ok(())
}
