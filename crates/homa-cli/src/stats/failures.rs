//! Calls that failed, counted by reason.

use std::collections::BTreeMap;

/// Numbers of failures by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Failures(BTreeMap<String, u64>);

impl Failures {
    pub(crate) fn record(&mut self, reason: &str, count: u64) {
        match self.0.get_mut(reason) {
            Some(counted) => *counted += count,
            None => drop(self.0.insert(reason.into(), count)),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (reason, &count) in &other.0 {
            self.record(reason, count);
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The reason that was met most often, and how often.
    pub(crate) fn most_frequent(&self) -> Option<(&str, u64)> {
        self.0
            .iter()
            .map(|(reason, &count)| (reason.as_str(), count))
            .max_by_key(|&(_, count)| count)
    }

    /// All reasons with their numbers, the most frequent first.
    pub(crate) fn by_frequency(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<_> =
            self.0.iter().map(|(reason, &count)| (reason.as_str(), count)).collect();
        all.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn most_frequent__counts_by_reason() {
        let mut failures = Failures::default();
        assert_eq!(failures.most_frequent(), None);
        failures.record("timed out", 1);
        failures.record("refused", 2);
        let mut more = Failures::default();
        more.record("timed out", 3);
        failures.add(&more);
        assert_eq!(failures.most_frequent(), Some(("timed out", 4)));
        assert_eq!(failures.by_frequency(), [("timed out", 4), ("refused", 2)]);
        assert_eq!(failures.total(), 6);
    }
}
