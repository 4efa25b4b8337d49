//! Options that would have no effect: said so, rather than accepted in silence.

use std::time::Duration;

use crate::args::{BenchArgs, ClientArgs, DecodeArgs, HomaArgs, RawArgs, ServerArgs};
use crate::bench::Contender;
use crate::exit::Stop;
use crate::node::NodeArgs;
use crate::transport::Protocol;
use crate::transport::udp::MAX_MESSAGE;

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
    present(args.transport)?;
    if !args.transport.is_homa() {
        let other = args.transport.title();
        homa_alone(args.transport, &args.homa)?;
        without(args.memory.is_some(), &format!("--memory limits Homa's, not that of {other}"))?;
        without(args.queue_delay.is_some(), "--queue-delay is Homa's")?;
        without(!args.work.is_zero(), "--work is for servers of Homa")?;
        without(args.accounts.is_some(), "--accounts are Homa's")?;
        no_homa_port(args.transport, args.listen.has_homa_port())?;
    }
    Ok(())
}

/// # Errors
///
/// An option of `homa client` that has no effect, or what its transport can't do.
pub(crate) fn of_client(args: &ClientArgs) -> Result<(), Stop> {
    poll(args.regime.poll)?;
    raw(args.transport, args.raw, args.server.has_homa_port())?;
    udp_alone(args.transport, &args.homa)?;
    present(args.transport)?;
    if !args.transport.is_homa() {
        homa_alone(args.transport, &args.homa)?;
        no_homa_port(args.transport, args.server.has_homa_port())?;
    }
    let too_long = args.transport == Protocol::Udp && args.workload.max_len() > MAX_MESSAGE;
    let why = format!(
        "--workload {}: a datagram of --transport udp holds {MAX_MESSAGE} bytes",
        args.workload
    );
    without(too_long, &why)?;
    let needs_tcp = args.pipelined && args.transport != Protocol::Tcp;
    without(needs_tcp, "--pipelined is a variant of TCP: it needs --transport tcp")
}

/// # Errors
///
/// An option of `homa bench` that has no effect.
pub(crate) fn of_bench(args: &BenchArgs) -> Result<(), Stop> {
    poll(args.regime.poll)?;
    let contenders = args.transports.list();
    let no_homa = contenders.iter().all(|contender| !contender.protocol().is_homa());
    without(no_homa && args.homa.checksums, "--checksums is Homa's, which is not measured")?;
    let times_nothing = no_homa && args.homa.timeout.is_some();
    without(times_nothing, "--timeout is Homa's, which is not measured")?;
    let has_key = args.homa.key_file.is_some();
    without(no_homa && has_key, "--key-file is Homa's, which is not measured")?;
    without(has_key && contenders.contains(&Contender::Raw), KEYS_OVER_UDP)?;
    let damages_nothing = no_homa && args.fault.is_some();
    without(damages_nothing, "--fault damages Homa's packets, which are not measured")
}

/// # Errors
///
/// An option of `homa node` that has no effect.
pub(crate) fn of_node(args: &NodeArgs) -> Result<(), Stop> {
    poll(args.regime.poll)?;
    match args.transport {
        Protocol::Homa => {
            without(args.pipelined, "--pipelined is a variant of TCP: it needs --transport tcp")
        }
        Protocol::Tcp => homa_alone(args.transport, &args.homa),
        other => Err(Stop::Usage(format!("--transport is homa or tcp, not {}", other.name()))),
    }
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

/// A transport that this build lacks.
fn present(transport: Protocol) -> Result<(), Stop> {
    transport.check_present().map_err(Stop::Usage)
}

/// What other transports do not know.
fn homa_alone(transport: Protocol, args: &HomaArgs) -> Result<(), Stop> {
    let other = transport.title();
    without(args.checksums, &format!("--checksums is Homa's, not an option of {other}"))?;
    without(args.key_file.is_some(), "--key-file is Homa's")?;
    without(args.timeout.is_some(), &format!("--timeout is Homa's, not an option of {other}"))
}

fn no_homa_port(transport: Protocol, has_one: bool) -> Result<(), Stop> {
    let other = transport.title();
    without(has_one, &format!("{other} has no Homa port: give HOST:P, not HOST:U/H"))
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
            Command::Node(args) => of_node(&args),
            Command::Key | Command::Lab(_) | Command::Sim(_) | Command::BenchServer(_) => Ok(()),
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
            ("homa node --transport raw", "homa or tcp"),
            ("homa node --pipelined", "--pipelined"),
            ("homa node --transport tcp --timeout 1s", "--timeout"),
            ("homa node --poll 2s", "--poll"),
            ("homa decode --udp-port 0 x", "--udp-port"),
            ("homa server --transport udp --memory 8Mi", "that of UDP"),
            ("homa server --transport udp --listen 127.0.0.1:1/2", "UDP has no Homa port"),
            ("homa client h:1 --transport udp --checksums", "--checksums"),
            ("homa client h:1 --transport udp --workload w4", "65451 bytes"),
            ("homa client h:1 --transport udp --pipelined", "--pipelined"),
            ("homa bench --transports tcp,udp --fault drop=0.1", "--fault"),
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

    /// The benchmark says it as it reads its list of transports.
    #[test]
    fn peers__need_a_build_that_has_them() {
        for line in ["homa server --transport quic", "homa client h:1 --transport grpc"] {
            let why = misuse(line);
            assert_eq!(why.is_none(), cfg!(feature = "peers"), "{line}");
            assert!(why.is_none_or(|why| why.contains("--features peers")), "{line}");
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
            "homa client h:1 --transport udp --workload 65451",
            "homa server --transport udp",
            "homa bench --transports homa,udp --checksums",
            "homa node --transport tcp --pipelined",
            "homa node --checksums --timeout 1s",
            "homa decode --udp-port 1 x",
            "homa server --memory 4Mi",
            "homa server --memory 256Mi --max-message 64Mi",
        ] {
            assert_eq!(misuse(line), None, "{line}");
        }
    }
}
