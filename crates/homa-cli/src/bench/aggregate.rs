//! From the rounds of a test to its result: medians, and how far the rounds lay apart.

use super::contender::Contender;
use super::tests_to_run::Test;
use crate::interval::{gbps, kops};
use crate::load::Outcome;
use crate::report::{Cpu, Range, Spread, TestResult};
use crate::stats::{BySize, Failures, LatencySummary};
use crate::transport::Regime;

/// What came of one round.
#[derive(Debug, Clone)]
pub(super) struct RoundResult {
    pub(super) outcome: Outcome,
    /// Cores that the server used; `None` if it is not ours, or no time was measured.
    pub(super) cpu_server: Option<f64>,
}

/// The figures of one round.
struct Figures {
    rtt: Option<LatencySummary>,
    release: Option<LatencySummary>,
    kops: f64,
    gbps: f64,
}

/// The result of a test with one transport.
///
/// # Panics
///
/// If there are no rounds.
pub(super) fn aggregate(
    test: &Test,
    contender: Contender,
    regime: Regime,
    rounds: &[RoundResult],
) -> TestResult {
    let figures: Vec<_> = rounds.iter().map(|round| figures_of(&round.outcome)).collect();
    let of = |pick: fn(&Figures) -> f64| figures.iter().map(pick).collect::<Vec<_>>();
    let latencies: Vec<_> = figures.iter().filter_map(|f| f.rtt).collect();
    let spread_of = |pick: fn(&LatencySummary) -> f64| {
        let values: Vec<_> = latencies.iter().map(pick).collect();
        (!values.is_empty()).then(|| range(&values))
    };
    let mut by_size = BySize::default();
    let mut failures = Failures::default();
    for round in rounds {
        by_size.add(&round.outcome.by_size);
        failures.add(&round.outcome.failures);
    }
    TestResult {
        test: test.name.to_string(),
        transport: contender.protocol().name().into(),
        variant: contender.variant().map(|variant| variant.name().into()),
        regime: regime.to_string(),
        workload: test.workload.to_string(),
        outstanding: test.outstanding,
        rounds: rounds.len(),
        seconds: rounds.iter().map(|round| round.outcome.measured.as_secs_f64()).sum(),
        rpcs: rounds.iter().map(|round| round.outcome.rpcs).sum(),
        errors: failures.total(),
        kops: median(of(|f| f.kops)),
        gbps: median(of(|f| f.gbps)),
        rtt_us: median_summary(&latencies),
        rtt_release_us: median_summary(
            &figures.iter().filter_map(|f| f.release).collect::<Vec<_>>(),
        ),
        spread: Spread {
            kops: range(&of(|f| f.kops)),
            gbps: range(&of(|f| f.gbps)),
            p50: spread_of(|latency| latency.p50),
            p99: spread_of(|latency| latency.p99),
            p99_9: spread_of(|latency| latency.p99_9),
        },
        cpu: Cpu {
            client: median_of_known(rounds.iter().map(|round| round.outcome.cpu)),
            server: median_of_known(rounds.iter().map(|round| round.cpu_server)),
        },
        by_size: by_size.summary(),
        shorter_half: by_size.shorter_half(),
    }
}

fn figures_of(outcome: &Outcome) -> Figures {
    Figures {
        rtt: outcome.by_size.total().summary(),
        release: outcome.release.summary(),
        kops: kops(outcome.rpcs, outcome.measured),
        gbps: gbps(outcome.request_bytes, outcome.measured),
    }
}

/// The medians over the rounds in which any call succeeded; `None` if there are none.
fn median_summary(rounds: &[LatencySummary]) -> Option<LatencySummary> {
    let of = |field: fn(&LatencySummary) -> f64| median(rounds.iter().map(field).collect());
    (!rounds.is_empty()).then(|| LatencySummary {
        min: of(|l| l.min),
        p50: of(|l| l.p50),
        p99: of(|l| l.p99),
        p99_9: of(|l| l.p99_9),
        max: of(|l| l.max),
    })
}

/// The median over the rounds that have the figure; `None` if none has.
fn median_of_known(figures: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let known: Vec<_> = figures.flatten().collect();
    (!known.is_empty()).then(|| median(known))
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let upper = values[values.len() / 2];
    let lower = values[(values.len() - 1) / 2];
    f64::midpoint(lower, upper)
}

fn range(values: &[f64]) -> Range {
    Range {
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::time::Duration;

    use super::*;
    use crate::load::{Ending, Pace};
    use crate::stats::Latency;

    fn round(rpcs: u64, us: u64) -> RoundResult {
        let mut by_size = BySize::default();
        let mut release = Latency::new();
        for _ in 0..rpcs {
            by_size.class_mut(1000).record(Duration::from_micros(us));
            release.record(Duration::from_micros(us / 2));
        }
        let outcome = Outcome {
            ending: Ending::Complete,
            measured: Duration::from_secs(1),
            rpcs,
            request_bytes: rpcs * 1000,
            response_bytes: rpcs * 1000,
            by_size,
            release,
            until_failure: Latency::new(),
            failures: Failures::default(),
            cpu: Some(0.5),
            lag: 0.0,
            by_length: crate::stats::ByLength::default(),
        };
        RoundResult { outcome, cpu_server: Some(0.25) }
    }

    #[test]
    fn aggregate__medians_sums_and_spread() {
        let test = Test {
            name: super::super::TestName::Rate,
            workload: "1000".parse().unwrap(),
            outstanding: 2,
            pace: Pace::Closed,
        };
        let rounds = [round(3000, 10), round(1000, 30), round(2000, 20)];
        let regime = Regime { poll: Duration::from_micros(50) };
        let result = aggregate(&test, Contender::TcpConnections, regime, &rounds);
        assert_eq!((result.rpcs, result.rounds, result.errors), (6000, 3, 0));
        assert_eq!((result.kops, result.seconds), (2.0, 3.0));
        assert!((result.gbps - 0.016).abs() < 1e-9);
        assert!((result.rtt_us.unwrap().p50 - 20.0).abs() < 0.05, "{}", result.rtt_us.unwrap().p50);
        assert!((result.rtt_release_us.unwrap().p50 - 10.0).abs() < 0.05);
        assert_eq!(result.spread.kops, Range { min: 1.0, max: 3.0 });
        assert_eq!((result.cpu.client, result.cpu.server), (Some(0.5), Some(0.25)));
        assert_eq!(result.by_size.len(), 1);
        assert_eq!(result.by_size[0].count, 6000);
        assert_eq!(result.variant.as_deref(), Some("connections"));
    }

    #[test]
    fn median_of_known__leaves_out_rounds_that_were_not_measured() {
        assert_eq!(median_of_known([Some(3.0), None, Some(1.0)].into_iter()), Some(2.0));
        assert_eq!(median_of_known([None, None].into_iter()), None);
    }

    #[test]
    fn median__of_odd_and_even_numbers() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![7.0]), 7.0);
    }
}
