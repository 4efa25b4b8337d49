//! Homa on a host: the production core, unchanged.

use std::net::{IpAddr, Ipv4Addr};

use homa_proto::{
    CallOptions, Config, ConfigError, Duration, Encapsulation, Endpoint, Event, Header, Instant,
    LocalAddr, PacketMeta, PeerAddr, Resource, RpcId, RpcKey, SocketId, Transmit,
};
use homa_wire::{Body, PacketType};

use crate::config::Exchange;
use crate::framing::Framing;
use crate::memory::HostMemory;
use crate::packet::HostId;
use crate::time::SimTime;
use crate::transport::{Arrived, Incoming, MessageId, Outgoing, Transport, TransportCounts};

/// The Homa port of every host's server.
const PORT: u16 = 1;

/// Id of every host's first call, so that ids count its messages.
const FIRST_ID: RpcId = RpcId(2);

/// Longer than any simulated time: calls have no deadline of their own.
const NO_DEADLINE: Duration = Duration::from_secs(1_000_000);

/// A host that speaks Homa.
#[derive(Debug)]
pub(crate) struct HomaHost {
    host: HostId,
    endpoint: Endpoint,
    socket: SocketId,
    local: LocalAddr,
    framing: Framing,
    exchange: Exchange,
    /// By call, in order of their ids.
    messages: Vec<MessageId>,
    /// Arrived and not told yet.
    arrived: Vec<Arrived>,
    data_packets: u64,
    failures: u64,
}

impl HomaHost {
    /// Host number `host` of a cluster, with a configuration whose seed is the run's.
    ///
    /// # Errors
    ///
    /// The first rule of [`Config`] that is broken.
    pub(crate) fn new(
        host: HostId,
        mut config: Config,
        framing: Framing,
        exchange: Exchange,
    ) -> Result<Self, ConfigError> {
        config.seed = config.seed.wrapping_mul(1 << 20).wrapping_add(u64::from(host.0));
        config.first_client_id = Some(FIRST_ID);
        let mut endpoint = Endpoint::new(config, Instant::ZERO)?;
        endpoint.set_encapsulation(Encapsulation::Raw);
        endpoint.set_default_mtu(framing.payload_bytes + IP_HEADER_LEN + DATA_HEADER_LEN);
        endpoint.open_server(PORT).expect("a new endpoint has no port in use");
        let socket = endpoint.open_client().expect("a new endpoint has free ports");
        Ok(Self {
            host,
            endpoint,
            socket,
            local: LocalAddr::from(ip(host)),
            framing,
            exchange,
            messages: Vec::new(),
            arrived: Vec::new(),
            data_packets: 0,
            failures: 0,
        })
    }

    fn handle_events(&mut self, now: SimTime) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::RequestComplete { key } => self.serve(now.to_instant(), key),
                Event::ResponseComplete { key } => {
                    if self.exchange != Exchange::OneWay
                        && let Some(info) = self.endpoint.info(key)
                    {
                        self.arrived.push(Arrived { from: self.host, token: info.id.0 });
                    }
                    self.endpoint.finish(now.to_instant(), key);
                }
                Event::Failed { .. } => self.failures += 1,
                _ => {}
            }
        }
    }

    fn serve(&mut self, now: Instant, key: RpcKey) {
        let Some(info) = self.endpoint.info(key) else { return };
        self.endpoint.accept(now, key);
        let reply_bytes = match self.exchange {
            Exchange::OneWay => {
                let from = HostId(host_of(&info.peer));
                self.arrived.push(Arrived { from, token: info.id.flipped().0 });
                1
            }
            Exchange::Echo => info.incoming_length.unwrap_or(1),
            Exchange::Reply(bytes) => bytes,
        };
        // Only limits on memory could refuse it, and there are none here.
        if self.endpoint.send_reply(now, key, reply_bytes).is_err() {
            self.failures += 1;
        }
    }

    fn outgoing(&mut self, transmit: &Transmit) -> Outgoing<Header> {
        let header = transmit.header;
        let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
        let wire_bytes = match header.body {
            Body::Data(data) => {
                self.data_packets += 1;
                self.framing.data(payload_len, !data.retransmit && data.offset >= data.incoming)
            }
            _ => self.framing.control_bytes,
        };
        Outgoing {
            to: HostId(host_of(&transmit.peer)),
            payload_len,
            wire_bytes,
            priority: transmit.priority.level(),
            is_beside: self.exchange == Exchange::OneWay && ends_exchange(&header),
            header,
        }
    }
}

