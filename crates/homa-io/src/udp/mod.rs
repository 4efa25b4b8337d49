//! Homa packets as the payload of UDP datagrams.

mod config;
mod offload;
mod socket;

pub use config::UdpConfig;

use crate::ip::{
    Accepted, Network, control_messages, local_addr, no_room, receive_buffer_bytes, traffic_classes,
};
use crate::sys::{
    ControlMessages, Family, Messages, ReceiveBuffers, Received, SocketName, send_plain,
};
use crate::{ChunkPool, Destination, PacketIo, PathError, ReceivedPacket, SendBatch};
use bytes::Bytes;
use homa_proto::{LocalAddr, PeerAddr};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::{fmt, io};

/// After so many single packets of one traffic class it becomes the socket's default.
const CLASS_STREAK: u32 = 64;

/// Messages received at a time when each may hold many packets: more would keep the sender of
/// their answers waiting.
const MESSAGES_TOGETHER_MAX: usize = 16;

/// The same when they are long, as those received last: it takes longer to copy them.
const LONG_MESSAGES_TOGETHER_MAX: usize = 4;

/// A message of so many bytes is long.
const LONG_MESSAGE_BYTES: usize = 32 << 10;

/// A UDP socket that carries Homa packets, for any number of Homa ports.
///
/// Bound to an IPv6 wildcard address it speaks IPv4 as well. Bound to a wildcard address it notices
/// which of the host's addresses each packet reached, and replies can leave from there.
pub struct UdpIo {
    socket: UdpSocket,
    local_addr: SocketAddr,
    wildcard: bool,
    receive_buffer_bytes: usize,
    /// Traffic class of each priority level.
    traffic_classes: [u8; 8],
    /// Traffic class that packets have without a control message.
    default_class: u8,
    /// Another class, and how many single packets in a row had it.
    next_class: (u8, u32),
    buffers: ReceiveBuffers,
    /// The packets of the last batch, with their places in `buffers`.
    received: Vec<Accepted>,
    /// Whether packets leave together.
    sends_together: bool,
    /// Whether packets may arrive together.
    receives_together: bool,
    /// How many receives in a row brought something: more may wait then.
    streak: u32,
    /// The last receive brought a long message.
    receives_long: bool,
    prepared: Vec<Prepared>,
    network: Network,
}

/// What the kernel is told of packets to send as one message, beside their bytes.
struct Prepared {
    name: SocketName,
    control: ControlMessages,
    packets: usize,
}

/// How much of a batch a system call took.
struct Sent {
    packets: usize,
    all: bool,
}

impl UdpIo {
    /// Opens a socket on `addr`; port 0 takes a free port.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the configuration breaks a rule, else what the operating system says, such
    /// as `AddrInUse`.
    pub fn bind(addr: SocketAddr, config: UdpConfig) -> io::Result<Self> {
        let traffic_classes = traffic_classes(&config.priority_map)?;
        let socket = socket::open(addr, &config)?;
        let wildcard = addr.ip().is_unspecified();
        let local_addr = socket.local_addr()?;
        let default_class = traffic_classes[7];
        let offload = config.segmentation_offload;
        socket::set_traffic_class(&socket, wildcard, default_class)?;
        Ok(Self {
            local_addr,
            receive_buffer_bytes: receive_buffer_bytes(socket.as_fd())?,
            sends_together: offload,
            receives_together: offload && socket::receive_together(&socket),
            socket,
            wildcard,
            traffic_classes,
            default_class,
            next_class: (default_class, 0),
            buffers: ReceiveBuffers::new(),
            received: Vec::with_capacity(ReceiveBuffers::CAPACITY),
            streak: 0,
            receives_long: false,
            prepared: Vec::with_capacity(SendBatch::CAPACITY),
            network: Network::from(local_addr),
        })
    }

    /// Receives by one system call.
    ///
    /// A single packet, the usual case while little happens, costs up to 0.5 us less without the
    /// apparatus for batches; that is brought out when packets keep coming.
    fn receive(&mut self) -> io::Result<usize> {
        let fd = self.socket.as_fd();
        let together = self.receives_together;
        let with_control = self.wildcard || together;
        self.network.receive(fd, || {
            if self.streak >= 2 {
                let count_max = match (self.receives_long, together) {
                    (true, _) => LONG_MESSAGES_TOGETHER_MAX,
                    (false, true) => MESSAGES_TOGETHER_MAX,
                    (false, false) => ReceiveBuffers::CAPACITY,
                };
                self.buffers.receive_many(fd, count_max, with_control)
            } else if with_control {
                self.buffers.receive_one(fd).map(|()| 1)
            } else {
                self.buffers.receive_plain(fd).map(|()| 1)
            }
        })
    }

    fn accept(&mut self, count: usize) {
        self.receives_long = false;
        for index in 0..count {
            let Received { name, control, len } = self.buffers.received(index);
            self.receives_long |= len >= LONG_MESSAGE_BYTES;
            // The kernel names the sender of every datagram.
            let Some(peer) = name.peer() else { continue };
            let local = if self.wildcard { local_addr(control) } else { LocalAddr::ANY };
            for (start, len) in offload::split(control, len) {
                self.received.push(Accepted { peer, local, index, start, end: start + len });
            }
        }
    }

