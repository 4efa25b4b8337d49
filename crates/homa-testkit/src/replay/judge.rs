//! Whether a host does what a correct one would, packet by packet.
//!
//! The judge is told of every packet that the endpoint takes in and sends, and of what its
//! application does. It derives from that what is owed in answer, keeps its own account of each RPC
//! ([`super::model`]), and panics at the first packet that should not have been sent, or was not
//! sent when it was due.

use super::capture::Side;
use super::model::{Incoming, Outgoing, Rpc};
use homa_proto::{Config, Duration, Header, Instant, Payload, Priority, Transmit};
use homa_wire::{ACKS_MAX, Ack, Body, Cutoffs, Data, Grant, Resend, RpcId, Version};
use std::collections::{BTreeMap, BTreeSet};

/// What a received packet, or the application, makes due at once.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    RpcUnknown,
    Busy,
    /// An ACK of the RPC and of others.
    Ack(Vec<u64>),
    /// A packet sent again.
    Again(Payload, Priority),
    Cutoffs,
}

/// Ports of the two hosts.
pub(super) const SERVER_PORT: u16 = 4000;
pub(super) const CLIENT_PORT: u16 = 32_768;

/// Deadlines are met this late at the most.
const GRANULARITY: Duration = Duration::from_millis(1);

/// The account of one host.
#[derive(Debug)]
pub(super) struct Judge {
    role: Side,
    config: Config,
    now: Instant,
    /// RPCs that are open, by client id.
    pub(super) rpcs: BTreeMap<u64, Rpc>,
    /// Those of which the application got the whole message.
    pub(super) completed: BTreeSet<u64>,
    /// Those that ended.
    ended: BTreeSet<u64>,
    /// What is due now: the client id of the RPC, and the answer.
    due: Vec<(u64, Answer)>,
    /// The other side's cutoffs, once known.
    cutoffs: Option<Cutoffs>,
    /// When CUTOFFS were last sent, and with which version.
    told: Option<(Instant, u16)>,
    /// Finished calls of which the server does not know yet, in order.
    pending_acks: Vec<u64>,
    /// Calls that were acknowledged, in whatever packet.
    acked: BTreeSet<u64>,
}

impl Judge {
    pub(super) fn new(role: Side, config: Config, now: Instant) -> Self {
        Self {
            role,
            config,
            now,
            rpcs: BTreeMap::new(),
            completed: BTreeSet::new(),
            ended: BTreeSet::new(),
            due: Vec::new(),
            cutoffs: None,
            told: None,
            pending_acks: Vec::new(),
            acked: BTreeSet::new(),
        }
    }

    /// The application makes a call.
    pub(super) fn called(&mut self, now: Instant, id: u64, length: u32) {
        let mut rpc = Rpc::new(now);
        rpc.outgoing = Some(Outgoing::new(length, self.config.unscheduled_bytes));
        self.rpcs.insert(id, rpc);
    }

    /// The application replies.
    pub(super) fn replied(&mut self, now: Instant, id: u64, length: u32) {
        let rpc = self.rpcs.get_mut(&id).expect("a request in service is open");
        rpc.outgoing = Some(Outgoing::new(length, self.config.unscheduled_bytes));
        rpc.since = now;
        rpc.probed = None;
    }

    /// The application is told that a message is complete.
    pub(super) fn completed(&mut self, id: u64) {
        assert!(self.completed.insert(id), "{id} reached the application twice");
        let rpc = self.rpcs.get_mut(&id).unwrap_or_else(|| panic!("{id} is not open"));
        assert!(rpc.is_complete(), "{id} is not complete");
        rpc.reported = true;
    }

    /// The application takes a response: the call ends, and its ack is due with later packets.
    pub(super) fn finished(&mut self, id: u64) {
        self.end(id);
        if self.pending_acks.len() == ACKS_MAX {
            let acks = std::mem::take(&mut self.pending_acks);
            self.due.push((id, Answer::Ack(acks)));
        } else {
            self.pending_acks.push(id);
        }
    }

