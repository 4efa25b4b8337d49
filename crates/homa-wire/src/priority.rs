//! Priority levels.

use core::fmt;

/// A priority level, 0 (lowest) to 7 (highest), in range by construction (HOMA-PRIO-2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// Level 0, the one that waits for all others.
    pub const LOWEST: Self = Self(0);

    /// Level 7, the one that control packets use.
    pub const HIGHEST: Self = Self(7);

    /// The priority of this level, or `None` if there is no such level.
    pub const fn new(level: u8) -> Option<Self> {
        if level <= Self::HIGHEST.0 { Some(Self(level)) } else { None }
    }

    /// The priority of this level, and the highest one for levels that do not exist.
    ///
    /// This is how levels in received packets are read: WIRE section 5 demands clamping.
    pub const fn clamped(level: u8) -> Self {
        if level <= Self::HIGHEST.0 { Self(level) } else { Self::HIGHEST }
    }

    /// The level, 0..=7.
    pub const fn level(self) -> u8 {
        self.0
    }

    /// The level, 0..=7, as an index into arrays of [`PRIORITY_LEVELS`](crate::PRIORITY_LEVELS)
    /// elements.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The IPv4 TOS byte or IPv6 traffic class that carries this level: the level in the top three
    /// bits (WIRE section 8, HOMA-PRIO-4).
    pub const fn traffic_class(self) -> u8 {
        self.0 << 5
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::Priority;
    use crate::PRIORITY_LEVELS;

    /// HOMA-PRIO-2.
    #[test]
    fn new__exactly_eight_levels() {
        let levels = (0..=u8::MAX).filter_map(Priority::new).map(Priority::index);
        assert!(levels.eq(0..PRIORITY_LEVELS));
        assert_eq!(Priority::new(0), Some(Priority::LOWEST));
        assert_eq!(Priority::new(7), Some(Priority::HIGHEST));
    }

    #[test]
    fn clamped__beyond_the_highest_is_the_highest() {
        assert_eq!(Priority::clamped(6).level(), 6);
        assert_eq!(Priority::clamped(8), Priority::HIGHEST);
        assert_eq!(Priority::clamped(255), Priority::HIGHEST);
    }

    /// HOMA-PRIO-4.
    #[test]
    fn traffic_class__level_in_the_top_three_bits() {
        assert_eq!(Priority::HIGHEST.traffic_class(), 0xE0);
        assert_eq!(Priority::clamped(3).traffic_class(), 0x60);
        assert_eq!(Priority::LOWEST.traffic_class(), 0);
    }
}