/// Whether a packet comes after the request: part of the response, or about acknowledgements.
fn ends_exchange(header: &Header) -> bool {
    match header.packet_type() {
        PacketType::Data => header.sender_id.is_server(),
        PacketType::Ack | PacketType::NeedAck => true,
        _ => false,
    }
}

impl Transport for HomaHost {
    type Header = Header;

    fn start(&mut self, now: SimTime, message: MessageId, to: HostId, length: u32) {
        let peer = PeerAddr::from_ip(ip(to));
        let mut options = CallOptions::default();
        options.deadline = Some(NO_DEADLINE);
        let started =
            self.endpoint.send_request(now.to_instant(), self.socket, peer, PORT, length, options);
        match started {
            Ok(_) => self.messages.push(message),
            Err(_) => self.failures += 1,
        }
    }

    fn receive(&mut self, now: SimTime, packet: Incoming<'_, Header>) {
        let meta = PacketMeta { peer: PeerAddr::from_ip(ip(packet.from)), local: self.local };
        // No payload is simulated, so nobody copies what is new.
        let _ = self.endpoint.handle_packet(
            now.to_instant(),
            meta,
            packet.header,
            packet.payload_len as usize,
        );
        self.endpoint.settle(now.to_instant());
        self.handle_events(now);
    }

    fn transmit(&mut self, now: SimTime) -> Option<Outgoing<Header>> {
        let transmit = self.endpoint.poll_transmit(now.to_instant())?;
        self.handle_events(now);
        Some(self.outgoing(&transmit))
    }

    fn poll_arrived(&mut self, _now: SimTime) -> Option<Arrived> {
        self.arrived.pop()
    }

    fn message(&self, token: u64) -> Option<MessageId> {
        let index = token.checked_sub(FIRST_ID.0)? / 2;
        self.messages.get(usize::try_from(index).ok()?).copied()
    }

    fn timeout(&self) -> Option<SimTime> {
        self.endpoint.poll_timeout().map(SimTime::from_instant)
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.endpoint.handle_timeout(now.to_instant());
        self.handle_events(now);
    }

    fn withholds(&self) -> bool {
        self.endpoint.withholds_grants()
    }

    fn counts(&self) -> TransportCounts {
        let stats = self.endpoint.stats();
        TransportCounts {
            data_packets: self.data_packets,
            grants: stats.grants_sent,
            retransmissions: stats.resent_packets,
            failures: self.failures,
        }
    }

    fn memory(&self) -> Option<HostMemory> {
        let accounts = self.endpoint.accounts();
        let peak = |resource| Some(accounts.get(resource)?.high_water);
        Some(HostMemory {
            incoming_bytes: peak(Resource::IncomingBytes)?,
            arrived_bytes: peak(Resource::ArrivedBytes)?,
            outgoing_bytes: peak(Resource::OutgoingBytes)?,
        })
    }
}

/// Length of an IPv4 header.
const IP_HEADER_LEN: u32 = 20;

/// Length of a DATA packet's header.
const DATA_HEADER_LEN: u32 = homa_wire::DATA_HEADER_LEN as u32;

/// Hosts are numbered by the lower 24 bits of addresses in 10.0.0.0/8.
fn ip(host: HostId) -> IpAddr {
    let [_, a, b, c] = host.0.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, a, b, c))
}

fn host_of(peer: &PeerAddr) -> u32 {
    match peer.ip() {
        IpAddr::V4(ip) => ip.to_bits() & 0x00ff_ffff,
        IpAddr::V6(_) => u32::MAX,
    }
}
