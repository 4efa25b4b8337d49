//! Which requirements of the protocol the tests cite.

use crate::Findings;
use crate::sources::{Source, rust_sources};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

/// Every requirement of `docs/requirements.csv` is cited by a test or excepted, with a reason, in
/// `docs/requirements-exceptions.csv`; not both, and neither names one that does not exist.
pub(crate) fn check(root: &Path) -> io::Result<Findings> {
    let statements = first_column(&fs::read_to_string(root.join("docs/requirements.csv"))?);
    let exceptions =
        first_column(&fs::read_to_string(root.join("docs/requirements-exceptions.csv"))?);
    let cited = citations(&rust_sources(root)?);
    println!(
        "{} requirements: {} cited by tests, {} excepted",
        statements.len(),
        statements.keys().filter(|id| cited.contains(*id)).count(),
        exceptions.len(),
    );
    Ok(compare(&statements, &exceptions, &cited))
}

fn compare(
    statements: &BTreeMap<String, String>,
    exceptions: &BTreeMap<String, String>,
    cited: &BTreeSet<String>,
) -> Findings {
    let mut findings = Findings::new();
    for (id, statement) in statements {
        match (cited.contains(id), exceptions.contains_key(id)) {
            (false, false) => findings.push(format!("{id} is cited by no test: {statement}")),
            (true, true) => findings.push(format!("{id} is cited and excepted")),
            _ => {}
        }
    }
    let unknown_exceptions = exceptions.keys().filter(|id| !statements.contains_key(*id));
    findings.extend(unknown_exceptions.map(|id| format!("{id} is excepted but does not exist")));
    let unknown_citations = cited.iter().filter(|id| !statements.contains_key(*id));
    findings.extend(unknown_citations.map(|id| format!("{id} is cited but does not exist")));
    let unreasoned = exceptions.iter().filter(|(_, reason)| reason.trim().is_empty());
    findings.extend(unreasoned.map(|(id, _)| format!("{id} is excepted without a reason")));
    findings
}

/// The ids that test code names.
fn citations(sources: &[Source]) -> BTreeSet<String> {
    sources.iter().flat_map(|source| ids(source.test_text())).collect()
}

/// The requirement ids in a text: `HOMA-`, a word in capitals, a number.
fn ids(text: &str) -> Vec<String> {
    const PREFIX: &str = "HOMA-";
    let mut found = Vec::new();
    for (at, _) in text.match_indices(PREFIX) {
        let rest = &text[at + PREFIX.len()..];
        let area_len = rest.bytes().take_while(u8::is_ascii_uppercase).count();
        let Some(number) = rest[area_len..].strip_prefix('-') else { continue };
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        if area_len > 0 && digits > 0 {
            found.push(format!("{PREFIX}{}-{}", &rest[..area_len], &number[..digits]));
        }
    }
    found
}

/// Rows of a CSV file with a heading: the first column, and all that follows it.
fn first_column(csv: &str) -> BTreeMap<String, String> {
    let rows = csv.lines().skip(1).filter(|line| !line.trim().is_empty());
    rows.map(|line| {
        let (id, rest) = line.split_once(',').unwrap_or((line, ""));
        (id.to_string(), rest.to_string())
    })
    .collect()
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn id(area: &str, number: u32) -> String {
        ["HOMA", area, &number.to_string()].join("-")
    }

    #[test]
    fn ids__are_found_in_running_text() {
        let text = format!("({}, {}.) HOMA-x-1 HOMA-A HOMA-", id("A", 1), id("BC", 23));
        assert_eq!(ids(&text), [id("A", 1), id("BC", 23)]);
    }

    #[test]
    fn compare__finds_what_is_neither_or_both() {
        let statements = first_column("id,text\nR-1,a\nR-2,b\nR-3,c\n");
        let exceptions = first_column("id,reason\nR-2,x\nR-3,y\nR-9,z\n");
        let cited = BTreeSet::from(["R-2".to_string(), "R-8".to_string()]);
        let findings = compare(&statements, &exceptions, &cited);
        assert_eq!(findings.len(), 4, "{findings:?}");
        assert!(findings[0].starts_with("R-1 is cited by no test"));
        assert!(findings[1].starts_with("R-2 is cited and excepted"));
    }

    #[test]
    fn citations__count_in_tests_only() {
        let (inside, outside) = (id("A", 1), id("A", 2));
        let text = format!("// {outside}\n#[cfg(test)]\nmod tests {{\n// {inside}\n}}\n");
        let source = Source { path: "crates/x/src/a.rs".to_string(), text };
        assert_eq!(citations(&[source]), BTreeSet::from([inside]));
    }
}
