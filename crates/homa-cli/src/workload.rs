//! Which lengths messages have: W1 to W5, `starve`, or one fixed length.

use std::fmt;
use std::str::FromStr;

use homa_sim::Random;

use crate::message::MIN_LEN;
use crate::units::Size;

/// The longest fixed length that can be asked for.
const MAX_FIXED_LEN: u64 = 64 << 20;

/// The reduced tables from which `cp_node` draws (TOOLS section 3).
const TABLES: [(&str, &str); 6] = [
    ("w1", include_str!("../data/workloads/buckets/w1.csv")),
    ("w2", include_str!("../data/workloads/buckets/w2.csv")),
    ("w3", include_str!("../data/workloads/buckets/w3.csv")),
    ("w4", include_str!("../data/workloads/buckets/w4.csv")),
    ("w5", include_str!("../data/workloads/buckets/w5.csv")),
    ("starve", include_str!("../data/workloads/buckets/starve.csv")),
];

/// One row of a table: the given fraction of messages has at most this length.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    length: u32,
    cumulative_fraction: f64,
}

/// A distribution of message lengths.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Workload {
    name: String,
    points: Vec<Point>,
}

impl Workload {
    /// Messages of `length` bytes each.
    ///
    /// # Errors
    ///
    /// The length is below that of the header or above 64 MiB.
    pub(crate) fn fixed(length: u64) -> Result<Self, String> {
        match u32::try_from(length) {
            Ok(short) if length <= MAX_FIXED_LEN && short >= MIN_LEN => {
                let points = vec![Point { length: short, cumulative_fraction: 1.0 }];
                Ok(Self { name: length.to_string(), points })
            }
            _ => Err(format!(
                "message lengths go from {MIN_LEN} (the header) to {MAX_FIXED_LEN} bytes"
            )),
        }
    }

    /// The length of the next message.
    pub(crate) fn draw(&self, random: &mut Random) -> u32 {
        let fraction = random.unit();
        let index = self.points.partition_point(|point| point.cumulative_fraction < fraction);
        self.points[index].length.max(MIN_LEN)
    }

    /// The mean length, which sets the rate of requests for a bandwidth: of the table as it is,
    /// without the few lengths below the header's raised to it, as in `cp_node`.
    pub(crate) fn mean_bytes(&self) -> f64 {
        self.mean(|point| f64::from(point.length))
    }

    /// The mean of a figure that follows from the length, of the messages that are drawn.
    pub(crate) fn mean_of(&self, figure: impl Fn(u32) -> f64) -> f64 {
        self.mean(|point| figure(point.length.max(MIN_LEN)))
    }

    /// The length of the longest message.
    pub(crate) fn max_len(&self) -> u32 {
        self.points.iter().map(|point| point.length).max().unwrap_or(MIN_LEN)
    }

