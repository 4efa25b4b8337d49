//! Runs the fuzz targets, where there is what that needs.

use crate::Findings;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// What to run: each target with the length of its longest inputs.
const TARGETS: [(&str, u32); 5] =
    [("decode", 256), ("soup", 1500), ("pair", 2000), ("capture", 4096), ("grpc", 1024)];

/// Runs each target, or the one named, for so many minutes; each that fails is a finding. Says why it
/// is skipped where the tools are missing.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> io::Result<Findings> {
    let (mut minutes, mut only) = (1.0, None);
    for pair in arguments.chunks(2) {
        match *pair {
            ["--minutes", value] => minutes = positive(value)?,
            ["--target", value] => only = Some(value),
            _ => return Err(io::Error::other(format!("fuzz: what is {}?", pair.join(" ")))),
        }
    }
    let chosen: Vec<_> =
        TARGETS.into_iter().filter(|(name, _)| only.is_none_or(|only| only == *name)).collect();
    if chosen.is_empty() {
        let names = TARGETS.map(|(name, _)| name).join(", ");
        return Err(io::Error::other(format!("fuzz: the targets are {names}")));
    }
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return Ok(Findings::new());
    }
    let mut findings = Findings::new();
    for (name, length_max) in chosen {
        println!("{name} for {minutes} minutes");
        if !fuzz(root, name, length_max, minutes)? {
            findings.push(format!("{name}: failed; its input is in fuzz/artifacts/{name}"));
        }
    }
    Ok(findings)
}

/// What is missing, and how to get it.
fn missing() -> Option<&'static str> {
    // The proxies of rustup choose a toolchain by this; a cargo without rustup knows no `+nightly`.
    if !succeeds(Command::new("cargo").args(["+nightly", "--version"])) {
        return Some("there is no nightly toolchain (rustup toolchain install nightly)");
    }
    if !succeeds(Command::new("cargo").args(["+nightly", "fuzz", "--version"])) {
        return Some("cargo-fuzz is not installed (cargo install cargo-fuzz)");
    }
    None
}

fn succeeds(command: &mut Command) -> bool {
    // A toolchain named here would count for more than `+nightly`.
    command.env_remove("RUSTUP_TOOLCHAIN").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Starts from the inputs that are kept, and adds what it finds to fuzz/corpus. Without a sanitizer:
/// there is no unsafe code in what is fuzzed.
fn fuzz(root: &Path, target: &str, length_max: u32, minutes: f64) -> io::Result<bool> {
    let corpus = root.join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&corpus)?;
    let kept = root.join("tests-data/fuzz").join(target);
    let status = Command::new("cargo")
        .current_dir(root)
        .env_remove("RUSTUP_TOOLCHAIN")
        .args(["+nightly", "fuzz", "run", "--fuzz-dir", "fuzz", "--sanitizer", "none", target])
        .args([&corpus, &kept])
        .args(["--", "-rss_limit_mb=2048", "-timeout=30", "-print_final_stats=1"])
        .arg(format!("-max_len={length_max}"))
        .arg(format!("-max_total_time={}", (minutes * 60.0).ceil()))
        .status()?;
    Ok(status.success())
}

fn positive(text: &str) -> io::Result<f64> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| io::Error::other(format!("'{text}' is not a number above 0")))
}
