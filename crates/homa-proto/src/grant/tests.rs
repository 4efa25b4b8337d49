#![allow(non_snake_case, reason = "tests are named function__case")]

use super::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const AMPLE: u64 = u64::MAX;
pub(super) const START: Instant = Instant::from_nanos(1_000_000_000);

/// Ordinary grants only.
pub(super) fn config() -> GrantConfig {
    GrantConfig { fifo_share_permille: 0, ..GrantConfig::default() }
}

/// As the kernel implementation grants to the oldest message.
fn kernel_config() -> GrantConfig {
    GrantConfig { fifo_increment_bytes: 50_000, ..GrantConfig::default() }
}

/// A long message whose unscheduled part has arrived, each of a peer of its own.
pub(super) fn message(slot: u32, length: u32) -> IncomingMessage {
    IncomingMessage {
        slot,
        peer: slot,
        length,
        unscheduled: 10_000,
        received: 10_000,
        segment_bytes: 1_416,
        birth: u64::from(slot),
    }
}

fn scheduled_max(scheduled_max: u8) -> UnscheduledCutoffs {
    UnscheduledCutoffs { scheduled_max, ..UnscheduledCutoffs::default() }
}

fn of_peer(peer: u32, message: IncomingMessage) -> IncomingMessage {
    IncomingMessage { peer, ..message }
}

pub(super) fn scheduler(config: GrantConfig, messages: &[IncomingMessage]) -> GrantScheduler {
    let mut scheduler = GrantScheduler::new(config);
    scheduler.set_cutoffs(&scheduled_max(3));
    for message in messages {
        scheduler.insert(START, *message).unwrap();
        scheduler.check_invariants();
    }
    scheduler
}

pub(super) fn drain(scheduler: &mut GrantScheduler, now: Instant) -> Vec<GrantDecision> {
    let decisions = core::iter::from_fn(|| scheduler.poll(now, |_| AMPLE)).collect();
    scheduler.check_invariants();
    decisions
}

fn active(scheduler: &GrantScheduler) -> Vec<u32> {
    scheduler.places.active().iter().map(|active| active.slot).collect()
}

pub(super) fn decision(slot: u32, offset: u32, level: u8) -> GrantDecision {
    GrantDecision { slot, offset, priority: Priority::clamped(level) }
}

/// PROTOCOL section 8: with one active message the window is half the limit.
#[test]
fn poll__grants_a_dynamic_window() {
    let mut alone = scheduler(config(), &[message(0, 900_000)]);
    assert_eq!(drain(&mut alone, START), [decision(0, 210_000, 0)]);
    let messages: Vec<_> = (0..8).map(|slot| message(slot, 900_000)).collect();
    let mut eight = scheduler(config(), &messages);
    let offsets: Vec<_> = drain(&mut eight, START).iter().map(|grant| grant.offset).collect();
    assert_eq!(offsets, [54_444; 8]);
}

#[test]
fn poll__grants_a_fixed_window() {
    let mut scheduler =
        scheduler(GrantConfig { window_bytes: 30_000, ..config() }, &[message(0, 900_000)]);
    assert_eq!(drain(&mut scheduler, START), [decision(0, 40_000, 0)]);
}

/// HOMA-GRANT-6: grants follow arrivals, in steps, until the message is complete.
#[test]
fn poll__waits_for_a_worthwhile_step() {
    let mut scheduler = scheduler(config(), &[message(0, 225_000)]);
    assert_eq!(drain(&mut scheduler, START), [decision(0, 210_000, 0)]);
    scheduler.progress(0, 19_999);
    assert_eq!(drain(&mut scheduler, START), []);
    scheduler.progress(0, 20_000);
    assert_eq!(drain(&mut scheduler, START), [decision(0, 220_000, 0)]);
    scheduler.progress(0, 24_000);
    assert_eq!(drain(&mut scheduler, START), []);
    scheduler.progress(0, 25_000);
    assert_eq!(drain(&mut scheduler, START), [decision(0, 225_000, 0)], "completes the message");
}

/// SIGCOMM 2018, section 3.3: always RTTbytes granted and not received.
#[test]
fn poll__grants_segment_by_segment() {
    let (segment, window) = (1_442, 9_700);
    let published = GrantConfig {
        window_bytes: window,
        grant_increment_bytes: 0,
        grant_segments_min: 1,
        ..config()
    };
    let arriving = IncomingMessage {
        unscheduled: window,
        received: 0,
        segment_bytes: segment,
        ..message(0, 50_000)
    };
    let mut scheduler = scheduler(published, &[arriving]);
    assert_eq!(drain(&mut scheduler, START), []);
    for received in (segment..=40_300).step_by(segment as usize) {
        scheduler.progress(0, received);
        assert_eq!(drain(&mut scheduler, START), [decision(0, received + window, 0)]);
    }
    scheduler.progress(0, 49_000);
    assert_eq!(drain(&mut scheduler, START), [decision(0, 50_000, 0)], "what is left");
}

