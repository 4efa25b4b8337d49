//! Options that would have no effect: said so, rather than accepted in silence.

use std::time::Duration;

use crate::args::{BenchArgs, ClientArgs, DecodeArgs, HomaArgs, RawArgs, ServerArgs};
use crate::bench::Contender;
use crate::exit::Stop;
use crate::transport::Protocol;

/// Polling for longer keeps a processor busy for nothing.
const LONGEST_POLL: Duration = Duration::from_secs(1);

/// # Errors
///
/// An option of `homa server` that has no effect.
pub(crate) fn of_server(args: &ServerArgs) -> Result<(), Stop> {
    poll(args.regime.poll)?;
    raw(args.transport, args.raw, args.listen.has_homa_port())?;
    if args.transport == Protocol::Tcp {
        homa_alone(&args.homa)?;
        without(args.memory.is_some(), "--memory limits Homa's; TCP's is the kernel's")?;
        without(args.queue_delay.is_some(), "--queue-delay is Homa's")?;
        without(!args.work.is_zero(), "--work is for servers of Homa")?;
        without(args.accounts.is_some(), "--accounts are Homa's")?;
        let port = args.listen.has_homa_port();
        without(port, "TCP has no Homa port: give HOST:P, not HOST:U/H")?;
    }
    Ok(())
}

/// # Errors
///
/// An option of `homa client` that has no effect.
pub(crate) fn of_client(args: &ClientArgs) -> Result<(), Stop> {
    poll(args.regime.poll)?;
    raw(args.transport, args.raw, args.server.has_homa_port())?;
    match args.transport {
        Protocol::Tcp => {
            homa_alone(&args.homa)?;
            let port = args.server.has_homa_port();
            without(port, "TCP has no Homa port: give HOST:P, not HOST:U/H")
        }
        _ => without(args.pipelined, "--pipelined is a variant of TCP: it needs --transport tcp"),
    }
}

/// # Errors
///
/// An option of `homa bench` that has no effect.
pub(crate) fn of_bench(args: &BenchArgs) -> Result<(), Stop> {
    poll(args.regime.poll)?;
    let is_tcp = |contender: &Contender| contender.protocol() == Protocol::Tcp;
    let contenders = args.transports.list();
    let tcp_alone = contenders.iter().all(is_tcp);
    without(tcp_alone && args.homa.checksums, "--checksums is Homa's, which is not measured")?;
    let times_nothing = tcp_alone && args.homa.timeout.is_some();
    without(times_nothing, "--timeout is Homa's, which is not measured")?;
    let has_key = args.homa.key_file.is_some();
    without(tcp_alone && has_key, "--key-file is Homa's, which is not measured")?;
    let damages_nothing = tcp_alone && args.fault.is_some();
    without(damages_nothing, "--fault damages Homa's packets, which are not measured")
}

/// # Errors
///
/// An option of `homa decode` that has no effect.
pub(crate) fn of_decode(args: &DecodeArgs) -> Result<(), Stop> {
    without(args.udp_port.contains(&0), "--udp-port 0: no packet has port 0")
}

/// What TCP does not know.
fn homa_alone(args: &HomaArgs) -> Result<(), Stop> {
    without(args.checksums, "--checksums is Homa's; TCP has its own")?;
    without(args.key_file.is_some(), "--key-file is Homa's")?;
    without(args.timeout.is_some(), "--timeout is Homa's; TCP has its own")
}

fn raw(transport: Protocol, args: RawArgs, has_homa_port: bool) -> Result<(), Stop> {
    if transport == Protocol::Raw {
        return without(
            has_homa_port,
            "there are no UDP ports over raw IP: give HOST:P, not HOST:U/H",
        );
    }
    without(args.share, "--share is about raw IP: it needs --transport raw")
}

fn poll(time: Duration) -> Result<(), Stop> {
    without(time > LONGEST_POLL, "--poll is at most 1s: beyond it a thread only keeps busy")
}

fn without(misused: bool, why: &str) -> Result<(), Stop> {
    if misused { Err(Stop::Usage(why.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    /// What is wrong with a command line that parses.
    fn misuse(line: &str) -> Option<String> {
        let result = match Cli::parse_from(line.split_whitespace()).command {
            Command::Server(args) => of_server(&args),
            Command::Client(args) => of_client(&args),
            Command::Bench(args) => of_bench(&args),
            Command::Decode(args) => of_decode(&args),
            Command::Key | Command::BenchServer(_) => Ok(()),
        };
        match result {
            Err(Stop::Usage(why)) => Some(why),
            Err(other) => panic!("{other}"),
            Ok(()) => None,
        }
    }

    #[test]
    fn options_without_effect__are_named() {
        for (line, option) in [
            ("homa server --transport tcp --checksums", "--checksums"),
            ("homa server --transport tcp --listen 127.0.0.1:1/2", "Homa port"),
            ("homa client h:1 --pipelined", "--pipelined"),
            ("homa client h:1 --share", "--share"),
            ("homa server --transport raw --listen 127.0.0.1:1/2", "UDP port"),
            ("homa client h:1/2 --transport tcp", "Homa port"),
            ("homa client h:1 --transport tcp --checksums", "--checksums"),
            ("homa server --transport tcp --key-file k", "--key-file"),
            ("homa client h:1 --transport tcp --key-file k", "--key-file"),
            ("homa bench --transports tcp --key-file k", "--key-file"),
            ("homa client h:1 --poll 2s", "--poll"),
            ("homa bench --transports tcp --checksums", "--checksums"),
            ("homa client h:1 --transport tcp --timeout 1s", "--timeout"),
            ("homa bench --transports tcp --timeout 1s", "--timeout"),
            ("homa bench --transports tcp --fault drop=0.1", "--fault"),
            ("homa decode --udp-port 0 x", "--udp-port"),
        ] {
            assert!(misuse(line).is_some_and(|why| why.contains(option)), "{line}");
        }
    }

    #[test]
    fn options_with_effect__are_accepted() {
        for line in [
            "homa server --checksums --listen 127.0.0.1:1/2 --poll 0",
            "homa server --transport tcp",
            "homa server --transport raw --share",
            "homa client h:1 --transport raw --checksums",
            "homa client h:1 --transport tcp --pipelined",
            "homa client h:1/2 --checksums --poll 1s",
            "homa bench --checksums --timeout 1s",
            "homa bench --transports homa --fault drop=0.1",
            "homa decode --udp-port 1 x",
        ] {
            assert_eq!(misuse(line), None, "{line}");
        }
    }
}
