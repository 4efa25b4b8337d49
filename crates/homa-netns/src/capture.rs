//! What crosses a network, on record.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Namespace;

/// A file that does not grow for so long has all that there was.
const SETTLED: Duration = Duration::from_millis(150);

/// A running `tcpdump`, killed when dropped.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    messages: BufReader<std::process::ChildStderr>,
    file: PathBuf,
}

impl Capture {
    /// Begins to record the first `snap_bytes` bytes of all packets that `device` sees, into a new
    /// file. It does so when this returns.
    ///
    /// # Errors
    ///
    /// `tcpdump` can't be run, or what it says.
    pub fn start(
        namespace: &Namespace,
        device: &str,
        snap_bytes: u32,
        file: &Path,
    ) -> io::Result<Self> {
        let mut command = namespace.command("tcpdump");
        // As root it would otherwise become a user who can't write here. Kernel buffer: 64 MiB.
        command.args(["-i", device, "-U", "--immediate-mode", "-Z", "root", "-B", "65536"]);
        command.args(["-s", &snap_bytes.to_string(), "-w"]).arg(file);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut messages = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        while !said.contains("listening on") {
            if messages.read_line(&mut said)? == 0 {
                let _ = child.wait();
                return Err(io::Error::other(format!("tcpdump: {}", said.trim())));
            }
        }
        Ok(Self { child, messages, file: file.to_owned() })
    }

    /// Ends the record, once everything so far is in it.
    ///
    /// # Errors
    ///
    /// Packets are missing from it, for they came too fast; or `tcpdump` failed.
    pub fn stop(mut self) -> io::Result<()> {
        let mut len = 0;
        loop {
            thread::sleep(SETTLED);
            let len_before = std::mem::replace(&mut len, fs::metadata(&self.file)?.len());
            if len == len_before {
                break;
            }
        }
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT)?;
        let mut said = String::new();
        self.messages.read_to_string(&mut said)?;
        let status = self.child.wait()?;
        if status.success() && said.contains("\n0 packets dropped by kernel") {
            return Ok(());
        }
        Err(io::Error::other(format!("tcpdump, {status}: {}", said.trim())))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
