//! Runs many worlds of [`homa_testkit::swarm`], or looks at one: see `--help`.

use homa_testkit::swarm::{self, Classes, Failed};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

const USAGE: &str = "\
usage: cargo xtask swarm [--seeds N] [--first S] [--threads T] [--without CLASS,...] [--keep-going]
       cargo xtask swarm --seed S [--without CLASS,...] [--verbose]

  --seeds N      worlds to run; default 300
  --first S      seed of the first; default 0
  --threads T    worlds run at a time; default 1
  --without ...  classes of trouble that are left out
  --keep-going   all failing seeds are reported, not only the first ten
  --seed S       one world, which is shrunk if it fails
  --verbose      with all that happens in it";

/// One seed in so many is run twice, to see that it does the same.
const REPEATED: u64 = 50;

/// Failing seeds after which a run ends.
const FAILURES_MAX: usize = 10;

struct Options {
    seeds: u64,
    first: u64,
    threads: usize,
    seed: Option<u64>,
    without: Classes,
    keep_going: bool,
    verbose: bool,
}

/// What threads add up.
#[derive(Default)]
struct Sums {
    next: AtomicU64,
    packets: AtomicU64,
    calls: AtomicU64,
    responses: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
    failed: Mutex<Vec<u64>>,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if options.verbose {
        return one(options.seed.unwrap_or(options.first), &options);
    }
    // A failing world panics; what it says is printed with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    match options.seed {
        Some(seed) => one(seed, &options),
        None => many(&options),
    }
}

fn options() -> Option<Options> {
    let mut options = Options {
        seeds: 300,
        first: 0,
        threads: 1,
        seed: None,
        without: Classes::NONE,
        keep_going: false,
        verbose: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seeds" => options.seeds = arguments.next()?.parse().ok()?,
            "--first" => options.first = arguments.next()?.parse().ok()?,
            "--threads" => options.threads = arguments.next()?.parse().ok()?,
            "--seed" => options.seed = Some(arguments.next()?.parse().ok()?),
            "--without" => options.without = Classes::parse(&arguments.next()?).ok()?,
            "--keep-going" => options.keep_going = true,
            "--verbose" => options.verbose = true,
            _ => return None,
        }
    }
    Some(options)
}

/// Runs one world, and shrinks it if it fails.
fn one(seed: u64, options: &Options) -> ExitCode {
    match swarm::run(seed, options.without, options.verbose) {
        Ok(passed) => {
            println!("seed {seed} passed: {passed:?}");
            println!("{:#?}", swarm::Mix::draw(seed, options.without));
            ExitCode::SUCCESS
        }
        Err(failed) => {
            report(seed, options.without, failed);
            ExitCode::FAILURE
        }
    }
}

fn report(seed: u64, without: Classes, failed: Failed) {
    println!("seed {seed} failed: {}", failed.reason);
    println!("  its troubles: {}", failed.mix.classes);
    let (without, smallest) = swarm::shrink(seed, without, failed);
    let mut replay = format!("cargo xtask swarm --seed {seed}");
    if without != Classes::NONE {
        println!("  still fails with no more than: {}", smallest.mix.classes);
        println!("  by then: {}", smallest.reason);
        replay.push_str(&format!(" --without {without}"));
    }
    println!("  mix: {:?}", smallest.mix);
    println!("  replay: {replay}");
}

fn many(options: &Options) -> ExitCode {
    let started = Instant::now();
    let sums = Sums::default();
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| work(options, &sums));
        }
    });
    let failed = sums.failed.lock().map_or(0, |failed| failed.len());
    let done = sums.done.load(Ordering::Relaxed);
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{done} worlds from seed {}, {} packets, {} calls, {} responses, {failed} failed; {seconds:.1} s",
        options.first,
        sums.packets.load(Ordering::Relaxed),
        sums.calls.load(Ordering::Relaxed),
        sums.responses.load(Ordering::Relaxed),
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn work(options: &Options, sums: &Sums) {
    loop {
        let number = sums.next.fetch_add(1, Ordering::Relaxed);
        if number >= options.seeds || sums.stop.load(Ordering::Relaxed) {
            return;
        }
        let seed = options.first + number;
        let mut outcome = swarm::run(seed, options.without, false);
        if let Ok(first) = outcome
            && seed.is_multiple_of(REPEATED)
            && swarm::run(seed, options.without, false).ok() != Some(first)
        {
            let mix = Box::new(swarm::Mix::draw(seed, options.without));
            outcome = Err(Failed { mix, reason: "it does not do the same twice".into() });
        }
        sums.done.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Ok(passed) => {
                sums.packets.fetch_add(passed.packets, Ordering::Relaxed);
                sums.calls.fetch_add(passed.calls as u64, Ordering::Relaxed);
                sums.responses.fetch_add(passed.responses as u64, Ordering::Relaxed);
            }
            Err(failed) => fail(options, sums, seed, failed),
        }
    }
}

fn fail(options: &Options, sums: &Sums, seed: u64, failed: Failed) {
    let Ok(mut all) = sums.failed.lock() else { return };
    report(seed, options.without, failed);
    all.push(seed);
    if all.len() >= FAILURES_MAX && !options.keep_going {
        sums.stop.store(true, Ordering::Relaxed);
    }
}
