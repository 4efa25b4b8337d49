//! What an RPC costs as load, open RPCs, peers, messages and clients grow: docs/scale.

mod clients;
mod core;
mod curve;
mod memory;
mod stack;

use std::fs;
use std::io;
use std::path::Path;

use self::curve::{Curve, Table};
use crate::Findings;
use crate::choice::Choice;
use crate::measured::build;

/// All of them, in the order of docs/scale.md.
const CURVES: [&Curve; 8] = [
    &core::OUTSTANDING,
    &core::PEERS,
    &core::SIZE,
    &memory::MEMORY,
    &stack::OUTSTANDING,
    &stack::SIZE,
    &stack::LOAD,
    &clients::CLIENTS,
];

/// What measuring needs to know.
struct Bench<'a> {
    root: &'a Path,
    is_quick: bool,
}

impl Bench<'_> {
    /// How often the points of a curve are measured in turn, of which the medians are taken.
    fn rounds(&self) -> usize {
        if self.is_quick { 1 } else { 3 }
    }
}

fn parse<'a>(options: &[&'a str]) -> io::Result<Choice<'a>> {
    Choice::parse(options, "curve", |name| CURVES.iter().any(|curve| curve.name == name))
}

/// Measures curves, writes their tables and plots, and prints the tables. Nothing that it measures is a
/// finding: how much a machine does depends on the machine.
///
/// # Errors
///
/// Something can't be built, run, read or written.
pub(crate) fn run(root: &Path, options: &[&str]) -> io::Result<Findings> {
    let options = parse(options)?;
    let asked: Vec<_> = CURVES.into_iter().filter(|curve| options.has(curve.name)).collect();
    if options.is_list {
        asked.iter().for_each(|curve| println!("{:<20} {}", curve.name, curve.title));
        return Ok(Findings::new());
    }
    let folder = root.join(if options.is_quick { "target/scale" } else { "docs/scale" });
    fs::create_dir_all(&folder)?;
    let bench = Bench { root, is_quick: options.is_quick };
    for curve in asked {
        carry_out(&bench, &folder, curve, options.is_rendered_only)?;
    }
    Ok(Findings::new())
}

fn carry_out(
    bench: &Bench<'_>,
    folder: &Path,
    curve: &Curve,
    only_renders: bool,
) -> io::Result<()> {
    let path = folder.join(format!("{}.csv", curve.name));
    let table = if only_renders {
        let text = fs::read_to_string(&path).map_err(|error| named(&path, &error))?;
        Table::parse(curve, &text).map_err(|why| named(&path, &why))?
    } else {
        for what in curve.programs {
            build(bench.root, what)?;
        }
        let table = Table { rows: (curve.measure)(bench)? };
        fs::write(&path, table.csv(curve)).map_err(|error| named(&path, &error))?;
        table
    };
    for plot in curve.plots {
        let path = folder.join(plot.file_name(curve));
        fs::write(&path, table.svg(curve, plot)).map_err(|error| named(&path, &error))?;
    }
    println!("{} ({})\n\n{}", curve.title, path.display(), table.markdown(curve));
    Ok(())
}

/// An error that says which file it is about.
fn named(path: &Path, why: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn options__are_names_and_flags() {
        let options = parse(&["memory", "--quick"]).unwrap();
        assert!(options.is_quick && options.has(memory::MEMORY.name));
        assert!(!options.has(core::PEERS.name));
        assert!(parse(&[]).unwrap().has(core::PEERS.name));
        assert!(parse(&["memroy"]).unwrap_err().to_string().contains("memroy"));
    }

    /// Each has a name of its own, and plots figures that it has.
    #[test]
    fn curves__are_consistent() {
        for (index, curve) in CURVES.into_iter().enumerate() {
            let first = CURVES.iter().position(|other| other.name == curve.name);
            assert_eq!(first, Some(index));
            for plot in curve.plots {
                assert!(plot.metric < curve.metrics.len(), "{}{}", curve.name, plot.suffix);
                let named = |other: &&curve::Plot| other.suffix == plot.suffix;
                assert_eq!(curve.plots.iter().filter(named).count(), 1);
            }
        }
    }
}
