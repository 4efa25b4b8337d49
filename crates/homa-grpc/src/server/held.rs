//! Bytes that wait, of requests for their handlers and of responses for their clients, and how many may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes held, and how many may be.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    bytes: Arc<AtomicUsize>,
    max: usize,
}

/// Some of these bytes, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    holding: Holding,
    bytes: usize,
}

impl Holding {
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: Arc::default(), max }
    }

    /// Holds so many bytes more, if that is allowed.
    pub(super) fn hold(&self, bytes: usize) -> Option<Held> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = Held { holding: self.clone(), bytes };
        (before.saturating_add(bytes) <= self.max).then_some(held)
    }

    /// Nothing yet, and no limit to what it becomes: see [`Holding::is_full`].
    pub(super) fn hold_nothing(&self) -> Held {
        Held { holding: self.clone(), bytes: 0 }
    }

    /// Whether as much is held as may be.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.max
    }
}

impl Held {
    /// Holds so many bytes from now on.
    pub(super) fn set(&mut self, bytes: usize) {
        self.holding.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.holding.bytes.fetch_sub(std::mem::replace(&mut self.bytes, bytes), Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.holding.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
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
        assert!(holding.hold(5).is_none());
        let second = holding.hold(4).unwrap();
        assert!(holding.hold(1).is_none());
        drop(first);
        assert!(holding.hold(6).is_some());
        drop(second);
        assert_eq!(holding.bytes.load(Ordering::Relaxed), 0);
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
        assert_eq!(holding.bytes.load(Ordering::Relaxed), 0);
    }
}
