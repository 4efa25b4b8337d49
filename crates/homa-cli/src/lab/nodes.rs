//! The processes on the hosts.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use homa_netns::Lab;

use crate::exit::Stop;
use crate::interrupt::Interrupt;
use crate::node::NodeReport;

/// Between looks at whether they have ended.
const PAUSE: Duration = Duration::from_millis(20);

/// A process on each host, with `homa node`. Those that run are killed when this is dropped.
#[derive(Debug)]
pub(super) struct Nodes(Vec<Node>);

#[derive(Debug)]
struct Node {
    child: Child,
    /// What it writes: its report, and what it says.
    output: [JoinHandle<String>; 2],
}

impl Nodes {
    /// Starts them all, with the same options, at a port.
    pub(super) fn start(lab: &Lab, port: u16, options: &[String]) -> Result<Self, Stop> {
        let peers = lab.hosts().iter().map(|host| format!("{}:{port}", host.ipv4()));
        let peers = peers.collect::<Vec<_>>().join(",");
        let program = std::env::current_exe()?;
        let mut nodes = Self(Vec::new());
        for (rank, host) in lab.hosts().iter().enumerate() {
            let mut command = host.command(&program);
            command.args(["node", "--json", "-", "--peers", &peers]);
            command.args(["--rank", &rank.to_string()]).args(options);
            // In a group of its own, Ctrl-C reaches only this process, which then ends them in order.
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.process_group(0).spawn()?;
            let output = [read(child.stdout.take()), read(child.stderr.take())];
            nodes.0.push(Node { child, output });
        }
        Ok(nodes)
    }

    /// Waits until all have ended, and returns what they have measured.
    ///
    /// # Errors
    ///
    /// One has failed; or an interrupt, after which all have ended.
    pub(super) fn wait(mut self, interrupt: &Interrupt) -> Result<Vec<NodeReport>, Stop> {
        while !self.have_ended()? {
            if interrupt.is_set() {
                return Err(Stop::Interrupted);
            }
            thread::sleep(PAUSE);
        }
        let mut reports = Vec::new();
        let mut failures = Vec::new();
        for (rank, node) in std::mem::take(&mut self.0).into_iter().enumerate() {
            let [report, said] = node.output.map(|thread| thread.join().unwrap_or_default());
            match NodeReport::parse(&report) {
                Ok(report) => reports.push(report),
                Err(why) => failures.push((rank, why, said)),
            }
        }
        match failures.first() {
            // Others say that one is missing; one says why.
            Some((rank, why, said)) => {
                let said = said.trim();
                let why = if said.is_empty() { why } else { said };
                Err(Stop::Failed(format!("the node on host {rank} has failed: {why}")))
            }
            None => Ok(reports),
        }
    }

    fn have_ended(&mut self) -> Result<bool, Stop> {
        let mut all = true;
        for node in &mut self.0 {
            all &= node.child.try_wait()?.is_some();
        }
        Ok(all)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in &mut self.0 {
            // One that has ended is left alone.
            let _ = node.child.kill();
            let _ = node.child.wait();
        }
    }
}

/// All that comes out of a pipe, read by a thread, so that its writer never waits.
fn read(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could not be read is missed by whoever parses it.
            let _ = pipe.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    })
}
