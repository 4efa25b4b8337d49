//! Opening a UDP socket and finding out about paths.

use super::UdpConfig;
use crate::sys::{Family, option, set_option};
use homa_proto::PeerAddr;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

/// What a path is taken to carry when nothing is known, in bytes.
const DEFAULT_MTU: u32 = 1500;

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

/// Asks for a buffer beyond the system's limit, which takes a privilege, or else up to it.
fn set_buffer(
    fd: BorrowedFd<'_>,
    bytes: usize,
    forced: libc::c_int,
    limited: libc::c_int,
) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX / 2);
    set_option(fd, libc::SOL_SOCKET, forced, bytes)
        .or_else(|_| set_option(fd, libc::SOL_SOCKET, limited, bytes))
}

/// The size of the receive buffer as far as it serves payload: the kernel doubles what was asked
/// for to make room for its bookkeeping.
pub(super) fn receive_buffer_bytes(socket: &UdpSocket) -> io::Result<usize> {
    let doubled = option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF)?;
    Ok(usize::try_from(doubled).unwrap_or(0) / 2)
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

/// What the kernel knows of the path to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// The IP MTU in bytes.
    pub(super) mtu: u32,
    /// The address that packets leave from unless they name one.
    pub(super) source: Option<IpAddr>,
}

impl Path {
    /// The path to `peer` from a socket bound to `local`, as far as the kernel tells.
    pub(super) fn find(peer: &PeerAddr, local: SocketAddr) -> Self {
        connected_path(peer, local).unwrap_or(Self { mtu: DEFAULT_MTU, source: None })
    }
}

/// Asked of another socket, connected for the purpose: connecting the real one would make it deaf
/// to everybody else.
fn connected_path(peer: &PeerAddr, local: SocketAddr) -> io::Result<Path> {
    let family = if peer.is_ipv6() { Family::V6 } else { Family::V4 };
    let unspecified = match family {
        Family::V4 => SocketAddr::from(([0; 4], 0)),
        Family::V6 => SocketAddr::from(([0u16; 8], 0)),
    };
    let same_family = local.is_ipv6() == peer.is_ipv6();
    let from = if same_family { SocketAddr::new(local.ip(), 0) } else { unspecified };
    let socket = UdpSocket::bind(from)?;
    let fd = socket.as_fd();
    let (level, discover, always, mtu) = match family {
        Family::V4 => (libc::SOL_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO, libc::IP_MTU),
        Family::V6 => {
            (libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO, libc::IPV6_MTU)
        }
    };
    set_option(fd, level, discover, always)?;
    socket.connect(peer.socket_addr())?;
    let mtu = option(fd, level, mtu)?;
    let mtu = u32::try_from(mtu).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Path { mtu, source: Some(socket.local_addr()?.ip()) })
}
