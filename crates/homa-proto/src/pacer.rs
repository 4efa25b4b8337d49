//! The sender's pacer: keeps the queue in the network interface short, so that short messages do
//! not wait behind long ones there (PROTOCOL section 10, HOMA-PACER-2 to HOMA-PACER-5).
//!
//! The pacer estimates when the interface will have sent all that it was given, at slightly less
//! than the speed of the link (HOMA-PACER-7), and lets packets of long messages go only while the
//! estimate is near. It also says whose turn it is: mostly the shortest message's, now and then
//! the oldest one's (HOMA-PACER-8).
//!
//! Only what the caller reports is counted: traffic of other programs is not visible here
//! (HOMA-PACER-6), unless the driver knows its queue ([`Pacer::observed_backlog`]).

use crate::time::{Duration, Instant};

/// Bytes of a frame on the wire around an IP packet: preamble, Ethernet header with VLAN tag,
/// check sequence, gap (WIRE section 1).
const ETHERNET_OVERHEAD_BYTES: u32 = 42;
const IPV4_HEADER_BYTES: u32 = 20;
const IPV6_HEADER_BYTES: u32 = 40;

/// Share of the oldest message, and therefore all of it, in thousandths.
const PERMILLE: u32 = 1_000;

/// The bytes by which one kind of message may fall behind its share before the debt is forgotten.
const DEBT_MAX_BYTES: i64 = 1 << 20;

/// What is not held back counts towards the interface's queue up to so many bytes: more than some hundred
/// packets no queue has, and what found no place in it was lost and takes no time. Else a storm of
/// control packets on a slow link would keep messages from leaving for long after it is over.
const QUEUE_MAX_BYTES: u64 = 500_000;

/// Parameters of pacing (PARAMETERS section 1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PacerConfig {
    /// Speed of the link in Mb/s; 0 = no pacing. Taken from `Config::link_mbps` and
    /// `Config::pacing`.
    pub(crate) link_mbps: u32,
    /// Share of that speed to use, in thousandths, 50 to 1,000 (values outside are moved to the
    /// nearest): interfaces do not reach line rate. Default 990 (`max_link_usage`, in percent).
    pub usage_permille: u32,
    /// How far the estimated queue of the interface may reach into the future for another packet
    /// to be added. Default 5 us (`max_nic_est_backlog_usecs`).
    pub backlog_max: Duration,
    /// Messages with fewer bytes left to send than this are never held back. Default 1,000
    /// (`defer_min_bytes`).
    pub defer_bytes_min: u32,
    /// Share of the paced bytes, in thousandths, sent for the oldest message instead of the
    /// shortest, at most 1,000; 0 = none. Default 50 (`pacer_fifo_fraction`).
    pub fifo_share_permille: u32,
}

impl Default for PacerConfig {
    fn default() -> Self {
        Self {
            link_mbps: 25_000,
            usage_permille: 990,
            backlog_max: Duration::from_micros(5),
            defer_bytes_min: 1_000,
            fifo_share_permille: 50,
        }
    }
}

/// Bytes on the wire of a packet whose IP payload (transport headers and data) is this long.
pub(crate) fn wire_bytes(ip_payload_bytes: u32, ipv6: bool) -> u32 {
    let header = if ipv6 { IPV6_HEADER_BYTES } else { IPV4_HEADER_BYTES };
    ip_payload_bytes.saturating_add(header + ETHERNET_OVERHEAD_BYTES)
}

/// Decides when packets may be handed to the interface.
#[derive(Debug)]
pub(crate) struct Pacer {
    config: PacerConfig,
    /// When the interface will have sent everything, as estimated.
    link_idle: Instant,
    /// Part of a nanosecond not yet added to `link_idle`, in units of 1 / `rate()`.
    remainder: u64,
    /// Bytes, times 1,000, that the oldest message is behind its share.
    oldest_debt: i64,
}

impl Pacer {
    /// A pacer whose interface is idle.
    pub(crate) fn new(config: PacerConfig) -> Self {
        Self { config, link_idle: Instant::ZERO, remainder: 0, oldest_debt: 0 }
    }

