//! Replay of captured conversations: an endpoint of ours in the place of one of the two kernels.
//!
//! [`replay`] gives one endpoint all packets that the *other* host of a capture sent, at the times
//! at which they were captured, and lets an application do what the recorded one did: as
//! [`Side::Client`], make the same calls (same ids, ports and lengths) when their first packet was
//! captured; as [`Side::Server`], echo each request when the recorded server's first packet shows
//! that its application had replied, or when the request is complete here, if that is later.
//! Everything that the endpoint sends is compared with what a correct host would send.
//!
//! # What can be demanded
//!
//! The other side is a recording. It says what it once said to another host, whatever ours does, so
//! only this can be asked for:
//!
//! * **The answer to each packet, at once**: a RESEND gets exactly the segments it asks for at the
//!   priority it names, BUSY, or RPC_UNKNOWN; NEED_ACK gets an ACK if and only if the response is
//!   complete, else RESENDs in time; RPC_UNKNOWN the whole request again; a foreign cutoff version
//!   CUTOFFS, not twice within their spacing. Nothing else is ever sent in answer.
//! * **What is sent unasked stays within what the other side permits and wants**: DATA in order, cut
//!   like the kernel's, within grants, at the priority of the last CUTOFFS or GRANT, with their
//!   version, each finished call acknowledged once; GRANTs rising, within message and window; RESENDs
//!   only for what is permitted and missing; NEED_ACKs only after whole responses. And all of it in
//!   time: nothing that is due is forgotten.
//! * **The same outcome**: the application gets the same messages, each once, with the same bytes as
//!   far as the capture has them; RPCs that the recorded client acknowledged are gone.
//!
//! What follows from the recording being deaf is not demanded. Our RESENDs and GRANTs get no
//! answer. Packets that the network lost after they were captured reach our endpoint, so that it
//! may know more than the recorded host and answer BUSY or with data where that said RPC_UNKNOWN (unless
//! [`Capture::without_lost_requests`] takes them out). A
//! message whose packets are not all captured (the recording began or ended in between) can't
//! complete; it must only do no harm. The cutoff version is the one thing that a recording can't get
//! right, as it echoes a number that ours invents: where the recorded host echoed any version, it
//! is made to echo ours.
//!
//! Without pacing, every answer is due at once: the judge checks decisions, and has no model of the link.
//! With it, packets sent again may wait for their turn. Then it is demanded that each leaves before the
//! recording ends, unless its message ended before, and all else as without.
//!
//! Grants to the oldest message by time are turned off, since they may exceed the window that is
//! checked otherwise.

mod capture;
mod content;
mod judge;
mod model;
mod script;

pub use capture::{Capture, Side};

use capture::Recorded;
use content::Content;
use homa_proto::{
    CallOptions, Config, Duration, Encapsulation, Endpoint, Event, Instant, LocalAddr, Observer,
    PacketMeta, PeerAddr, RpcId, RpcKey, SocketId, Stats, TraceEvent,
};
use homa_wire::{Body, Header};
use judge::{CLIENT_PORT, Judge, SERVER_PORT};
use script::Exchange;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

/// What came of a replay that broke no rule.
#[derive(Debug)]
pub struct Report {
    /// Packets of the recorded host that the endpoint dropped, by type and
    /// [`DropReason`](homa_proto::DropReason): "DATA Duplicate".
    pub drops: BTreeMap<String, u32>,
    /// The endpoint's counters.
    pub stats: Stats,
    /// Client ids of the RPCs whose message the application got.
    pub completed: BTreeSet<u64>,
    /// Client ids of those that are open at the end.
    pub open: BTreeSet<u64>,
    /// Bytes compared: of arrived messages with the recorded ones, and of echoes with requests.
    pub bytes_compared: usize,
}

/// Counts the packets that an endpoint drops.
#[derive(Debug, Default)]
struct Drops(BTreeMap<String, u32>);

impl Observer for Drops {
    fn observe(&mut self, _now: Instant, event: TraceEvent) {
        if let TraceEvent::PacketDropped { packet_type, reason, .. } = event {
            *self.0.entry(format!("{} {reason:?}", packet_type.name())).or_default() += 1;
        }
    }
}

/// Replays what the host other than `role` sent in a capture to an endpoint in the place of `role`.
/// The configuration's ids and ports are set as recorded.
///
/// # Panics
///
/// At the first packet or event that a correct host would not send or see, or that is missing.
#[must_use]
pub fn replay(capture: &Capture, role: Side, config: &Config) -> Report {
    Replay::new(capture, role, config).run(capture)
}

