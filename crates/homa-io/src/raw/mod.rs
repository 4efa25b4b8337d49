//! Homa packets as the payload of IP packets, as the kernel implementation sends them.

mod channel;
mod claim;
mod config;
mod filter;
mod unreachable;

pub use config::RawConfig;

use crate::ip::{
    Accepted, Network, control_messages, local_addr, no_room, receive_buffer_bytes, traffic_classes,
};
use crate::sys::{ControlMessages, Epoll, Family, Messages, ReceiveBuffers, Received, SocketName};
use crate::{ChunkPool, Destination, PacketIo, PathError, ReceivedPacket, SendBatch};
use bytes::Bytes;
use channel::{Channel, Opening, ipv4_dest, ipv4_payload};
use claim::Claim;
use homa_proto::{LocalAddr, PeerAddr};
use homa_wire::checksum::Addresses;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;
use std::{fmt, io};
use unreachable::{Misdirected, PortUnreachable, may_be_told};

/// Raw sockets that carry Homa packets: IP protocol 146, the kernel implementation's.
///
/// A peer is an IP address: its [`PeerAddr`] has port 0. One process per host (per network namespace)
/// has the protocol, or several share it by Homa port ([`RawConfig::shared_ports`]). It needs the
/// capability CAP_NET_RAW to open, and nothing afterwards.
///
/// Bound to the IPv6 wildcard address it speaks IPv4 as well. Bound to a wildcard address it notices
/// which of the host's addresses each packet reached, and replies can leave from there. Packets are
/// never fragmented. Addresses and lengths come from the IP header; the Homa checksum is not looked
/// at (WIRE section 6).
pub struct RawIo {
    local_addr: SocketAddr,
    channels: Vec<Channel>,
    /// Ready when any channel is.
    ready: Epoll,
    claim: Claim,
    /// The channel to receive from first: they take turns.
    turn: usize,
    buffers: ReceiveBuffers,
    /// The packets of the last batch, with their places in `buffers`.
    received: Vec<Accepted>,
    prepared: Vec<(SocketName, ControlMessages)>,
    traffic_classes: [u8; 8],
    checksums: bool,
    hijack: bool,
    receive_buffer_bytes: usize,
    network: Network,
    /// One per family, unless ports are shared.
    unreachable: Vec<(Family, PortUnreachable)>,
}

impl RawIo {
    /// Opens raw sockets on `ip`.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without CAP_NET_RAW; `AddrInUse` if another process has the protocol, or
    /// the ports that were to be shared; `InvalidInput` if the configuration breaks a rule; or what
    /// else the operating system says.
    pub fn bind(ip: IpAddr, config: RawConfig) -> io::Result<Self> {
        let traffic_classes = traffic_classes(&config.priority_map)?;
        let random = RandomState::new().build_hasher().finish() as u16;
        let shared = config.checked_ports()?;
        let claim = match shared {
            None => Claim::of_all()?,
            Some(servers) => Claim::of_ports(servers, random)?,
        };
        let ports =
            shared.map(|servers| servers.iter().copied().chain(claim.client_port).collect());
        let default_class = traffic_classes[7];
        let mut opening = Opening { ip, config: &config, ports, default_class };
        let mut channels = match open_both(&opening) {
            // A kernel without IPv6.
            Err(error) if is_every_ipv6(ip) && is_unknown_family(&error) => Vec::new(),
            channels => channels?,
        };
        if is_every_ipv6(ip) {
            opening.ip = Ipv4Addr::UNSPECIFIED.into();
            channels.extend(open_both(&opening)?);
        }
        let ready = Epoll::new()?;
        let mut unreachable = Vec::new();
        for channel in &channels {
            ready.add(channel.as_fd())?;
            if shared.is_none() && !channel.hijacked {
                unreachable.push((channel.family, PortUnreachable::new(channel.family)?));
            }
        }
        let local_addr = SocketAddr::new(ip, 0);
        Ok(Self {
            local_addr,
            receive_buffer_bytes: receive_buffer_bytes(channels[0].as_fd())?,
            channels,
            ready,
            claim,
            turn: 0,
            buffers: ReceiveBuffers::new(),
            received: Vec::with_capacity(ReceiveBuffers::CAPACITY),
            prepared: Vec::with_capacity(SendBatch::CAPACITY),
            traffic_classes,
            checksums: config.checksums,
            hijack: config.hijack,
            network: Network::from(local_addr),
            unreachable,
        })
    }

