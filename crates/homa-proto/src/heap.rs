//! Indexed 4-ary min-heaps: ordered sets of slots whose keys can be changed or removed at any time.
//!
//! The schedulers keep messages in the order of their remaining bytes, which change with every
//! packet. A plain binary heap cannot find the entry to change and a tree allocates per node; here
//! a position array, indexed by slot, says where each slot's entry lies. Four children per node
//! halve the depth, and with it the moves, against two.
//!
//! Several heaps may share one position array as long as no slot is in two of them
//! ([`HeapEntries`], [`Positions`]); [`IndexedHeap`] is the common case of one heap with its own.

use alloc::vec::Vec;

use crate::error::NoMemory;

/// Children per node.
const ARITY: usize = 4;

/// The position of a slot that is in no heap.
const ABSENT: u32 = u32::MAX;

/// Where each slot's entry lies in the heap that holds it.
#[derive(Debug, Default)]
pub(crate) struct Positions(Vec<u32>);

impl Positions {
    /// No slot is known.
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Makes room for slots 0 to `slot`.
    ///
    /// # Errors
    ///
    /// [`NoMemory`] if the array cannot grow.
    pub(crate) fn reserve_slot(&mut self, slot: u32) -> Result<(), NoMemory> {
        let needed = slot as usize + 1;
        if needed > self.0.len() {
            self.0.try_reserve(needed - self.0.len()).map_err(|_| NoMemory)?;
            self.0.resize(needed, ABSENT);
        }
        Ok(())
    }

    /// Number of slots there is room for.
    pub(crate) fn slots(&self) -> usize {
        self.0.len()
    }

    fn at(&self, slot: u32) -> Option<usize> {
        self.0.get(slot as usize).filter(|&&at| at != ABSENT).map(|&at| at as usize)
    }
}

/// The entries of one heap. Every call takes the position array that the heap was built with.
#[derive(Debug)]
pub(crate) struct HeapEntries<K> {
    entries: Vec<(K, u32)>,
}

impl<K> Default for HeapEntries<K> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<K: Ord + Copy> HeapEntries<K> {
    /// Makes room for `total` entries.
    ///
    /// # Errors
    ///
    /// [`NoMemory`] if the array cannot grow.
    pub(crate) fn reserve(&mut self, total: usize) -> Result<(), NoMemory> {
        let additional = total.saturating_sub(self.entries.len());
        self.entries.try_reserve(additional).map_err(|_| NoMemory)
    }

    /// Inserts `slot`, which must be in no other heap of `positions`, or changes its key.
    ///
    /// # Panics
    ///
    /// If `slot` was not reserved in `positions`. Room for the entry must have been reserved too,
    /// or else this allocates without a way to report failure.
    pub(crate) fn set(&mut self, positions: &mut Positions, slot: u32, key: K) {
        match positions.at(slot) {
            Some(at) => self.rekey(positions, at, key),
            None => {
                debug_assert!(self.entries.len() < self.entries.capacity(), "room not reserved");
                let at = self.entries.len();
                self.entries.push((key, slot));
                self.sift_up(positions, at);
            }
        }
    }

    /// Takes `slot` out and returns its key.
    #[inline]
    pub(crate) fn remove(&mut self, positions: &mut Positions, slot: u32) -> Option<K> {
        positions.at(slot).map(|at| self.remove_at(positions, at, slot))
    }

    fn remove_at(&mut self, positions: &mut Positions, at: usize, slot: u32) -> K {
        let last = self.entries.len() - 1;
        let (key, removed) = self.entries.swap_remove(at);
        debug_assert_eq!(removed, slot, "the slot is in another heap");
        positions.0[slot as usize] = ABSENT;
        if at < last {
            let at = self.sift_up(positions, at);
            self.sift_down(positions, at);
        }
        key
    }

    /// Gives the memory back if there are no entries and more room than `entries_max`.
    pub(crate) fn release_if_larger(&mut self, entries_max: usize) {
        if self.entries.is_empty() && self.entries.capacity() > entries_max {
            self.entries = Vec::new();
        }
    }

