//! The long checks: the property tests with many cases.

use crate::Findings;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// How much to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Hours are fine.
    Full,
    /// A few minutes.
    Sample,
}

/// A test target, and how many cases of it to run.
struct Check {
    package: &'static str,
    /// Arguments that choose the target.
    target: &'static [&'static str],
    cases_full: u32,
    cases_sample: u32,
}

const CHECKS: [Check; 4] = [
    Check { package: "homa-wire", target: &[], cases_full: 100_000, cases_sample: 4_000 },
    Check { package: "homa-proto", target: &["--lib"], cases_full: 20_000, cases_sample: 500 },
    Check {
        package: "homa-proto",
        target: &["--test", "soup"],
        cases_full: 500_000,
        cases_sample: 5_000,
    },
    Check {
        package: "homa-proto",
        target: &["--test", "properties"],
        cases_full: 50_000,
        cases_sample: 500,
    },
];

/// Runs all checks, in release mode with debug assertions; each failure is a finding.
pub(crate) fn run(root: &Path, extent: Extent) -> io::Result<Findings> {
    let mut findings = Findings::new();
    for check in &CHECKS {
        let cases = match extent {
            Extent::Full => check.cases_full,
            Extent::Sample => check.cases_sample,
        };
        let started = Instant::now();
        let name = format!("{} {} with {cases} cases", check.package, check.target.join(" "));
        println!("{name}");
        let status = Command::new(env!("CARGO"))
            .current_dir(root)
            .args(["test", "--release", "--locked", "--quiet", "--package", check.package])
            .args(check.target)
            .env("PROPTEST_CASES", cases.to_string())
            .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
            .status()?;
        println!("{:.0} s", started.elapsed().as_secs_f64());
        if !status.success() {
            findings.push(format!("{name}: failed"));
        }
    }
    Ok(findings)
}
