//! The benchmark's server: this program again, as a second process.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::address::ServerAddress;
use crate::args::BenchArgs;
use crate::server::{ASK_CPU, Ready};
use crate::stats::CpuTime;
use crate::transport::Protocol;

/// The Homa port of a server started here; its UDP or TCP port is whichever is free.
const LISTEN: &str = "127.0.0.1:0/4000";

/// A running server. It ends when this is dropped, or this process ends in whatever way, since its
/// standard input is then closed.
#[derive(Debug)]
pub(super) struct ServerProcess {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    address: ServerAddress,
    certificate: Option<Vec<u8>>,
}

impl ServerProcess {
    /// Starts a server and waits until it listens.
    pub(super) fn start(
        protocol: Protocol,
        args: &BenchArgs,
        max_message: u32,
    ) -> Result<Self, String> {
        Self::spawn(protocol, args, max_message)
            .map_err(|why| format!("cannot start a {} server: {why}", protocol.name()))
    }

    fn spawn(protocol: Protocol, args: &BenchArgs, max_message: u32) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command
            .args(["bench-server", "--listen", LISTEN, "--transport", protocol.name()])
            .args(["--max-message", &max_message.to_string()])
            .args(["--seed", &args.seed.to_string()])
            .args(["--poll", &format!("{}ns", args.regime.poll.as_nanos())]);
        if args.homa.checksums {
            command.arg("--checksums");
        }
        if let Some(timeout) = args.homa.timeout {
            command.args(["--timeout", &format!("{}ns", timeout.as_nanos())]);
        }
        if let Some(path) = &args.homa.key_file {
            command.arg("--key-file").arg(path);
        }
        if let Some(fault) = &args.fault {
            command.args(["--fault", &fault.to_string()]);
        }
        // In a group of its own, Ctrl-C reaches only this process, which then prints the summary.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let ready =
            read_line(&mut output).and_then(|line| Ready::of_line(&line)).ok_or("it ended at once");
        match ready {
            Ok(Ready { address, certificate }) => {
                Ok(Self { child, input, output, address, certificate })
            }
            Err(why) => {
                drop(input);
                let _ = child.wait();
                Err(why.into())
            }
        }
    }

    pub(super) fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// The certificate by which it is known, if its transport encrypts.
    pub(super) fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// The CPU time it has used so far; `None` if it doesn't answer.
    pub(super) fn cpu_time(&mut self) -> Option<CpuTime> {
        writeln!(self.input.as_mut()?, "{ASK_CPU}").ok()?;
        let nanos = read_line(&mut self.output)?.parse().ok()?;
        Some(CpuTime(Duration::from_nanos(nanos)))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.input.take());
        // It keeps nothing that would have to be put in order.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_line(output: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let length = output.read_line(&mut line).ok()?;
    (length > 0).then(|| line.trim_end().to_owned())
}
