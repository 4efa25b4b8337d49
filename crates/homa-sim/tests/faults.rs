//! Links that go down, hosts that are slow or take nothing: all messages arrive all the same.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_sim::{
    DropCounts, Exchange, Fault, HomaConfig, NetworkConfig, Pattern, Protocol, RunReport, Shape,
    SimConfig, SwitchName, TracedMessage, run, run_traced,
};

/// Three racks of four hosts (switches 0 to 2), joined by two switches (3 and 4); 1000 messages of W3
/// take some 0.7 ms.
fn small(faults: Vec<Fault>) -> SimConfig {
    let topology = Shape::LeafSpine { racks: 3, hosts_per_rack: 4, spines: 2 };
    let network = NetworkConfig { topology, ..NetworkConfig::default() };
    let base = SimConfig::sigcomm18("w3");
    let homa = HomaConfig { resend_ms: 1, ..base.homa.clone() };
    SimConfig { messages: 1000, warmup_ms: 0.1, load: 0.5, network, homa, faults, ..base }
}

fn link_down(a: u32, b: u32, from_us: f64, to_us: f64) -> Fault {
    Fault::LinkDown { between: [a, b].map(SwitchName::Number), from_us, to_us }
}

fn paused(host: u32, nic_bytes: u64, from_us: f64, to_us: f64) -> Fault {
    Fault::PausedHost { host, nic_bytes, from_us, to_us }
}

fn slow(host: u32, delay_factor: f64, every_us: f64) -> Fault {
    Fault::SlowHost { host, delay_factor, every_us, nic_bytes: 0, from_us: 0.0, to_us: 1e9 }
}

/// Runs it twice with the same result, in which every message arrives.
fn all_arrive(config: &SimConfig) -> RunReport {
    let [mut report, second] = [(); 2].map(|()| run(config, &|_| {}).unwrap());
    (report.wall_seconds, report.events_per_second) =
        (second.wall_seconds, second.events_per_second);
    assert_eq!(report, second);
    assert_eq!((report.messages, report.unfinished, report.counts.failures), (1000, 0, 0));
    assert_eq!(report.drops, report.drops_by_cause.total());
    report
}

/// Messages of one size between the two hosts of a network, with so much time between them that each is
/// alone.
fn alone(topology: Shape, faults: Vec<Fault>) -> Vec<TracedMessage> {
    let mut config = small(faults);
    config.network.topology = topology;
    (config.workload, config.load) = ("1000".into(), 1e-3);
    (config.messages, config.warmup_ms, config.seconds_max) = (20, 0.0, 10.0);
    let (outcome, messages) = run_traced(&config, &|_| {}).unwrap();
    assert_eq!(outcome.report().drops, 0);
    messages.into_iter().filter(|message| message.is_measured).collect()
}

fn late_ns(message: &TracedMessage) -> f64 {
    message.time_ns.unwrap() - message.best_ns
}

#[test]
fn link_down__packets_go_around() {
    let whole = all_arrive(&small(vec![]));
    assert_eq!((whole.drops, whole.counts.retransmissions), (0, 0));
    for protocol in [Protocol::Homa, Protocol::Dctcp] {
        // Ten times for 20 us.
        let flapping = (0..10).map(|time| 200.0 + 40.0 * f64::from(time));
        let faults = flapping.map(|at| link_down(0, 3, at, at + 20.0)).collect();
        let report = all_arrive(&SimConfig { protocol, ..small(faults) });
        // What was on the link and what waited for it.
        let lost = report.drops_by_cause.link_down;
        assert_eq!(report.drops_by_cause, DropCounts { link_down: lost, ..DropCounts::default() });
        assert!((1..60).contains(&lost), "{lost}");
        assert_ne!(report.fingerprint, whole.fingerprint);
    }
}

