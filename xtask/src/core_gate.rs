//! `core-gate`: the core compiles under a kernel's constraints and calls nothing that a kernel
//! lacks.

use crate::Findings;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A target without an operating system, and with floating point in software, so that any use of
/// it shows as a call.
const TARGET: &str = "x86_64-unknown-none";

/// Calls into the compiler's support library that kernels do not offer: floating point, and
/// division of 128-bit integers.
const FORBIDDEN: [&str; 10] = [
    "__udivti3",
    "__umodti3",
    "__divti3",
    "__modti3",
    "__adddf3",
    "__muldf3",
    "__divdf3",
    "__addsf3",
    "__mulsf3",
    "__divsf3",
];

/// A crate that uses every entry point of the core: generic code is compiled where it is used.
const PROBE: &str = include_str!("../core-gate/probe.rs");

/// Builds the core for a bare machine and looks at what it calls.
///
/// # Errors
///
/// What could not be done at all.
pub(crate) fn check(root: &Path) -> io::Result<Findings> {
    if !is_installed() {
        println!("skipped: the target {TARGET} is not installed (rustup target add {TARGET})");
        return Ok(Findings::new());
    }
    let folder = root.join("target/core-gate");
    write_probe(root, &folder)?;
    let status = Command::new(env!("CARGO"))
        .current_dir(&folder)
        .args(["build", "--release", "--quiet", "--offline", "--target", TARGET])
        .args(["--target-dir", "target"])
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Ok(vec![format!("the core does not build for {TARGET}")]);
    }
    let release = folder.join("target").join(TARGET).join("release");
    let mut findings = check_calls(&release.join("libcore_gate_probe.rlib"))?;
    for library in libraries_of_the_core(&release.join("deps")) {
        findings.extend(check_calls(&library)?);
    }
    if findings.is_empty() {
        println!("the core builds for {TARGET} and calls nothing that a kernel lacks");
    }
    Ok(findings)
}

fn is_installed() -> bool {
    let output =
        Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

fn write_probe(root: &Path, folder: &Path) -> io::Result<()> {
    let manifest = format!(
        "[package]\nname = \"core-gate-probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [lib]\npath = \"probe.rs\"\n\n\
         [dependencies]\nhoma-proto = {{ path = {:?} }}\n\n[workspace]\n",
        root.join("crates/homa-proto")
    );
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("Cargo.toml"), manifest)?;
    // The same versions as everywhere else.
    std::fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    std::fs::write(folder.join("probe.rs"), PROBE)
}

fn libraries_of_the_core(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_core = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("libhoma_") && name.ends_with(".rlib")
    };
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_core).collect()
}

/// Forbidden calls of a library.
fn check_calls(library: &Path) -> io::Result<Findings> {
    let Ok(output) = Command::new("nm").arg("-u").arg(library).output() else {
        println!("skipped: nm is not installed, so the core's calls are unseen");
        return Ok(Findings::new());
    };
    let listing = String::from_utf8_lossy(&output.stdout);
    let calls: Vec<_> = listing.lines().filter_map(|line| line.trim().strip_prefix("U ")).collect();
    if calls.is_empty() {
        return Err(io::Error::other(format!("nm finds no calls in {}", library.display())));
    }
    let forbidden = calls.into_iter().filter(|call| FORBIDDEN.contains(call));
    Ok(forbidden
        .map(|call| format!("the core calls {call}, which a kernel does not offer"))
        .collect())
}
