//! What `/proc` says of other processes.

use std::fs;

/// The resident memory of a process in bytes; `None` if there is no such process.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    field(pid, "VmRSS:").map(|kibibytes| 1024 * kibibytes)
}

/// The most that it was so far.
pub(crate) fn peak_resident_bytes(pid: u32) -> Option<u64> {
    field(pid, "VmHWM:").map(|kibibytes| 1024 * kibibytes)
}

/// A process that `parent` started.
pub(crate) fn child_of(parent: u32) -> Option<u32> {
    let entries = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|&pid| field(pid, "PPid:") == Some(parent.into()))
}

/// The number in a line of `/proc/PID/status`.
fn field(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use std::process::Command;

    #[test]
    fn child_of__finds_what_was_started() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let parent = field(child.id(), "PPid:").unwrap();
        assert_eq!(parent, u64::from(std::process::id()));
        assert!(child_of(std::process::id()).is_some());
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
