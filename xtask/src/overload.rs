//! The overload figure: what a server gets done when it is offered three times what it can do, and
//! how soon those learn of it for whom there is no room.

use crate::Findings;
use crate::measured::{Client, Server, build, median};
use std::io;
use std::path::Path;

/// Time that the server computes for each answer.
const WORK: &str = "200us";
/// Requests are turned away while one has waited for so long.
const QUEUE_DELAY: &str = "5ms";
const PORT: u16 = 4708;
/// Goodput under overload, as a share of the peak, that must be kept.
const GOODPUT_MIN: f64 = 0.8;

/// Runs `rounds` rounds of `seconds` per load and prints the figures; a finding is a figure out of
/// bounds.
pub(crate) fn run(root: &Path, rounds: usize, seconds: u64) -> io::Result<Findings> {
    build(root, &["-p", "homa-cli"])?;
    println!(
        "{WORK} of work per call; requests are turned away while one has waited {QUEUE_DELAY}"
    );
    let mut shares = Vec::new();
    for number in 1..=rounds {
        let server = Server::start(root, PORT, &["--work", WORK, "--queue-delay", QUEUE_DELAY])?;
        // A closed loop that keeps the server busy, and no more, shows its peak.
        let peak = Client::run(root, PORT, seconds, &["--outstanding", "4"])?;
        let peak_rate = peak.calls as f64 / peak.seconds;
        let rate = format!("{:.0}", 3.0 * peak_rate);
        let offered = ["--rps", &rate, "--outstanding", "1000"];
        let overloaded = Client::run(root, PORT, seconds, &offered)?;
        let goodput = overloaded.calls as f64 / overloaded.seconds;
        println!(
            "round {number}: peak {peak_rate:.0} calls/s (P99 {:.0} us); offered {rate}: {goodput:.0} \
             calls/s (P99 {:.0} us), {} turned away (P50 {:.0}, P99 {:.0} us)",
            peak.rtt.p99,
            overloaded.rtt.p99,
            overloaded.failed,
            overloaded.failure.p50,
            overloaded.failure.p99,
        );
        server.stop()?;
        shares.push(goodput / peak_rate);
    }
    let share = median(shares);
    println!("goodput at 3 times the peak load: {:.0} % of the peak", share * 100.0);
    let mut findings = Findings::new();
    if share < GOODPUT_MIN {
        findings.push(format!("goodput falls to {:.0} % of the peak", share * 100.0));
    }
    Ok(findings)
}
