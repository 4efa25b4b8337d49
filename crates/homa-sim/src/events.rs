//! What is to happen, in order of time.
//!
//! Most events lie within microseconds of now, so they wait in a ring of short buckets, each of which
//! is sorted when its turn comes; the few that lie further ahead wait in a heap. Unlike a heap of all of
//! them, that costs the same whatever their number.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::SimTime;

/// Width of a bucket as a power of two of picoseconds: 4.1 ns.
const BUCKET_SHIFT: u32 = 12;

/// Buckets in the ring: 4.2 us ahead, more than a full packet and a switch take at 10 Gb/s. They are few
/// so that all of them stay in the cache.
const BUCKETS: u64 = 1024;

/// An event and when it happens.
#[derive(Clone, Copy, Debug)]
struct Entry<E> {
    at: SimTime,
    event: E,
}

/// An event that waits in the heap, which needs the order of pushing spelled out.
#[derive(Clone, Copy, Debug)]
struct FarEntry<E> {
    at: SimTime,
    sequence: u64,
    event: E,
}

impl<E> FarEntry<E> {
    fn key(&self) -> (SimTime, u64) {
        (self.at, self.sequence)
    }
}

impl<E> PartialEq for FarEntry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for FarEntry<E> {}

impl<E> PartialOrd for FarEntry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for FarEntry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

const fn bucket_of(at: SimTime) -> u64 {
    at.0 >> BUCKET_SHIFT
}

/// A queue of events by time. Events of the same time happen in the order in which they were pushed, so
/// that the order is total and every run the same.
#[derive(Debug)]
pub(crate) struct EventQueue<E> {
    /// Number, since the start of time, of the bucket whose turn it is.
    bucket: u64,
    /// The events of that bucket, and any that came too late for it, in order.
    current: Vec<Entry<E>>,
    /// How many of these have happened.
    happened: usize,
    ring: Vec<Vec<Entry<E>>>,
    /// A bit for each bucket of the ring that holds something.
    occupied: [u64; (BUCKETS / 64) as usize],
    far: BinaryHeap<Reverse<FarEntry<E>>>,
    sequence: u64,
}

impl<E: Copy> EventQueue<E> {
    /// Nothing is to happen.
    pub(crate) fn new() -> Self {
        Self {
            bucket: 0,
            current: Vec::new(),
            happened: 0,
            ring: (0..BUCKETS).map(|_| Vec::new()).collect(),
            occupied: [0; (BUCKETS / 64) as usize],
            far: BinaryHeap::new(),
            sequence: 0,
        }
    }

    /// Has `event` happen at `at`, after all that were pushed before for the same time. A time that
    /// has passed counts as now.
    #[inline]
    pub(crate) fn push(&mut self, at: SimTime, event: impl Into<E>) {
        let event = event.into();
        let bucket = bucket_of(at);
        let ahead = bucket.wrapping_sub(self.bucket);
        // What has passed is, so counted, far ahead.
        if (1..BUCKETS).contains(&ahead) {
            let index = (bucket % BUCKETS) as usize;
            self.ring[index].push(Entry { at, event });
            self.occupied[index / 64] |= 1 << (index % 64);
        } else if bucket <= self.bucket {
            self.push_now(at, event);
        } else {
            self.push_far(at, event);
        }
    }

    #[inline(never)]
    fn push_now(&mut self, at: SimTime, event: E) {
        let rest = &self.current[self.happened..];
        let place = self.happened + rest.partition_point(|other| other.at <= at);
        self.current.insert(place, Entry { at, event });
    }

    #[inline(never)]
    fn push_far(&mut self, at: SimTime, event: E) {
        self.sequence += 1;
        self.far.push(Reverse(FarEntry { at, sequence: self.sequence, event }));
    }

    /// The next event and its time.
    pub(crate) fn pop(&mut self) -> Option<(SimTime, E)> {
        loop {
            if let Some(&Entry { at, event }) = self.current.get(self.happened) {
                self.happened += 1;
                return Some((at, event));
            }
            self.advance()?;
        }
    }

    /// Makes the next bucket that holds something the current one.
    fn advance(&mut self) -> Option<()> {
        let near = self.next_occupied();
        let far = self.far.peek().map(|Reverse(entry)| bucket_of(entry.at));
        self.bucket = match (near, far) {
            (Some(near), Some(far)) => near.min(far),
            (one, other) => one.or(other)?,
        };
        self.current.clear();
        self.happened = 0;
        let index = (self.bucket % BUCKETS) as usize;
        if near == Some(self.bucket) {
            std::mem::swap(&mut self.current, &mut self.ring[index]);
            self.occupied[index / 64] &= !(1 << (index % 64));
        }
        if far == Some(self.bucket) {
            self.take_far();
        }
        // Stable: what was pushed first stays first.
        self.current.sort_by_key(|entry| entry.at);
        Some(())
    }

    /// Takes the events of the current bucket out of the heap. They were pushed before all that came
    /// into the ring for the same time, so they go first.
    fn take_far(&mut self) {
        let mut taken = 0;
        while let Some(Reverse(entry)) = self.far.peek()
            && bucket_of(entry.at) == self.bucket
        {
            self.current.insert(taken, Entry { at: entry.at, event: entry.event });
            taken += 1;
            self.far.pop();
        }
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
