//! Latencies apart by the exact length of the request, in a form that can be written, joined and divided.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Latency, LatencySummary};

/// In how many parts messages are divided by length: tenths.
const PARTS: u64 = 10;

/// Latencies by length of the request in bytes.
///
/// As JSON a list of objects, shortest first, with `bytes` and `latency_ns`: pairs of a latency and how
/// often it was met. Lengths are few: those of a workload's table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(into = "Vec<Length>", from = "Vec<Length>")]
pub(crate) struct ByLength(BTreeMap<u32, Latency>);

/// The latencies of one length, as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Length {
    bytes: u32,
    latency_ns: Vec<(u64, u64)>,
}

/// A tenth of all messages, by length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tenth {
    /// The longest message in this tenth, in bytes.
    pub(crate) upper_bytes: u32,
    /// How many messages: a tenth of all, to within one.
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
}

impl ByLength {
    pub(crate) fn record(&mut self, length: u32, latency: Duration) {
        self.0.entry(length).or_insert_with(Latency::new).record(latency);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (&length, latency) in &other.0 {
            self.0.entry(length).or_insert_with(Latency::new).add(latency);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.values().map(Latency::count).sum()
    }

    /// Bytes of all requests.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.iter().map(|(&length, latency)| u64::from(length) * latency.count()).sum()
    }

    /// The shortest length and its figures.
    pub(crate) fn shortest(&self) -> Option<(u32, LatencySummary)> {
        let (&length, latency) = self.0.first_key_value()?;
        Some((length, latency.summary()?))
    }

    /// Figures of all messages together; `None` without any.
    pub(crate) fn summary(&self) -> Option<LatencySummary> {
        let mut total = Latency::new();
        self.0.values().for_each(|latency| total.add(latency));
        total.summary()
    }

    /// The tenths of all messages, shortest messages first, in microseconds. Those of one length that lies in
    /// two tenths are dealt out between them evenly, whatever they took. Tenths without any are left out.
    pub(crate) fn tenths(&self) -> Vec<Tenth> {
        self.tenths_of(|_, nanos| nanos as f64 / 1000.0)
    }

    /// The same of `figure(length, latency in nanoseconds)`, which grows with the latency.
    pub(crate) fn tenths_of(&self, figure: impl Fn(u32, u64) -> f64) -> Vec<Tenth> {
        let all = self.count();
        let mut parts = vec![Vec::new(); PARTS as usize];
        let mut upper_bytes = vec![0; PARTS as usize];
        let mut before = 0;
        for (&length, latency) in &self.0 {
            let count = latency.count();
            for part in 0..PARTS {
                let (begin, end) = (all * part / PARTS, all * (part + 1) / PARTS);
                let share = end.min(before + count).saturating_sub(begin.max(before));
                if share > 0 {
                    let at = part as usize;
                    upper_bytes[at] = length;
                    let dealt = deal(latency, share);
                    parts[at].extend(dealt.map(|(nanos, count)| (figure(length, nanos), count)));
                }
            }
            before += count;
        }
        upper_bytes.into_iter().zip(parts).filter_map(|(upper, part)| tenth(upper, part)).collect()
    }
}

/// `share` of a length's latencies, evenly spread over them.
fn deal(latency: &Latency, share: u64) -> impl Iterator<Item = (u64, u64)> {
    let all = u128::from(latency.count());
    let mut before = 0;
    latency.counts().filter_map(move |(nanos, count)| {
        let upto = |seen: u64| u128::from(seen) * u128::from(share) / all;
        let dealt = (upto(before + count) - upto(before)) as u64;
        before += count;
        (dealt > 0).then_some((nanos, dealt))
    })
}

