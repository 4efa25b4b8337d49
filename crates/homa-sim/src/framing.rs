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

    /// Homa over IPv4 at an MTU of `mtu` bytes, on Ethernet: 20 bytes of IP header, 60 of DATA header,
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