/// KNOWN_ISSUES 3.8: no grants once everything is granted, and none past the end.
#[test]
fn poll__stops_at_the_length() {
    let mut scheduler = scheduler(config(), &[message(0, 50_000)]);
    assert_eq!(drain(&mut scheduler, START), [decision(0, 50_000, 0)]);
    for received in [20_000, 49_999] {
        scheduler.progress(0, received);
        assert_eq!(drain(&mut scheduler, START), []);
    }
    scheduler.progress(0, 50_000);
    assert_eq!(scheduler.granted(0), None);
    assert_eq!((scheduler.incoming_bytes(), scheduler.grantable()), (0, 0));
}

/// HOMA-GRANT-9: what room there is goes to the message with the fewest bytes remaining.
#[test]
fn poll__serves_the_shortest_first() {
    let messages = [message(0, 900_000), message(1, 700_000), message(2, 800_000)];
    let limited = GrantConfig { incoming_bytes_max: 50_000, window_bytes: 30_000, ..config() };
    let mut scheduler = scheduler(limited, &messages);
    let expected = [decision(1, 40_000, 2), decision(2, 30_000, 1)];
    assert_eq!(drain(&mut scheduler, START), expected);
    scheduler.progress(2, 19_000);
    assert_eq!(drain(&mut scheduler, START), [], "9,000 bytes are not worthwhile");
    scheduler.progress(2, 20_000);
    assert_eq!(drain(&mut scheduler, START), [decision(2, 40_000, 1)]);
}

/// Nobody takes the room that a shorter message waits for.
#[test]
fn poll__keeps_room_for_the_first_in_line() {
    let mut small = message(1, 1_000_000);
    small.segment_bytes = 100;
    let mut large = message(0, 900_000);
    large.segment_bytes = 30_000;
    let tight = GrantConfig { incoming_bytes_max: 120_000, grant_increment_bytes: 1, ..config() };
    let mut scheduler = scheduler(tight, &[large, small]);
    let whole = IncomingMessage { unscheduled: 100_000, received: 0, ..message(2, 100_000) };
    scheduler.insert(START, whole).unwrap();
    assert_eq!(drain(&mut scheduler, START), [], "room for 20,000, less than a segment of slot 0");
    scheduler.progress(2, 20_000);
    assert_eq!(drain(&mut scheduler, START)[0].slot, 0);
}

/// HOMA-BUFFER-4, HOMA-BUFFER-5, HOMA-GRANT-7: unscheduled bytes of all messages count until
/// they arrive, and above the limit nothing is granted.
#[test]
fn insert__counts_entirely_unscheduled_messages() {
    let mut scheduler = scheduler(config(), &[message(0, 900_000)]);
    for slot in 1..=10 {
        let short =
            IncomingMessage { unscheduled: 90_000, received: 1_416, ..message(slot, 40_000) };
        scheduler.insert(START, short).unwrap();
    }
    scheduler.check_invariants();
    assert_eq!(scheduler.incoming_bytes(), 10 * 38_584);
    assert_eq!(scheduler.grantable(), 1);
    assert_eq!(scheduler.granted(1), Some(40_000));
    assert_eq!(drain(&mut scheduler, START), [decision(0, 24_160, 0)]);
    assert_eq!(scheduler.incoming_bytes(), 400_000);
    scheduler.remove(1);
    assert_eq!(drain(&mut scheduler, START), [decision(0, 24_160 + 38_584, 0)]);
}

/// Data beyond the grant (a sender's mistake, or a retransmission) neither count negatively nor
/// are granted again.
#[test]
fn progress__beyond_the_grant() {
    let mut scheduler = scheduler(config(), &[message(0, 900_000)]);
    scheduler.progress(0, 30_000);
    scheduler.check_invariants();
    assert_eq!(scheduler.incoming_bytes(), 0);
    assert_eq!(drain(&mut scheduler, START), [decision(0, 230_000, 0)]);
    assert_eq!(scheduler.incoming_bytes(), 200_000);
    scheduler.progress(0, 20_000);
    assert_eq!(scheduler.incoming_bytes(), 200_000, "received bytes never fall");
}

