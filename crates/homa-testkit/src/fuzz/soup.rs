//! Arbitrary packets, reports and verbs at one endpoint.

use super::Choices;
use super::packets::{Magnitude, SEGMENT, body};
use crate::probe::{Probe, Remote};
use homa_proto::{
    CallOptions, Config, Duration, Encapsulation, Event, Header, Priority, QuotedPacket,
    RefuseReason, RpcId, RpcKey, Stats, Unreachable,
};
use homa_wire::{Body, ParseError, Version};
use std::collections::BTreeMap;

/// Steps of one input; libFuzzer's inputs may have more to say.
const STEPS_MAX: u32 = 400;
/// Packets that may follow from one step other than waiting: each byte of the outgoing messages,
/// twice, in packets of the smallest size.
const SENT_MAX: usize = 4096;
/// Homa port of the endpoint's server.
const PORT: u16 = 4000;

/// The application's view of a call.
#[derive(Clone, Copy, Debug)]
struct Call {
    key: RpcKey,
    id: RpcId,
    server: Remote,
}

/// An endpoint and what its application knows.
struct Soup {
    probe: Probe,
    /// All calls ever made; packets are drawn for the last ones.
    calls: Vec<Call>,
    /// How many outcomes each call had.
    outcomes: BTreeMap<RpcKey, u32>,
    /// Calls whose response is there and not taken.
    unread: Vec<RpcKey>,
    /// Requests that began to arrive.
    arriving: Vec<RpcKey>,
    /// Requests that came whole.
    ready: Vec<RpcKey>,
    /// Requests that were accepted.
    held: Vec<RpcKey>,
}

/// Feeds one endpoint with whatever the input says: packets of all types, from several hosts, for
/// its calls, for requests to it and for nothing; reports of the network; verbs of the application;
/// time. In the end there is silence. Returns the endpoint's counters.
///
/// # Panics
///
/// If the endpoint panics, breaks an invariant, exceeds a limit, sends without end, gives a call
/// other than one outcome, or is not idle after the silence.
pub fn soup(input: &[u8]) -> Stats {
    let mut choices = Choices::new(input);
    let mut soup = Soup::new(&mut choices);
    for _ in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        soup.step(&mut choices);
        soup.check_limits();
    }
    soup.settle();
    soup.probe.endpoint.stats().clone()
}

