//! `instructions`: what the core costs, in instructions, beside what it cost before
//! (`xtask/instructions.json`).
//!
//! Instructions are counted by callgrind, so the figures do not depend on the machine or on what else runs
//! there. They do depend on the compiler: with another one than the stored figures' they are printed and not
//! judged.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::Findings;
use crate::callgrind;
use crate::measured::{binary, build};

/// Where the figures are that nothing may exceed by much.
const STORED: &str = "xtask/instructions.json";
/// By how much a figure may exceed the stored one.
const MORE_MAX: f64 = 0.05;

/// What is counted: a case of the example `core_cost`, how many calls of it, and of what the cost is given.
const CASES: [Case; 6] = [
    Case { name: "short RPC, no limit on peers", case: "open", calls: 4000, per: Per::Call },
    Case { name: "short RPC, one at a time", case: "one", calls: 4000, per: Per::Call },
    Case { name: "short RPC, 64 at a time", case: "many", calls: 4000, per: Per::Call },
    Case { name: "short RPC, unproven client", case: "unproven", calls: 4000, per: Per::Call },
    Case { name: "DATA packet", case: "packets", calls: 8, per: Per::Packet },
    Case { name: "GRANT", case: "grants", calls: 8, per: Per::Grant },
];

struct Case {
    name: &'static str,
    case: &'static str,
    calls: u32,
    per: Per,
}

/// What a case is divided by.
#[derive(Clone, Copy)]
enum Per {
    /// Both sides of a call.
    Call,
    /// Both sides of a full packet of a long message, and what it has of grants.
    Packet,
    /// Both sides of a grant: what more of them cost than in the case `packets`, which has few.
    Grant,
}

/// Figures and what they were made with.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Figures {
    rustc: String,
    instructions: BTreeMap<String, f64>,
}

/// What a run of the example did, as it prints it, and the instructions that it took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Run {
    instructions: f64,
    calls: f64,
    packets: f64,
    grants: f64,
}

/// Counts, and compares with what is stored; or stores what was counted.
///
/// # Errors
///
/// The example can't be built or run.
pub(crate) fn check(root: &Path, stores: bool) -> io::Result<Findings> {
    if !callgrind::is_there("skipped") {
        return Ok(Findings::new());
    }
    build(root, &["-p", "homa-proto", "--example", "core_cost"])?;
    let figures = Figures { rustc: rustc()?, instructions: measure(root)? };
    let path = root.join(STORED);
    if stores {
        std::fs::write(&path, serde_json::to_string_pretty(&figures)? + "\n")?;
        println!("stored in {STORED}");
        return Ok(Findings::new());
    }
    let stored: Figures = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    Ok(compare(&stored, &figures))
}

fn measure(root: &Path) -> io::Result<BTreeMap<String, f64>> {
    let mut figures = BTreeMap::new();
    let mut packets = Run::default();
    for Case { name, case, calls, per } in CASES {
        let run = difference(run(root, case, calls)?, self::run(root, case, 2 * calls)?);
        let cost = match per {
            Per::Call => run.instructions / run.calls,
            Per::Packet => {
                packets = run;
                run.instructions / run.packets
            }
            Per::Grant => (run.instructions - packets.instructions) / (run.grants - packets.grants),
        };
        println!("{name:<28} {cost:>8.0} instructions");
        figures.insert(name.to_owned(), cost.round());
    }
    Ok(figures)
}

/// What the second run did more than the first, which has the same to set up.
fn difference(first: Run, second: Run) -> Run {
    Run {
        instructions: second.instructions - first.instructions,
        calls: second.calls - first.calls,
        packets: second.packets - first.packets,
        grants: second.grants - first.grants,
    }
}

/// Runs a case under callgrind.
fn run(root: &Path, case: &str, calls: u32) -> io::Result<Run> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(binary(root, "examples/core_cost")).args([case, &calls.to_string()]);
    let output = command.stdin(Stdio::null()).output()?;
    let (said, text) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let run = parse(&said, &text).filter(|_| output.status.success());
    run.ok_or_else(|| io::Error::other(format!("{case}: {}", text.trim())))
}

/// What the example printed, calls, DATA packets and grants, and what callgrind did: "Collected : 123".
fn parse(said: &str, text: &str) -> Option<Run> {
    let mut counts = said.split_whitespace().map(|word| word.parse().ok());
    let mut next = || counts.next().flatten();
    let collected = callgrind::collected(text)?;
    Some(Run {
        calls: next()?,
        packets: next()?,
        grants: next()?,
        instructions: collected.trim().parse().ok()?,
    })
}

fn compare(stored: &Figures, figures: &Figures) -> Findings {
    if stored.rustc != figures.rustc {
        println!("skipped: stored with {}, this is {}", stored.rustc, figures.rustc);
        return Findings::new();
    }
    let finding = |(name, &now): (&String, &f64)| {
        let Some(&before) = stored.instructions.get(name) else {
            return Some(format!("{name}: nothing is stored in {STORED}"));
        };
        let more = now / before - 1.0;
        (more > MORE_MAX).then(|| {
            format!(
                "{name}: {now} instructions, {:.1} % more than the {before} of {STORED}; if that is worth \
                 it, 'cargo xtask instructions --store'",
                100.0 * more
            )
        })
    };
    figures.instructions.iter().filter_map(finding).collect()
}

fn rustc() -> io::Result<String> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn figures(rustc: &str, cost: f64) -> Figures {
        Figures { rustc: rustc.into(), instructions: BTreeMap::from([("RPC".into(), cost)]) }
    }

    #[test]
    fn compare__more_than_a_twentieth_is_a_finding() {
        let stored = figures("rustc 1", 1000.0);
        assert_eq!(compare(&stored, &figures("rustc 1", 1049.0)), Findings::new());
        assert_eq!(compare(&stored, &figures("rustc 1", 900.0)), Findings::new());
        let findings = compare(&stored, &figures("rustc 1", 1051.0));
        assert!(findings[0].contains("RPC: 1051 instructions, 5.1 % more"), "{findings:?}");
        assert_eq!(compare(&stored, &figures("rustc 2", 2000.0)), Findings::new());
    }

    #[test]
    fn compare__what_is_not_stored_is_a_finding() {
        let stored = Figures { rustc: "rustc 1".into(), instructions: BTreeMap::new() };
        assert_eq!(compare(&stored, &figures("rustc 1", 1.0)).len(), 1);
    }

    #[test]
    fn parse__counts_and_instructions() {
        let text = "==1== Events    : Ir\n==1== Collected : 123456\n==1==\n";
        let run = Run { instructions: 123_456.0, calls: 8.0, packets: 11_392.0, grants: 790.0 };
        assert_eq!(parse("8 11392 790\n", text), Some(run));
        assert_eq!(parse("8 11392\n", text), None);
        assert_eq!(parse("8 11392 790\n", "nothing"), None);
    }
}