    /// Sets the speed of the link in Mb/s, 0 to stop pacing. What is queued keeps its estimate.
    pub(crate) fn set_link(&mut self, link_mbps: u32) {
        self.config.link_mbps = link_mbps;
        self.remainder = 0;
    }

    /// Counts a packet that was handed to the interface, whatever it is: control packets, short
    /// messages and retransmissions occupy the link like any other.
    pub(crate) fn sent(&mut self, now: Instant, wire_bytes: u32) {
        let rate = self.rate();
        if rate == 0 {
            return;
        }
        if self.link_idle <= now {
            self.link_idle = now;
            self.remainder = 0;
        }
        let time = time_times_rate(u64::from(wire_bytes)) + self.remainder;
        let idle = self.link_idle + Duration::from_nanos(time / rate);
        let latest = now + self.wire_time(QUEUE_MAX_BYTES);
        if idle <= latest {
            self.link_idle = idle;
            self.remainder = time % rate;
        } else {
            // Unless the driver knows of more.
            self.link_idle = self.link_idle.max(latest);
        }
    }

    /// Counts a paced packet towards the shares of the oldest and of the shortest messages.
    pub(crate) fn count_share(&mut self, oldest_turn: bool, wire_bytes: u32) {
        let share = self.oldest_share();
        let debt = if oldest_turn {
            -(i64::from(wire_bytes) * i64::from(PERMILLE - share))
        } else {
            i64::from(wire_bytes) * i64::from(share)
        };
        let limit = DEBT_MAX_BYTES * i64::from(PERMILLE);
        self.oldest_debt = (self.oldest_debt + debt).clamp(-limit, limit);
    }

    /// Takes in that the interface still holds so many bytes, which a driver with completion
    /// feedback knows: the estimate becomes at least as late as these take (KNOWN_ISSUES 4.1).
    pub(crate) fn observed_backlog(&mut self, now: Instant, bytes: u64) {
        self.link_idle = self.link_idle.max(now + self.wire_time(bytes));
    }

    /// Whether a packet may be handed to the interface, of a message with so many bytes left to
    /// send including the packet's. Control packets need not ask.
    ///
    /// # Errors
    ///
    /// When to ask again.
    pub(crate) fn may_send(&self, now: Instant, bytes_left: u32) -> Result<(), Instant> {
        if self.is_exempt(bytes_left) || !self.is_on() {
            return Ok(());
        }
        let release = self.link_idle - self.config.backlog_max;
        if release <= now { Ok(()) } else { Err(release) }
    }

