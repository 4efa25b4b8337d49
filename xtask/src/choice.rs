//! What a command is asked to measure: some of the names that it knows, or all, and how.

use std::io;

/// What is asked for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Choice<'a> {
    /// All, if there is none.
    names: Vec<&'a str>,
    pub(crate) is_quick: bool,
    pub(crate) is_rendered_only: bool,
    pub(crate) is_list: bool,
}

impl<'a> Choice<'a> {
    /// # Errors
    ///
    /// A word is neither an option nor the name of a `kind`, of which there are those that `is_name` knows.
    pub(crate) fn parse(
        words: &[&'a str],
        kind: &str,
        is_name: impl Fn(&str) -> bool,
    ) -> io::Result<Self> {
        let mut this = Self::default();
        for &word in words {
            match word {
                "--quick" => this.is_quick = true,
                "--render" => this.is_rendered_only = true,
                "--list" => this.is_list = true,
                name if is_name(name) => this.names.push(name),
                other => {
                    let why = format!("there is no {kind} `{other}`: see --list");
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
                }
            }
        }
        Ok(this)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.contains(&name)
    }
}
