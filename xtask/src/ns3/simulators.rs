//! Building and running both simulators.

use super::trace::{self, Message};
use crate::measured::{binary, build};
use crate::processes::peak_resident_bytes;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const SOURCE: &str = "crates/homa-sim/compare/ns3/leaf_spine.cc";
const LIBRARIES: [&str; 5] = ["core", "network", "internet", "point-to-point", "traffic-control"];

/// The network, the load and the messages. Measured messages are few, so that the run ends soon after
/// the last of them, while all messages are compared.
const TRAFFIC: [&str; 7] = [
    "--preset=sigcomm18",
    "--workload=w4",
    "--load=0.5",
    "--messages=500",
    "--seed=1",
    "--runs=1",
    "--set=warmup_ms=1",
];

/// The protocol, with the headers of TCP over IPv4 and Ethernet; load does not count grants.
const DCTCP: [&str; 6] = [
    "--set=protocol=dctcp",
    "--set=framing.payload_bytes=1460",
    "--set=framing.unscheduled_overhead_bytes=78",
    "--set=framing.scheduled_overhead_bytes=78",
    "--set=framing.control_bytes=78",
    "--unsched=10000000",
];

/// How often memory is looked at.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(10);

/// What runs in one of the simulators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Simulator {
    OursDctcp,
    Ns3Dctcp,
    OursHoma,
    Ns3Raw,
}

impl Simulator {
    /// In the order in which they run: ours writes the messages that ns-3 reads.
    pub(super) const ALL: [Self; 4] =
        [Self::OursDctcp, Self::Ns3Dctcp, Self::OursHoma, Self::Ns3Raw];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OursDctcp => "`homa sim`, DCTCP",
            Self::Ns3Dctcp => "ns-3, DCTCP",
            Self::OursHoma => "`homa sim`, Homa",
            Self::Ns3Raw => "ns-3, packets without a transport",
        }
    }
}

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    /// Packets that left a queue.
    pub(super) hops: f64,
    pub(super) sim_seconds: f64,
    /// From the first message to the end of the simulated time, without setting up.
    pub(super) wall_seconds: f64,
    /// Resident memory at its peak.
    pub(super) peak_mib: f64,
    /// Packets lost.
    pub(super) drops: f64,
}

impl Run {
    /// Packet hops per second.
    pub(super) fn rate(&self) -> f64 {
        self.hops / self.wall_seconds
    }

    /// Takes the figures out of what a simulator wrote: `homa sim --json`, or the line of ours in ns-3.
    fn parse(text: &str, peak_bytes: u64) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_str(text).ok()?;
        let run = json.get("runs").and_then(|runs| runs.get(0)).unwrap_or(&json);
        let hops = run.get("events").or_else(|| run.get("hops"))?;
        Some(Self {
            hops: hops.as_f64()?,
            sim_seconds: run["sim_seconds"].as_f64()?,
            wall_seconds: run["wall_seconds"].as_f64()?,
            peak_mib: peak_bytes as f64 / 1048576.0,
            drops: run["drops"].as_f64()?,
        })
    }
}

/// What keeps the comparison from being run, and what to do about it.
pub(super) fn missing() -> Option<&'static str> {
    let compiles = |arguments: &[&str]| {
        let mut command = Command::new(compiler());
        command.args(["-std=c++17", "-fsyntax-only"]).args(arguments);
        command.args(["-x", "c++", "/dev/null"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !compiles(&[]) {
        Some("there is no C++ compiler (Debian's package g++, or set CXX)")
    } else if !compiles(&["-include", "ns3/core-module.h"]) {
        Some("ns-3's headers are missing (Debian's package libns3-dev)")
    } else {
        None
    }
}

fn compiler() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "c++".into())
}

/// Both, built, and where they write.
#[derive(Debug)]
pub(super) struct Simulators {
    homa: PathBuf,
    ns3: PathBuf,
    /// Simulated time of our run, and so of the others.
    end_ns: f64,
}

impl Simulators {
    pub(super) fn build(root: &Path) -> io::Result<Self> {
        build(root, &["-p", "homa-cli"])?;
        let ns3 = binary(root, "ns3-leaf-spine");
        let mut command = Command::new(compiler());
        command.args(["-std=c++17", "-O2", "-o"]).arg(&ns3).arg(root.join(SOURCE));
        command.args(LIBRARIES.map(|name| format!("-lns3-{name}")));
        if !command.status()?.success() {
            return Err(io::Error::other(format!("{SOURCE} does not compile")));
        }
        Ok(Self { homa: binary(root, "homa"), ns3, end_ns: 0.0 })
    }

