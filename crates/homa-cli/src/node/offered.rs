//! How many calls a load is, and what a message costs a link.

use crate::workload::Workload;

/// What each packet of Homa over UDP has besides data: Ethernet 14, IPv4 20, UDP 8, DATA header 60.
pub(crate) const HEADERS_BYTES: u32 = 14 + 20 + 8 + 60;
/// Data in a packet where the MTU is 1500.
pub(crate) const PACKET_DATA_BYTES: u32 = 1500 - (HEADERS_BYTES - 14);

/// The bytes that a message of `length` bytes takes on a link: Homa over UDP and IPv4 at an MTU of 1500, without
/// grants. For TCP, too, so that both are offered the same messages (its headers are a little shorter, and it has
/// acknowledgements).
pub(crate) fn wire_bytes(length: u32) -> u64 {
    let packets = length.div_ceil(PACKET_DATA_BYTES).max(1);
    u64::from(length) + u64::from(packets) * u64::from(HEADERS_BYTES)
}

/// Calls per second of each node such that messages take the share `load` of links with `rate` bits per second, in
/// either direction: a link carries its node's requests, and as many responses, of the same lengths, of the
/// requests that come to the node.
pub(super) fn calls_per_second(workload: &Workload, load: f64, rate: f64) -> f64 {
    load * rate / 8.0 / (2.0 * workload.mean_of(|length| wire_bytes(length) as f64))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn wire_bytes__counts_packets() {
        assert_eq!(PACKET_DATA_BYTES, 1412);
        assert_eq!(wire_bytes(100), 202);
        assert_eq!(wire_bytes(1412), 1514);
        assert_eq!(wire_bytes(1413), 1413 + 204);
    }

    /// Both directions of both messages of each call, and nothing else, make the load.
    #[test]
    fn calls_per_second__fills_a_share_of_the_link() {
        let fixed = Workload::fixed(1412).unwrap();
        let calls = calls_per_second(&fixed, 0.5, 200e6);
        assert!((calls * 2.0 * 1514.0 * 8.0 / 200e6 - 0.5).abs() < 1e-9);
    }
}
