//! Generational storage: values in a vector, reached by keys that are never valid twice.
//!
//! A hash map from ids would cost a probe per packet and iterate in an order that differs from run
//! to run; a slot index costs one bounds check, and the generation beside it tells a late user of a
//! key that its value is gone.

use alloc::vec::Vec;

/// Names one RPC of one endpoint, from its creation until the endpoint forgets it.
///
/// A key is local to the endpoint that made it and never appears in packets. It is the index of a
/// storage slot and the number of times that slot was vacated before, so that a key kept beyond
/// the end of its RPC is never mistaken for the key of a later RPC in the same slot (short of
/// 2^32 RPCs having passed through that one slot in between).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RpcKey {
    slot: u32,
    generation: u32,
}

impl RpcKey {
    /// The index of the storage slot: small, dense, and reused by later RPCs. An array kept beside
    /// the endpoint can be indexed with it.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.slot
    }

    /// How often the slot had been vacated (modulo 2^32) when this key was made.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

/// Why a value could not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlabError {
    /// As many values as allowed are stored already.
    Full,
    /// Memory could not be allocated.
    NoMemory,
}

/// Up to a fixed number of values of one type, each under an [`RpcKey`].
///
/// Memory grows with the number of values held at once and is kept for reuse.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// The slot vacated last: the one most likely to be in the cache still.
    first_free: Option<u32>,
    len: u32,
    capacity_max: u32,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    Occupied(T),
    Vacant { next_free: Option<u32> },
}

impl<T> Slab<T> {
    /// An empty slab for at most `capacity_max` values. Allocates nothing yet.
    pub(crate) const fn new(capacity_max: u32) -> Self {
        Self { entries: Vec::new(), first_free: None, len: 0, capacity_max }
    }

    /// Stores `value` in the slot vacated last, or in a new one.
    ///
    /// # Errors
    /// [`SlabError::Full`] if `capacity_max` values are stored, [`SlabError::NoMemory`] if a slot
    /// could not be allocated; `value` is dropped.
    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> Result<RpcKey, SlabError> {
        let slot = match self.first_free {
            Some(slot) => slot,
            None => self.append_vacant()?,
        };
        let entry = &mut self.entries[slot as usize];
        if let Content::Vacant { next_free } = entry.content {
            self.first_free = next_free;
        }
        entry.content = Content::Occupied(value);
        self.len += 1;
        Ok(RpcKey { slot, generation: entry.generation })
    }

    /// Drops the value under `key` in its place; whether there was one.
    pub(crate) fn remove(&mut self, key: RpcKey) -> bool {
        let Some(entry) = self.entries.get_mut(key.slot as usize) else { return false };
        if entry.generation != key.generation || matches!(entry.content, Content::Vacant { .. }) {
            return false;
        }
        entry.content = Content::Vacant { next_free: self.first_free };
        entry.generation = entry.generation.wrapping_add(1);
        self.first_free = Some(key.slot);
        self.len -= 1;
        true
    }

