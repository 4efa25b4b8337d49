//! What requests hold that no handler has taken.

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
}
