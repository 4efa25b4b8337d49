//! The ids of a client's finished RPCs, so that no request is executed twice.
//!
//! When a server has forgotten an RPC, a copy of its request that was held up in the network must
//! not create it anew (HOMA-ONCE-3). So the ids are remembered for longer than packets live
//! (HOMA-ONCE-7; PROTOCOL section 6). A client numbers its RPCs upwards, two by two: a bit for each
//! of 64 neighbouring ids is far smaller than the ids, and stays exact, unlike a window that slides
//! with the newest id or a Bloom filter.

use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::quality::FixedState;

use crate::index_table::IndexTable;
use crate::time::{Duration, Instant};

/// What became of an id that was to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// It is remembered for at least the time that was asked for, and so are the earlier ones.
    Ok,
    /// It is remembered, but the limit was reached and the older of the ids were forgotten for it,
    /// maybe too early.
    ForgotEarly,
    /// It could not be remembered for lack of memory.
    NoMemory,
}

/// The ids of finished RPCs of one client, for a bounded time and in bounded memory.
///
/// Ids are recorded in the current generation. When that has lasted for the memory time it becomes
/// the previous one, which is forgotten as a whole, so an id is remembered for between one and two
/// memory times and needs no time stamp. Generations change only when the record is used; one that
/// nobody uses costs nothing. The lowest bit of an id only tells client from server and is ignored.
#[derive(Debug)]
pub(crate) struct FinishedIds {
    /// Keyed, so that a client cannot choose ids that all collide.
    hasher: FixedState,
    /// Since when ids are recorded in `current`.
    since: Instant,
    current: Generation,
    previous: Generation,
}

impl FinishedIds {
    /// Remembers nothing, and allocates nothing. `seed` keys the hash of ids: draw it at random.
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            since: Instant::ZERO,
            current: Generation::new(),
            previous: Generation::new(),
        }
    }

    /// Remembers that the RPC `id` finished at `now`, for at least `memory` from then.
    ///
    /// `ids_max` (0 counts as 1) limits the groups of 128 consecutive ids, client's and server's,
    /// of each of the two generations; a group takes about 32 bytes. `memory` should be the same
    /// in all calls, and `now` never less than before.
    pub(crate) fn record(
        &mut self,
        now: Instant,
        id: u64,
        memory: Duration,
        ids_max: usize,
    ) -> Recorded {
        self.rotate(now, memory);
        let group = Group::of(id);
        let hash = self.hasher.hash_one(group.number);
        if self.current.add(hash, group) {
            return Recorded::Ok;
        }
        let mut recorded = Recorded::Ok;
        if self.current.groups.len() >= ids_max.max(1) {
            if !self.previous.groups.is_empty() {
                recorded = Recorded::ForgotEarly;
            }
            self.previous = core::mem::replace(&mut self.current, Generation::new());
            self.since = now;
        }
        if self.current.append(hash, group) { recorded } else { Recorded::NoMemory }
    }

    /// Whether the RPC `id` is remembered to have finished, less than twice `memory` ago.
    ///
    /// Never true for an id that was not recorded. Takes `&mut self` to drop what is too old.
    pub(crate) fn contains(&mut self, now: Instant, id: u64, memory: Duration) -> bool {
        self.rotate(now, memory);
        let group = Group::of(id);
        let hash = self.hasher.hash_one(group.number);
        self.current.contains(hash, group) || self.previous.contains(hash, group)
    }

    /// Groups of ids remembered, about 32 bytes each.
    pub(crate) fn groups(&self) -> usize {
        self.current.groups.len() + self.previous.groups.len()
    }

    /// Starts a new generation if the current one has lasted for `memory`, and forgets both if it
    /// has lasted for twice that. Gives their memory back.
    pub(crate) fn rotate(&mut self, now: Instant, memory: Duration) {
        let lasted = now.saturating_since(self.since);
        if lasted < memory {
            return;
        }
        self.previous = core::mem::replace(&mut self.current, Generation::new());
        self.since += memory;
        if lasted.saturating_sub(memory) >= memory {
            self.previous = Generation::new();
            self.since = now;
        }
    }
}

/// A set of ids. The index finds a group by its number.
#[derive(Debug)]
struct Generation {
    index: IndexTable,
    groups: Vec<Group>,
}

/// Which of 64 consecutive ids, lowest bit aside, are in the set.
#[derive(Clone, Copy, Debug)]
struct Group {
    number: u64,
    ids: u64,
}

impl Group {
    /// The group that has just `id`.
    const fn of(id: u64) -> Self {
        Self { number: id >> 7, ids: 1 << (id >> 1 & 63) }
    }
}

impl Generation {
    const fn new() -> Self {
        Self { index: IndexTable::new(), groups: Vec::new() }
    }

    /// Adds the ids of `group` if the set has some of this number already.
    fn add(&mut self, hash: u64, group: Group) -> bool {
        let Some(known) = self.find(hash, group.number) else { return false };
        self.groups[known].ids |= group.ids;
        true
    }

    /// Adds `group`, of whose number the set has none. False, and no change, for lack of memory.
    fn append(&mut self, hash: u64, group: Group) -> bool {
        let Ok(place) = u32::try_from(self.groups.len()) else { return false };
        if self.groups.try_reserve(1).is_err() || self.index.insert(hash, place).is_err() {
            return false;
        }
        self.groups.push(group);
        true
    }

    /// Whether the set has all ids of `group`.
    fn contains(&self, hash: u64, group: Group) -> bool {
        self.find(hash, group.number).is_some_and(|known| self.groups[known].ids & group.ids != 0)
    }

