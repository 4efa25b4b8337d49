//! CPU time of processes.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// Of a shorter time, what measuring itself takes would be a large part.
const WALL_MIN: Duration = Duration::from_millis(1);

/// CPU time, user and system, that a process has used since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuTime(pub(crate) Duration);

impl CpuTime {
    /// That of this process, all threads together.
    pub(crate) fn of_this_process() -> Self {
        // The call fails only for an invalid selector.
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("getrusage of the own process works");
        Self(duration(usage.user_time()) + duration(usage.system_time()))
    }

    /// Cores in use on average between an earlier moment and this one, `wall` later; `None` if that is too
    /// short to say.
    pub(crate) fn cores_since(self, earlier: Self, wall: Duration) -> Option<f64> {
        let used = self.0.saturating_sub(earlier.0);
        (wall >= WALL_MIN).then(|| used.as_secs_f64() / wall.as_secs_f64())
    }
}

fn duration(time: TimeVal) -> Duration {
    Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::time::Instant;

    use super::*;

    #[test]
    fn of_this_process__grows_while_computing() {
        let before = CpuTime::of_this_process();
        let begin = Instant::now();
        while CpuTime::of_this_process().0 < before.0 + Duration::from_millis(20) {
            assert!(begin.elapsed() < Duration::from_secs(20), "CPU time does not grow");
        }
    }

    #[test]
    fn cores_since__is_a_ratio() {
        let at = |ms| CpuTime(Duration::from_millis(ms));
        let cores = at(1750).cores_since(at(250), Duration::from_secs(1));
        assert!((cores.unwrap() - 1.5).abs() < 1e-9);
    }

    /// A run that fails before it is measured has no such figure.
    #[test]
    fn cores_since__of_no_time_is_not_known() {
        let at = |ms| CpuTime(Duration::from_millis(ms));
        assert_eq!(at(250).cores_since(at(250), Duration::from_nanos(300)), None);
    }
}
