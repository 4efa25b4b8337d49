//! Where client RPC ids come from.

use crate::random::{Purpose, Stream};
use homa_wire::RpcId;

/// Hands out client RPC ids: even, increasing in order of creation (HOMA-MODEL-8), from a random
/// start, so that a restarted host does not repeat the ids of its previous life
/// (KNOWN_ISSUES 1.3) and strangers can't guess them.
#[derive(Debug)]
pub(crate) struct IdSource {
    next: u64,
}

impl IdSource {
    /// Begins with `first`, or a random id.
    pub(crate) fn new(seed: u64, first: Option<RpcId>) -> Self {
        if let Some(first) = first {
            return Self { next: first.0 };
        }
        // 62 random bits leave 2^62 ids before the counter could wrap.
        let start = Stream::new(seed, Purpose::RpcIds).next_u64() >> 2;
        Self { next: (start << 1).max(2) }
    }

    pub(crate) fn next(&mut self) -> RpcId {
        let id = self.next;
        // Skips 0, which is no RPC's id (WIRE section 3).
        self.next = id.checked_add(2).unwrap_or(2);
        RpcId(id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    /// HOMA-MODEL-8, HOMA-MODEL-9.
    #[test]
    fn next__is_even_and_increasing() {
        let mut ids = IdSource::new(7, None);
        let mut last = ids.next();
        for _ in 0..1000 {
            let id = ids.next();
            assert!(id.is_client() && id.0 > last.0);
            last = id;
        }
    }

    #[test]
    fn new__starts_elsewhere_for_another_seed() {
        assert_ne!(IdSource::new(1, None).next(), IdSource::new(2, None).next());
    }

    #[test]
    fn new__starts_where_it_is_told() {
        assert_eq!(IdSource::new(1, Some(RpcId(100))).next(), RpcId(100));
    }

    #[test]
    fn next__wraps_past_zero() {
        let mut ids = IdSource { next: u64::MAX - 1 };
        assert_eq!(ids.next(), RpcId(u64::MAX - 1));
        assert_eq!(ids.next(), RpcId(2));
    }
}
