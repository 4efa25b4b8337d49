//! A host of the swarm: the protocol core, and a driver's and an application's books.

use super::book::Book;
use super::mix::Mix;
use crate::content::Ledger;
use homa_proto::{
    Duration, Endpoint, Instant, PacketMeta, PeerAddr, QuotedPacket, Resource, RpcKey, SocketId,
    Transmit,
};
use homa_wire::{Body, Header, Version};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The Homa port on which every host serves.
pub(super) const PORT: u16 = 4000;

/// A packet on its way, or in a host's receive queue.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) from: PeerAddr,
    pub(super) to: usize,
    pub(super) header: Vec<u8>,
    /// For DATA: the message, and which of its bytes.
    pub(super) payload: Option<(usize, u32, u32)>,
    /// Payload bytes of each packet but the last, if it stands for several.
    pub(super) segment_bytes: u32,
}

/// What a server's application knows of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) call: usize,
    /// It was seen by the application, and counts as executed.
    pub(super) is_seen: bool,
}

/// A host.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) number: usize,
    pub(super) addr: PeerAddr,
    pub(super) endpoint: Endpoint,
    /// How often it crashed.
    pub(super) life: u32,
    pub(super) server_socket: Option<SocketId>,
    pub(super) client_socket: Option<SocketId>,
    /// How far its clock is ahead of the world's.
    pub(super) skew: Duration,
    /// Its driver does nothing before this time.
    pub(super) stalled_until: Option<Instant>,
    /// What arrived meanwhile.
    pub(super) inbox: Vec<Flight>,
    /// Its driver can't send before this time.
    pub(super) ring_full_until: Option<Instant>,
    /// What it polled meanwhile.
    pub(super) ring: Vec<(Transmit, Option<usize>)>,
    /// Deadlines are not looked at before this time, while nothing can be sent.
    pub(super) idle_until: Instant,
    /// Messages that it may have to send, by RPC.
    pub(super) outgoing: BTreeMap<RpcKey, usize>,
    /// Messages that arrive, by RPC.
    pub(super) incoming: BTreeMap<RpcKey, usize>,
    pub(super) ledger: Ledger,
    pub(super) calls: BTreeMap<RpcKey, usize>,
    pub(super) work: BTreeMap<RpcKey, Work>,
    /// The packet of ours that a report would quote.
    pub(super) last_sent: Option<(PeerAddr, QuotedPacket)>,
}

impl Station {
    /// A host without memory, in its `life`-th life.
    pub(super) fn new(number: usize, life: u32, mix: &Mix, skew: Duration, now: Instant) -> Self {
        let mut config = mix.config.clone();
        config.seed = (mix.seed << 16) ^ (u64::from(life) << 8) ^ number as u64;
        let mut endpoint = Endpoint::new(config, now + skew).expect("a valid config was drawn");
        endpoint.set_default_mtu(mix.mtu);
        let server_socket = Some(endpoint.open_server(PORT).expect("the port is free"));
        let client_socket = Some(endpoint.open_client().expect("a port is free"));
        let addr = PeerAddr::from(SocketAddr::from(([10, 0, 1, number as u8 + 1], 4000)));
        Self {
            number,
            addr,
            endpoint,
            life,
            server_socket,
            client_socket,
            skew,
            stalled_until: None,
            inbox: Vec::new(),
            ring_full_until: None,
            ring: Vec::new(),
            idle_until: Instant::ZERO,
            outgoing: BTreeMap::new(),
            incoming: BTreeMap::new(),
            ledger: Ledger::default(),
            calls: BTreeMap::new(),
            work: BTreeMap::new(),
            last_sent: None,
        }
    }

    /// Hands a packet to the core, and checks the bytes that it takes.
    pub(super) fn receive(&mut self, now: Instant, flight: &Flight, book: &Book) {
        let Ok((header, rest)) = Header::parse(&flight.header, Version::V1) else { return };
        let payload = flight.payload.map_or(0, |(_, start, end)| end - start);
        let meta = PacketMeta { peer: flight.from, local: self.addr.ip().into() };
        let now = now + self.skew;
        let payload_len = rest.len() + payload as usize;
        // Damaged headers may be of any type, and longer or shorter than they were.
        let is_run = matches!(header.body, Body::Data(_)) && rest.is_empty();
        let segment_bytes = if is_run { flight.segment_bytes as usize } else { payload_len };
        let delivery = self.endpoint.handle_run(now, meta, &header, payload_len, segment_bytes);
        let Some(delivery) = delivery else { return };
        let key = delivery.key;
        let packet = delivery.offset..delivery.offset + payload_len as u32;
        for range in delivery.ranges {
            assert!(packet.start <= range.start && range.end <= packet.end, "outside packet");
            self.ledger.deliver(key, delivery.message_length, range.clone());
        }
        let Some((message, start, _)) = flight.payload else { return };
        if delivery.ranges.is_empty() {
            return;
        }
        let known = *self.incoming.entry(key).or_insert(message);
        let same = known == message && start == delivery.offset;
        let length = book.messages[message].length;
        let right = same && delivery.message_length == length;
        assert!(book.is_garbled || right, "bytes of message {message} became bytes of {known}");
    }

    /// Drops what the driver holds for an RPC.
    pub(super) fn drop_rpc(&mut self, key: RpcKey) {
        self.outgoing.remove(&key);
        self.incoming.remove(&key);
        self.ledger.forget(key);
        self.work.remove(&key);
    }

    pub(super) fn packets_sent(&self) -> u64 {
        self.endpoint.stats().packets_sent.iter().sum()
    }

    /// The next time at which the driver has to act by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.stalled_until.is_some() {
            return self.stalled_until;
        }
        let timer = self.endpoint.poll_timeout().map(|at| {
            let nanos = at.as_nanos().saturating_sub(self.skew.as_nanos());
            Instant::from_nanos(nanos).max(self.idle_until)
        });
        [timer, self.ring_full_until].into_iter().flatten().min()
    }

    /// # Panics
    ///
    /// If more was held than the limits allow.
    pub(super) fn assert_within_limits(&self) {
        for (resource, account) in self.endpoint.accounts().iter() {
            // Room for gaps grows by doubling, a message at a time, and begins with four.
            let slack = if resource == Resource::Gaps {
                4.max(2 * self.endpoint.config().limits.gaps_max)
            } else {
                0
            };
            let most = account.limit.map(|limit| limit + slack as u64);
            assert!(most.is_none_or(|most| account.high_water <= most), "{resource}: {account:?}");
        }
    }

    /// # Panics
    ///
    /// If anything is left of any RPC, in the core or beside it.
    pub(super) fn assert_quiet(&self) {
        let number = self.number;
        assert!(self.calls.is_empty(), "host {number}: calls without outcome {:?}", self.calls);
        assert!(self.ledger.is_empty(), "host {number}: messages are partly there");
        assert!(self.endpoint.is_idle(), "host {number}: RPCs are left {:?}", self.endpoint);
        assert_eq!(self.endpoint.client_rpcs() + self.endpoint.server_rpcs(), 0, "host {number}");
        assert_eq!(self.endpoint.incoming_bytes(), 0, "host {number}");
        assert_eq!(self.endpoint.outgoing_bytes(), 0, "host {number}");
        assert_eq!(self.endpoint.poll_timeout(), None, "host {number}: idle, but has deadlines");
        assert!(self.outgoing.is_empty(), "host {number}: never released {:?}", self.outgoing);
        assert!(self.incoming.is_empty(), "host {number}: never taken {:?}", self.incoming);
        assert!(self.work.is_empty(), "host {number}: never ended {:?}", self.work);
    }
}
