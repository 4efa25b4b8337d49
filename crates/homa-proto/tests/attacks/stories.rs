//! Conversations of one host with honest peers, in which an attacker has a say after each step: what
//! the host does about the RPCs of the conversation, and when, shows what the attacker achieved.

use super::proven_client;
use homa_proto::{Config, Duration, Event, Header, Instant, Payload, Priority, RpcId, RpcKey};
use homa_testkit::{Probe, Remote, data};
use homa_wire::{AckList, Body, Cutoffs, Grant, Resend};

/// One RPC as its peer names it in packets to the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) from: Remote,
    pub(crate) port: u16,
    pub(crate) sender_id: RpcId,
}

/// All that the host did about the RPCs of the conversation.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    sent: Vec<(Instant, Header, Option<Payload>, Priority)>,
    events: Vec<Event>,
}

/// What the attacker does after each step, given the RPCs that there are.
pub(crate) type Attack<'a> = &'a dyn Fn(&mut Probe, &[Target]);

impl Record {
    /// Checks that the attacker changed nothing.
    pub(crate) fn assert_unchanged(&self, attacked: &Self) {
        self.assert_same_packets(attacked);
        assert_eq!(self.events, attacked.events);
    }

    /// Checks what was sent, and when; for attackers who begin RPCs of their own, among which the
    /// host's keys of RPCs are others.
    pub(crate) fn assert_same_packets(&self, attacked: &Self) {
        let at = self.sent.iter().zip(&attacked.sent).position(|(calm, attacked)| calm != attacked);
        if let Some(at) = at {
            panic!("packet {at}: {:?} has become {:?}", self.sent[at], attacked.sent[at]);
        }
        let more = attacked.sent.get(self.sent.len()..);
        assert_eq!(more, Some(&[][..]), "packets besides");
    }
}

struct Story<'a> {
    probe: Probe,
    attack: Attack<'a>,
    targets: Vec<Target>,
    record: Record,
}

impl Target {
    /// The same RPC, but for one thing that who does not see its packets must guess: the peer's
    /// address, either port, or the id.
    pub(crate) fn misnamed(self) -> Vec<Self> {
        let Self { from, port, sender_id } = self;
        let ids =
            [sender_id.0 ^ 1, sender_id.0 + 200, sender_id.0.wrapping_sub(200), 0, 1, u64::MAX];
        let with_id = ids.map(|id| Self { sender_id: RpcId(id), ..self });
        let with_port = [1, 4000, port ^ 1, u16::MAX].map(|port| Self { port, ..self });
        let from_port =
            [1, from.port ^ 1, 0].map(|port| Self { from: from.with_port(port), ..self });
        let stranger = Remote { port: from.port, ..Remote::client(99) };
        let mut all = vec![Self { from: stranger, ..self }];
        all.extend(with_id);
        all.extend(with_port.into_iter().filter(|other| other.port != port));
        all.extend(from_port);
        all
    }

    /// Hands the host a packet of this RPC.
    pub(crate) fn send(self, probe: &mut Probe, body: Body) {
        let payload_len = if matches!(body, Body::Data(_)) { 1416 } else { 0 };
        probe.receive(self.from, self.port, self.sender_id, body, payload_len);
    }
}

impl<'a> Story<'a> {
    fn new(attack: Attack<'a>) -> Self {
        let mut config = Config::default();
        config.pacing = false;
        config.timing.client_silence_max = Duration::from_millis(300);
        let record = Record { sent: Vec::new(), events: Vec::new() };
        Self { probe: Probe::new(&config), attack, targets: Vec::new(), record }
    }

