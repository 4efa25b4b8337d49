//! Fuzz targets: functions that take arbitrary bytes, do what the bytes say, and panic if anything
//! that must hold does not.
//!
//! They run under libFuzzer (`cargo xtask fuzz`) and, with random bytes and the inputs kept in
//! `tests-data/fuzz`, as ordinary tests. Bytes beyond the end of an input count as 0, so that every
//! input means something and its beginning still means the same when it is cut.

mod choices;
mod corpus;
mod decode;
mod packets;
mod pair;
mod soup;

pub use choices::Choices;
pub use corpus::{Input, inputs};
pub use decode::decode;
pub use packets::packet;
pub use pair::pair;
pub use soup::soup;
