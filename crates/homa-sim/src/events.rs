//! What is to happen, in order of time.
//!
//! Most events lie within microseconds of now, so they wait in a ring of short buckets, each of which
//! is sorted when its turn comes; the few that lie further ahead wait in a heap. That costs about 20 ns
//! per event, whatever their number, where a heap of thousands costs several times that.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::SimTime;

/// Width of a bucket as a power of two of picoseconds: 8.2 ns.
const BUCKET_SHIFT: u32 = 13;

/// Buckets in the ring: 33.6 us ahead.
const BUCKETS: u64 = 4096;

/// An event and when it happens. Events of the same time happen in the order in which they were
/// pushed, so that the order is total and every run the same.
#[derive(Clone, Copy, Debug)]
struct Entry<E> {
    at: SimTime,
    sequence: u64,
    event: E,
}

impl<E> Entry<E> {
    fn key(&self) -> (SimTime, u64) {
        (self.at, self.sequence)
    }

    fn bucket(&self) -> u64 {
        self.at.0 >> BUCKET_SHIFT
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// A queue of events by time.
#[derive(Debug)]
pub struct EventQueue<E> {
    /// Number, since the start of time, of the bucket whose turn it is.
    bucket: u64,
    /// The events of that bucket, and any that came too late for it, the next one last.
    current: Vec<Entry<E>>,
    ring: Vec<Vec<Entry<E>>>,
    /// A bit for each bucket of the ring that holds something.
    occupied: [u64; (BUCKETS / 64) as usize],
    far: BinaryHeap<Reverse<Entry<E>>>,
    sequence: u64,
}

impl<E: Copy> EventQueue<E> {
    /// Nothing is to happen.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bucket: 0,
            current: Vec::new(),
            ring: (0..BUCKETS).map(|_| Vec::new()).collect(),
            occupied: [0; (BUCKETS / 64) as usize],
            far: BinaryHeap::new(),
            sequence: 0,
        }
    }

    /// Has `event` happen at `at`, after all that were pushed before for the same time. A time that
    /// has passed counts as now.
    pub fn push(&mut self, at: SimTime, event: E) {
        self.sequence += 1;
        let entry = Entry { at, sequence: self.sequence, event };
        let bucket = entry.bucket();
        if bucket <= self.bucket {
            let place = self.current.partition_point(|other| other.key() > entry.key());
            self.current.insert(place, entry);
        } else if bucket - self.bucket < BUCKETS {
            let index = (bucket % BUCKETS) as usize;
            self.ring[index].push(entry);
            self.occupied[index / 64] |= 1 << (index % 64);
        } else {
            self.far.push(Reverse(entry));
        }
    }

    /// The next event and its time.
    pub fn pop(&mut self) -> Option<(SimTime, E)> {
        loop {
            if let Some(entry) = self.current.pop() {
                return Some((entry.at, entry.event));
            }
            self.advance()?;
        }
    }

    /// Makes the next bucket that holds something the current one.
    fn advance(&mut self) -> Option<()> {
        let near = self.next_occupied();
        let far = self.far.peek().map(|Reverse(entry)| entry.bucket());
        self.bucket = match (near, far) {
            (Some(near), Some(far)) => near.min(far),
            (one, other) => one.or(other)?,
        };
        let index = (self.bucket % BUCKETS) as usize;
        std::mem::swap(&mut self.current, &mut self.ring[index]);
        self.occupied[index / 64] &= !(1 << (index % 64));
        while self.far.peek().is_some_and(|Reverse(entry)| entry.bucket() == self.bucket) {
            self.current.extend(self.far.pop().map(|Reverse(entry)| entry));
        }
        self.current.sort_unstable_by_key(|entry| Reverse(entry.key()));
        Some(())
    }

    /// The next bucket of the ring that holds something, after the current one.
    fn next_occupied(&self) -> Option<u64> {
        let first = self.bucket + 1;
        let (word, bit) = ((first % BUCKETS / 64) as usize, first % 64);
        let words = self.occupied.len();
        // The word in which the search begins comes again at the end, for the bits before its start.
        for step in 0..=words {
            let index = (word + step) % words;
            let mask = match step {
                0 => u64::MAX << bit,
                _ if step == words => !(u64::MAX << bit),
                _ => u64::MAX,
            };
            let bits = self.occupied[index] & mask;
            if bits != 0 {
                let position = index as u64 * 64 + u64::from(bits.trailing_zeros());
                let ahead = (position + BUCKETS - first % BUCKETS) % BUCKETS;
                return Some(first + ahead);
            }
        }
        None
    }
}

impl<E: Copy> Default for EventQueue<E> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn pop__events_of_one_time_come_as_they_were_pushed() {
        let mut queue = EventQueue::new();
        for event in 0..100 {
            queue.push(SimTime(5_000_000), event);
        }
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop().map(|(_, event)| event)).collect();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    proptest! {
        /// Against a sorted map, with pushes at all distances between pops.
        #[test]
        fn pop__is_in_order_of_time(
            steps in prop::collection::vec((0_u8..4, 0_u64..40, 0_u64..1000), 1..400),
        ) {
            let (mut queue, mut model) = (EventQueue::new(), BTreeMap::new());
            let mut now = 0;
            for (number, &(kind, magnitude, low)) in steps.iter().enumerate() {
                if kind == 0 {
                    let expected = model.pop_first();
                    let popped = queue.pop();
                    prop_assert_eq!(popped, expected.map(|((at, _), event)| (SimTime(at), event)));
                    now = popped.map_or(now, |(at, _)| at.0);
                } else {
                    let at = now + (low << (magnitude % 36));
                    queue.push(SimTime(at), number);
                    model.insert((at, number), number);
                }
            }
            while let Some(((at, _), event)) = model.pop_first() {
                prop_assert_eq!(queue.pop(), Some((SimTime(at), event)));
            }
            prop_assert_eq!(queue.pop(), None);
        }
    }
}
