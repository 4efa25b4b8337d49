//! A bar on standard error that tells how far the simulations are, if a person is watching.

use std::time::Instant;

use homa_sim::{ProgressReport, SimConfig};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

const TEMPLATE: &str = "[{bar:24}] {percent}% {msg}, {eta} left";

/// How long a simulation's bar is.
const LENGTH: f64 = 1000.0;

/// The part of it for the time before anything is measured, which really takes more or less.
const WARMUP: f64 = 0.25;

/// How far all simulations of a command are.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    /// By simulation: when it begins to measure.
    warmup_us: Vec<f64>,
    /// By simulation; `None` of those that have not begun.
    reports: Vec<Option<ProgressReport>>,
}

impl Progress {
    /// For simulations of these configurations.
    pub(super) fn new<'a>(configs: impl Iterator<Item = &'a SimConfig>) -> Self {
        let warmup_us: Vec<f64> = configs.map(|config| config.warmup_ms * 1e3).collect();
        let style = ProgressStyle::with_template(TEMPLATE).expect("a test shows it");
        // Hidden where standard error is not a terminal.
        let bar = ProgressBar::new(LENGTH as u64 * warmup_us.len() as u64)
            .with_style(style.progress_chars("=> "))
            .with_message("starting");
        let reports = vec![None; warmup_us.len()];
        Self { bar, begun: Instant::now(), warmup_us, reports }
    }

    /// News of one simulation.
    pub(super) fn update(&mut self, number: usize, report: ProgressReport) {
        self.reports[number] = Some(report);
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_position(self.position());
        self.bar.set_message(self.message());
    }

    /// Removes the bar.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn position(&self) -> u64 {
        let done = |(report, warmup_us): (&Option<ProgressReport>, &f64)| {
            let report = report.as_ref()?;
            let warm = (report.now.as_micros_f64() / warmup_us.max(1.0)).min(1.0);
            let measured = report.messages as f64 / report.messages_total.max(1) as f64;
            Some(LENGTH * (WARMUP * warm + (1.0 - WARMUP) * measured))
        };
        self.reports.iter().zip(&self.warmup_us).filter_map(done).sum::<f64>() as u64
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
    fn update__adds_what_simulations_do() {
        let config = SimConfig { warmup_ms: 5.0, ..SimConfig::default() };
        let mut progress = Progress::new([&config, &config, &config].into_iter());
        let now = SimTime::from_nanos(2_500_000);
        let report = ProgressReport { messages: 1000, messages_total: 5000, now, hops: 1 };
        progress.update(0, report);
        progress.update(2, ProgressReport { messages: 500, ..report });
        let message = progress.message();
        let (warm, measured) = (2.0 * 0.5 * WARMUP, (0.2 + 0.1) * (1.0 - WARMUP));
        assert_eq!(progress.position(), (LENGTH * (warm + measured)) as u64);
        assert!(message.starts_with("1,500 messages measured, 5.0 ms simulated, "), "{message}");
    }
}
