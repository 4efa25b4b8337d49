//! Files into which a command writes its results, and where its text goes then.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::exit::Stop;

/// The file of `--json` and the like: none, standard output ('-'), or a path.
#[derive(Debug)]
pub(crate) enum OutputFile {
    None,
    Stdout,
    File(PathBuf, File),
}

impl OutputFile {
    /// Opens the file: before a measurement, not after it, it is to be found out whether it can be written.
    /// What is in it stays until then.
    ///
    /// # Errors
    ///
    /// It can't, a pipe that nobody reads included.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Stop> {
        let Some(path) = path else { return Ok(Self::None) };
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        match open(path) {
            Ok(file) => Ok(Self::File(path.into(), file)),
            Err(_) if is_pipe(path) => {
                Err(cannot_write(path, &io::Error::other("nobody reads this pipe")))
            }
            Err(error) => Err(cannot_write(path, &error)),
        }
    }

    /// Writes the results, if they are wanted.
    ///
    /// # Errors
    ///
    /// They can't be written.
    pub(crate) fn write(self, text: impl FnOnce() -> String) -> Result<(), Stop> {
        match self {
            Self::None => Ok(()),
            Self::Stdout => Ok(writeln!(io::stdout(), "{}", text())?),
            Self::File(path, mut file) => {
                let written = replace(&mut file, &(text() + "\n"));
                written.map_err(|error| cannot_write(&path, &error))
            }
        }
    }

    /// Whether it is standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    /// Where lines for people go: standard output, unless results go there.
    pub(crate) fn for_people(&self) -> Box<dyn Write> {
        match self {
            Self::Stdout => Box::new(io::stderr()),
            Self::None | Self::File(..) => Box::new(io::stdout()),
        }
    }
}

/// Opens a file without waiting for a reader, if it is a pipe; writing then waits as usual.
fn open(path: &Path) -> io::Result<File> {
    let nonblocking = OFlag::O_NONBLOCK;
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).custom_flags(nonblocking.bits()).open(path)?;
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags.difference(nonblocking)))?;
    Ok(file)
}

fn replace(file: &mut File, text: &str) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(text.as_bytes())
}

fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

fn cannot_write(path: &Path, error: &io::Error) -> Stop {
    Stop::Failed(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn write__replaces_what_was_there() {
        let path = std::env::temp_dir().join(format!("homa-json-{}", std::process::id()));
        fs::write(&path, "something longer than the results").unwrap();
        let file = OutputFile::open(Some(&path)).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("something"), "not before the run");
        file.write(|| "{}".into()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
        fs::remove_file(path).unwrap();
    }

    /// Waiting for a reader would also take the first Ctrl-C, which ends a run in order.
    #[test]
    fn open__does_not_wait_for_who_reads_a_pipe() {
        let path = std::env::temp_dir().join(format!("homa-json-pipe-{}", std::process::id()));
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let why = OutputFile::open(Some(&path)).unwrap_err().to_string();
        assert!(why.ends_with("nobody reads this pipe"), "{why}");
        let reader = path.clone();
        let reader = std::thread::spawn(move || fs::read_to_string(reader).unwrap());
        let file =
            std::iter::repeat_with(|| OutputFile::open(Some(&path))).find_map(Result::ok).unwrap();
        let long = "1".repeat(200_000);
        file.write(|| long.clone()).unwrap();
        assert_eq!(reader.join().unwrap(), long + "\n");
        fs::remove_file(path).unwrap();
    }
}