    /// The slot with the smallest key, and that key.
    pub(crate) fn peek(&self) -> Option<(u32, K)> {
        self.entries.first().map(|&(key, slot)| (slot, key))
    }

    /// The key of `slot`.
    pub(crate) fn key(&self, positions: &Positions, slot: u32) -> Option<K> {
        let &(key, found) = self.entries.get(positions.at(slot)?)?;
        (found == slot).then_some(key)
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All slots and keys, in no useful order; for invariant checks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, K)> {
        self.entries.iter().map(|&(key, slot)| (slot, key))
    }

    fn rekey(&mut self, positions: &mut Positions, at: usize, key: K) {
        self.entries[at].0 = key;
        let at = self.sift_up(positions, at);
        self.sift_down(positions, at);
    }

    /// Moves the entry at `at` towards the root until its parent is not larger. At most one step
    /// per level.
    fn sift_up(&mut self, positions: &mut Positions, mut at: usize) -> usize {
        let entries = self.entries.as_mut_slice();
        let moving = entries[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if entries[parent].0 <= moving.0 {
                break;
            }
            place(entries, positions, at, entries[parent]);
            at = parent;
        }
        place(entries, positions, at, moving);
        at
    }

    /// Moves the entry at `at` towards the leaves until no child is smaller. At most one step per
    /// level.
    fn sift_down(&mut self, positions: &mut Positions, mut at: usize) {
        let entries = self.entries.as_mut_slice();
        let moving = entries[at];
        loop {
            let first = at * ARITY + 1;
            let end = (first + ARITY).min(entries.len());
            let Some(children) = entries.get(first..end).filter(|children| !children.is_empty())
            else {
                break;
            };
            let (mut child, mut smallest) = (first, children[0]);
            for (other, &entry) in (first..).zip(children).skip(1) {
                if entry.0 < smallest.0 {
                    (child, smallest) = (other, entry);
                }
            }
            if moving.0 <= smallest.0 {
                break;
            }
            place(entries, positions, at, smallest);
            at = child;
        }
        place(entries, positions, at, moving);
    }
}

fn place<K>(entries: &mut [(K, u32)], positions: &mut Positions, at: usize, entry: (K, u32)) {
    // Positions fit: an entry per slot, and slots are u32.
    positions.0[entry.1 as usize] = at as u32;
    entries[at] = entry;
}

/// One heap with its own position array.
#[derive(Debug)]
pub(crate) struct IndexedHeap<K> {
    positions: Positions,
    heap: HeapEntries<K>,
}

impl<K: Ord + Copy> IndexedHeap<K> {
    /// An empty heap that holds no memory.
    pub(crate) fn new() -> Self {
        Self { positions: Positions::new(), heap: HeapEntries::default() }
    }

    /// Makes sure that [`set`](Self::set) cannot fail for slots 0 to `slot`.
    ///
    /// # Errors
    ///
    /// [`NoMemory`] if an array cannot grow.
    pub(crate) fn reserve_slot(&mut self, slot: u32) -> Result<(), NoMemory> {
        // In this order: who failed leaves no position without room for its entry, which would have
        // `set` fail for slots that others have reserved.
        self.heap.reserve(self.positions.slots().max(slot as usize + 1))?;
        self.positions.reserve_slot(slot)
    }

    /// Inserts `slot`, or changes its key.
    ///
    /// # Errors
    ///
    /// [`NoMemory`] if the slot was not reserved and the arrays cannot grow.
    pub(crate) fn set(&mut self, slot: u32, key: K) -> Result<(), NoMemory> {
        if slot as usize >= self.positions.slots() {
            self.reserve_slot(slot)?;
        }
        self.heap.set(&mut self.positions, slot, key);
        Ok(())
    }