    /// The endpoint takes in a packet.
    pub(super) fn received(&mut self, now: Instant, header: &Header, payload_len: u32) {
        self.now = now;
        let id = header.sender_id.0 & !1;
        match header.body {
            Body::Data(data) => self.received_data(id, &data, payload_len),
            Body::Grant(grant) => self.received_grant(id, &grant),
            Body::Resend(resend) => self.received_resend(id, &resend),
            Body::RpcUnknown => self.received_unknown(id),
            Body::Busy => self.renew(id),
            Body::Cutoffs(cutoffs) => self.cutoffs = Some(cutoffs),
            Body::NeedAck => self.received_need_ack(id),
            Body::Ack(acks) => {
                let listed = acks.iter().map(|ack| ack.client_id.0);
                std::iter::once(id).chain(listed).for_each(|id| self.acknowledged(id));
            }
            Body::Freeze | Body::Refuse(_) => panic!("not in any capture"),
        }
    }

    /// The endpoint sends a packet.
    pub(super) fn sent(&mut self, now: Instant, transmit: &Transmit) {
        self.now = now;
        let header = &transmit.header;
        check_form(header);
        let (ports, low_bit) = match self.role {
            Side::Client => ((CLIENT_PORT, SERVER_PORT), 0),
            Side::Server => ((SERVER_PORT, CLIENT_PORT), 1),
        };
        assert_eq!((header.source_port, header.dest_port), ports);
        assert_eq!(header.sender_id.0 & 1, low_bit, "{header:?}: the id as the sender numbers it");
        let id = header.sender_id.0 & !1;
        if !matches!(header.body, Body::Data(_)) {
            assert_eq!(transmit.priority, Priority::HIGHEST, "{header:?}: HOMA-PRIO-10");
        }
        match header.body {
            Body::Data(data) => self.sent_data(id, &data, transmit),
            Body::Grant(grant) => self.sent_grant(id, &grant),
            Body::Resend(resend) => self.sent_resend(id, &resend),
            Body::RpcUnknown => self.answered(id, &Answer::RpcUnknown),
            Body::Busy => self.answered(id, &Answer::Busy),
            Body::NeedAck => self.sent_need_ack(id),
            Body::Ack(acks) => {
                let listed = acks.iter().map(|ack| ack.client_id.0).collect();
                self.answered(id, &Answer::Ack(listed));
            }
            Body::Cutoffs(cutoffs) => {
                self.answered(id, &Answer::Cutoffs);
                assert_ne!(cutoffs.version, 0, "0 means none (KNOWN_ISSUES 1.12)");
                self.told = Some((now, cutoffs.version));
            }
            Body::Freeze | Body::Refuse(_) => panic!("nothing gives cause for {header:?}"),
        }
    }

    /// The endpoint has nothing more to send or to say for now.
    pub(super) fn settled(&mut self, now: Instant) {
        self.now = now;
        let may_wait = |answer: &Answer| self.config.pacing && matches!(answer, Answer::Again(..));
        let late: Vec<_> = self.due.iter().filter(|due| !may_wait(&due.1)).collect();
        assert!(late.is_empty(), "{now:?}: not answered: {late:?}");
        for (&id, rpc) in &self.rpcs {
            assert_eq!(rpc.is_complete(), rpc.reported, "{id}: the application must know");
            self.check_patience(id, rpc);
        }
        self.check_window();
    }

    /// The version of our cutoffs that a correct peer echoes instead of the recorded one.
    pub(super) fn version_told(&self) -> u16 {
        self.told.map_or(0, |(_, version)| version)
    }

    /// At the end of the recording: all that was permitted was sent, and all that was asked for again.
    pub(super) fn check_end(&self) {
        assert!(self.due.is_empty(), "never sent again: {:?}", self.due);
        for (id, rpc) in &self.rpcs {
            let behind = rpc.outgoing.as_ref().is_some_and(Outgoing::is_behind);
            assert!(!behind, "{id}: {:?}", rpc.outgoing);
        }
    }

    fn received_data(&mut self, id: u64, data: &Data, payload_len: u32) {
        if self.role == Side::Server && !self.ended.contains(&id) {
            self.rpcs.entry(id).or_insert_with(|| Rpc::new(self.now));
        }
        // The first DATA of a response ends the request's life.
        if self.role == Side::Client {
            self.forget_again(id);
        }
        if let Some(rpc) = self.rpcs.get_mut(&id) {
            if self.role == Side::Client {
                rpc.outgoing = None;
            }
            let incoming = rpc
                .incoming
                .get_or_insert_with(|| Incoming::new(data.message_length, data.incoming));
            if !incoming.is_complete() {
                incoming.add(data.offset, data.offset + payload_len);
                self.renew(id);
            }
            self.cutoffs_due(id, data.cutoff_version);
        }
        if let Some(ack) = data.ack {
            self.acknowledged(ack.client_id.0);
        }
    }

