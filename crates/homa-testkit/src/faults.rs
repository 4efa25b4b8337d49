//! What a link does to packets.

use homa_proto::Duration;

/// Faults of a link, in thousandths of the packets, and its delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// Packets lost.
    pub drop_permille: u32,
    /// Packets delivered twice, the second up to four delays later.
    pub duplicate_permille: u32,
    /// Packets held back by up to four delays, so that later ones overtake them.
    pub reorder_permille: u32,
    /// Propagation delay.
    pub delay: Duration,
    /// Largest random addition to the delay of every packet, which keeps its order.
    pub jitter: Duration,
}

impl FaultPlan {
    /// A link that delivers everything in order after `delay`.
    #[must_use]
    pub const fn perfect(delay: Duration) -> Self {
        Self {
            drop_permille: 0,
            duplicate_permille: 0,
            reorder_permille: 0,
            delay,
            jitter: Duration::ZERO,
        }
    }

    /// A link that loses the given share of packets.
    #[must_use]
    pub const fn lossy(delay: Duration, drop_permille: u32) -> Self {
        Self { drop_permille, ..Self::perfect(delay) }
    }
}
