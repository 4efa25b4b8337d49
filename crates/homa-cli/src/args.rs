//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::accounts::AccountsFormat;
use crate::address::ServerAddress;
use crate::bench::{Contenders, TestChoice};
use crate::fail_if::Condition;
use crate::lab::LabArgs;
use crate::load::Pace;
use crate::message::MAX_SLOTS;
use crate::node::NodeArgs;
use crate::sim::SimArgs;
use crate::transport::{FaultPlan, Protocol, Regime};
use crate::units::{self, Size, parse_duration, parse_rate, parse_run_time, parse_timeout};
use crate::workload::Workload;

/// Homa, an RPC transport for data centres, over UDP or raw IP: echo server, load generator, benchmarks
/// beside TCP, QUIC and gRPC, a simulator of clusters, and a decoder of captured packets.
#[derive(Debug, Parser)]
#[command(name = "homa", version, after_long_help = EXAMPLES, after_help = SHORT_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const SHORT_HELP: &str = "'homa COMMAND --help' has the options and examples of each command.";

const EXAMPLES: &str = "\
Examples:
  homa bench                          compare Homa with TCP on this machine
  homa server                         an echo server on 127.0.0.1:4000
  homa client 127.0.0.1:4000          load it with 100-byte calls for 10 s
  homa sim --workload w4              the published evaluation, simulated
  srun homa node --json 'node-{rank}.json'  a cluster measures itself
  homa decode capture.pcap --rpcs     what a capture holds, call by call

Addresses: HOST:P stands for UDP port P and Homa port P, HOST:U/H for UDP port U and Homa port H (over raw IP, where there are no UDP ports, write HOST:P); IPv6 addresses are \
in brackets, link-local ones with their interface: [fe80::1%eth0]:P. Homa ports of servers are 1 to 32767.

Exit status: 0 success; 1 the run failed or the peer cannot be reached; 2 wrong usage; 3 a condition of --fail-if \
came true; 130 interrupted by Ctrl-C or SIGTERM (after the summary).";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an echo server
    Server(ServerArgs),
    /// Load a server with calls and measure them
    Client(ClientArgs),
    /// Measure Homa beside other transports on this machine
    Bench(BenchArgs),
    /// Simulate a cluster
    Sim(Box<SimArgs>),
    /// One host of a cluster that measures itself, as Slurm, Kubernetes or 'homa lab' starts it
    Node(Box<NodeArgs>),
    /// Measure a cluster made in this machine, or join what the nodes of any cluster have measured
    Lab(LabArgs),
    /// Print the Homa packets of a capture
    Decode(DecodeArgs),
    /// Print a new random key for --key-file
    #[command(after_long_help = KEY_EXAMPLES)]
    Key,
    /// A server as `bench` starts it
    #[command(hide = true)]
    BenchServer(BenchServerArgs),
}

/// How threads wait.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct RegimeArgs {
    /// How long a waiting thread polls (yielding the processor) before it sleeps; 0 to sleep at
    /// once
    #[arg(long, value_name = "TIME", default_value = "50us", value_parser = parse_duration)]
    pub(crate) poll: Duration,
}

impl From<RegimeArgs> for Regime {
    fn from(args: RegimeArgs) -> Self {
        Self { poll: args.poll }
    }
}

/// Parameters of Homa.
#[derive(Debug, Clone, Args)]
pub(crate) struct HomaArgs {
    /// Homa carries and requires checksums of its own; the other side must do the same
    #[arg(long)]
    pub(crate) checksums: bool,
    /// How long a peer may be silent, though asked again and again, before its calls fail; where
    /// processes have to wait for processors, longer is better [default: 100ms]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    pub(crate) timeout: Option<Duration>,
    /// Homa over UDP authenticates every packet with the first key of this file, and takes none without
    /// one of its keys; the other side must do the same. 'homa key' makes a key
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// Parameters of raw IP.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct RawArgs {
    /// Over raw IP, share this host with other processes that do so, instead of having all Homa ports
    #[arg(long)]
    pub(crate) share: bool,
}

/// When calls begin.
#[derive(Debug, Clone, Copy, Args)]
#[group(multiple = false)]
pub(crate) struct PaceArgs {
    /// Offer this many gigabits of requests per second (open loop, Poisson arrivals); latency then
    /// counts from the intended time of each call
    #[arg(long, value_name = "GBPS", value_parser = parse_rate)]
    gbps: Option<f64>,
    /// Offer this many calls per second (open loop, Poisson arrivals)
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    rps: Option<f64>,
}