    /// The port that clients of this process must use, if it shares the protocol with others: for
    /// [`homa_proto::Endpoint::open_client_at`].
    #[must_use]
    pub fn client_port(&self) -> Option<u16> {
        self.claim.client_port
    }

    /// Receives one batch from one channel.
    fn receive(&mut self, channel: usize) -> io::Result<usize> {
        let fd = self.channels[channel].as_fd();
        self.network.receive(fd, || self.buffers.receive_many(fd, ReceiveBuffers::CAPACITY, true))
    }

    /// Takes note of the packets in the buffers that are whole.
    fn accept(&mut self, family: Family, count: usize) {
        for index in 0..count {
            let Received { name, control, len } = self.buffers.received(index);
            let bytes = self.buffers.bytes(index, len);
            let place = match family {
                Family::V4 => ipv4_payload(bytes),
                Family::V6 => Some((0, bytes.len())),
            };
            let (Some(peer), Some((start, end))) = (name.peer(), place) else { continue };
            let (peer, local) = (without_port(peer), local_addr(control));
            self.received.push(Accepted { peer, local, index, start, end });
        }
    }

    /// Sends the packets at the front of the batch that leave by one channel. How many left.
    fn send_front(&mut self, channel: usize, batch: &SendBatch) -> io::Result<usize> {
        let Channel { family, default_class, .. } = self.channels[channel];
        self.prepared.clear();
        for packet in batch.iter() {
            if family_of(&packet.destination.peer) != family {
                break;
            }
            let Some(name) = SocketName::new(&packet.destination.peer, family) else { break };
            let class = self.traffic_classes[packet.destination.priority.index()];
            let class = Some(class).filter(|class| *class != default_class);
            let names_source = self.local_addr.ip().is_unspecified();
            let control = control_messages(&packet.destination, class, names_source);
            self.prepared.push((name, control));
        }
        let mut messages = Messages::new();
        for (packet, (name, control)) in batch.iter().zip(&self.prepared) {
            messages.push(name, control);
            packet.parts().for_each(|part| messages.add(part));
        }
        messages.send(self.channels[channel].as_fd())
    }

    /// Gives every packet the checksum that HomaModule's have.
    fn seal(&mut self, batch: &mut SendBatch) {
        for index in 0..batch.len() {
            let Destination { peer, local, .. } = batch.packet(index).destination;
            let source = local.ip().or_else(|| self.source_ip(&peer));
            let addresses = source.and_then(|source| Addresses::new(source, peer.ip()));
            if let Some(addresses) = addresses {
                batch.seal(index, addresses);
            }
        }
    }

    /// The channel by which packets to `peer` leave.
    fn channel_to(&self, peer: &PeerAddr) -> Option<usize> {
        let family = family_of(peer);
        let fits = |channel: &Channel| channel.family == family && channel.hijacked == self.hijack;
        self.channels.iter().position(fits)
    }

    /// Whether the channel shows as ready when it has room.
    fn set_blocked(&mut self, channel: usize, blocked: bool) {
        let channel = &mut self.channels[channel];
        if channel.is_blocked != blocked
            && self.ready.set_wants_room(channel.as_fd(), blocked).is_ok()
        {
            channel.is_blocked = blocked;
        }
    }
}