    /// Cutoffs that are not ours are answered by ours, not twice within the spacing
    /// (HOMA-CUTOFFS-10).
    fn cutoffs_due(&mut self, id: u64, version: u16) {
        let is_ours = self.told.is_some_and(|(_, ours)| ours == version);
        let spacing = self.config.timing.cutoffs_spacing;
        let recently = self.told.is_some_and(|(at, _)| self.now.saturating_since(at) < spacing);
        if !is_ours && !recently {
            self.due.push((id, Answer::Cutoffs));
        }
    }

    fn received_grant(&mut self, id: u64, grant: &Grant) {
        let Some(out) = self.rpcs.get_mut(&id).and_then(|rpc| rpc.outgoing.as_mut()) else {
            return;
        };
        out.granted = out.granted.max(grant.offset.min(out.length));
        out.scheduled_priority = grant.priority;
        self.renew(id);
    }

    /// PROTOCOL section 5, "RESEND", with BUSY once the response has begun (DRAFT section 3).
    fn received_resend(&mut self, id: u64, resend: &Resend) {
        let Some(rpc) = self.rpcs.get_mut(&id) else {
            self.due.push((id, Answer::RpcUnknown));
            return;
        };
        let Some(out) = rpc.outgoing.as_mut() else {
            self.due.push((id, Answer::Busy));
            return;
        };
        let end = match resend.length {
            Resend::ALL => out.next,
            length => resend.offset + length,
        };
        let priority = resend.priority.unwrap_or(Priority::HIGHEST);
        let packets = out.packets_sent(resend.offset, end);
        let is_unsent = resend.offset >= out.next;
        out.granted = out.granted.max(end.min(out.length));
        self.due_again(id, packets, priority);
        if is_unsent {
            self.due.push((id, Answer::Busy));
        }
    }

    /// PROTOCOL section 5, "RPC_UNKNOWN".
    fn received_unknown(&mut self, id: u64) {
        if self.role == Side::Server {
            self.end(id);
            return;
        }
        let (now, spacing) = (self.now, self.config.timing.gap_patience_min);
        let Some(rpc) = self.rpcs.get_mut(&id) else { return };
        let Some(out) = &rpc.outgoing else { return };
        if rpc.restarted.is_some_and(|at| now.saturating_since(at) < spacing) {
            return;
        }
        rpc.restarted = Some(now);
        rpc.since = now;
        let packets = out.packets_sent(0, out.next);
        let priority = unscheduled_priority(self.cutoffs.as_ref(), out.length);
        self.due_again(id, packets, priority);
    }

    /// Packets are asked for again. Those of the same message that still wait for the pacer are sent
    /// once, all at the priority named last.
    fn due_again(&mut self, id: u64, packets: Vec<Payload>, priority: Priority) {
        if packets.is_empty() {
            return;
        }
        for (_, answer) in self.due.iter_mut().filter(|due| due.0 == id) {
            if let Answer::Again(_, waiting) = answer {
                *waiting = priority;
            }
        }
        for packet in packets {
            let due = (id, Answer::Again(packet, priority));
            if !self.due.contains(&due) {
                self.due.push(due);
            }
        }
    }

    /// The message will not be sent any further.
    fn forget_again(&mut self, id: u64) {
        self.due.retain(|due| due.0 != id || !matches!(due.1, Answer::Again(..)));
    }

    /// HOMA-NEEDACK-6, HOMA-NEEDACK-8, HOMA-NEEDACK-9. What was asked for lately need not be asked for
    /// again at once.
    fn received_need_ack(&mut self, id: u64) {
        let (now, round_trip) = (self.now, self.config.timing.resend_interval);
        match self.rpcs.get_mut(&id) {
            Some(rpc) if !rpc.is_complete() => {
                let lately = rpc.probed.is_some_and(|at| now.saturating_since(at) <= round_trip);
                if rpc.is_owed_data() && !lately {
                    rpc.asked.get_or_insert(now);
                }
            }
            _ => {
                let mut acks = std::mem::take(&mut self.pending_acks);
                acks.reverse();
                self.due.push((id, Answer::Ack(acks)));
            }
        }
    }

    /// The client is done with an RPC: it ends, if the whole response was sent.
    fn acknowledged(&mut self, id: u64) {
        let out = self.rpcs.get(&id).and_then(|rpc| rpc.outgoing.as_ref());
        if self.role == Side::Server && out.is_some_and(Outgoing::is_sent) {
            self.end(id);
        }
    }

