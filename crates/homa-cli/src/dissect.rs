//! `homa decode`: reads a capture and prints what it holds.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use homa_cli::decode::{Counts, Options, Problem, Show, decode};

use crate::args::DecodeArgs;
use crate::exit::Stop;

/// Prints the capture.
pub(crate) fn run(args: &DecodeArgs) -> Result<(), Stop> {
    let failed = |why: String| Stop::Failed(format!("{}: {why}", args.file.display()));
    let input = open(&args.file).map_err(|error| failed(error.to_string()))?;
    let show = match (args.rpcs, args.messages) {
        (true, _) => Show::Rpcs,
        (_, true) => Show::Messages,
        _ => Show::Packets,
    };
    let options = Options { udp_ports: args.udp_port.clone(), show, json: args.json };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut counts = Counts::default();
    let result = decode(input, &options, &mut out, &mut counts);
    match result.and_then(|()| Ok(out.flush()?)) {
        // Whoever read our output, `head` for instance, has seen enough.
        Err(Problem::Write(error)) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        Err(problem @ Problem::Read(_)) if counts == Counts::default() => {
            return Err(failed(problem.to_string()));
        }
        Err(problem) => {
            tell!("{counts}");
            return Err(failed(problem.to_string()));
        }
        Ok(()) => tell!("{counts}"),
    }
    Ok(())
}

/// Opens a file; `-` is standard input.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(BufReader::new(open_file(path)?)))
}

/// Opens a file that can be read.
fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}
