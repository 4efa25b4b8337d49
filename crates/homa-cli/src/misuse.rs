//! Options that would have no effect: said so, rather than accepted in silence.

use std::time::Duration;

use crate::args::{BenchArgs, ClientArgs, DecodeArgs, HomaArgs, RawArgs, ServerArgs};
use crate::bench::Contender;
use crate::exit::Stop;
use crate::transport::Protocol;

/// Polling for longer keeps a processor busy for nothing.
const LONGEST_POLL: Duration = Duration::from_secs(1);
/// What `Limits::within` assumes at least.
const MEMORY_MIN: u64 = 4 << 20;
/// The part of the memory that one message may take, as `Limits::within` divides it.
const MEMORY_PER_MESSAGE: u64 = 4;
const KEYS_OVER_UDP: &str =
    "--key-file is for Homa over UDP: packets over raw IP can't be authenticated";

/// # Errors
///
/// An option of `homa server` that has no effect.
pub(crate) fn of_server(args: &ServerArgs) -> Result<(), Stop> {
    poll(args.regime.poll)?;
    raw(args.transport, args.raw, args.listen.has_homa_port())?;
    udp_alone(args.transport, &args.homa)?;
    memory(args)?;
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
    udp_alone(args.transport, &args.homa)?;
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
    without(has_key && contenders.contains(&Contender::Raw), KEYS_OVER_UDP)?;
    let damages_nothing = tcp_alone && args.fault.is_some();
    without(damages_nothing, "--fault damages Homa's packets, which are not measured")
}

/// # Errors
///
/// An option of `homa decode` that has no effect.
pub(crate) fn of_decode(args: &DecodeArgs) -> Result<(), Stop> {
    without(args.udp_port.contains(&0), "--udp-port 0: no packet has port 0")
}

/// What raw IP does not know.
fn udp_alone(transport: Protocol, args: &HomaArgs) -> Result<(), Stop> {
    without(transport == Protocol::Raw && args.key_file.is_some(), KEYS_OVER_UDP)
}

/// Too little memory, at all or for the longest message.
fn memory(args: &ServerArgs) -> Result<(), Stop> {
    let Some(memory) = args.memory else { return Ok(()) };
    without(memory.0 < MEMORY_MIN, "--memory is at least 4Mi (4,194,304 bytes)")?;
    let needed = args.max_message.0 * MEMORY_PER_MESSAGE;
    let why = format!(
        "--max-message of {} bytes takes a --memory of at least {needed} bytes: a quarter is for messages being sent",
        args.max_message.0
    );
    without(memory.0 < needed, &why)
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
            Command::Key | Command::Sim(_) | Command::BenchServer(_) => Ok(()),
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
            ("homa server --transport raw --key-file k", "over UDP"),
            ("homa client h:1 --transport raw --key-file k", "over UDP"),
            ("homa bench --transports homa,raw --key-file k", "over UDP"),
            ("homa server --memory 4194303", "at least 4Mi"),
            (
                "homa server --memory 128Mi --max-message 64Mi",
                "--max-message of 67108864 bytes takes a --memory of at least 268435456",
            ),
        ] {
            assert!(misuse(line).is_some_and(|why| why.contains(option)), "{line}");
        }
    }

    /// Whatever memory is accepted with a length of messages, an endpoint accepts.
    #[test]
    fn memory__what_is_accepted_works() {
        for message in [1_000_000, 1 << 20, 1_048_577, 5_000_000, 64 << 20] {
            let memory = MEMORY_MIN.max(message * MEMORY_PER_MESSAGE);
            assert_eq!(
                misuse(&format!("homa server --memory {memory} --max-message {message}")),
                None
            );
            let limits = homa::proto::Limits::within(memory);
            let mut config = homa::proto::Config::default();
            (config.message_length_max, config.limits) = (message as u32, limits);
            assert_eq!(config.validate(), Ok(()), "{message}");
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
            "homa server --memory 4Mi",
            "homa server --memory 256Mi --max-message 64Mi",
        ] {
            assert_eq!(misuse(line), None, "{line}");
        }
    }
}