/// HOMA-GRANT-10: as many active messages as overcommitment allows, the shortest ones.
#[test]
fn insert__preempts_the_longest() {
    let two = GrantConfig { overcommit_max: 2, ..config() };
    let messages = [message(0, 500_000), message(1, 600_000), message(2, 700_000)];
    let mut scheduler = scheduler(two, &messages);
    assert_eq!(active(&scheduler), [0, 1]);
    scheduler.insert(START, message(3, 550_000)).unwrap();
    assert_eq!(active(&scheduler), [0, 3]);
    scheduler.remove(0);
    scheduler.check_invariants();
    assert_eq!(active(&scheduler), [3, 1], "the next shortest is promoted");
}

/// Ties go to the older message.
#[test]
fn insert__does_not_preempt_an_older_equal() {
    let one = GrantConfig { overcommit_max: 1, ..config() };
    let mut scheduler = scheduler(one, &[message(1, 500_000), message(2, 500_000)]);
    assert_eq!(active(&scheduler), [1]);
    scheduler.insert(START, message(0, 500_000)).unwrap();
    assert_eq!(active(&scheduler), [0]);
}

/// KNOWN_ISSUES 3.7: order and ranks follow the data.
#[test]
fn progress__reorders_active_and_waiting_messages() {
    let two = GrantConfig { overcommit_max: 2, ..config() };
    let messages = [message(0, 500_000), message(1, 600_000), message(2, 700_000)];
    let mut scheduler = scheduler(two, &messages);
    scheduler.progress(1, 200_000);
    assert_eq!(active(&scheduler), [1, 0]);
    scheduler.progress(2, 400_000);
    scheduler.check_invariants();
    assert_eq!(active(&scheduler), [2, 1], "data of a waiting message may win it a place");
}

/// HOMA-GRANT-11: a second message of a peer only when no other peer waits.
#[test]
fn insert__spreads_over_peers() {
    let two = GrantConfig { overcommit_max: 2, ..config() };
    let same: Vec<_> = (0..3).map(|slot| of_peer(9, message(slot, 100_000))).collect();
    let mut scheduler = scheduler(two, &same);
    assert_eq!(active(&scheduler), [0, 1], "HOMA-GRANT-12: nobody else waits");
    scheduler.insert(START, message(3, 900_000)).unwrap();
    scheduler.check_invariants();
    assert_eq!(active(&scheduler), [0, 3], "though it is longer");
    scheduler.insert(START, of_peer(9, message(4, 50_000))).unwrap();
    assert_eq!(active(&scheduler), [4, 3], "a peer's own messages compete for its place");
}

#[test]
fn insert__limits_messages_per_peer() {
    let one = GrantConfig { messages_per_peer_max: 1, ..config() };
    let same = [of_peer(9, message(0, 100_000)), of_peer(9, message(1, 200_000))];
    let mut scheduler = scheduler(one, &same);
    assert_eq!(active(&scheduler), [0]);
    scheduler.remove(0);
    assert_eq!(active(&scheduler), [1]);
}

/// What is granted last is on its way for a round trip, in which others may send.
#[test]
fn poll__places_end_with_the_last_grant_or_the_last_byte() {
    for (places_end_when_granted, next) in [(true, vec![decision(1, 210_000, 0)]), (false, vec![])]
    {
        let one = GrantConfig { overcommit_max: 1, places_end_when_granted, ..config() };
        let mut scheduler = scheduler(one, &[message(0, 50_000), message(1, 900_000)]);
        assert_eq!(scheduler.poll(START, |_| AMPLE), Some(decision(0, 50_000, 0)));
        assert_eq!(drain(&mut scheduler, START), next);
        scheduler.progress(0, 30_000);
        scheduler.progress(0, 50_000);
        scheduler.check_invariants();
        assert_eq!(active(&scheduler), [1]);
    }
}

#[test]
fn withholds__for_want_of_places() {
    let two = GrantConfig { overcommit_max: 2, ..config() };
    let mut scheduler = scheduler(two, &[message(0, 500_000), message(1, 600_000)]);
    drain(&mut scheduler, START);
    assert!(!scheduler.withholds(), "both windows are full");
    scheduler.insert(START, message(2, 700_000)).unwrap();
    drain(&mut scheduler, START);
    assert!(scheduler.withholds());
    scheduler.remove(0);
    drain(&mut scheduler, START);
    assert!(!scheduler.withholds());
}

