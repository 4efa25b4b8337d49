//! The inputs that are kept in the repository.

use std::fs;
use std::path::Path;

/// An input that a fuzzer found worth keeping.
#[derive(Clone, Debug)]
pub struct Input {
    /// The name of its file.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// The inputs kept for a target, in `tests-data/fuzz/TARGET`, by name.
///
/// # Panics
///
/// If they can't be read.
#[must_use]
pub fn inputs(target: &str) -> Vec<Input> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests-data/fuzz").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("a folder that can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            Input { name, bytes: fs::read(entry.path()).expect("a file that can be read") }
        })
        .collect();
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    inputs
}
