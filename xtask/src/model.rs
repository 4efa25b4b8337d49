//! `model`: the handing over between threads, under a model checker (`crates/homa/src/model.rs`).

use crate::Findings;
use std::io;
use std::path::Path;
use std::process::Command;

/// Interleavings tried with each of two schedulers by each test, unless stated; a few seconds.
const RUNS: u32 = 5_000;

/// Compiles the library against the model checker, in a target folder of its own, and runs its
/// tests.
///
/// # Errors
///
/// Cargo could not be started.
pub(crate) fn check(root: &Path, runs: Option<u32>) -> io::Result<Findings> {
    let runs = runs.unwrap_or(RUNS);
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" --cfg shuttle");
    let status = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["test", "--release", "--locked", "--quiet", "--package", "homa-rpc", "--lib"])
        .args(["--target-dir", "target/model", "model::"])
        .env("RUSTFLAGS", flags)
        .env("RUST_BACKTRACE", "0")
        .env("HOMA_MODEL_RUNS", runs.to_string())
        .status()?;
    let failed = || vec![format!("model checking with {runs} runs failed")];
    Ok(if status.success() { Findings::new() } else { failed() })
}
