//! Parameters of a UDP socket.

/// Parameters of [`UdpIo`](super::UdpIo): plain values with defaults, checked by `bind`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UdpConfig {
    /// Bytes of received packets that the operating system should hold until they are read.
    /// Default 4 MiB. Without privileges the system grants less (`net.core.rmem_max`); what it
    /// granted is told by `PacketIo::receive_buffer_bytes`.
    pub receive_buffer_bytes: usize,
    /// Bytes of packets that the operating system should hold until the interface takes them.
    /// Default 4 MiB; limited by `net.core.wmem_max`.
    pub send_buffer_bytes: usize,
    /// For each Homa priority level the value, 0 to 7, of the top three bits of the IPv4 TOS byte
    /// or IPv6 traffic class. Default: level 0 to 0, ... level 7 to 7 (WIRE section 8, HomaModule's
    /// `priority_map`).
    pub priority_map: [u8; 8],
    /// Whether packets of one length to one peer are handed to the kernel together, to be taken
    /// apart as late as possible (UDP_SEGMENT), and taken from it together (UDP_GRO). Default
    /// true; without effect where the system can't.
    pub segmentation_offload: bool,
}

impl Default for UdpConfig {
    fn default() -> Self {
        Self {
            receive_buffer_bytes: 4 << 20,
            send_buffer_bytes: 4 << 20,
            priority_map: [0, 1, 2, 3, 4, 5, 6, 7],
            segmentation_offload: true,
        }
    }
}
