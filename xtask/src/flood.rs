//! The flood figure: what an honest client notices of a hostile one, and what the server's memory
//! does meanwhile. Needs no privilege: all is on loopback.

use crate::Findings;
use crate::measured::{Client, Process, Server, binary, build, median};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Hostile packets per second, from one address.
const RATE: u64 = 100_000;
const MEMORY_MIB: u64 = 128;
/// How much slower an honest client's calls may be at the 99th percentile.
const RATIO_MAX: f64 = 10.0;
const PORT: u16 = 4707;

/// One round.
struct Round {
    quiet: Client,
    /// While the hostile sender works, but sends elsewhere: what it takes of the processors.
    beside: Client,
    flooded: Client,
    rss_mib: u64,
}

/// Runs `rounds` rounds of `seconds` of flood and prints the figures; a finding is a figure out of
/// bounds.
pub(crate) fn run(root: &Path, rounds: usize, seconds: u64) -> io::Result<Findings> {
    build(root, &["-p", "homa-cli"])?;
    build(root, &["-p", "homa-io", "--example", "hostile"])?;
    println!("offered: {RATE} packets/s for {seconds} s from one address; memory {MEMORY_MIB} MiB");
    let mut all = Vec::new();
    for number in 1..=rounds {
        all.push(round(root, number, seconds)?);
    }
    let of = |figure: fn(&Round) -> f64| median(all.iter().map(figure).collect());
    let ratio = of(|round| round.flooded.rtt.p99 / round.quiet.rtt.p99);
    println!(
        "medians of {rounds}, in us: P50 {:.0} quiet, {:.0} with the sender elsewhere, {:.0} under \
         the flood; P99 {:.0}, {:.0}, {:.0}: {ratio:.2} times as high, {:.2} by the flood alone",
        of(|round| round.quiet.rtt.p50),
        of(|round| round.beside.rtt.p50),
        of(|round| round.flooded.rtt.p50),
        of(|round| round.quiet.rtt.p99),
        of(|round| round.beside.rtt.p99),
        of(|round| round.flooded.rtt.p99),
        of(|round| round.flooded.rtt.p99 / round.beside.rtt.p99),
    );
    let mut findings = Findings::new();
    if ratio > RATIO_MAX {
        findings.push(format!("P99 is {ratio:.1} times as high under the flood"));
    }
    let failed: u64 = all.iter().map(|round| round.flooded.failed).sum();
    if failed > 0 {
        findings.push(format!("{failed} honest calls failed"));
    }
    let most = all.iter().map(|round| round.rss_mib).max().unwrap_or(0);
    if most > MEMORY_MIB {
        findings.push(format!("the server took {most} MiB of {MEMORY_MIB}"));
    }
    Ok(findings)
}

fn round(root: &Path, number: usize, seconds: u64) -> io::Result<Round> {
    let memory = format!("{MEMORY_MIB}Mi");
    let server = Server::start(root, PORT, &["--memory", &memory, "--accounts", "json"])?;
    let honest = |seconds: u64| Client::run(root, PORT, seconds, &["--workload", "1000"]);
    let quiet = honest(5)?;
    // Nobody ever reads from this one.
    let elsewhere = UdpSocket::bind("127.0.0.1:0")?;
    let hostile = attack(root, elsewhere.local_addr()?, 6)?;
    let beside = honest(5)?;
    hostile.output()?;
    let hostile = attack(root, SocketAddr::from(([127, 0, 0, 1], PORT)), seconds)?;
    let samples = server.watch_memory();
    let flooded = honest(seconds.saturating_sub(1))?;
    let rss = samples.stop();
    let sent = hostile.output()?;
    let dropped = server.dropped_by_kernel()?;
    let report = server.stop()?;
    let p99 = [quiet, beside, flooded].map(|client| client.rtt.p99.round());
    let failed = quiet.failed + beside.failed + flooded.failed;
    println!(
        "round {number}: P99 {p99:?} us, {failed} failed; sent: {}; dropped by the kernel: {dropped}; \
         RSS of the server in MiB, by second: {rss:?}",
        sent.trim(),
    );
    println!("{}", report.trim());
    let rss_mib = rss.into_iter().max().unwrap_or(0);
    Ok(Round { quiet, beside, flooded, rss_mib })
}

/// Starts the hostile sender and waits until it is at work.
fn attack(root: &Path, to: SocketAddr, seconds: u64) -> io::Result<Process> {
    let mut command = Command::new(binary(root, "examples/hostile"));
    command.args([to.to_string(), RATE.to_string(), seconds.to_string()]);
    let process = Process::start(&mut command)?;
    thread::sleep(Duration::from_millis(500));
    Ok(process)
}