    fn sent_data(&mut self, id: u64, data: &Data, transmit: &Transmit) {
        let (_, payload) = transmit.payload.expect("no DATA here is an announcement");
        assert_eq!(data.offset, payload.start);
        let version = self.cutoffs.as_ref().map_or(0, |cutoffs| cutoffs.version);
        assert_eq!(data.cutoff_version, version, "{id}: echoed (HOMA-CUTOFFS-7)");
        if data.retransmit {
            self.answered(id, &Answer::Again(payload, transmit.priority));
            assert_eq!((data.incoming, data.ack), (payload.end, None), "{id}");
            return;
        }
        let ack = self.pending_acks.pop();
        let expected = ack.map(|id| Ack { client_id: RpcId(id), server_port: SERVER_PORT });
        assert_eq!(data.ack, expected, "{id}: the latest finished call is acknowledged, once");
        self.note_acked(ack);
        let now = self.now;
        let cutoffs = self.cutoffs;
        let out = self.rpcs.get_mut(&id).and_then(|rpc| {
            rpc.since = now;
            rpc.outgoing.as_mut()
        });
        let out = out.unwrap_or_else(|| panic!("{id}: nothing to send"));
        assert_eq!((data.message_length, data.incoming), (out.length, out.unscheduled), "{id}");
        assert_eq!(payload.start, out.next, "{id}: in order");
        assert_eq!(payload, out.packet_at(out.next), "{id}: the boundaries of kernel packets");
        assert!(payload.start < out.granted, "{id}: {payload:?} of {} granted", out.granted);
        let priority = if payload.start < out.unscheduled {
            unscheduled_priority(cutoffs.as_ref(), out.length)
        } else {
            out.scheduled_priority
        };
        assert_eq!(transmit.priority, priority, "{id}: {payload:?} with {cutoffs:?}");
        out.next = payload.end;
    }

    /// HOMA-GRANT-7: more each time, within the message.
    fn sent_grant(&mut self, id: u64, grant: &Grant) {
        let now = self.now;
        let rpc = self.rpcs.get_mut(&id).unwrap_or_else(|| panic!("{id}: {grant:?}, not open"));
        let incoming = rpc.incoming.as_mut().expect("a message that needs grants");
        assert!(grant.offset > incoming.granted, "{id}: {grant:?} after {}", incoming.granted);
        assert!(grant.offset <= incoming.length(), "{id}: {grant:?} beyond the message");
        assert!(!incoming.is_complete(), "{id}: {grant:?} though complete");
        incoming.granted = grant.offset;
        rpc.since = now;
    }

    /// PROTOCOL section 5, "Sending RESENDs": only what is missing and permitted.
    fn sent_resend(&mut self, id: u64, resend: &Resend) {
        let (now, patience) = (self.now, self.config.timing.gap_patience_min);
        let rpc = self.rpcs.get_mut(&id).unwrap_or_else(|| panic!("{id}: {resend:?}, not open"));
        assert!(rpc.is_owed_data(), "{id}: {resend:?}, but nothing is missing");
        assert_eq!(resend.priority, Some(Priority::HIGHEST));
        match &rpc.incoming {
            None => assert!(resend.is_all() || (resend.offset, resend.length) == (0, 100)),
            Some(incoming) => {
                let end = resend.offset + resend.length;
                assert!(end <= incoming.granted, "{id}: {resend:?} of {}", incoming.granted);
                assert!(incoming.is_missing(resend.offset, end), "{id}: {resend:?} has arrived");
            }
        }
        let again = rpc.probed.is_some_and(|at| at != now && now.saturating_since(at) < patience);
        assert!(!again, "{id}: {resend:?} at {now:?} after {:?}", rpc.probed);
        rpc.probed = Some(now);
        rpc.since = now;
        rpc.asked = None;
    }

    /// HOMA-NEEDACK-1: after the whole response, in good time, and not more often than that.
    fn sent_need_ack(&mut self, id: u64) {
        let (now, delay) = (self.now, self.config.timing.need_ack_delay);
        let rpc = self.rpcs.get_mut(&id).unwrap_or_else(|| panic!("{id}: NEED_ACK, not open"));
        let sent = rpc.outgoing.as_ref().is_some_and(Outgoing::is_sent);
        assert!(sent, "{id}: NEED_ACK before the whole response: {:?}", rpc.outgoing);
        assert!(now.saturating_since(rpc.since) >= delay, "{id}: too early: {:?}", rpc.since);
        rpc.probed = Some(now);
        rpc.need_acks += 1;
        rpc.since = now;
    }

