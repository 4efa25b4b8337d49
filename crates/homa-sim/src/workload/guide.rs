//! Finding the step of a distribution that a random number falls in, in constant time.

/// The fewest entries of a guide.
const ENTRIES_MIN: usize = 64;

/// For equal parts of the unit interval, the step in which each part begins.
///
/// The search then goes on from there, step by step: on average by less than one, as there are at
/// least as many parts as steps. (The guide table method of Chen and Asau, 1974. Unlike the alias
/// method it finds the very step that the distribution's inverse gives.)
#[derive(Debug, Clone)]
pub(super) struct Guide {
    first: Vec<u32>,
}

impl Guide {
    /// For steps with these `cumulative` probabilities, not empty, ascending to 1.
    pub(super) fn new(cumulative: &[f64]) -> Self {
        let entries = (2 * cumulative.len()).next_power_of_two().max(ENTRIES_MIN);
        let begin = |entry: usize| entry as f64 / entries as f64;
        let find = |u: f64| cumulative.partition_point(|&sum| sum < u) as u32;
        Self { first: (0..entries).map(|entry| find(begin(entry))).collect() }
    }

    /// The first step whose cumulative probability is at least `u`, which is in [0, 1).
    /// `cumulative` is that given to [`new`](Self::new).
    pub(super) fn find(&self, cumulative: &[f64], u: f64) -> usize {
        // The number of entries is a power of two: the product is exact, and `u` not before the
        // beginning of its part.
        let mut step = self.first[(u * self.first.len() as f64) as usize] as usize;
        while cumulative[step] < u {
            step += 1;
        }
        step
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn find__agrees_with_a_search_of_the_whole_table(
            weights in proptest::collection::vec(1_u32..1000, 1..400),
            draws in proptest::collection::vec(0.0..1.0_f64, 1..100),
        ) {
            let total = f64::from(weights.iter().sum::<u32>());
            let mut sum = 0;
            let mut cumulative: Vec<f64> = weights
                .iter()
                .map(|weight| {
                    sum += weight;
                    f64::from(sum) / total
                })
                .collect();
            *cumulative.last_mut().unwrap() = 1.0;
            let guide = Guide::new(&cumulative);
            let edges = cumulative[..cumulative.len() - 1].iter().copied();
            for u in draws.into_iter().chain(edges).chain([0.0]) {
                let expected = cumulative.iter().position(|&sum| sum >= u).unwrap();
                prop_assert_eq!(guide.find(&cumulative, u), expected);
            }
        }
    }
}
