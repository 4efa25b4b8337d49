//! The arguments of `homa node`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::address::ServerAddress;
use crate::args::{HomaArgs, RegimeArgs, parse_outstanding};
use crate::load::OPEN_LOOP_OUTSTANDING;
use crate::transport::Protocol;
use crate::transport::tcp::Variant;
use crate::units::{Size, parse_bit_rate, parse_duration, parse_run_time};
use crate::workload::Workload;

/// Which node this is, and where all are.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlaceArgs {
    /// The number of this node, from 0 [default: as Slurm or Kubernetes says]
    #[arg(long, value_name = "R")]
    pub(super) rank: Option<usize>,
    /// All nodes by rank, this one included: HOST:P or HOST:U/H each [default: as Slurm or Kubernetes says]
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(super) peers: Vec<ServerAddress>,
    /// How many nodes there are, where neither --peers nor the environment says so
    #[arg(long, value_name = "N", env = "HOMA_NODE_SIZE")]
    pub(super) size: Option<usize>,
    /// On Kubernetes: the headless service by which pods find each other
    #[arg(long, value_name = "NAME", env = "HOMA_NODE_SERVICE")]
    pub(super) service: Option<String>,
    /// The port of all nodes, UDP's (or TCP's) and Homa's, unless --peers gives them
    #[arg(long, value_name = "PORT", env = "HOMA_NODE_PORT", default_value_t = 4000)]
    pub(super) port: u16,
}

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct NodeArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// Where to listen, if other than at this node's own address in --peers; a host given by name listens at all of
    /// its addresses
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<ServerAddress>,
    /// The TCP port of rank 0 at which nodes meet [default: the next after its own that no peer has]
    #[arg(long, value_name = "PORT")]
    pub(super) control_port: Option<u16>,
    /// How long to wait for the others
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_run_time)]
    pub(super) meet: Duration,
    /// homa or tcp
    #[arg(long, value_enum, default_value = "homa")]
    pub(crate) transport: Protocol,
    /// Over TCP: one connection to each peer with pipelined messages, instead of one per outstanding call
    #[arg(long)]
    pub(crate) pipelined: bool,
    /// Lengths of requests, and of their responses: w1 to w5, starve, or a number of bytes
    #[arg(long, value_name = "W", default_value = "w4")]
    pub(crate) workload: Workload,
    /// Share of each link, in either direction, that requests and responses take with their headers
    #[arg(long, value_name = "SHARE", default_value_t = 0.8, value_parser = parse_load)]
    pub(super) load: f64,
    /// Of the link of each node, as tc writes it: 200mbit, 25gbit
    #[arg(long, value_name = "RATE", default_value = "10gbit", value_parser = parse_bit_rate)]
    pub(super) rate: f64,
    /// Over Homa: how much of a message is sent unasked, and a tenth of what may be on its way to this node; best
    /// what its link carries in a round trip
    #[arg(long, value_name = "SIZE", default_value = "40K", value_parser = parse_rtt_bytes)]
    pub(super) rtt_bytes: u32,
    /// Over Homa: priority levels of the network, 1 to 8
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(super) priorities: u8,
    /// The nodes 1 to N call node 0 alone, at such a rate that its link has the load, and there are no other calls
    #[arg(long, value_name = "N")]
    pub(super) incast: Option<usize>,
    /// Calls of this node under way at once; others that are due wait, and the wait counts
    #[arg(long, value_name = "N", default_value_t = OPEN_LOOP_OUTSTANDING, value_parser = parse_outstanding)]
    pub(super) outstanding: usize,
    /// How long to measure: calls that were to begin in this time
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = parse_run_time)]
    pub(super) duration: Duration,
    /// How long to run before measuring
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub(super) warmup: Duration,
    /// Determines lengths, times and servers of the calls of all nodes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Write what was measured as JSON (schema homa-node/1), for 'homa lab --merge'; {rank} stands for this node's
    /// number; '-': to standard output
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) regime: RegimeArgs,
    #[command(flatten)]
    pub(crate) homa: HomaArgs,
}

impl NodeArgs {
    /// How calls are spread over TCP connections.
    pub(super) fn variant(&self) -> Variant {
        if self.pipelined { Variant::Pipelined } else { Variant::Connections }
    }
}

const EXAMPLES: &str = "\
All nodes are started with the same options. They meet, each calls all others, and they begin at the same time; then each makes calls \
to all others at the times of a Poisson process, with requests of the workload's lengths and responses of the same lengths, as cp_node \
does. Latency counts from the intended begin of a call. The same options give the same calls. Rank 0 leads, over TCP, at --control-port: \
it tells each node in how long to begin, by a round trip that it has measured, so that clocks need not agree.

A node that dies ends the run of all: the others say which, write what they have measured, marked incomplete, and end with exit status 1.

Which node this is: --rank and --peers; or what srun sets (SLURM_PROCID, SLURM_NTASKS, SLURM_STEP_NODELIST or SLURM_JOB_NODELIST, one node on \
each host); or an indexed Job (JOB_COMPLETION_INDEX, JOB_COMPLETIONS in the manifest) or a StatefulSet (the number at the end of the \
pod's name, HOMA_NODE_SIZE), with a headless service (HOMA_NODE_SERVICE). With --peers, the environment gives the rank alone.

Examples:
  homa node --rank 0 --peers a:4000,b:4000,c:4000 --rate 25gbit --json '0.json'      and so on, on b and c
  srun --ntasks-per-node=1 homa node --rate 25gbit --workload w3 --json 'node-{rank}.json'
  homa lab --merge node-*.json --json lab.json                                       when all have ended";

/// At least a full packet, and at most what the protocol can say.
pub(crate) fn parse_rtt_bytes(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(Size(bytes @ 1_500..=100_000_000)) => Ok(bytes as u32),
        Ok(_) => Err(format!("'{text}' is not from 1500 to 100M")),
        Err(why) => Err(why),
    }
}

/// A share of a link: above 1 it is more than the link has, which may be what is to be seen.
pub(crate) fn parse_load(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(load) if (0.0001..=10.0).contains(&load) => Ok(load),
        _ => Err(format!("'{text}' is not a share of a link such as 0.8")),
    }
}
