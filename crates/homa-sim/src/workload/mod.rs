//! Which lengths messages have: W1 to W5 and `starve`, one fixed length, or a table of one's own.

mod bins;
mod guide;
mod size;
mod steps;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::random::Random;
pub use bins::Bin;
use guide::Guide;
pub use size::parse_size_bytes;

/// The largest payload of a packet in the simulations of the Homa paper (SIGCOMM 2018).
const SIGCOMM18_PAYLOAD_BYTES: u32 = 1442;

/// Lengths in W5's file are whole packets of this payload.
const W5_FILE_PAYLOAD_BYTES: u32 = 1470;

/// Bins of a workload for which none were published.
const BINS_MAX: u32 = 100;

/// Into how many steps log-linear interpolation divides each: W3's mean is then within 0.1 % of
/// that of the continuous distribution.
const INTERPOLATED_PARTS: u32 = 32;

/// The distributions that come with the simulator, with where they come from.
const TABLES: [(&str, &str); 6] = [
    ("w1", include_str!("../../data/workloads/w1.txt")),
    ("w2", include_str!("../../data/workloads/w2.txt")),
    ("w3", include_str!("../../data/workloads/w3.txt")),
    ("w4", include_str!("../../data/workloads/w4.txt")),
    ("w5", include_str!("../../data/workloads/w5.txt")),
    ("starve", include_str!("../../data/workloads/starve.csv")),
];

/// One message length and how likely it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Bytes in the message, at least 1.
    pub length: u32,
    /// The fraction of messages with this length, above 0 and at most 1.
    pub probability: f64,
}

/// How lengths between those that a table lists are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// There are none: a message has the smallest listed length whose cumulative probability
    /// reaches the random number. This is what the simulations of the Homa paper did.
    #[default]
    Step,
    /// They are drawn too, log-linearly between neighbours, as in the simulator of SIRD (NSDI
    /// 2025). The mean is smaller than with steps. Each step becomes 32, at the middles of 32
    /// equal parts of its probability; the first length stays as it is.
    LogInterpolated,
}

/// Why text is not a workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// Neither a name nor a size.
    #[error(
        "'{0}' is neither w1, w1-pareto, w2, w3, w4, w5, starve nor a size such as 1500 or 1MB"
    )]
    Unknown(String),
    /// A length outside of 1 to 2^32 - 1 bytes.
    #[error("messages have from 1 to 4,294,967,295 bytes, not {0}")]
    Length(u64),
    /// A line of a table is wrong.
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A table as a whole is wrong.
    #[error("{0}")]
    Table(String),
}

/// A distribution of message lengths.
#[derive(Debug, Clone)]
pub struct Workload {
    name: String,
    steps: Vec<Step>,
    /// The sum of the probabilities up to and with each step; the last is 1.
    cumulative: Vec<f64>,
    guide: Guide,
    bins: Vec<Bin>,
}

impl Workload {
    /// One of those that come with the simulator, in upper or lower case:
    ///
    /// * `w1` to `w5`: the workloads of the Homa paper (SIGCOMM 2018, figure 1), from its authors'
    ///   files. W5's lengths are whole packets, here of 1442 bytes as in that paper's simulations.
    /// * `w1-pareto`: W1 as those simulations really drew it, from the formula that
    ///   [`w1_pareto`](Self::w1_pareto) describes; the file for `w1` is a sample of it.
    /// * `starve`: 100 KB to 1 MB in steps of 100 KB, 1 MB half as often as the others; for
    ///   experiments with the starvation of long messages (HomaModule's `util/dist.cc`).
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn named(name: &str) -> Result<Self, WorkloadError> {
        let lower = name.to_ascii_lowercase();
        if lower == "w1-pareto" {
            return Ok(Self::w1_pareto());
        }
        let (name, text) = TABLES
            .into_iter()
            .find(|(known, _)| *known == lower)
            .ok_or_else(|| WorkloadError::Unknown(name.into()))?;
        // The first line of those files is the mean; `starve` begins with a header.
        let rows = text.split_once('\n').map_or("", |(_, rows)| rows);
        let mut steps = steps::parse(rows).expect("a test parses every table");
        if name == "w5" {
            for step in &mut steps {
                step.length = step.length / W5_FILE_PAYLOAD_BYTES * SIGCOMM18_PAYLOAD_BYTES;
            }
        }
        Ok(Self::from_steps(name.into(), steps, bins::published(name)))
    }

