//! The shape of the sources: what the compiler and clippy do not check.

use crate::Findings;
use crate::sources::{Source, rust_sources};
use std::fs;
use std::io;
use std::path::Path;

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 80;

/// Checks all sources and documents.
pub(crate) fn check(root: &Path) -> io::Result<Findings> {
    let sources = rust_sources(root)?;
    let mut findings = Findings::new();
    for source in &sources {
        findings.extend(file_length(source));
        findings.extend(function_lengths(source));
        findings.extend(unsafe_code(source));
        findings.extend(machine_paths(&source.path, &source.text));
    }
    findings.extend(decisions(&root.join("docs/adr"))?);
    for name in documents(root)? {
        findings.extend(machine_paths(&name, &fs::read_to_string(root.join(&name))?));
    }
    println!("{} source files", sources.len());
    Ok(findings)
}

/// A file has one subject and reads top-down: tests apart, it is not longer than 800 lines.
fn file_length(source: &Source) -> Option<String> {
    let lines = source.lines_before_tests();
    let is_long = lines > FILE_LINES_MAX && !source.is_test();
    is_long.then(|| format!("{}: {lines} lines without tests", source.path))
}

/// Functions are not longer than 80 lines. Formatted code lets a function end at the first line
/// that closes a brace at the indentation of its `fn`.
fn function_lengths(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut findings = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indentation = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indentation));
        let length = lines[start..].iter().position(|line| *line == closing).unwrap_or(0) + 1;
        if length > FUNCTION_LINES_MAX {
            findings.push(format!("{}:{}: `{name}` has {length} lines", source.path, start + 1));
        }
    }
    findings
}

/// The name of the function with a body that begins on this line.
fn function_name(line: &str) -> Option<&str> {
    let code = line.trim_start();
    let one_line = code.ends_with(';') || code.ends_with('}');
    if code.starts_with("//") || one_line {
        return None;
    }
    let at = if code.starts_with("fn ") { 0 } else { code.find(" fn ")? + 1 };
    let is_qualified = code[..at].split_whitespace().all(|word| {
        word.starts_with("pub")
            || ["const", "async", "unsafe", "extern"].contains(&word)
            || word.starts_with("in")
            || word.starts_with('"')
    });
    let name = code[at + 3..].split(['(', '<']).next()?;
    is_qualified.then_some(name)
}

/// Unsafe code lives in modules named `sys`, so that it can be read in one place.
fn unsafe_code(source: &Source) -> Vec<String> {
    let in_sys = source.path.contains("/sys/") || source.path.ends_with("/sys.rs");
    if in_sys {
        return Vec::new();
    }
    let word = concat!("un", "safe");
    let uses = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        [" {", " fn ", " impl ", " trait ", " extern ", "("]
            .iter()
            .any(|after| code.contains(&format!("{word}{after}")))
    };
    let numbered = source.text.lines().enumerate().filter(|(_, line)| uses(line));
    numbered
        .map(|(at, _)| format!("{}:{}: {word} code outside `sys`", source.path, at + 1))
        .collect()
}

/// Every decision is in the index, and every entry of the index is there.
fn decisions(folder: &Path) -> io::Result<Findings> {
    let index = fs::read_to_string(folder.join("README.md"))?;
    let mut findings = Findings::new();
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            names.push(name);
        }
    }
    names.sort();
    let missing = names.iter().filter(|name| !index.contains(name.as_str()));
    findings.extend(missing.map(|name| format!("docs/adr/README.md does not list {name}")));
    for link in index.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let is_decision = link.starts_with(|c: char| c.is_ascii_digit());
        if is_decision && !names.iter().any(|name| name == link) {
            findings.push(format!("docs/adr/README.md lists {link}, which does not exist"));
        }
    }
    Ok(findings)
}

/// Nothing refers to the machine on which it was written.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let places = [concat!("/wo", "rk/"), concat!("..", "/shared"), concat!("/ro", "ot/")];
    let numbered = text.lines().enumerate();
    let hits = numbered.filter(|(_, line)| places.iter().any(|place| line.contains(place)));
    hits.map(|(at, _)| format!("{path}:{}: a path of one machine", at + 1)).collect()
}

/// Documents and build files in the root, `docs` and `.ci`.
fn documents(root: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in ["", "docs", "docs/adr", ".ci"] {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { continue };
        for entry in entries {
            let entry = entry?;
            let name = Path::new(folder).join(entry.file_name()).to_string_lossy().into_owned();
            let is_text = [".md", ".toml", ".csv", "run"].iter().any(|end| name.ends_with(end));
            if is_text && entry.file_type()?.is_file() {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_string(), text: text.to_string() }
    }

    #[test]
    fn file_length__does_not_count_tests() {
        let code = "x\n".repeat(FILE_LINES_MAX);
        let tests = format!("{code}mod tests {{\n{code}}}\n");
        assert_eq!(file_length(&source("a.rs", &tests)), None);
        assert!(file_length(&source("a.rs", &format!("{code}x\n"))).is_some());
    }

    #[test]
    fn function_lengths__end_at_the_closing_brace() {
        let body = "        x();\n".repeat(FUNCTION_LINES_MAX - 2);
        let function =
            |extra| format!("impl A {{\n    pub(crate) fn f(&self) {{\n{body}{extra}    }}\n}}\n");
        assert!(function_lengths(&source("a.rs", &function(""))).is_empty());
        let findings = function_lengths(&source("a.rs", &function("        y();\n")));
        assert_eq!(findings, ["a.rs:2: `f` has 81 lines"]);
    }

    #[test]
    fn function_name__of_what_begins_a_function() {
        assert_eq!(function_name("    pub async fn go<T>(x: T) -> u8 {"), Some("go"));
        assert_eq!(function_name("fn main() {"), Some("main"));
        assert_eq!(function_name("    fn declared(&self);"), None);
        assert_eq!(function_name("    // the fn main() {"), None);
        assert_eq!(function_name("    let s = \"a fn b\" + {"), None);
    }

    #[test]
    fn unsafe_code__is_allowed_in_sys_only() {
        let text = concat!("let x = un", "safe { y() };\n");
        assert_eq!(unsafe_code(&source("crates/a/src/b.rs", text)).len(), 1);
        assert_eq!(unsafe_code(&source("crates/a/src/sys/b.rs", text)).len(), 0);
        let words = concat!("// no un", "safe { }\n#![forbid(un", "safe_code)]\n");
        assert_eq!(unsafe_code(&source("crates/a/src/b.rs", words)).len(), 0);
    }
}
