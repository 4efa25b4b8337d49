//! `homa client`: the load generator against a running server.

mod summary;

use std::io::Write;
use std::time::{Duration, Instant};

use crate::args::ClientArgs;
use crate::exit::Stop;
use crate::interrupt::Interrupt;
use crate::interval::ClientLines;
use crate::keys;
use crate::load::{Ending, Load, OPEN_LOOP_OUTSTANDING, Outcome, Pace, Plan, Progress, Watcher};
use crate::output_file::OutputFile;
use crate::privileges;
use crate::transport::tcp::Variant;
use crate::transport::{Dial, HomaOptions, LoadClient, Protocol};

/// Without any success for this long, the run ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs the load generator and prints its summary.
pub(crate) fn run(args: &ClientArgs, interrupt: &Interrupt) -> Result<(), Stop> {
    let plan = plan(args);
    let json = OutputFile::open(args.json.as_deref())?;
    privileges::keep_for(args.transport)?;
    let mut client = connect(args, &plan)?;
    let name = format!("{}_{}", args.transport.name(), plan.workload);
    let mut watcher = Printer { lines: ClientLines::new(name), to: json.for_people() };
    let outcome = Load::new(plan.clone(), &mut *client, &mut watcher, interrupt).run()?;
    // Like other programs that feed pipes: with nobody reading there is nobody to tell.
    let _ = writeln!(watcher.to, "{}", summary::text(&plan, &outcome));
    json.write(|| summary::json(args.transport, &plan, &outcome))?;
    for (reason, count) in outcome.failures.by_frequency() {
        tell!("homa: {count} calls failed: {reason}");
    }
    if let Some(line) = client.drops().describe() {
        tell!("homa: {line}");
    }
    verdict(args, &outcome)
}

fn plan(args: &ClientArgs) -> Plan {
    let workload = args.workload.clone();
    let pace = args.pace.pace(workload.mean_bytes());
    let default = if pace == Pace::Closed { 1 } else { OPEN_LOOP_OUTSTANDING };
    Plan {
        outstanding: args.outstanding.unwrap_or(default),
        pace,
        one_way: args.one_way,
        seed: args.seed,
        warmup: Duration::ZERO,
        duration: args.duration,
        patience: (!args.keep_going).then(|| patience(args)),
        workload,
    }
}

/// At least as long as a call takes to fail.
fn patience(args: &ClientArgs) -> Duration {
    args.homa.timeout.map_or(PATIENCE, |timeout| PATIENCE.max(timeout * 2))
}

fn connect(args: &ClientArgs, plan: &Plan) -> Result<Box<dyn LoadClient>, Stop> {
    let mut homa = HomaOptions::for_messages_of(u64::from(plan.workload.max_len()))
        .with_checksums(args.homa.checksums)
        .with_timeout(args.homa.timeout)
        .with_auth(keys::read(args.homa.key_file.as_deref())?);
    if args.transport == Protocol::Raw {
        homa = homa.over_raw_ip(args.raw.share, None);
    }
    let dial = Dial {
        protocol: args.transport,
        variant: args.pipelined.then_some(Variant::Pipelined),
        server: &args.server,
        certificate: None,
        slots: plan.outstanding,
        regime: args.regime.into(),
        homa,
    };
    dial.client()
}

/// What the outcome means for whoever called the command.
fn verdict(args: &ClientArgs, outcome: &Outcome) -> Result<(), Stop> {
    let failed = outcome.failures.total();
    let reasons = || match outcome.failures.foremost() {
        Some((reason, count)) => format!("{count} of {failed} failed calls: {reason}"),
        None => "no call has ended".into(),
    };
    match outcome.ending {
        Ending::Interrupted => Err(Stop::Interrupted),
        Ending::NoSuccess { nothing_listens: true, .. } => Err(Stop::Failed(format!(
            "{} does not serve {} ({})",
            args.server,
            args.transport.name(),
            reasons()
        ))),
        Ending::NoSuccess { waited, .. } => Err(Stop::Failed(format!(
            "no call to {} succeeded for {:.1} s ({})",
            args.server,
            waited.as_secs_f64(),
            reasons()
        ))),
        Ending::Complete if failed > 0 => {
            Err(Stop::Failed(format!("{failed} calls to {} failed ({})", args.server, reasons())))
        }
        Ending::Complete if outcome.rpcs == 0 => Err(Stop::Failed("no call has succeeded".into())),
        Ending::Complete => Ok(()),
    }
}

/// Prints a line per second.
struct Printer {
    lines: ClientLines,
    to: Box<dyn Write>,
}

impl Watcher for Printer {
    fn measuring(&mut self, _begins: bool) {}

    fn progress(&mut self, now: Instant, progress: &mut Progress<'_>) {
        if let Some(line) = self.lines.next(now, progress) {
            let _ = writeln!(self.to, "{line}");
        }
    }
}