    /// The value under `key`, unless it was removed.
    pub(crate) fn get_mut(&mut self, key: RpcKey) -> Option<&mut T> {
        match self.entries.get_mut(key.slot as usize)? {
            Entry { generation, content: Content::Occupied(value) }
                if *generation == key.generation =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// The value that is in `slot` now.
    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        match &mut self.entries.get_mut(slot as usize)?.content {
            Content::Occupied(value) => Some(value),
            Content::Vacant { .. } => None,
        }
    }

    /// The value under `key`, unless it was removed.
    pub(crate) fn get(&self, key: RpcKey) -> Option<&T> {
        match self.entries.get(key.slot as usize)? {
            Entry { generation, content: Content::Occupied(value) }
                if *generation == key.generation =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// The value that is in `slot` now.
    pub(crate) fn at(&self, slot: u32) -> Option<&T> {
        match &self.entries.get(slot as usize)?.content {
            Content::Occupied(value) => Some(value),
            Content::Vacant { .. } => None,
        }
    }

    /// The key of the value that is in `slot` now.
    pub(crate) fn key_at(&self, slot: u32) -> Option<RpcKey> {
        match self.entries.get(slot as usize)? {
            Entry { generation, content: Content::Occupied(_) } => {
                Some(RpcKey { slot, generation: *generation })
            }
            _ => None,
        }
    }

    /// Whether no further value can be stored.
    pub(crate) const fn is_full(&self) -> bool {
        self.len >= self.capacity_max
    }

    /// How many values are stored.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Whether nothing is stored.
    #[cfg(test)]
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many slots were ever used: every slot index is below this.
    pub(crate) fn slots(&self) -> u32 {
        // Never truncates: `append_vacant` stops at `capacity_max`, a u32.
        self.entries.len() as u32
    }

    /// All values with their keys, by ascending slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RpcKey, &T)> {
        (0..self.slots()).zip(&self.entries).filter_map(|(slot, entry)| match &entry.content {
            Content::Occupied(value) => {
                Some((RpcKey { slot, generation: entry.generation }, value))
            }
            Content::Vacant { .. } => None,
        })
    }

    /// Adds one slot at the end and returns its index. The free list is not touched.
    fn append_vacant(&mut self) -> Result<u32, SlabError> {
        let slots = self.slots();
        if slots >= self.capacity_max {
            return Err(SlabError::Full);
        }
        if self.entries.len() == self.entries.capacity() {
            // Doubles like `Vec` does, but never allocates for more than `capacity_max`.
            let more = slots.max(4).min(self.capacity_max - slots);
            self.entries.try_reserve_exact(more as usize).map_err(|_| SlabError::NoMemory)?;
        }
        self.entries.push(Entry { generation: 0, content: Content::Vacant { next_free: None } });
        Ok(slots)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn insert__fails_when_full_and_works_again_after_remove() {
        let mut slab = Slab::new(2);
        let a = slab.insert('a').unwrap();
        let b = slab.insert('b').unwrap();
        assert_eq!(slab.insert('c'), Err(SlabError::Full));
        assert!(slab.remove(a));
        let c = slab.insert('c').unwrap();
        assert_eq!(c.slot(), a.slot());
        assert_ne!(c, a);
        assert_eq!((slab.get(a), slab.get(b), slab.get(c)), (None, Some(&'b'), Some(&'c')));
    }

    #[test]
    fn insert__with_no_capacity_is_full() {
        assert_eq!(Slab::new(0).insert(()), Err(SlabError::Full));
    }

    #[test]
    fn insert__reuses_the_slot_vacated_last() {
        let mut slab = Slab::new(10);
        let keys: Vec<_> = (0..4).map(|n| slab.insert(n).unwrap()).collect();
        slab.remove(keys[1]);
        slab.remove(keys[3]);
        assert_eq!(slab.insert(7).unwrap().slot(), 3);
        assert_eq!(slab.insert(8).unwrap().slot(), 1);
        assert_eq!(slab.insert(9).unwrap().slot(), 4);
        assert_eq!(slab.slots(), 5);
    }

    #[test]
    fn insert__allocates_no_more_than_the_limit() {
        let mut slab = Slab::new(5);
        while slab.insert(0u64).is_ok() {}
        assert_eq!((slab.len(), slab.entries.capacity()), (5, 5));
    }

    #[test]
    fn remove__of_a_stale_key_changes_nothing() {
        let mut slab = Slab::new(1);
        let old = slab.insert(1).unwrap();
        slab.remove(old);
        assert!(!slab.remove(old));
        let new = slab.insert(2).unwrap();
        assert!(!slab.remove(old));
        assert_eq!(slab.get_mut(old), None);
        assert_eq!(slab.get_mut(new), Some(&mut 2));
    }

    #[test]
    fn remove__wraps_the_generation() {
        let mut slab = Slab::new(1);
        let key = slab.insert(()).unwrap();
        slab.entries[0].generation = u32::MAX;
        assert_eq!(slab.get(key), None);
        let last = slab.key_at(0).unwrap();
        assert!(slab.remove(last));
        assert_eq!(slab.insert(()).unwrap().generation(), 0);
    }

    proptest! {
        #[test]
        fn slab__agrees_with_a_map(ops in prop::collection::vec((any::<bool>(), 0usize..64), 0..300)) {
            let mut slab = Slab::new(20);
            let mut model = BTreeMap::new();
            let mut keys: Vec<RpcKey> = Vec::new();
            for (step, (insert, pick)) in ops.into_iter().enumerate() {
                if insert || keys.is_empty() {
                    match slab.insert(step) {
                        Ok(key) => {
                            prop_assert!(!keys.contains(&key), "a key was handed out twice");
                            keys.push(key);
                            model.insert(key, step);
                        }
                        Err(error) => {
                            prop_assert_eq!(error, SlabError::Full);
                            prop_assert_eq!(model.len(), 20);
                        }
                    }
                } else {
                    let key = keys[pick % keys.len()];
                    prop_assert_eq!(slab.remove(key), model.remove(&key).is_some());
                }
                prop_assert_eq!(slab.len() as usize, model.len());
                prop_assert_eq!(slab.is_empty(), model.is_empty());
                for key in &keys {
                    prop_assert_eq!(slab.get(*key), model.get(key));
                }
                let stored: BTreeMap<_, _> = slab.iter().map(|(key, value)| (key, *value)).collect();
                prop_assert_eq!(&stored, &model);
                for (key, value) in &mut model {
                    prop_assert_eq!(slab.at(key.slot()), Some(&*value));
                    prop_assert_eq!(slab.at_mut(key.slot()), Some(value));
                    prop_assert_eq!(slab.key_at(key.slot()), Some(*key));
                    prop_assert!(key.slot() < slab.slots());
                }
                prop_assert_eq!(slab.at(slab.slots()), None);
            }
        }
    }
}