    /// W1 with the tail it had in the simulations of the Homa paper: the 15 shortest lengths as in
    /// the file (47 % of messages), longer ones from a generalised Pareto distribution with scale
    /// 214.476 and shape 0.348238, moved by 15 bytes (the sizes of values in Facebook's memcached
    /// pool ETC, Atikoglu et al., SIGMETRICS 2012, as the authors' `MsgSizeDistributions` has it),
    /// up to 1,000,000 bytes, which one message in 4 * 10^9 would exceed.
    ///
    /// The published bins of W1 fit it exactly; figures published for W1 come from it. Its mean is
    /// 185.09 bytes, although those simulations computed their load with 187.77, the first line of
    /// the file.
    pub fn w1_pareto() -> Self {
        Self::from_steps("w1-pareto".into(), steps::w1_pareto(), bins::published("w1"))
    }

    /// Messages of `length_bytes` each.
    ///
    /// # Errors
    ///
    /// The length is 0.
    pub fn fixed(length_bytes: u32) -> Result<Self, WorkloadError> {
        if length_bytes == 0 {
            return Err(WorkloadError::Length(0));
        }
        let steps = vec![Step { length: length_bytes, probability: 1.0 }];
        Ok(Self::from_steps(length_bytes.to_string(), steps, None))
    }

    /// The distribution that the table `text` describes: in each line a length in bytes and the
    /// cumulative fraction of messages up to and with that length, separated by a comma or by
    /// blanks. Neither may decrease; the last fraction is 1. A first line that begins with a
    /// letter is a header; empty lines and what follows `#` are ignored.
    ///
    /// # Errors
    ///
    /// The text is none such; the error says where.
    pub fn from_csv(name: &str, text: &str) -> Result<Self, WorkloadError> {
        Ok(Self::from_steps(name.into(), steps::parse(text)?, None))
    }

    /// The lengths that some messages have, each as often as it occurs.
    ///
    /// # Errors
    ///
    /// There are none, or one is 0.
    pub fn of_lengths(
        name: &str,
        lengths: impl IntoIterator<Item = u32>,
    ) -> Result<Self, WorkloadError> {
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        lengths.into_iter().for_each(|length| *counts.entry(length).or_default() += 1);
        let total: u64 = counts.values().sum();
        match counts.keys().next() {
            None => return Err(WorkloadError::Table("there are no lengths".into())),
            Some(0) => return Err(WorkloadError::Length(0)),
            Some(_) => {}
        }
        let step =
            |(length, count): (u32, u64)| Step { length, probability: count as f64 / total as f64 };
        Ok(Self::from_steps(name.into(), counts.into_iter().map(step).collect(), None))
    }

    /// The same with another treatment of lengths between those listed, for a workload made by
    /// any of the functions above.
    #[must_use]
    pub fn with_sampling(self, sampling: Sampling) -> Self {
        match sampling {
            Sampling::Step => self,
            Sampling::LogInterpolated => {
                let is_published = bins::published(&self.name).is_some();
                let bins = is_published.then_some(self.bins);
                Self::from_steps(self.name, steps::interpolate(&self.steps), bins)
            }
        }
    }

    /// The length of the next message, in bytes.
    pub fn sample(&self, random: &mut Random) -> u32 {
        self.steps[self.guide.find(&self.cumulative, random.unit())].length
    }

    /// What it is called: `w4`, `1000`, or what its maker said.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The mean length in bytes.
    pub fn mean_bytes(&self) -> f64 {
        self.expectation(f64::from)
    }

    /// The mean over messages of a function of their length.
    pub fn expectation(&self, value: impl Fn(u32) -> f64) -> f64 {
        self.steps.iter().map(|step| step.probability * value(step.length)).sum()
    }

    /// All lengths that occur, ascending, each once.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The length of the longest message, in bytes.
    pub fn longest(&self) -> u32 {
        self.steps.last().map_or(0, |step| step.length)
    }

    /// The bins in which slowdown is reported, by ascending length: for W1 to W5 those of the
    /// publication, for others up to 100 with (where lengths allow) as many messages each.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    fn from_steps(name: String, steps: Vec<Step>, bins: Option<Vec<Bin>>) -> Self {
        let mut cumulative: Vec<f64> = steps
            .iter()
            .scan(0.0, |sum, step| {
                *sum += step.probability;
                Some(*sum)
            })
            .collect();
        if let Some(last) = cumulative.last_mut() {
            *last = 1.0;
        }
        let guide = Guide::new(&cumulative);
        let bins = bins.unwrap_or_else(|| bins::of_equal_count(&steps, &cumulative, BINS_MAX));
        Self { name, steps, cumulative, guide, bins }
    }
}

/// A name such as `w4` or one length such as `1000`, `64Ki` or `1MB`.
impl FromStr for Workload {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, WorkloadError> {
        if let Some(bytes) = parse_size_bytes(text) {
            let length = u32::try_from(bytes).map_err(|_| WorkloadError::Length(bytes))?;
            return Self::fixed(length);
        }
        Self::named(text)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests;
