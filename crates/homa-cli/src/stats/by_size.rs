//! Latencies apart by the length of the request.

use serde::Serialize;

use super::Latency;

/// The first class holds requests of up to this many bytes; each further one twice as many.
const FIRST_UPPER_BYTES: u32 = 64;

/// Latencies by class of request length; classes go up in powers of two.
#[derive(Debug, Clone, Default)]
pub(crate) struct BySize {
    classes: Vec<Option<Latency>>,
}

/// The figures of one class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct SizeClass {
    /// The longest request in this class, in bytes.
    pub(crate) upper_bytes: u32,
    /// How many requests.
    pub(crate) count: u64,
    /// Median latency in microseconds.
    pub(crate) p50: f64,
    /// 99th percentile in microseconds.
    pub(crate) p99: f64,
}

impl BySize {
    /// The latencies of the class that requests of `length` bytes belong to.
    pub(crate) fn class_mut(&mut self, length: u32) -> &mut Latency {
        let index = class_of(length);
        if self.classes.len() <= index {
            self.classes.resize(index + 1, None);
        }
        self.classes[index].get_or_insert_with(Latency::new)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (index, class) in other.classes.iter().enumerate() {
            if let Some(class) = class {
                self.class_mut(FIRST_UPPER_BYTES << index).add(class);
            }
        }
    }

    /// All classes together.
    pub(crate) fn total(&self) -> Latency {
        let mut total = Latency::new();
        for class in self.classes.iter().flatten() {
            total.add(class);
        }
        total
    }

    /// The figures of the shortest requests, at least half of all, as one class. `None` if all have
    /// about one length.
    pub(crate) fn shorter_half(&self) -> Option<SizeClass> {
        let all = self.total().count();
        let mut half = Latency::new();
        let mut classes = self.classes.iter().enumerate();
        let last = classes.by_ref().find_map(|(index, class)| {
            half.add(class.as_ref()?);
            (2 * half.count() >= all).then_some(index)
        })?;
        let summary = half.summary()?;
        (half.count() < all).then(|| SizeClass {
            upper_bytes: FIRST_UPPER_BYTES << last,
            count: half.count(),
            p50: summary.p50,
            p99: summary.p99,
        })
    }

    /// The figures of each class that has any requests, in ascending order of length.
    pub(crate) fn summary(&self) -> Vec<SizeClass> {
        let classes = self.classes.iter().enumerate();
        classes
            .filter_map(|(index, class)| {
                let class = class.as_ref()?;
                let summary = class.summary()?;
                Some(SizeClass {
                    upper_bytes: FIRST_UPPER_BYTES << index,
                    count: class.count(),
                    p50: summary.p50,
                    p99: summary.p99,
                })
            })
            .collect()
    }
}

fn class_of(length: u32) -> usize {
    let ratio = length.div_ceil(FIRST_UPPER_BYTES).max(1);
    ratio.next_power_of_two().trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::time::Duration;

    use super::*;

    #[test]
    fn class_of__upper_ends_are_inclusive() {
        let classes: Vec<_> = [0, 1, 64, 65, 128, 129, 1_000_000].map(class_of).into();
        assert_eq!(classes, [0, 0, 0, 1, 1, 2, 14]);
    }

    #[test]
    fn shorter_half__has_at_least_half_of_the_requests() {
        let mut sizes = BySize::default();
        for (length, micros) in [(50, 1), (100, 2), (100, 3), (200, 4), (9000, 900)] {
            sizes.class_mut(length).record(Duration::from_micros(micros));
        }
        let half = sizes.shorter_half().unwrap();
        assert_eq!((half.upper_bytes, half.count), (128, 3));
        assert!(half.p99 < 4.0);
        let mut one = BySize::default();
        one.class_mut(100).record(Duration::from_micros(2));
        assert_eq!(one.shorter_half(), None);
        assert_eq!(BySize::default().shorter_half(), None);
    }

    #[test]
    fn summary__leaves_out_empty_classes() {
        let mut sizes = BySize::default();
        sizes.class_mut(100).record(Duration::from_micros(5));
        sizes.class_mut(5000).record(Duration::from_micros(50));
        let mut merged = BySize::default();
        merged.class_mut(101).record(Duration::from_micros(5));
        merged.add(&sizes);
        let summary: Vec<_> = merged.summary().iter().map(|c| (c.upper_bytes, c.count)).collect();
        assert_eq!(summary, [(128, 2), (8192, 1)]);
        assert_eq!(merged.total().count(), 3);
    }
}
