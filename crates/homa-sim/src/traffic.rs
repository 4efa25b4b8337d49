//! Who sends what to whom, and when.

use serde::{Deserialize, Serialize};

use crate::packet::HostId;
use crate::random::Random;
use crate::time::SimTime;

/// Which hosts send to which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "pattern", deny_unknown_fields)]
pub enum Pattern {
    /// Each host to all others, chosen anew for each message; messages come at random (Poisson), as in
    /// the simulations of SIGCOMM'18.
    #[default]
    AllToAll,
    /// Each host always to the same other one, no two to one; messages come at random.
    Permutation,
    /// So many hosts to one, each with a message under way at any time (closed loop).
    Incast {
        /// Number of senders.
        senders: u32,
    },
    /// As all to all, but messages come in bursts of so many at once.
    OnOff {
        /// Messages in a burst, on average.
        burst: f64,
    },
    /// Each host always has so many messages under way, to others chosen at random.
    ClosedLoop {
        /// Messages under way per host.
        outstanding: u32,
    },
    /// Some hosts always have so many messages under way, to others chosen at random; the rest only
    /// answers.
    Clients {
        /// Number of hosts that send, the first ones.
        clients: u32,
        /// Messages under way of each of them.
        outstanding: u32,
    },
}

/// Incasts beside other traffic: many hosts send to one at once, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncastOverlay {
    /// Senders of each incast, chosen at random; at least 1.
    pub senders: u32,
    /// Bytes that each sends; at least 1.
    pub bytes: u32,
    /// Share of all traffic's bytes that incasts have, 0 to 1.
    pub share: f64,
}

/// A message that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) from: HostId,
    pub(crate) to: HostId,
    /// Bytes, or `None` for a length of the workload.
    pub(crate) length: Option<u32>,
    /// Whether it is of an incast beside the workload.
    pub(crate) is_overlay: bool,
}

/// What makes messages, each at times of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A host, by the clock or at the start.
    Host(u32),
    /// A host one of whose messages has arrived.
    Again(u32),
    /// Incasts.
    Overlay,
    /// A file.
    Replay,
}

/// Decides about destinations and times.
#[derive(Debug)]
pub(crate) struct Traffic {
    pattern: Pattern,
    overlay: Option<IncastOverlay>,
    hosts: u32,
    /// Mean time between messages of a host, in ps.
    mean_gap: f64,
    /// Mean time between incasts.
    mean_incast_gap: f64,
    /// By host, for permutations.
    partners: Vec<u32>,
    times: Random,
    places: Random,
}

impl Traffic {
    /// `message_seconds` is the time for which an average message, with all that belongs to it,
    /// occupies a host's link.
    pub(crate) fn new(
        pattern: Pattern,
        overlay: Option<IncastOverlay>,
        hosts: u32,
        load: f64,
        message_time: SimTime,
        incast_message_time: SimTime,
        seed: u64,
    ) -> Self {
        let mut places = Random::new(seed, "places", 0);
        let share = overlay.map_or(0.0, |overlay| overlay.share);
        let mean_gap = message_time.0 as f64 / (load * (1.0 - share)).max(f64::MIN_POSITIVE);
        let incast_time = incast_message_time.0 as f64
            * overlay.map_or(1.0, |overlay| f64::from(overlay.senders));
        let mean_incast_gap = incast_time / (load * share * f64::from(hosts));
        let partners = partners(hosts, &mut places);
        let times = Random::new(seed, "times", 0);
        Self { pattern, overlay, hosts, mean_gap, mean_incast_gap, partners, times, places }
    }

    /// What sends without being asked.
    pub(crate) fn sources(&self) -> Vec<Source> {
        let hosts = match self.pattern {
            // Host 0 receives.
            Pattern::Incast { senders } => 1..(senders + 1).min(self.hosts),
            Pattern::Clients { clients, .. } => 0..clients.min(self.hosts),
            _ => 0..self.hosts,
        };
        hosts.map(Source::Host).chain(self.overlay.map(|_| Source::Overlay)).collect()
    }

    /// How long a source waits before its first orders.
    pub(crate) fn first_gap(&mut self, source: Source) -> SimTime {
        if self.is_closed_loop() && source != Source::Overlay {
            // Not all at the same moment.
            return SimTime((self.times.unit() * 1e6) as u64);
        }
        self.gap(source)
    }

    /// How long a source waits between orders.
    pub(crate) fn gap(&mut self, source: Source) -> SimTime {
        let mean = match (source, self.pattern) {
            (Source::Overlay, _) => self.mean_incast_gap,
            (_, Pattern::OnOff { burst }) => self.mean_gap * burst.max(1.0),
            _ => self.mean_gap,
        };
        SimTime((self.times.exponential() * mean) as u64)
    }

    /// Whether a host sends its next message when one has arrived, rather than by the clock.
    pub(crate) fn is_closed_loop(&self) -> bool {
        matches!(
            self.pattern,
            Pattern::Incast { .. } | Pattern::ClosedLoop { .. } | Pattern::Clients { .. }
        )
    }

    /// Whether a source has its next orders after a [`gap`](Self::gap).
    pub(crate) fn is_clocked(&self, source: Source) -> bool {
        match source {
            Source::Overlay => true,
            Source::Host(_) => !self.is_closed_loop(),
            Source::Again(_) | Source::Replay => false,
        }
    }

