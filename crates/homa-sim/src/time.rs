//! Simulated time, in picoseconds: a byte at 400 Gb/s takes 20 of them, so that serialization is
//! exact where nanoseconds would round away a part of every packet.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use homa_proto::Instant;

/// A point in simulated time, or a span, in picoseconds. Reaches 213 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimTime(pub u64);

impl SimTime {
    /// The start.
    pub const ZERO: Self = Self(0);
    /// Later than any event.
    pub const NEVER: Self = Self(u64::MAX);

    /// So many nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos * 1000)
    }

    /// So many seconds, 0 or more; what exceeds the range becomes [`NEVER`](Self::NEVER).
    #[must_use]
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * 1e12) as u64)
    }

    /// The picosecond that is nearest to so many microseconds, 0 or more; what exceeds the range becomes
    /// [`NEVER`](Self::NEVER).
    #[must_use]
    pub fn from_micros_f64(micros: f64) -> Self {
        Self((micros * 1e6).round() as u64)
    }

    /// In seconds.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 * 1e-12
    }

    /// In microseconds.
    #[must_use]
    pub fn as_micros_f64(self) -> f64 {
        self.0 as f64 * 1e-6
    }

    /// What the protocol's clock shows at this time: whole nanoseconds.
    #[must_use]
    pub const fn to_instant(self) -> Instant {
        Instant::from_nanos(self.0 / 1000)
    }

    /// The first time at which the protocol's clock shows `instant`.
    #[must_use]
    pub const fn from_instant(instant: Instant) -> Self {
        Self(instant.as_nanos().saturating_mul(1000))
    }

    /// The span since `earlier`, or 0.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl Add for SimTime {
    type Output = Self;

    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign for SimTime {
    fn add_assign(&mut self, span: Self) {
        *self = *self + span;
    }
}

impl Sub for SimTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self(self.0 - earlier.0)
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} us", self.as_micros_f64())
    }
}
