//! Servers and clients as processes of their own, for measurements.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::processes::resident_bytes;

const MEBIBYTE: u64 = 1024 * 1024;

/// Builds something with optimization.
pub(crate) fn build(root: &Path, what: &[&str]) -> io::Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args(["build", "--release", "--locked", "--quiet"]).args(what);
    if cargo.status()?.success() { Ok(()) } else { Err(io::Error::other("the build failed")) }
}

/// Where `build` puts a binary.
pub(crate) fn binary(root: &Path, name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| root.join("target")).join("release").join(name)
}

/// The middle one of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A process that is killed when this is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts a command, whose output is kept.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        Ok(Self(command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn()?))
    }

    /// Starts a server, and waits until it says on its standard error that it listens.
    pub(crate) fn start_server(command: &mut Command) -> io::Result<Self> {
        let mut process = Self::start(command.stderr(Stdio::piped()))?;
        let errors = process.0.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = String::new();
        BufReader::new(errors).read_line(&mut line)?;
        let listens = line.contains("listening on");
        if listens { Ok(process) } else { Err(io::Error::other(format!("the server: {line}"))) }
    }

    /// Waits for the end, and returns what it printed.
    pub(crate) fn output(mut self) -> io::Result<String> {
        let mut text = String::new();
        if let Some(out) = &mut self.0.stdout {
            out.read_to_string(&mut text)?;
        }
        self.0.wait()?;
        Ok(text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `homa server`.
pub(crate) struct Server {
    process: Process,
    port: u16,
}

impl Server {
    /// Starts it on loopback and waits until it listens.
    pub(crate) fn start(root: &Path, port: u16, options: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(binary(root, "homa"));
        command.args(["server", "--listen", &format!("127.0.0.1:{port}")]).args(options);
        let process = Process::start(command.stderr(Stdio::null()))?;
        let server = Self { process, port };
        for _ in 0..500 {
            if server.socket_line()?.is_some() {
                return Ok(server);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other("the server does not listen"))
    }

    /// Samples its resident memory once per second until told to stop.
    pub(crate) fn watch_memory(&self) -> Samples {
        let (pid, stop) = (self.process.0.id(), Arc::default());
        let stopped: Arc<AtomicBool> = Arc::clone(&stop);
        let sample = move || {
            let mut samples = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                samples.extend(resident_bytes(pid).map(|bytes| bytes.div_ceil(MEBIBYTE)));
                thread::sleep(Duration::from_secs(1));
            }
            samples
        };
        Samples { stop, thread: thread::spawn(sample) }
    }

    /// Packets that the kernel dropped since its socket was full.
    pub(crate) fn dropped_by_kernel(&self) -> io::Result<u64> {
        let line = self.socket_line()?.unwrap_or_default();
        Ok(line.split_whitespace().last().and_then(|drops| drops.parse().ok()).unwrap_or(0))
    }

    /// Ends it gently, and returns what it printed at the end.
    ///
    /// # Errors
    ///
    /// If it did not end as it should: it panicked, say.
    pub(crate) fn stop(mut self) -> io::Result<String> {
        let pid = self.process.0.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status()?;
        let mut text = String::new();
        if let Some(out) = &mut self.process.0.stdout {
            out.read_to_string(&mut text)?;
        }
        let status = self.process.0.wait()?;
        if status.code() != Some(130) {
            return Err(io::Error::other(format!("the server ended with {status}: {text}")));
        }
        // The lines per second come first.
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains("servers:")).collect();
        Ok(lines.join("\n"))
    }

    /// What the kernel says of its socket.
    fn socket_line(&self) -> io::Result<Option<String>> {
        let address = format!("0100007F:{:04X}", self.port);
        // A server of TCP has none in the first.
        for file in ["/proc/net/udp", "/proc/net/tcp"] {
            let text = fs::read_to_string(file)?;
            let is_its = |line: &&str| line.split_whitespace().nth(1) == Some(&address);
            if let Some(line) = text.lines().find(is_its) {
                return Ok(Some(line.to_owned()));
            }
        }
        Ok(None)
    }
}

/// Samples being taken.
pub(crate) struct Samples {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
}

impl Samples {
    /// Ends it; the samples so far.
    pub(crate) fn stop(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// What `homa client` measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Client {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) seconds: f64,
    /// Of calls that succeeded.
    pub(crate) rtt: Latency,
    /// Of calls that failed.
    pub(crate) failure: Latency,
}

/// Latencies in us; NaN if there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Client {
    /// Runs `homa client` against the server on `port`.
    pub(crate) fn run(root: &Path, port: u16, seconds: u64, options: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(binary(root, "homa"));
        command.args(["client", &format!("127.0.0.1:{port}")]);
        Self::measure(command, seconds, options)
    }

    /// Has a command that is `homa client ADDRESS` measure.
    pub(crate) fn measure(
        mut command: Command,
        seconds: u64,
        options: &[&str],
    ) -> io::Result<Self> {
        command.args(["--keep-going", "--json", "-"]);
        command.args(["--duration", &format!("{seconds}s")]).args(options);
        let text = Process::start(command.stderr(Stdio::null()))?.output()?;
        Self::parse(&text).ok_or_else(|| io::Error::other(format!("no figures in: {text}")))
    }

    /// Takes the figures out of the summary.
    fn parse(text: &str) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_str(text).ok()?;
        let latency = |name: &str| {
            let figure = |quantile| json[name][quantile].as_f64().unwrap_or(f64::NAN);
            Latency { p50: figure("p50"), p99: figure("p99") }
        };
        Some(Self {
            calls: json["rpcs"].as_u64()?,
            failed: json["errors"].as_u64()?,
            seconds: json["seconds"].as_f64()?,
            rtt: latency("rtt_us"),
            failure: latency("failure_us"),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn parse__takes_figures_out_of_the_clients_summary() {
        let text = r#"{"rpcs":323,"errors":8,"seconds":5.01,"rtt_us":{"p50":37.38,"p99":119.34},
                       "failure_us":null}"#;
        let client = Client::parse(text).unwrap();
        assert_eq!((client.calls, client.failed, client.seconds), (323, 8, 5.01));
        assert_eq!(client.rtt, Latency { p50: 37.38, p99: 119.34 });
        assert!(client.failure.p99.is_nan());
        assert_eq!(Client::parse("nothing"), None);
    }

    #[test]
    fn median__is_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
    }
}
