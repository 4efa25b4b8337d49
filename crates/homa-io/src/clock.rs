//! The one place that reads the clock.

use homa_proto::Instant;
use std::sync::OnceLock;

/// The process's monotonic clock, as the protocol counts time: nanoseconds since an epoch shared by
/// all endpoints of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock;

static EPOCH: OnceLock<std::time::Instant> = OnceLock::new();

impl Clock {
    /// The present.
    #[must_use]
    pub fn now() -> Instant {
        let nanos = Self::epoch().elapsed().as_nanos();
        // 2^64 nanoseconds are 584 years.
        Instant::from_nanos(nanos as u64)
    }

    /// The same point in time for the standard library; `None` where it can't express it
    /// ([`Instant::FAR_FUTURE`] on some systems).
    #[must_use]
    pub fn to_std(instant: Instant) -> Option<std::time::Instant> {
        Self::epoch().checked_add(std::time::Duration::from_nanos(instant.as_nanos()))
    }

    /// The same point in time for the protocol; the epoch for whatever lies before it.
    #[must_use]
    pub fn from_std(instant: std::time::Instant) -> Instant {
        let nanos = instant.saturating_duration_since(Self::epoch()).as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn epoch() -> std::time::Instant {
        *EPOCH.get_or_init(std::time::Instant::now)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn now__never_goes_back_and_converts_both_ways() {
        let before = Clock::now();
        let std_now = std::time::Instant::now();
        let after = Clock::now();
        let between = Clock::from_std(std_now);
        assert!(before <= between && between <= after);
        assert_eq!(Clock::to_std(between), Some(std_now));
    }

    #[test]
    fn from_std__before_the_epoch_is_the_epoch() {
        let Some(early) = Clock::epoch().checked_sub(std::time::Duration::from_secs(1)) else {
            return;
        };
        assert_eq!(Clock::from_std(early), Instant::ZERO);
    }
}
