//! Numbers of RPCs.

use core::fmt;

/// The number of an RPC, as one of its two sides writes it.
///
/// The lowest bit says whose number it is (WIRE section 3, HOMA-HDR-11): even is the client's,
/// odd the server's, and the two differ in that bit only. Id 0 names no RPC; only FREEZE
/// packets carry it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RpcId(pub u64);

impl RpcId {
    /// Whether this is the number that the client uses (so a packet from the client carries it).
    pub const fn is_client(self) -> bool {
        self.0 & 1 == 0
    }

    /// Whether this is the number that the server uses.
    pub const fn is_server(self) -> bool {
        !self.is_client()
    }

    /// The same RPC as the other side numbers it.
    pub const fn flipped(self) -> Self {
        Self(self.0 ^ 1)
    }
}

impl fmt::Display for RpcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::RpcId;

    /// HOMA-HDR-11.
    #[test]
    fn is_client__even_is_client_odd_is_server() {
        assert!(RpcId(1000).is_client() && !RpcId(1000).is_server());
        assert!(RpcId(1001).is_server() && !RpcId(1001).is_client());
        assert!(RpcId(u64::MAX).is_server());
    }

    /// HOMA-HDR-11: both sides mean the same RPC.
    #[test]
    fn flipped__changes_the_side_and_nothing_else() {
        assert_eq!(RpcId(1000).flipped(), RpcId(1001));
        assert_eq!(RpcId(1001).flipped(), RpcId(1000));
        assert_eq!(RpcId(u64::MAX).flipped().flipped(), RpcId(u64::MAX));
    }
}
