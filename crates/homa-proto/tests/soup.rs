//! Arbitrary packets from several peers, in arbitrary order and at arbitrary times, at one endpoint
//! with small limits: nothing panics, all tables stay consistent and bounded, nothing remains.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{
    CallOptions, Config, Duration, Event, Priority, QuotedPacket, RefuseReason, RpcId, RpcKey,
    Unreachable,
};
use homa_testkit::{Probe, Remote, data};
use homa_wire::{Ack, AckList, Body, Cutoffs, Data, Grant, Refuse, Resend};
use proptest::prelude::*;

/// Which RPC a packet names.
#[derive(Clone, Copy, Debug)]
enum Subject {
    /// The nth call of this endpoint, from its true server or not.
    Call { nth: usize, right_port: bool },
    /// A request from client `host` with a small id.
    Request { id: u64 },
    /// Any id at all.
    Any { id: u64 },
}

#[derive(Clone, Debug)]
enum Step {
    Packet { host: u8, subject: Subject, to_server: bool, body: Body, payload_len: u32 },
    Call { host: u8, length: u32 },
    Abort { nth: usize },
    Accept { nth: usize },
    Reply { nth: usize, length: u32 },
    Refuse { nth: usize },
    Unreachable { host: u8, quoted: Option<u64> },
    Mtu { host: u8, mtu: u32 },
    Serving { serving: bool },
    Wait { micros: u64 },
}

/// Lengths and offsets: mostly sensible, now and then absurd.
fn offset() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => (0u32..40).prop_map(|n| n * 1416),
        2 => 0u32..20_000,
        1 => prop_oneof![Just(u32::MAX), Just(u32::MAX - 1), Just(0x8000_0000), Just(1_000_000)],
    ]
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![
        3 => prop_oneof![Just(100u32), Just(5000), Just(56_640)],
        1 => 0u32..20_000,
        1 => prop_oneof![Just(0), Just(u32::MAX), Just(1_000_001), Just(0x8000_0000)],
    ]
}

