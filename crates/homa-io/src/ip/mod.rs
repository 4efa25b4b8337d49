//! What sockets for UDP and for raw IP have in common: control messages, error reports, paths.

mod path;
mod path_errors;

#[cfg(test)]
pub(crate) use path::Path;
pub(crate) use path::Paths;
pub(crate) use path_errors::{Drained, PathErrors};

use crate::sys::{ControlMessages, option, set_option};
use homa_proto::LocalAddr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;

/// How often a send or receive that failed because of something reported about another packet is
/// tried again before the failure is taken to be its own.
pub(crate) const ATTEMPTS_MAX: usize = 8;

/// Asks for a buffer beyond the system's limit, which takes a privilege, or else up to it.
pub(crate) fn set_buffer(
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
pub(crate) fn receive_buffer_bytes(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let doubled = option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF)?;
    Ok(usize::try_from(doubled).unwrap_or(0) / 2)
}

/// Whether the kernel's buffers, or the interface's queue, were full. (The latter shows because
/// error reports are switched on.)
pub(crate) fn no_room(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// Whether a failure to send is that of the packet itself, not a report about an earlier one that
/// the kernel delivers by failing whatever comes next.
///
/// Such a report fails one call only. It need not be in the error queue, which may be full.
pub(crate) fn is_own_error(drained: Drained, attempts: usize) -> bool {
    let failed_twice = drained.from_network == 0 && attempts >= 2;
    drained.from_host > 0 || failed_twice || attempts >= ATTEMPTS_MAX
}

/// The address that a packet reached, from its IP_PKTINFO or IPV6_PKTINFO.
pub(crate) fn local_addr(control: &ControlMessages) -> LocalAddr {
    let v4 = control
        .find(libc::SOL_IP, libc::IP_PKTINFO)
        // The interface's index, the local address, the packet's destination.
        .and_then(|info| info.get(4..8)?.try_into().ok())
        .map(|octets: [u8; 4]| IpAddr::from(octets));
    let v6 = control
        .find(libc::SOL_IPV6, libc::IPV6_PKTINFO)
        // The packet's destination, the interface's index.
        .and_then(|info| info.get(..16)?.try_into().ok())
        .map(|octets: [u8; 16]| IpAddr::from(octets).to_canonical());
    v4.or(v6).map_or(LocalAddr::ANY, LocalAddr::from)
}

/// Asks for a traffic class for one packet.
pub(crate) fn push_class(control: &mut ControlMessages, is_ipv6: bool, class: u8) {
    let (level, kind) = match is_ipv6 {
        false => (libc::SOL_IP, libc::IP_TOS),
        true => (libc::SOL_IPV6, libc::IPV6_TCLASS),
    };
    control.push(level, kind, &libc::c_int::from(class).to_ne_bytes());
}

/// Asks for `source` as the address that a packet leaves from.
pub(crate) fn push_source(control: &mut ControlMessages, source: IpAddr) {
    match source {
        IpAddr::V4(ip) => {
            let mut info = [0; 12];
            info[4..8].copy_from_slice(&Ipv4Addr::octets(&ip));
            control.push(libc::SOL_IP, libc::IP_PKTINFO, &info);
        }
        IpAddr::V6(ip) => {
            let mut info = [0; 20];
            info[..16].copy_from_slice(&Ipv6Addr::octets(&ip));
            control.push(libc::SOL_IPV6, libc::IPV6_PKTINFO, &info);
        }
    }
}
