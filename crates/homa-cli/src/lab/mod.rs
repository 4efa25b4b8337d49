//! `homa lab`: a cluster in one machine, and what the nodes of any cluster have measured, joined.

mod args;
mod cluster;
mod experiment;
mod joined;
mod nodes;
mod prediction;
mod table;
mod unloaded;

use std::io::{self, Write};
use std::path::PathBuf;

pub(crate) use self::args::LabArgs;

use self::joined::{LabReport, Run};
use self::unloaded::Unloaded;
use crate::exit::Stop;
use crate::interrupt::Interrupt;
use crate::node::NodeReport;
use crate::output_file::OutputFile;

/// Makes a cluster and measures it, or joins what was measured; prints and writes the results.
pub(crate) fn run(args: &LabArgs, interrupt: &Interrupt) -> Result<(), Stop> {
    let json = OutputFile::open(args.json.as_deref())?;
    let report = match args.merge.is_empty() {
        true => experiment::run(args, interrupt)?,
        false => merge(&args.merge, &args.unloaded)?,
    };
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

/// Joins the files of nodes.
fn merge(paths: &[PathBuf], unloaded: &[PathBuf]) -> Result<LabReport, Stop> {
    let runs = runs_of(paths)?;
    let unloaded = match unloaded {
        [] => None,
        files => Some(Unloaded::of(&runs_of(files)?, runs[0].config().rate_bps)?),
    };
    Ok(LabReport::of(&runs, unloaded, Vec::new()))
}

/// The runs of the files, one for each transport.
fn runs_of(paths: &[PathBuf]) -> Result<Vec<Run>, Stop> {
    let mut runs: Vec<Run> = Vec::new();
    for path in paths {
        let report = NodeReport::read(path)?;
        let wrong = |why: String| Stop::Failed(format!("{}: {why}", path.display()));
        if let Some(first) = runs.first() {
            first.check_comparable(&report).map_err(wrong)?;
        }
        match runs.iter_mut().find(|run| run.is_of(&report)) {
            Some(run) => run.add(report).map_err(wrong)?,
            None => runs.push(Run::of(report)),
        }
    }
    if runs.is_empty() { Err(Stop::Usage("there are no files".into())) } else { Ok(runs) }
}