fn tenth(upper_bytes: u32, mut figures: Vec<(f64, u64)>) -> Option<Tenth> {
    figures.sort_by(|a, b| a.0.total_cmp(&b.0));
    let count = figures.iter().map(|&(_, count)| count).sum();
    let at = |quantile: f64| {
        let rank = ((count as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        let found = figures.iter().find(|&&(_, count)| {
            seen += count;
            seen >= rank
        });
        found.map(|&(figure, _)| figure)
    };
    Some(Tenth { upper_bytes, count, p50: at(0.5)?, p99: at(0.99)?, p99_9: at(0.999)? })
}

impl From<ByLength> for Vec<Length> {
    fn from(by_length: ByLength) -> Self {
        let lengths = by_length.0.into_iter();
        lengths
            .map(|(bytes, latency)| Length { bytes, latency_ns: latency.counts().collect() })
            .collect()
    }
}

impl From<Vec<Length>> for ByLength {
    fn from(lengths: Vec<Length>) -> Self {
        let mut by_length = Self::default();
        for Length { bytes, latency_ns } in lengths {
            let latency = by_length.0.entry(bytes).or_insert_with(Latency::new);
            latency_ns.into_iter().for_each(|(nanos, count)| latency.record_many(nanos, count));
        }
        by_length
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn micros(list: &[(u32, u64)]) -> ByLength {
        let mut by_length = ByLength::default();
        for &(length, micros) in list {
            by_length.record(length, Duration::from_micros(micros));
        }
        by_length
    }

    fn near(actual: f64, expected: f64) {
        assert!((actual / expected - 1.0).abs() < 2e-3, "{actual} {expected}");
    }

    #[test]
    fn tenths__go_by_length_whatever_they_took() {
        // 100 lengths, the longer the quicker.
        let list: Vec<_> = (1..=100_u32).map(|k| (k * 10, u64::from(1000 - k))).collect();
        let tenths = micros(&list).tenths();
        assert_eq!(tenths.len(), 10);
        for (k, tenth) in tenths.iter().enumerate() {
            assert_eq!((tenth.upper_bytes, tenth.count), ((k as u32 + 1) * 100, 10));
            near(tenth.p99, 999.0 - 10.0 * k as f64);
            near(tenth.p50, 995.0 - 10.0 * k as f64);
        }
    }

    /// All of one length: each tenth has the same figures as all.
    #[test]
    fn tenths__one_length_is_dealt_out_evenly() {
        let list: Vec<_> = (0..10_000).map(|k| (100, 100 + k)).collect();
        let all = micros(&list);
        for tenth in all.tenths() {
            assert_eq!((tenth.upper_bytes, tenth.count), (100, 1000));
            assert!((tenth.p50 / 5100.0 - 1.0).abs() < 0.01, "{tenth:?}");
            assert!((tenth.p99 / 10_000.0 - 1.0).abs() < 0.01, "{tenth:?}");
        }
        let total: u64 = all.tenths().iter().map(|tenth| tenth.count).sum();
        assert_eq!(total, 10_000);
    }

    #[test]
    fn tenths__of_few_messages_are_fewer() {
        assert!(ByLength::default().tenths().is_empty());
        let tenths = micros(&[(12, 5), (100, 7), (5000, 9)]).tenths();
        assert_eq!(tenths.iter().map(|tenth| tenth.count).sum::<u64>(), 3);
        assert_eq!(tenths.last().unwrap().upper_bytes, 5000);
    }

    #[test]
    fn tenths_of__sorts_by_the_figure() {
        // Equal ratios though the latencies differ.
        let list: Vec<_> = (1..=20_u32).map(|k| (k * 100, u64::from(k) * 50)).collect();
        for tenth in micros(&list).tenths_of(|length, nanos| nanos as f64 / f64::from(length)) {
            near(tenth.p50, 500.0);
            near(tenth.p99_9, 500.0);
        }
    }

    /// What is written and read again, and joined, is as if it had been recorded in one place.
    #[test]
    fn json__is_exact_and_joins() {
        let (a, b) = (micros(&[(12, 5), (12, 5), (700, 123_457)]), micros(&[(12, 6), (9, 1)]));
        let read = |by_length: &ByLength| -> ByLength {
            serde_json::from_str(&serde_json::to_string(by_length).unwrap()).unwrap()
        };
        let mut joined = read(&a);
        joined.add(&read(&b));
        let once = micros(&[(9, 1), (12, 5), (12, 5), (12, 6), (700, 123_457)]);
        assert_eq!(joined.tenths(), once.tenths());
        assert_eq!(serde_json::to_string(&joined).unwrap(), serde_json::to_string(&once).unwrap());
        assert_eq!((joined.count(), joined.bytes()), (5, 9 + 36 + 700));
    }
}
