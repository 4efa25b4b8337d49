//! Calls that failed, counted by reason.

use std::collections::{BTreeMap, BTreeSet};

/// Numbers of failures by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    counts: BTreeMap<String, u64>,
    /// Those among the reasons that explain others: after "nothing listens there", "does not answer" says
    /// no more.
    telling: BTreeSet<String>,
}

impl Failures {
    pub(crate) fn record(&mut self, reason: &str, count: u64) {
        match self.counts.get_mut(reason) {
            Some(counted) => *counted += count,
            None => drop(self.counts.insert(reason.into(), count)),
        }
    }

    /// One more, of a reason that explains others.
    pub(crate) fn record_telling(&mut self, reason: &str) {
        self.record(reason, 1);
        if !self.telling.contains(reason) {
            self.telling.insert(reason.into());
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (reason, &count) in &other.counts {
            self.record(reason, count);
        }
        self.telling.extend(other.telling.iter().cloned());
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The reason to tell if only one can be, and how often it was met: one that explains others if there
    /// is any, and of several the most frequent.
    pub(crate) fn foremost(&self) -> Option<(&str, u64)> {
        let reasons = self.counts.iter().map(|(reason, &count)| (reason.as_str(), count));
        reasons.max_by_key(|&(reason, count)| (self.telling.contains(reason), count))
    }

    /// All reasons with their numbers, the most frequent first.
    pub(crate) fn by_frequency(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<_> =
            self.counts.iter().map(|(reason, &count)| (reason.as_str(), count)).collect();
        all.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn foremost__counts_by_reason() {
        let mut failures = Failures::default();
        assert_eq!(failures.foremost(), None);
        failures.record("timed out", 1);
        failures.record("refused", 2);
        let mut more = Failures::default();
        more.record("timed out", 3);
        failures.add(&more);
        assert_eq!(failures.foremost(), Some(("timed out", 4)));
        assert_eq!(failures.by_frequency(), [("timed out", 4), ("refused", 2)]);
        assert_eq!(failures.total(), 6);
    }

    /// Hosts limit their ICMP: of many calls to one that is not there, few are told so, the others time out.
    #[test]
    fn foremost__is_what_explains_the_others() {
        let mut failures = Failures::default();
        failures.record("does not answer", 50);
        let mut more = Failures::default();
        more.record_telling("does not speak Homa over raw IP");
        failures.add(&more);
        assert_eq!(failures.foremost(), Some(("does not speak Homa over raw IP", 1)));
        assert_eq!(failures.by_frequency()[0], ("does not answer", 50));
    }
}
