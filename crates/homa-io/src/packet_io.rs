//! The seam between the drive loop and whatever carries packets: sockets, fault injection, memory.

use crate::{ChunkPool, SendBatch};
use bytes::Bytes;
use homa_proto::{LocalAddr, PeerAddr, QuotedPacket, Unreachable};
use homa_wire::{COMMON_HEADER_LEN, RpcId};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::time::Instant;

/// Sends and receives whole Homa packets in batches, never blocking.
///
/// A driver of packets belongs to one thread at a time. Whoever drives it goes round: it calls
/// [`recv_batch`](Self::recv_batch), handles the packets, calls [`send_batch`](Self::send_batch) if
/// there is something to send, and [`next_error`](Self::next_error) until it returns `None`. It may
/// sleep once a receive has brought nothing, until [`ready_fd`](Self::ready_fd) becomes readable or
/// [`next_due`](Self::next_due) comes.
///
/// (Receiving again before the answers are sent would cost a system call in the way of each reply.)
pub trait PacketIo: Send {
    /// Receives what is there, at most one batch, without blocking, and returns the number of
    /// packets. They stay readable through [`packet`](Self::packet) until the next call.
    ///
    /// A return of 0 means that nothing waits; any other number, that more may wait.
    ///
    /// # Errors
    ///
    /// Only errors of the driver itself (the socket is gone, no memory). What the network reports
    /// about a peer comes out of [`next_error`](Self::next_error).
    fn recv_batch(&mut self) -> io::Result<usize>;

    /// Packet `index` of the batch received last.
    ///
    /// # Panics
    ///
    /// If `index` is not below the number that [`recv_batch`](Self::recv_batch) returned.
    fn packet(&self, index: usize) -> ReceivedPacket<'_>;

    /// Gives away the bytes of `range` of packet `index` of the batch received last, with the buffer
    /// that they are in, whose place one from `pool` takes. The packet must not be looked at again.
    ///
    /// `None`, and nothing has changed, if that can't be done: the bytes must be copied then. Drivers
    /// around another pass it on; those that have no buffers of a chunk for each packet do nothing.
    fn take_payload(
        &mut self,
        index: usize,
        range: Range<usize>,
        pool: &ChunkPool,
    ) -> Option<Bytes> {
        let _ = (index, range, pool);
        None
    }

    /// Sends from the front of `batch` without blocking, in order, and removes what was sent.
    ///
    /// A packet that fails for a reason of its own (no route, too long for the path) is removed
    /// too and reported by [`next_error`](Self::next_error). Packets for which there is no room
    /// stay, in order, for a later call.
    ///
    /// # Errors
    ///
    /// Only errors of the driver itself; the batch then holds what was not sent.
    fn send_batch(&mut self, batch: &mut SendBatch) -> io::Result<()>;

    /// Tells the sender of packet `index` of the batch received last, if it is one that listens to
    /// that, that nobody has the Homa port: ICMP port unreachable (WIRE section 9). Drivers whose
    /// peers learn it otherwise do nothing; those around another pass it on.
    fn send_port_unreachable(&mut self, index: usize) {
        let _ = index;
    }

    /// The next thing that the network reported about a path, oldest first.
    fn next_error(&mut self) -> Option<PathError>;

    /// The IP MTU towards `peer` in bytes, IP header included; 1500 where it can't be found out.
    ///
    /// Cheap to ask repeatedly: the answer is remembered, and corrected when the network reports
    /// a smaller one. IPv4 packets never exceed 65,535 bytes, whatever an interface's MTU says.
    fn path_mtu(&mut self, peer: &PeerAddr) -> u32;

    /// The address of this host from which packets to `peer` leave if they name none; `None` if
    /// that can't be found out, as without a route.
    ///
    /// Cheap to ask repeatedly. The answer of a driver that is bound to one address is that address.
    fn source_ip(&mut self, peer: &PeerAddr) -> Option<IpAddr> {
        let _ = peer;
        Some(self.local_addr().ip()).filter(|ip| !ip.is_unspecified())
    }

    /// The address that packets are received on. Its IP is unspecified for a wildcard.
    fn local_addr(&self) -> SocketAddr;

    /// Becomes readable when packets or path errors wait.
    fn ready_fd(&self) -> BorrowedFd<'_>;

    /// Bytes of payload that may wait unread in the operating system before packets are dropped;
    /// what may be incoming should stay below it.
    fn receive_buffer_bytes(&self) -> usize;

