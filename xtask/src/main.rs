//! Checks and chores of this repository: `cargo xtask TASK`.

mod callgrind;
mod choice;
mod conformance;
mod core_gate;
mod evaluation;
mod flood;
mod fuzz;
mod instructions;
mod measured;
mod model;
mod ns3;
mod overload;
mod processes;
mod requirements;
mod scale;
mod soak;
mod sources;
mod swarm;
mod tidy;
mod verify;
mod veth;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  requirements       lists requirements of the protocol that no test cites
  conformance        checks that docs/conformance.md is complete and its tests exist
  tidy               checks sizes of files and functions, unsafe code, documents
  flood [ROUNDS SECONDS]
                     measures an honest client beside 100,000 hostile packets per second
  evaluation [NAME ...] [--quick] [--missing] [--render] [--list]
                     reproduces published results in docs/evaluation (--quick: roughly, within minutes,
                     in target/evaluation; --missing: runs only what was not run before;
                     --render: from figures that are there)
  overload           measures goodput at three times the load that a server can bear
  ns3                runs the simulator beside ns-3, if that is installed: speed, memory, slowdown
  core-gate          builds the core for a bare machine and looks at what it calls
  instructions [--store]
                     counts what the core costs, and fails if that is more than 5 % above
                     xtask/instructions.json; needs valgrind (--store: that is what it costs now)
  scale [NAME ...] [--quick] [--render] [--list]
                     measures what an RPC costs as load, open RPCs, peers, messages and clients grow, into
                     docs/scale (--quick: roughly, within minutes, in target/scale; --render: plots from
                     tables that are there); counts instructions if valgrind is there
  model [RUNS]       model-checks the handing over between threads
  swarm [OPTIONS]    runs many small worlds full of trouble (--help: its options)
  veth [ROUNDS]      compares throughput with TCP's across a veth pair with an MTU of 1500; needs root, ip and
                     ethtool
  verify [--sample]  runs the long checks, or a sample of them that takes a few minutes
  fuzz [--minutes M] [--target T]
                     runs each fuzz target for a minute unless told; needs a nightly toolchain and
                     cargo-fuzz, says so if there is none
  soak [--minutes M] [--rps N] [--workload W] [--fault PLAN]
                     two processes over a bad network, 60 minutes unless told: no wrong outcome,
                     flat memory";

/// What a task found wrong, one line each.
type Findings = Vec<String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let findings = match arguments[..] {
        ["requirements"] => requirements::check(&root),
        ["conformance"] => conformance::check(&root),
        ["tidy"] => tidy::check(&root),
        ["flood"] => flood::run(&root, 3, 20),
        ["flood", rounds, seconds] => match (rounds.parse(), seconds.parse()) {
            (Ok(rounds), Ok(seconds)) => flood::run(&root, rounds, seconds),
            _ => Err(std::io::ErrorKind::InvalidInput.into()),
        },
        ["evaluation", ref options @ ..] => evaluation::run(&root, options),
        ["overload"] => overload::run(&root, 3, 5),
        ["ns3"] => ns3::run(&root),
        ["core-gate"] => core_gate::check(&root),
        ["instructions"] => instructions::check(&root, false),
        ["instructions", "--store"] => instructions::check(&root, true),
        ["scale", ref options @ ..] => scale::run(&root, options),
        ["model"] => model::check(&root, None),
        ["model", runs] if runs.parse::<u32>().is_ok() => model::check(&root, runs.parse().ok()),
        ["swarm", ref options @ ..] => swarm::check(&root, options),
        ["veth"] => veth::run(&root, 5),
        ["veth", rounds] => match rounds.parse() {
            Ok(rounds @ 1..) => veth::run(&root, rounds),
            _ => Err(std::io::Error::other("veth: the number of rounds is 1 or more")),
        },
        ["verify"] => verify::run(&root, verify::Extent::Full),
        ["verify", "--sample"] => verify::run(&root, verify::Extent::Sample),
        ["fuzz", ref options @ ..] => fuzz::run(&root, options),
        ["soak", ref options @ ..] => soak::run(&root, options),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match findings {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            findings.iter().for_each(|finding| println!("{finding}"));
            println!("{} findings", findings.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root: the folder above this package.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}
