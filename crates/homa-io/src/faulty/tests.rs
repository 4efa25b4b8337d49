#![allow(non_snake_case, reason = "tests are named function__case")]

use super::*;
use crate::MemoryIo;
use homa_proto::LocalAddr;
use homa_wire::Priority;

const SENDER: ([u8; 4], u16) = ([10, 0, 0, 1], 1);
const RECEIVER: ([u8; 4], u16) = ([10, 0, 0, 1], 2);

/// A faulty end of a wire, its good other end, and a clock that the test sets.
struct Bench {
    faulty: FaultyIo<MemoryIo>,
    other: MemoryIo,
    now: Instant,
    batch: SendBatch,
    sent: u32,
}

impl Bench {
    fn new(plan: &str) -> Self {
        Self::with_room(plan, 4096)
    }

    fn with_room(plan: &str, capacity: usize) -> Self {
        let (inner, other) = MemoryIo::pair(SENDER.into(), RECEIVER.into(), capacity).unwrap();
        let faulty = FaultyIo::new(inner, plan.parse().unwrap());
        Self { faulty, other, now: Instant::ZERO, batch: SendBatch::new(), sent: 0 }
    }

    /// Sends the next `count` packets, which are numbered.
    fn send(&mut self, count: u32) {
        for _ in 0..count {
            let peer = SocketAddr::from(RECEIVER).into();
            let local = LocalAddr::ANY;
            self.batch.push(Destination { peer, local, priority: Priority::LOWEST }, b"number: ");
            let number = Bytes::copy_from_slice(&self.sent.to_be_bytes());
            self.batch.append_payload(number);
            self.sent += 1;
            if self.batch.is_full() {
                self.faulty.send_at(self.now, &mut self.batch).unwrap();
            }
        }
        self.faulty.send_at(self.now, &mut self.batch).unwrap();
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.faulty.send_at(self.now, &mut SendBatch::new()).unwrap();
    }

    /// The packets that have arrived.
    fn received(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        loop {
            match self.other.recv_batch().unwrap() {
                0 => return packets,
                count => packets.extend((0..count).map(|n| self.other.packet(n).bytes.to_vec())),
            }
        }
    }

    /// The numbers of the packets that have arrived, all of which must be intact.
    fn numbers(&mut self) -> Vec<u32> {
        let number = |packet: Vec<u8>| {
            assert_eq!(packet[..8], *b"number: ");
            u32::from_be_bytes(packet[8..].try_into().unwrap())
        };
        self.received().into_iter().map(number).collect()
    }

    fn count(&self, counter: impl Fn(&FaultCounters) -> &AtomicU64) -> u64 {
        counter(&self.faulty.counters()).load(Ordering::Relaxed)
    }
}

/// What arrives of 4,000 packets.
fn run(plan: &str) -> (Vec<Vec<u8>>, Bench) {
    let mut bench = Bench::new(plan);
    let mut received = Vec::new();
    for _ in 0..4 {
        bench.send(1000);
        received.extend(bench.received());
    }
    bench.pass(Duration::from_secs(1));
    received.extend(bench.received());
    (received, bench)
}

/// Three standard deviations and more of a rate among 4,000 packets.
fn assert_rate(strikes: u64, probability: f64) {
    let rate = strikes as f64 / 4000.0;
    assert!((rate - probability).abs() < 0.03, "{rate} instead of {probability}");
}

#[test]
fn send__without_faults_changes_nothing() {
    let mut bench = Bench::new("none");
    bench.send(500);
    assert_eq!(bench.numbers(), (0..500).collect::<Vec<_>>());
    assert_eq!(bench.faulty.next_due(), None);
    assert_eq!(bench.count(|counters| &counters.packets), 500);
}

#[test]
fn send__the_same_seed_gives_the_same_faults() {
    let plan = "drop=0.1,dup=0.1,reorder=0.1,corrupt=0.1,corrupt-undetected=0.1";
    assert_eq!(run(plan).0, run(plan).0);
    assert_ne!(run(plan).0, run(&format!("{plan},seed=1")).0);
}

#[test]
fn drop__loses_the_stated_share() {
    let (received, bench) = run("drop=0.2");
    let dropped = bench.count(|counters| &counters.dropped);
    assert_rate(dropped, 0.2);
    assert_eq!(received.len() as u64, 4000 - dropped);
    assert!(run("drop=1").0.is_empty());
}

#[test]
fn dup__sends_the_stated_share_twice() {
    let (received, bench) = run("dup=0.2");
    let duplicated = bench.count(|counters| &counters.duplicated);
    assert_rate(duplicated, 0.2);
    assert_eq!(received.len() as u64, 4000 + duplicated);
    let repeated = received.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(repeated as u64, duplicated);
}

