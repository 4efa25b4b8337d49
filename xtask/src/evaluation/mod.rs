//! The published evaluation beside what `homa sim` shows: docs/evaluation.

mod capacity;
mod command;
mod figures;
mod incast;
pub(crate) mod markdown;
mod page;
mod presets;
mod ramcloud_cutoffs;
mod sensitivity;
mod sird;
mod slowdown;
mod starvation;
mod yardstick;

use std::fs;
use std::io;
use std::path::Path;

use self::command::Command;
use self::figures::Figures;
use crate::Findings;
use crate::choice::Choice;
use crate::measured::build;

/// One or more commands, and what is made of their figures.
struct Experiment {
    /// Name of its files.
    name: &'static str,
    title: &'static str,
    /// What is compared with what, in Markdown.
    about: &'static str,
    commands: fn() -> Vec<Command>,
    render: fn(&Results) -> Rendered,
}

/// The commands of an experiment with what they measured.
struct Results {
    commands: Vec<Command>,
    figures: Figures,
}

/// What is made of figures.
#[derive(Default)]
struct Rendered {
    /// Tables and what is to be said of them.
    text: String,
    /// Plots: what follows the experiment's name in theirs, and the SVG.
    plots: Vec<(String, String)>,
    /// What is not as it should be.
    findings: Findings,
}

/// All of them, the most important first.
const EXPERIMENTS: [&Experiment; 16] = [
    &slowdown::AT_80,
    &slowdown::AT_50,
    &ramcloud_cutoffs::RAMCLOUD_CUTOFFS,
    &yardstick::UNLOADED,
    &yardstick::ORACLE,
    &capacity::WASTE,
    &capacity::MAX_LOAD,
    &incast::INCAST,
    &sird::SIRD,
    &starvation::STARVATION,
    &sensitivity::UNSCHEDULED_PRIORITIES,
    &sensitivity::CUTOFF,
    &sensitivity::SCHEDULED_PRIORITIES,
    &sensitivity::UNSCHEDULED_BYTES,
    &sensitivity::PRIORITY_USE,
    &presets::KERNEL,
];

impl Results {
    /// What the command with this label measured; empty if it was not run.
    fn runs(&self, label: &str) -> &[figures::Run] {
        let command = self.commands.iter().find(|command| command.label == label);
        command.map_or(&[], |command| self.figures.runs(command))
    }
}

/// What is asked for.
#[derive(Debug)]
struct Options<'a> {
    choice: Choice<'a>,
    is_missing_only: bool,
}

impl<'a> Options<'a> {
    fn parse(options: &[&'a str]) -> io::Result<Self> {
        let (missing, others): (Vec<&str>, Vec<&str>) =
            options.iter().partition(|&&option| option == "--missing");
        let is_name = |name: &str| EXPERIMENTS.iter().any(|experiment| experiment.name == name);
        let choice = Choice::parse(&others, "experiment", is_name)?;
        Ok(Self { choice, is_missing_only: !missing.is_empty() })
    }
}

/// Runs experiments and writes what comes of them; a finding is a figure that is out of its limits.
pub(crate) fn run(root: &Path, options: &[&str]) -> io::Result<Findings> {
    let options = Options::parse(options)?;
    let asked = EXPERIMENTS.into_iter().filter(|experiment| options.choice.has(experiment.name));
    if options.choice.is_list {
        asked.for_each(|experiment| println!("{:<24} {}", experiment.name, experiment.title));
        return Ok(Findings::new());
    }
    let folder =
        root.join(if options.choice.is_quick { "target/evaluation" } else { "docs/evaluation" });
    fs::create_dir_all(&folder)?;
    if !options.choice.is_rendered_only {
        build(root, &["-p", "homa-cli"])?;
    }
    let mut findings = Findings::new();
    for experiment in asked {
        findings.extend(carry_out(root, &folder, experiment, &options)?);
    }
    Ok(findings)
}

fn carry_out(
    root: &Path,
    folder: &Path,
    experiment: &Experiment,
    options: &Options<'_>,
) -> io::Result<Findings> {
    let mut commands = (experiment.commands)();
    if options.choice.is_quick {
        commands = commands.into_iter().map(Command::into_quick).collect();
    }
    let raw = folder.join(format!("{}.json", experiment.name));
    let mut figures = Figures::read(&raw)?;
    if !options.choice.is_rendered_only {
        for command in &commands {
            if options.is_missing_only && !figures.runs(command).is_empty() {
                continue;
            }
            figures.put(command, command.run(root)?);
            figures.write(&raw)?;
        }
    }
    figures.keep(&commands);
    figures.write(&raw)?;
    let results = Results { commands, figures };
    let rendered = (experiment.render)(&results);
    page::write(folder, experiment, &results, &rendered, options.choice.is_quick)?;
    println!("{}", folder.join(format!("{}.md", experiment.name)).display());
    // Few messages say little.
    Ok(if options.choice.is_quick { Findings::new() } else { rendered.findings })
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn options__are_names_and_flags() {
        let options = Options::parse(&["slowdown", "--quick"]).unwrap();
        assert!(options.choice.is_quick && options.choice.has(slowdown::AT_80.name));
        assert!(!options.choice.has(incast::INCAST.name));
        assert!(Options::parse(&[]).unwrap().choice.has(incast::INCAST.name));
        assert!(Options::parse(&["slowdwon"]).unwrap_err().to_string().contains("slowdwon"));
    }

    /// Without figures all are "not measured yet", and nothing is invented.
    #[test]
    fn experiments__without_figures() {
        for (index, experiment) in EXPERIMENTS.into_iter().enumerate() {
            let commands = (experiment.commands)();
            let labels: Vec<_> = commands.iter().map(|command| &command.label).collect();
            let is_unique = |label| labels.iter().filter(|other| **other == label).count() == 1;
            assert!(labels.iter().all(|label| is_unique(*label)), "{labels:?}");
            let first = EXPERIMENTS.iter().position(|other| other.name == experiment.name);
            assert_eq!(first, Some(index));
            let results = Results { commands, figures: Figures::default() };
            let rendered = (experiment.render)(&results);
            assert!(rendered.findings.is_empty() && rendered.plots.is_empty());
            let page = page::text(experiment, &results, &rendered, false);
            let commands = results.commands.iter().filter(|c| page.contains(&c.text())).count();
            assert_eq!(commands, results.commands.len(), "{page}");
            assert!(page.contains("not measured yet"));
        }
    }
}
