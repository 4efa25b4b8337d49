//! `homa key`, and key files.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use ::homa::{AuthConfig, KeyFile};

use crate::exit::Stop;

/// `homa key`: prints a new key.
pub(crate) fn run() -> Result<(), Stop> {
    let mut secret = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(writeln!(io::stdout(), "{digits}")?)
}

/// The keys of the file, if one is given. Warns if others may read it.
pub(crate) fn read(path: Option<&Path>) -> Result<Option<AuthConfig>, Stop> {
    Ok(read_file(path)?.map(|(file, path)| {
        if file.readable_by_others {
            let path = path.display();
            tell!("homa: others can read the key file {path}: chmod 600 {path}");
        }
        AuthConfig::new(file.keys)
    }))
}

/// The same without a warning: the process that started this one has given it.
pub(crate) fn read_again(path: Option<&Path>) -> Result<Option<AuthConfig>, Stop> {
    Ok(read_file(path)?.map(|(file, _)| AuthConfig::new(file.keys)))
}

fn read_file(path: Option<&Path>) -> Result<Option<(KeyFile, &Path)>, Stop> {
    let Some(path) = path else { return Ok(None) };
    let cannot =
        |error| Stop::Failed(format!("cannot use the key file {}: {error}", path.display()));
    Ok(Some((KeyFile::read(path).map_err(cannot)?, path)))
}
