//! One endpoint alone, fed with packets made by hand.

use crate::content::Ledger;
use crate::host::PORT;
use homa_proto::{
    CallOptions, Config, Duration, Endpoint, Event, Header, Instant, LocalAddr, PacketMeta,
    PeerAddr, RpcId, RpcKey, SocketId, Transmit,
};
use homa_wire::{Body, Data, DataLayout};
use std::net::SocketAddr;

/// The other side of a [`Probe`]'s RPCs: an address and a Homa port from which packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its address.
    pub addr: PeerAddr,
    /// Its Homa port.
    pub port: u16,
}

impl Remote {
    /// The server on port 4000 of host number `host`.
    #[must_use]
    pub fn server(host: u8) -> Self {
        Self { addr: address(host), port: PORT }
    }

    /// A client on port 40000 of host number `host`.
    #[must_use]
    pub fn client(host: u8) -> Self {
        Self { addr: address(host), port: 40_000 }
    }

    /// The same host, another port.
    #[must_use]
    pub fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }
}

/// Deadlines without an end that one wait may meet before it counts as a livelock.
const STEPS_MAX: u32 = 5_000_000;

fn address(host: u8) -> PeerAddr {
    PeerAddr::from(SocketAddr::from(([10, 9, 0, host], 4000)))
}

/// The fields of a DATA packet, as a kernel peer that knows no cutoffs would set them.
#[must_use]
pub fn data(message_length: u32, offset: u32, incoming: u32) -> Data {
    Data {
        message_length,
        incoming,
        ack: None,
        cutoff_version: 0,
        retransmit: false,
        incast: false,
        offset,
        layout: DataLayout::default(),
    }
}

/// An endpoint with one server port (4000) and one client port, its clock, and what came out of it.
#[derive(Debug)]
pub struct Probe {
    /// The endpoint. Call [`Probe::drain`] after using its verbs.
    pub endpoint: Endpoint,
    /// Virtual time.
    pub now: Instant,
    /// The socket that serves.
    pub server_socket: SocketId,
    /// The socket from which calls are made.
    pub client_socket: SocketId,
    sent: Vec<(Instant, Transmit)>,
    events: Vec<Event>,
    ledger: Ledger,
}