/// The endpoint in the place of one of the hosts.
struct Replay {
    role: Side,
    endpoint: Endpoint<Drops>,
    socket: SocketId,
    now: Instant,
    judge: Judge,
    exchanges: BTreeMap<u64, Exchange>,
    /// Calls to be made: when, under which id, and their length.
    calls: BTreeMap<(Instant, u64), u32>,
    /// Messages as they arrive.
    arriving: HashMap<RpcKey, Content>,
    /// Requests that wait for the time of their reply, and when that is.
    in_service: BTreeMap<(Instant, u64), RpcKey>,
    bytes_compared: usize,
}

/// Virtual time at which a recording starts.
const START: Instant = Instant::from_nanos(1_000_000_000);

impl Replay {
    fn new(capture: &Capture, role: Side, config: &Config) -> Self {
        let exchanges = script::exchanges(capture);
        let mut config = config.clone();
        let first = exchanges.iter().find(|(_, exchange)| exchange.request.is_some());
        config.first_client_id = first.map(|(&id, _)| RpcId(id));
        config.first_client_port = Some(CLIENT_PORT);
        config.grants.fifo_share_permille = 0;
        let mut endpoint = Endpoint::with_observer(config.clone(), START, Drops::default())
            .expect("a valid config");
        endpoint.set_encapsulation(Encapsulation::Raw);
        let socket = match role {
            Side::Client => endpoint.open_client(),
            Side::Server => endpoint.open_server(SERVER_PORT),
        };
        Self {
            role,
            endpoint,
            socket: socket.expect("the port is free"),
            now: START,
            judge: Judge::new(role, config, START),
            calls: if role == Side::Client { calls(&exchanges) } else { BTreeMap::new() },
            exchanges,
            arriving: HashMap::new(),
            in_service: BTreeMap::new(),
            bytes_compared: 0,
        }
    }

    fn run(mut self, capture: &Capture) -> Report {
        let role = self.role;
        for packet in capture.packets.iter().filter(|packet| packet.from != role) {
            self.advance(START + packet.at);
            self.receive(packet);
        }
        self.advance(START + capture.duration());
        self.advance(self.now + Duration::from_millis(1));
        self.judge.check_end();
        assert_eq!(self.judge.completed, self.expected(), "whole messages in the capture");
        let open: BTreeSet<u64> = self.judge.rpcs.keys().copied().collect();
        let held = self.endpoint.client_rpcs() + self.endpoint.server_rpcs();
        assert_eq!(open.len(), held as usize, "open: {open:?}");
        Report {
            drops: std::mem::take(&mut self.endpoint.observer_mut().0),
            stats: self.endpoint.stats().clone(),
            completed: self.judge.completed,
            open,
            bytes_compared: self.bytes_compared,
        }
    }

    /// The RPCs of which the capture holds the whole message that comes to our side.
    fn expected(&self) -> BTreeSet<u64> {
        let whole = self.exchanges.iter().filter(|(_, exchange)| {
            let request = exchange.request.as_ref().map(|(_, content)| content);
            match self.role {
                Side::Client => request.and(exchange.response.as_ref()),
                Side::Server => request,
            }
            .is_some_and(Content::is_complete)
        });
        whole.map(|(&id, _)| id).collect()
    }

    /// Makes the calls whose time has come.
    fn call(&mut self) {
        while let Some(next) = self.calls.first_entry().filter(|next| next.key().0 <= self.now) {
            let ((_, id), length) = next.remove_entry();
            self.judge.called(self.now, id, length);
            let (now, to, options) = (self.now, address(Side::Server), CallOptions::default());
            let key =
                self.endpoint.send_request(now, self.socket, to, SERVER_PORT, length, options);
            let key = key.expect("the call starts");
            assert_eq!(self.id(key), id, "calls are made in the order of their ids");
            self.drain();
        }
    }

