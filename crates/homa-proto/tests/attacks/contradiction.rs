//! Peers that contradict themselves: DATA that does not fit to other DATA, ids that are used twice, and
//! numbers as large as fields can hold.

use super::request;
use homa_proto::{
    Config, Duration, Event, Failure, Header, LocalAddr, PacketMeta, Priority, RefuseReason,
    Resource, RpcId, RpcKey,
};
use homa_testkit::{Probe, Remote, data};
use homa_wire::{Ack, AckList, Body, Cutoffs, Data, Grant, Refuse, Resend};

const ID: u64 = 10;
const LENGTH: u32 = 60_000;

/// A host, and the bytes of the one request that it gets, put where it says.
struct Receiver {
    probe: Probe,
    client: Remote,
    message: Vec<u8>,
}

impl Receiver {
    fn new(length: u32) -> Self {
        let probe = Probe::new(&Config::default());
        Self { probe, client: Remote::client(1), message: vec![b'-'; length as usize] }
    }

    /// A packet of the request with `count` times the same byte.
    fn receive(&mut self, offset: u32, byte: u8, count: usize) {
        let body = Body::Data(data(self.message.len() as u32, offset, LENGTH));
        let header = Header::new(self.client.port, 4000, RpcId(ID), body);
        let meta = PacketMeta { peer: self.client.addr, local: LocalAddr::ANY };
        let delivery = self.probe.endpoint.handle_packet(self.probe.now, meta, &header, count);
        for range in delivery.iter().flat_map(|delivery| delivery.ranges) {
            self.message[range.start as usize..range.end as usize].fill(byte);
        }
        self.probe.drain();
    }
}

fn completed(probe: &mut Probe) -> usize {
    let events = probe.take_events();
    events.iter().filter(|event| matches!(event, Event::RequestComplete { .. })).count()
}

/// A request of which the first packet is there.
fn begun(config: &Config) -> (Probe, Remote) {
    let (mut probe, client) = (Probe::new(config), Remote::client(1));
    probe.request(client, ID, Body::Data(data(LENGTH, 0, LENGTH)), 1416);
    (probe, client)
}

/// The rest of it, in packets.
fn complete(probe: &mut Probe, client: Remote) {
    for offset in (0..LENGTH).step_by(1416) {
        let payload_len = 1416.min(LENGTH - offset);
        probe.request(client, ID, Body::Data(data(LENGTH, offset, LENGTH)), payload_len);
    }
}

/// What has arrived stays as it is, whatever comes later for the same place.
#[test]
fn overlapping_data__changes_no_byte_that_is_there() {
    let mut receiver = Receiver::new(3_000);
    receiver.receive(0, b'a', 1_000);
    receiver.receive(500, b'b', 1_000);
    receiver.receive(0, b'c', 1_500);
    receiver.receive(2_000, b'd', 500);
    receiver.receive(1_000, b'e', 2_000);
    let expected = [(b'a', 1_000), (b'b', 500), (b'e', 500), (b'd', 500), (b'e', 500)];
    let expected: Vec<u8> = expected.iter().flat_map(|&(byte, n)| vec![byte; n]).collect();
    assert!(receiver.message == expected);
    assert_eq!(completed(&mut receiver.probe), 1);
    receiver.receive(0, b'f', 3_000);
    assert!(receiver.message == expected, "nor after its end");
}

/// HOMA-DATA-3.
#[test]
fn message_length__that_changes_is_not_believed() {
    let (mut probe, client) = begun(&Config::default());
    for length in [0, 1, 1_417, LENGTH - 1, LENGTH + 1, 1_000_000, u32::MAX] {
        for offset in [0, 1_416, 2_832] {
            probe.request(client, ID, Body::Data(data(length, offset, LENGTH)), 1416.min(length));
        }
    }
    assert_eq!(probe.endpoint.stats().length_mismatches, 21);
    complete(&mut probe, client);
    let key = probe.complete_request().expect("all of it is there");
    assert_eq!(probe.endpoint.info(key).unwrap().incoming_length, Some(LENGTH));
}

#[test]
fn message_length__of_a_response_that_changes_is_not_believed() {
    let mut probe = Probe::new(&Config::default());
    let key = probe.call(Remote::server(1), 100);
    probe.answer(key, Body::Data(data(5_000, 0, 5_000)), 1_416);
    for length in [0, 1, 1_416, 4_999, 5_001, u32::MAX] {
        probe.answer(key, Body::Data(data(length, 1_416, length)), 1_416);
    }
    probe.answer(key, Body::Data(data(5_000, 1_416, 5_000)), 3_584);
    assert_eq!(probe.endpoint.info(key).unwrap().incoming_length, Some(5_000));
    assert!(probe.take_events().contains(&Event::ResponseComplete { key }));
}