impl Probe {
    /// A fresh endpoint.
    ///
    /// # Panics
    ///
    /// If the configuration is not valid.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let mut endpoint = Endpoint::new(config.clone(), now).expect("a valid config");
        let server_socket = endpoint.open_server(PORT).expect("the port is free");
        let client_socket = endpoint.open_client().expect("a port is free");
        let (sent, events, ledger) = (Vec::new(), Vec::new(), Ledger::default());
        Self { endpoint, now, server_socket, client_socket, sent, events, ledger }
    }

    /// Starts a call.
    ///
    /// # Panics
    ///
    /// If the endpoint refuses.
    pub fn call(&mut self, to: Remote, length: u32) -> RpcKey {
        self.call_with(to, length, CallOptions::default())
    }

    /// Starts a call with options.
    ///
    /// # Panics
    ///
    /// If the endpoint refuses.
    pub fn call_with(&mut self, to: Remote, length: u32, options: CallOptions) -> RpcKey {
        let (now, socket) = (self.now, self.client_socket);
        let key = self.endpoint.send_request(now, socket, to.addr, to.port, length, options);
        self.drain();
        key.expect("the call starts")
    }

    /// Starts a call of 100 bytes without draining, for making many.
    ///
    /// # Panics
    ///
    /// If the endpoint refuses.
    pub fn call_later(&mut self, to: Remote) -> RpcKey {
        let (now, socket) = (self.now, self.client_socket);
        let options = CallOptions::default();
        let key = self.endpoint.send_request(now, socket, to.addr, to.port, 100, options);
        key.expect("the call starts")
    }

    /// Takes in a packet of any RPC, addressed to `port`.
    pub fn receive(
        &mut self,
        from: Remote,
        port: u16,
        sender_id: RpcId,
        body: Body,
        payload_len: u32,
    ) {
        let header = Header::new(from.port, port, sender_id, body);
        self.receive_header(from.addr, &header, payload_len);
    }

    /// Takes in a packet, and drains what follows from it.
    pub fn receive_header(&mut self, from: PeerAddr, header: &Header, payload_len: u32) {
        let meta = PacketMeta { peer: from, local: LocalAddr::ANY };
        let delivery = self.endpoint.handle_packet(self.now, meta, header, payload_len as usize);
        if let Some(delivery) = delivery {
            for range in delivery.ranges {
                assert!(delivery.offset <= range.start, "before the packet");
                assert!(range.end <= delivery.offset + payload_len, "after the packet");
                self.ledger.deliver(delivery.key, delivery.message_length, range.clone());
            }
        }
        self.endpoint.settle(self.now);
        self.drain();
    }

    /// Takes in the answer of a call's server.
    ///
    /// # Panics
    ///
    /// If the call has ended.
    pub fn answer(&mut self, key: RpcKey, body: Body, payload_len: u32) {
        let info = self.endpoint.info(key).expect("the call is open");
        let port = self.endpoint.port(info.socket).expect("its socket is open");
        let from = Remote { addr: info.peer, port: info.peer_port };
        self.receive(from, port, info.id.flipped(), body, payload_len);
    }

    /// Takes in a packet of a request that `from` sends to the server port under client id `id`.
    pub fn request(&mut self, from: Remote, id: u64, body: Body, payload_len: u32) {
        self.receive(from, PORT, RpcId(id), body, payload_len);
    }

    /// Takes in a whole request of one packet, lets the application accept it, and returns its key.
    ///
    /// # Panics
    ///
    /// If the request does not reach the application.
    pub fn accept_request(&mut self, from: Remote, id: u64, length: u32) -> RpcKey {
        self.request(from, id, Body::Data(data(length, 0, length)), length);
        let key = self.complete_request().expect("the request is complete");
        self.endpoint.accept(self.now, key);
        self.drain();
        key
    }

    /// Sends a reply.
    ///
    /// # Panics
    ///
    /// If the endpoint does not take it.
    pub fn reply(&mut self, key: RpcKey, length: u32) {
        self.endpoint.send_reply(self.now, key, length).expect("it can be answered");
        self.drain();
    }

    /// The RPC of a `RequestComplete` event, which is taken out.
    pub fn complete_request(&mut self) -> Option<RpcKey> {
        let is_complete = |event: &Event| matches!(event, Event::RequestComplete { .. });
        let at = self.events.iter().position(is_complete)?;
        match self.events.remove(at) {
            Event::RequestComplete { key } => Some(key),
            _ => None,
        }
    }

    /// Lets time pass; deadlines are served when they come.
    ///
    /// # Panics
    ///
    /// If deadlines never end.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        while let Some(at) = self.endpoint.poll_timeout().filter(|&at| at <= end) {
            steps += 1;
            assert!(steps < STEPS_MAX, "deadlines never end: {:?}", self.endpoint);
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Takes what the endpoint wants to send, and its events.
    pub fn drain(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit(self.now) {
            self.sent.push((self.now, transmit));
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push(event);
        }
        self.endpoint.check_invariants();
    }

    /// The packets sent since the last call, with the times at which they left.
    pub fn take_sent_at(&mut self) -> Vec<(Instant, Transmit)> {
        std::mem::take(&mut self.sent)
    }

    /// The packets sent since the last call.
    pub fn take_sent(&mut self) -> Vec<Transmit> {
        self.take_sent_at().into_iter().map(|(_, transmit)| transmit).collect()
    }

    /// What the packets sent since the last call are, without their addressing.
    pub fn take_bodies(&mut self) -> Vec<Body> {
        self.take_sent().into_iter().map(|transmit| transmit.header.body).collect()
    }

    /// The DATA sent since the last call: offset, payload bytes, whether it is a retransmission.
    pub fn take_data(&mut self) -> Vec<(u32, u32, bool)> {
        let sent = self.take_sent();
        let ranges = sent.iter().filter_map(|transmit| match transmit.header.body {
            Body::Data(data) => {
                let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
                Some((data.offset, payload_len, data.retransmit))
            }
            _ => None,
        });
        ranges.collect()
    }

    /// The events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
