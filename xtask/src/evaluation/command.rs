//! `homa sim`, run for its figures.

use std::io;
use std::path::Path;

use serde::Deserialize;

use super::figures::Run;
use crate::measured::{Process, binary};

/// A `homa sim` command.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    /// What it is for, within its experiment.
    pub(super) label: String,
    arguments: Vec<String>,
    /// Parameters, `key=value`, that make it rough and short.
    quick: Vec<String>,
}

impl Command {
    /// `arguments` are separated by blanks.
    pub(super) fn new(label: impl Into<String>, arguments: impl AsRef<str>) -> Self {
        let arguments = arguments.as_ref().split_whitespace().map(str::to_owned).collect();
        Self { label: label.into(), arguments, quick: Vec::new() }
    }

    /// Says which parameters make it short: `key=value`, separated by blanks.
    pub(super) fn quick(mut self, settings: &str) -> Self {
        self.quick = settings.split_whitespace().map(str::to_owned).collect();
        self
    }

    /// The short form of it.
    pub(super) fn into_quick(self) -> Self {
        let settings = self.quick.iter().flat_map(|setting| ["--set".to_owned(), setting.clone()]);
        let arguments = self.arguments.iter().cloned().chain(settings).collect();
        Self { arguments, quick: Vec::new(), ..self }
    }

    /// What to type.
    pub(super) fn text(&self) -> String {
        let quoted = |argument: &String| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_=.,:/".contains(&b);
            if argument.bytes().all(is_plain) { argument.clone() } else { format!("'{argument}'") }
        };
        let words: Vec<String> = self.arguments.iter().map(quoted).collect();
        format!("homa sim {}", words.join(" "))
    }

    /// Runs it; its tables and its progress go to standard error. That messages are unfinished, which makes
    /// it fail, is no failure here: the figures tell.
    ///
    /// # Errors
    ///
    /// It gave no figures.
    pub(super) fn run(&self, root: &Path) -> io::Result<Vec<Run>> {
        eprintln!("{}", self.text());
        let mut command = std::process::Command::new(binary(root, "homa"));
        command.arg("sim").args(&self.arguments).args(["--json", "-"]);
        let text = Process::start(&mut command)?.output()?;
        let report: Report = serde_json::from_str(&text)
            .map_err(|error| io::Error::other(format!("{}: no figures: {error}", self.text())))?;
        Ok(report.runs)
    }
}

/// What is used of schema `homa-sim/1`.
#[derive(Deserialize)]
struct Report {
    runs: Vec<Run>,
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn text__is_for_a_shell() {
        let command = Command::new("a", "--load 0.5 --sweep x=[1,2]").quick("messages=5 a.b=1");
        assert_eq!(command.text(), "homa sim --load 0.5 --sweep 'x=[1,2]'");
        let quick = command.into_quick();
        assert!(quick.text().ends_with("'x=[1,2]' --set messages=5 --set a.b=1"));
    }
}
