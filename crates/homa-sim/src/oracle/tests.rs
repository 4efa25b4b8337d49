//! Whole runs of the scheduler.
#![allow(non_snake_case, reason = "tests are named function__case")]

use crate::published::comparison;
use crate::{IncastOverlay, OracleConfig, Pattern, Protocol, RunReport, Shape, SimConfig, run};

fn config(workload: &str, messages: u64) -> SimConfig {
    let protocol = Protocol::Oracle;
    SimConfig { protocol, messages, warmup_ms: 0.0, ..SimConfig::sigcomm18(workload) }
}

fn run_of(config: &SimConfig) -> RunReport {
    let report = run(config, &|_| {}).unwrap();
    assert_eq!(report.protocol, "oracle");
    report
}

/// Alone, a message takes the best time, be it sent in whole bytes or not.
#[test]
fn run__of_a_message_alone_has_slowdown_one() {
    for whole_bytes in [false, true] {
        for length in ["1", "1442", "1443", "9329", "3000000"] {
            let oracle = OracleConfig { whole_bytes };
            let alone = SimConfig { load: 1e-6, seconds_max: 1e6, oracle, ..config(length, 20) };
            let slowdown = run_of(&alone).slowdown;
            assert_eq!(
                (slowdown.mean_by_message, slowdown.p99),
                (Some(1.0), Some(1.0)),
                "{length}"
            );
        }
    }
}

/// Two hosts send a third one a message at nearly the same time, again and again: the link to it is never
/// idle, the message that comes second waits for what is left of the first one, and so of two
/// messages one takes nearly twice as long as alone.
#[test]
fn run__incast_of_equals_serves_them_one_after_the_other() {
    let traffic = Pattern::Incast { senders: 2 };
    let mut two = config("1000000", 2000);
    two.traffic = traffic;
    two.network.topology = Shape::SingleSwitch { hosts: 3 };
    let report = run_of(&two);
    assert!(report.utilization_pct * 3.0 > 99.0, "{}", report.utilization_pct);
    // In a closed loop both wait for each other in turn.
    let mean = report.slowdown.mean_by_message.unwrap();
    assert!((1.98..2.0).contains(&mean), "{mean}");
}

/// Incasts of which the last message is to wait for all others.
#[test]
fn run__overlay_waits_for_the_receiver_s_link() {
    let mut incasts = config("100", 2000);
    incasts.incast = Some(IncastOverlay { senders: 10, bytes: 1_442_000, share: 0.99 });
    incasts.load = 0.001;
    let overlay = run_of(&incasts).incast.unwrap();
    let mean = overlay.mean_by_message.unwrap();
    // The k-th of ten takes k times as long as one: 5.5 on average.
    assert!((5.4..5.6).contains(&mean), "{mean}");
}

#[test]
fn run__twice_is_the_same() {
    let mut reports = [(); 2].map(|()| run_of(&config("w1", 5000)));
    for report in &mut reports {
        report.wall_seconds = 0.0;
        report.events_per_second = 0.0;
    }
    assert_eq!(reports[0], reports[1]);
}

#[test]
fn run__has_no_echo() {
    let echo = SimConfig { exchange: crate::Exchange::Echo, ..config("w3", 10) };
    assert!(run(&echo, &|_| {}).is_err());
}

/// A short run, which does not wait for its longest messages; long ones agree within 5 % at every tenth
/// but the last.
#[test]
fn run__is_near_the_published_oracle() {
    for (workload, messages) in [("w1", 20_000), ("w3", 20_000)] {
        let report = run_of(&SimConfig { seconds_max: 0.001, ..config(workload, messages) });
        let rows = comparison("SRPT-Oracle", workload, &report.bins).unwrap();
        let compared = rows.iter().filter(|row| row.percent <= 90.0 && row.count >= 300);
        assert!(compared.clone().count() >= 4, "{rows:?}");
        for row in compared {
            let (p50, p99) = (row.p50_ratio().unwrap(), row.p99_ratio().unwrap());
            assert!((0.95..1.05).contains(&p50), "{workload} {row:?}");
            assert!((0.85..1.15).contains(&p99), "{workload} {row:?}");
        }
    }
}
