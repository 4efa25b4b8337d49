//! Addresses of peers and of this host, as the protocol keys its tables by them.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// What the addresses that hold an IPv4 address begin with (RFC 4291, section 2.5.5.2).
const MAPPED_PREFIX: u128 = 0xFFFF;

/// The address of a peer: all that belongs to one peer shares cutoffs, acks and liveness.
///
/// Over UDP a peer is an IP address and a UDP port; over raw IP the port is 0. IPv4 addresses are
/// held in their IPv6-mapped form, so both families share one key (WIRE section 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerAddr {
    ip: Ipv6Addr,
    scope_id: u32,
    port: u16,
}

impl PeerAddr {
    /// A peer known by its IP address alone (raw IP).
    #[must_use]
    pub fn from_ip(ip: IpAddr) -> Self {
        Self { ip: mapped(ip), scope_id: 0, port: 0 }
    }

    /// The IP address, in its own family.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.ip.to_canonical()
    }

    /// The UDP port, or 0 over raw IP.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether packets to this peer go over IPv6 (mapped IPv4 addresses do not).
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.ip.to_bits() >> 32 != MAPPED_PREFIX
    }

    /// Whether the peer is on this host: packets to it go over no link.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let bits = self.ip.to_bits();
        bits >> 24 == MAPPED_PREFIX << 8 | 127 || bits == 1
    }

    /// The address in the form that sockets take.
    #[must_use]
    pub fn socket_addr(&self) -> SocketAddr {
        match self.ip.to_ipv4_mapped() {
            Some(ip) => SocketAddr::from((ip, self.port)),
            None => SocketAddr::V6(SocketAddrV6::new(self.ip, self.port, 0, self.scope_id)),
        }
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        let scope_id = match addr {
            SocketAddr::V4(_) => 0,
            // Others are the same host whatever link they are said to be of.
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id(),
            SocketAddr::V6(_) => 0,
        };
        Self { ip: mapped(addr.ip()), scope_id, port: addr.port() }
    }
}

impl fmt::Debug for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port == 0 { self.ip().fmt(f) } else { self.socket_addr().fmt(f) }
    }
}

/// The address of this host that a packet reached, or from which one is to leave.
///
/// Replies leave from the address that the request reached, so that hosts with several addresses
/// work; [`LocalAddr::ANY`] leaves the choice to the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalAddr(Ipv6Addr);

impl LocalAddr {
    /// No particular address: the operating system chooses.
    pub const ANY: Self = Self(Ipv6Addr::UNSPECIFIED);

    /// The address, in its own family, or `None` for [`LocalAddr::ANY`].
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        if *self == Self::ANY { None } else { Some(self.0.to_canonical()) }
    }
}

impl From<IpAddr> for LocalAddr {
    /// The unspecified address of either family becomes [`LocalAddr::ANY`].
    fn from(ip: IpAddr) -> Self {
        if ip.is_unspecified() { Self::ANY } else { Self(mapped(ip)) }
    }
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn peer_addr__mapped_and_plain_ipv4_are_one_peer() {
        let plain: SocketAddr = "10.0.0.1:4000".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:4000".parse().unwrap();
        assert_eq!(PeerAddr::from(plain), PeerAddr::from(mapped));
        assert_eq!(PeerAddr::from(mapped).socket_addr(), plain);
        assert!(!PeerAddr::from(plain).is_ipv6());
    }

    #[test]
    fn peer_addr__tells_families_and_this_host() {
        let of = |ip: &str| PeerAddr::from_ip(ip.parse().unwrap());
        for ip in ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"] {
            assert!(of(ip).is_loopback(), "{ip}");
        }
        for ip in ["126.0.0.1", "128.0.0.1", "10.0.0.1", "::", "::2", "::127.0.0.1", "fe80::1"] {
            assert!(!of(ip).is_loopback(), "{ip}");
        }
        for (ip, is_ipv6) in [("10.0.0.1", false), ("::ffff:10.0.0.1", false), ("::1", true)] {
            assert_eq!(of(ip).is_ipv6(), is_ipv6, "{ip}");
        }
    }

    #[test]
    fn peer_addr__keeps_the_scope_of_link_local_addresses() {
        let addr = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 1, 0, 7));
        assert_eq!(PeerAddr::from(addr).socket_addr(), addr);
        let global = |scope| SocketAddrV6::new("fd00::1".parse().unwrap(), 1, 0, scope);
        let peer = |scope| PeerAddr::from(SocketAddr::V6(global(scope)));
        assert_eq!(peer(7), peer(0));
    }

    #[test]
    fn local_addr__unspecified_is_any() {
        assert_eq!(LocalAddr::from(IpAddr::from([0, 0, 0, 0])), LocalAddr::ANY);
        assert_eq!(LocalAddr::ANY.ip(), None);
        let ip = IpAddr::from([10, 0, 0, 9]);
        assert_eq!(LocalAddr::from(ip).ip(), Some(ip));
    }
}
