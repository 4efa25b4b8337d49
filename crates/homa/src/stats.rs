//! Counters of an endpoint.

use homa_io::{AuthStats, DriveStats};

/// A snapshot of an endpoint's counters since it was bound. They only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What the protocol counts.
    pub protocol: homa_proto::Stats,
    /// What the drive loop counts.
    pub drive: DriveStats,
    /// What became of packets for which `Config::auth` asks; all 0 without.
    pub auth: AuthStats,
}

/// What an endpoint holds of everything that grows, in all and per Homa port, with limits,
/// high-water marks, and how often each limit turned somebody away. See `docs/memory.md`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accounts {
    /// The whole endpoint.
    pub endpoint: homa_proto::Accounts,
    /// What calls hold.
    pub client: homa_proto::Accounts,
    /// What requests to each server port hold.
    pub servers: Vec<(u16, homa_proto::Accounts)>,
}
