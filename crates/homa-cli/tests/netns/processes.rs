//! The command as processes of hosts.

use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use homa_netns::Host;

use crate::network::Network;

/// How long processes bear each other's silence, where it is to cost no call: on machines that are
/// busy, a process may have to wait for a processor longer than the 100 ms of the default.
pub(crate) const PATIENCE: [&str; 2] = ["--timeout", "4s"];
/// What an orderly end may take beyond the time that a client was told to run: machines are busy.
const LIMIT: Duration = Duration::from_secs(60);

/// The command, ready to be given arguments.
fn homa(host: &Host) -> Command {
    let mut command = host.command(env!("CARGO_BIN_EXE_homa"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the command where no network is needed, to its success; what it printed.
pub(crate) fn output(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_homa")).args(args).output().expect("it runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

/// A client's options: for so long, always so many calls at once of lengths drawn so.
pub(crate) fn load<'a>(workload: &'a str, outstanding: &'a str, duration: &'a str) -> [&'a str; 6] {
    ["--workload", workload, "--outstanding", outstanding, "--duration", duration]
}

/// Sends a signal to a process that the test started.
fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(status.expect("kill can be run").success());
}

/// A server in the background, killed when dropped.
pub(crate) struct Server {
    child: Child,
    output: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts a server on all addresses of a host and waits until it listens.
    pub(crate) fn start(network: Network, host: &Host) -> Self {
        Self::start_at(network, host, &network.listen())
    }

    /// Starts a server that is told to listen there.
    pub(crate) fn start_at(network: Network, host: &Host, listen: &str) -> Self {
        let mut command = homa(host);
        command.arg("server").args(network.transport_options());
        command.args(["--listen", listen, "--poll", "0"]).args(PATIENCE);
        let mut child = command.spawn().expect("the command can be run");
        let mut line = String::new();
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        stderr.read_line(&mut line).expect("a line");
        assert!(line.contains("listening on"), "{line}");
        // Whatever else it says must not block it.
        thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
        let output = Some(read_all(child.stdout.take().expect("piped")));
        Self { child, output }
    }

    /// Ends it as Ctrl-C does; its last line, which sums up.
    pub(crate) fn stop(mut self) -> String {
        signal(&self.child, "-INT");
        let output = self.output.take().expect("read once").join().expect("text");
        output.lines().last().unwrap_or_default().to_owned()
    }

    /// Kills it, so that it can say nothing to anybody.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    pub(crate) fn pause(&self) {
        signal(&self.child, "-STOP");
    }

    pub(crate) fn resume(&self) {
        signal(&self.child, "-CONT");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client in the background, killed when dropped.
pub(crate) struct Client {
    child: Child,
    output: Option<JoinHandle<String>>,
    complaints: Option<JoinHandle<String>>,
    begin: Instant,
}

/// How a client ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) output: String,
    /// Standard error.
    pub(crate) complaints: String,
}

impl Client {
    /// Starts a client of the server at an address.
    pub(crate) fn start(network: Network, host: &Host, server: IpAddr, args: &[&str]) -> Self {
        Self::start_impatient(network, host, server, &[&PATIENCE, args].concat())
    }

    /// Starts a client that gives a silent server up as early as is the default.
    pub(crate) fn start_impatient(
        network: Network,
        host: &Host,
        server: IpAddr,
        args: &[&str],
    ) -> Self {
        Self::start_to(network, host, &network.server(server), args)
    }

    /// The same with the server's address as it is written.
    pub(crate) fn start_to(network: Network, host: &Host, server: &str, args: &[&str]) -> Self {
        let mut command = homa(host);
        command.args(["client", server]).args(network.transport_options());
        command.args(["--poll", "0"]).args(args);
        let mut child = command.spawn().expect("the command can be run");
        let output = Some(read_all(child.stdout.take().expect("piped")));
        let complaints = Some(read_all(child.stderr.take().expect("piped")));
        Self { child, output, complaints, begin: Instant::now() }
    }

    /// Kills it, so that it can say nothing to anybody.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is ours");
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Run {
        while self.child.try_wait().expect("it is a child").is_none() {
            assert!(self.begin.elapsed() < LIMIT, "the client does not end");
            thread::sleep(Duration::from_millis(10));
        }
        let text = |reader: Option<JoinHandle<_>>| reader.expect("once").join().expect("text");
        let (output, complaints) = (text(self.output.take()), text(self.complaints.take()));
        Run { code: self.child.wait().expect("it has ended").code(), output, complaints }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Run {
    /// Calls that succeeded, and calls that failed, as the summary says.
    pub(crate) fn calls_and_failures(&self) -> (u64, u64) {
        let find = || {
            let line = self.output.lines().find(|line| line.starts_with("workload "))?;
            let (_, counts) = line.rsplit_once(": ")?;
            let (calls, failures) = counts.split_once(" calls, ")?;
            Some((calls.parse().ok()?, failures.strip_suffix(" failed")?.parse().ok()?))
        };
        find().unwrap_or_else(|| panic!("no summary: {self:?}"))
    }

    /// Every call that began succeeded, and every byte was right.
    #[track_caller]
    pub(crate) fn assert_flawless(&self) {
        let (_, failures) = self.calls_and_failures();
        assert_eq!(failures, 0, "{self:?}");
        // On a machine that is very busy no call may have ended before the time was over. The client
        // waits for those under way, and counts them if they fail.
        let none_in_time = self.complaints == "homa: no call has succeeded\n";
        assert!(self.code == Some(0) || none_in_time, "{self:?}");
    }

    /// Why calls failed, one reason per entry.
    pub(crate) fn reasons(&self) -> Vec<&str> {
        let marker = " calls failed: ";
        self.complaints.lines().filter_map(|line| Some(line.split_once(marker)?.1)).collect()
    }
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