    /// Lets time pass a millisecond at a time, each with its attacks.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis {
            (self.attack)(&mut self.probe, &self.targets);
            self.probe.advance(Duration::from_millis(1));
        }
    }

    fn call(&mut self, length: u32) -> RpcKey {
        let server = Remote::server(1);
        let key = self.probe.call(server, length);
        let sender_id = self.probe.endpoint.info(key).expect("it is open").id.flipped();
        let port = self.probe.endpoint.port(self.probe.client_socket).expect("it is open");
        self.targets.push(Target { from: server, port, sender_id });
        key
    }

    fn begin_request(&mut self, client: Remote, id: u64, length: u32) {
        self.targets.push(Target { from: client, port: 4000, sender_id: RpcId(id) });
        let first = length.min(1416);
        self.probe.request(client, id, Body::Data(data(length, 0, 40_000)), first);
    }

    /// The bytes of a message from `from` on, in packets.
    fn continue_message(&mut self, target: Target, length: u32, from: u32, upto: u32) {
        let offsets = (from..upto).step_by(1416);
        for offset in offsets {
            let payload_len = 1416.min(length - offset);
            let body = Body::Data(data(length, offset, 40_000));
            self.probe.receive(target.from, target.port, target.sender_id, body, payload_len);
        }
    }

    /// Hands the application the request that has become complete, unless the attacker ended it.
    fn accept(&mut self) -> Option<RpcKey> {
        let events = self.probe.take_events();
        let is_complete = |event: &&Event| matches!(event, Event::RequestComplete { .. });
        let complete = events.iter().rfind(is_complete).copied();
        self.record.events.extend(events);
        let Some(Event::RequestComplete { key }) = complete else { return None };
        self.probe.endpoint.accept(self.probe.now, key);
        self.probe.drain();
        Some(key)
    }

    fn reply(&mut self, key: Option<RpcKey>, length: u32) {
        let now = self.probe.now;
        let _ = key.map(|key| self.probe.endpoint.send_reply(now, key, length));
        self.probe.drain();
    }

    fn into_record(mut self) -> Record {
        self.record.events.extend(self.probe.take_events());
        for (at, sent) in self.probe.take_sent_at() {
            let header = sent.header;
            let concerns = |target: &Target| {
                sent.peer == target.from.addr
                    && header.dest_port == target.from.port
                    && header.source_port == target.port
                    && header.sender_id == target.sender_id.flipped()
            };
            if self.targets.iter().any(concerns) {
                let payload = sent.payload.map(|(_, payload)| payload);
                self.record.sent.push((at, header, payload, sent.priority));
            }
        }
        self.record
    }
}

/// Calls to a server that tells its cutoffs, grants, asks again, keeps the host waiting, answers the
/// first call with a gap that must be asked for, and then falls silent.
pub(crate) fn calls(attack: Attack<'_>) -> Record {
    let mut story = Story::new(attack);
    let first = story.call(60_000);
    let target = story.targets[0];
    story.pass(2);
    let cutoffs =
        Cutoffs { cutoffs: [u32::MAX, 1_000_000, 50_000, 5_000, 500, 0, 0, 0], version: 77 };
    target.send(&mut story.probe, Body::Cutoffs(cutoffs));
    story.pass(1);
    target.send(&mut story.probe, Body::Grant(Grant::new(50_000, Priority::clamped(3))));
    story.pass(4);
    story.call(400);
    story.pass(8);
    target.send(&mut story.probe, Body::Busy);
    story.pass(7);
    target.send(&mut story.probe, Body::Grant(Grant::new(60_000, Priority::clamped(2))));
    story.pass(3);
    target.send(&mut story.probe, Body::Resend(Resend::new(1416, 3000, Priority::clamped(5))));
    story.pass(15);
    story.continue_message(target, 50_000, 0, 1416);
    story.continue_message(target, 50_000, 4 * 1416, 40_000);
    story.pass(12);
    story.continue_message(target, 50_000, 0, 50_000);
    story.pass(2);
    story.probe.endpoint.finish(story.probe.now, first);
    story.probe.drain();
    story.pass(2);
    // It takes the first one's ack along.
    story.call(3_000);
    story.pass(400);
    story.into_record()
}

/// Requests of a client: one is sent in two parts, answered at length, asked for again and
/// acknowledged; of others one is never completed, one never answered, and one never acknowledged.
pub(crate) fn requests(attack: Attack<'_>) -> Record {
    let mut story = Story::new(attack);
    let client = proven_client(&mut story.probe, 2);
    story.probe.take_sent();
    story.probe.take_events();
    story.begin_request(client, 10, 60_000);
    let target = story.targets[0];
    story.pass(3);
    story.continue_message(target, 60_000, 1416, 20_000);
    story.begin_request(client, 22, 60_000);
    story.pass(11);
    story.continue_message(target, 60_000, 0, 60_000);
    let first = story.accept();
    story.begin_request(client, 34, 100);
    story.accept();
    story.begin_request(client, 46, 200);
    let last = story.accept();
    story.pass(2);
    story.reply(first, 60_000);
    story.reply(last, 300);
    story.pass(3);
    target.send(&mut story.probe, Body::Grant(Grant::new(60_000, Priority::clamped(2))));
    story.pass(9);
    target.send(&mut story.probe, Body::Resend(Resend::new(1416, 3000, Priority::clamped(5))));
    story.pass(12);
    target.send(&mut story.probe, Body::Ack(AckList::new()));
    story.pass(400);
    story.into_record()
}