    fn mean(&self, figure: impl Fn(&Point) -> f64) -> f64 {
        let mut last_fraction = 0.0;
        self.points.iter().fold(0.0, |mean, point| {
            let share = point.cumulative_fraction - last_fraction;
            last_fraction = point.cumulative_fraction;
            mean + figure(point) * share
        })
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((name, csv)) = TABLES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(Self { name: (*name).into(), points: parse_table(csv) });
        }
        let size = text.parse::<Size>().map_err(|_| {
            format!("'{text}' is neither w1, w2, w3, w4, w5, starve nor a number of bytes")
        })?;
        Self::fixed(size.0)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// # Panics
///
/// If the table is malformed: they are compiled in, and a test parses each.
fn parse_table(csv: &str) -> Vec<Point> {
    csv.lines()
        .skip(1)
        .map(|line| {
            let (length, fraction) = line.split_once(',').expect("two columns");
            Point {
                length: length.parse().expect("a length"),
                cumulative_fraction: fraction.parse().expect("a fraction"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    /// The longest message that a reduced table has (the limit of the kernel implementation).
    const MAX_TABLE_LEN: u32 = 1_000_000;

    const FULL_TABLES: [(&str, &str); 6] = [
        ("w1", include_str!("../data/workloads/w1.csv")),
        ("w2", include_str!("../data/workloads/w2.csv")),
        ("w3", include_str!("../data/workloads/w3.csv")),
        ("w4", include_str!("../data/workloads/w4.csv")),
        ("w5", include_str!("../data/workloads/w5.csv")),
        ("starve", include_str!("../data/workloads/starve.csv")),
    ];

    /// How `cp_node` reduces a table: a full table in, the one it draws from out (TOOLS section 3).
    fn reduce(full: &[Point]) -> Vec<Point> {
        let mut reduced = vec![Point { length: 0, cumulative_fraction: 0.0 }];
        for (i, &point) in full.iter().enumerate() {
            if point.length >= MAX_TABLE_LEN {
                reduced.push(Point { length: MAX_TABLE_LEN, cumulative_fraction: 1.0 });
                return reduced;
            }
            if point.cumulative_fraction >= 1.0 {
                reduced.push(Point { cumulative_fraction: 1.0, ..point });
                return reduced;
            }
            let last = *reduced.last().unwrap();
            let big_share = point.cumulative_fraction - last.cumulative_fraction >= 0.0025;
            let next_is_far = full
                .get(i + 1)
                .is_some_and(|next| 1.2 * f64::from(last.length) < f64::from(next.length));
            if big_share || next_is_far {
                reduced.push(point);
            }
        }
        reduced.last_mut().unwrap().cumulative_fraction = 1.0;
        reduced
    }

    fn named(name: &str) -> Workload {
        name.parse().unwrap()
    }

    #[test]
    fn tables__are_what_cp_node_derives_from_the_full_ones() {
        for (name, csv) in FULL_TABLES {
            let mut full = parse_table(csv);
            // The last fraction was set to 1 when the table was written down; the sum of the
            // original's weights, with which it works, stays just below.
            full.last_mut().unwrap().cumulative_fraction = 1.0 - 1e-12;
            let derived = reduce(&full);
            let given = named(name).points;
            assert_eq!(derived.len(), given.len(), "{name}");
            for (a, b) in derived.iter().zip(&given) {
                assert_eq!(a.length, b.length, "{name}");
                assert!(
                    (a.cumulative_fraction - b.cumulative_fraction).abs() < 1e-9,
                    "{name} {a:?} {b:?}"
                );
            }
        }
    }

    #[test]
    fn tables__have_the_published_sizes_and_means() {
        let expected = [
            ("w1", 157, 192.81),
            ("w2", 96, 440.81),
            ("w3", 114, 2567.71),
            ("w4", 226, 61008.15),
            ("w5", 110, 386161.45),
            ("starve", 11, 526315.79),
        ];
        for (name, entries, mean) in expected {
            let workload = named(name);
            assert_eq!(workload.points.len(), entries, "{name}");
            assert!(
                (workload.mean_bytes() - mean).abs() < 0.005,
                "{name}: {}",
                workload.mean_bytes()
            );
        }
    }

    #[test]
    fn draw__follows_the_table() {
        for (name, _) in TABLES {
            let workload = named(name);
            let mut random = Random::from_seed(7);
            let mut lengths: Vec<_> = (0..50_000).map(|_| workload.draw(&mut random)).collect();
            lengths.sort_unstable();
            for percentile in [25, 50, 90, 99] {
                let length = lengths[lengths.len() * percentile / 100];
                let at = workload.points.partition_point(|p| p.length <= length) - 1;
                // Lengths below that of the header were raised to it.
                let shorter = workload.points[..at].last().filter(|_| length > MIN_LEN);
                let below = shorter.map_or(0.0, |p| p.cumulative_fraction);
                let upto = workload.points[at].cumulative_fraction;
                let fraction = percentile as f64 / 100.0;
                assert!(below - 0.02 < fraction && fraction < upto + 0.02, "{name} P{percentile}");
            }
            assert!(lengths[0] >= MIN_LEN && *lengths.last().unwrap() <= MAX_TABLE_LEN);
        }
    }

    #[test]
    fn from_str__takes_byte_counts_within_limits() {
        assert_eq!(named("1M").draw(&mut Random::from_seed(0)), 1_000_000);
        assert_eq!(named("100").mean_bytes(), 100.0);
        assert_eq!(named("W4").to_string(), "w4");
        for text in ["11", "0", "65Mi", "w6", ""] {
            assert!(text.parse::<Workload>().is_err(), "{text}");
        }
    }
}
