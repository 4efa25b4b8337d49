//! Whole runs: the yardstick, and that runs repeat.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_sim::{
    Exchange, HomaConfig, IncastOverlay, NetworkConfig, Outcome, Pattern, Protocol, Shape,
    SimConfig, run, run_detailed, run_traced,
};

/// So few messages that none meets another.
fn unloaded(length: u32, shape: Shape) -> SimConfig {
    let network = NetworkConfig { topology: shape, ..NetworkConfig::default() };
    let base = SimConfig::sigcomm18("w4");
    // A round trip through five switches takes longer than the paper's.
    let rtt_bytes = 20_000;
    let homa = HomaConfig { rtt_bytes, unscheduled_bytes: rtt_bytes, ..base.homa.clone() };
    SimConfig {
        homa,
        workload: length.to_string(),
        load: 1e-6,
        messages: 30,
        warmup_ms: 0.0,
        seconds_max: 1e6,
        network,
        ..base
    }
}

/// The yardstick: alone, a message of any length takes the best possible time.
#[test]
fn slowdown__of_a_message_alone_is_one() {
    for shape in [Shape::sigcomm18(), Shape::SingleSwitch { hosts: 4 }, Shape::FatTree { k: 4 }] {
        for length in
            [1, 2, 100, 1441, 1442, 1443, 5000, 9328, 9329, 10_000, 20_000, 123_456, 3_000_000]
        {
            let report = run(&unloaded(length, shape.clone()), &|_| {}).unwrap();
            let slowdown = report.slowdown;
            assert_eq!((report.messages, report.unfinished, report.drops), (30, 0, 0));
            let (mean, p99) = (slowdown.mean_by_message.unwrap(), slowdown.p99.unwrap());
            assert!((0.99..1.01).contains(&mean), "{length} bytes, {shape:?}: mean {mean}");
            // Packets of one message may meet, if chance sends them the same way.
            assert!((0.99..1.02).contains(&p99), "{length} bytes, {shape:?}: P99 {p99}");
        }
    }
}

fn small(workload: &str) -> SimConfig {
    let topology = Shape::LeafSpine { racks: 3, hosts_per_rack: 4, spines: 2 };
    let network = NetworkConfig { topology, ..NetworkConfig::default() };
    SimConfig { messages: 3000, warmup_ms: 0.2, network, ..SimConfig::sigcomm18(workload) }
}

#[test]
fn run__twice_is_the_same() {
    for config in [small("w3"), SimConfig { exchange: Exchange::Echo, ..small("w3") }] {
        let mut reports = [(); 2].map(|()| run(&config, &|_| {}).unwrap());
        for report in &mut reports {
            report.wall_seconds = 0.0;
            report.events_per_second = 0.0;
        }
        assert_eq!(reports[0], reports[1]);
        let other = run(&SimConfig { seed: 2, ..config }, &|_| {}).unwrap();
        assert_ne!(reports[0].fingerprint, other.fingerprint);
    }
}

fn outcome(seed: u64) -> Outcome {
    run_detailed(&SimConfig { seed, messages: 1500, ..small("w3") }, &|_| {}).unwrap()
}

fn merged(seeds: [u64; 2]) -> homa_sim::RunReport {
    let [mut first, second] = seeds.map(outcome);
    first.merge(second);
    first.report()
}

#[test]
fn outcomes__merge_what_seeds_measured() {
    let [one, two] = [1, 2].map(|seed| outcome(seed).report());
    let both = merged([1, 2]);
    assert_eq!(
        (both.seed, &both.seeds[..], both.messages, both.unfinished),
        (1, &[1, 2][..], 3000, 0)
    );
    assert_eq!(both.events, one.events + two.events);
    assert_eq!(both.counts.grants, one.counts.grants + two.counts.grants);
    let sorted = |a: f64, b: f64| (a.min(b), a.max(b));
    let figures: [fn(&homa_sim::RunReport) -> f64; 5] = [
        |r| r.goodput_gbps,
        |r| r.utilization_pct,
        |r| r.slowdown.p50.unwrap(),
        |r| r.queues["tor_to_host"].mean_bytes,
        |r| r.priorities[0],
    ];
    for figure in figures {
        let (low, high) = sorted(figure(&one), figure(&two));
        assert!((low..=high).contains(&figure(&both)), "{low} {} {high}", figure(&both));
    }
    let max = |r: &homa_sim::RunReport| r.queues["tor_to_host"].max_bytes;
    assert_eq!(max(&both), max(&one).max(max(&two)));
    assert_ne!(both.fingerprint, merged([2, 1]).fingerprint, "the order matters");
    assert_eq!(both.fingerprint, merged([1, 2]).fingerprint);
}

