//! The arguments of `homa lab`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::args::{RegimeArgs, parse_outstanding};
use crate::load::OPEN_LOOP_OUTSTANDING;
use crate::node::{parse_load, parse_rtt_bytes};
use crate::transport::Protocol;
use crate::units::{Size, parse_bit_rate, parse_duration, parse_run_time};
use crate::workload::Workload;

/// What makes sense only of a cluster that is made here.
const OF_A_CLUSTER: [&str; 17] = [
    "hosts",
    "rate",
    "workload",
    "load",
    "transports",
    "mixed",
    "incast",
    "priorities",
    "buffers",
    "rtt_bytes",
    "congestion",
    "duration",
    "warmup",
    "outstanding",
    "seed",
    "no_prediction",
    "poll",
];

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct LabArgs {
    /// Hosts of the cluster, 2 to 64
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=64))]
    pub(super) hosts: u16,
    /// Of each link, as tc writes it
    #[arg(long, value_name = "RATE", default_value = "200mbit", value_parser = parse_bit_rate)]
    pub(super) rate: f64,
    /// Lengths of requests, and of their responses: w1 to w5, starve, or a number of bytes
    #[arg(long, value_name = "W", default_value = "w4")]
    pub(super) workload: Workload,
    /// Share of each link, in either direction, that requests and responses take with their headers
    #[arg(long, value_name = "SHARE", default_value_t = 0.8, value_parser = parse_load)]
    pub(super) load: f64,
    /// What to run, one after the other: homa, tcp
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_enum, default_values = ["homa", "tcp"])]
    pub(super) transports: Vec<Protocol>,
    /// Then all of them at the same time, each with its part of the load
    #[arg(long)]
    pub(super) mixed: bool,
    /// So many hosts call one, and no others, at such a rate that its link has the load
    #[arg(long, value_name = "N", conflicts_with = "mixed")]
    pub(super) incast: Option<u16>,
    /// Priority levels of the switch, 1 to 8
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(super) priorities: u8,
    /// What each level of each port of the switch can hold; all is measured with each of these
    #[arg(long, value_name = "SIZE", value_delimiter = ',', default_values = ["128K", "512K"])]
    pub(super) buffers: Vec<Size>,
    /// Over Homa: how much of a message is sent unasked [default: what a link carries in the round trip that is
    /// measured without load, at least 3K]
    #[arg(long, value_name = "SIZE", value_parser = parse_rtt_bytes)]
    pub(super) rtt_bytes: Option<u32>,
    /// TCP's congestion control, such as cubic or bbr [default: this machine's]
    #[arg(long, value_name = "NAME")]
    pub(super) congestion: Option<String>,
    /// How long to measure: calls that were to begin in this time
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = parse_run_time)]
    pub(super) duration: Duration,
    /// How long to run before measuring
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub(super) warmup: Duration,
    /// Calls of a host under way at once; others that are due wait, and the wait counts
    #[arg(long, value_name = "N", default_value_t = OPEN_LOOP_OUTSTANDING, value_parser = parse_outstanding)]
    pub(super) outstanding: usize,
    /// Determines lengths, times and servers of all calls
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Do not simulate the same setting
    #[arg(long)]
    pub(super) no_prediction: bool,
    #[command(flatten)]
    pub(super) regime: RegimeArgs,
    /// Instead of making a cluster, join what nodes of one wrote with --json: those of all nodes, of one run or of one
    /// for each transport
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = OF_A_CLUSTER)]
    pub(super) merge: Vec<PathBuf>,
    /// With --merge: what nodes wrote in the same network without load (such as --load 0.01): slowdown is measured
    /// against it
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "merge")]
    pub(super) unloaded: Vec<PathBuf>,
    /// Write the results as JSON (schema homa-lab/1); '-': to standard output, and the table to standard
    /// error
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Makes a cluster of network namespaces on this machine, which takes root and the programs ip, tc and ethtool: hosts, each with one link to a \
switch whose ports have a rate, strict priorities by the class selector in the IP header, and buffers that end; segmentation offload is off. \
On each host runs 'homa node', which calls all others at the times of a Poisson process and answers them. All that was made is removed at \
the end, after Ctrl-C too; what is left after kill -9 by the next start.

First the cluster is measured without load; then each transport under load, with each size of buffers; then the simulator runs the same \
cluster, with the delay of hosts that was measured. It has no TCP.

Messages are divided by length into tenths, shortest first, and the latencies of each tenth are given (in us, from the intended begin of \
a call to its response), for each transport.

Slowdown is the latency divided by the best that a call of this length can have: the delay of hosts and network, which is the \
median latency of the shortest calls without load less their time on the link, and the time that request and response take on a \
link. With --merge, without --unloaded, there is none.

Examples:
  homa lab --workload w4 --load 0.8
  homa lab --hosts 8 --rate 100mbit --workload w3 --transports homa,tcp --mixed --json lab.json
  homa lab --incast 7 --workload 100K --load 0.9 --buffers 128K
  homa lab --merge homa-*.json tcp-*.json --json lab.json
  homa lab --merge homa-*.json tcp-*.json --unloaded quiet-*.json";
