//! Runs of DATA packets are taken in as the packets that they stand for.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{Config, LocalAddr, PacketMeta, Stats};
use homa_testkit::{Probe, Remote, data};
use homa_wire::{Body, Header, PacketType, RpcId};
use proptest::prelude::*;
use std::ops::Range;

const SEGMENT: u32 = 1000;

/// What a host has of a request after these packets of it, and its counters.
struct Receiver {
    probe: Probe,
    length: u32,
    fresh: Vec<Range<u32>>,
}

impl Receiver {
    fn new(length: u32) -> Self {
        Self { probe: Probe::new(&Config::default()), length, fresh: Vec::new() }
    }

    /// Takes in bytes `start` to `end` as one.
    fn take(&mut self, start: u32, end: u32) {
        let (client, port) = (Remote::client(1), Remote::server(2).port);
        let body = Body::Data(data(self.length, start, self.length));
        let header = Header::new(client.port, port, RpcId(2), body);
        let meta = PacketMeta { peer: client.addr, local: LocalAddr::ANY };
        let (now, len) = (self.probe.now, (end - start) as usize);
        let endpoint = &mut self.probe.endpoint;
        let delivery = endpoint.handle_run(now, meta, &header, len, SEGMENT as usize);
        for range in delivery.map_or(&[][..], |delivery| delivery.ranges) {
            match self.fresh.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => self.fresh.push(range.clone()),
            }
        }
        endpoint.check_invariants();
    }

    fn stats(&self) -> Stats {
        self.probe.endpoint.stats().clone()
    }
}

proptest! {
    /// In whatever order and however often they come.
    #[test]
    fn handle_run__is_its_packets_one_by_one(
        packets in 1u32..30,
        last in 1u32..=SEGMENT,
        runs in prop::collection::vec((0u32..30, 1u32..10), 1..20),
    ) {
        let length = (packets - 1) * SEGMENT + last;
        let [mut whole, mut one_by_one] = [(); 2].map(|()| Receiver::new(length));
        for (first, count) in runs {
            let start = first % packets * SEGMENT;
            let end = length.min(start + count * SEGMENT);
            whole.take(start, end);
            for start in (start..end).step_by(SEGMENT as usize) {
                one_by_one.take(start, end.min(start + SEGMENT));
            }
            prop_assert_eq!(&whole.fresh, &one_by_one.fresh);
        }
        let [whole, one_by_one] = [whole, one_by_one].map(|receiver| receiver.stats());
        prop_assert_eq!(whole.packets_rcvd, one_by_one.packets_rcvd);
        prop_assert_eq!(whole.server_requests_done, one_by_one.server_requests_done);
        prop_assert_eq!(whole.server_request_bytes_done, one_by_one.server_request_bytes_done);
    }
}

/// Of a run that brings nothing new each packet counts.
#[test]
fn handle_run__duplicates_count_one_by_one() {
    let mut receiver = Receiver::new(10_000);
    for _ in 0..2 {
        receiver.take(1000, 4500);
    }
    let stats = receiver.stats();
    assert_eq!((stats.packets_rcvd[PacketType::Data.index()], stats.packet_discards), (8, 4));
}

/// A run that reaches beyond its message is dropped whole, wherever offsets end.
#[test]
fn handle_run__beyond_the_message_changes_nothing() {
    let mut receiver = Receiver::new(10_000);
    receiver.take(0, 1000);
    receiver.take(8000, 10_001);
    receiver.take(u32::MAX - 1500, u32::MAX);
    assert_eq!(receiver.fresh, [Range { start: 0, end: 1000 }]);
    assert_eq!(receiver.stats().range_errors, 3 + 2);
}
