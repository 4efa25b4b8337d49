//! A hash index: finds the slot of an entry whose key lives elsewhere.
//!
//! Keys such as (address, id) are stored once, in the slab entry that they name; the table holds
//! only eight bytes an entry, so that a lookup touches one cache line here and one there. It cannot
//! be iterated, since the order of a hash table must never decide what the protocol does.

use alloc::vec::Vec;

use crate::error::NoMemory;

/// Slots by the 64-bit hash of their keys: open addressing with linear probing.
#[derive(Debug)]
pub(crate) struct IndexTable {
    /// Empty, or a power of two long and at most 7/8 full, so that every probe meets a vacant cell.
    cells: Vec<Cell>,
    len: u32,
}

/// One place of the table. The hash is kept so that growing needs no keys, and so that a
/// comparison of keys is all but certain to succeed.
#[derive(Clone, Copy, Debug)]
struct Cell {
    hash: u32,
    slot: u32,
}

const VACANT: Cell = Cell { hash: 0, slot: u32::MAX };
const CELLS_MIN: usize = 8;
/// With more cells than this, 32 bits of hash would not spread entries over them.
const CELLS_MAX: usize = 1 << 31;

impl Cell {
    const fn is_vacant(self) -> bool {
        self.slot == VACANT.slot
    }
}

impl IndexTable {
    /// An empty table. Allocates nothing yet.
    pub(crate) const fn new() -> Self {
        Self { cells: Vec::new(), len: 0 }
    }

    /// Enters `slot` under `hash`. The caller guarantees that this slot is not in the table yet and
    /// that `slot` is not `u32::MAX` (which a [`Slab`](crate::slab::Slab) never uses).
    ///
    /// # Errors
    /// [`NoMemory`] if the table had to grow and could not.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) -> Result<(), NoMemory> {
        debug_assert_ne!(slot, VACANT.slot, "slot number reserved for vacant cells");
        if (self.len as usize + 1) * 8 > self.cells.len() * 7 {
            self.grow()?;
        }
        place(&mut self.cells, Cell { hash: fold(hash), slot });
        self.len += 1;
        Ok(())
    }

    /// Takes out `slot`, which was entered under `hash`. False if it is not in the table.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) -> bool {
        let Some(at) = self.position(fold(hash), |candidate| candidate == slot) else {
            return false;
        };
        self.close_hole(at);
        self.len -= 1;
        true
    }

    /// The slot entered under `hash` for which `is_match` holds. `is_match` compares the keys; it
    /// is called only for slots whose hash agrees in 32 bits.
    pub(crate) fn find(&self, hash: u64, is_match: impl FnMut(u32) -> bool) -> Option<u32> {
        self.position(fold(hash), is_match).map(|at| self.cells[at].slot)
    }

    /// How many slots are in the table.
    #[cfg(test)]
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// The cell that holds `hash` and a matching slot. Visits at most one run of occupied cells.
    fn position(&self, hash: u32, mut is_match: impl FnMut(u32) -> bool) -> Option<usize> {
        let mask = self.cells.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let cell = self.cells[at];
            if cell.is_vacant() {
                return None;
            }
            if cell.hash == hash && is_match(cell.slot) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    /// Vacates the cell at `hole` and moves later cells of its run back, so that no probe that
    /// has to pass the hole stops there. Unlike tombstones this leaves nothing to clean up later.
    fn close_hole(&mut self, mut hole: usize) {
        let mask = self.cells.len() - 1;
        let mut at = (hole + 1) & mask;
        while !self.cells[at].is_vacant() {
            let home = self.cells[at].hash as usize & mask;
            let from_home = at.wrapping_sub(home) & mask;
            let from_hole = at.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.cells[hole] = self.cells[at];
                hole = at;
            }
            at = (at + 1) & mask;
        }
        self.cells[hole] = VACANT;
    }

    fn grow(&mut self) -> Result<(), NoMemory> {
        let count = (self.cells.len() * 2).max(CELLS_MIN);
        if count > CELLS_MAX {
            return Err(NoMemory);
        }
        let mut cells = Vec::new();
        cells.try_reserve_exact(count).map_err(|_| NoMemory)?;
        cells.resize(count, VACANT);
        for cell in self.cells.iter().filter(|cell| !cell.is_vacant()) {
            place(&mut cells, *cell);
        }
        self.cells = cells;
        Ok(())
    }
}

