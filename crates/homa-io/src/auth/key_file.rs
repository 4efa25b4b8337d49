//! Files with keys.

use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::{fs, io};

use zeroize::Zeroizing;

use super::{AuthKey, ParseKeyError};

/// Longest file that is read, in bytes: anything longer is not a key file.
const FILE_LEN_MAX: u64 = 64 << 10;

/// The keys of a file: one per line, as 64 hexadecimal digits. Empty lines, and what follows a `#`,
/// mean nothing.
///
/// The first key is the one to send with; packets with any of them are accepted. So a key is
/// changed without interruption: the new one is appended on every host, then it is put first on
/// every host, then the old one is taken out, with a restart after each step.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyFile {
    /// The keys, at least one.
    pub keys: Vec<AuthKey>,
    /// Whether others than the file's owner may read it, which should not be.
    pub readable_by_others: bool,
}

/// Why a file can't be used as a key file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file can't be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A line is no key.
    #[error("line {line}: {error}")]
    Line {
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        error: ParseKeyError,
    },
    /// A key is in it twice.
    #[error("line {line}: the key of line {first} again")]
    Repeated {
        /// The line's number, from 1.
        line: usize,
        /// That of the line which had the key first.
        first: usize,
    },
    /// It is a directory, a pipe or a device: it may never end, or be read once only.
    #[error("it is not a regular file")]
    NotRegular,
    /// There is no key in it.
    #[error("there is no key in it: a key is a line of 64 hexadecimal digits")]
    NoKey,
    /// It is too long for a key file, or no text.
    #[error("it is not a key file: that is short, and text")]
    NotText,
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    ///
    /// See [`KeyFileError`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        // Else a pipe that nobody writes to would be waited for.
        let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(KeyFileError::NotRegular);
        }
        let mode = metadata.permissions().mode();
        let mut bytes = Zeroizing::new(Vec::new());
        io::Read::read_to_end(&mut io::Read::take(file, FILE_LEN_MAX + 1), &mut bytes)?;
        if bytes.len() as u64 > FILE_LEN_MAX {
            return Err(KeyFileError::NotText);
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| KeyFileError::NotText)?;
        Ok(Self { keys: parse(text)?, readable_by_others: mode & 0o044 != 0 })
    }
}

fn parse(text: &str) -> Result<Vec<AuthKey>, KeyFileError> {
    let mut keys: Vec<AuthKey> = Vec::new();
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let number = index + 1;
        let key = line.parse().map_err(|error| KeyFileError::Line { line: number, error })?;
        if let Some(at) = keys.iter().position(|other| *other == key) {
            return Err(KeyFileError::Repeated { line: number, first: lines[at] });
        }
        keys.push(key);
        lines.push(number);
    }
    if keys.is_empty() { Err(KeyFileError::NoKey) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use std::path::PathBuf;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn write(name: &str, contents: &[u8], mode: u32) -> PathBuf {
        let path = std::env::temp_dir().join(format!("homa-{name}-{}", std::process::id()));
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn parse__keys_in_order_without_comments() {
        let keys = parse(&format!("# the cluster's\n\n  {A}\r\n{B} # since May\n")).unwrap();
        assert_eq!(keys, [AuthKey::new(&[0xAA; 32]), AuthKey::new(&[0xBB; 32])]);
    }

    #[test]
    fn parse__names_the_line_but_not_its_contents() {
        let text = parse(&format!("{A}\n{}\n", &B[1..])).unwrap_err().to_string();
        assert_eq!(text, "line 2: a key is 64 hexadecimal digits, not 63 characters");
        assert!(matches!(parse("# nothing\n"), Err(KeyFileError::NoKey)));
    }

    #[test]
    fn parse__a_key_given_twice() {
        let text = parse(&format!("# ours\n{A}\n{B}\n\n{A} # again\n")).unwrap_err().to_string();
        assert_eq!(text, "line 5: the key of line 2 again");
    }

    #[test]
    fn read__notices_who_may_read_it() {
        for (mode, readable_by_others) in [(0o600, false), (0o644, true), (0o640, true)] {
            let path = write("mode", A.as_bytes(), mode);
            let file = KeyFile::read(&path).unwrap();
            assert_eq!((file.keys.len(), file.readable_by_others), (1, readable_by_others));
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn read__does_not_wait_for_a_pipe() {
        let path = std::env::temp_dir().join(format!("homa-pipe-{}", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        for path in [&path, &PathBuf::from("/dev/zero"), &std::env::temp_dir()] {
            assert!(matches!(KeyFile::read(path), Err(KeyFileError::NotRegular)), "{path:?}");
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn read__refuses_what_is_no_key_file() {
        assert!(matches!(KeyFile::read("/nonexistent/key"), Err(KeyFileError::Io(_))));
        for contents in [&[0xFF; 32][..], &[b'\n'; 70_000]] {
            let path = write("contents", contents, 0o600);
            assert!(matches!(KeyFile::read(&path), Err(KeyFileError::NotText)));
            fs::remove_file(path).unwrap();
        }
    }
}
