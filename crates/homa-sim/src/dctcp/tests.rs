//! Whole runs of the DCTCP-like sender.
#![allow(non_snake_case, reason = "tests are named function__case")]

use crate::{Pattern, Protocol, RunReport, Shape, SimConfig, run};

fn config(workload: &str, senders: u32, messages: u64) -> SimConfig {
    let mut config = SimConfig::sigcomm18(workload);
    config.protocol = Protocol::Dctcp;
    config.messages = messages;
    config.warmup_ms = 2.0;
    config.traffic = Pattern::Incast { senders };
    config.network.topology = Shape::SingleSwitch { hosts: senders + 1 };
    config
}

fn run_of(config: &SimConfig) -> RunReport {
    let report = run(config, &|_| {}).unwrap();
    assert_eq!((report.protocol.as_str(), report.unfinished), ("dctcp", 0));
    report
}

/// Share of the receiver's link that is occupied, in percent.
fn link_pct(config: &SimConfig, report: &RunReport) -> f64 {
    let Pattern::Incast { senders } = config.traffic else { unreachable!("all are incasts here") };
    report.utilization_pct * f64::from(senders + 1)
}

#[test]
fn run__one_flow_fills_the_link() {
    let config = config("2000000", 1, 10);
    let report = run_of(&config);
    assert!(link_pct(&config, &report) > 90.0, "{report:?}");
    assert!((0.99..1.1).contains(&report.slowdown.p99.unwrap()), "{:?}", report.slowdown);
}

/// Two flows share the link: each message takes twice as long as alone.
#[test]
fn run__two_flows_share_fairly_and_keep_the_queue_short() {
    let mut config = config("4000000", 2, 20);
    config.warmup_ms = 40.0;
    let report = run_of(&config);
    assert!(link_pct(&config, &report) > 95.0, "{report:?}");
    let slowdown = report.slowdown;
    assert!((1.9..2.2).contains(&slowdown.p50.unwrap()), "{slowdown:?}");
    assert!((1.9..2.2).contains(&slowdown.p99.unwrap()), "{slowdown:?}");
    let threshold = 65.0 * 1538.0;
    let queue = &report.queues["tor_to_host"];
    assert!((0.3..1.3).contains(&(queue.mean_bytes / threshold)), "{queue:?}");
    assert_eq!((report.drops, report.counts.retransmissions), (0, 0));
}

/// What is lost is found and sent again, and little else.
#[test]
fn run__loss_is_repaired() {
    let mut config = config("300000", 3, 60);
    config.network.loss_permille = 3.0;
    let report = run_of(&config);
    assert!(report.drops > 10 && report.counts.retransmissions > 10, "{report:?}");
    assert!(report.counts.retransmissions < 3 * report.drops, "{:?}", report.counts);
    assert_eq!(report.messages, 60);
}

#[test]
fn run__full_buffers_are_survived() {
    let mut config = config("100000", 20, 100);
    config.network.buffer_bytes = 60_000;
    let report = run_of(&config);
    assert!(report.drops > 0);
    assert_eq!(report.messages, 100);
}

#[test]
fn run__twice_is_the_same() {
    let mut config = config("w2", 1, 1000);
    config.traffic = Pattern::AllToAll;
    config.network.topology = Shape::LeafSpine { racks: 3, hosts_per_rack: 4, spines: 2 };
    let mut reports = [(); 2].map(|()| run_of(&config));
    for report in &mut reports {
        report.wall_seconds = 0.0;
        report.events_per_second = 0.0;
    }
    assert_eq!(reports[0], reports[1]);
}