    fn receive(&mut self, packet: &Recorded) {
        let header = self.with_our_version(&packet.header);
        let other = match self.role {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        let meta = PacketMeta { peer: address(other), local: LocalAddr::ANY };
        self.judge.received(self.now, &header, packet.payload_len);
        let len = packet.payload_len as usize;
        if let Some(delivery) = self.endpoint.handle_packet(self.now, meta, &header, len) {
            let new = || Content::new(delivery.message_length);
            let content = self.arriving.entry(delivery.key).or_insert_with(new);
            for range in delivery.ranges {
                let (start, end) = (range.start as usize, range.end as usize);
                content.put(start, end, delivery.offset as usize, &packet.payload);
            }
        }
        self.endpoint.settle(self.now);
        self.drain();
    }

    /// Lets time pass until `end`: serves deadlines, makes calls and replies.
    fn advance(&mut self, end: Instant) {
        loop {
            let deadline = self.endpoint.poll_timeout();
            let call = self.calls.first_key_value().map(|(&(at, _), _)| at);
            let reply = self.in_service.first_key_value().map(|(&(at, _), _)| at);
            let next = [deadline, call, reply].into_iter().flatten().min();
            let Some(at) = next.filter(|&at| at <= end) else { break };
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            self.drain();
            self.call();
            self.reply();
        }
        self.now = end;
    }

    /// Sends the replies whose time has come.
    fn reply(&mut self) {
        while let Some(next) = self.in_service.first_entry().filter(|next| next.key().0 <= self.now)
        {
            let ((_, id), key) = next.remove_entry();
            let response = self.exchanges[&id].response.as_ref();
            // cp_node echoes requests, so a response that was never captured is as long.
            let request = self.exchanges[&id].request.as_ref().map(|(_, content)| content);
            let length = response.or(request).expect("a request").length();
            self.judge.replied(self.now, id, length);
            self.endpoint.send_reply(self.now, key, length).expect("it can be answered");
            self.drain();
        }
    }

    /// Takes all that the endpoint wants to send and to say.
    fn drain(&mut self) {
        loop {
            while let Some(transmit) = self.endpoint.poll_transmit(self.now) {
                self.judge.sent(self.now, &transmit);
            }
            let Some(event) = self.endpoint.poll_event() else { break };
            self.on_event(event);
        }
        self.endpoint.check_invariants();
        self.judge.settled(self.now);
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::RequestComplete { key } => self.on_request(key),
            Event::ResponseComplete { key } => self.on_response(key),
            Event::RequestStarted { .. } | Event::Readable { .. } | Event::Release { .. } => {}
            event => panic!("{:?}: {event:?}", self.now),
        }
    }

    fn on_request(&mut self, key: RpcKey) {
        let id = self.id(key);
        self.judge.completed(id);
        let content = self.arriving.remove(&key).expect("a message has bytes");
        let exchange = &self.exchanges[&id];
        let (_, request) = exchange.request.as_ref().expect("it came from the capture");
        self.bytes_compared += compare(id, &content, request);
        // What our application would answer is what the recorded one did.
        if let Some(response) = &exchange.response {
            self.bytes_compared += compare(id, &content.echo(), response);
        }
        if let Some(at) = exchange.replied_at {
            self.in_service.insert((self.now.max(START + at), id), key);
        }
        self.endpoint.accept(self.now, key);
    }

    fn on_response(&mut self, key: RpcKey) {
        let id = self.id(key);
        self.judge.completed(id);
        let content = self.arriving.remove(&key).expect("a message has bytes");
        let exchange = &self.exchanges[&id];
        let response = exchange.response.as_ref().expect("it came from the capture");
        self.bytes_compared += compare(id, &content, response);
        // What the server answered is what our application asked.
        let (_, request) = exchange.request.as_ref().expect("the call was made");
        self.bytes_compared += compare(id, &request.echo(), &content);
        self.judge.finished(id);
        self.endpoint.finish(self.now, key);
    }

    fn id(&self, key: RpcKey) -> u64 {
        self.endpoint.info(key).expect("the RPC is open").id.0 & !1
    }

    /// What the recorded host would have sent if its peer had had our cutoffs.
    fn with_our_version(&self, header: &Header) -> Header {
        let mut header = *header;
        if let Body::Data(data) = &mut header.body
            && data.cutoff_version != 0
        {
            data.cutoff_version = self.judge.version_told();
        }
        header
    }
}

/// When the client makes which calls, of how many bytes.
fn calls(exchanges: &BTreeMap<u64, Exchange>) -> BTreeMap<(Instant, u64), u32> {
    let calls = exchanges.iter().filter_map(|(&id, exchange)| {
        let (at, content) = exchange.request.as_ref()?;
        Some(((START + *at, id), content.length()))
    });
    let mut calls: BTreeMap<_, _> = calls.collect();
    // A call under way when the recording begins is made before its first packet.
    if let Some(first) = calls.first_entry() {
        let ((_, id), length) = first.remove_entry();
        calls.insert((START, id), length);
    }
    calls
}

/// Compares what is known of two messages; returns how many bytes are known of the second.
fn compare(id: u64, ours: &Content, recorded: &Content) -> usize {
    assert_eq!(ours.length(), recorded.length(), "{id}");
    assert_eq!(ours.first_difference(recorded), None, "{id}: a byte differs");
    recorded.seen()
}

fn address(side: Side) -> PeerAddr {
    PeerAddr::from(SocketAddr::from((side.address(), 0)))
}
