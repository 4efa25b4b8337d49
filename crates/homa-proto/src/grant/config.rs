//! Parameters of the receiver's scheduling.

use crate::time::Duration;

/// Parameters of granting (PROTOCOL section 8, PARAMETERS section 1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GrantConfig {
    /// Bytes that may be on their way to this host, counted over all messages, unscheduled bytes
    /// included (HOMA-BUFFER-4); above it nothing is granted (HOMA-BUFFER-5). At least 1, default
    /// 400,000 (`max_incoming`, which counts only messages that need grants).
    pub incoming_bytes_max: u64,
    /// Bytes of one message that may be on their way, or 0 for `incoming_bytes_max` divided by
    /// one more than the number of active messages, so that a newcomer finds as much room as
    /// each of those has. Raised to two segments of the peer where it is less. Default 0
    /// (`window`).
    pub window_bytes: u32,
    /// Messages that may receive grants at the same time, 1 to 64 (values outside are moved to
    /// the nearest; each grant looks at all of them). Default 8 (`max_overcommit`).
    pub overcommit_max: usize,
    /// Whether a message makes place for another as soon as all of it is granted, as published, rather
    /// than when all of it has arrived, as in the kernel implementation. With few places the link would
    /// otherwise idle between messages: what is granted last is on its way for a round trip. Default
    /// off.
    pub places_end_when_granted: bool,
    /// Messages of one peer that may receive grants at the same time while no other peer waits
    /// (HOMA-GRANT-11, HOMA-GRANT-12). At least 1, default 8.
    pub messages_per_peer_max: usize,
    /// A grant raises a message by at least so many bytes, if it does not complete the message:
    /// the price of a GRANT packet is shared by several segments. Raised to `grant_segments_min`
    /// segments of the peer and lowered to half the window. Default 10,000.
    pub grant_increment_bytes: u32,
    /// The same in segments of the peer, 1 to 16. With 1, and `grant_increment_bytes` 0, each segment
    /// that arrives lets another one leave, so that always a whole window is granted and not received,
    /// as published (SIGCOMM 2018, section 3.3). Default 2.
    pub grant_segments_min: u32,
    /// A grant to a message of which fewer bytes than this are left to be granted asks for the level
    /// that this host's cutoffs give to an unscheduled message of so many bytes, if that is above its
    /// place's: the end of a long message is as urgent as a short one. The published simulation has a
    /// round trip's bytes here. Default 0, off.
    pub tail_bytes: u32,
    /// Bytes of a message that may be on their way if a shorter one is granted to as well; more than
    /// the window changes nothing. What a sender holds because it serves somebody else is no more than this, so
    /// that less arrives at once when several senders come back. Raised to two segments of the peer.
    /// Default 4,294,967,295, no limit.
    pub later_window_bytes: u32,
    /// The link to this host counts as idle when nothing has arrived for so long. Grants that are unanswered
    /// then, a round trip (the time of `window_bytes` at the link's speed) after they were sent, are
    /// held by their senders, and do not count towards `incoming_bytes_max` until they are
    /// answered: so that limit can be low, and switches need less memory (ADR 0013). Longer than what
    /// the driver adds between packets that come in a row; needs `window_bytes`. Default 0, off.
    pub idle_after: Duration,
    /// Share of the link, in thousandths, granted to the oldest message regardless of its length
    /// (HOMA-GRANT-13); 0 = off. Default 50 (`grant_fifo_fraction`).
    pub fifo_share_permille: u32,
    /// Bytes of one such grant; 0 = off. What its sender, busy with others, keeps of them does not reach
    /// those who wait (ADR 0014). Default 12,500 (`fifo_grant_increment`, there 50,000).
    pub fifo_increment_bytes: u32,
    /// Speed of the link in Mb/s, from which the interval between grants to the oldest message
    /// follows; 0 = no such grants. Taken from `Config::link_mbps`.
    pub(crate) link_mbps: u32,
    /// Priority levels in use, 1 to 8. Taken from `Config::priority_levels`.
    pub(crate) priority_levels: u8,
}

impl Default for GrantConfig {
    fn default() -> Self {
        Self {
            incoming_bytes_max: 400_000,
            window_bytes: 0,
            overcommit_max: 8,
            places_end_when_granted: false,
            messages_per_peer_max: 8,
            grant_increment_bytes: 10_000,
            grant_segments_min: 2,
            tail_bytes: 0,
            later_window_bytes: u32::MAX,
            idle_after: Duration::ZERO,
            fifo_share_permille: 50,
            fifo_increment_bytes: 12_500,
            link_mbps: 25_000,
            priority_levels: 8,
        }
    }
}
