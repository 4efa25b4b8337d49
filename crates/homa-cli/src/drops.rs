//! What is said of packets that were dropped since one side has options that the other has not.

use std::fmt;
use std::time::{Duration, Instant};

use ::homa::{AuthStats, Stats};

/// Time between two lines about packets dropped.
const INTERVAL: Duration = Duration::from_secs(1);

/// Packets dropped so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Drops {
    auth: AuthStats,
    /// Authenticated, while this side has no key.
    authenticated: u64,
    bad_checksums: u64,
}

impl Drops {
    pub(crate) fn of(stats: &Stats) -> Self {
        let drive = &stats.drive;
        let (authenticated, bad_checksums) = (drive.authenticated, drive.bad_checksums);
        Self { auth: stats.auth, authenticated, bad_checksums }
    }

    /// How many, in all.
    pub(crate) fn total(&self) -> u64 {
        self.auth.rejected() + self.authenticated + self.bad_checksums
    }

    /// How many for what reasons; `None` if there was none.
    pub(crate) fn describe(&self) -> Option<String> {
        (self.total() > 0).then(|| self.to_string())
    }
}

impl fmt::Display for Drops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let auth = &self.auth;
        let reasons = [
            (auth.plain, "without authentication (their senders have no --key-file)"),
            (auth.unknown_key, "of another key"),
            (auth.bad_mac, "altered, forged, or of translated addresses"),
            (auth.stale, "too old, or the clocks differ"),
            (auth.replayed, "replayed"),
            (
                self.authenticated,
                "with authentication (their senders have a --key-file, this side has none)",
            ),
            (
                self.bad_checksums,
                "without a right checksum (damaged, or their senders have no --checksums)",
            ),
        ];
        let mut separator = "packets dropped so far: ";
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {reason}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// Tells of packets dropped when there are new ones, at most once per second.
#[derive(Debug)]
pub(crate) struct DropLines {
    told: Drops,
    next: Instant,
}

impl DropLines {
    pub(crate) fn new() -> Self {
        Self { told: Drops::default(), next: Instant::now() }
    }

    /// A line, if it is time for one.
    pub(crate) fn next(&mut self, now: Instant, drops: &Drops) -> Option<String> {
        if now < self.next || drops.total() == self.told.total() {
            return None;
        }
        self.told = *drops;
        self.next = now + INTERVAL;
        drops.describe()
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn drops(plain: u64, replayed: u64) -> Drops {
        let mut auth = AuthStats::default();
        (auth.accepted, auth.plain, auth.replayed) = (100, plain, replayed);
        Drops { auth, ..Drops::default() }
    }

    #[test]
    fn describe__only_what_there_was() {
        assert_eq!(drops(0, 0).describe(), None);
        let text = drops(2, 1).describe().unwrap();
        assert!(
            text.contains("2 without authentication") && text.ends_with(", 1 replayed"),
            "{text}"
        );
        let unlike = Drops { authenticated: 3, bad_checksums: 4, ..Drops::default() };
        let text = unlike.describe().unwrap();
        assert!(text.contains(": 3 with authentication") && text.contains(", 4 without a right"));
    }

    #[test]
    fn drop_lines__when_there_are_new_ones_and_once_per_second() {
        let mut lines = DropLines::new();
        let now = Instant::now();
        assert_eq!(lines.next(now, &drops(0, 0)), None);
        assert!(lines.next(now, &drops(1, 0)).is_some());
        assert_eq!(lines.next(now + INTERVAL / 2, &drops(2, 0)), None);
        assert!(lines.next(now + INTERVAL, &drops(2, 0)).is_some());
        assert_eq!(lines.next(now + INTERVAL * 2, &drops(2, 0)), None);
    }
}