impl PaceArgs {
    /// The pace for messages of this mean length.
    pub(crate) fn pace(&self, mean_bytes: f64) -> Pace {
        match (self.gbps, self.rps) {
            (Some(gbps), _) => Pace::of_gbps(gbps, mean_bytes),
            (None, Some(per_second)) => Pace::Open { per_second },
            (None, None) => Pace::Closed,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_long_help = SERVER_EXAMPLES)]
pub(crate) struct ServerArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4000")]
    pub(crate) listen: ServerAddress,
    /// The protocol to serve
    #[arg(long, value_enum, default_value = "homa")]
    pub(crate) transport: Protocol,
    /// The longest message to accept; up to 64Mi
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = parse_max_message)]
    pub(crate) max_message: Size,
    /// Memory that all messages and tables together may take, whatever clients do: at least 4Mi, and four
    /// times --max-message [default: that of the library's default limits, about 400 MB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<Size>,
    /// Turn new requests away while one has waited for so long to be answered
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) queue_delay: Option<Duration>,
    /// Compute for so long before each answer
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_duration)]
    pub(crate) work: Duration,
    /// Print what is held of everything that grows, at the end and on SIGUSR1
    #[arg(long, value_name = "FORMAT", value_enum, num_args = 0..=1, default_missing_value = "text")]
    pub(crate) accounts: Option<AccountsFormat>,
    #[command(flatten)]
    pub(crate) regime: RegimeArgs,
    #[command(flatten)]
    pub(crate) homa: HomaArgs,
    #[command(flatten)]
    pub(crate) raw: RawArgs,
}

const KEY_EXAMPLES: &str = "\
A key file has a key of 64 hexadecimal digits per line; what follows a '#' means nothing. Packets are sent with the \
first key and accepted with any. To change keys: append the new one on every host, then put it first on every host, then \
take the old one out, with a restart after each step. Everybody who has the key is trusted; packets are authenticated, \
not encrypted.

Examples:
  (umask 077; homa key > homa.key)
  homa server --key-file homa.key
  homa client 127.0.0.1:4000 --key-file homa.key";

const SERVER_EXAMPLES: &str = "\
Echoes messages of the load generator, and prints one line per second while there are any, in cp_node's format.

Examples:
  homa server
  homa server --listen 0.0.0.0:4000
  homa server --listen '[::]:5000/99'      UDP port 5000, Homa port 99
  homa server --memory 128Mi --accounts
  homa server --transport raw --listen 0.0.0.0:4000    beside kernels; as root
  homa server --transport tcp";

#[derive(Debug, Args)]
#[command(after_long_help = client_examples())]
pub(crate) struct ClientArgs {
    /// The server: HOST:P, or HOST:U/H for UDP port U and Homa port H
    #[arg(value_name = "ADDR")]
    pub(crate) server: ServerAddress,
    /// The protocol to use
    #[arg(long, value_enum, default_value = "homa")]
    pub(crate) transport: Protocol,
    /// Over TCP: one connection with pipelined messages instead of one per outstanding call
    #[arg(long)]
    pub(crate) pipelined: bool,
    /// Lengths of requests: w1 to w5, starve, or a number of bytes
    #[arg(long, value_name = "W", default_value = "100")]
    pub(crate) workload: Workload,
    /// Calls under way at once [default: 1; with --gbps or --rps 200]
    #[arg(long, value_name = "N", value_parser = parse_outstanding)]
    pub(crate) outstanding: Option<usize>,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    /// Ask for responses of at most 100 bytes
    #[arg(long)]
    pub(crate) one_way: bool,
    /// How long to run
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_run_time)]
    pub(crate) duration: Duration,
    /// Go on even if no call succeeds
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Determines message lengths and times
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write the summary as JSON (schema homa-client/1); '-': to standard output, and all else to
    /// standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) regime: RegimeArgs,
    #[command(flatten)]
    pub(crate) homa: HomaArgs,
    #[command(flatten)]
    pub(crate) raw: RawArgs,
}

fn client_examples() -> String {
    format!(
        "Every byte of every response is verified. A line per second goes to standard output, in cp_node's format, \
and a summary at the end. If no call succeeds for 1 s (or twice --timeout, if that is longer), the run ends with exit status 1.

Examples:
  homa client 127.0.0.1:4000
  homa client server:4000 --workload w4 --outstanding 64 --duration 30s
  homa client server:5000/99 --workload w3 --gbps 2
  homa client 127.0.0.1:4000 --transport tcp --workload 1M --outstanding 8

{}",
        units::HELP
    )
}

