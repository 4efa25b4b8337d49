//! The best time that a call can take.

use super::joined::Run;
use crate::exit::Stop;
use crate::node::{PACKET_DATA_BYTES, wire_bytes};
use crate::stats::{ByLength, Tenth};

/// What a network without load is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unloaded {
    /// What hosts and network take of a call, besides the time on a link.
    pub(super) host_delay_us: f64,
    rate_bps: f64,
}

impl Unloaded {
    /// From what nodes measured without load on links of such a rate.
    pub(super) fn of(runs: &[Run], rate_bps: f64) -> Result<Self, Stop> {
        if let Some(other) = runs.iter().find(|run| run.config().rate_bps != rate_bps) {
            let other = other.config().rate_bps;
            let why = format!("--unloaded was measured with links of {other} bit/s");
            return Err(Stop::Failed(format!("{why}, the rest of {rate_bps}")));
        }
        let delays = runs.iter().filter_map(|run| {
            let (shortest, latency) = run.lengths().shortest()?;
            Some((latency.p50 - on_link_us(shortest, rate_bps)).max(0.0))
        });
        // One measure for all transports: that of the best.
        let delay = delays.min_by(f64::total_cmp);
        let host_delay_us =
            delay.ok_or_else(|| Stop::Failed("no call has succeeded without load".into()))?;
        Ok(Self { host_delay_us, rate_bps })
    }

    /// Latencies as multiples of the best.
    pub(super) fn slowdown(self, lengths: &ByLength) -> Vec<Tenth> {
        lengths.tenths_of(|length, nanos| nanos as f64 / 1000.0 / self.best_us(length))
    }

    /// What a link carries from when a full packet is sent to when its grant is there: the packet passes two links.
    pub(super) fn rtt_bytes(self) -> u64 {
        (self.host_delay_us * 1e-6 * self.rate_bps / 8.0) as u64 + 2 * wire_bytes(PACKET_DATA_BYTES)
    }

    /// The best time that a call with request and response of `length` bytes can take, in microseconds.
    fn best_us(self, length: u32) -> f64 {
        self.host_delay_us + on_link_us(length, self.rate_bps)
    }
}

/// The time that request and response, each of `length` bytes, take on a link, one after the other.
fn on_link_us(length: u32, rate_bps: f64) -> f64 {
    2.0 * wire_bytes(length) as f64 * 8.0 / rate_bps * 1e6
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    /// A short call of 202 bytes on the link takes 16 us there and back at 202 Mb/s.
    #[test]
    fn best_us__grows_with_the_bytes_on_the_link() {
        let unloaded = Unloaded { host_delay_us: 100.0, rate_bps: 202e6 };
        assert!((unloaded.best_us(100) - 116.0).abs() < 1e-9);
        let long = unloaded.best_us(1_000_000) - 100.0;
        assert!((long - 2.0 * (1_000_000.0 + 709.0 * 102.0) * 8.0 / 202.0).abs() < 1e-6, "{long}");
        assert_eq!(unloaded.rtt_bytes(), 2525 + 3028);
    }
}