/// Of a message whose first packet said a wrong length, nothing true can ever be taken. What comes is no
/// progress, however much it is, and the request that is asked for in vain makes way for the true one.
#[test]
fn message_length__that_was_wrong_at_first_does_not_hold_up_the_request() {
    let (mut probe, client) = (Probe::new(&Config::default()), Remote::client(1));
    probe.request(client, ID, Body::Data(data(LENGTH - 64, 0, LENGTH)), 1_416);
    let (mut key, mut millis, mut resends) = (None, 0, 0);
    while key.is_none() && millis < 1_000 {
        probe.advance(Duration::from_millis(1));
        millis += 1;
        // A client that sends what it is asked for, and by itself now and then.
        let asked = probe.take_bodies().iter().filter(|b| matches!(b, Body::Resend(_))).count();
        resends += asked;
        if asked > 0 || millis % 10 == 0 {
            complete(&mut probe, client);
        }
        key = probe.complete_request();
    }
    let key = key.expect("the true request is there");
    assert_eq!(probe.endpoint.info(key).unwrap().incoming_length, Some(LENGTH));
    assert!(millis < 200, "after {millis} ms");
    assert!(resends < 15, "{resends} RESENDs, each for the whole message");
}

/// Of a response as well: the call fails when its server has been asked in vain for long enough.
#[test]
fn message_length__of_a_response_that_was_wrong_at_first_fails_the_call() {
    let mut probe = Probe::new(&Config::default());
    let key = probe.call(Remote::server(1), 100);
    probe.answer(key, Body::Data(data(4_936, 0, 5_000)), 1_416);
    let start = probe.now;
    while probe.endpoint.info(key).is_some() {
        probe.answer(key, Body::Data(data(5_000, 1_416, 5_000)), 1_416);
        probe.advance(Duration::from_millis(10));
    }
    assert!(probe.take_events().contains(&Event::Failed { key, failure: Failure::Timeout }));
    assert!(probe.now < start + Duration::from_millis(300));
}

/// Bytes beyond the message are neither taken nor do they begin one.
#[test]
fn data__beyond_the_message_is_dropped() {
    let (mut probe, client) = begun(&Config::default());
    let beyond = [(LENGTH - 1_415, 1_416), (LENGTH, 1), (u32::MAX, 1), (u32::MAX - 1_415, 1_416)];
    for (offset, payload_len) in beyond {
        probe.request(client, ID, Body::Data(data(LENGTH, offset, LENGTH)), payload_len);
        probe.request(client, ID + 2, Body::Data(data(LENGTH, offset, LENGTH)), payload_len);
    }
    assert_eq!(probe.endpoint.stats().range_errors, 8);
    assert_eq!(probe.endpoint.server_rpcs(), 1, "nothing was begun");
    complete(&mut probe, client);
    assert_eq!(completed(&mut probe), 1);
}

/// A new request under the id of one that waits, is worked on, or is being answered, is a duplicate.
#[test]
fn id__of_an_open_request_begins_no_other() {
    for stage in 0..3 {
        let (mut probe, client) = (Probe::new(&Config::default()), Remote::client(1));
        probe.request(client, ID, request(100, 0), 100);
        let key = probe.complete_request().unwrap();
        if stage > 0 {
            probe.endpoint.accept(probe.now, key);
        }
        if stage > 1 {
            probe.reply(key, 500);
        }
        probe.take_sent();
        for (length, payload_len) in [(100, 100), (99, 99), (LENGTH, 1_416), (1, 1)] {
            probe.request(client, ID, Body::Data(data(length, 0, length)), payload_len);
        }
        assert_eq!(probe.take_data(), [], "stage {stage}");
        assert_eq!((completed(&mut probe), probe.endpoint.server_rpcs()), (0, 1), "stage {stage}");
        assert!(probe.endpoint.info(key).is_some(), "stage {stage}");
    }
}

/// Neither under the id of one that is over: acknowledged, refused, or given up by its client.
#[test]
fn id__of_a_finished_request_is_not_executed() {
    let ends: [fn(&mut Probe, Remote, RpcKey); 3] = [
        |probe, client, key| {
            probe.reply(key, 500);
            probe.request(client, ID, Body::Ack(AckList::new()), 0);
        },
        |probe, _, key| {
            probe.endpoint.refuse(probe.now, key, RefuseReason::DroppedUnanswered);
            probe.drain();
        },
        |probe, client, _| probe.request(client, ID, Body::RpcUnknown, 0),
    ];
    for (n, end) in ends.iter().enumerate() {
        let (mut probe, client) = (Probe::new(&Config::default()), Remote::client(1));
        let key = probe.accept_request(client, ID, 100);
        end(&mut probe, client, key);
        probe.take_events();
        probe.take_sent();
        for (length, payload_len) in [(100, 100), (99, 99), (LENGTH, 1_416)] {
            for _ in 0..3 {
                probe.advance(Duration::from_millis(500));
                probe.request(client, ID, Body::Data(data(length, 0, length)), payload_len);
            }
        }
        assert_eq!(completed(&mut probe), 0, "end {n}");
        assert_eq!(probe.take_data(), [], "end {n}");
    }
}

