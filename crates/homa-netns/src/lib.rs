//! Hosts made of network namespaces, joined by real links: for tests of what only kernels, sockets
//! and processes show, and for benchmarks between hosts.
//!
//! * A [`Lab`] has hosts, each with one link, `eth0`, to a bridge in a namespace of its own; or to
//!   one of two bridges with two routers in between, where packets of the hosts' size don't fit.
//!   The namespace in which the lab was made, and its interfaces, are left alone.
//! * A [`Host`] runs programs ([`Namespace::command`]) and closures ([`Namespace::enter`]). Its cable
//!   can be pulled, its addresses changed, its packets lost, duplicated and reordered.
//! * A [`Capture`] records what crosses the bridge.
//! * With [`LabOptions::shaping`] all links have a rate, and the bridge's ports are those of a switch with strict
//!   priorities and buffers that end.
//!
//! It takes Linux, root, and the programs `ip` (iproute2) and `ethtool`; loss takes `nft` (nftables),
//! captures take `tcpdump`, rates take `tc`. [`unavailable`] says what is missing.
//!
//! Namespaces are named `homa-PID-...`. They are removed, with the processes in them, when their
//! values are dropped, and those of processes that ended without dropping anything when the next lab
//! is made.
//!
//! ```no_run
//! use homa_netns::{Lab, LabOptions};
//!
//! # fn main() -> std::io::Result<()> {
//! let lab = Lab::new(2, &LabOptions::default())?;
//! let ping = lab.host(0).command("ping").args(["-c1", &lab.host(1).ipv4().to_string()]).status()?;
//! assert!(ping.success());
//! # Ok(())
//! # }
//! ```

mod capture;
mod disorder;
mod host;
mod lab;
mod namespace;
mod segment;
mod shaping;
mod sys;

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

pub use capture::Capture;
pub use disorder::{Disorder, DisorderCounts, Forwarder};
pub use host::Host;
pub use lab::{Lab, LabOptions};
pub use namespace::Namespace;
pub use shaping::Shaping;

/// Why this machine has no labs for which `programs` are needed besides `ip` and `ethtool`; `None` if
/// it has.
#[must_use]
pub fn unavailable(programs: &[&str]) -> Option<String> {
    static PROBED: OnceLock<Option<String>> = OnceLock::new();
    let mut needed = ["ip", "ethtool"].iter().chain(programs);
    if let Some(missing) = needed.find(|program| !is_installed(program)) {
        return Some(format!("the program '{missing}' is not installed"));
    }
    PROBED.get_or_init(probe).clone()
}

/// Says on standard error that the calling test is skipped if this machine has no labs for which
/// `programs` are needed (see [`unavailable`]), and whether that is so.
#[must_use]
pub fn skip(programs: &[&str]) -> bool {
    let reason = unavailable(programs);
    reason.as_deref().map(say_skipped).is_some()
}

/// Says on standard error that the calling test is skipped, and why, or that part of it is.
///
/// The reason is seen in any case: the test harness holds back only what is printed by macros.
pub fn say_skipped(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Nobody to tell is no reason to fail.
    let _ = writeln!(io::stderr(), "skipped: {test}: {reason}");
}

/// Whether namespaces can be made, found out by making one.
fn probe() -> Option<String> {
    let made = Namespace::new("probe").and_then(|namespace| namespace.enter(|| ()));
    made.err().map(|error| format!("no network namespaces, which need root: {error}"))
}

fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Some know no such option; that they can be run at all is enough.
    command.status().is_ok()
}

/// Runs a command to its end; what it complained of is the error.
fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    succeeded(command, output.status.success(), &output.stderr)
}

/// Runs a command that reads `input`.
fn run_with_input(command: &mut Command, input: &str) -> io::Result<()> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    // Dropped at once, which ends the input. Commands that fail early don't read it all.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    let complaint = [&output.stderr[..], b" of:\n", input.as_bytes()].concat();
    succeeded(command, output.status.success(), &complaint)
}

fn succeeded(command: &Command, success: bool, complaint: &[u8]) -> io::Result<()> {
    if success {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(complaint);
    Err(io::Error::other(format!("{command:?} failed: {}", complaint.trim())))
}
