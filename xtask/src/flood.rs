//! The flood figure: what an honest client notices of a hostile one, and what the server's memory
//! does meanwhile. Needs no privilege: all is on loopback.

use crate::Findings;
use crate::measured::{Client, Process, Server, binary, build, median};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Hostile packets per second, from one address.
const RATE: u64 = 100_000;
const MEMORY_MIB: u64 = 128;
/// How much slower an honest client's calls may be at the 99th percentile.
const RATIO_MAX: f64 = 10.0;
const PORT: u16 = 4707;

/// One round: latencies in us.
struct Round {
    quiet: Client,
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
    let ratio = of(|round| round.flooded.p99 / round.quiet.p99);
    println!(
        "medians of {rounds}: P50 {:.0} -> {:.0} us, P99 {:.0} -> {:.0} us, ratio at P99 {ratio:.2}",
        of(|round| round.quiet.p50),
        of(|round| round.flooded.p50),
        of(|round| round.quiet.p99),
        of(|round| round.flooded.p99),
    );
    let mut findings = Findings::new();
    if ratio > RATIO_MAX {
        findings.push(format!("P99 is {ratio:.1} times as high under the flood"));
    }
    let failed: u64 = all.iter().map(|round| round.quiet.failed + round.flooded.failed).sum();
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
    let mut hostile = Command::new(binary(root, "examples/hostile"));
    hostile.args([format!("127.0.0.1:{PORT}"), RATE.to_string(), seconds.to_string()]);
    let hostile = Process::start(&mut hostile)?;
    std::thread::sleep(Duration::from_millis(500));
    let samples = server.watch_memory();
    let flooded = honest(seconds.saturating_sub(1))?;
    let rss = samples.stop();
    let sent = hostile.output()?;
    let dropped = server.dropped_by_kernel()?;
    let report = server.stop()?;
    println!(
        "round {number}: P50 {:.0} -> {:.0} us, P99 {:.0} -> {:.0} us, failed {} -> {}; sent: {}; \
         dropped by the kernel: {dropped}; RSS of the server in MiB, by second: {rss:?}",
        quiet.p50,
        flooded.p50,
        quiet.p99,
        flooded.p99,
        quiet.failed,
        flooded.failed,
        sent.trim(),
    );
    println!("{}", report.trim());
    let rss_mib = rss.into_iter().max().unwrap_or(0);
    Ok(Round { quiet, flooded, rss_mib })
}
