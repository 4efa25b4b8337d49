//! Where a command writes its results as JSON, and where its text goes then.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::exit::Stop;

/// The file of `--json`: none, standard output ('-'), or a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonFile<'a>(Option<&'a Path>);

impl<'a> JsonFile<'a> {
    /// Finds out before a measurement, not after it, whether the file can be written.
    ///
    /// # Errors
    ///
    /// It can't.
    pub(crate) fn check(path: Option<&'a Path>) -> Result<Self, Stop> {
        let file = Self(path);
        if let Some(path) = path.filter(|_| !file.is_stdout()) {
            let opened = fs::OpenOptions::new().create(true).append(true).open(path);
            opened.map_err(|error| cannot_write(path, &error))?;
        }
        Ok(file)
    }

    /// Where lines for people go: standard output, unless the JSON goes there.
    pub(crate) fn for_people(self) -> Box<dyn Write> {
        if self.is_stdout() { Box::new(io::stderr()) } else { Box::new(io::stdout()) }
    }

    /// Writes the results, if they are wanted.
    ///
    /// # Errors
    ///
    /// They can't be written.
    pub(crate) fn write(self, json: impl FnOnce() -> String) -> Result<(), Stop> {
        match self.0 {
            None => Ok(()),
            Some(_) if self.is_stdout() => Ok(writeln!(io::stdout(), "{}", json())?),
            Some(path) => {
                fs::write(path, json() + "\n").map_err(|error| cannot_write(path, &error))
            }
        }
    }

    fn is_stdout(self) -> bool {
        self.0 == Some(Path::new("-"))
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Stop {
    Stop::Failed(format!("cannot write {}: {error}", path.display()))
}