/// The switch between racks goes around too, by way of a third rack.
#[test]
fn link_down__of_a_network_that_stays_whole_loses_nothing_that_comes_later() {
    let down = small(vec![link_down(1, 3, 0.0, 1e9), link_down(2, 4, 0.0, 1e9)]);
    let report = all_arrive(&down);
    assert_eq!((report.drops, report.counts.retransmissions), (0, 0));
    // From rack 1 to rack 2 five switches are on the way.
    assert!(report.events > all_arrive(&small(vec![])).events * 11 / 10);
}

#[test]
fn link_down__where_there_is_no_other_way_packets_are_lost() {
    let faults = vec![link_down(0, 3, 200.0, 3000.0), link_down(4, 0, 200.0, 3000.0)];
    let report = all_arrive(&small(faults));
    assert!(report.drops_by_cause.link_down > 60, "{:?}", report.drops_by_cause);
    assert!(report.counts.retransmissions > 0);
    assert!(report.sim_seconds > 3e-3, "only then rack 0 is there again");
    let host = Fault::HostLinkDown { host: 5, from_us: 200.0, to_us: 3000.0 };
    for exchange in [Exchange::OneWay, Exchange::Echo] {
        let report = all_arrive(&SimConfig { exchange, ..small(vec![host.clone()]) });
        assert!(report.drops_by_cause.link_down > 10, "{:?}", report.drops_by_cause);
        assert!(report.sim_seconds > 3e-3);
    }
}

#[test]
fn link_down__by_name_and_all_links_between_two_switches() {
    let topology = |links: &str| -> Shape {
        let ends = "[{\"name\":\"a\",\"hosts\":1},{\"name\":\"b\",\"hosts\":1},{\"name\":\"c\"}]";
        let text = format!("{{\"shape\":\"custom\",\"switches\":{ends},\"links\":[{links}]}}");
        serde_json::from_str(&text).unwrap()
    };
    let double = "{\"from\":\"a\",\"to\":\"b\"},{\"from\":\"b\",\"to\":\"a\"},";
    let around = "{\"from\":\"a\",\"to\":\"c\"},{\"from\":\"c\",\"to\":\"b\"}";
    let topology = topology(&format!("{double}{around}"));
    let between = ["b", "a"].map(|name| SwitchName::Name(name.into()));
    let down = Fault::LinkDown { between, from_us: 0.0, to_us: 1e9 };
    let times = alone(topology, vec![down]);
    // One more link at 40 Gb/s, one more switch; the best time is of the network when it is whole.
    let packet_ns = f64::from(homa_sim::Framing::SIGCOMM18.data(1000, false)) / 5.0;
    for message in &times {
        assert!((late_ns(message) - packet_ns - 250.0).abs() < 1.0, "{message:?}");
    }
}

#[test]
fn slow_host__delays_what_it_sends_and_what_it_receives() {
    let messages = alone(Shape::SingleSwitch { hosts: 2 }, vec![slow(1, 4.0, 0.0)]);
    assert!([0, 1].iter().all(|host| messages.iter().any(|message| message.from == *host)));
    for message in &messages {
        let late = if message.from == 1 { 3.0 * 1000.0 } else { 3.0 * 500.0 };
        assert!((late_ns(message) - late).abs() < 1.0, "{message:?}");
    }
}

#[test]
fn slow_host__handles_packets_every_so_often() {
    let messages = alone(Shape::SingleSwitch { hosts: 2 }, vec![slow(1, 1.0, 50.0)]);
    let (received, sent): (Vec<_>, Vec<_>) = messages.iter().partition(|message| message.to == 1);
    assert!(!received.is_empty() && !sent.is_empty());
    assert!(sent.iter().all(|message| late_ns(message) < 1.0));
    for message in received {
        let at = message.start_ns + message.time_ns.unwrap();
        let beyond = at.rem_euclid(50_000.0);
        assert!(beyond.min(50_000.0 - beyond) < 0.01, "{message:?}");
        assert!((0.0..50_000.0).contains(&late_ns(&message)), "{message:?}");
    }
    for protocol in [Protocol::Homa, Protocol::Dctcp] {
        let faults = vec![slow(1, 1.0, 20.0), slow(7, 3.0, 5.0)];
        let report = all_arrive(&SimConfig { protocol, ..small(faults) });
        assert_eq!(report.drops, 0);
    }
}

