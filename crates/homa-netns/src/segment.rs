//! Which addresses the hosts and routers of a lab have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Hosts that reach each other without a router. Number 0 is 10.46.0.0/16 and fd46::/64, number 1
/// 10.47.0.0/16 and fd46:1::/64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment(pub(super) usize);

impl Segment {
    /// The `number`th address, from 0, of a host, from 1.
    pub(super) fn ipv4(self, number: u8, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 46 + self.0 as u8, number, host)
    }

    /// The same for IPv6.
    pub(super) fn ipv6(self, number: u16, host: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd46, self.0 as u16, 0, 0, 0, 0, number, host)
    }

    /// What hosts of other segments are reached through.
    pub(super) fn router(self) -> [IpAddr; 2] {
        [self.ipv4(255, 254).into(), self.ipv6(0, 0x254).into()]
    }

    /// All its addresses, for routes.
    pub(super) fn prefixes(self) -> [String; 2] {
        [self.ipv4(0, 0).into(), self.ipv6(0, 0).into()].map(with_prefix_len)
    }
}

/// How `ip` gives an interface `eth0` an address of a segment. IPv6 addresses are used at once: while
/// duplicates might be looked for, Linux lets nobody bind to them, if only until a busy machine has got round
/// to finding that it need not look.
pub(super) fn addition(address: IpAddr) -> String {
    let nodad = if address.is_ipv6() { " nodad" } else { "" };
    format!("addr add {} dev eth0{nodad}", with_prefix_len(address))
}

/// An address of a segment, with how many of its bits are the segment's, as `ip` wants it.
pub(super) fn with_prefix_len(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 16 } else { 64 })
}
