//! The soak: two processes that call each other over a bad network for a long time. Their memory
//! must stay flat, and every call must end well with the right bytes.

use crate::Findings;
use crate::measured::{self, binary, median};
use crate::processes;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Packets lost, repeated, reordered and damaged, by both sides.
const FAULTS: &str = "drop=0.02,dup=0.02,reorder=0.05,corrupt=0.01";
/// How long either process may be silent: others may keep it from the processors for longer than the
/// 100 ms of a real deployment, which is no fault of ours.
const TIMEOUT: &str = "5s";
/// How often memory is looked at, at most.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);
/// How many samples a run has at least.
const SAMPLES_MIN: u32 = 10;
/// The part of a run after which memory must not grow.
const WARM_UP: f64 = 0.5;
/// Parts of the rest that are looked at one by one. Pools of buffers for reuse, and the allocator, keep
/// what the worst backlog so far took: should there be a worse one, after a pause of a second, memory
/// climbs once. A leak goes on in most parts.
const PARTS: usize = 5;
/// Samples that a part has at least.
const SAMPLES_IN_PART: usize = 3;
/// What it may climb from then on: the granularity of the allocator's arenas.
const GROWTH_BYTES_MAX: f64 = 1.0 * 1024.0 * 1024.0;
/// The same as a share of the mean, for processes that hold much at times.
const GROWTH_SHARE_MAX: f64 = 0.05;
/// How long a run may take beyond its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Debug)]
struct Options {
    minutes: f64,
    calls_per_second: String,
    workload: String,
    faults: String,
}

/// The memory of one process over time.
#[derive(Debug)]
struct Memory {
    name: &'static str,
    pid: u32,
    /// Seconds since the beginning, and bytes.
    samples: Vec<(f64, f64)>,
}

/// Runs the soak with the given command line; each broken promise is a finding.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> io::Result<Findings> {
    let options = Options::parse(arguments)?;
    let program = build(root)?;
    println!(
        "{} minutes of {} at {} calls/s, with {} on both sides",
        options.minutes, options.workload, options.calls_per_second, options.faults
    );
    let begin = Instant::now();
    let mut bench = options.command(&program).spawn()?;
    let result = watch(&mut bench, begin, options.duration());
    // Whatever went wrong, nothing keeps running.
    let _ = bench.kill();
    let (memories, mut findings) = result?;
    findings.extend(memories.iter().filter_map(Memory::finding));
    println!("{}", table(&memories));
    Ok(findings)
}

impl Options {
    fn parse(arguments: &[&str]) -> io::Result<Self> {
        let mut options = Self {
            minutes: 60.0,
            calls_per_second: "2000".into(),
            workload: "w3".into(),
            faults: FAULTS.into(),
        };
        for pair in arguments.chunks(2) {
            match *pair {
                ["--minutes", value] => options.minutes = positive(value)?,
                ["--rps", value] => options.calls_per_second = value.into(),
                ["--workload", value] => options.workload = value.into(),
                ["--fault", value] => options.faults = value.into(),
                _ => return Err(io::Error::other(format!("soak: what is {}?", pair.join(" ")))),
            }
        }
        Ok(options)
    }

    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }

    /// `bench` starts a server as a second process, verifies every byte, and fails with the first
    /// wrong outcome.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .args(["bench", "workload", "--transports", "homa", "--rounds", "1", "--warmup", "1s"])
            .args(["--poll", "0", "--outstanding", "1000", "--workload", &self.workload])
            .args(["--timeout", TIMEOUT])
            .args(["--rps", &self.calls_per_second, "--fault", &self.faults])
            .args(["--duration", &format!("{}s", self.duration().as_secs_f64())])
            .args(["--fail-if", "homa.workload.errors>0"]);
        command
    }
}

impl Memory {
    fn new(name: &'static str, pid: u32) -> Self {
        Self { name, pid, samples: Vec::new() }
    }

    /// Notes what the process holds now; nothing once it has ended.
    fn sample(&mut self, begin: Instant) {
        if let Some(bytes) = processes::resident_bytes(self.pid) {
            self.samples.push((begin.elapsed().as_secs_f64(), bytes as f64));
        }
    }

    /// Why it isn't flat.
    fn finding(&self) -> Option<String> {
        let Some((growth, mean)) = self.growth() else {
            return Some(format!("{}: too few samples of its memory", self.name));
        };
        let bound = GROWTH_BYTES_MAX.max(GROWTH_SHARE_MAX * mean);
        (growth > bound).then(|| {
            let (growth, bound) = (mebibytes(growth), mebibytes(bound));
            format!("{}: memory grew by {growth:.2} MiB, more than {bound:.2} MiB", self.name)
        })
    }

    /// By how many bytes it climbs after warming up, if it always does so as in the middle one of its
    /// parts, and the mean.
    fn growth(&self) -> Option<(f64, f64)> {
        let end = self.samples.last()?.0;
        let warm = self.samples.partition_point(|&(time, _)| time < WARM_UP * end);
        let samples = &self.samples[warm..];
        if samples.len() < SAMPLES_IN_PART {
            return None;
        }
        let parts = PARTS.min(samples.len() / SAMPLES_IN_PART);
        let begin = |part: usize| part.min(parts) * samples.len() / parts;
        // Each with the one after it, lest steps fall between them.
        let part = |n: usize| &samples[begin(n)..begin(n + 2)];
        let slope = median((0..parts).map(|n| slope(part(n))).collect());
        let mean = samples.iter().map(|sample| sample.1).sum::<f64>() / samples.len() as f64;
        Some((slope * (end - samples[0].0), mean))
    }
}

