//! The comparison with ns-3: the same network, protocol and messages in both simulators, in turn on one
//! machine. Needs a C++ compiler and Debian's package of ns-3, and is skipped without them.

mod simulators;
mod trace;

use crate::Findings;
use crate::measured::median;
use simulators::{Run, Simulator, Simulators};
use std::io;
use std::path::Path;
use trace::{Message, Tenth};

/// How often each simulator runs.
const ROUNDS: usize = 3;
/// Messages that start earlier than this do not count: links are still emptier than they will be.
const WARM_UP_NS: f64 = 1e6;
/// By what share packet hops of both may differ, and medians of slowdown.
const HOPS_DIFFERENCE_MAX: f64 = 0.02;
const P50_DIFFERENCE_MAX: f64 = 0.15;

/// Runs both simulators and prints what they did; a finding is something in which they should agree and
/// do not.
pub(crate) fn run(root: &Path) -> io::Result<Findings> {
    if let Some(missing) = simulators::missing() {
        println!("skipped: {missing}");
        return Ok(Findings::new());
    }
    let mut simulators = Simulators::build(root)?;
    let mut runs: [Vec<Run>; 4] = Default::default();
    for round in 1..=ROUNDS {
        for (runs, simulator) in runs.iter_mut().zip(Simulator::ALL) {
            let run = simulators.run(simulator)?;
            eprintln!("round {round}: {}: {:.1} s", simulator.name(), run.wall_seconds);
            runs.push(run);
        }
    }
    let [ours, theirs, ..] = runs.each_ref().map(|runs| medians(runs));
    print_speed(&runs);
    let (our_messages, their_messages) = simulators.messages()?;
    let tenths = trace::compare(&our_messages, &their_messages, WARM_UP_NS);
    print_slowdown(&tenths, &our_messages, &their_messages);
    Ok(findings(&ours, &theirs, &tenths))
}

/// The middle of each figure.
fn medians(runs: &[Run]) -> Run {
    let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure).collect());
    Run {
        hops: of(|run| run.hops),
        sim_seconds: of(|run| run.sim_seconds),
        wall_seconds: of(|run| run.wall_seconds),
        peak_mib: of(|run| run.peak_mib),
        drops: of(|run| run.drops),
    }
}

fn print_speed(runs: &[Vec<Run>; 4]) {
    println!(
        "\n| simulator | packet hops | simulated ms | wall s | (least, most) | million hops/s | \
         times ns-3 | peak RSS, MiB |\n|---|---|---|---|---|---|---|---|"
    );
    let slow = medians(&runs[1]).rate();
    for (runs, simulator) in runs.iter().zip(Simulator::ALL) {
        let run = medians(runs);
        let walls = || runs.iter().map(|run| run.wall_seconds);
        println!(
            "| {} | {:.0} | {:.1} | {:.2} | {:.2}, {:.2} | {:.3} | {:.1} | {:.0} |",
            simulator.name(),
            run.hops,
            run.sim_seconds * 1e3,
            run.wall_seconds,
            walls().fold(f64::INFINITY, f64::min),
            walls().fold(0.0, f64::max),
            run.rate() / 1e6,
            run.rate() / slow,
            run.peak_mib,
        );
    }
}

fn print_slowdown(tenths: &[Tenth], ours: &[Message], theirs: &[Message]) {
    println!(
        "\n| up to bytes | messages | P50 | ns-3 | ratio | P99 | ns-3 | ratio | median of ratios |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    for tenth in tenths {
        let [p50, p99] = [tenth.p50, tenth.p99]
            .map(|(ours, theirs)| format!("{ours:.2} | {theirs:.2} | {:.2}", ours / theirs));
        println!(
            "| {} | {} | {p50} | {p99} | {:.3} |",
            tenth.upper_bytes, tenth.count, tenth.ratio
        );
    }
    let unfinished =
        |messages: &[Message]| messages.iter().filter(|message| message.slowdown.is_none()).count();
    println!(
        "\n{} messages; {} here and {} in ns-3 had not arrived at the end",
        ours.len(),
        unfinished(ours),
        unfinished(theirs)
    );
}

fn findings(ours: &Run, theirs: &Run, tenths: &[Tenth]) -> Findings {
    let mut findings = Findings::new();
    if (ours.hops / theirs.hops - 1.0).abs() > HOPS_DIFFERENCE_MAX {
        findings.push(format!("{} packet hops, {} in ns-3", ours.hops, theirs.hops));
    }
    if theirs.drops > 0.0 {
        findings.push(format!("ns-3 dropped {} packets from queues without limit", theirs.drops));
    }
    let differs = |tenth: &&Tenth| (tenth.p50.0 / tenth.p50.1 - 1.0).abs() > P50_DIFFERENCE_MAX;
    findings.extend(tenths.iter().filter(differs).map(|tenth| {
        let (ours, theirs) = tenth.p50;
        format!("P50 up to {} bytes: {ours:.2}, {theirs:.2} in ns-3", tenth.upper_bytes)
    }));
    if tenths.is_empty() {
        findings.push("no message has arrived in both".into());
    }
    findings
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn run(hops: f64, wall_seconds: f64, drops: f64) -> Run {
        Run { hops, sim_seconds: 0.01, wall_seconds, peak_mib: 10.0, drops }
    }

    fn tenth(ours: f64, theirs: f64) -> Tenth {
        Tenth { upper_bytes: 10, count: 5, p50: (ours, theirs), p99: (9.0, 1.0), ratio: 1.0 }
    }

    #[test]
    fn medians__are_of_each_figure() {
        let runs = [run(10.0, 3.0, 0.0), run(10.0, 1.0, 0.0), run(10.0, 2.0, 0.0)];
        assert_eq!(medians(&runs), run(10.0, 2.0, 0.0));
        assert_eq!(medians(&runs).rate(), 5.0);
    }

    #[test]
    fn findings__what_should_agree_and_does_not() {
        let same = run(100.0, 1.0, 0.0);
        assert_eq!(findings(&same, &run(101.0, 9.0, 0.0), &[tenth(1.5, 1.4)]), Findings::new());
        assert_eq!(findings(&same, &run(110.0, 1.0, 0.0), &[tenth(1.0, 1.0)]).len(), 1);
        assert_eq!(findings(&same, &run(100.0, 1.0, 3.0), &[tenth(1.0, 1.0)]).len(), 1);
        assert_eq!(findings(&same, &same, &[tenth(1.5, 1.2), tenth(1.0, 1.0)]).len(), 1);
        assert_eq!(findings(&same, &same, &[]).len(), 1);
    }
}
