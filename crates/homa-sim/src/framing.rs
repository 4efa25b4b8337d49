//! How many bytes of a link packets take.

use serde::{Deserialize, Serialize};

/// Bytes that packets occupy besides message data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framing {
    /// Message bytes of a full data packet.
    pub payload_bytes: u32,
    /// Of a data packet sent without a grant: all headers, preamble and gap.
    pub unscheduled_overhead_bytes: u32,
    /// Of a data packet sent with a grant.
    pub scheduled_overhead_bytes: u32,
    /// A whole control packet.
    pub control_bytes: u32,
}

/// The least that a packet occupies of an Ethernet link: 64 bytes, preamble and gap.
const ETHERNET_MIN_BYTES: u32 = 84;

impl Framing {
    /// Of the simulations published at SIGCOMM'18: 1442 bytes in a full packet of 1538; the headers of
    /// scheduled packets are 14 bytes shorter; a grant is a minimum-size frame. (The sizes are those of
    /// the authors' `HomaPkt` and `adjustLoadFac.py`, github.com/PlatformLab/HomaSimulation.)
    pub const SIGCOMM18: Self = Self {
        payload_bytes: 1442,
        unscheduled_overhead_bytes: 96,
        scheduled_overhead_bytes: 82,
        control_bytes: ETHERNET_MIN_BYTES,
    };

    /// Homa over IPv4 at an MTU of `mtu` bytes, on Ethernet: 20 bytes of IP header, 56 of DATA header,
    /// 18 of Ethernet header and checksum, 20 of preamble and gap.
    #[must_use]
    pub const fn ipv4(mtu: u32) -> Self {
        let homa = homa_wire::DATA_HEADER_LEN as u32;
        Self {
            payload_bytes: mtu - 20 - homa,
            unscheduled_overhead_bytes: 20 + homa + 38,
            scheduled_overhead_bytes: 20 + homa + 38,
            control_bytes: ETHERNET_MIN_BYTES,
        }
    }

    /// Bytes on the link of a data packet.
    #[must_use]
    pub const fn data(&self, payload_len: u32, is_scheduled: bool) -> u32 {
        let overhead = if is_scheduled {
            self.scheduled_overhead_bytes
        } else {
            self.unscheduled_overhead_bytes
        };
        let bytes = payload_len + overhead;
        if bytes < ETHERNET_MIN_BYTES { ETHERNET_MIN_BYTES } else { bytes }
    }

    /// Bytes on the link of a whole message and of the grants for it, one for each scheduled packet,
    /// of which `unscheduled_bytes` need none. This is what "load" counts (PAPER_RESULTS 1.1).
    #[must_use]
    pub fn message_with_grants(&self, length: u32, unscheduled_bytes: u32) -> f64 {
        let unscheduled = length.min(unscheduled_bytes);
        let scheduled = length - unscheduled;
        let grants = scheduled.div_ceil(self.payload_bytes);
        self.bytes_of(unscheduled, false)
            + self.bytes_of(scheduled, true)
            + f64::from(grants) * f64::from(self.control_bytes)
    }

    fn bytes_of(&self, bytes: u32, is_scheduled: bool) -> f64 {
        let full = bytes / self.payload_bytes;
        let rest = bytes % self.payload_bytes;
        let last = if rest > 0 { self.data(rest, is_scheduled) } else { 0 };
        f64::from(full) * f64::from(self.data(self.payload_bytes, is_scheduled)) + f64::from(last)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::workload::Workload;

    /// PAPER_RESULTS 1.1: the factors by which the published evaluation's load is application data.
    #[test]
    fn message_with_grants__gives_the_published_load_factors() {
        let published = [("w1", 0.657), ("w2", 0.796), ("w3", 0.887), ("w4", 0.898), ("w5", 0.898)];
        for (name, factor) in published {
            let workload = Workload::named(name).unwrap();
            let on_links =
                workload.expectation(|length| Framing::SIGCOMM18.message_with_grants(length, 9328));
            let ours = workload.mean_bytes() / on_links;
            assert!((ours - factor).abs() < 0.004, "{name}: {ours:.4}, published {factor}");
        }
    }

    #[test]
    fn data__is_never_shorter_than_a_frame() {
        let framing = Framing::ipv4(1500);
        assert_eq!(framing.payload_bytes, 1424);
        assert_eq!(framing.data(1424, true), 1538);
        let tiny = Framing { unscheduled_overhead_bytes: 40, ..framing };
        assert_eq!(tiny.data(1, false), 84);
    }
}
