//! The page of an experiment.

use std::fs;
use std::io;
use std::path::Path;

use super::{Experiment, Rendered, Results};

const QUICK: &str = "\
**Quick form: too few messages for figures worth quoting.** They show the shape of curves; percentiles of long messages and \
maxima of queues are too low.

";

/// Writes the page and its plots; its figures are there already.
pub(super) fn write(
    folder: &Path,
    experiment: &Experiment,
    results: &Results,
    rendered: &Rendered,
    is_quick: bool,
) -> io::Result<()> {
    for (suffix, svg) in &rendered.plots {
        fs::write(folder.join(plot_name(experiment, suffix)), svg)?;
    }
    let text = text(experiment, results, rendered, is_quick);
    fs::write(folder.join(format!("{}.md", experiment.name)), text)
}

/// The page's Markdown.
pub(super) fn text(
    experiment: &Experiment,
    results: &Results,
    rendered: &Rendered,
    is_quick: bool,
) -> String {
    let Experiment { name, title, about, .. } = experiment;
    let option = if is_quick { " --quick" } else { "" };
    let quick = if is_quick { QUICK } else { "" };
    let is_empty = results.figures.is_empty();
    let file = format!("{name}.json");
    let file = if is_empty { format!("`{file}`") } else { format!("[{file}]({file})") };
    let mut text = format!(
        "# {title}\n\n{quick}{about}\n\nMade by `cargo xtask evaluation {name}{option}`, which runs these commands \
         and keeps their figures in {file}:\n\n"
    );
    for command in &results.commands {
        let is_missing = results.figures.runs(command).is_empty();
        let note = if is_missing { " (not measured yet)" } else { "" };
        text += &format!("* `{}`{note}\n", command.text());
    }
    text += &format!("\n{}", rendered.text);
    for (suffix, _) in &rendered.plots {
        let file = plot_name(experiment, suffix);
        let what = [title, suffix.as_str()].join(" ");
        text += &format!("\n![{}]({file})\n", what.trim_end());
    }
    text.trim_end().to_owned() + "\n"
}

fn plot_name(experiment: &Experiment, suffix: &str) -> String {
    let separator = if suffix.is_empty() { "" } else { "-" };
    format!("{}{separator}{suffix}.svg", experiment.name)
}