#[derive(Debug, Args)]
#[command(after_long_help = bench_examples())]
pub(crate) struct BenchArgs {
    /// What to measure
    #[arg(value_enum, default_value = "suite")]
    pub(crate) test: TestChoice,
    /// Protocols to compare: homa, raw (needs CAP_NET_RAW), tcp (both variants), tcp-connections, tcp-pipelined, udp
    /// (bare datagrams); and, in builds with the cargo feature 'peers', homa-tokio (one thread awaits all calls), quic, grpc (one
    /// connection), grpc-connections (one per outstanding call), grpc-homa
    #[arg(long, value_name = "LIST", default_value = "homa,tcp")]
    pub(crate) transports: Contenders,
    /// How long to measure each test with each protocol, over all rounds
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_run_time)]
    pub(crate) duration: Duration,
    /// How long to run before measuring, in each round
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    pub(crate) warmup: Duration,
    /// In how many rounds the protocols take turns; the figures are medians over them
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Message length of a single test (not of suite)
    #[arg(long, value_name = "SIZE", conflicts_with = "workload")]
    pub(crate) size: Option<Size>,
    /// Calls under way at once in a single test (not in suite)
    #[arg(long, value_name = "N", value_parser = parse_outstanding)]
    pub(crate) outstanding: Option<usize>,
    /// Message lengths of a single test (not of suite): w1 to w5, starve, or a number of bytes
    #[arg(long, value_name = "W")]
    pub(crate) workload: Option<Workload>,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    /// Use a running server (for other transports at the same port number) instead of starting one
    #[arg(long, value_name = "ADDR")]
    pub(crate) server: Option<ServerAddress>,
    /// Damage Homa's packets on both sides, for instance
    /// drop=0.05,dup=0.01,reorder=0.05,delay=200us,jitter=50us,corrupt=0.001,corrupt-undetected=0.001
    #[arg(long, value_name = "PLAN", conflicts_with = "server")]
    pub(crate) fault: Option<FaultPlan>,
    /// Determines message lengths, times and faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) regime: RegimeArgs,
    #[command(flatten)]
    pub(crate) homa: HomaArgs,
    /// Write the results as JSON (schema homa-bench/1); '-': to standard output, and the table to
    /// standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// End with exit status 3 if this is true of the results: TRANSPORT.TEST.METRIC<VALUE or
    /// >VALUE. May be repeated
    #[arg(long, value_name = "EXPR")]
    pub(crate) fail_if: Vec<Condition>,
}

fn bench_examples() -> String {
    format!(
        "Without --server, a server is started as a second process on the loopback interface. suite runs four tests:
  latency      100 B, 1 outstanding
  rate         100 B, 64 outstanding
  throughput   1 MB (1,000,000 bytes), 8 outstanding
  workload     W4, 64 outstanding
each with each protocol in turn, and ends with one table. TCP is measured in two variants: one connection per \
outstanding call, with which Homa is compared, and one connection with pipelined messages and coalesced writes. \
UDP is a bare datagram each way, without any protocol: the floor. It carries no message above 65,451 bytes. QUIC (which alone \
encrypts) and gRPC are in builds made with 'cargo build --release --features peers'. \
Gbps counts message data in the direction of the requests, CPU is in cores. Every byte of every response is verified.

--fail-if: TRANSPORT is homa, homa-tokio, raw, tcp, tcp-pipelined, quic, grpc, grpc-connections, grpc-homa, udp, or ratio (of homa to tcp; \
ratio-quic: to quic); TEST is latency, rate, throughput or \
workload; METRIC is min, p50, p99, p99_9 or max (with a unit of time, us unless given), kops, gbps, errors, \
cpu_client or cpu_server. Of ratio: p50, p99, p99_9, kops, gbps.

Examples:
  homa bench
  homa bench --transports homa,tcp,quic,grpc,udp --rounds 5 --duration 10s
  homa bench latency --size 1K --duration 10s
  homa bench workload --workload w3 --gbps 2 --transports homa
  homa bench workload --transports homa --fault drop=0.05,dup=0.02,reorder=0.05,corrupt=0.01
  homa bench --json - --fail-if 'ratio.latency.p50>1.5' --fail-if 'homa.rate.kops<100'

{}",
        units::HELP
    )
}

