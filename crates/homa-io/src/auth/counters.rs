//! What became of packets.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many packets were accepted and rejected, and why. Counted by [`AuthIo`](super::AuthIo), read
/// from any thread.
#[derive(Debug, Default)]
pub struct AuthCounters {
    accepted: AtomicU64,
    plain: AtomicU64,
    unknown_key: AtomicU64,
    bad_mac: AtomicU64,
    stale: AtomicU64,
    replayed: AtomicU64,
    icmp_ignored: AtomicU64,
}

/// A snapshot of [`AuthCounters`]. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthStats {
    /// Packets that were authentic.
    pub accepted: u64,
    /// Dropped: not authenticated at all. Their senders have no key, or are something else than
    /// Homa.
    pub plain: u64,
    /// Dropped: authenticated with a key that this endpoint does not have.
    pub unknown_key: u64,
    /// Dropped: altered, forged, or sent to or from another address than they say (by an address
    /// translator, say).
    pub bad_mac: u64,
    /// Dropped: sent too long ago, or in the future, by the clocks of the two hosts; or by a session
    /// of which nothing is known, before this endpoint started.
    pub stale: u64,
    /// Dropped: accepted before, or too far behind others of their session to know.
    pub replayed: u64,
    /// ICMP errors ignored, for anybody can make them up.
    pub icmp_ignored: u64,
}

/// Why a packet, or a report about one, is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    Plain,
    UnknownKey,
    BadMac,
    Stale,
    Replayed,
    Icmp,
}

impl AuthCounters {
    /// The counts so far.
    #[must_use]
    pub fn snapshot(&self) -> AuthStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AuthStats {
            accepted: load(&self.accepted),
            plain: load(&self.plain),
            unknown_key: load(&self.unknown_key),
            bad_mac: load(&self.bad_mac),
            stale: load(&self.stale),
            replayed: load(&self.replayed),
            icmp_ignored: load(&self.icmp_ignored),
        }
    }

    pub(super) fn add_accepted(&self, count: usize) {
        self.accepted.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn reject(&self, why: Rejected) {
        let counter = match why {
            Rejected::Plain => &self.plain,
            Rejected::UnknownKey => &self.unknown_key,
            Rejected::BadMac => &self.bad_mac,
            Rejected::Stale => &self.stale,
            Rejected::Replayed => &self.replayed,
            Rejected::Icmp => &self.icmp_ignored,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl AuthStats {
    /// Packets dropped, for whatever reason.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.plain + self.unknown_key + self.bad_mac + self.stale + self.replayed
    }
}
