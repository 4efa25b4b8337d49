//! Counting instructions with valgrind's callgrind, where it is installed.

use std::process::{Command, Stdio};

/// Whether it can be run; prints what that means, and why, if not.
pub(crate) fn is_there(otherwise: &str) -> bool {
    let version = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if let Err(why) = &version {
        println!("{otherwise}: valgrind can't be run: {why}");
    }
    version.is_ok()
}

/// The counts in what it prints at its end: "Collected : 123 45".
pub(crate) fn collected(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.split_once("Collected :")).map(|(_, counts)| counts)
}
