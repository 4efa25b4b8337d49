//! One line on standard error that tells how far the benchmark is, if a person is watching.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::load::Progress;

/// How often the line is written anew.
const INTERVAL: Duration = Duration::from_millis(250);

/// A line that is overwritten.
#[derive(Debug)]
pub(super) struct ProgressLine {
    visible: bool,
    runs: usize,
    run_time: Duration,
    run: usize,
    label: String,
    last: Instant,
    last_rpcs: u64,
}

impl ProgressLine {
    /// For so many runs, each of which takes about this long.
    pub(super) fn new(runs: usize, run_time: Duration) -> Self {
        Self {
            visible: io::stderr().is_terminal(),
            runs,
            run_time,
            run: 0,
            label: String::new(),
            last: Instant::now(),
            last_rpcs: 0,
        }
    }

    pub(super) fn begin_run(&mut self, label: String) {
        self.run += 1;
        self.label = label;
        self.last = Instant::now();
        self.last_rpcs = 0;
        self.write("");
    }

    /// Shows how it goes, when it is time to.
    pub(super) fn update(&mut self, now: Instant, progress: &mut Progress<'_>) {
        let elapsed = now.saturating_duration_since(self.last);
        if !self.visible || elapsed < INTERVAL {
            return;
        }
        let kops = (progress.rpcs - self.last_rpcs) as f64 / elapsed.as_secs_f64() / 1e3;
        let latency = progress.recent.summary();
        let p50 = latency.map_or_else(|| "-".into(), |latency| format!("{:.1}", latency.p50));
        progress.recent.clear();
        self.last = now;
        self.last_rpcs = progress.rpcs;
        let failed = match progress.failures.total() {
            0 => String::new(),
            count => format!(", {count} failed"),
        };
        self.write(&format!(": {kops:.1} Kops/s, P50 {p50} us{failed}"));
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        if self.visible {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn write(&self, detail: &str) {
        if self.visible {
            let left = self.run_time * (self.runs + 1).saturating_sub(self.run) as u32;
            let _ = write!(
                io::stderr(),
                "\r\x1b[K[{}/{}, about {} s left] {}{detail}",
                self.run,
                self.runs,
                left.as_secs().max(1),
                self.label
            );
        }
    }
}
