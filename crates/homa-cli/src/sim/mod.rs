//! `homa sim`: clusters whose hosts run the protocol core, simulated.

mod args;
mod comparison;
mod csv;
mod execute;
mod plan;
mod plot;
mod preset;
mod progress;
mod report;
mod setting;
mod shard;
mod sweep;
mod swept;
mod table;
mod trace;

use std::io::{self, Write};

use homa_sim::{SimConfig, TracedMessage};

pub(crate) use self::args::SimArgs;

use self::execute::Executed;
use self::plan::Plan;
use self::plot::Plots;
use self::report::SimReport;
use crate::exit::Stop;
use crate::interrupt::Interrupt;
use crate::output_file::OutputFile;

/// Runs what is asked for, or joins what was run elsewhere; prints and writes the results.
pub(crate) fn run(args: &SimArgs, interrupt: &Interrupt) -> Result<(), Stop> {
    if !args.merge.is_empty() {
        let report = SimReport::join(&args.merge)?;
        let outputs = Outputs::open(args, &workloads(report.runs.iter().map(|run| &run.config)))?;
        outputs.write(&report, &[])?;
        return judge(&report);
    }
    let plan = Plan::new(args)?;
    let outputs = Outputs::open(args, &workloads(plan.runs.iter().map(|run| &run.config)))?;
    let Executed { runs, is_all, trace } = execute::execute(&plan, interrupt)?;
    let report = SimReport::new(plan.config, plan.points, plan.shard, runs);
    outputs.write(&report, &trace)?;
    if is_all { judge(&report) } else { Err(Stop::Interrupted) }
}

/// Where results go.
struct Outputs {
    json: OutputFile,
    csv: OutputFile,
    trace: OutputFile,
    plots: Plots,
}

impl Outputs {
    /// Opens them all, before anything takes time.
    fn open(args: &SimArgs, workloads: &[&str]) -> Result<Self, Stop> {
        let this = Self {
            json: OutputFile::open(args.json.as_deref())?,
            csv: OutputFile::open(args.csv.as_deref())?,
            trace: OutputFile::open(args.trace.as_deref())?,
            plots: Plots::open(args.plot.as_deref(), workloads)?,
        };
        if this.on_stdout() > 1 {
            return Err(Stop::Usage("one result alone can go to standard output".into()));
        }
        Ok(this)
    }

    fn write(self, report: &SimReport, messages: &[TracedMessage]) -> Result<(), Stop> {
        let text = table::render(report);
        if self.on_stdout() > 0 {
            write!(io::stderr(), "{text}")?;
        } else {
            write!(io::stdout(), "{text}")?;
        }
        self.json.write(|| report.to_json())?;
        self.csv.write(|| csv::render(report))?;
        self.trace.write(|| trace::render(messages))?;
        self.plots.write(report)
    }

    fn on_stdout(&self) -> usize {
        let files = [&self.json, &self.csv, &self.trace].map(OutputFile::is_stdout);
        files.into_iter().chain([self.plots.has_stdout()]).filter(|&is_stdout| is_stdout).count()
    }
}

fn workloads<'a>(configs: impl Iterator<Item = &'a SimConfig>) -> Vec<&'a str> {
    configs.map(|config| config.workload.as_str()).collect()
}

/// Whether all messages arrived.
fn judge(report: &SimReport) -> Result<(), Stop> {
    match report.unfinished() {
        0 => Ok(()),
        count => Err(Stop::Failed(format!(
            "{count} measured messages had not arrived when the simulated time (seconds_max) was over"
        ))),
    }
}