    /// Runs one of them.
    pub(super) fn run(&mut self, simulator: Simulator) -> io::Result<Run> {
        match simulator {
            Simulator::OursDctcp => {
                let trace = format!("--trace={}", self.our_trace().display());
                let run = self.ours(&[&DCTCP[..], &[&trace]].concat())?;
                self.end_ns = run.sim_seconds * 1e9;
                Ok(run)
            }
            Simulator::OursHoma => self.ours(&[]),
            Simulator::Ns3Dctcp => self.ns3("dctcp"),
            Simulator::Ns3Raw => self.ns3("raw"),
        }
    }

    /// What became of the messages over DCTCP: here, and in ns-3.
    pub(super) fn messages(&self) -> io::Result<(Vec<Message>, Vec<Message>)> {
        let read = |path: PathBuf| trace::parse(&fs::read_to_string(path)?);
        Ok((read(self.our_trace())?, read(self.their_trace())?))
    }

    fn ours(&self, options: &[&str]) -> io::Result<Run> {
        let json = self.homa.with_file_name("ns3-homa.json");
        let mut command = Command::new(&self.homa);
        command.arg("sim").args(TRAFFIC).args(options).arg("--json").arg(&json);
        let (_, peak_bytes) = output(&mut command)?;
        figures(&fs::read_to_string(json)?, peak_bytes)
    }

    fn ns3(&self, mode: &str) -> io::Result<Run> {
        let mut command = Command::new(&self.ns3);
        command.arg(mode).arg(self.our_trace());
        command.arg(format!("{:.3}", self.end_ns)).arg(self.their_trace());
        let (text, peak_bytes) = output(&mut command)?;
        figures(&text, peak_bytes)
    }

    fn our_trace(&self) -> PathBuf {
        self.ns3.with_file_name("ns3-trace.csv")
    }

    fn their_trace(&self) -> PathBuf {
        self.ns3.with_file_name("ns3-times.csv")
    }
}

fn figures(text: &str, peak_bytes: u64) -> io::Result<Run> {
    Run::parse(text, peak_bytes).ok_or_else(|| io::Error::other(format!("no figures in: {text}")))
}

/// Runs a command that prints little. Returns that, and its resident memory at the peak.
fn output(command: &mut Command) -> io::Result<(String, u64)> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut peak_bytes = 0;
    let status = loop {
        peak_bytes = peak_resident_bytes(child.id()).unwrap_or(peak_bytes);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        sleep(SAMPLE_INTERVAL);
    };
    if !status.success() {
        return Err(io::Error::other(format!("{command:?} ended with {status}")));
    }
    let mut text = String::new();
    child.stdout.take().map(|mut out| out.read_to_string(&mut text)).transpose()?;
    Ok((text, peak_bytes))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn parse__of_both_simulators() {
        let ours = r#"{"schema":"homa-sim/1","runs":[{"events":4841665,"sim_seconds":0.014,
                       "wall_seconds":1.7,"drops":0,"messages":500}]}"#;
        let theirs = r#"{"hops":4830925,"wall_seconds":114.5,"sim_seconds":0.014,"drops":0,
                         "setup_hops":87420,"setup_seconds":4.0}"#;
        let ours = Run::parse(ours, 64 << 20).unwrap();
        assert_eq!((ours.hops, ours.wall_seconds, ours.peak_mib), (4_841_665.0, 1.7, 64.0));
        let theirs = Run::parse(theirs, 0).unwrap();
        assert_eq!((theirs.hops, theirs.wall_seconds, theirs.drops), (4_830_925.0, 114.5, 0.0));
        assert_eq!((theirs.rate() * 114.5).round(), 4_830_925.0);
        assert_eq!(Run::parse("{}", 0), None);
        assert_eq!(Run::parse("aborted", 0), None);
    }

    #[test]
    fn output__is_what_was_printed() {
        let (text, peak_bytes) =
            output(Command::new("sh").args(["-c", "echo a; sleep 0.2"])).unwrap();
        assert_eq!(text, "a\n");
        assert!(peak_bytes > 100_000, "{peak_bytes}");
        assert!(output(Command::new("sh").args(["-c", "exit 3"])).is_err());
    }
}