#[test]
fn withholds__for_want_of_incoming_room() {
    let limited = GrantConfig { incoming_bytes_max: 50_000, window_bytes: 30_000, ..config() };
    let mut scheduler = scheduler(limited, &[message(0, 500_000), message(1, 600_000)]);
    drain(&mut scheduler, START);
    assert!(scheduler.withholds(), "20,000 of 30,000 bytes went to the second");
    scheduler.remove(0);
    drain(&mut scheduler, START);
    assert!(!scheduler.withholds());
}

#[test]
fn withholds__not_from_senders_that_have_their_share() {
    let one = GrantConfig { overcommit_max: 2, messages_per_peer_max: 1, ..config() };
    let same = [of_peer(9, message(0, 100_000)), of_peer(9, message(1, 200_000))];
    let mut scheduler = scheduler(one, &same);
    drain(&mut scheduler, START);
    assert!(!scheduler.withholds(), "a place is free");
    for slot in 2..4 {
        scheduler.insert(START, message(slot, 300_000)).unwrap();
    }
    drain(&mut scheduler, START);
    assert!(scheduler.withholds(), "from the third sender");
}

/// HOMA-PRIO-6, HOMA-PRIO-8, HOMA-PRIO-9: the examples of PROTOCOL section 8.
#[test]
fn scheduled_priority__uses_the_lowest_levels() {
    let levels = |count: u32| -> Vec<u8> {
        let messages: Vec<_> = (0..count).map(|slot| message(slot, 900_000)).collect();
        let decisions = drain(&mut scheduler(config(), &messages), START);
        decisions.iter().map(|decision| decision.priority.level()).collect()
    };
    assert_eq!(levels(1), [0]);
    assert_eq!(levels(2), [1, 0]);
    assert_eq!(levels(4), [3, 2, 1, 0]);
    assert_eq!(levels(8), [3, 2, 1, 0, 0, 0, 0, 0]);
}

/// As in the published simulation: what is left to be granted decides, before each grant.
#[test]
fn tail_priority__is_that_of_a_short_message() {
    let levels = |tail_bytes, ungranted: u32| {
        let published = GrantConfig { window_bytes: 10_000, tail_bytes, ..config() };
        let mut scheduler = scheduler(published, &[message(0, 10_000 + ungranted)]);
        let cutoffs = [u32::MAX, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 9_000, 3_000, 500];
        scheduler.set_cutoffs(&UnscheduledCutoffs { cutoffs, version: 1, scheduled_max: 3 });
        let grant = scheduler.poll(START, |_| AMPLE).expect("there is room");
        grant.priority.level()
    };
    let tails = [(20_000, 0), (10_000, 0), (9_999, 4), (9_000, 5), (3_000, 6), (500, 7), (1, 7)];
    for (ungranted, level) in tails {
        assert_eq!(levels(10_000, ungranted), level, "{ungranted}");
        assert_eq!(levels(0, ungranted), 0, "off");
    }
}

/// A place above what the cutoffs give stays.
#[test]
fn tail_priority__never_lowers() {
    let published = GrantConfig { tail_bytes: 10_000, ..config() };
    let messages: Vec<_> = (0..4).map(|slot| message(slot, 15_000)).collect();
    let mut scheduler = scheduler(published, &messages);
    let cutoffs = [u32::MAX, 1 << 20, 1 << 20, 100, 100, 100, 100, 100];
    scheduler.set_cutoffs(&UnscheduledCutoffs { cutoffs, version: 1, scheduled_max: 3 });
    let levels: Vec<_> = drain(&mut scheduler, START).iter().map(|g| g.priority.level()).collect();
    assert_eq!(levels, [3, 2, 2, 2]);
}

/// HOMA-PRIO-7: a single level will do.
#[test]
fn scheduled_priority__single_level() {
    let single = GrantConfig { priority_levels: 1, ..kernel_config() };
    let mut scheduler = scheduler(single, &[message(0, 800_000), message(1, 900_000)]);
    let later = START + Duration::from_millis(1);
    let decisions = drain(&mut scheduler, later);
    assert_eq!(decisions.len(), 3, "one of them to the oldest");
    assert!(decisions.iter().all(|decision| decision.priority == Priority::LOWEST));
}

/// A host that receives 64 KiB datagrams grants in segments, and never leaves a sender waiting
/// for the rest of one.
#[test]
fn poll__large_segments() {
    let loopback = |slot| IncomingMessage { segment_bytes: 65_451, ..message(slot, 10_000_000) };
    let messages: Vec<_> = (0..8).map(loopback).collect();
    let mut scheduler = scheduler(config(), &messages);
    let decisions = drain(&mut scheduler, START);
    let offsets: Vec<_> = decisions.iter().map(|decision| decision.offset).collect();
    assert_eq!(offsets, [10_000 + 2 * 65_451; 3], "the rest of the room is less than a segment");
    scheduler.progress(0, 10_000 + 65_451);
    assert_eq!(drain(&mut scheduler, START), [decision(0, 10_000 + 3 * 65_451, 3)]);
}

