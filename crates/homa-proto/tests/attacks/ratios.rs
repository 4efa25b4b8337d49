//! What each type of packet draws onto the address that it bears, measured: the table in
//! `docs/security.md`. It is printed by
//!
//! `cargo test -p homa-proto --test attacks ratios -- --nocapture`

use super::{bytes, header_bytes};
use homa_proto::{Config, Duration, Header, Priority, RefuseReason, RpcId};
use homa_testkit::{Probe, Remote, data};
use homa_wire::{AckList, Body, Cutoffs, Data, Grant, PacketType, Refuse, Resend};

/// Packets per second of the attacker, from one forged address.
const RATE: u64 = 1_000;

/// Besides three times what was sent, an unproven peer draws this much per second.
const WINDOW: u64 = 40_000;

/// What the attacker has done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Nothing: packets name no RPC.
    Nothing,
    /// It sent requests, whose responses are long.
    Requests,
    /// It sent beginnings of requests.
    Beginnings,
    /// A request of its was executed and acknowledged.
    Acknowledged,
}

struct Row {
    what: &'static str,
    before: Before,
    body: Body,
    payload_len: u32,
    /// Each packet names another RPC.
    is_new: bool,
}

fn row(what: &'static str, before: Before, body: Body) -> Row {
    Row { what, before, body, payload_len: 0, is_new: before == Before::Nothing }
}

fn rows() -> Vec<Row> {
    let request = |what, length, payload_len| {
        let body = Body::Data(data(length, 0, length));
        Row { what, before: Before::Nothing, body, payload_len, is_new: true }
    };
    let again = Data { retransmit: true, ..data(1, 0, 1) };
    let mut rows = vec![
        request("whole request, response of 900,000 B", 1, 1),
        request("first byte of a request of 1,000,000 B", 1_000_000, 1),
        request("request longer than allowed", 2_000_000, 1),
        Row {
            what: "retransmission of a finished request",
            before: Before::Acknowledged,
            body: Body::Data(again),
            payload_len: 1,
            is_new: false,
        },
    ];
    let bodies = [
        Body::Grant(Grant::new(900_000, Priority::HIGHEST)),
        Body::Resend(Resend::all(Priority::HIGHEST)),
        Body::RpcUnknown,
        Body::Busy,
        Body::Cutoffs(Cutoffs { cutoffs: [u32::MAX; 8], version: 1 }),
        Body::Freeze,
        Body::NeedAck,
        Body::Ack(AckList::new()),
        Body::Refuse(Refuse { reason: RefuseReason::NoPort, detail: 0 }),
    ];
    for body in bodies {
        rows.push(row("of no RPC", Before::Nothing, body));
        rows.push(row("of a response", Before::Requests, body));
        rows.push(row("of a request that arrives", Before::Beginnings, body));
    }
    rows
}

/// Bytes, of Homa headers and payload.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    /// What the attacker sent before, and what that alone drew.
    sent_before: u64,
    drawn_before: u64,
    /// What it sent then, within a second, and what more it drew.
    sent: u64,
    drawn: u64,
}

impl Measured {
    fn of(row: &Row, limited: bool) -> Self {
        let before = Self::with_packets(row, limited, 0);
        let all = Self::with_packets(row, limited, RATE);
        Self { drawn_before: before.drawn, drawn: all.drawn.saturating_sub(before.drawn), ..all }
    }

    fn with_packets(row: &Row, limited: bool, packets: u64) -> Self {
        let mut config = Config::default();
        config.pacing = false;
        config.limits.outgoing_bytes_max = 1 << 40;
        config.amplification = config.amplification.filter(|_| limited);
        let mut probe = Probe::new(&config);
        let victim = Remote::client(1);
        let sent_before = prepare(&mut probe, victim, row.before);
        let mut measured = Self { sent_before, ..Self::default() };
        measured.drawn += take_bytes(&mut probe);
        for n in 0..RATE {
            if n < packets {
                measured.sent += row.send(&mut probe, victim, n);
            }
            probe.advance(Duration::from_micros(1_000_000 / RATE));
            measured.drawn += take_bytes(&mut probe);
        }
        measured
    }

    fn ratio(&self) -> f64 {
        self.drawn as f64 / self.sent as f64
    }
}

impl Row {
    /// Sends the packet for the nth time; returns its bytes.
    fn send(&self, probe: &mut Probe, victim: Remote, n: u64) -> u64 {
        // What servers send bears an odd id.
        let from_server = matches!(self.body, Body::NeedAck | Body::Refuse(_));
        let id = if self.is_new { 1_000 + 2 * n + u64::from(from_server) } else { 2 + 2 * (n % 8) };
        probe.request(victim, id, self.body, self.payload_len);
        if let Some(key) = probe.complete_request() {
            probe.endpoint.accept(probe.now, key);
            probe.reply(key, 900_000);
        }
        bytes_of(self.body) + u64::from(self.payload_len)
    }
}

fn bytes_of(body: Body) -> u64 {
    header_bytes(&Header::new(1, 1, RpcId(1), body))
}

fn take_bytes(probe: &mut Probe) -> u64 {
    probe.take_sent().iter().map(bytes).sum()
}

/// Does what the attacker did before; returns the bytes that it sent for that.
fn prepare(probe: &mut Probe, victim: Remote, before: Before) -> u64 {
    let mut sent = 0;
    for id in (2..18).step_by(2) {
        let length = if before == Before::Beginnings { 60_000 } else { 1 };
        let body = Body::Data(data(length, 0, length));
        if before != Before::Nothing {
            probe.request(victim, id, body, 1);
            sent += bytes_of(body) + 1;
        }
        let Some(key) = probe.complete_request() else { continue };
        probe.endpoint.accept(probe.now, key);
        probe.reply(key, if before == Before::Acknowledged { 1 } else { 900_000 });
        if before == Before::Acknowledged {
            let ack = Body::Ack(AckList::new());
            probe.request(victim, id, ack, 0);
            sent += bytes_of(ack);
        }
    }
    sent
}

#[test]
fn ratios__of_every_type_stay_below_the_limit() {
    println!("| packet | | sent | drawn, no limit | per byte | drawn | per byte |");
    println!("|---|---|---|---|---|---|---|");
    let mut seen = Vec::new();
    for row in rows() {
        let packet_type = row.body.packet_type();
        let (open, limited) = (Measured::of(&row, false), Measured::of(&row, true));
        let Measured { sent, drawn, .. } = limited;
        println!(
            "| {packet_type:?} | {} | {sent} | {} | {:.2} | {drawn} | {:.2} |",
            row.what,
            open.drawn,
            open.ratio(),
            limited.ratio(),
        );
        // ACKs are exempt, but their 80 bytes are less than three times those of a NEED_ACK.
        let allowed = 3 * (sent + limited.sent_before) + WINDOW;
        let total = drawn + limited.drawn_before;
        assert!(total <= allowed, "{packet_type:?} {}: {limited:?}", row.what);
        seen.push(packet_type);
    }
    assert!(PacketType::ALL.iter().all(|known| seen.contains(known)), "every type has a row");
    // The limit is what holds it, not the attacker's clumsiness.
    assert!(Measured::of(&rows()[0], false).ratio() > 300.0);
}
