//! How a thread waits.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use crate::units::format_duration;

/// By how much who sleeps may wake up late.
pub(super) const WAKE_UP: Duration = Duration::from_micros(100);

/// Waiting by polling for a while and then sleeping: waking a sleeper on another core can cost more
/// than the whole call, but polling for ever costs a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Regime {
    /// How long to poll before sleeping; zero: sleep at once.
    pub(crate) poll: Duration,
}

impl Regime {
    /// Waits until `attempt` says that it did something, at most until `timeout`. First it is
    /// called with zero, repeatedly, then with the time for which it may sleep.
    pub(crate) fn wait<E>(
        self,
        timeout: Duration,
        mut attempt: impl FnMut(Duration) -> Result<bool, E>,
    ) -> Result<(), E> {
        if attempt(Duration::ZERO)? {
            return Ok(());
        }
        let begin = Instant::now();
        loop {
            let waited = begin.elapsed();
            let Some(left) = timeout.checked_sub(waited).filter(|left| !left.is_zero()) else {
                return Ok(());
            };
            // The end is polled away, as sleeping past a deadline would distort an open loop.
            let sleep = left.saturating_sub(WAKE_UP);
            let may_sleep = waited >= self.poll && !sleep.is_zero();
            if attempt(if may_sleep { sleep } else { Duration::ZERO })? {
                return Ok(());
            }
            if !may_sleep {
                // Without this, two parties on one core would starve each other.
                thread::yield_now();
            }
        }
    }
}

impl fmt::Display for Regime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.poll.is_zero() {
            f.write_str("sleep")
        } else {
            write!(f, "poll {} then sleep", format_duration(self.poll))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::convert::Infallible;

    use super::*;

    fn sleeps(poll: Duration, timeout: Duration) -> Vec<Duration> {
        let mut asked = Vec::new();
        let attempt = |time: Duration| {
            asked.push(time);
            thread::sleep(time);
            Ok::<_, Infallible>(false)
        };
        let Ok(()) = Regime { poll }.wait(timeout, attempt);
        asked
    }

    #[test]
    fn wait__without_polling_sleeps_at_once() {
        let asked = sleeps(Duration::ZERO, Duration::from_millis(200));
        assert_eq!(asked[0], Duration::ZERO, "what is there already needs no sleep");
        assert!(asked[1] > Duration::from_millis(100));
    }

    #[test]
    fn wait__polls_first_then_sleeps() {
        let asked = sleeps(Duration::from_millis(20), Duration::from_millis(400));
        let polls = asked.iter().take_while(|time| time.is_zero()).count();
        assert!(polls >= 2, "{polls}");
        assert!(asked[polls] <= Duration::from_millis(380));
    }

    #[test]
    fn wait__ends_with_success_or_time() {
        let mut calls = 0;
        let attempt = |_| {
            calls += 1;
            Ok::<_, Infallible>(calls == 3)
        };
        let Ok(()) = Regime { poll: Duration::from_secs(1) }.wait(Duration::from_secs(60), attempt);
        assert_eq!(calls, 3);
        assert_eq!(sleeps(Duration::ZERO, Duration::ZERO).len(), 1);
    }
}