    fn find(&self, hash: u64, number: u64) -> Option<usize> {
        let same_number = |place: u32| self.groups[place as usize].number == number;
        self.index.find(hash, same_number).map(|place| place as usize)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;

    const MEMORY: Duration = Duration::from_secs(1);

    fn at_millis(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn allocated(ids: &FinishedIds) -> usize {
        ids.current.groups.capacity() + ids.previous.groups.capacity()
    }

    #[test]
    fn new__allocates_nothing() {
        let mut ids = FinishedIds::new(1);
        assert!(!ids.contains(at_millis(5), 2, MEMORY));
        assert_eq!(allocated(&ids), 0);
    }

    /// HOMA-ONCE-7: a long-delayed request packet is recognised, from either side's form of the id.
    #[test]
    fn contains__finds_the_id_in_either_form_and_no_neighbour() {
        let mut ids = FinishedIds::new(1);
        let now = at_millis(10_000);
        for id in [1_001, 4_000, u64::MAX, 0] {
            assert_eq!(ids.record(now, id, MEMORY, 10), Recorded::Ok);
            assert!(ids.contains(now, id, MEMORY) && ids.contains(now, id ^ 1, MEMORY));
        }
        for id in [998, 1_002, 3_998, 4_002, u64::MAX - 2, 2, 128] {
            assert!(!ids.contains(now, id, MEMORY), "{id} was not recorded");
        }
    }

    #[test]
    fn contains__remembers_for_one_to_two_memory_times() {
        let mut ids = FinishedIds::new(1);
        ids.record(at_millis(10_000), 2, MEMORY, 10);
        ids.record(at_millis(10_900), 4, MEMORY, 10);
        assert!(ids.contains(at_millis(11_900), 2, MEMORY));
        assert!(ids.contains(at_millis(11_999), 4, MEMORY));
        assert!(!ids.contains(at_millis(12_000), 2, MEMORY));
        assert!(!ids.contains(at_millis(12_000), 4, MEMORY));
    }

    #[test]
    fn contains__returns_the_memory_after_a_long_time() {
        let mut ids = FinishedIds::new(1);
        ids.record(at_millis(10_000), 2, MEMORY, 10);
        assert!(allocated(&ids) > 0);
        assert!(!ids.contains(at_millis(1_000_000), 2, MEMORY));
        assert_eq!(allocated(&ids), 0);
    }

    #[test]
    fn record__of_consecutive_ids_takes_one_group_for_64() {
        let mut ids = FinishedIds::new(1);
        let first = 1 << 40;
        for id in (first..first + 64_000 * 2).step_by(2) {
            assert_eq!(ids.record(at_millis(10_000), id, MEMORY, 1_000), Recorded::Ok);
        }
        assert_eq!(ids.current.groups.len(), 1_000);
        assert!((first..first + 64_000 * 2).all(|id| ids.contains(at_millis(10_000), id, MEMORY)));
    }

    #[test]
    fn record__beyond_the_limit_forgets_the_older_ids() {
        let mut ids = FinishedIds::new(1);
        let now = at_millis(10_000);
        let results: Vec<_> = (0..5).map(|group| ids.record(now, group * 128, MEMORY, 2)).collect();
        let forgot = Recorded::ForgotEarly;
        assert_eq!(results, [Recorded::Ok, Recorded::Ok, Recorded::Ok, Recorded::Ok, forgot]);
        let known: Vec<_> = (0..5).filter(|group| ids.contains(now, group * 128, MEMORY)).collect();
        assert_eq!(known, [2, 3, 4]);
    }

    #[test]
    fn record__with_a_limit_of_nothing_remembers_something() {
        let mut ids = FinishedIds::new(1);
        assert_eq!(ids.record(at_millis(1), 6, MEMORY, 0), Recorded::Ok);
        assert!(ids.contains(at_millis(1), 6, MEMORY));
    }

    proptest! {
        /// HOMA-ONCE-3: within the memory time no finished id is forgotten, and a new one is never
        /// mistaken for a finished one.
        #[test]
        fn finished_ids__agree_with_a_list(
            seed in any::<u64>(),
            ids_max in 1usize..12,
            ops in prop::collection::vec(
                (0u64..1_400, prop_oneof![4 => 0u64..100, 1 => 0u64..3_000], any::<bool>()),
                0..200,
            ),
        ) {
            let mut ids = FinishedIds::new(seed);
            // (id, when), newest last. What may have been forgotten early is kept apart.
            let mut certain: Vec<(u64, Instant)> = Vec::new();
            let mut doubtful: Vec<(u64, Instant)> = Vec::new();
            let mut now = at_millis(7);
            for (step, (id, pass_millis, record)) in ops.into_iter().enumerate() {
                now += Duration::from_millis(pass_millis);
                if record {
                    if ids.record(now, id, MEMORY, ids_max) == Recorded::ForgotEarly {
                        doubtful.append(&mut certain);
                    }
                    certain.push((id, now));
                }
                let age_of = |known: &[(u64, Instant)], id: u64| {
                    let newest = known.iter().rev().find(|(known, _)| known >> 1 == id >> 1);
                    newest.map_or(Duration::MAX, |(_, at)| now.saturating_since(*at))
                };
                // All ids in turn, some after each step.
                for id in (step as u64 % 16..1_400).step_by(16).chain([id]) {
                    let (sure, doubt) = (age_of(&certain, id), age_of(&doubtful, id));
                    let known = ids.contains(now, id, MEMORY);
                    prop_assert!(known || sure >= MEMORY, "{id} was forgotten");
                    let newest = sure.min(doubt);
                    prop_assert!(!known || newest < MEMORY.saturating_mul(2), "{id} is too old");
                }
                for generation in [&ids.current, &ids.previous] {
                    prop_assert!(generation.groups.len() <= ids_max);
                }
            }
        }
    }
}
