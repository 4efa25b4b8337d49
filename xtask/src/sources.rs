//! The Rust sources of the workspace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A source file.
pub(crate) struct Source {
    /// Relative to the repository's root, with `/` between folders.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Whether the whole file is test code: an integration test, or a `tests` module of its own.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The number of lines before the file's test module.
    pub(crate) fn lines_before_tests(&self) -> usize {
        let is_tests = |line: &str| line.trim_start().starts_with("mod tests {");
        self.text.lines().position(is_tests).unwrap_or_else(|| self.text.lines().count())
    }

    /// The test code of the file.
    pub(crate) fn test_text(&self) -> &str {
        if self.is_test() {
            return &self.text;
        }
        self.text.find("mod tests {").map_or("", |at| &self.text[at..])
    }
}

/// All sources under `crates` and `xtask`, in order of their paths.
///
/// # Errors
///
/// If a folder or file can't be read.
pub(crate) fn rust_sources(root: &Path) -> io::Result<Vec<Source>> {
    let mut paths = Vec::new();
    for folder in ["crates", "xtask", "examples", "fuzz"] {
        collect(&root.join(folder), &mut paths)?;
    }
    paths.sort();
    let sources = paths.into_iter().map(|path| {
        let text = fs::read_to_string(&path)?;
        let relative = path.strip_prefix(root).unwrap_or(&path);
        Ok(Source { path: relative.to_string_lossy().replace('\\', "/"), text })
    });
    sources.collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(&path, paths)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}
