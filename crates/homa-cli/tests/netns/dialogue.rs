//! What packets on a wire must have in common with those of the kernel implementation, and with what
//! the protocol decided.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

/// A packet as `homa decode --json` prints it.
#[derive(Debug)]
pub(crate) struct Packet(Value);

/// An endpoint: an address, and over UDP a port.
type End = (String, String);
/// A message: from whom to whom, and the client's id of its RPC.
type MessageName = (End, End, u64);

/// What passed so far.
#[derive(Debug, Default)]
pub(crate) struct Dialogue {
    /// Cutoffs that an endpoint told another, by version.
    cutoffs: HashMap<(End, End, u64), Vec<u64>>,
    messages: HashMap<MessageName, Message>,
    /// RPCs for which the server asked for an ACK that it has not got yet.
    ack_needed: BTreeSet<(End, u64)>,
    pub(crate) tally: Tally,
}

/// How often, and with which priorities.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) by_kind: BTreeMap<String, u64>,
    pub(crate) unscheduled_levels: BTreeSet<u64>,
    pub(crate) scheduled_levels: BTreeSet<u64>,
    pub(crate) retransmitted: u64,
    /// DATA that echoed a version of cutoffs.
    pub(crate) versions_echoed: u64,
}

/// One message.
#[derive(Debug, Default)]
struct Message {
    length: Option<u64>,
    unscheduled: u64,
    /// Bytes that were sent for the first time, if none was lost before the capture.
    next: u64,
    grants: Vec<Grant>,
    /// The GRANT in force, as its sender shows by obeying it.
    obeyed: usize,
    resends: Vec<Resend>,
    /// The receiver asked anew for all.
    unknown: bool,
}

/// What a GRANT allows: bytes before an offset.
#[derive(Debug)]
struct Grant {
    offset: u64,
    priority: u64,
}

/// What a RESEND asks for.
#[derive(Debug)]
struct Resend {
    start: u64,
    /// `None` for the message's end.
    end: Option<u64>,
    priority: u64,
}

impl Packet {
    pub(crate) fn parse(line: &str) -> Self {
        let packet: Value = serde_json::from_str(line).expect(line);
        Self(packet)
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("type")
    }

    /// The priority level: the upper three bits of the traffic class (WIRE section 8).
    fn level(&self) -> u64 {
        let class = self.traffic_class();
        assert_eq!(class & 0x1f, 0, "{self:?}");
        class >> 5
    }

    pub(crate) fn traffic_class(&self) -> u64 {
        hexadecimal(self.text("tos"))
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_else(|| panic!("no text {name}: {self:?}"))
    }

