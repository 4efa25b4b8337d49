//! Things by number.

use std::ops::{Index, IndexMut};

/// Things that come and go, each with a number by which it is found at once. What was freed last makes
/// place first, while it is still in the cache.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    things: Vec<T>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { things: Vec::new(), free: Vec::new() }
    }

    /// Puts a thing in, and returns its number.
    pub(crate) fn insert(&mut self, thing: T) -> u32 {
        if let Some(number) = self.free.pop() {
            self[number] = thing;
            return number;
        }
        self.things.push(thing);
        self.things.len() as u32 - 1
    }

    /// Gives a number back, once; the thing stays until another takes its place.
    pub(crate) fn free(&mut self, number: u32) {
        self.free.push(number);
    }
}

impl<T> Index<u32> for Slots<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        &self.things[number as usize]
    }
}

impl<T> IndexMut<u32> for Slots<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.things[number as usize]
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn insert__takes_what_was_freed_last() {
        let mut slots = Slots::new();
        assert_eq!(["a", "b", "c"].map(|thing| slots.insert(thing)), [0, 1, 2]);
        slots.free(0);
        slots.free(2);
        assert_eq!(slots[2], "c");
        assert_eq!(["d", "e", "f"].map(|thing| slots.insert(thing)), [2, 0, 3]);
        assert_eq!([0, 1, 2, 3].map(|number| slots[number]), ["e", "b", "d", "f"]);
    }
}