    /// When the driver itself has something to do: [`recv_batch`](Self::recv_batch) should be
    /// called then even though nothing was received. `None` for real sockets.
    fn next_due(&self) -> Option<Instant>;
}

/// A packet in the driver's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedPacket<'a> {
    /// Who sent it.
    pub peer: PeerAddr,
    /// The address of this host that it reached, where that isn't plain from the driver's own
    /// address; otherwise [`LocalAddr::ANY`].
    pub local: LocalAddr,
    /// The Homa packet: header and payload.
    pub bytes: &'a [u8],
}

/// What the network, or the operating system, reported about the path to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathError {
    /// The peer that a packet was meant for.
    pub peer: PeerAddr,
    /// What was wrong.
    pub kind: PathErrorKind,
    /// Of which packet, as far as it is known.
    pub quoted: Option<QuotedPacket>,
    /// Who says so.
    pub origin: ErrorOrigin,
}

/// Who reported an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorOrigin {
    /// This host's operating system.
    Host,
    /// The network, by ICMP: anybody who knows, or guesses, what was sent may have made it up.
    Network,
}

/// The ways in which a path can fail a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathErrorKind {
    /// The peer can't be reached (PROTOCOL section 12).
    Unreachable(Unreachable),
    /// The packet was longer than the path carries: the IP MTU is this many bytes.
    PathMtu(u32),
    /// The operating system would not send the packet.
    SendFailed(io::ErrorKind),
}

impl<T: PacketIo + ?Sized> PacketIo for Box<T> {
    fn recv_batch(&mut self) -> io::Result<usize> {
        (**self).recv_batch()
    }

    fn packet(&self, index: usize) -> ReceivedPacket<'_> {
        (**self).packet(index)
    }

    fn take_payload(
        &mut self,
        index: usize,
        range: Range<usize>,
        pool: &ChunkPool,
    ) -> Option<Bytes> {
        (**self).take_payload(index, range, pool)
    }

    fn send_batch(&mut self, batch: &mut SendBatch) -> io::Result<()> {
        (**self).send_batch(batch)
    }

    fn send_port_unreachable(&mut self, index: usize) {
        (**self).send_port_unreachable(index);
    }

    fn next_error(&mut self) -> Option<PathError> {
        (**self).next_error()
    }

    fn path_mtu(&mut self, peer: &PeerAddr) -> u32 {
        (**self).path_mtu(peer)
    }

    fn source_ip(&mut self, peer: &PeerAddr) -> Option<IpAddr> {
        (**self).source_ip(peer)
    }

    fn local_addr(&self) -> SocketAddr {
        (**self).local_addr()
    }

    fn ready_fd(&self) -> BorrowedFd<'_> {
        (**self).ready_fd()
    }

    fn receive_buffer_bytes(&self) -> usize {
        (**self).receive_buffer_bytes()
    }

    fn next_due(&self) -> Option<Instant> {
        (**self).next_due()
    }
}

/// Which RPC of ours a packet belongs to, from its beginning as an ICMP error quotes it.
///
/// `None` if less than the common header was quoted: only hosts that quote the least that is allowed
/// do that (WIRE section 9).
pub(crate) fn quoted_packet(bytes: &[u8]) -> Option<QuotedPacket> {
    let header = bytes.first_chunk::<COMMON_HEADER_LEN>()?;
    let [s0, s1, d0, d1, .., i0, i1, i2, i3, i4, i5, i6, i7] = *header;
    Some(QuotedPacket {
        source_port: u16::from_be_bytes([s0, s1]),
        dest_port: u16::from_be_bytes([d0, d1]),
        sender_id: RpcId(u64::from_be_bytes([i0, i1, i2, i3, i4, i5, i6, i7])),
    })
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    /// WIRE sections 2 and 9.
    #[test]
    fn quoted_packet__reads_the_common_header() {
        let mut header = [0; COMMON_HEADER_LEN + 1];
        header[..4].copy_from_slice(&[0x80, 1, 0x0F, 0xA0]);
        header[20..28].copy_from_slice(&0x0102_0304_0506_0708u64.to_be_bytes());

        let quoted = quoted_packet(&header).unwrap();
        assert_eq!((quoted.source_port, quoted.dest_port), (0x8001, 4000));
        assert_eq!(quoted.sender_id, RpcId(0x0102_0304_0506_0708));
        assert_eq!(quoted_packet(&header[..28]), Some(quoted));
        assert_eq!(quoted_packet(&header[..27]), None);
    }
}
