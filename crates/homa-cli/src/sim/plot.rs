//! Slowdown by message length as SVG: our P50 and P99, and the published ones beside them.

use std::path::{Path, PathBuf};

use homa_sim::plot::{self, Curve, Line};
use homa_sim::stats::BinReport;
use homa_sim::workload::Bin;

use super::comparison;
use super::report::{Run, SimReport};
use super::table;
use crate::exit::Stop;
use crate::output_file::OutputFile;

/// Colour of published curves; those of runs follow.
const PUBLISHED: usize = 0;

/// The files of `--plot`: one for each workload, as its lengths are on the axis.
#[derive(Debug)]
pub(super) struct Plots {
    files: Vec<(String, OutputFile)>,
}

impl Plots {
    /// Opens the files for plots of these workloads.
    ///
    /// # Errors
    ///
    /// One can't be written.
    pub(super) fn open(path: Option<&Path>, workloads: &[&str]) -> Result<Self, Stop> {
        let mut names: Vec<&str> = Vec::new();
        for name in workloads {
            if !names.contains(name) {
                names.push(name);
            }
        }
        let several = names.len() > 1;
        if several && path == Some(Path::new("-")) {
            return Err(Stop::Usage("--plot -: there is one plot for each workload".into()));
        }
        let open = |path: &Path, name: &str| {
            let path = if several { path_for(path, name) } else { path.into() };
            Ok::<_, Stop>((name.to_owned(), OutputFile::open(Some(&path))?))
        };
        let files = path
            .map(|path| names.into_iter().map(|name| open(path, name)).collect::<Result<_, _>>());
        Ok(Self { files: files.transpose()?.unwrap_or_default() })
    }

    /// Whether one goes to standard output.
    pub(super) fn has_stdout(&self) -> bool {
        self.files.iter().any(|(_, file)| file.is_stdout())
    }

    /// # Errors
    ///
    /// One can't be written.
    pub(super) fn write(self, report: &SimReport) -> Result<(), Stop> {
        for (workload, file) in self.files {
            let runs = report.runs.iter().filter(|run| run.report.workload == workload);
            let runs: Vec<&Run> = runs.collect();
            // After an interrupt there may be none.
            if let Some(first) = runs.first() {
                let lengths = first.config.workload();
                let lengths = lengths.map_err(|error| Stop::Failed(error.to_string()))?;
                file.write(|| svg(lengths.bins(), &runs))?;
            }
        }
        Ok(())
    }
}

/// `out-w4.svg` of `out.svg`.
fn path_for(path: &Path, workload: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension =
        path.extension().map_or_else(String::new, |e| format!(".{}", e.to_string_lossy()));
    path.with_file_name(format!("{stem}-{workload}{extension}"))
}

fn svg(bins: &[Bin], runs: &[&Run]) -> String {
    let mut curves: Vec<Curve> =
        (1..).zip(runs).flat_map(|(color, run)| of_run(color, run)).collect();
    if let Some([p50, p99]) = runs.iter().find_map(|run| comparison::published_curves(run)) {
        let curve = |name: &str, points| Curve {
            name: name.into(),
            points,
            color: PUBLISHED,
            line: Line::Dotted,
        };
        curves.extend([curve("published P99", p99), curve("published P50", p50)]);
    }
    let name = runs.first().map_or("", |run| &run.report.workload).to_uppercase();
    plot::slowdown(&format!("Slowdown of {name}"), bins, &curves)
}

fn of_run(color: usize, run: &Run) -> [Curve; 2] {
    let points = |value: fn(&BinReport) -> Option<f64>| {
        run.report.bins.iter().filter_map(|bin| Some((bin.cum_pct, value(bin)?))).collect()
    };
    let label = table::label(run);
    let curve =
        |name: &str, points, line| Curve { name: format!("{label} {name}"), points, color, line };
    [
        curve("P99", points(|bin| bin.p99), Line::Solid),
        curve("P50", points(|bin| bin.p50), Line::Dashed),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn path_for__puts_the_workload_before_the_extension() {
        assert_eq!(path_for(Path::new("a/out.svg"), "w4"), Path::new("a/out-w4.svg"));
        assert_eq!(path_for(Path::new("out"), "w4"), Path::new("out-w4"));
    }
}