    /// Something leaves that must be due.
    fn answered(&mut self, id: u64, answer: &Answer) {
        let at = self.due.iter().position(|due| due.0 == id && due.1 == *answer);
        let at = at.unwrap_or_else(|| panic!("{id}: {answer:?} is not due, but {:?}", self.due));
        self.due.remove(at);
        let now = self.now;
        match answer {
            Answer::Ack(listed) => listed.iter().for_each(|&id| self.note_acked(Some(id))),
            Answer::Again(..) => {
                if let Some(rpc) = self.rpcs.get_mut(&id) {
                    rpc.since = now;
                }
            }
            _ => {}
        }
    }

    fn note_acked(&mut self, id: Option<u64>) {
        if let Some(id) = id {
            assert!(self.acked.insert(id), "{id} acknowledged twice");
        }
    }

    fn renew(&mut self, id: u64) {
        if let Some(rpc) = self.rpcs.get_mut(&id) {
            rpc.since = self.now;
            rpc.asked = None;
        }
    }

    fn end(&mut self, id: u64) {
        self.rpcs.remove(&id);
        self.ended.insert(id);
        self.forget_again(id);
    }

    /// What is missing is asked for in time.
    fn check_patience(&self, id: u64, rpc: &Rpc) {
        let timing = &self.config.timing;
        let waited = self.now.saturating_since(rpc.since);
        if rpc.is_owed_data() && !rpc.is_complete() {
            let limit = timing.resend_interval_max + GRANULARITY;
            assert!(waited <= limit, "{id}: no RESEND at {:?} for {waited:?}", self.now);
        }
        if let Some(asked) = rpc.asked {
            let waited = self.now.saturating_since(asked);
            assert!(waited <= GRANULARITY, "{id}: no answer to NEED_ACK for {waited:?}");
        }
        if rpc.outgoing.as_ref().is_some_and(Outgoing::is_sent) && self.role == Side::Server {
            let delay = timing.need_ack_delay.saturating_mul(1 << rpc.need_acks.min(16));
            let limit = delay.min(timing.need_ack_delay_max) + GRANULARITY;
            assert!(waited <= limit, "{id}: no NEED_ACK for {waited:?}");
        }
    }

    /// PROTOCOL section 8: what is on its way stays within the limit, and with one message to
    /// grant, its window of half the limit is kept open, less what is too little for a GRANT.
    fn check_window(&self) {
        let max = self.config.grants.incoming_bytes_max;
        let incoming = self.rpcs.values().filter_map(|rpc| rpc.incoming.as_ref());
        let open: Vec<_> = incoming.filter(|incoming| !incoming.is_complete()).collect();
        let on_its_way: u64 = open.iter().map(|message| u64::from(message.on_its_way())).sum();
        assert!(on_its_way <= max, "{on_its_way} bytes on their way");
        if let [message] = open[..] {
            let window = max / 2;
            let on_its_way = u64::from(message.on_its_way());
            let full = on_its_way + u64::from(self.config.grants.grant_increment_bytes) > window;
            assert!(full || message.granted >= message.length(), "not granted: {on_its_way}");
            let unscheduled = u64::from(self.config.unscheduled_bytes);
            assert!(on_its_way <= window.max(unscheduled), "{on_its_way} for one message");
        }
    }
}

/// PROTOCOL section 9: the highest level whose cutoff is not below the length; without cutoffs, the
/// level below the highest.
fn unscheduled_priority(cutoffs: Option<&Cutoffs>, length: u32) -> Priority {
    let level = match cutoffs {
        None => 6,
        Some(known) => (1..8).rev().find(|&level| known.cutoffs[level] >= length).unwrap_or(0),
    };
    Priority::clamped(u8::try_from(level).expect("one of eight"))
}

/// What is written is a legal packet that reads back as the same.
fn check_form(header: &Header) {
    let mut packet = [0; homa_wire::HEADER_LEN_MAX];
    let length = header.emit(Version::V1, &mut packet).expect("legal");
    let (read, _) = Header::parse(&packet[..length], Version::V1).expect("legal");
    assert_eq!((read.body, read.sender_id), (header.body, header.sender_id));
}