#[test]
fn load__is_what_links_carry() {
    let config = SimConfig { load: 0.6, messages: 40_000, ..small("w2") };
    let report = run(&config, &|_| {}).unwrap();
    assert!((report.utilization_pct - 60.0).abs() < 3.0, "{}", report.utilization_pct);
    assert_eq!(report.counts.failures, 0);
    assert_eq!(report.counts.retransmissions, 0);
}

/// What is lost is asked for, and arrives.
#[test]
fn loss__delays_but_loses_nothing() {
    let mut config = SimConfig { load: 0.3, ..small("w3") };
    config.network.loss_permille = 5.0;
    config.homa = HomaConfig { resend_ms: 1, ..config.homa };
    let report = run(&config, &|_| {}).unwrap();
    assert!(report.drops > 0 && report.counts.retransmissions > 0);
    assert_eq!((report.messages, report.unfinished, report.counts.failures), (3000, 0, 0));
}

#[test]
fn buffers__that_are_full_drop() {
    let incast = Pattern::Incast { senders: 11 };
    let mut config = SimConfig { traffic: incast, workload: "9000".into(), ..small("w3") };
    config.network.buffer_bytes = 20_000;
    config.homa.resend_ms = 1;
    let report = run(&config, &|_| {}).unwrap();
    assert!(report.drops > 0);
    assert!(report.queues["tor_to_host"].max_bytes <= 20_000);
    assert_eq!((report.messages, report.unfinished), (3000, 0));
}

/// Messages of 100,000 bytes that meet no other: a host holds one at a time, and what ends earlier ones,
/// a byte each. Receivers reserve 64 KiB at a time.
#[test]
fn memory__is_that_of_the_messages_held_at_once() {
    let config = unloaded(100_000, Shape::SingleSwitch { hosts: 4 });
    let memory = run(&config, &|_| {}).unwrap().memory.unwrap();
    assert!((100_000..100_100).contains(&memory.outgoing_bytes.peak_max), "{memory:?}");
    assert!((100_000..100_100).contains(&memory.arrived_bytes.peak_max), "{memory:?}");
    assert!((131_072..131_200).contains(&memory.incoming_bytes.peak_max), "{memory:?}");

    let idle = SimConfig { messages: 1, ..config };
    let mut outcome = run_detailed(&idle, &|_| {}).unwrap();
    outcome.merge(run_detailed(&SimConfig { seed: 2, ..idle.clone() }, &|_| {}).unwrap());
    let memory = outcome.report().memory.unwrap();
    // Of 4 hosts one sent a message, or a second one did while the first was under way.
    assert!((25_000.0..50_100.0).contains(&memory.outgoing_bytes.peak_mean), "{memory:?}");
    assert!(memory.outgoing_bytes.peak_max < 200_100, "{memory:?}");

    for protocol in [Protocol::Dctcp, Protocol::Oracle] {
        assert_eq!(run(&SimConfig { protocol, ..idle.clone() }, &|_| {}).unwrap().memory, None);
    }
}

/// In a network of one switch, its memory holds the queues to all hosts: that of a single receiver of
/// everything is all of it; those of many are at most as many times the longest.
#[test]
fn buffers__are_the_queues_of_a_switch_together() {
    let of = |traffic| {
        let mut config = SimConfig { traffic, workload: "9000".into(), ..small("w3") };
        config.network.topology = Shape::SingleSwitch { hosts: 12 };
        let report = run(&config, &|_| {}).unwrap();
        (report.queues["tor_to_host"].max_bytes, report.buffers["tor"])
    };
    let (longest, all) = of(Pattern::Incast { senders: 11 });
    assert!(all.mean_bytes > 10_000.0, "{all:?}");
    let (longest_of_many, all_of_many) = of(Pattern::AllToAll);
    assert!(all.max_bytes >= longest && all_of_many.max_bytes > longest_of_many);
    assert!(all_of_many.max_bytes < 12 * longest_of_many, "{all_of_many:?}");
    // But for the grants back to the senders.
    assert!(all.max_bytes < longest + 12 * 84, "{all:?} {longest}");
}

/// Closed loops keep the link to the receiver of an incast busy.
#[test]
fn incast__keeps_the_link_busy() {
    let incast = Pattern::Incast { senders: 11 };
    let config = SimConfig { traffic: incast, workload: "100000".into(), ..small("w3") };
    let report = run(&config, &|_| {}).unwrap();
    // One host of 12 receives.
    assert!((report.utilization_pct * 12.0) > 95.0, "{}", report.utilization_pct);
}

