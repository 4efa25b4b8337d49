//! Bytes that wait, of requests for their handlers and of responses for their clients, and how many may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is held, and how much may be.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    held: Arc<AtomicUsize>,
    max: usize,
}

/// Some of it, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    holding: Holding,
    count: usize,
}

/// There is no room for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// While others hold what they do.
    Now,
    /// It is more than may be held.
    Ever,
}

impl Holding {
    pub(crate) fn new(max: usize) -> Self {
        Self { held: Arc::default(), max }
    }

    /// Holds so much more, if that is allowed.
    pub(crate) fn hold(&self, count: usize) -> Result<Held, NoRoom> {
        if count > self.max {
            return Err(NoRoom::Ever);
        }
        let before = self.held.fetch_add(count, Ordering::Relaxed);
        let held = Held { holding: self.clone(), count };
        if before.saturating_add(count) <= self.max { Ok(held) } else { Err(NoRoom::Now) }
    }

    /// Nothing yet, and no limit to what it becomes: see [`Holding::is_full`].
    pub(crate) fn hold_nothing(&self) -> Held {
        Held { holding: self.clone(), count: 0 }
    }

    /// Whether as much is held as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) >= self.max
    }
}

impl Held {
    /// Holds so much from now on.
    pub(crate) fn set(&mut self, count: usize) {
        self.holding.held.fetch_add(count, Ordering::Relaxed);
        self.holding.held.fetch_sub(std::mem::replace(&mut self.count, count), Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.holding.held.fetch_sub(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn hold__up_to_the_limit_and_again_once_dropped() {
        let holding = Holding::new(10);
        let first = holding.hold(6).unwrap();
        assert_eq!(holding.hold(5).unwrap_err(), NoRoom::Now);
        assert_eq!(holding.hold(11).unwrap_err(), NoRoom::Ever);
        let second = holding.hold(4).unwrap();
        assert_eq!(holding.hold(1).unwrap_err(), NoRoom::Now);
        drop(first);
        assert!(holding.hold(6).is_ok());
        drop(second);
        assert_eq!(holding.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn set__what_is_held_changes() {
        let holding = Holding::new(10);
        let mut held = holding.hold_nothing();
        assert!(!holding.is_full());
        held.set(15);
        assert!(holding.is_full());
        held.set(9);
        assert!(!holding.is_full());
        drop(held);
        assert_eq!(holding.held.load(Ordering::Relaxed), 0);
    }
}