impl Soup {
    fn new(choices: &mut Choices<'_>) -> Self {
        let mut probe = Probe::new(&config(choices));
        if choices.flag() {
            probe.endpoint.set_encapsulation(Encapsulation::Raw);
        }
        Self {
            probe,
            calls: Vec::new(),
            outcomes: BTreeMap::new(),
            unread: Vec::new(),
            arriving: Vec::new(),
            ready: Vec::new(),
            held: Vec::new(),
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let kind = choices.below(32);
        match kind {
            0..14 => self.packet(choices),
            14..16 => self.packet_series(choices),
            16..19 => self.call(choices),
            19..23 => self.serve(choices),
            23..25 => self.end(choices),
            25 | 26 => self.report(choices),
            27 => self.configure(choices),
            _ => {
                let scale = choices.pick(&[1, 100, 1_000, 10_000, 100_000]);
                self.probe.advance(Duration::from_micros(u64::from(choices.byte()) * scale));
            }
        }
        self.probe.drain();
        let sent = self.probe.take_sent().len();
        assert!(sent <= SENT_MAX || kind >= 28, "{sent} packets follow from one step");
        self.note_events();
    }

    /// A packet about a call, a request, or anything.
    fn packet(&mut self, choices: &mut Choices<'_>) {
        let (from, header) = self.header(choices);
        self.receive(from, &header, payload_len(choices, &header.body));
    }

    /// All the packets of one message, but for a few, in either order: so that messages complete.
    fn packet_series(&mut self, choices: &mut Choices<'_>) {
        let (from, header) = self.header(choices);
        let Body::Data(data) = header.body else {
            return self.receive(from, &header, 0);
        };
        let length = data.message_length.min(100_000);
        let (skipped, backwards) = (choices.byte(), choices.flag());
        let count = length.div_ceil(SEGMENT);
        for nth in (0..count).filter(|nth| nth + 1 != u32::from(skipped)) {
            let nth = if backwards { count - 1 - nth } else { nth };
            let offset = nth * SEGMENT;
            let body = Body::Data(homa_wire::Data { offset, message_length: length, ..data });
            self.receive(from, &Header { body, ..header }, SEGMENT.min(length - offset));
        }
    }

    fn header(&self, choices: &mut Choices<'_>) -> (Remote, Header) {
        let endpoint = &self.probe.endpoint;
        let client_port = endpoint.port(self.probe.client_socket).unwrap_or(32_768);
        let client = Remote::client(choices.byte() % 4);
        let recent = self.calls.len().saturating_sub(8);
        let subject = choices.byte();
        let (from, port, id) = match subject {
            0..100 if !self.calls.is_empty() => {
                let Call { id, server, .. } = choices.pick(&self.calls[recent..]);
                let from = if subject < 92 { server } else { server.with_port(5) };
                (from, client_port, id.flipped())
            }
            0..230 => (client, PORT, RpcId(2 * u64::from(choices.byte() % 12))),
            230..240 => (client, client_port, RpcId(2 * u64::from(choices.byte() % 12))),
            240..248 => (client, PORT, RpcId(choices.u64())),
            _ => (client, choices.u16(), RpcId(u64::from(choices.byte()))),
        };
        let body = body(choices, Magnitude::Plausible);
        (from, Header::new(from.port, port, id, body))
    }

    fn receive(&mut self, from: Remote, header: &Header, payload_len: u32) {
        self.probe.receive_header(from.addr, header, payload_len);
        self.note_events();
    }

    fn call(&mut self, choices: &mut Choices<'_>) {
        let (now, socket) = (self.probe.now, self.probe.client_socket);
        let to = Remote::server(choices.byte() % 4);
        let port = choices.pick(&[to.port, to.port, to.port, to.port, 7, 0]);
        let length = choices.pick(&[100, 1416, 5000, 56_640, 99_000, 0, 200_000]);
        let mut options = CallOptions::default();
        options.deadline =
            choices.one_in(8).then(|| Duration::from_micros(u64::from(choices.u16())));
        options.priority = choices.one_in(8).then(|| Priority::clamped(choices.byte() % 10));
        let sent = self.probe.endpoint.send_request(now, socket, to.addr, port, length, options);
        if let Ok(key) = sent {
            let id = self.probe.endpoint.info(key).expect("it is open").id;
            self.calls.push(Call { key, id, server: to.with_port(port) });
            self.outcomes.insert(key, 0);
        }
    }

    /// The application takes, answers or refuses a request.
    fn serve(&mut self, choices: &mut Choices<'_>) {
        let (now, endpoint) = (self.probe.now, &mut self.probe.endpoint);
        match choices.below(6) {
            0 | 1 if !self.ready.is_empty() => {
                let key = self.ready.remove(choices.index(self.ready.len()));
                endpoint.accept(now, key);
                self.held.push(key);
            }
            2 | 3 if !self.held.is_empty() => {
                let key = choices.pick(&self.held);
                let length = choices.pick(&[100, 1416, 5000, 56_640, 99_000, 0, 200_000]);
                if endpoint.send_reply(now, key, length).is_ok() {
                    self.held.retain(|&held| held != key);
                }
            }
            4 if !self.arriving.is_empty() => endpoint.begin_stream(choices.pick(&self.arriving)),
            5 => {
                let of = choices.pick(&[&self.arriving, &self.ready, &self.held]);
                if of.is_empty() {
                    return;
                }
                let key = choices.pick(of);
                endpoint.refuse(now, key, choices.pick(&RefuseReason::ALL));
                self.drop_request(key);
            }
            _ => {}
        }
    }

    /// A call is finished or aborted.
    fn end(&mut self, choices: &mut Choices<'_>) {
        let now = self.probe.now;
        if choices.flag() && !self.unread.is_empty() {
            let key = self.unread.remove(choices.index(self.unread.len()));
            return self.probe.endpoint.finish(now, key);
        }
        let recent = self.calls.len().saturating_sub(8);
        if self.calls.is_empty() {
            return;
        }
        let call = choices.pick(&self.calls[recent..]);
        self.probe.endpoint.abort(now, call.key);
        self.unread.retain(|&unread| unread != call.key);
        // Without effect if there was one already.
        self.outcomes.entry(call.key).and_modify(|outcomes| *outcomes = 1.max(*outcomes));
    }

    /// The network or the operating system says something.
    fn report(&mut self, choices: &mut Choices<'_>) {
        let now = self.probe.now;
        let peer = Remote::client(choices.byte() % 4).addr;
        let kind = choices.pick(&[Unreachable::Port, Unreachable::Protocol, Unreachable::Host]);
        let quoted = self.quoted(choices);
        let recent: Vec<_> = self.calls.iter().rev().take(8).map(|call| call.key).collect();
        let endpoint = &mut self.probe.endpoint;
        match choices.below(8) {
            0..3 => endpoint.handle_unreachable(now, peer, quoted, kind),
            3 | 4 => endpoint.handle_path_mtu(peer, u32::from(choices.u16())),
            5 => endpoint.handle_tx_backlog(now, u64::from(choices.u32())),
            6 => {
                let keys = [&recent[..], &self.arriving, &self.ready, &self.held].concat();
                if !keys.is_empty() {
                    endpoint.handle_send_error(now, choices.pick(&keys));
                }
            }
            _ => {
                let error: ParseError = Header::parse(&[0; 10], Version::V1).expect_err("short");
                endpoint.count_bad_packet(&error);
            }
        }
    }

    /// The start of a packet that the endpoint may have sent, or of none.
    fn quoted(&self, choices: &mut Choices<'_>) -> Option<QuotedPacket> {
        let recent = self.calls.len().saturating_sub(8);
        let client_port = self.probe.endpoint.port(self.probe.client_socket)?;
        match choices.below(4) {
            0 => None,
            1 if !self.calls.is_empty() => {
                let Call { id, server, .. } = choices.pick(&self.calls[recent..]);
                let (source_port, dest_port) = (client_port, server.port);
                Some(QuotedPacket { source_port, dest_port, sender_id: id })
            }
            _ => {
                let sender_id = RpcId(u64::from(choices.byte() % 24));
                Some(QuotedPacket { source_port: PORT, dest_port: 40_000, sender_id })
            }
        }
    }

    /// The driver changes something for the whole endpoint.
    fn configure(&mut self, choices: &mut Choices<'_>) {
        let (now, server) = (self.probe.now, self.probe.server_socket);
        let endpoint = &mut self.probe.endpoint;
        match choices.below(8) {
            0..3 => endpoint.set_serving(server, choices.flag()),
            3 => endpoint.set_draining(server),
            4 => endpoint.set_link_mbps(u32::from(choices.u16())),
            5 => endpoint.set_default_mtu(u32::from(choices.u16())),
            6 => {
                endpoint.close(now, server);
                self.probe.drain();
                self.note_events();
                self.probe.server_socket = self.probe.endpoint.open_server(PORT).expect("free");
            }
            _ => {
                endpoint.close(now, self.probe.client_socket);
                self.probe.drain();
                self.note_events();
                // Responses that came whole count as finished.
                self.unread.clear();
                self.probe.client_socket = self.probe.endpoint.open_client().expect("free");
            }
        }
    }

    fn note_events(&mut self) {
        for event in self.probe.take_events() {
            match event {
                Event::RequestStarted { key } => self.arriving.push(key),
                Event::RequestComplete { key } => {
                    self.arriving.retain(|&arriving| arriving != key);
                    self.ready.push(key);
                }
                Event::ResponseComplete { key } => {
                    self.count_outcome(key);
                    self.unread.push(key);
                }
                Event::Failed { key, .. } => self.count_outcome(key),
                Event::Cancelled { key, .. } => self.drop_request(key),
                _ => {}
            }
        }
    }

    fn count_outcome(&mut self, key: RpcKey) {
        let outcomes = self.outcomes.get_mut(&key).expect("it is a call of ours");
        *outcomes += 1;
        assert_eq!(*outcomes, 1, "{key:?} has a second outcome");
    }

    fn drop_request(&mut self, key: RpcKey) {
        for of in [&mut self.arriving, &mut self.ready, &mut self.held] {
            of.retain(|&other| other != key);
        }
    }

    /// The application answers nothing more, and nobody sends any more.
    fn settle(&mut self) {
        let now = self.probe.now;
        for key in self.ready.drain(..).chain(self.held.drain(..)) {
            self.probe.endpoint.refuse(now, key, RefuseReason::ShuttingDown);
        }
        self.probe.drain();
        self.note_events();
        for _ in 0..3 {
            for key in std::mem::take(&mut self.unread) {
                self.probe.endpoint.finish(self.probe.now, key);
            }
            self.probe.advance(Duration::from_secs(60));
            self.note_events();
        }
        let endpoint = &self.probe.endpoint;
        assert!(endpoint.is_idle(), "RPCs are left: {endpoint:?}");
        assert_eq!((endpoint.incoming_bytes(), endpoint.outgoing_bytes()), (0, 0));
        assert_eq!(endpoint.poll_timeout(), None, "an idle endpoint has no deadlines");
        for (key, outcomes) in &self.outcomes {
            assert_eq!(*outcomes, 1, "{key:?} has no outcome");
        }
    }

    fn check_limits(&self) {
        let (endpoint, limits) = (&self.probe.endpoint, &self.probe.endpoint.config().limits);
        assert!(endpoint.client_rpcs() <= limits.client_rpcs_max);
        assert!(endpoint.server_rpcs() <= limits.server_rpcs_max);
        assert!(endpoint.incoming_bytes() <= limits.incoming_bytes_max);
        assert!(endpoint.outgoing_bytes() <= limits.outgoing_bytes_max);
    }
}

/// Small limits, so that they are met all the time, and settings drawn from the input.
fn config(choices: &mut Choices<'_>) -> Config {
    let mut config = Config::default();
    config.message_length_max = 100_000;
    config.limits.client_rpcs_max = 6;
    config.limits.server_rpcs_max = 6;
    config.limits.peers_max = 3;
    config.limits.incoming_bytes_max = 200_000;
    config.limits.outgoing_bytes_max = 200_000;
    config.limits.gaps_max = 3;
    config.limits.finished_ids_max = 2;
    config.limits.finished_ids_total_max = 4;
    config.limits.control_packets_max = 16;
    let settings = choices.byte();
    config.refuse = settings & 1 == 0;
    config.pacing = settings & 2 != 0;
    config.accept_freeze = settings & 4 != 0;
    config.unscheduled_by_round_trip = settings & 8 != 0;
    config.unscheduled_bytes = if settings & 16 != 0 { 0 } else { 10_000 };
    if settings & 32 != 0 {
        config.grants.incoming_bytes_max = 20_000;
        config.grants.overcommit_max = 2;
    }
    if settings & 64 != 0 {
        config.priority_levels = 1;
        config.link_mbps = 100;
    }
    config
}

/// How much payload comes with a header: a full packet's, as much as there should be, or anything.
fn payload_len(choices: &mut Choices<'_>, body: &Body) -> u32 {
    let Body::Data(data) = body else { return 0 };
    let due = data.message_length.saturating_sub(data.offset).min(SEGMENT);
    match choices.byte() {
        0..200 => due,
        200..240 => SEGMENT,
        240..252 => choices.below(2000),
        _ => choices.pick(&[0, 1, 65_451]),
    }
}