impl PacketIo for RawIo {
    fn recv_batch(&mut self) -> io::Result<usize> {
        self.received.clear();
        let mut quiet = 0;
        while quiet < self.channels.len() {
            let channel = self.turn;
            self.turn = (self.turn + 1) % self.channels.len();
            let count = self.receive(channel)?;
            self.accept(self.channels[channel].family, count);
            if !self.received.is_empty() {
                return Ok(self.received.len());
            }
            // A batch of nothing but nonsense is passed over.
            quiet = if count == 0 { quiet + 1 } else { 0 };
        }
        Ok(0)
    }

    fn packet(&self, index: usize) -> ReceivedPacket<'_> {
        let packet = self.received[index].packet(&self.buffers);
        match self.local_addr.ip().is_unspecified() {
            true => packet,
            false => ReceivedPacket { local: LocalAddr::ANY, ..packet },
        }
    }

    fn take_payload(
        &mut self,
        index: usize,
        range: Range<usize>,
        pool: &ChunkPool,
    ) -> Option<Bytes> {
        Some(self.received[index].take(range, &mut self.buffers, pool))
    }

    fn send_batch(&mut self, batch: &mut SendBatch) -> io::Result<()> {
        if self.checksums {
            self.seal(batch);
        }
        let mut attempts = 0;
        while let Some(packet) = batch.front() {
            let Some(channel) = self.channel_to(&packet.destination.peer) else {
                let error = io::Error::from_raw_os_error(libc::ENETUNREACH);
                self.network.fail_front(batch, &error);
                continue;
            };
            match self.send_front(channel, batch) {
                Ok(sent) => {
                    batch.remove_front(sent);
                    self.set_blocked(channel, false);
                    attempts = 0;
                }
                Err(error) if no_room(&error) => {
                    self.set_blocked(channel, true);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let fd = self.channels[channel].as_fd();
                    self.network.send_failed(fd, batch, &error, &mut attempts);
                }
            }
        }
        Ok(())
    }

    fn send_port_unreachable(&mut self, index: usize) {
        let accepted = self.received[index];
        let (peer, family) = (accepted.peer, family_of(&accepted.peer));
        let (ipv4_header, homa) = accepted.split(&self.buffers);
        let Some(local) = accepted.local.ip() else { return };
        // For IPv4 broadcasts the kernel tells an address of ours instead.
        let dest = ipv4_dest(ipv4_header).unwrap_or(local);
        if dest != local || !may_be_told(peer.ip(), dest) {
            return;
        }
        let packet = Misdirected { peer, local, ipv4_header, homa };
        let mut senders = self.unreachable.iter_mut();
        if let Some((_, sender)) = senders.find(|(of, _)| *of == family) {
            sender.report(&packet, Instant::now());
        }
    }

    fn next_error(&mut self) -> Option<PathError> {
        let report = self.network.next_error()?;
        Some(PathError { peer: without_port(report.peer), ..report })
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
        self.ready.as_fd()
    }

    fn receive_buffer_bytes(&self) -> usize {
        self.receive_buffer_bytes
    }

    fn next_due(&self) -> Option<Instant> {
        None
    }
}

impl fmt::Debug for RawIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { local_addr, channels, claim, .. } = self;
        let mut out = f.debug_struct("RawIo");
        out.field("local_addr", local_addr).field("channels", channels).field("claim", claim);
        out.finish_non_exhaustive()
    }
}

/// The socket for packets of protocol 146, and that for those in the guise of TCP, if wanted.
fn open_both(opening: &Opening<'_>) -> io::Result<Vec<Channel>> {
    let mut channels = vec![opening.open(false)?];
    if opening.config.accept_hijacked || opening.config.hijack {
        channels.push(opening.open(true)?);
    }
    Ok(channels)
}

fn is_every_ipv6(ip: IpAddr) -> bool {
    ip.is_ipv6() && ip.is_unspecified()
}

fn is_unknown_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn family_of(peer: &PeerAddr) -> Family {
    if peer.is_ipv6() { Family::V6 } else { Family::V4 }
}

/// Raw sockets report their protocol where others have a port.
fn without_port(peer: PeerAddr) -> PeerAddr {
    let mut addr = peer.socket_addr();
    addr.set_port(0);
    addr.into()
}
