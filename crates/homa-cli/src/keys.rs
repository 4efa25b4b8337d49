//! `homa key`, key files, and what is said of packets that are not authentic.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ::homa::{AuthConfig, AuthStats, KeyFile};

use crate::exit::Stop;

/// Time between two lines about packets dropped.
const INTERVAL: Duration = Duration::from_secs(1);

/// `homa key`: prints a new key.
pub(crate) fn run() -> Result<(), Stop> {
    let mut secret = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(writeln!(io::stdout(), "{digits}")?)
}

/// The keys of the file, if one is given. Warns if others may read it.
pub(crate) fn read(path: Option<&Path>) -> Result<Option<AuthConfig>, Stop> {
    Ok(read_file(path)?.map(|(file, path)| {
        if file.readable_by_others {
            let path = path.display();
            eprintln!("homa: others can read the key file {path}: chmod 600 {path}");
        }
        AuthConfig::new(file.keys)
    }))
}

/// The same without a warning: the process that started this one has given it.
pub(crate) fn read_again(path: Option<&Path>) -> Result<Option<AuthConfig>, Stop> {
    Ok(read_file(path)?.map(|(file, _)| AuthConfig::new(file.keys)))
}

fn read_file(path: Option<&Path>) -> Result<Option<(KeyFile, &Path)>, Stop> {
    let Some(path) = path else { return Ok(None) };
    let cannot =
        |error| Stop::Failed(format!("cannot use the key file {}: {error}", path.display()));
    Ok(Some((KeyFile::read(path).map_err(cannot)?, path)))
}

/// Tells of packets dropped when there are new ones, at most once per second.
#[derive(Debug)]
pub(crate) struct DropLines {
    told: AuthStats,
    next: Instant,
}

impl DropLines {
    pub(crate) fn new() -> Self {
        Self { told: AuthStats::default(), next: Instant::now() }
    }

    /// A line, if it is time for one.
    pub(crate) fn next(&mut self, now: Instant, stats: &AuthStats) -> Option<String> {
        if now < self.next || stats.rejected() == self.told.rejected() {
            return None;
        }
        self.told = *stats;
        self.next = now + INTERVAL;
        describe(stats)
    }
}

/// How many packets were dropped for what reasons; `None` if none was.
pub(crate) fn describe(stats: &AuthStats) -> Option<String> {
    let reasons = [
        (stats.plain, "without authentication (their senders have no --key-file)"),
        (stats.unknown_key, "of another key"),
        (stats.bad_mac, "altered, forged, or of translated addresses"),
        (stats.stale, "too old, or the clocks differ"),
        (stats.replayed, "replayed"),
    ];
    let reasons: Vec<_> = reasons
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{count} {reason}"))
        .collect();
    (!reasons.is_empty()).then(|| format!("packets dropped so far: {}", reasons.join(", ")))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn stats(plain: u64, replayed: u64) -> AuthStats {
        let mut stats = AuthStats::default();
        (stats.accepted, stats.plain, stats.replayed) = (100, plain, replayed);
        stats
    }

    #[test]
    fn describe__only_what_there_was() {
        assert_eq!(describe(&stats(0, 0)), None);
        let text = describe(&stats(2, 1)).unwrap();
        assert!(
            text.contains("2 without authentication") && text.ends_with("1 replayed"),
            "{text}"
        );
    }

    #[test]
    fn drop_lines__when_there_are_new_ones_and_once_per_second() {
        let mut lines = DropLines::new();
        let now = Instant::now();
        assert_eq!(lines.next(now, &stats(0, 0)), None);
        assert!(lines.next(now, &stats(1, 0)).is_some());
        assert_eq!(lines.next(now + INTERVAL / 2, &stats(2, 0)), None);
        assert!(lines.next(now + INTERVAL, &stats(2, 0)).is_some());
        assert_eq!(lines.next(now + INTERVAL * 2, &stats(2, 0)), None);
    }
}
