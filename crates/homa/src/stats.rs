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