    /// The orders of a source whose time has come.
    pub(crate) fn orders(&mut self, source: Source) -> Vec<Order> {
        match source {
            Source::Overlay => self.incast(),
            Source::Again(host) => vec![self.order(host)],
            Source::Replay => Vec::new(),
            Source::Host(host) => {
                let count = match self.pattern {
                    Pattern::ClosedLoop { outstanding } | Pattern::Clients { outstanding, .. } => {
                        outstanding
                    }
                    Pattern::OnOff { burst } => self.burst(burst),
                    _ => 1,
                };
                (0..count).map(|_| self.order(host)).collect()
            }
        }
    }

    /// A host's next message.
    pub(crate) fn order(&mut self, host: u32) -> Order {
        let to = match self.pattern {
            Pattern::Permutation => self.partners[host as usize],
            Pattern::Incast { .. } => 0,
            _ => self.other(host),
        };
        Order { from: HostId(host), to: HostId(to), length: None, is_overlay: false }
    }

    fn other(&mut self, host: u32) -> u32 {
        let other = self.places.below(self.hosts - 1);
        if other < host { other } else { other + 1 }
    }

    /// Geometrically distributed, at least 1.
    fn burst(&mut self, mean: f64) -> u32 {
        let stay = 1.0 - 1.0 / mean.max(1.0);
        if stay <= 0.0 {
            return 1;
        }
        1 + ((1.0 - self.places.unit()).ln() / stay.ln()) as u32
    }

    fn incast(&mut self) -> Vec<Order> {
        let Some(overlay) = self.overlay else { return Vec::new() };
        let to = self.places.below(self.hosts);
        let mut senders = Vec::new();
        while senders.len() < overlay.senders.min(self.hosts - 1) as usize {
            let from = self.other(to);
            if !senders.contains(&from) {
                senders.push(from);
            }
        }
        let length = Some(overlay.bytes);
        let order = |from| Order { from: HostId(from), to: HostId(to), length, is_overlay: true };
        senders.into_iter().map(order).collect()
    }
}

/// One other host for each, all different: a random cycle through all hosts.
fn partners(hosts: u32, random: &mut Random) -> Vec<u32> {
    let mut order: Vec<u32> = (0..hosts).collect();
    for last in (1..hosts).rev() {
        order.swap(last as usize, random.below(last + 1) as usize);
    }
    let mut partners = vec![0; hosts as usize];
    for (index, &host) in order.iter().enumerate() {
        partners[host as usize] = order[(index + 1) % order.len()];
    }
    partners
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn traffic(pattern: Pattern, overlay: Option<IncastOverlay>) -> Traffic {
        let time = SimTime::from_nanos(1000);
        Traffic::new(pattern, overlay, 10, 0.5, time, SimTime::from_nanos(4000), 1)
    }

    #[test]
    fn gap__gives_the_load() {
        let mut traffic = traffic(Pattern::AllToAll, None);
        let total: u64 = (0..100_000).map(|_| traffic.gap(Source::Host(1)).0).sum();
        let mean = total as f64 / 100_000.0;
        assert!((mean / 2_000_000.0 - 1.0).abs() < 0.02, "{mean}");
    }

    #[test]
    fn order__never_to_itself_and_to_all_others() {
        let mut traffic = traffic(Pattern::AllToAll, None);
        let mut seen = [0; 10];
        for _ in 0..9000 {
            seen[traffic.order(3).to.index()] += 1;
        }
        assert_eq!(seen[3], 0);
        let others = seen.iter().enumerate().filter(|(host, _)| *host != 3);
        assert!(others.into_iter().all(|(_, count)| (850..1150).contains(count)), "{seen:?}");
    }

    #[test]
    fn order__permutation_has_one_sender_per_receiver() {
        let mut traffic = traffic(Pattern::Permutation, None);
        let mut receivers: Vec<u32> = (0..10).map(|host| traffic.order(host).to.0).collect();
        assert!(receivers.iter().zip(0..).all(|(&to, host)| to != host));
        receivers.sort_unstable();
        assert_eq!(receivers, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn orders__of_clients_alone() {
        let mut traffic = traffic(Pattern::Clients { clients: 2, outstanding: 3 }, None);
        assert_eq!(traffic.sources(), [Source::Host(0), Source::Host(1)]);
        assert_eq!(traffic.orders(Source::Host(1)).len(), 3);
        assert_eq!(traffic.orders(Source::Again(1)).len(), 1);
        assert!(traffic.is_closed_loop() && !traffic.is_clocked(Source::Host(0)));
    }

    #[test]
    fn overlay__share_of_bytes_is_the_incasts() {
        let overlay = IncastOverlay { senders: 5, bytes: 500, share: 0.2 };
        let mut traffic = traffic(Pattern::AllToAll, Some(overlay));
        let mean = |traffic: &mut Traffic, source| {
            (0..50_000).map(|_| traffic.gap(source).0 as f64).sum::<f64>() / 50_000.0
        };
        // Time on links per second: of one host's messages, and of incasts over all hosts.
        let plain = 10.0 * 1e6 / mean(&mut traffic, Source::Host(0));
        let incasts = 5.0 * 4e6 / mean(&mut traffic, Source::Overlay);
        assert!((incasts / (plain + incasts) - 0.2).abs() < 0.01);
        assert!(((plain + incasts) / 10.0 - 0.5).abs() < 0.02);
        let orders = traffic.orders(Source::Overlay);
        assert_eq!(orders.len(), 5);
        assert!(orders.iter().all(|order| order.to == orders[0].to && order.from != order.to));
    }
}