/// What came meanwhile is handled when the pause ends, in the order in which it came.
#[test]
fn paused_host__handles_afterwards_what_came() {
    let pause = vec![paused(1, 0, 0.0, 5000.0)];
    let messages = alone(Shape::SingleSwitch { hosts: 2 }, pause);
    let during = |message: &&TracedMessage| message.to == 1 && message.start_ns < 4.9e6;
    assert!(messages.iter().filter(during).count() > 2);
    for message in messages.iter().filter(during) {
        assert_eq!(message.start_ns + message.time_ns.unwrap(), 5e6, "{message:?}");
    }
    assert!(messages.iter().filter(|message| message.to == 0).all(|one| late_ns(one) < 1.0));

    let report = all_arrive(&small(vec![paused(1, 0, 200.0, 600.0)]));
    assert_eq!((report.drops, report.counts.retransmissions), (0, 0));
}

#[test]
fn paused_host__loses_what_does_not_fit_its_interface() {
    let incast = Pattern::Incast { senders: 11 };
    for protocol in [Protocol::Homa, Protocol::Dctcp] {
        let faults = vec![paused(0, 3000, 200.0, 400.0)];
        let workload = "5000".to_owned();
        let report =
            all_arrive(&SimConfig { protocol, traffic: incast, workload, ..small(faults) });
        let DropCounts { host_stalled, .. } = report.drops_by_cause;
        assert!(host_stalled > 5 && host_stalled == report.drops, "{:?}", report.drops_by_cause);
        assert!(report.counts.retransmissions >= host_stalled);
    }
}

/// Longer than a sender waits for a sign: it asks again, and what arrives twice counts once.
#[test]
fn paused_host__for_longer_than_the_sender_is_patient() {
    for exchange in [Exchange::OneWay, Exchange::Echo] {
        let report =
            all_arrive(&SimConfig { exchange, ..small(vec![paused(3, 0, 200.0, 9000.0)]) });
        assert_eq!(report.drops, 0);
        assert!(report.sim_seconds > 9e-3);
    }
}

#[test]
fn config__faults_that_cannot_be_are_errors() {
    let down = link_down(0, 3, 1.0, 2.0);
    small(vec![down.clone()]).validate().unwrap();
    for (fault, what) in [
        (link_down(0, 1, 1.0, 2.0), "no link between switches 0 and 1"),
        (link_down(0, 9, 1.0, 2.0), "no link between switches 0 and 9"),
        (link_down(0, 3, 2.0, 2.0), "from_us, 2, is not before to_us, 2"),
        (link_down(0, 3, -1.0, 2.0), "from_us is 0 to 10^12"),
        (link_down(0, 3, 0.0, f64::NAN), "to_us is 0 to 10^12"),
        (paused(12, 0, 1.0, 2.0), "no host 12: hosts are 0 to 11"),
        (slow(1, 0.5, 0.0), "delay_factor is 1 to 10^6"),
        (slow(1, 1.0, -1.0), "every_us is"),
    ] {
        let config = small(vec![down.clone(), fault]);
        let why = config.validate().unwrap_err().to_string();
        assert!(why.starts_with("faults[1]: ") && why.contains(what), "{why}");
        assert_eq!(run(&config, &|_| {}).unwrap_err().to_string(), why);
    }
    let between = ["a", "b"].map(|name| SwitchName::Name(name.into()));
    let named = Fault::LinkDown { between, from_us: 1.0, to_us: 2.0 };
    let why = small(vec![named]).validate().unwrap_err().to_string();
    assert!(why.contains("switches have numbers here"), "{why}");
    let oracle = SimConfig { protocol: Protocol::Oracle, ..small(vec![down]) };
    assert!(oracle.validate().unwrap_err().to_string().contains("oracle"));
}
