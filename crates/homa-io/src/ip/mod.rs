//! What sockets for UDP and for raw IP have in common: control messages, error reports, paths.

mod accepted;
mod network;
mod path;
mod path_errors;

pub(crate) use accepted::Accepted;
pub(crate) use network::Network;
#[cfg(test)]
pub(crate) use path::Path;

use crate::Destination;
use crate::sys::{ControlMessages, option, set_option};
use homa_proto::LocalAddr;
use path::Paths;
use path_errors::{Drained, PathErrors};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;

/// The traffic class of each priority level: a `priority_map` of the configuration, checked.
pub(crate) fn traffic_classes(priority_map: &[u8; 8]) -> io::Result<[u8; 8]> {
    if priority_map.iter().any(|value| *value > 7) {
        let message = "priority_map: values are 0 to 7";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(priority_map.map(|value| value << 5))
}

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

/// What the kernel is to be told of a packet, beside its bytes: its traffic class if `class` says
/// so, and the address that it is to leave from, if it has one and the socket `names_source`.
pub(crate) fn control_messages(
    destination: &Destination,
    class: Option<u8>,
    names_source: bool,
) -> ControlMessages {
    let mut control = ControlMessages::EMPTY;
    if let Some(class) = class {
        push_class(&mut control, destination.peer.is_ipv6(), class);
    }
    if names_source && let Some(source) = destination.local.ip() {
        push_source(&mut control, source);
    }
    control
}

fn push_class(control: &mut ControlMessages, is_ipv6: bool, class: u8) {
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

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::{RawConfig, UdpConfig};

    /// HOMA-PRIO-4, WIRE section 8.
    #[test]
    fn traffic_classes__are_the_top_three_bits() {
        let mut map = UdpConfig::default().priority_map;
        assert_eq!(map, RawConfig::default().priority_map);
        assert_eq!(traffic_classes(&map).unwrap(), [0, 0x20, 0x40, 0x60, 0x80, 0xA0, 0xC0, 0xE0]);
        map = [5; 8];
        assert_eq!(traffic_classes(&map).unwrap(), [0xA0; 8]);
        map[3] = 8;
        assert_eq!(traffic_classes(&map).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
