//! A bar on standard error that tells how far the simulations are, if a person is watching.

use std::time::Instant;

use homa_sim::{ProgressReport, SimConfig};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

const TEMPLATE: &str = "[{bar:24}] {percent}% {msg}, {eta} left";

/// How far all simulations of a command are.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    /// By simulation; `None` of those that have not begun.
    reports: Vec<Option<ProgressReport>>,
}

impl Progress {
    /// For simulations of these configurations.
    pub(super) fn new<'a>(configs: impl Iterator<Item = &'a SimConfig>) -> Self {
        let messages: Vec<u64> = configs
            .map(|config| config.messages + (config.messages as f64 * config.warmup) as u64)
            .collect();
        let style = ProgressStyle::with_template(TEMPLATE).expect("a test shows it");
        // Hidden where standard error is not a terminal.
        let bar = ProgressBar::new(messages.iter().sum()).with_style(style.progress_chars("=> "));
        Self { bar, begun: Instant::now(), reports: vec![None; messages.len()] }
    }

    /// News of one simulation.
    pub(super) fn update(&mut self, number: usize, report: ProgressReport) {
        self.reports[number] = Some(report);
        if self.bar.is_hidden() {
            return;
        }
        let done = self.reports.iter().flatten().map(|report| report.warmup + report.messages);
        self.bar.set_position(done.sum());
        self.bar.set_message(self.message());
    }

    /// Removes the bar.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn message(&self) -> String {
        let reports = || self.reports.iter().flatten();
        let messages: u64 = reports().map(|report| report.messages).sum();
        let simulated_ms: f64 = reports().map(|report| report.now.as_micros_f64() / 1e3).sum();
        let events: u64 = reports().map(|report| report.hops).sum();
        let events_per_second = events as f64 / self.begun.elapsed().as_secs_f64();
        format!(
            "{} messages measured, {simulated_ms:.1} ms simulated, {:.2} M events/s",
            HumanCount(messages),
            events_per_second / 1e6
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use homa_sim::SimTime;

    use super::*;

    #[test]
    fn message__adds_what_simulations_do() {
        let config = SimConfig::default();
        let mut progress = Progress::new([&config, &config, &config].into_iter());
        let now = SimTime::from_nanos(2_500_000);
        let report = ProgressReport {
            warmup: 10,
            warmup_total: 10,
            messages: 1000,
            messages_total: 5000,
            now,
            hops: 1,
        };
        progress.update(0, report);
        progress.update(2, ProgressReport { messages: 500, ..report });
        let message = progress.message();
        assert!(message.starts_with("1,500 messages measured, 5.0 ms simulated, "), "{message}");
    }
}
