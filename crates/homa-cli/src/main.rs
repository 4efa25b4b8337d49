//! The `homa` command: echo server, load generator, benchmarks, simulator and packet decoder
//! for the Homa transport.
//!
//! Arguments are described in [`args`]; each command is a module of its own. Standard output has
//! results only; whatever tells how things go is on standard error.

#[macro_use]
mod tell;

mod accounts;
mod address;
mod args;
mod bench;
mod client;
mod dissect;
mod drops;
mod engine;
mod exit;
mod fail_if;
mod figures_table;
mod interrupt;
mod interval;
mod keys;
mod lab;
mod load;
mod message;
mod misuse;
mod node;
mod output_file;
mod privileges;
mod report;
mod server;
mod sim;
mod stats;
mod transport;
mod units;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Command};
use self::exit::Stop;
use self::interrupt::Interrupt;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            tell!("{stop}");
            stop.code()
        }
    }
}

fn run(command: Command) -> Result<(), Stop> {
    match command {
        Command::Server(args) => {
            misuse::of_server(&args)?;
            server::run(&args, &Interrupt::install()?)
        }
        Command::Client(args) => {
            misuse::of_client(&args)?;
            client::run(&args, &Interrupt::install()?)
        }
        Command::Bench(args) => {
            misuse::of_bench(&args)?;
            bench::run(&args, &Interrupt::install()?)
        }
        Command::Sim(args) => sim::run(&args, &Interrupt::install()?),
        Command::Node(args) => {
            misuse::of_node(&args)?;
            node::run(&args, &Interrupt::install()?)
        }
        Command::Lab(args) => lab::run(&args, &Interrupt::install()?),
        Command::Decode(args) => {
            misuse::of_decode(&args)?;
            dissect::run(&args)
        }
        Command::Key => keys::run(),
        Command::BenchServer(args) => server::run_for_bench(&args),
    }
}
