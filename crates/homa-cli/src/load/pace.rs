//! When calls begin.

use std::time::{Duration, Instant};

use homa_sim::Random;

/// The rule by which calls begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// A closed loop: a call begins as soon as another has ended.
    Closed,
    /// An open loop: calls begin at the times of a Poisson process, whatever became of others.
    Open {
        /// Calls per second on average.
        per_second: f64,
    },
    /// No calls: this host only answers those of others.
    Never,
}

impl Pace {
    /// The open loop that offers `gbps` gigabits per second in messages of `mean_bytes`.
    pub(crate) fn of_gbps(gbps: f64, mean_bytes: f64) -> Self {
        Self::Open { per_second: gbps * 1e9 / 8.0 / mean_bytes }
    }
}

/// The intended times of calls.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pace: Pace,
    /// When the next call of an open loop is due.
    next: Instant,
}

impl Arrivals {
    /// The first is due at `begin`.
    pub(crate) fn new(pace: Pace, begin: Instant) -> Self {
        Self { pace, next: begin }
    }

    /// The intended time of a call that could begin now, if one is due; the next is then later.
    pub(crate) fn take(&mut self, now: Instant, random: &mut Random) -> Option<Instant> {
        let per_second = match self.pace {
            Pace::Open { per_second } => per_second,
            Pace::Closed => return Some(now),
            Pace::Never => return None,
        };
        let due = self.next;
        if due > now {
            return None;
        }
        self.next += Duration::from_secs_f64(random.exponential() / per_second);
        Some(due)
    }

    /// When the next call of an open loop is due; in a closed one that depends on other calls.
    pub(crate) fn next(&self) -> Option<Instant> {
        matches!(self.pace, Pace::Open { .. }).then_some(self.next)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn of_gbps__counts_message_bits() {
        // 8 Gb/s are 10^9 bytes per second.
        assert_eq!(Pace::of_gbps(8.0, 100.0), Pace::Open { per_second: 1e7 });
    }

    #[test]
    fn take__closed_loop_is_always_due() {
        let now = Instant::now();
        let mut arrivals = Arrivals::new(Pace::Closed, now + Duration::from_secs(9));
        assert_eq!(arrivals.take(now, &mut Random::from_seed(1)), Some(now));
        assert_eq!(arrivals.next(), None);
    }

    #[test]
    fn take__open_loop_keeps_its_rate_even_when_late() {
        let begin = Instant::now();
        let mut arrivals = Arrivals::new(Pace::Open { per_second: 1000.0 }, begin);
        let mut random = Random::from_seed(1);
        let late = begin + Duration::from_secs(10);
        let times: Vec<_> = std::iter::from_fn(|| arrivals.take(late, &mut random)).collect();
        assert!((times.len() as f64 - 10_000.0).abs() < 400.0, "{}", times.len());
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(arrivals.next().unwrap() > late);
    }
}
