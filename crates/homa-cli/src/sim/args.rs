//! The arguments of `homa sim`.

use std::path::PathBuf;

use clap::Args;

use super::preset::Preset;
use super::setting::Setting;
use super::shard::ShardChoice;
use super::sweep::Axis;
use crate::units::{Size, parse_count};

/// What makes sense only of a simulation that is run, not of results that are merged.
const OF_A_RUN: [&str; 17] = [
    "preset",
    "config",
    "workload",
    "load",
    "replay",
    "hosts",
    "messages",
    "seed",
    "runs",
    "priorities",
    "overcommit",
    "unsched",
    "rtt_bytes",
    "settings",
    "sweep",
    "shard",
    "trace",
];

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct SimArgs {
    /// The parameters to begin with
    #[arg(long, value_enum, default_value = "sigcomm18")]
    pub(crate) preset: Preset,
    /// Parameters that differ from the preset's, in TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Lengths of messages: w1 to w5, w1-pareto, starve, or a number of bytes [default: w4, or with
    /// --replay those of the file]
    #[arg(long, value_name = "W")]
    pub(crate) workload: Option<String>,
    /// Share of the hosts' links that the traffic needs, headers and grants included [default: 0.8]
    #[arg(long, value_name = "SHARE")]
    pub(crate) load: Option<f64>,
    /// Send the messages of this file at their times: CSV with the columns time_us, from, to and bytes, as
    /// of 'homa decode --messages', or what --trace wrote
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,
    /// Number of hosts, in a network of the same kind [default: the preset's, 144 or 40]
    #[arg(long, value_name = "N")]
    pub(crate) hosts: Option<u32>,
    /// Messages that are measured with each seed [default: such that published figures can be compared]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub(crate) messages: Option<u64>,
    /// Determines all that is random [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Seeds, counted from --seed, with each of which the same is run; the results are merged [default:
    /// 2 for w1 to w5, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: Option<u32>,
    /// Priority levels in use, 1 to 8
    #[arg(long, value_name = "N")]
    pub(crate) priorities: Option<u8>,
    /// Messages to which a receiver grants at the same time
    #[arg(long, value_name = "N")]
    pub(crate) overcommit: Option<usize>,
    /// Bytes of a message that are sent without a grant
    #[arg(long, value_name = "SIZE")]
    pub(crate) unsched: Option<Size>,
    /// Bytes of a message that may be granted and not yet received
    #[arg(long, value_name = "SIZE")]
    pub(crate) rtt_bytes: Option<Size>,
    /// Any parameter by its path in the configuration, such as homa.fifo_permille=50. May be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<Setting>,
    /// Run with each of these values of a parameter; repeated, with each combination
    #[arg(long, value_name = "KEY=A,B,...")]
    pub(crate) sweep: Vec<Axis>,
    /// Run the K-th of N shares of a sweep only; env: as a Slurm array or a Kubernetes indexed Job says
    #[arg(long, value_name = "K/N")]
    pub(crate) shard: Option<ShardChoice>,
    /// Instead of running anything, join what shards wrote with --json
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = OF_A_RUN)]
    pub(crate) merge: Vec<PathBuf>,
    /// Write the results as JSON (schema homa-sim/1); '-': to standard output, and all else to
    /// standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the slowdown in each range of lengths as CSV; '-': to standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Write what became of each message of the run (which has to be one, with one seed) as CSV; '-': to
    /// standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Plot slowdown by message length, as SVG (one file per workload, if there are several)
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Simulates a cluster whose hosts run the protocol core of this command, and prints slowdown (the time that a message took, \
divided by the shortest that one of its length can take) by length, beside what was published where it was.

Presets: sigcomm18 is the published evaluation (144 hosts at 10 Gb/s, one-way messages); kernel has the parameters of the kernel \
implementation (40 hosts at 25 Gb/s, RPCs); nsdi25 is Homa in the evaluation of SIRD (144 hosts at 100 Gb/s), informed the same with \
informed overcommitment. In order, later ones win: preset, --config, options, --set, --sweep. Paths and values \
are those of \"config\" in the JSON output; sizes may have a unit. The division of priorities, --messages and --runs follow the workload.

Replays: the column start_ns may take the place of time_us; other columns are passed over. Times count from the start of the run. Hosts \
are numbers from 0, or, if not all are numbers, names, numbered in order of appearance. All messages are measured, or those from warmup_ms \
on, up to --messages. With --workload, hosts know the cutoffs that suit that workload beforehand, and reports have its ranges of lengths; \
--replay of a --trace with the options of that run repeats it.

Faults (links down, slow hosts, paused hosts) are listed as \"faults\" in the configuration; docs/evaluation.md has examples.

Runs use all cores (RAYON_NUM_THREADS limits them), each run one; results do not depend on that. A sweep's results are in its order, \
the last --sweep varying fastest.

--shard env: SLURM_ARRAY_TASK_ID counts from SLURM_ARRAY_TASK_MIN, whether that is 0 or 1, to SLURM_ARRAY_TASK_COUNT shares; or \
JOB_COMPLETION_INDEX, from 0, and JOB_COMPLETIONS, which the Job's manifest has to set.

Examples:
  homa sim --workload w4 --load 0.8
  homa sim --workload w1 --sweep load=0.5,0.8 --plot w1.svg --json w1.json
  homa sim --preset kernel --workload w3 --hosts 20 --messages 20K --sweep homa.overcommit=1,4,8
  homa sim --sweep workload=w1,w3 --sweep load=0.5,0.8 --shard 1/2 --json 1.json
  homa decode --messages capture.pcap > a.csv; homa sim --replay a.csv --hosts 16
  homa sim --merge 1.json 2.json --json all.json";