/// A limit below two segments does not stop the world: with nothing on its way one step goes out.
#[test]
fn poll__limit_below_a_segment() {
    let tiny = GrantConfig { incoming_bytes_max: 1_000, ..config() };
    let loopback = IncomingMessage { segment_bytes: 65_451, ..message(0, 1_000_000) };
    let mut scheduler = scheduler(tiny, &[loopback]);
    assert_eq!(drain(&mut scheduler, START), [decision(0, 75_451, 0)]);
    scheduler.progress(0, 75_450);
    assert_eq!(drain(&mut scheduler, START), []);
    scheduler.progress(0, 75_451);
    assert_eq!(drain(&mut scheduler, START), [decision(0, 140_902, 0)]);
}

/// No promise that memory cannot keep, be the step as large as it may.
#[test]
fn poll__respects_memory_room() {
    let mut scheduler = scheduler(kernel_config(), &[message(0, 900_000)]);
    let later = START + Duration::from_secs(1);
    assert_eq!(scheduler.poll(later, |_| 0), None);
    assert_eq!(scheduler.poll(later, |_| 15_000), Some(decision(0, 25_000, 0)));
    assert_eq!(scheduler.poll(later, |_| 9_999), None, "wait for a worthwhile step");
    scheduler.progress(0, 25_000);
    assert_eq!(
        scheduler.poll(later, |_| 9_999),
        Some(decision(0, 34_999, 0)),
        "nothing else comes"
    );
}

/// PROTOCOL section 8: 50,000 bytes at 5% of 25 Gb/s are 320 us.
#[test]
fn poll__grants_to_the_oldest_at_intervals() {
    let mut long = message(0, 5_000_000);
    long.peer = 1;
    let one = GrantConfig { overcommit_max: 1, ..kernel_config() };
    let mut scheduler = scheduler(one, &[long, message(1, 900_000)]);
    let due = START + Duration::from_micros(320);
    assert_eq!(scheduler.next_time(), Some(due));
    assert_eq!(drain(&mut scheduler, START), [decision(1, 210_000, 0)]);
    let early = due - Duration::from_nanos(1);
    assert_eq!(drain(&mut scheduler, early), []);
    assert_eq!(drain(&mut scheduler, due), [decision(0, 60_000, 6)]);
    let late = due + Duration::from_micros(500);
    assert_eq!(scheduler.next_time(), Some(due + Duration::from_micros(320)));
    assert_eq!(drain(&mut scheduler, late), [decision(0, 110_000, 6)], "one, however late");
    assert_eq!(scheduler.next_time(), Some(late + Duration::from_micros(320)));
}

/// A message that does not answer such grants is passed over until its data come.
#[test]
fn choose_oldest__passes_over_the_silent() {
    let fixed = GrantConfig { window_bytes: 10_000, overcommit_max: 1, ..kernel_config() };
    let mut scheduler = scheduler(fixed, &[message(0, 5_000_000), message(1, 900_000)]);
    let mut now = START;
    let mut turn = |scheduler: &mut GrantScheduler| {
        now += Duration::from_micros(320);
        drain(scheduler, now).iter().map(|decision| decision.slot).next()
    };
    assert_eq!(turn(&mut scheduler), Some(0));
    assert_eq!(turn(&mut scheduler), Some(0));
    assert_eq!(turn(&mut scheduler), Some(0), "100,000 are less than the window more");
    assert_eq!(turn(&mut scheduler), Some(1));
    scheduler.progress(0, 160_000);
    assert_eq!(turn(&mut scheduler), Some(1), "stays with its choice");
    assert_eq!(turn(&mut scheduler), Some(0));
}

#[test]
fn next_time__is_none_without_candidates() {
    let mut scheduler = scheduler(kernel_config(), &[]);
    assert_eq!(scheduler.next_time(), None);
    let short = IncomingMessage { unscheduled: 30_000, ..message(0, 30_000) };
    scheduler.insert(START, short).unwrap();
    assert_eq!(scheduler.next_time(), None, "needs no grants");
    scheduler.insert(START, message(1, 30_000)).unwrap();
    assert!(scheduler.next_time().is_some());
    drain(&mut scheduler, START);
    assert_eq!(scheduler.next_time(), None, "fully granted");
}