/// By how many bytes per second the line climbs that fits best.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| {
        samples.iter().map(of).sum::<f64>() / samples.len() as f64
    };
    let (mean_time, mean_bytes) = (mean(&|s| s.0), mean(&|s| s.1));
    let covariance = mean(&|s| (s.0 - mean_time) * (s.1 - mean_bytes));
    covariance / mean(&|s| (s.0 - mean_time).powi(2))
}

/// Builds the command, and copies it so that later builds do not disturb the run.
fn build(root: &Path) -> io::Result<PathBuf> {
    measured::build(root, &["--package", "homa-cli"])?;
    let program = binary(root, "homa");
    let copy = program.with_file_name(format!("homa-soak-{}", std::process::id()));
    std::fs::copy(program, &copy)?;
    Ok(copy)
}

/// Samples the memory of both sides until the run ends.
fn watch(
    bench: &mut Child,
    begin: Instant,
    duration: Duration,
) -> io::Result<(Vec<Memory>, Findings)> {
    let mut memories = vec![Memory::new("client", bench.id())];
    let interval = SAMPLE_INTERVAL.min(duration / SAMPLES_MIN);
    loop {
        sleep(interval);
        if let Some(status) = bench.try_wait()? {
            let findings = (!status.success()).then(|| format!("the run failed: {status}"));
            return Ok((memories, findings.into_iter().collect()));
        }
        if memories.len() == 1 {
            memories.extend(processes::child_of(bench.id()).map(|pid| Memory::new("server", pid)));
        }
        memories.iter_mut().for_each(|memory| memory.sample(begin));
        if begin.elapsed() > duration + PATIENCE {
            return Err(io::Error::other("the run does not end"));
        }
    }
}

/// Memory at some times of the run, in mebibytes, and by how much it grew.
fn table(memories: &[Memory]) -> String {
    let mut lines = vec![format!(
        "{:<8}{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>14}",
        "RSS, MiB", "samples", "start", "25%", "50%", "75%", "end", "most", "steady growth"
    )];
    for Memory { name, samples, .. } in memories {
        let at = |share: f64| {
            let index = (share * samples.len().saturating_sub(1) as f64) as usize;
            samples.get(index).map_or(f64::NAN, |sample| mebibytes(sample.1))
        };
        let most = samples.iter().map(|sample| mebibytes(sample.1)).fold(0.0, f64::max);
        let mut line = format!("{name:<8}{:>8}", samples.len());
        for value in [at(0.0), at(0.25), at(0.5), at(0.75), at(1.0), most] {
            line += &format!("{value:>10.2}");
        }
        lines.push(line);
    }
    for (line, memory) in lines[1..].iter_mut().zip(memories) {
        let growth = memory.growth().map_or(f64::NAN, |(growth, _)| mebibytes(growth));
        *line += &format!("{growth:>+14.3}");
    }
    lines.join("\n")
}

fn mebibytes(bytes: f64) -> f64 {
    bytes / 1024.0 / 1024.0
}

fn positive(text: &str) -> io::Result<f64> {
    let number = f64::from_str(text).ok().filter(|number| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| io::Error::other(format!("'{text}' is not a number above 0")))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    const MEBIBYTE: f64 = 1024.0 * 1024.0;

    fn memory(bytes_at: impl Fn(f64) -> f64) -> Memory {
        let samples = (0..100).map(|second| (f64::from(second), bytes_at(f64::from(second))));
        Memory { name: "test", pid: 0, samples: samples.collect() }
    }

    #[test]
    fn finding__flat_memory_passes_whatever_the_warm_up() {
        assert_eq!(memory(|time| 50.0 * MEBIBYTE * time.min(40.0)).finding(), None);
        // Up and down by much, without a trend.
        assert_eq!(memory(|time| (20.0 + time % 2.0) * MEBIBYTE).finding(), None);
    }

    #[test]
    fn finding__a_leak_is_noticed() {
        let leak = memory(|time| (20.0 + time / 20.0) * MEBIBYTE);
        let (growth, _) = leak.growth().unwrap();
        assert!((growth / MEBIBYTE - 2.45).abs() < 0.01, "{growth}");
        assert!(leak.finding().unwrap().contains("grew by 2.45 MiB"));
    }

    /// A step as after a long pause, and a leak in steps.
    #[test]
    fn finding__one_step_is_none_and_many_are_a_leak() {
        let step = |at: f64| memory(move |time| (20.0 + f64::from(time > at) * 9.0) * MEBIBYTE);
        for at in [60.0, 77.0, 99.0] {
            assert_eq!(step(at).finding(), None, "after {at} s");
        }
        let leak = memory(|time| (20.0 + (time / 5.0).floor()) * MEBIBYTE);
        assert!(leak.finding().is_some());
    }

    #[test]
    fn finding__without_samples_nothing_is_proven() {
        assert!(Memory::new("gone", 0).finding().is_some());
    }

    #[test]
    fn parse__options_and_mistakes() {
        let options = Options::parse(&["--minutes", "0.5", "--rps", "100"]).unwrap();
        assert_eq!(options.duration(), Duration::from_secs(30));
        assert_eq!(options.workload, "w3");
        for wrong in [&["--minutes"][..], &["--minutes", "0"], &["--hours", "1"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
