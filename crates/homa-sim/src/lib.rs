//! Simulated clusters: the protocol that runs in production, unchanged, in a network of priority
//! switches.

pub mod random;
pub mod stats;
pub mod workload;

pub use random::Random;
pub use workload::Workload;