    /// Takes `slot` out and returns its key.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<K> {
        self.heap.remove(&mut self.positions, slot)
    }

    /// Takes out the slot with the smallest key.
    #[cfg(test)]
    pub(crate) fn pop(&mut self) -> Option<(u32, K)> {
        let (slot, key) = self.heap.peek()?;
        self.remove(slot);
        Some((slot, key))
    }

    /// The slot with the smallest key, and that key.
    pub(crate) fn peek(&self) -> Option<(u32, K)> {
        self.heap.peek()
    }

    /// The key of `slot`.
    pub(crate) fn key(&self, slot: u32) -> Option<K> {
        self.heap.key(&self.positions, slot)
    }

    /// Number of slots in the heap.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no slot is in the heap.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(Clone, Debug)]
    enum Op {
        Set(u32, u16),
        Remove(u32),
        Pop,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0..40u32, 0..50u16).prop_map(|(slot, key)| Op::Set(slot, key)),
            2 => (0..45u32).prop_map(Op::Remove),
            1 => Just(Op::Pop),
        ]
    }

    fn check_heap(heap: &HeapEntries<(u16, u32)>, positions: &Positions) {
        for (at, &(key, slot)) in heap.entries.iter().enumerate() {
            assert_eq!(positions.at(slot), Some(at));
            assert!(at == 0 || heap.entries[(at - 1) / ARITY].0 <= key);
        }
    }

    proptest! {
        /// Behaves like an ordered set of (key, slot) pairs.
        #[test]
        fn indexed_heap__equals_ordered_set(ops in prop::collection::vec(op(), 0..300)) {
            let mut heap = IndexedHeap::new();
            let mut model = BTreeSet::new();
            let mut keys = BTreeMap::new();
            for op in ops {
                match op {
                    Op::Set(slot, key) => {
                        let key = (key, slot);
                        heap.set(slot, key).unwrap();
                        if let Some(old) = keys.insert(slot, key) {
                            model.remove(&old);
                        }
                        model.insert(key);
                    }
                    Op::Remove(slot) => {
                        let removed = keys.remove(&slot);
                        prop_assert_eq!(heap.remove(slot), removed);
                        removed.map(|key| model.remove(&key));
                    }
                    Op::Pop => {
                        let first = model.pop_first();
                        first.map(|(_, slot)| keys.remove(&slot));
                        prop_assert_eq!(heap.pop(), first.map(|key| (key.1, key)));
                    }
                }
                prop_assert_eq!(heap.peek(), model.first().map(|&key| (key.1, key)));
                prop_assert_eq!(heap.len(), model.len());
                prop_assert_eq!(heap.is_empty(), model.is_empty());
                check_heap(&heap.heap, &heap.positions);
                for slot in 0..45 {
                    prop_assert_eq!(heap.key(slot), keys.get(&slot).copied());
                }
            }
        }

        /// Two heaps over one position array keep their slots apart.
        #[test]
        fn heap_entries__share_positions(
            moves in prop::collection::vec((0..20u32, 0..2usize, any::<u16>()), 0..200)
        ) {
            let mut positions = Positions::new();
            positions.reserve_slot(19).unwrap();
            let mut heaps = [HeapEntries::default(), HeapEntries::default()];
            heaps.iter_mut().for_each(|heap| heap.reserve(20).unwrap());
            let mut model: [BTreeMap<u32, (u16, u32)>; 2] = Default::default();
            for (slot, to, key) in moves {
                let from = 1 - to;
                if model[from].remove(&slot).is_some() {
                    heaps[from].remove(&mut positions, slot).unwrap();
                }
                heaps[to].set(&mut positions, slot, (key, slot));
                model[to].insert(slot, (key, slot));
                for (heap, model) in heaps.iter().zip(&model) {
                    check_heap(heap, &positions);
                    prop_assert_eq!(heap.peek().map(|first| first.1), model.values().min().copied());
                    for slot in 0..20 {
                        prop_assert_eq!(heap.key(&positions, slot), model.get(&slot).copied());
                    }
                }
            }
        }
    }

    #[test]
    fn release_if_larger__only_when_empty_and_large() {
        let mut positions = Positions::new();
        positions.reserve_slot(0).unwrap();
        let mut heap = HeapEntries::default();
        heap.reserve(100).unwrap();
        heap.set(&mut positions, 0, 1u8);
        heap.release_if_larger(10);
        assert_eq!(heap.peek(), Some((0, 1)));
        heap.remove(&mut positions, 0);
        heap.release_if_larger(1_000);
        assert!(heap.entries.capacity() >= 100);
        heap.release_if_larger(10);
        assert_eq!(heap.entries.capacity(), 0);
    }
}