#[test]
fn priorities__separate_short_from_long() {
    let config = SimConfig { messages: 6000, ..small("w3") };
    let with = run(&config, &|_| {}).unwrap();
    let one = HomaConfig { priorities: 1, ..config.homa.clone() };
    let without = run(&SimConfig { homa: one, ..config }, &|_| {}).unwrap();
    let short = |report: &homa_sim::RunReport| report.slowdown.short_p99.unwrap();
    assert!(short(&with) * 1.5 < short(&without), "{} {}", short(&with), short(&without));
}

/// One client with many RPCs; responses are longer than any request, and with control do not come all at once.
#[test]
fn clients__get_long_responses() {
    let base = small("w4");
    // With places that end when granted all responses would be granted at once.
    let homa = HomaConfig { places_end_when_granted: false, ..base.homa.clone() };
    let config = SimConfig {
        workload: "100".into(),
        exchange: Exchange::Reply(10_000),
        traffic: Pattern::Clients { clients: 1, outstanding: 50 },
        messages: 500,
        warmup_ms: 0.0,
        homa,
        ..base
    };
    let without = run(&config, &|_| {}).unwrap();
    let homa = HomaConfig { incast_calls_max: Some(10), ..config.homa.clone() };
    let with = run(&SimConfig { homa, ..config }, &|_| {}).unwrap();
    for report in [&without, &with] {
        assert_eq!((report.messages, report.unfinished, report.counts.failures), (500, 0, 0));
    }
    let longest = |report: &homa_sim::RunReport| report.queues["tor_to_host"].max_bytes;
    assert!(longest(&with) * 2 < longest(&without), "{} {}", longest(&with), longest(&without));
}

/// A grant for the oldest message that falls due while the link is busy waits for it; time goes on.
#[test]
fn fifo_share__with_hosts_that_decide_late() {
    let config = SimConfig { load: 0.9, messages: 500, ..small("w4") };
    let homa = HomaConfig { fifo_permille: 100, overcommit: 1, ..config.homa.clone() };
    let with = run(&SimConfig { homa, ..config }, &|_| {}).unwrap();
    assert_eq!((with.messages, with.unfinished, with.counts.failures), (500, 0, 0));
}

#[test]
fn config__what_makes_no_sense_is_an_error() {
    let errors = [
        SimConfig { load: 0.0, ..small("w3") },
        SimConfig { workload: "w9".into(), ..small("w3") },
        SimConfig { messages: 0, ..small("w3") },
        SimConfig { homa: HomaConfig { priorities: 9, ..small("w3").homa }, ..small("w3") },
        SimConfig { workload: "100MB".into(), ..small("w3") },
    ];
    for config in errors {
        assert!(config.validate().is_err(), "{config:?}");
        assert!(run(&config, &|_| {}).is_err(), "{config:?}");
    }
}

/// Incasts that carry nothing would follow each other without any time between, for ever.
#[test]
fn config__incasts_of_nothing_are_an_error() {
    let incast = IncastOverlay { senders: 5, bytes: 1000, share: 0.1 };
    let with = |protocol, incast| SimConfig { protocol, incast: Some(incast), ..small("w3") };
    for protocol in [Protocol::Homa, Protocol::Dctcp, Protocol::Oracle] {
        with(protocol, incast).validate().unwrap();
        for (name, nothing) in [
            ("incast.bytes", IncastOverlay { bytes: 0, ..incast }),
            ("incast.senders", IncastOverlay { senders: 0, ..incast }),
        ] {
            let config = with(protocol, nothing);
            assert!(config.validate().unwrap_err().to_string().contains(name));
            assert!(run(&config, &|_| {}).unwrap_err().to_string().contains(name));
        }
    }
}

/// Looking at messages changes nothing; those under way when time is over have no time.
#[test]
fn run_traced__is_the_same_run() {
    let mut config = SimConfig::sigcomm18("w4");
    config.network.topology = Shape::SingleSwitch { hosts: 4 };
    (config.messages, config.warmup_ms, config.seconds_max) = (100_000, 1.0, 0.01);
    let plain = run(&config, &|_| {}).unwrap();
    let (outcome, messages) = run_traced(&config, &|_| {}).unwrap();
    assert_eq!(outcome.report().fingerprint, plain.fingerprint);
    let measured = || messages.iter().filter(|message| message.is_measured);
    let arrived = measured().filter(|message| message.time_ns.is_some()).count() as u64;
    assert_eq!(arrived, plain.messages);
    assert!(arrived < measured().count() as u64, "some are under way");
    assert!(measured().all(|message| message.start_ns >= 1e6));
    assert!(messages.iter().any(|message| !message.is_measured));
    let is_possible = |time_ns, best_ns| time_ns >= 0.999 * best_ns;
    let times = messages.iter().filter_map(|message| Some((message.time_ns?, message.best_ns)));
    assert!(times.into_iter().all(|(time_ns, best_ns)| is_possible(time_ns, best_ns)));
}
