//! What the link of a host means for Homa's parameters.

use std::time::Duration;

use ::homa::proto::{Config, Duration as ProtoDuration};
use homa_sim::HomaConfig;

/// How much may be on its way to a host, in round trips: as the kernel implementation has it.
const COMING_ROUND_TRIPS: u64 = 10;
/// Parts in which a round trip is granted.
const GRANTS_PER_ROUND_TRIP: u32 = 4;
/// Data that the link carries before what is missing counts as lost: packets of low priority may wait so long in a
/// switch, and asking for them again would make all others wait.
const PATIENCE_BITS: f64 = 512_000.0 * 8.0;
/// Packets that may queue at this host's own link, so that it is not idle until a sleeping thread has woken.
const QUEUED_PACKETS: f64 = 4.0;
const PACKET_BITS: f64 = 1514.0 * 8.0;

/// A link between hosts, as opposed to loopback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HomaLink {
    pub(crate) bits_per_second: f64,
    /// What it carries in a round trip.
    pub(crate) rtt_bytes: u32,
    /// Levels that the network tells apart.
    pub(crate) priorities: u8,
}

impl HomaLink {
    /// Sets the parameters of an endpoint.
    pub(super) fn apply(self, config: &mut Config) {
        config.link_mbps = ((self.bits_per_second / 1e6).round() as u32).max(1);
        config.priority_levels = self.priorities;
        config.unscheduled_bytes = self.rtt_bytes;
        config.grants.window_bytes = self.rtt_bytes;
        config.grants.incoming_bytes_max = self.incoming_bytes();
        config.grants.grant_increment_bytes = self.rtt_bytes / GRANTS_PER_ROUND_TRIP;
        config.grants.fifo_increment_bytes = self.fifo_grant_bytes();
        let timing = &mut config.timing;
        let patience = proto(self.time_of(PATIENCE_BITS));
        timing.gap_patience_min = timing.gap_patience_min.max(patience);
        timing.resend_interval = timing.resend_interval.max(patience);
        timing.resend_interval_max = timing.resend_interval_max.max(patience);
        let backlog = proto(self.time_of(QUEUED_PACKETS * PACKET_BITS));
        config.pacer.backlog_max = config.pacer.backlog_max.max(backlog);
    }

    /// Sets the same parameters of a simulated host.
    pub(crate) fn apply_to_simulation(self, config: &mut HomaConfig) {
        config.priorities = self.priorities;
        config.unscheduled_bytes = self.rtt_bytes;
        config.rtt_bytes = self.rtt_bytes;
        config.incoming_bytes = self.incoming_bytes();
        config.grant_bytes = self.rtt_bytes / GRANTS_PER_ROUND_TRIP;
        config.fifo_grant_bytes = self.fifo_grant_bytes();
        config.resend_ms = config.resend_ms.max(self.time_of(PATIENCE_BITS).as_millis() as u64);
    }

    /// As much of a round trip as the core's default is of its own. The oldest message may have two of these beyond its
    /// window on their way, and keep them there (ADR 0014).
    fn fifo_grant_bytes(self) -> u32 {
        self.rtt_bytes / 16 * 5
    }

    fn incoming_bytes(self) -> u64 {
        COMING_ROUND_TRIPS * u64::from(self.rtt_bytes)
    }

    /// How long the link takes.
    fn time_of(self, bits: f64) -> Duration {
        Duration::from_secs_f64(bits / self.bits_per_second)
    }
}

fn proto(duration: Duration) -> ProtoDuration {
    ProtoDuration::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn apply__keeps_the_defaults_on_fast_links_and_waits_longer_on_slow_ones() {
        let link = |bits_per_second| HomaLink { bits_per_second, rtt_bytes: 40_000, priorities: 8 };
        let (defaults, mut fast, mut slow) =
            (Config::default(), Config::default(), Config::default());
        link(25e9).apply(&mut fast);
        assert!(fast.validate().is_ok());
        assert_eq!(fast.link_mbps, defaults.link_mbps);
        assert_eq!(fast.unscheduled_bytes, defaults.unscheduled_bytes);
        assert_eq!(fast.grants.incoming_bytes_max, defaults.grants.incoming_bytes_max);
        assert_eq!(fast.grants.grant_increment_bytes, defaults.grants.grant_increment_bytes);
        assert_eq!(fast.grants.fifo_increment_bytes, defaults.grants.fifo_increment_bytes);
        assert_eq!(fast.timing.resend_interval, defaults.timing.resend_interval);
        assert_eq!(fast.pacer.backlog_max, defaults.pacer.backlog_max);
        link(1e6).apply(&mut slow);
        assert!(slow.validate().is_ok());
        assert_eq!(slow.timing.resend_interval, ProtoDuration::from_millis(4096));
        assert_eq!(slow.link_mbps, 1);
    }
}