#[test]
fn reorder__lets_one_to_eight_packets_pass() {
    let mut bench = Bench::new("reorder=0.1");
    bench.send(4000);
    bench.pass(HELD_TIME_MAX);
    let numbers = bench.numbers();
    assert_rate(bench.count(|counters| &counters.reordered), 0.1);
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..4000).collect::<Vec<_>>(), "nothing is lost");
    let overtaken = |at: usize| numbers[..at].iter().filter(|n| **n > numbers[at]).count();
    let overtakings: Vec<_> = (0..numbers.len() - 20).map(overtaken).collect();
    assert!(overtakings.iter().all(|count| *count <= 8));
    let held = overtakings.iter().filter(|count| **count > 0).count();
    // Few: some are overtaken only by packets that are held back themselves.
    assert!((300..=500).contains(&held), "{held}");
}

#[test]
fn reorder__the_last_packet_goes_on_after_a_millisecond() {
    let mut bench = Bench::new("reorder=1");
    bench.send(1);
    assert!(bench.numbers().is_empty());
    let due = Clock::to_std(bench.now + HELD_TIME_MAX);
    assert_eq!(bench.faulty.next_due(), due);
    bench.pass(Duration::from_micros(999));
    assert!(bench.numbers().is_empty());
    bench.pass(Duration::from_micros(1));
    assert_eq!(bench.numbers(), [0]);
    assert_eq!(bench.faulty.next_due(), None);
}

#[test]
fn delay__sends_every_packet_later_in_order() {
    let mut bench = Bench::new("delay=200us");
    bench.send(3);
    bench.pass(Duration::from_micros(100));
    bench.send(2);
    assert!(bench.numbers().is_empty());
    assert_eq!(bench.faulty.next_due(), Clock::to_std(Instant::from_nanos(200_000)));
    bench.pass(Duration::from_micros(100));
    assert_eq!(bench.numbers(), [0, 1, 2]);
    bench.pass(Duration::from_micros(100));
    assert_eq!(bench.numbers(), [3, 4]);
}

#[test]
fn jitter__lets_packets_overtake_but_loses_none() {
    let mut bench = Bench::new("jitter=100us");
    bench.send(100);
    let mut numbers = bench.numbers();
    for _ in 0..100 {
        bench.pass(Duration::from_micros(1));
        numbers.extend(bench.numbers());
    }
    assert!(!numbers.is_sorted());
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

#[test]
fn corrupt__is_caught_by_the_checksum() {
    let (received, bench) = run("corrupt=0.2");
    let dropped = bench.count(|counters| &counters.corrupted_dropped);
    assert_rate(dropped, 0.2);
    assert_eq!(bench.count(|counters| &counters.corrupted_passed), 0);
    assert_eq!(received.len() as u64, 4000 - dropped);
    assert!(received.iter().all(|packet| packet.starts_with(b"number: ")));
}

#[test]
fn corrupt_undetected__delivers_wrong_bytes() {
    let (received, bench) = run("corrupt-undetected=0.2");
    assert_eq!(received.len(), 4000);
    let corrupted = bench.count(|counters| &counters.corrupted_undetected);
    assert_rate(corrupted, 0.2);
    let expected = |number: u32| [&b"number: "[..], &number.to_be_bytes()].concat();
    let wrong = (0..4000).zip(&received).filter(|(n, packet)| expected(*n) != **packet).count();
    assert_eq!(wrong as u64, corrupted);
}

#[test]
fn send__keeps_order_and_loses_nothing_where_there_is_no_room() {
    let mut bench = Bench::with_room("none", 10);
    bench.send(40);
    assert!(bench.faulty.next_due().is_some(), "it means to try again");
    let mut numbers = bench.numbers();
    for _ in 0..10 {
        bench.pass(RETRY_TIME);
        numbers.extend(bench.numbers());
    }
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
    assert_eq!(bench.faulty.next_due(), None);
}

#[test]
fn send__leaves_packets_in_the_batch_when_its_own_is_full() {
    let mut bench = Bench::with_room("none", 0);
    bench.send(50);
    bench.send(40);
    assert_eq!(bench.faulty.out.len() + bench.batch.len(), 90);
    assert_eq!(bench.batch.len(), 90 - SendBatch::FULL);
}

#[test]
fn delay__beyond_the_limit_is_lost_and_counted() {
    let mut bench = Bench::new("delay=1s");
    bench.send(KEPT_MAX as u32 + 5);
    assert_eq!(bench.count(|counters| &counters.overflowed), 5);
}

/// With the real clock and a real driver's contract: what is due is sent by receiving.
#[test]
fn recv_batch__sends_what_has_become_due() {
    let mut bench = Bench::new("delay=2ms");
    bench.now = Clock::now();
    bench.send(1);
    let due = bench.faulty.next_due().unwrap();
    std::thread::sleep(due.saturating_duration_since(std::time::Instant::now()));
    assert_eq!(bench.faulty.recv_batch().unwrap(), 0);
    assert_eq!(bench.numbers(), [0]);
}