#[derive(Debug, Args)]
pub(crate) struct BenchServerArgs {
    #[arg(long)]
    pub(crate) listen: ServerAddress,
    #[arg(long, value_enum)]
    pub(crate) transport: Protocol,
    #[arg(long, value_parser = parse_max_message)]
    pub(crate) max_message: Size,
    #[arg(long)]
    pub(crate) fault: Option<FaultPlan>,
    #[arg(long)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) regime: RegimeArgs,
    #[command(flatten)]
    pub(crate) homa: HomaArgs,
}

#[derive(Debug, Args)]
#[command(after_long_help = DECODE_EXAMPLES)]
pub(crate) struct DecodeArgs {
    /// The capture, in pcap or pcapng format; '-': standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Also decode UDP packets from or to this port as Homa over UDP. May be repeated
    #[arg(long, value_name = "PORT")]
    pub(crate) udp_port: Vec<u16>,
    /// Print a summary of each RPC instead of the packets
    #[arg(long)]
    pub(crate) rpcs: bool,
    /// Print the messages as CSV, for 'homa sim --replay'
    #[arg(long, conflicts_with_all = ["rpcs", "json"])]
    pub(crate) messages: bool,
    /// One JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

const DECODE_EXAMPLES: &str = "\
Finds Homa in IPv4 and IPv6: protocol 146, packets in the guise of TCP (SYN and RST set, urgent pointer 0xB97D), and, \
with --udp-port, Homa over UDP, authenticated or not; packets that a host sent as one datagram are told apart. Each packet is one line with every field; what is not Homa is counted at the end \
(on standard error).

Examples:
  homa decode capture.pcap
  homa decode --udp-port 4000 lo.pcap
  homa decode --rpcs --json capture.pcap
  homa decode --messages capture.pcap > messages.csv";

pub(crate) fn parse_outstanding(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=MAX_SLOTS).contains(&count) => Ok(count),
        _ => Err(format!("'{text}' is not a number from 1 to {MAX_SLOTS}")),
    }
}

fn parse_max_message(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    Workload::fixed(size.0).map(|_| size)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn cli__is_consistent() {
        Cli::command().debug_assert();
    }

    /// The commands in the examples of a help text: what follows two or more spaces there is said of them.
    fn examples(help: &str) -> impl Iterator<Item = &str> {
        let examples = help.split_once("Examples:\n").map_or("", |(_, examples)| examples);
        let commands = examples.lines().flat_map(|line| line.trim().split("; "));
        let commands = commands.filter_map(|command| command.split(" > ").next());
        let commands = commands.filter_map(|command| command.split("  ").next());
        commands.filter_map(|command| command.find("homa ").map(|begin| &command[begin..]))
    }

    #[test]
    fn cli__understands_the_examples_of_its_help() {
        let root = Cli::command();
        let mut count = 0;
        for command in std::iter::once(&root).chain(root.get_subcommands()) {
            let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            for example in examples(&help) {
                let words = example.split_whitespace().map(|word| word.trim_matches('\''));
                let wrong = Cli::try_parse_from(words).err().map(|error| error.to_string());
                // Builds without the other transports say how to get them.
                let wrong = wrong
                    .filter(|wrong| cfg!(feature = "peers") || !wrong.contains("--features peers"));
                assert_eq!(wrong, None, "{example}");
                count += 1;
            }
        }
        assert!(count >= 20, "only {count} examples were found");
    }

    #[test]
    fn cli__defaults_are_those_of_the_documentation() {
        let cli = Cli::parse_from(["homa", "bench"]);
        let Command::Bench(args) = cli.command else { panic!("not bench") };
        assert_eq!(args.test, TestChoice::Suite);
        assert_eq!(
            (args.duration, args.warmup),
            (Duration::from_secs(3), Duration::from_millis(500))
        );
        assert_eq!(args.regime.poll, Duration::from_micros(50));
        let cli = Cli::parse_from(["homa", "server"]);
        let Command::Server(args) = cli.command else { panic!("not server") };
        assert_eq!(args.listen.to_string(), "127.0.0.1:4000");
        assert_eq!(args.max_message, Size(1_000_000));
    }

    #[test]
    fn pace__gbps_and_rps_exclude_each_other() {
        let parse =
            |args: &[&str]| Cli::try_parse_from([&["homa", "client", "h:1"], args].concat());
        assert!(parse(&["--gbps", "1", "--rps", "1"]).is_err());
        assert!(parse(&["--gbps", "0"]).is_err());
        let cli = parse(&["--rps", "1000"]).unwrap();
        let Command::Client(args) = cli.command else { panic!("not client") };
        assert_eq!(args.pace.pace(100.0), Pace::Open { per_second: 1000.0 });
    }
}
