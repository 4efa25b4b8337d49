//! Packets that never leave the process: two ends of a wire, for tests.

use crate::packet_io::quoted_packet;
use crate::{ErrorOrigin, PacketIo, PathError, PathErrorKind, ReceivedPacket, SendBatch};
use homa_proto::{LocalAddr, PeerAddr, Unreachable};
use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Packets received at most by one call.
const BATCH_MAX: usize = 32;

/// One end of a wire inside the process, for tests that want no sockets.
///
/// Packets arrive at once, in order, whole. A packet to anybody but the other end is refused as if
/// by ICMP port unreachable; what doesn't fit the queue stays in the sender's batch.
#[derive(Debug)]
pub struct MemoryIo {
    local_addr: SocketAddr,
    peer: PeerAddr,
    mtu: u32,
    incoming: Arc<Wire>,
    outgoing: Arc<Wire>,
    /// One byte for every packet in `incoming`.
    ready: PipeReader,
    batch: Vec<Vec<u8>>,
    errors: VecDeque<PathError>,
}

/// Packets on their way in one direction.
#[derive(Debug)]
struct Wire {
    packets: Mutex<VecDeque<Vec<u8>>>,
    capacity: usize,
    /// Wakes whoever waits for the packets.
    ready: PipeWriter,
}

impl MemoryIo {
    /// The two ends of a wire, at these addresses, with room for `capacity` packets each way (up to
    /// 4,096, all that a pipe is sure to signal).
    ///
    /// # Errors
    ///
    /// If the operating system has no pipes left.
    pub fn pair(a: SocketAddr, b: SocketAddr, capacity: usize) -> io::Result<(Self, Self)> {
        let (to_a, a_ready) = Wire::new(capacity)?;
        let (to_b, b_ready) = Wire::new(capacity)?;
        let end =
            |local_addr, peer: SocketAddr, incoming: &Arc<_>, outgoing: &Arc<_>, ready| Self {
                local_addr,
                peer: peer.into(),
                mtu: 1500,
                incoming: Arc::clone(incoming),
                outgoing: Arc::clone(outgoing),
                ready,
                batch: Vec::new(),
                errors: VecDeque::new(),
            };
        Ok((end(a, b, &to_a, &to_b, a_ready), end(b, a, &to_b, &to_a, b_ready)))
    }

    /// The same end, which says that its path carries IP packets of `mtu` bytes (1500 otherwise).
    #[must_use]
    pub fn with_mtu(mut self, mtu: u32) -> Self {
        self.mtu = mtu;
        self
    }

    /// Makes the network report an error.
    #[cfg(test)]
    pub(crate) fn report(&mut self, error: PathError) {
        self.errors.push_back(error);
    }
}

impl Wire {
    fn new(capacity: usize) -> io::Result<(Arc<Self>, PipeReader)> {
        let (reader, ready) = io::pipe()?;
        let packets = Mutex::new(VecDeque::new());
        Ok((Arc::new(Self { packets, capacity: capacity.min(4096), ready }), reader))
    }

    /// Puts a packet on the wire, and says whether there was room.
    fn push(&self, packet: Vec<u8>) -> io::Result<bool> {
        let mut packets = self.packets.lock().unwrap_or_else(PoisonError::into_inner);
        if packets.len() >= self.capacity {
            return Ok(false);
        }
        packets.push_back(packet);
        (&self.ready).write_all(&[0])?;
        Ok(true)
    }
}

impl PacketIo for MemoryIo {
    fn recv_batch(&mut self) -> io::Result<usize> {
        let mut packets = self.incoming.packets.lock().unwrap_or_else(PoisonError::into_inner);
        let count = packets.len().min(BATCH_MAX);
        self.batch.clear();
        self.batch.extend(packets.drain(..count));
        self.ready.read_exact(&mut [0; BATCH_MAX][..count])?;
        Ok(count)
    }

    fn packet(&self, index: usize) -> ReceivedPacket<'_> {
        ReceivedPacket { peer: self.peer, local: LocalAddr::ANY, bytes: &self.batch[index] }
    }

    fn send_batch(&mut self, batch: &mut SendBatch) -> io::Result<()> {
        while let Some(packet) = batch.front() {
            if packet.destination.peer != self.peer {
                self.errors.push_back(PathError {
                    peer: packet.destination.peer,
                    kind: PathErrorKind::Unreachable(Unreachable::Port),
                    quoted: quoted_packet(packet.front),
                    origin: ErrorOrigin::Network,
                });
            } else if !self.outgoing.push(packet.to_vec())? {
                break;
            }
            batch.remove_front(1);
        }
        Ok(())
    }

    fn next_error(&mut self) -> Option<PathError> {
        self.errors.pop_front()
    }

    fn path_mtu(&mut self, _peer: &PeerAddr) -> u32 {
        self.mtu
    }

    fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    fn ready_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    fn receive_buffer_bytes(&self) -> usize {
        self.incoming.capacity * self.mtu as usize
    }

    fn next_due(&self) -> Option<Instant> {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::Destination;
    use bytes::Bytes;
    use homa_wire::Priority;

    fn addr(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    fn push(batch: &mut SendBatch, port: u16, payload: &'static str) {
        let peer = addr(port).into();
        let destination = Destination { peer, local: LocalAddr::ANY, priority: Priority::LOWEST };
        batch.push(destination, &[b'h'; 28]);
        batch.append_payload(Bytes::from(payload));
    }

    #[test]
    fn pair__carries_packets_in_order_and_keeps_what_does_not_fit() {
        let (mut a, b) = MemoryIo::pair(addr(1), addr(2), 2).unwrap();
        let mut b: Box<dyn PacketIo> = Box::new(b.with_mtu(9000));
        assert_eq!((b.local_addr(), b.path_mtu(&addr(1).into())), (addr(2), 9000));
        let mut batch = SendBatch::new();
        ["x", "y", "z"].into_iter().for_each(|payload| push(&mut batch, 2, payload));
        a.send_batch(&mut batch).unwrap();
        assert_eq!(batch.len(), 1);
        assert_eq!(b.recv_batch().unwrap(), 2);
        assert_eq!((&b.packet(0).bytes[28..], &b.packet(1).bytes[28..]), (&b"x"[..], &b"y"[..]));
        assert_eq!(b.packet(0).peer, addr(1).into());
        a.send_batch(&mut batch).unwrap();
        assert_eq!(b.recv_batch().unwrap(), 1);
        assert_eq!(b.packet(0).bytes[28..], *b"z");
        assert_eq!(b.recv_batch().unwrap(), 0);
    }

    #[test]
    fn send_batch__to_nobody_is_refused() {
        let (mut a, _b) = MemoryIo::pair(addr(1), addr(2), 2).unwrap();
        let mut batch = SendBatch::new();
        push(&mut batch, 3, "");
        a.send_batch(&mut batch).unwrap();
        assert!(batch.is_empty());
        let error = a.next_error().unwrap();
        assert_eq!(error.kind, PathErrorKind::Unreachable(Unreachable::Port));
        assert_eq!((error.peer, error.quoted.unwrap().source_port), (addr(3).into(), 0x6868));
        assert_eq!(a.next_error(), None);
    }
}
