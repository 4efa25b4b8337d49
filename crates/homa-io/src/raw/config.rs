//! Parameters of raw IP.

use std::io;

/// Parameters of [`RawIo`](super::RawIo): plain values with defaults, checked by `bind`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RawConfig {
    /// Bytes of received packets that the operating system should hold until they are read.
    /// Default 4 MiB. Without CAP_NET_ADMIN the system grants less (`net.core.rmem_max`); what it
    /// granted is told by `PacketIo::receive_buffer_bytes`.
    pub receive_buffer_bytes: usize,
    /// Bytes of packets that the operating system should hold until the interface takes them.
    /// Default 4 MiB; limited by `net.core.wmem_max`.
    pub send_buffer_bytes: usize,
    /// For each Homa priority level the value, 0 to 7, of the top three bits of the IPv4 TOS byte
    /// or IPv6 traffic class. Default: level 0 to 0, ... level 7 to 7 (WIRE section 8, HomaModule's
    /// `priority_map`).
    pub priority_map: [u8; 8],
    /// Whether packets carry the checksum of WIRE section 6, as those of HomaModule do. No Homa
    /// receiver looks at it, but what is between two hosts may. Default true.
    pub checksums: bool,
    /// Whether packets sent by peers in the guise of TCP (WIRE section 7) are received. Takes a
    /// second socket for each family, to which the kernel passes such packets alone. Default true.
    pub accept_hijacked: bool,
    /// Whether packets are sent in the guise of TCP: as IP protocol 6, so that network interfaces
    /// spread and segment them as they do TCP's. Default false.
    pub hijack: bool,
    /// The Homa server ports that this process serves, if it is to share the host's protocol 146
    /// with others: the kernel then passes it only packets for these, and for one client port of
    /// its own. Up to 16 processes can share. `None`, the default: this process has all ports, and
    /// no other may use raw Homa on this host (in this network namespace).
    ///
    /// Who shares sends no ICMP port unreachable, since it can't know what ports others have.
    pub shared_ports: Option<Vec<u16>>,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            receive_buffer_bytes: 4 << 20,
            send_buffer_bytes: 4 << 20,
            priority_map: [0, 1, 2, 3, 4, 5, 6, 7],
            checksums: true,
            accept_hijacked: true,
            hijack: false,
            shared_ports: None,
        }
    }
}

impl RawConfig {
    /// The server ports to share with others, checked.
    pub(super) fn checked_ports(&self) -> io::Result<Option<&[u16]>> {
        let Some(ports) = &self.shared_ports else { return Ok(None) };
        if ports.len() > 64 || !ports.iter().all(|port| (1..=0x7FFF).contains(port)) {
            let message = "shared_ports: up to 64 ports from 1 to 32767";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(Some(ports))
    }
}
