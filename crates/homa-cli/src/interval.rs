//! One line of statistics per second, in the format of `cp_node` (TOOLS section 1).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::load::Progress;
use crate::stats::Latency;
use crate::transport::Served;

/// How often a line is due.
const INTERVAL: Duration = Duration::from_secs(1);

/// Makes a server's lines.
#[derive(Debug)]
pub(crate) struct ServerLines {
    experiment: String,
    last: Served,
    turned_away: u64,
    last_time: Instant,
}

impl ServerLines {
    pub(crate) fn new(experiment: impl Into<String>) -> Self {
        let last_time = Instant::now();
        Self { experiment: experiment.into(), last: Served::default(), turned_away: 0, last_time }
    }

    /// The next line, if one is due and anything happened. `turned_away` counts requests, and is asked
    /// for only then.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        served: &Served,
        turned_away: impl FnOnce() -> u64,
    ) -> Option<String> {
        let elapsed = elapsed_interval(&mut self.last_time, now)?;
        let last = std::mem::replace(&mut self.last, *served);
        let turned_away = turned_away();
        let refused = turned_away - std::mem::replace(&mut self.turned_away, turned_away);
        if *served == last && refused == 0 {
            return None;
        }
        let requests = served.requests - last.requests;
        let bytes_in = served.bytes_in - last.bytes_in;
        let mut line = format!(
            "{} {} servers: {:.2} Kops/sec, {:.2} Gbps in, {:.2} Gbps out, avg. req. length {:.1} bytes",
            timestamp(),
            self.experiment,
            kops(requests, elapsed),
            gbps(bytes_in, elapsed),
            gbps(served.bytes_out - last.bytes_out, elapsed),
            mean(bytes_in, requests),
        );
        if served.errors > last.errors {
            line += &format!(", {} errors", served.errors - last.errors);
        }
        if refused > 0 {
            line += &format!(", {refused} turned away");
        }
        Some(line)
    }
}

/// Makes a client's lines.
#[derive(Debug)]
pub(crate) struct ClientLines {
    experiment: String,
    rpcs: u64,
    request_bytes: u64,
    response_bytes: u64,
    failures: u64,
    last_time: Instant,
}

impl ClientLines {
    pub(crate) fn new(experiment: impl Into<String>) -> Self {
        Self {
            experiment: experiment.into(),
            rpcs: 0,
            request_bytes: 0,
            response_bytes: 0,
            failures: 0,
            last_time: Instant::now(),
        }
    }

    /// The next line, if one is due and anything happened.
    pub(crate) fn next(&mut self, now: Instant, progress: &mut Progress<'_>) -> Option<String> {
        let elapsed = elapsed_interval(&mut self.last_time, now)?;
        let rpcs = progress.rpcs - self.rpcs;
        let request_bytes = progress.request_bytes - self.request_bytes;
        let response_bytes = progress.response_bytes - self.response_bytes;
        let failures = progress.failures.total() - self.failures;
        self.rpcs = progress.rpcs;
        self.request_bytes = progress.request_bytes;
        self.response_bytes = progress.response_bytes;
        self.failures = progress.failures.total();
        let latency = recent_summary(progress.recent);
        if rpcs + failures == 0 && progress.outstanding == 0 {
            return None;
        }
        let mut line = format!(
            "{} {} clients: {:.2} Kops/sec, {:.2} Gbps out, {:.2} Gbps in, {latency}, \
             avg. req. length {:.1} bytes",
            timestamp(),
            self.experiment,
            kops(rpcs, elapsed),
            gbps(request_bytes, elapsed),
            gbps(response_bytes, elapsed),
            mean(request_bytes, rpcs),
        );
        if failures > 0 {
            let reason = progress.failures.foremost().map_or("", |(reason, _)| reason);
            line += &format!(", {failures} failed ({reason})");
        }
        Some(line)
    }
}

/// Thousands of operations per second.
pub(crate) fn kops(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9) / 1e3
}

/// Gigabits of message data per second.
pub(crate) fn gbps(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 * 8.0 / elapsed.as_secs_f64().max(1e-9) / 1e9
}

fn recent_summary(recent: &mut Latency) -> String {
    let summary = recent.summary();
    recent.clear();
    match summary {
        Some(latency) => format!(
            "RTT (us) P50 {:.2} P99 {:.2} P99.9 {:.2}",
            latency.p50, latency.p99, latency.p99_9
        ),
        None => "RTT (us) P50 - P99 - P99.9 -".into(),
    }
}

/// The time since the last line, if the next one is due.
fn elapsed_interval(last: &mut Instant, now: Instant) -> Option<Duration> {
    let elapsed = now.saturating_duration_since(*last);
    if elapsed < INTERVAL {
        return None;
    }
    *last = now;
    Some(elapsed)
}

fn mean(bytes: u64, count: u64) -> f64 {
    bytes as f64 / count.max(1) as f64
}

fn timestamp() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:010}.{:09}", now.as_secs(), now.subsec_nanos())
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use crate::stats::Failures;

    #[test]
    fn server_lines__once_per_second_when_something_changed() {
        let mut lines = ServerLines::new("homa");
        let begin = lines.last_time;
        let served =
            Served { requests: 2000, bytes_in: 250_000_000, bytes_out: 125_000_000, errors: 0 };
        let mut next = |at, turned_away| lines.next(begin + at, &served, || turned_away);
        assert_eq!(next(Duration::from_millis(900), 0), None);
        let line = next(Duration::from_secs(2), 0).unwrap();
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!(time.len(), 20);
        assert_eq!(
            rest,
            "homa servers: 1.00 Kops/sec, 1.00 Gbps in, 0.50 Gbps out, avg. req. length 125000.0 bytes"
        );
        assert_eq!(next(Duration::from_secs(4), 0), None);
        let line =
            next(Duration::from_secs(6), 5).expect("who turns all away has something to say");
        assert!(line.ends_with(", 5 turned away"), "{line}");
        assert_eq!(next(Duration::from_secs(8), 5), None);
    }

    #[test]
    fn client_lines__rates_and_failures_of_the_interval() {
        let mut lines = ClientLines::new("tcp_100");
        let begin = lines.last_time;
        let mut recent = Latency::new();
        recent.record(Duration::from_micros(10));
        let mut failures = Failures::default();
        failures.record("timed out", 3);
        let mut progress = Progress {
            rpcs: 4000,
            request_bytes: 400_000,
            response_bytes: 400_000,
            outstanding: 1,
            failures: &failures,
            recent: &mut recent,
        };
        let line = lines.next(begin + Duration::from_secs(1), &mut progress).unwrap();
        assert!(line.contains(
            "tcp_100 clients: 4.00 Kops/sec, 0.00 Gbps out, 0.00 Gbps in, RTT (us) P50 10."
        ));
        assert!(line.ends_with("avg. req. length 100.0 bytes, 3 failed (timed out)"), "{line}");
        let line = lines.next(begin + Duration::from_secs(2), &mut progress).unwrap();
        assert!(line.contains("clients: 0.00 Kops/sec") && !line.contains("failed"), "{line}");
    }
}
