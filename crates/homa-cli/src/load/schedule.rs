//! The calls of an open loop, drawn one after the other.

use std::time::{Duration, Instant};

use homa_sim::Random;

use super::pace::Arrivals;
use super::{Pace, Plan};
use crate::workload::Workload;

/// A call before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextCall {
    /// When it is to begin.
    pub(super) intended: Instant,
    /// Bytes of its request.
    pub(super) length: u32,
    /// Number of its server, of several.
    pub(super) server: u32,
}

/// A call of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scheduled {
    /// When it begins, from the beginning of the run.
    pub(crate) after: Duration,
    /// Bytes of its request.
    pub(crate) length: u32,
    /// Number of its server.
    pub(crate) server: u32,
}

/// The next call, if one is due; all that is random comes from `random`, in an order that does not depend on
/// when this is called.
pub(super) fn next_call(
    arrivals: &mut Arrivals,
    now: Instant,
    workload: &Workload,
    servers: Option<u32>,
    random: &mut Random,
) -> Option<NextCall> {
    let intended = arrivals.take(now, random)?;
    let length = workload.draw(random);
    let server = servers.map_or(0, |servers| random.below(servers));
    Some(NextCall { intended, length, server })
}

/// All calls that a run of this plan among so many servers will make; none in a closed loop, where they depend on
/// each other.
pub(crate) fn schedule(plan: &Plan, servers: u32) -> Vec<Scheduled> {
    if plan.pace == Pace::Closed {
        return Vec::new();
    }
    let begin = Instant::now();
    let end = begin + plan.warmup + plan.duration;
    let mut random = Random::from_seed(plan.seed);
    let mut arrivals = Arrivals::new(plan.pace, begin);
    let next = || next_call(&mut arrivals, end, &plan.workload, Some(servers), &mut random);
    let scheduled = |NextCall { intended, length, server }| Scheduled {
        after: intended - begin,
        length,
        server,
    };
    std::iter::from_fn(next).map(scheduled).collect()
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn plan(pace: Pace) -> Plan {
        Plan {
            workload: Workload::fixed(100).unwrap(),
            outstanding: 10,
            pace,
            one_way: false,
            seed: 5,
            warmup: Duration::from_secs(1),
            duration: Duration::from_secs(9),
            patience: None,
        }
    }

    #[test]
    fn schedule__has_the_rate_and_reaches_all_servers() {
        let calls = schedule(&plan(Pace::Open { per_second: 100.0 }), 3);
        assert!((calls.len() as f64 - 1000.0).abs() < 130.0, "{}", calls.len());
        assert!(calls.is_sorted_by_key(|call| call.after));
        assert!(calls.iter().all(|call| call.after <= Duration::from_secs(10)));
        for server in 0..3 {
            assert!(calls.iter().filter(|call| call.server == server).count() > 250);
        }
        assert_eq!(calls, schedule(&plan(Pace::Open { per_second: 100.0 }), 3));
    }

    #[test]
    fn schedule__is_empty_without_an_open_loop() {
        assert_eq!(schedule(&plan(Pace::Closed), 3), []);
        assert_eq!(schedule(&plan(Pace::Never), 3), []);
    }
}