/// Without memory the turn is lost, and no further one comes before something changes: a host was woken at each
/// interval, thousands of times per second, for as long as it had no memory.
#[test]
fn next_time__is_none_without_memory() {
    let mut scheduler = scheduler(kernel_config(), &[message(0, 5_000_000)]);
    let due = scheduler.next_time().unwrap();
    assert_eq!(scheduler.poll(due, |_| 0), None);
    assert!(scheduler.is_memory_short());
    assert_eq!(scheduler.next_time(), None);
    let freed = due + Duration::from_micros(1);
    drain(&mut scheduler, freed);
    let next = due + Duration::from_micros(320);
    assert_eq!(scheduler.next_time(), Some(next));
    assert_eq!(drain(&mut scheduler, next), [decision(0, 260_000, 6)]);
}

/// KNOWN_ISSUES 3.6: the interval follows the speed of the link.
#[test]
fn set_link__changes_the_interval() {
    let mut scheduler = scheduler(kernel_config(), &[message(0, 5_000_000)]);
    scheduler.set_link(100_000);
    let due = scheduler.next_time().unwrap();
    drain(&mut scheduler, due);
    assert_eq!(scheduler.next_time(), Some(due + Duration::from_micros(80)));
    scheduler.set_link(0);
    assert_eq!(scheduler.next_time(), None);
}