    /// Sends a first part of the batch by one system call.
    fn send_front(&mut self, batch: &SendBatch, together: bool) -> io::Result<Sent> {
        self.prepared.clear();
        for run in offload::runs(batch, together) {
            let Some(mut prepared) = self.prepare(&run.destination) else { break };
            run.describe(&mut prepared.control);
            self.prepared.push(Prepared { packets: run.packets, ..prepared });
        }
        if self.prepared.is_empty() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if batch.len() == 1 {
            self.follow_class(self.traffic_classes[batch.packet(0).destination.priority.index()]);
            let Prepared { name, control, .. } = &self.prepared[0];
            if let (0, Some(bytes)) = (control.len(), batch.in_one_piece(0..1)) {
                send_plain(self.socket.as_fd(), bytes, name)?;
                return Ok(Sent { packets: 1, all: true });
            }
        }
        self.send_prepared(batch)
    }

    /// Out of line, for what the kernel needs for many packets is large and would be made room for with each.
    #[inline(never)]
    fn send_prepared(&self, batch: &SendBatch) -> io::Result<Sent> {
        let mut messages = Messages::new();
        let mut next = 0;
        for Prepared { name, control, packets } in &self.prepared {
            messages.push(name, control);
            let run = next..next + packets;
            next = run.end;
            if let Some(bytes) = batch.in_one_piece(run.clone()) {
                messages.add(bytes);
            } else {
                run.for_each(|index| {
                    batch.packet(index).parts().for_each(|part| messages.add(part))
                });
            }
        }
        let sent = messages.send(self.socket.as_fd())?;
        let packets = self.prepared[..sent].iter().map(|prepared| prepared.packets).sum();
        Ok(Sent { packets, all: sent == self.prepared.len() })
    }

    /// Whether a failure may be due to sending packets together: not every interface can, and none
    /// if the packets are too long for the path.
    fn give_up_together(&mut self, error: &io::Error) -> bool {
        let tried = self.prepared.first().is_some_and(|prepared| prepared.packets > 1);
        let code = error.raw_os_error();
        let unable = [Some(libc::EIO), Some(libc::EINVAL)].contains(&code);
        if tried && unable {
            self.sends_together = false;
        }
        tried && (unable || code == Some(libc::EMSGSIZE))
    }

    /// Makes `class` the socket's default when enough single packets had it, since packets without
    /// a control message are cheaper to send.
    fn follow_class(&mut self, class: u8) {
        let (next, count) = self.next_class;
        self.next_class = if next == class { (class, count.saturating_add(1)) } else { (class, 1) };
        if class != self.default_class
            && self.next_class.1 >= CLASS_STREAK
            && socket::set_traffic_class(&self.socket, self.wildcard, class).is_ok()
        {
            self.default_class = class;
        }
    }

    /// `None` if this socket can't reach the destination.
    fn prepare(&self, destination: &Destination) -> Option<Prepared> {
        let family = if self.local_addr.is_ipv4() { Family::V4 } else { Family::V6 };
        let name = SocketName::new(&destination.peer, family)?;
        let class = self.traffic_classes[destination.priority.index()];
        let class = Some(class).filter(|class| *class != self.default_class);
        let control = control_messages(destination, class, self.wildcard);
        Some(Prepared { name, control, packets: 1 })
    }
}

impl PacketIo for UdpIo {
    fn recv_batch(&mut self) -> io::Result<usize> {
        self.received.clear();
        let count = self.receive()?;
        // A batch of one or none ends the streak.
        self.streak = if count == 0 || (count == 1 && self.streak >= 2) {
            0
        } else {
            self.streak.saturating_add(1)
        };
        self.accept(count);
        Ok(self.received.len())
    }

    fn packet(&self, index: usize) -> ReceivedPacket<'_> {
        self.received[index].packet(&self.buffers)
    }

    fn take_payload(
        &mut self,
        index: usize,
        range: Range<usize>,
        pool: &ChunkPool,
    ) -> Option<Bytes> {
        let accepted = self.received[index];
        let message_len = self.buffers.received(accepted.index).len;
        let is_alone = (accepted.start, accepted.end) == (0, message_len);
        is_alone.then(|| accepted.take(range, &mut self.buffers, pool))
    }

    fn send_batch(&mut self, batch: &mut SendBatch) -> io::Result<()> {
        let mut attempts = 0;
        let mut together = self.sends_together;
        while !batch.is_empty() {
            match self.send_front(batch, together) {
                Ok(sent) => {
                    if !sent.all {
                        // What stopped the kernel may have been a path error: it shows once only.
                        self.network.drain(self.socket.as_fd());
                    }
                    batch.remove_front(sent.packets);
                    attempts = 0;
                }
                Err(error) if no_room(&error) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.give_up_together(&error) => together = false,
                Err(error) => {
                    self.network.send_failed(self.socket.as_fd(), batch, &error, &mut attempts);
                }
            }
        }
        Ok(())
    }

    fn next_error(&mut self) -> Option<PathError> {
        self.network.next_error()
    }

    fn path_mtu(&mut self, peer: &PeerAddr) -> u32 {
        self.network.mtu(peer)
    }

    fn source_ip(&mut self, peer: &PeerAddr) -> Option<IpAddr> {
        self.network.source_ip(peer)
    }

    fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    fn ready_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn receive_buffer_bytes(&self) -> usize {
        self.receive_buffer_bytes
    }

    fn next_due(&self) -> Option<std::time::Instant> {
        None
    }
}

impl fmt::Debug for UdpIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpIo").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
