//! `homa bench`: Homa beside what others would take, each with a server in a second process.

mod aggregate;
mod child;
mod contender;
mod progress;
mod ratio_table;
mod rounds;
mod table;
mod tests_to_run;

use std::io::Write;

pub(crate) use self::contender::{Contender, Contenders};
pub(crate) use self::tests_to_run::{Test, TestChoice, TestName};

use self::rounds::{Finish, Rounds};
use crate::args::BenchArgs;
use crate::exit::Stop;
use crate::fail_if;
use crate::interrupt::Interrupt;
use crate::output_file::OutputFile;
use crate::privileges;
use crate::report::TestResult;
use crate::transport::Protocol;

/// Runs the benchmark, prints the table, writes the JSON, and judges.
pub(crate) fn run(args: &BenchArgs, interrupt: &Interrupt) -> Result<(), Stop> {
    let tests = tests_to_run::of_args(args).map_err(Stop::Usage)?;
    let contenders = args.transports.list();
    check_conditions(args, &tests, contenders).map_err(Stop::Usage)?;
    let others: Vec<_> = contenders.iter().map(|contender| contender.protocol()).collect();
    if let (true, Some(other)) = (args.fault.is_some(), others.iter().find(|p| !p.is_homa())) {
        tell!("homa: --fault damages Homa's packets only, not those of {}", other.title());
    }
    let json = OutputFile::open(args.json.as_deref())?;
    if contenders.contains(&Contender::Raw) {
        privileges::keep_for(Protocol::Raw)?;
    }
    let (report, finish) = Rounds::new(args, &tests, contenders, interrupt)?.run()?;
    writeln!(json.for_people(), "{}", table::render(&report))?;
    json.write(|| report.to_json())?;
    match finish {
        Finish::Interrupted => return Err(Stop::Interrupted),
        Finish::Failed(why) => return Err(Stop::Failed(why)),
        Finish::Complete => {}
    }
    let missed = fail_if::true_ones(&args.fail_if, &report);
    let errors: u64 = report.results.iter().map(|result| result.errors).sum();
    let idle = report.results.iter().find(|result| result.rpcs == 0);
    match (errors, idle) {
        _ if !missed.is_empty() => Err(Stop::Missed(missed)),
        (0, None) => Ok(()),
        (0, Some(idle)) => {
            let TestResult { test, transport, .. } = idle;
            Err(Stop::Failed(format!("{test} over {transport}: no call ended in the time given")))
        }
        (count, _) => Err(Stop::Failed(format!("{count} calls failed; the reasons are above"))),
    }
}

/// Whether each condition is about something that will be measured.
fn check_conditions(
    args: &BenchArgs,
    tests: &[Test],
    contenders: &[Contender],
) -> Result<(), String> {
    for condition in &args.fail_if {
        if !tests.iter().any(|test| test.name == condition.test) {
            return Err(format!("--fail-if '{condition}': that test is not run"));
        }
        let needed = condition.contenders();
        if !needed.iter().all(|contender| contenders.contains(contender)) {
            return Err(format!("--fail-if '{condition}': that transport is not measured"));
        }
        if condition.needs_server_cpu() && args.server.is_some() {
            return Err(format!("--fail-if '{condition}': unknown of a server given by --server"));
        }
    }
    Ok(())
}