/// Puts `cell` into the first vacant place from its home on.
fn place(cells: &mut [Cell], cell: Cell) {
    let mask = cells.len() - 1;
    let mut at = cell.hash as usize & mask;
    while !cells[at].is_vacant() {
        at = (at + 1) & mask;
    }
    cells[at] = cell;
}

/// Uses all 64 bits, whichever half of them the hash function mixes better.
const fn fold(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Every occupied cell is reachable from its home, and the load is within its limit.
    fn check(table: &IndexTable) {
        let occupied = table.cells.iter().filter(|cell| !cell.is_vacant()).count();
        assert_eq!(occupied, table.len() as usize);
        assert!(occupied * 8 <= table.cells.len() * 7);
        for cell in table.cells.iter().filter(|cell| !cell.is_vacant()) {
            assert!(table.position(cell.hash, |slot| slot == cell.slot).is_some());
        }
    }

    #[test]
    fn find__in_an_empty_table() {
        assert_eq!(IndexTable::new().find(5, |_| true), None);
        assert!(!IndexTable::new().remove(5, 0));
    }

    #[test]
    fn find__tells_equal_hashes_apart_by_key() {
        let mut table = IndexTable::new();
        for slot in 0..100 {
            table.insert(u64::MAX, slot).unwrap();
        }
        for slot in 0..100 {
            assert_eq!(table.find(u64::MAX, |found| found == slot), Some(slot));
        }
        assert_eq!(table.find(u64::MAX, |_| false), None);
    }

    #[test]
    fn find__compares_keys_only_where_the_hash_agrees() {
        let mut table = IndexTable::new();
        for slot in 0..7 {
            table.insert(u64::from(slot) * 8, slot).unwrap();
        }
        let mut compared = Vec::new();
        table.find(3 * 8, |slot| {
            compared.push(slot);
            false
        });
        assert_eq!(compared, [3]);
    }

    #[test]
    fn remove__closes_holes_across_the_end_of_the_table() {
        let mut table = IndexTable::new();
        // Homes 7, 7, 7, 0: the run wraps from the last cell of eight to the first ones.
        for (slot, hash) in [7, 15, 23, 8].into_iter().enumerate() {
            table.insert(hash, slot as u32).unwrap();
        }
        assert_eq!(table.cells.len(), 8);
        assert!(table.remove(7, 0));
        check(&table);
        assert_eq!(table.find(8, |slot| slot == 3), Some(3));
    }

    #[test]
    fn insert__grows_only_beyond_seven_eighths() {
        let mut table = IndexTable::new();
        for slot in 0..14 {
            table.insert(u64::from(slot), slot).unwrap();
        }
        assert_eq!(table.cells.len(), 16);
        table.insert(14, 14).unwrap();
        assert_eq!(table.cells.len(), 32);
    }

    proptest! {
        /// Few different hashes, so that runs grow long, collide and wrap.
        #[test]
        fn table__agrees_with_a_map(
            spread in prop::sample::select(std::vec![1u64, 8, 0x0100_0000_01b3, 0x9e37_79b9_7f4a_7c15]),
            ops in prop::collection::vec((0u32..40, any::<bool>()), 0..400),
        ) {
            let mut table = IndexTable::new();
            let mut model = BTreeMap::new();
            for (slot, insert) in ops {
                let hash = u64::from(slot / 2).wrapping_mul(spread);
                if insert && !model.contains_key(&slot) {
                    table.insert(hash, slot).unwrap();
                    model.insert(slot, hash);
                } else {
                    prop_assert_eq!(table.remove(hash, slot), model.remove(&slot).is_some());
                }
                check(&table);
                prop_assert_eq!(table.len() as usize, model.len());
                for slot in 0..40 {
                    let found = table.find(u64::from(slot / 2).wrapping_mul(spread), |s| s == slot);
                    prop_assert_eq!(found, model.contains_key(&slot).then_some(slot));
                }
            }
        }
    }
}