/// Every field of every type at and about the ends of its range.
fn extremes() -> Vec<(Body, u32)> {
    const ENDS: [u32; 6] = [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];
    let mut bodies = Vec::new();
    for a in ENDS {
        let wide = u64::from(a) << 32 | u64::from(a);
        let ack = Ack { client_id: RpcId(wide), server_port: a as u16 };
        for b in ENDS {
            for c in ENDS {
                let fields = Data { ack: Some(ack), cutoff_version: c as u16, ..data(a, b, c) };
                bodies.extend([0, 1, 65_535].map(|payload_len| (Body::Data(fields), payload_len)));
            }
            let priority = Priority::clamped(b as u8);
            bodies
                .push((Body::Resend(Resend { offset: a, length: b, priority: Some(priority) }), 0));
            bodies.push((Body::Resend(Resend { offset: a, length: b, priority: None }), u32::MAX));
            let resend_all = Some(b > 1);
            bodies.push((Body::Grant(Grant { offset: a, priority, resend_all }), 0));
        }
        bodies.push((Body::Cutoffs(Cutoffs { cutoffs: [a; 8], version: a as u16 }), a));
        bodies.push((Body::Refuse(Refuse { reason: RefuseReason::TooLong, detail: a }), a));
        let mut list = AckList::new();
        while list.push(ack) {}
        bodies.push((Body::Ack(list), a));
    }
    bodies
        .extend([Body::RpcUnknown, Body::Busy, Body::NeedAck, Body::Freeze].map(|b| (b, u32::MAX)));
    bodies
}

/// A host with RPCs in every state; their peers, ports and ids.
fn busy_host() -> (Probe, Vec<(Remote, u16, RpcId)>) {
    let mut config = Config::default();
    config.limits.incoming_bytes_max = 4 << 20;
    let mut probe = Probe::new(&config);
    let (server, client) = (Remote::server(1), Remote::client(2));
    let port = probe.endpoint.port(probe.client_socket).unwrap();
    let mut targets = Vec::new();
    for arrived in [0, 1_416, 5_000] {
        let key = probe.call(server, LENGTH);
        if arrived > 0 {
            probe.answer(key, Body::Data(data(5_000, 0, 5_000)), arrived);
        }
        targets.push((server, port, probe.endpoint.info(key).unwrap().id.flipped()));
    }
    for id in [10, 12, 14] {
        let key = probe.accept_request(client, id, 100);
        match id {
            10 => probe.reply(key, 30_000),
            12 => probe.endpoint.refuse(probe.now, key, RefuseReason::DroppedUnanswered),
            _ => {}
        }
    }
    probe.request(client, 16, Body::Data(data(LENGTH, 2_832, 40_000)), 1_416);
    probe.request(client, 18, request(100, 0), 100);
    targets.extend([10, 12, 14, 16, 18, 20, 0].map(|id| (client, 4000, RpcId(id))));
    targets.extend([1, u64::MAX, u64::MAX - 1].map(|id| (client.with_port(0), 0xffff, RpcId(id))));
    (probe, targets)
}

/// Nothing overflows (tests are built with checks), every table stays consistent (each step checks
/// that), and memory within its limit.
#[test]
fn extreme_numbers__in_every_field_do_no_harm() {
    let bodies = extremes();
    let count = busy_host().1.len();
    for n in 0..count {
        let (mut probe, targets) = busy_host();
        let (from, port, sender_id) = targets[n];
        for (i, &(body, payload_len)) in bodies.iter().enumerate() {
            // Not all at one RPC: many of them end it.
            if i % 16 == 0 {
                probe.advance(Duration::from_millis(10));
                probe = busy_host().0;
            }
            let header = Header::new(from.port, port, sender_id, body);
            let meta = PacketMeta { peer: from.addr, local: LocalAddr::ANY };
            // More than a datagram can carry: the driver's word is not trusted either.
            let payload_len =
                if payload_len == u32::MAX { usize::MAX } else { payload_len as usize };
            probe.endpoint.handle_packet(probe.now, meta, &header, payload_len);
            probe.drain();
            let held = probe.endpoint.accounts().get(Resource::IncomingBytes).unwrap();
            assert!(held.used <= held.limit.unwrap(), "{body:?}");
        }
    }
}