fn body() -> impl Strategy<Value = Body> {
    let level = (0u8..=255).prop_map(Priority::clamped);
    let id = prop_oneof![0u64..40, any::<u64>()];
    let ack = (id, any::<bool>()).prop_map(|(id, known)| Ack {
        client_id: RpcId(id.max(1)),
        server_port: if known { 4000 } else { 7 },
    });
    let arrival = (length(), offset(), length(), prop::option::of(ack.clone()), any::<bool>())
        .prop_map(|(length, offset, incoming, ack, retransmit)| {
            let offset = offset.min(u32::MAX - 1);
            Body::Data(Data { ack, retransmit, ..data(length, offset, incoming) })
        });
    prop_oneof![
        8 => arrival,
        2 => (offset(), level.clone(), prop::option::of(any::<bool>()))
            .prop_map(|(offset, priority, resend_all)| Body::Grant(Grant { offset, priority, resend_all })),
        2 => (offset(), length(), prop::option::of(level))
            .prop_map(|(offset, length, priority)| Body::Resend(Resend { offset, length, priority })),
        1 => Just(Body::RpcUnknown),
        1 => Just(Body::Busy),
        1 => (any::<[u32; 8]>(), any::<u16>())
            .prop_map(|(cutoffs, version)| Body::Cutoffs(Cutoffs { cutoffs, version })),
        1 => Just(Body::NeedAck),
        1 => prop::collection::vec(ack, 0..6).prop_map(|acks| {
            let mut list = AckList::new();
            for ack in acks { let _ = list.push(ack); }
            Body::Ack(list)
        }),
        1 => (0usize..6, any::<u32>())
            .prop_map(|(n, detail)| Body::Refuse(Refuse { reason: RefuseReason::ALL[n], detail })),
        1 => Just(Body::Freeze),
    ]
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        4 => (0usize..8, prop::bool::weighted(0.9))
            .prop_map(|(nth, right_port)| Subject::Call { nth, right_port }),
        5 => (0u64..12).prop_map(|id| Subject::Request { id }),
        1 => any::<u64>().prop_map(|id| Subject::Any { id }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let payload_len = prop_oneof![3 => Just(1416u32), 1 => 0u32..2000, 1 => Just(65_451)];
    prop_oneof![
        12 => (0u8..4, subject(), prop::bool::weighted(0.9), body(), payload_len)
            .prop_map(|(host, subject, to_server, body, payload_len)| {
                Step::Packet { host, subject, to_server, body, payload_len }
            }),
        2 => (0u8..4, 1u32..80_000).prop_map(|(host, length)| Step::Call { host, length }),
        1 => (0usize..8).prop_map(|nth| Step::Abort { nth }),
        2 => (0usize..4).prop_map(|nth| Step::Accept { nth }),
        2 => (0usize..4, 1u32..80_000).prop_map(|(nth, length)| Step::Reply { nth, length }),
        1 => (0usize..4).prop_map(|nth| Step::Refuse { nth }),
        1 => (0u8..4, prop::option::of(0u64..24))
            .prop_map(|(host, quoted)| Step::Unreachable { host, quoted }),
        1 => (0u8..4, 0u32..70_000).prop_map(|(host, mtu)| Step::Mtu { host, mtu }),
        1 => any::<bool>().prop_map(|serving| Step::Serving { serving }),
        3 => prop_oneof![0u64..100, 0u64..20_000, 0u64..3_000_000].prop_map(|micros| Step::Wait { micros }),
    ]
}

fn small_limits() -> Config {
    let mut config = Config::default();
    config.message_length_max = 100_000;
    config.limits.client_rpcs_max = 6;
    config.limits.server_rpcs_max = 6;
    config.limits.peers_max = 3;
    config.limits.incoming_bytes_max = 200_000;
    config.limits.outgoing_bytes_max = 200_000;
    config.limits.gaps_max = 3;
    config.limits.finished_ids_max = 2;
    config.limits.control_packets_max = 16;
    config
}

/// The endpoint and what its application knows.
struct Soup {
    probe: Probe,
    /// Calls by key, with id and server.
    calls: Vec<(RpcKey, RpcId, Remote)>,
    /// Requests that came whole.
    ready: Vec<RpcKey>,
    /// Requests that were accepted.
    held: Vec<RpcKey>,
}

impl Soup {
    fn new() -> Self {
        let probe = Probe::new(&small_limits());
        Self { probe, calls: Vec::new(), ready: Vec::new(), held: Vec::new() }
    }

    fn take(&mut self, step: &Step) {
        let now = self.probe.now;
        match *step {
            Step::Packet { host, subject, to_server, body, payload_len } => {
                self.packet(host, subject, to_server, body, payload_len);
            }
            Step::Call { host, length } => self.call(host, length),
            Step::Abort { nth } => {
                if let Some(&(key, ..)) = self.calls.get(nth) {
                    self.probe.endpoint.abort(now, key);
                }
            }
            Step::Accept { nth } if nth < self.ready.len() => {
                let key = self.ready.remove(nth);
                self.probe.endpoint.accept(now, key);
                self.held.push(key);
            }
            Step::Reply { nth, length } => {
                if let Some(&key) = self.held.get(nth) {
                    let _ = self.probe.endpoint.send_reply(now, key, length);
                }
            }
            Step::Refuse { nth } => {
                if let Some(&key) = self.held.get(nth) {
                    self.probe.endpoint.refuse(now, key, RefuseReason::DroppedUnanswered);
                }
            }
            Step::Unreachable { host, quoted } => {
                let quoted = quoted.map(|id| QuotedPacket {
                    source_port: 4000,
                    dest_port: 40_000,
                    sender_id: RpcId(id),
                });
                let peer = Remote::client(host).addr;
                self.probe.endpoint.handle_unreachable(now, peer, quoted, Unreachable::Host);
            }
            Step::Mtu { host, mtu } => {
                self.probe.endpoint.handle_path_mtu(Remote::client(host).addr, mtu);
            }
            Step::Serving { serving } => {
                let socket = self.probe.server_socket;
                self.probe.endpoint.set_serving(socket, serving);
            }
            Step::Wait { micros } => self.probe.advance(Duration::from_micros(micros)),
            Step::Accept { .. } => {}
        }
        self.probe.drain();
        self.note_events();
    }

    fn call(&mut self, host: u8, length: u32) {
        let (now, socket, to) = (self.probe.now, self.probe.client_socket, Remote::server(host));
        let options = CallOptions::default();
        let sent = self.probe.endpoint.send_request(now, socket, to.addr, to.port, length, options);
        if let Ok(key) = sent {
            let id = self.probe.endpoint.info(key).expect("it is open").id;
            self.calls.push((key, id, to));
        }
    }

    fn packet(&mut self, host: u8, subject: Subject, to_server: bool, body: Body, length: u32) {
        let client_port = self.probe.endpoint.port(self.probe.client_socket).expect("open");
        let port = if to_server { 4000 } else { client_port };
        let client = Remote::client(host);
        match subject {
            Subject::Call { nth, right_port } => {
                let Some(&(_, id, server)) = self.calls.get(nth) else { return };
                let server = if right_port { server } else { server.with_port(5) };
                self.probe.receive(server, client_port, id.flipped(), body, length);
            }
            Subject::Request { id } => {
                self.probe.receive(client, port, RpcId(2 * id), body, length);
            }
            Subject::Any { id } => self.probe.receive(client, port, RpcId(id), body, length),
        }
    }

    fn note_events(&mut self) {
        for event in self.probe.take_events() {
            match event {
                Event::RequestComplete { key } => self.ready.push(key),
                Event::ResponseComplete { key } => {
                    self.probe.endpoint.finish(self.probe.now, key);
                }
                Event::Cancelled { key, .. } => {
                    self.ready.retain(|&ready| ready != key);
                    self.held.retain(|&held| held != key);
                }
                _ => {}
            }
        }
        self.probe.drain();
        self.probe.take_sent();
    }

    /// The application answers nothing more, and nobody sends any more.
    fn settle(&mut self) {
        for key in self.ready.drain(..).chain(self.held.drain(..)) {
            let now = self.probe.now;
            self.probe.endpoint.refuse(now, key, RefuseReason::ShuttingDown);
        }
        self.probe.drain();
        for _ in 0..3 {
            self.probe.advance(Duration::from_secs(60));
            self.note_events();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(256), ..ProptestConfig::default() })]

    /// KNOWN_ISSUES 1.5 to 1.9, 2.3; HOMA-HDR-5, HOMA-MODEL-6: whatever comes, the endpoint keeps
    /// its invariants and its limits, and comes to rest with nothing left.
    #[test]
    fn handle_packet__survives_anything(steps in prop::collection::vec(step(), 1..80)) {
        let mut soup = Soup::new();
        for step in &steps {
            soup.take(step);
            prop_assert!(soup.probe.endpoint.client_rpcs() <= 6);
            prop_assert!(soup.probe.endpoint.server_rpcs() <= 6);
            prop_assert!(soup.probe.endpoint.incoming_bytes() <= 200_000);
            prop_assert!(soup.probe.endpoint.outgoing_bytes() <= 200_000);
        }
        soup.settle();
        prop_assert!(soup.probe.endpoint.is_idle(), "{:?}", soup.probe.endpoint);
        prop_assert_eq!(soup.probe.endpoint.incoming_bytes(), 0);
        prop_assert_eq!(soup.probe.endpoint.outgoing_bytes(), 0);
        prop_assert_eq!(soup.probe.endpoint.poll_timeout(), None);
    }
}

/// As many cases as `PROPTEST_CASES` says, or else `default`.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}
