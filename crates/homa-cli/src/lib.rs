//! The part of the `homa` command that stands alone, so that it can be tested and fuzzed by itself:
//! what a capture of packets holds.

pub mod decode;
