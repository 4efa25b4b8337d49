//! `homa lab`: what the nodes of a cluster have measured, as one.

mod joined;
mod table;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use self::joined::LabReport;
use crate::exit::Stop;
use crate::output_file::OutputFile;

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct LabArgs {
    /// Join what nodes wrote with --json: those of all nodes, of one run or of one for each transport
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    merge: Vec<PathBuf>,
    /// What nodes wrote in the same network without load (such as --load 0.01): slowdown is measured against it
    #[arg(long, value_name = "FILE", num_args = 1..)]
    unloaded: Vec<PathBuf>,
    /// Write the results as JSON (schema homa-lab/1); '-': to standard output, and the table to standard
    /// error
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Messages are divided by length into tenths, shortest first, and the latencies of each tenth are given (in us, from the intended begin of \
a call to its response), for each transport.

Slowdown is the latency divided by the best that a call of this length can have: the delay of hosts and network, which is the \
median latency of the shortest calls in --unloaded less their time on the link, and the time that request and response take on a \
link of the nodes' --rate. Without --unloaded there is none.

Examples:
  homa lab --merge homa-*.json tcp-*.json --json lab.json
  homa lab --merge homa-*.json tcp-*.json --unloaded quiet-*.json";

/// Joins the files and prints and writes the results.
pub(crate) fn run(args: &LabArgs) -> Result<(), Stop> {
    let json = OutputFile::open(args.json.as_deref())?;
    let report = LabReport::join(&args.merge, &args.unloaded)?;
    let text = table::render(&report);
    if json.is_stdout() {
        write!(io::stderr(), "{text}")?;
    } else {
        write!(io::stdout(), "{text}")?;
    }
    json.write(|| report.to_json())?;
    match report.incomplete() {
        Some(why) => Err(Stop::Failed(why)),
        None => Ok(()),
    }
}
