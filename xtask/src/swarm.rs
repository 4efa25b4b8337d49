//! `swarm`: many small worlds, each with its own mix of troubles (`homa_testkit::swarm`).

use crate::Findings;
use std::io;
use std::path::Path;
use std::process::Command;

/// Builds the swarm in release mode with debug assertions, and runs it with the given options.
///
/// # Errors
///
/// Cargo could not be started.
pub(crate) fn check(root: &Path, options: &[&str]) -> io::Result<Findings> {
    let status = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["run", "--release", "--locked", "--quiet", "--package", "homa-testkit"])
        .args(["--bin", "swarm", "--"])
        .args(options)
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        .status()?;
    let failed = || vec![format!("swarm {}: failed", options.join(" "))];
    Ok(if status.success() { Findings::new() } else { failed() })
}
