//! `homa server`, and the servers that `homa bench` starts for itself.

mod ready;

use std::fmt;
use std::io::{self, BufRead, Write};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use self::ready::Ready;

use crate::accounts::AccountsFormat;
use crate::address::ServerAddress;
use crate::args::{BenchServerArgs, ServerArgs};
use crate::drops::DropLines;
use crate::exit::Stop;
use crate::interrupt::{Interrupt, ReportWish};
use crate::interval::ServerLines;
use crate::keys;
use crate::privileges;
use crate::stats::CpuTime;
use crate::transport::{HomaOptions, Listen, LoadServer, Protocol, Regime, Served, TurnedAway};

/// The longest wait, so that Ctrl-C is noticed and lines come in time.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// Asks a server of the benchmark for the CPU time it has used, in nanoseconds.
pub(crate) const ASK_CPU: &str = "cpu";

/// `homa server`: answers requests until interrupted.
pub(crate) fn run(args: &ServerArgs, interrupt: &Interrupt) -> Result<(), Stop> {
    let options = HomaOptions::for_messages_of(args.max_message.0)
        .with_checksums(args.homa.checksums)
        .with_timeout(args.homa.timeout)
        .with_auth(keys::read(args.homa.key_file.as_deref())?)
        .within(args.memory.map(|size| size.0))
        .working(args.work, args.queue_delay);
    let report_wish = ReportWish::install()?;
    privileges::keep_for(args.transport)?;
    let mut server =
        listen(args.transport, &args.listen, args.regime.into(), options, args.raw.share)?;
    tell!("homa: {} server listening on {}", args.transport.name(), server.address());
    let mut lines = ServerLines::new(args.transport.name());
    let mut drop_lines = DropLines::new();
    let mut served = Served::default();
    let begin = Instant::now();
    announce_end(interrupt, server.open_requests());
    while !interrupt.is_set() {
        server.serve(LONGEST_WAIT, &mut served)?;
        if let Some(line) = lines.next(Instant::now(), &served, || server.turned_away().requests) {
            say(&line)?;
        }
        if report_wish.take() {
            report(&*server, args.accounts)?;
        }
        if let Some(line) = drop_lines.next(Instant::now(), &server.drops()) {
            tell!("homa: {line}");
        }
    }
    report(&*server, args.accounts)?;
    server.shut_down(&mut served);
    if let Some(line) = server.drops().describe() {
        tell!("homa: {line}");
    }
    let turned_away = server.turned_away();
    if turned_away != TurnedAway::default() {
        say(&turned_away)?;
    }
    say(&format!(
        "{} requests ({} bytes in, {} bytes out, {} errors) in {:.1} s",
        served.requests,
        served.bytes_in,
        served.bytes_out,
        served.errors,
        begin.elapsed().as_secs_f64()
    ))?;
    Err(Stop::Interrupted)
}

/// Prints what the server holds, if that is wanted.
fn report(server: &dyn LoadServer, format: Option<AccountsFormat>) -> Result<(), Stop> {
    if let (Some(format), Some(accounts)) = (format, server.accounts()) {
        say(&format.of(&accounts, &server.turned_away()))?;
    }
    Ok(())
}

/// Prints a line of results. A server that can't would go on with nobody to see what it does.
fn say(line: &dyn fmt::Display) -> Result<(), Stop> {
    writeln!(io::stdout(), "{line}").map_err(|error| {
        Stop::Failed(format!(
            "the server ends: cannot write its statistics to standard output: {error}"
        ))
    })
}

/// Says what the end of the run waits for, once it is to end: a server that computes looks at nothing else
/// meanwhile. `open` counts the requests that are open.
fn announce_end(interrupt: &Interrupt, open: impl Fn() -> u64 + Send + 'static) {
    let interrupt = interrupt.clone();
    thread::spawn(move || {
        while !interrupt.is_set() {
            thread::sleep(LONGEST_WAIT);
        }
        let open = open();
        if open > 0 {
            tell!(
                "homa: ending; requests that are still open: {open}; a second signal ends at once"
            );
        }
    });
}

/// The benchmark's own server: tells its address, serves, and ends when its input is closed, which
/// happens in any case when the benchmark's process ends.
pub(crate) fn run_for_bench(args: &BenchServerArgs) -> Result<(), Stop> {
    let options = HomaOptions::for_messages_of(args.max_message.0)
        .with_fault(args.fault, args.seed)
        .with_checksums(args.homa.checksums)
        .with_timeout(args.homa.timeout)
        .with_auth(keys::read_again(args.homa.key_file.as_deref())?);
    privileges::keep_for(args.transport)?;
    let mut server = listen(args.transport, &args.listen, args.regime.into(), options, true)?;
    println!("{}", Ready::of_server(&*server)?);
    thread::spawn(answer_parent);
    let mut served = Served::default();
    loop {
        server.serve(LONGEST_WAIT, &mut served)?;
    }
}

/// Answers questions on standard input; ends the process when there will be no more.
fn answer_parent() {
    for line in io::stdin().lock().lines() {
        match line.as_deref() {
            Ok(ASK_CPU) => println!("{}", CpuTime::of_this_process().0.as_nanos()),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    process::exit(0);
}

/// `share`: over raw IP, with other processes.
fn listen(
    protocol: Protocol,
    address: &ServerAddress,
    regime: Regime,
    mut homa: HomaOptions,
    share: bool,
) -> Result<Box<dyn LoadServer>, Stop> {
    if protocol == Protocol::Raw {
        homa = homa.over_raw_ip(share, Some(address.homa_port().map_err(Stop::Usage)?));
    }
    Listen { protocol, address, regime, homa }.server()
}