/// Many waiting messages cost little: the work is bounded, so this ends soon even unoptimised.
#[test]
fn insert__hundred_thousand_messages() {
    for peers in [1, 10_000] {
        let mut scheduler = scheduler(config(), &[]);
        for slot in 0..100_000 {
            let length = 50_000 + slot * 7_919 % 900_000;
            scheduler.insert(START, of_peer(slot % peers, message(slot, length))).unwrap();
        }
        let mut last = None;
        for _ in 0..100_000 {
            let first = scheduler.places.active()[0].slot;
            assert_ne!(Some(first), last);
            scheduler.remove(first);
            last = Some(first);
        }
        scheduler.check_invariants();
        assert_eq!(scheduler.grantable(), 0);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert { peer: u32, length: u32, unscheduled: u32, received: u32, segment: u32 },
    Progress(usize, u32),
    Remove(usize),
    Poll { wait: u64, memory_room: u64 },
    Levels(u8),
}

fn op(peers: u32) -> impl Strategy<Value = Op> {
    let insert = (0..peers, 1..300_000u32, 0..80_000u32, 0..50_000u32, 1..3_000u32).prop_map(
        |(peer, length, unscheduled, received, segment)| Op::Insert {
            peer,
            length,
            unscheduled,
            received,
            segment,
        },
    );
    prop_oneof![
        3 => insert,
        4 => (any::<usize>(), 0..60_000u32).prop_map(|(pick, bytes)| Op::Progress(pick, bytes)),
        1 => any::<usize>().prop_map(Op::Remove),
        4 => (0..400_000u64, prop_oneof![Just(AMPLE), 0..100_000u64])
            .prop_map(|(wait, memory_room)| Op::Poll { wait, memory_room }),
        1 => (0..8u8).prop_map(Op::Levels),
    ]
}

fn any_config() -> impl Strategy<Value = GrantConfig> {
    (
        prop_oneof![Just(400_000u64), 1..100_000u64],
        prop_oneof![Just(0u32), 1..100_000u32],
        1..5usize,
        1..4usize,
        (prop_oneof![Just(10_000u32), 0..60_000u32], 1..5u32, any::<bool>(), 0..20_000u32),
        prop_oneof![Just(0u32), Just(50u32)],
        1..9u8,
        (prop_oneof![Just(u32::MAX), 1..100_000u32], 0..100_000u64),
    )
        .prop_map(|(incoming, window, overcommit, per_peer, step, share, levels, later)| {
            let (increment, grant_segments_min, places_end_when_granted, tail_bytes) = step;
            let (later_window_bytes, idle_ns) = later;
            let idle_ns = if window == 0 { 0 } else { idle_ns.saturating_sub(50_000) };
            GrantConfig {
                incoming_bytes_max: incoming,
                window_bytes: window,
                overcommit_max: overcommit,
                messages_per_peer_max: per_peer,
                grant_increment_bytes: increment,
                fifo_share_permille: share,
                priority_levels: levels,
                grant_segments_min,
                places_end_when_granted,
                tail_bytes,
                later_window_bytes,
                idle_after: Duration::from_nanos(idle_ns),
                ..kernel_config()
            }
        })
}

/// Slots in use, and what the sender of each has sent of what it may.
fn pick(scheduler: &GrantScheduler, pick: usize) -> Option<u32> {
    let known: Vec<u32> = (0..scheduler.messages.len() as u32)
        .filter(|&slot| scheduler.granted(slot).is_some())
        .collect();
    (!known.is_empty()).then(|| known[pick % known.len()])
}

/// Checks one decision against the offset granted before it.
fn check_decision(
    granted_before: Option<u32>,
    scheduler: &GrantScheduler,
    grant: GrantDecision,
    memory_room: u64,
    ordinary: bool,
) {
    let granted_before = granted_before.expect("grants only to known messages");
    assert!(grant.offset > granted_before, "a grant never lowers and always says something new");
    assert_eq!(scheduler.granted(grant.slot), Some(grant.offset));
    let bytes = u64::from(grant.offset - granted_before);
    assert!(bytes <= memory_room);
    assert!(grant.priority.level() < scheduler.config.priority_levels);
    let coming = scheduler.incoming_bytes() - scheduler.held_bytes;
    if ordinary && coming > bytes {
        assert!(coming <= scheduler.config.incoming_bytes_max, "others were on their way");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Books, orders and the choice of active messages hold after every operation; grants only
    /// rise, within the limits; grants to the oldest message come no faster than their interval.
    #[test]
    fn scheduler__keeps_its_rules(
        config in any_config(),
        ops in prop::collection::vec(op(6), 1..120),
    ) {
        let mut scheduler = scheduler(config, &[]);
        let mut now = START;
        let mut births = 0;
        let mut fifo_last = None;
        for op in ops {
            match op {
                Op::Insert { peer, length, unscheduled, received, segment } => {
                    births += 1;
                    let slot = (0..).find(|&slot| scheduler.granted(slot).is_none()).unwrap();
                    let new = IncomingMessage {
                        slot, peer, length, unscheduled, received,
                        segment_bytes: segment, birth: births,
                    };
                    scheduler.insert(now, new).unwrap();
                    prop_assert_eq!(scheduler.granted(slot).is_some(), received < length);
                }
                Op::Progress(which, bytes) => if let Some(slot) = pick(&scheduler, which) {
                    let received = scheduler.message(slot).unwrap().received;
                    if scheduler.is_informed() {
                        scheduler.arrived(now, bytes.min(1_500));
                    }
                    scheduler.progress(slot, received + bytes);
                },
                Op::Remove(which) => if let Some(slot) = pick(&scheduler, which) {
                    scheduler.remove(slot);
                    prop_assert_eq!(scheduler.granted(slot), None);
                },
                Op::Levels(level) => scheduler.set_cutoffs(&scheduled_max(level)),
                Op::Poll { wait, mut memory_room } => {
                    now += Duration::from_nanos(wait);
                    loop {
                        let (due, fifo_due) = (scheduler.next_time(), scheduler.fifo_due);
                        let starved = scheduler.fifo_starved;
                        let granted: Vec<_> = (0..scheduler.messages.len() as u32)
                            .map(|slot| scheduler.granted(slot)).collect();
                        let Some(grant) = scheduler.poll(now, |_| memory_room) else { break };
                        let ordinary = scheduler.fifo_due == fifo_due;
                        if !ordinary {
                            prop_assert!(starved || due.unwrap() <= now);
                            let interval = scheduler.fifo_interval.unwrap();
                            prop_assert!(fifo_last.is_none_or(|last| last + interval <= now));
                            fifo_last = Some(now);
                        }
                        let before = granted[grant.slot as usize];
                        check_decision(before, &scheduler, grant, memory_room, ordinary);
                        memory_room -= u64::from(grant.offset - before.unwrap());
                        scheduler.check_invariants();
                    }
                    prop_assert!(scheduler.next_time().is_none_or(|due| due > now));
                }
            }
            scheduler.check_invariants();
        }
    }

    /// With one message per peer the active ones are simply the shortest.
    #[test]
    fn scheduler__active_are_the_shortest(
        lengths in prop::collection::vec(20_000..2_000_000u32, 1..40),
        arrivals in prop::collection::vec((any::<usize>(), 1..400_000u32), 0..60),
        overcommit_max in 1..10usize,
    ) {
        let messages: Vec<_> =
            lengths.iter().zip(0..).map(|(&length, slot)| message(slot, length)).collect();
        let mut scheduler = scheduler(GrantConfig { overcommit_max, ..config() }, &messages);
        let mut model: Vec<(u32, u32)> =
            messages.iter().map(|message| (message.length - 10_000, message.slot)).collect();
        for (which, bytes) in arrivals {
            model.sort_unstable();
            let shortest: Vec<_> = model.iter().take(overcommit_max).map(|&(_, slot)| slot).collect();
            prop_assert_eq!(active(&scheduler), shortest);
            if model.is_empty() {
                break;
            }
            let which = which % model.len();
            let (remaining, slot) = model[which];
            scheduler.progress(slot, lengths[slot as usize] - remaining.saturating_sub(bytes));
            match remaining.checked_sub(bytes) {
                None | Some(0) => { model.remove(which); }
                Some(left) => model[which].0 = left,
            }
        }
    }

    /// HOMA-GRANT-6: whatever the limits, if senders send what they may, every message completes.
    /// Only memory that never comes stops one.
    #[test]
    fn scheduler__every_message_completes(
        config in any_config(),
        messages in prop::collection::vec(
            (0..4u32, 1..400_000u32, 0..60_000u32, prop_oneof![0..3_000u32, Just(65_451)]), 1..20),
        memory in prop_oneof![Just(AMPLE), 1..200_000u64],
        pace in 1..100_000u32,
    ) {
        let mut scheduler = scheduler(config, &[]);
        for (slot, &(peer, length, unscheduled, segment_bytes)) in (0..).zip(&messages) {
            let new = IncomingMessage {
                slot, peer, length, unscheduled, received: 0, segment_bytes, birth: u64::from(slot),
            };
            scheduler.insert(START, new).unwrap();
        }
        let mut received = vec![0u32; messages.len()];
        let mut idle = 0;
        while idle < 2 {
            idle += 1;
            // The time does not move: grants to the oldest message do not help.
            loop {
                let room = memory.saturating_sub(scheduler.incoming_bytes());
                if scheduler.poll(START, |_| room).is_none() {
                    break;
                }
                idle = 0;
            }
            for (slot, received) in (0..).zip(&mut received) {
                if let Some(granted) = scheduler.granted(slot) && *received < granted {
                    *received = granted.min(*received + pace);
                    scheduler.progress(slot, *received);
                    idle = 0;
                }
            }
            scheduler.check_invariants();
        }
        let lengths: Vec<_> = messages.iter().map(|message| message.1).collect();
        prop_assert_eq!(received, lengths);
        prop_assert_eq!((scheduler.incoming_bytes(), scheduler.grantable()), (0, 0));
    }
}

/// While memory is exhausted a poll looks at a few messages only, and successive ones at all.
#[test]
fn poll__without_memory_looks_at_a_bounded_number_of_messages() {
    use core::cell::Cell;
    let mut scheduler = GrantScheduler::new(kernel_config());
    let count = 5000u32;
    for slot in 0..count {
        let message = IncomingMessage {
            slot,
            peer: slot,
            length: 1_000_000 + slot,
            unscheduled: 0,
            received: 0,
            segment_bytes: 1400,
            birth: slot.into(),
        };
        scheduler.insert(Instant::ZERO, message).unwrap();
    }
    scheduler.search_anew();
    let looked = Cell::new(0u32);
    let lucky = count - 1;
    let room = |slot| {
        looked.set(looked.get() + 1);
        if slot == lucky { u64::MAX } else { 0 }
    };
    let mut polls = 0;
    let decision = loop {
        looked.set(0);
        let decision = scheduler.poll(Instant::ZERO, room);
        assert!(looked.get() <= SEARCH_STEPS + 8, "{} messages in one poll", looked.get());
        polls += 1;
        if decision.is_some() || !scheduler.search_goes_on() {
            break decision;
        }
    };
    assert_eq!(decision.map(|decision| decision.slot), Some(lucky));
    assert!(polls >= count / SEARCH_STEPS - 1, "{polls}");
    scheduler.remove(lucky);
    while scheduler.poll(Instant::ZERO, room).is_none() && scheduler.search_goes_on() {}
    assert!(scheduler.is_memory_short() && !scheduler.search_goes_on(), "the search ends");
}

/// While another one waits for room nobody is searched, and so no search goes on: whoever polled until
/// it ended would do nothing else.
#[test]
fn search_goes_on__not_while_a_message_waits_for_room() {
    let config = GrantConfig { incoming_bytes_max: 22_000, ..config() };
    let short = IncomingMessage { length: 10_500, received: 0, ..message(0, 0) };
    let long = IncomingMessage { received: 0, ..message(1, 100_000) };
    let mut scheduler = scheduler(config, &[short, long]);
    scheduler.search_anew();
    let short_has_no_memory = |slot| if slot == 0 { 0 } else { 100_000 };
    assert_eq!(scheduler.poll(Instant::ZERO, short_has_no_memory), None);
    assert!(scheduler.is_memory_short() && !scheduler.search_goes_on());
}
