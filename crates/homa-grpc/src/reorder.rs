//! Puts into order what numbered messages carry: Homa does not order RPCs.

use std::collections::BTreeMap;

/// Values that arrived before those that go before them; never more than a window.
#[derive(Debug)]
pub(crate) struct Reorder<T> {
    next: u64,
    window: u64,
    early: BTreeMap<u64, T>,
}

impl<T> Reorder<T> {
    /// Expects the number `next` first, and takes `window` numbers from the one that is due.
    pub(crate) fn new(next: u64, window: usize) -> Self {
        Self { next, window: window as u64, early: BTreeMap::new() }
    }

    /// Enters a value. One whose number was used before, or is too far ahead, is given back.
    pub(crate) fn insert(&mut self, number: u64, value: T) -> Result<(), T> {
        let is_taken = self.early.contains_key(&number);
        if is_taken || number < self.next || number - self.next >= self.window {
            return Err(value);
        }
        self.early.insert(number, value);
        Ok(())
    }

    /// Takes the value that is due, if it is there.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let value = self.early.remove(&self.next)?;
        self.next += 1;
        Some(value)
    }

    /// Takes the last value behind `number`, if there is one.
    pub(crate) fn take_last_behind(&mut self, number: u64) -> Option<T> {
        let last = self.early.last_entry()?;
        (*last.key() > number).then(|| last.remove())
    }

    /// Whether the value that is due is there.
    pub(crate) fn is_due(&self) -> bool {
        self.early.contains_key(&self.next)
    }

    /// Takes all that is there, in order or not.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.early).into_values()
    }

    /// What has arrived too early, in order of its numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.early.values()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.early.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn insert__old_double_and_far_numbers_are_refused() {
        let mut reorder = Reorder::new(5, 3);
        assert_eq!(reorder.insert(4, 'x'), Err('x'));
        assert_eq!(reorder.insert(8, 'x'), Err('x'));
        assert_eq!(reorder.insert(u64::MAX, 'x'), Err('x'));
        assert_eq!(reorder.insert(7, 'c'), Ok(()));
        assert_eq!(reorder.insert(7, 'x'), Err('x'));
        assert_eq!(reorder.pop(), None);
        assert_eq!(reorder.insert(5, 'a'), Ok(()));
        assert_eq!(reorder.pop(), Some('a'));
        assert_eq!(reorder.insert(5, 'x'), Err('x'));
        assert_eq!(reorder.insert(8, 'd'), Ok(()));
        assert_eq!(reorder.take_last_behind(8), None);
        assert_eq!(reorder.take_last_behind(7), Some('d'));
        assert_eq!(reorder.insert(8, 'd'), Ok(()));
        assert_eq!(reorder.drain().collect::<String>(), "cd");
        assert!(reorder.is_empty());
    }

    proptest! {
        /// Whatever order a window of numbers comes in, they leave in order, and hostile ones between
        /// them change nothing.
        #[test]
        fn pop__in_order(
            window in 1..9usize, jumble in proptest::collection::vec((0..8u64, any::<u64>()), 0..200),
        ) {
            let mut reorder = Reorder::new(0, window);
            let (mut due, mut held) = (0, std::collections::BTreeSet::new());
            for (ahead, hostile) in jumble {
                for number in [due + ahead, hostile] {
                    let fits = number >= due && number - due < window as u64;
                    let expected = if fits && held.insert(number) { Ok(()) } else { Err(number) };
                    prop_assert_eq!(reorder.insert(number, number), expected);
                }
                while let Some(number) = reorder.pop() {
                    prop_assert_eq!(number, due);
                    prop_assert!(held.remove(&number));
                    due += 1;
                }
                prop_assert!(!held.contains(&due));
                prop_assert!(reorder.iter().count() < window);
            }
        }
    }
}
