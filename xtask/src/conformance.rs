//! Whether `docs/conformance.md` answers everything it should, and names only tests that exist.

use crate::Findings;
use crate::sources::{Source, rust_sources};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// Rows of the matrix in PROTOCOL section 3: each has a heading and a row per situation.
const PACKET_TYPES: [&str; 8] =
    ["DATA", "GRANT", "RESEND", "RPC_UNKNOWN", "BUSY", "CUTOFFS", "NEED_ACK", "ACK"];
/// Columns of the matrix.
const SITUATIONS: [&str; 6] = [
    "unknown RPC",
    "client OUTGOING",
    "client INCOMING",
    "server INCOMING",
    "server IN_SERVICE",
    "server OUTGOING",
];
/// Defects in KNOWN_ISSUES: section, and how many it lists.
const DEFECTS: [(u32, u32); 3] = [(1, 15), (2, 8), (6, 7)];
/// What a row says whose subject can't be tested here.
const NO_TEST: &str = "No test:";

/// Every cell of the matrix and every defect has a row, every row names a test or says why there
/// is none, and every test named, as `` `package/path.rs::name` ``, exists.
pub(crate) fn check(root: &Path) -> io::Result<Findings> {
    let document = fs::read_to_string(root.join("docs/conformance.md"))?;
    let sources = rust_sources(root)?;
    let named = tests_named(&document);
    println!("conformance: {} tests named", named.len());
    let mut findings = missing_rows(&document);
    let unknown = named.iter().filter(|(path, name)| !exists(&sources, path, name));
    findings.extend(unknown.map(|(path, name)| format!("no such test: {path}::{name}")));
    Ok(findings)
}

/// Tests that a text names: file, below `crates`, and function.
fn tests_named(text: &str) -> BTreeSet<(String, String)> {
    let quoted = text.split('`').skip(1).step_by(2);
    let tests = quoted.filter_map(|code| code.split_once(".rs::"));
    tests.map(|(path, name)| (format!("{path}.rs"), name.to_string())).collect()
}

/// Whether a file has a function of this name right below a test attribute.
fn exists(sources: &[Source], path: &str, name: &str) -> bool {
    let path = format!("crates/{path}");
    let declaration = format!("fn {name}(");
    sources.iter().filter(|source| source.path == path).any(|source| {
        let lines: Vec<&str> = source.test_text().lines().map(str::trim).collect();
        lines.iter().enumerate().any(|(at, line)| {
            let is_it = line.strip_prefix("async ").unwrap_or(line).starts_with(&declaration);
            let above = lines[..at].iter().rev().take_while(|line| !line.ends_with('}'));
            // Properties of proptest are tests as well.
            is_it && above.take(8).any(|line| line.starts_with("#[") && line.contains("test"))
        })
    })
}

fn missing_rows(document: &str) -> Findings {
    let mut findings = Findings::new();
    for packet_type in PACKET_TYPES {
        let section = section(document, packet_type);
        for situation in SITUATIONS {
            findings.extend(missing_row(section, &format!("{packet_type}, "), situation));
        }
    }
    for (section, count) in DEFECTS {
        for number in 1..=count {
            findings.extend(missing_row(document, "defect ", &format!("{section}.{number}")));
        }
    }
    findings
}

/// The text below the heading of a packet type, up to the next heading.
fn section<'a>(document: &'a str, packet_type: &str) -> &'a str {
    let heading = format!("\n### {packet_type}\n");
    let Some(start) = document.find(&heading).map(|at| at + heading.len()) else { return "" };
    let rest = &document[start..];
    &rest[..rest.find("\n#").unwrap_or(rest.len())]
}

/// A finding if no row begins with this cell, or the row names no test.
fn missing_row(text: &str, prefix: &str, cell: &str) -> Option<String> {
    let start = format!("| {cell} |");
    match text.lines().find(|line| line.starts_with(&start)) {
        None => Some(format!("docs/conformance.md has no row for {prefix}{cell}")),
        Some(row) if row.contains(".rs::") || row.contains(NO_TEST) => None,
        Some(_) => Some(format!("docs/conformance.md names no test for {prefix}{cell}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn tests_named__in_backquotes() {
        let text = "see `a/src/b.rs::c__d` and `e.rs`, not f.rs::g";
        let expected = [("a/src/b.rs".to_string(), "c__d".to_string())];
        assert_eq!(tests_named(text), BTreeSet::from(expected));
    }

    #[test]
    fn exists__needs_the_attribute_and_the_whole_name() {
        let text = "#[test]\nfn one() {\n}\n\nfn two() {\n}\n".to_string();
        let sources = [Source { path: "crates/a/tests/b.rs".to_string(), text }];
        assert!(exists(&sources, "a/tests/b.rs", "one"));
        for (path, name) in [("a/tests/b.rs", "two"), ("a/tests/b.rs", "on"), ("a/c.rs", "one")] {
            assert!(!exists(&sources, path, name), "{path} {name}");
        }
    }

    #[test]
    fn missing_rows__a_row_a_test_or_a_reason() {
        let all = missing_rows("");
        assert_eq!(all.len(), 8 * 6 + 15 + 8 + 7);
        let some = missing_rows(
            "\n### BUSY\n| client INCOMING | x | `a.rs::b` |\n\n## x\n| 1.1 | No test: y |\n| 1.2 | |\n",
        );
        assert_eq!(some.len(), all.len() - 2);
        assert!(some.contains(&"docs/conformance.md names no test for defect 1.2".to_string()));
    }
}