    fn number(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("no number {name}: {self:?}"))
    }

    /// As text, for numbers of JSON are not exact beyond 2^53.
    fn id(&self) -> u64 {
        self.text("id").parse().unwrap_or_else(|_| panic!("no id: {self:?}"))
    }

    fn is_true(&self, name: &str) -> bool {
        self.0[name].as_bool().unwrap_or_else(|| panic!("no flag {name}: {self:?}"))
    }

    /// Sender and receiver. With the Homa port of the RPC removed, for one endpoint has many.
    fn ends(&self) -> (End, End) {
        let ip = |end: &str| end.rsplit_once(':').expect("a port").0.to_owned();
        let (source, dest) = match self.text("via").strip_prefix("udp/") {
            Some(ports) => ports.split_once('-').expect("two ports"),
            None => ("", ""),
        };
        ((ip(self.text("from")), source.to_owned()), (ip(self.text("to")), dest.to_owned()))
    }

    /// The client's number of the RPC.
    fn client_id(&self) -> u64 {
        self.id() & !1
    }

    /// The message of which this is DATA.
    fn own_message(&self) -> MessageName {
        let (from, to) = self.ends();
        (from, to, self.client_id())
    }

    /// The message about which this speaks, as its receiver.
    fn peers_message(&self) -> MessageName {
        let (from, to) = self.ends();
        (to, from, self.client_id())
    }

    /// Client ids of the RPCs that this acknowledges.
    fn acked(&self) -> Vec<u64> {
        let id = |ack: &Value| {
            let (id, _) = ack.as_str().expect("an ack").split_once('@').expect("with a port");
            id.parse().expect("an id")
        };
        match self.kind() {
            "DATA" => {
                Some(&self.0["ack"]).filter(|ack| !ack.is_null()).map(id).into_iter().collect()
            }
            // Of the RPC that it is sent for, and of those that it names.
            "ACK" => {
                let named = self.0["acks"].as_array().expect("a list").iter().map(id);
                named.chain([self.client_id()]).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Dialogue {
    /// Checks the next packet.
    ///
    /// # Panics
    ///
    /// No correct implementation sends it at this point, or not with its priority.
    pub(crate) fn follow(&mut self, packet: &Packet) {
        *self.tally.by_kind.entry(packet.kind().to_owned()).or_default() += 1;
        check_overlay(packet);
        for id in packet.acked() {
            self.ack_needed.remove(&(packet.ends().1, id));
        }
        if packet.kind() == "DATA" {
            return self.follow_data(packet);
        }
        assert_eq!(packet.level(), 7, "control packets have the highest level: {packet:?}");
        match packet.kind() {
            "GRANT" => self.follow_grant(packet),
            "RESEND" => {
                let (start, priority) = (packet.number("offset"), packet.number("priority"));
                let end = packet.0["length"].as_u64().map(|length| start + length);
                let message = self.messages.entry(packet.peers_message()).or_default();
                message.resends.push(Resend { start, end, priority });
            }
            "RPC_UNKNOWN" => {
                self.messages.entry(packet.peers_message()).or_default().unknown = true;
            }
            "CUTOFFS" => self.follow_cutoffs(packet),
            "NEED_ACK" => {
                assert_eq!(packet.id() % 2, 1, "servers need ACKs: {packet:?}");
                self.ack_needed.insert((packet.ends().0, packet.client_id()));
            }
            "ACK" | "BUSY" => {}
            kind => panic!("an unexpected {kind}: {packet:?}"),
        }
    }

    /// RPCs for which a server waits for an ACK in vain.
    pub(crate) fn acks_missing(&self) -> usize {
        self.ack_needed.len()
    }

    fn follow_cutoffs(&mut self, packet: &Packet) {
        let (from, to) = packet.ends();
        let cutoffs = packet.0["cutoffs"].as_array().expect("eight numbers").iter();
        let cutoffs: Vec<u64> = cutoffs.map(|cutoff| cutoff.as_u64().expect("a number")).collect();
        assert!(cutoffs.len() == 8 && cutoffs.is_sorted_by(|low, high| low >= high), "{packet:?}");
        let version = packet.number("cutoff_version");
        assert_ne!(version, 0, "0 means none: {packet:?}");
        let told = self.cutoffs.insert((from, to, version), cutoffs.clone());
        assert!(
            told.is_none_or(|told| told == cutoffs),
            "other cutoffs of one version: {packet:?}"
        );
    }

    /// PROTOCOL section 8: never less than before, never beyond the message's end.
    fn follow_grant(&mut self, packet: &Packet) {
        let message = self.messages.entry(packet.peers_message()).or_default();
        let offset = packet.number("offset");
        let last = message.grants.last().map_or(0, |grant| grant.offset);
        assert!(offset >= last, "after {last}: {packet:?}");
        assert!(message.length.is_none_or(|length| offset <= length), "{message:?} {packet:?}");
        message.grants.push(Grant { offset, priority: packet.number("priority") });
    }

    fn follow_data(&mut self, packet: &Packet) {
        let (offset, payload) = (packet.number("offset"), packet.number("length"));
        let (length, end) = (packet.number("message_length"), offset + payload);
        assert!(payload > 0 && end <= length, "{packet:?}");
        let by_length = self.level_by_length(packet, length);
        let message = self.messages.entry(packet.own_message()).or_default();
        assert_eq!(*message.length.get_or_insert(length), length, "{packet:?}");
        if packet.is_true("retransmit") {
            self.tally.retransmitted += 1;
            return message.check_retransmission(packet, by_length);
        }
        // Two packets of equal length are the same message's only once.
        assert!(offset >= message.next, "sent for the first time twice: {message:?} {packet:?}");
        message.next = end;
        message.unscheduled = packet.number("incoming");
        assert_eq!(message.unscheduled, length.min(40_000), "{packet:?}");
        if offset < message.unscheduled {
            assert_eq!(packet.level(), by_length, "unscheduled: {packet:?}");
            assert!(end <= message.unscheduled, "an ungranted byte: {packet:?}");
            self.tally.unscheduled_levels.insert(packet.level());
        } else {
            message.check_scheduled(packet);
            self.tally.scheduled_levels.insert(packet.level());
        }
    }

    /// The level for unscheduled bytes by what the receiver told of itself, as the packet claims to
    /// know it (HOMA-CUTOFFS-2); the second highest before it told anything (PROTOCOL section 9).
    fn level_by_length(&mut self, packet: &Packet, length: u64) -> u64 {
        let version = packet.number("cutoff_version");
        if version == 0 {
            return 6;
        }
        self.tally.versions_echoed += 1;
        let (from, to) = packet.ends();
        let told = self.cutoffs.get(&(to, from, version));
        let told = told.unwrap_or_else(|| panic!("no such cutoffs were told: {packet:?}"));
        told.iter().rposition(|cutoff| *cutoff >= length).unwrap_or(0) as u64
    }
}

impl Message {
    /// A scheduled packet has the priority of the latest GRANT that its sender has received
    /// (HOMA-PRIO-2): of one of those that passed, in their order; before the first, the lowest.
    fn check_scheduled(&mut self, packet: &Packet) {
        // Asking again for what was never granted grants it, since a GRANT was lost.
        let asked = self.resends.iter().filter_map(|resend| resend.end);
        let granted = self.grants.iter().map(|grant| grant.offset).chain(asked).max().unwrap_or(0);
        assert!(packet.number("offset") < granted, "granted {granted}: {packet:?}");
        let level = packet.level();
        if level == 0 && self.obeyed == 0 {
            return;
        }
        let later = self.grants[self.obeyed..].iter().position(|grant| grant.priority == level);
        let later = later.unwrap_or_else(|| panic!("no GRANT says so: {self:?} {packet:?}"));
        self.obeyed += later;
    }

    /// A retransmission has the priority of the RESEND that asked for it, or that of unscheduled
    /// bytes if all was asked for anew (PROTOCOL sections 5 and 6).
    fn check_retransmission(&self, packet: &Packet, by_length: u64) {
        let start = packet.number("offset");
        let (end, level) = (start + packet.number("length"), packet.level());
        let asked = self.resends.iter().any(|resend| {
            let overlaps = resend.start < end && resend.end.is_none_or(|asked| start < asked);
            overlaps && resend.priority == level
        });
        let anew = self.unknown && level == by_length;
        assert!(asked || anew, "nobody asked for that: {self:?} {packet:?}");
    }
}

/// The fields where TCP's are (WIRE section 2).
fn check_overlay(packet: &Packet) {
    let is_data = packet.kind() == "DATA";
    let offset = if is_data { packet.number("offset") } else { 0 };
    assert_eq!(packet.number("seq"), offset, "{packet:?}");
    assert_eq!(packet.number("doff"), if is_data { 14 } else { 5 }, "{packet:?}");
    assert_eq!(packet.text("flags"), "0x06", "{packet:?}");
    assert_eq!(packet.text("urgent"), "0xb97d", "{packet:?}");
    assert_eq!((packet.number("tcp_ack"), packet.number("window")), (0, 0), "{packet:?}");
    if is_data {
        assert_eq!(packet.number("seg_offset"), offset, "{packet:?}");
    }
}

/// A number such as `0xe0`.
pub(crate) fn hexadecimal(text: &str) -> u64 {
    let digits = text.strip_prefix("0x").expect("0x");
    u64::from_str_radix(digits, 16).expect("hexadecimal digits")
}
