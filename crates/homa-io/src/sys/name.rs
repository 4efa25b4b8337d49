//! Socket addresses in the kernel's form.

use homa_proto::PeerAddr;
use std::mem::offset_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// The family of a socket. One of [`Family::V6`] speaks to IPv4 peers too, by mapped addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// A `sockaddr_in` or `sockaddr_in6`, as bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct SocketName {
    bytes: [u8; SocketName::LEN_MAX],
}

// The layout written and read below, checked against the system's definitions.
const _: () = {
    assert!(size_of::<libc::sockaddr_in>() == SocketName::V4_LEN);
    assert!(size_of::<libc::sockaddr_in6>() == SocketName::LEN_MAX);
    assert!(offset_of!(libc::sockaddr_in, sin_family) == 0);
    assert!(offset_of!(libc::sockaddr_in, sin_port) == 2);
    assert!(offset_of!(libc::sockaddr_in, sin_addr) == 4);
    assert!(offset_of!(libc::sockaddr_in6, sin6_family) == 0);
    assert!(offset_of!(libc::sockaddr_in6, sin6_port) == 2);
    assert!(offset_of!(libc::sockaddr_in6, sin6_addr) == 8);
    assert!(offset_of!(libc::sockaddr_in6, sin6_scope_id) == 24);
    assert!(align_of::<SocketName>() >= align_of::<libc::sockaddr_in6>());
};

impl SocketName {
    /// Room for an address of either family.
    pub(crate) const LEN_MAX: usize = 28;
    const V4_LEN: usize = 16;

    /// No address.
    pub(crate) const EMPTY: Self = Self { bytes: [0; Self::LEN_MAX] };

    /// The address of `peer` for a socket of `family`; `None` if such a socket can't reach it.
    pub(crate) fn new(peer: &PeerAddr, family: Family) -> Option<Self> {
        match (family, peer.socket_addr()) {
            (Family::V4, SocketAddr::V4(v4)) => Some(Self::v4(v4)),
            (Family::V4, SocketAddr::V6(_)) => None,
            (Family::V6, SocketAddr::V4(v4)) => {
                Some(Self::v6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0)))
            }
            (Family::V6, SocketAddr::V6(v6)) => Some(Self::v6(v6)),
        }
    }

    fn v4(addr: SocketAddrV4) -> Self {
        let mut bytes = Self::with_family(libc::AF_INET, addr.port());
        bytes[4..8].copy_from_slice(&addr.ip().octets());
        Self { bytes }
    }

    fn v6(addr: SocketAddrV6) -> Self {
        let mut bytes = Self::with_family(libc::AF_INET6, addr.port());
        bytes[8..24].copy_from_slice(&addr.ip().octets());
        bytes[24..28].copy_from_slice(&addr.scope_id().to_ne_bytes());
        Self { bytes }
    }

    fn with_family(family: libc::c_int, port: u16) -> [u8; Self::LEN_MAX] {
        let mut bytes = [0; Self::LEN_MAX];
        bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        bytes[2..4].copy_from_slice(&port.to_be_bytes());
        bytes
    }

    /// How many of the bytes the kernel is to read.
    pub(crate) fn len(&self) -> libc::socklen_t {
        let len = if self.family() == libc::AF_INET { Self::V4_LEN } else { Self::LEN_MAX };
        len as libc::socklen_t
    }

    /// The address, or `None` if the kernel wrote none of a known family.
    pub(crate) fn peer(&self) -> Option<PeerAddr> {
        let bytes = &self.bytes;
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        match self.family() {
            libc::AF_INET => {
                let ip: [u8; 4] = bytes[4..8].try_into().ok()?;
                Some(SocketAddr::from((Ipv4Addr::from(ip), port)).into())
            }
            libc::AF_INET6 => {
                let ip: [u8; 16] = bytes[8..24].try_into().ok()?;
                let scope_id = u32::from_ne_bytes(bytes[24..28].try_into().ok()?);
                let addr = SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope_id);
                Some(SocketAddr::V6(addr).into())
            }
            _ => None,
        }
    }

    fn family(&self) -> libc::c_int {
        u16::from_ne_bytes([self.bytes[0], self.bytes[1]]).into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn peer(addr: &str) -> PeerAddr {
        addr.parse::<SocketAddr>().unwrap().into()
    }

    #[test]
    fn new__and_back() {
        for addr in ["10.1.2.3:4000", "[fd00::2]:4000", "[fe80::1%7]:9"] {
            let name = SocketName::new(&peer(addr), Family::V6).unwrap();
            assert_eq!(name.peer(), Some(peer(addr)));
            assert_eq!(name.len(), 28);
        }
        let name = SocketName::new(&peer("10.1.2.3:4000"), Family::V4).unwrap();
        assert_eq!((name.peer(), name.len()), (Some(peer("10.1.2.3:4000")), 16));
    }

    #[test]
    fn new__an_ipv4_socket_reaches_no_ipv6_peer() {
        assert!(SocketName::new(&peer("[::1]:1"), Family::V4).is_none());
        assert_eq!(SocketName::EMPTY.peer(), None);
    }
}