    /// Of so many bytes each on the wire, how many packets may be handed to the interface now, if one may.
    pub(crate) fn packets_now(&self, now: Instant, wire_bytes: u32) -> u32 {
        let room = (now + self.config.backlog_max).saturating_since(self.link_idle.max(now));
        let time = self.wire_time(wire_bytes.into()).as_nanos().max(1);
        u32::try_from(room.as_nanos() / time).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Whether packets are paced at all.
    pub(crate) fn is_on(&self) -> bool {
        self.rate() > 0
    }

    /// Whether a message with so many bytes left to send is too short to be held back.
    pub(crate) fn is_exempt(&self, bytes_left: u32) -> bool {
        bytes_left < self.config.defer_bytes_min
    }

    /// Whether the next paced packet should be the oldest message's (HOMA-PACER-8) and not the
    /// shortest one's (HOMA-PACER-1). Follows from the bytes counted by
    /// [`count_share`](Self::count_share): after F bytes of the oldest message,
    /// F x (1000 - f) / f bytes of the shortest ones follow, where f is the share in thousandths.
    pub(crate) fn is_oldest_turn(&self) -> bool {
        let share = self.oldest_share();
        share == PERMILLE || (share > 0 && self.oldest_debt > 0)
    }

    /// Time until the interface will have sent everything, as estimated.
    #[cfg(test)]
    pub(crate) fn backlog(&self, now: Instant) -> Duration {
        self.link_idle.saturating_since(now)
    }

    /// Time that so many bytes take on the wire at the paced speed, rounded up; zero without
    /// pacing.
    pub(crate) fn wire_time(&self, bytes: u64) -> Duration {
        match self.rate() {
            0 => Duration::ZERO,
            rate => Duration::from_nanos(time_times_rate(bytes).div_ceil(rate)),
        }
    }

    fn oldest_share(&self) -> u32 {
        self.config.fifo_share_permille.min(PERMILLE)
    }

    /// Paced speed in kb/s (Mb/s times thousandths).
    fn rate(&self) -> u64 {
        u64::from(self.config.link_mbps) * u64::from(self.config.usage_permille.clamp(50, PERMILLE))
    }
}

/// Nanoseconds that bytes take, times the speed in kb/s: 8 bits, each 1,000,000 ns at 1 kb/s.
fn time_times_rate(bytes: u64) -> u64 {
    bytes.saturating_mul(8_000_000)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;

    const START: Instant = Instant::from_nanos(1_000_000);

    fn pacer() -> Pacer {
        Pacer::new(PacerConfig { link_mbps: 10_000, usage_permille: 1_000, ..Default::default() })
    }

    /// WIRE section 1: payload + 56 + IP header + 42.
    #[test]
    fn wire_bytes__full_segments() {
        assert_eq!(wire_bytes(56 + 1_424, false), 1_542);
        assert_eq!(wire_bytes(56 + 1_404, true), 1_542);
        assert_eq!(wire_bytes(u32::MAX, true), u32::MAX);
    }

    #[test]
    fn wire_time__at_the_paced_speed() {
        assert_eq!(pacer().wire_time(1_250), Duration::from_micros(1));
        assert_eq!(Pacer::new(PacerConfig::default()).wire_time(1_542), Duration::from_nanos(499));
        let off = Pacer::new(PacerConfig { link_mbps: 0, ..Default::default() });
        assert_eq!(off.wire_time(1_000_000), Duration::ZERO);
    }

    /// HOMA-PACER-3, HOMA-PACER-4, HOMA-PACER-5: up to 5 us of estimated queue, no more.
    #[test]
    fn may_send__until_the_backlog_is_reached() {
        let mut pacer = pacer();
        for _ in 0..6 {
            assert_eq!(pacer.may_send(START, 10_000), Ok(()));
            pacer.sent(START, 1_250);
        }
        assert_eq!(pacer.backlog(START), Duration::from_micros(6));
        let release = START + Duration::from_micros(1);
        assert_eq!(pacer.may_send(START, 10_000), Err(release));
        assert_eq!(pacer.may_send(release, 10_000), Ok(()));
    }

    /// HOMA-PACER-2: short messages are not held back, but counted.
    #[test]
    fn may_send__lets_short_messages_pass() {
        let mut pacer = pacer();
        pacer.sent(START, 125_000);
        assert_eq!(pacer.may_send(START, 999), Ok(()));
        assert!(pacer.may_send(START, 1_000).is_err());
        pacer.sent(START, 1_250);
        assert_eq!(pacer.backlog(START), Duration::from_micros(101));
    }

    #[test]
    fn may_send__always_without_pacing() {
        let mut pacer = pacer();
        pacer.set_link(0);
        pacer.sent(START, u32::MAX);
        pacer.observed_backlog(START, u64::MAX);
        assert_eq!(pacer.may_send(START, 1_000_000), Ok(()));
        assert_eq!(pacer.backlog(START), Duration::ZERO);
    }

    #[test]
    fn sent__idle_time_is_not_saved_up() {
        let mut pacer = pacer();
        pacer.sent(START, 1_250);
        let later = START + Duration::from_millis(1);
        pacer.sent(later, 1_250);
        assert_eq!(pacer.backlog(later), Duration::from_micros(1));
    }

    /// Fractions of a nanosecond add up: 7 x 84 bytes at 99% of 100 Gb/s are 47.5 ns, not 7 x 7.
    #[test]
    fn sent__keeps_fractions() {
        let mut pacer = Pacer::new(PacerConfig { link_mbps: 100_000, ..Default::default() });
        (0..7).for_each(|_| pacer.sent(START, 84));
        assert_eq!(pacer.backlog(START), Duration::from_nanos(47));
    }

    /// Whatever is sent, the queue is no longer than a queue can be; what the driver saw in it stays.
    #[test]
    fn sent__counts_no_more_than_a_queue_holds() {
        let mut pacer = pacer();
        (0..2_000).for_each(|_| pacer.sent(START, 1_250));
        let queue = Duration::from_micros(400);
        assert_eq!(pacer.backlog(START), queue);
        assert_eq!(pacer.may_send(START + queue, 10_000), Ok(()));
        pacer.observed_backlog(START, 1_250_000);
        pacer.sent(START, 1_250);
        assert_eq!(pacer.backlog(START), Duration::from_millis(1));
    }

    /// KNOWN_ISSUES 4.1.
    #[test]
    fn observed_backlog__only_raises() {
        let mut pacer = pacer();
        pacer.sent(START, 12_500);
        pacer.observed_backlog(START, 1_250);
        assert_eq!(pacer.backlog(START), Duration::from_micros(10));
        pacer.observed_backlog(START, 125_000);
        assert_eq!(pacer.backlog(START), Duration::from_micros(100));
        pacer.observed_backlog(START, u64::MAX);
        assert!(pacer.may_send(START, 1_000).is_err());
    }

    #[test]
    fn set_link__changes_the_speed() {
        let mut pacer = pacer();
        pacer.set_link(1_000);
        pacer.sent(START, 1_250);
        assert_eq!(pacer.backlog(START), Duration::from_micros(10));
    }

    fn turns(share: u32, packets: u32) -> u32 {
        let mut pacer =
            Pacer::new(PacerConfig { fifo_share_permille: share, ..Default::default() });
        let mut oldest = 0;
        for _ in 0..packets {
            let turn = pacer.is_oldest_turn();
            oldest += u32::from(turn);
            pacer.count_share(turn, 1_500);
        }
        oldest
    }

    /// HOMA-PACER-8: the configured share of bytes, deterministically.
    #[test]
    fn is_oldest_turn__follows_the_share() {
        assert_eq!(turns(50, 2_000), 100);
        assert_eq!(turns(500, 2_000), 1_000);
        assert_eq!(turns(0, 2_000), 0);
        assert_eq!(turns(1_000, 2_000), 2_000);
    }

    /// Link time alone earns no turns: packets that are not held back are not shared out.
    #[test]
    fn is_oldest_turn__ignores_other_packets() {
        let mut pacer = pacer();
        pacer.sent(START, 1_000_000);
        assert!(!pacer.is_oldest_turn());
        pacer.count_share(false, 1_500);
        assert!(pacer.is_oldest_turn());
    }

    proptest! {
        /// Whatever the packet sizes, the oldest message's part of the bytes is the configured
        /// share, to within a packet.
        #[test]
        fn count_share__divides_bytes(
            share in 1..1_000u32,
            sizes in prop::collection::vec(64..9_000u32, 1..400),
        ) {
            let mut pacer =
                Pacer::new(PacerConfig { fifo_share_permille: share, ..Default::default() });
            let (mut oldest, mut all) = (0u64, 0u64);
            for size in sizes {
                let turn = pacer.is_oldest_turn();
                pacer.count_share(turn, size);
                all += u64::from(size);
                oldest += if turn { u64::from(size) } else { 0 };
                prop_assert!(oldest.abs_diff(all * u64::from(share) / 1_000) <= 9_000);
            }
        }

        /// A sender that obeys never has more than the permitted backlog and one packet queued,
        /// and loses none of the paced bandwidth.
        #[test]
        fn may_send__bounds_the_queue(
            sizes in prop::collection::vec(64..9_000u32, 1..200),
            link_mbps in 100..400_000u32,
        ) {
            let mut pacer = Pacer::new(PacerConfig { link_mbps, ..Default::default() });
            let mut now = START;
            let mut bytes = 0;
            for size in sizes {
                if let Err(release) = pacer.may_send(now, 100_000) {
                    prop_assert!(release > now);
                    now = release;
                    prop_assert_eq!(pacer.may_send(now, 100_000), Ok(()));
                }
                pacer.sent(now, size);
                bytes += u64::from(size);
                let bound = Duration::from_micros(5) + pacer.wire_time(u64::from(size));
                prop_assert!(pacer.backlog(now) <= bound);
            }
            let ideal = pacer.wire_time(bytes);
            let busy = now.saturating_since(START) + pacer.backlog(now);
            prop_assert!(busy.as_nanos().abs_diff(ideal.as_nanos()) <= 1);
        }
    }
}
