//! Shares of a sweep, for clusters that run many processes with one command.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::engine::{KUBERNETES_COUNT, KUBERNETES_INDEX, Variables};
use crate::exit::Stop;

/// Of a Slurm array: the number of this task, the lowest number, the distance between numbers, and how
/// many there are.
const SLURM: [&str; 4] = [
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_STEP",
    "SLURM_ARRAY_TASK_COUNT",
];

/// One of several shares of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shard {
    /// Which, from 1.
    pub(super) number: usize,
    /// Of how many.
    pub(super) count: usize,
}

/// What `--shard` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShardChoice {
    This(Shard),
    /// As the environment says.
    Environment,
}

impl ShardChoice {
    /// # Errors
    ///
    /// The environment does not say.
    pub(super) fn shard(self) -> Result<Shard, Stop> {
        match self {
            Self::This(shard) => Ok(shard),
            Self::Environment => {
                of_environment(&Variables::of_this_process("--shard env")).map_err(Stop::Usage)
            }
        }
    }
}

impl Shard {
    fn new(number: usize, count: usize) -> Option<Self> {
        (1..=count).contains(&number).then_some(Self { number, count })
    }

    /// Whether the point of this index, from 0, is in this share. Neighbours are in different shares, as
    /// they tend to take equally long.
    pub(super) fn has(&self, index: usize) -> bool {
        index % self.count == self.number - 1
    }
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "env" {
            return Ok(Self::Environment);
        }
        let numbers = text
            .split_once('/')
            .and_then(|(number, count)| Shard::new(number.parse().ok()?, count.parse().ok()?));
        numbers.map(Self::This).ok_or_else(|| {
            format!("'{text}' is neither K/N with K from 1 to N, such as 1/3, nor env")
        })
    }
}

fn of_environment(variables: &Variables<impl Fn(&str) -> Option<String>>) -> Result<Shard, String> {
    let [id, min, step, count] = SLURM;
    let (index, count) = match (variables.number(id)?, variables.number(KUBERNETES_INDEX)?) {
        (Some(_), Some(_)) => {
            return Err(variables.wrong(&format!("both {id} and {KUBERNETES_INDEX} are set")));
        }
        (None, None) => {
            return Err(variables.wrong(&format!("neither {id} nor {KUBERNETES_INDEX} is set")));
        }
        (Some(task), None) => {
            let step = variables.number(step)?.unwrap_or(1).max(1);
            let index = task.checked_sub(variables.needed(min)?).map(|distance| distance / step);
            (index, variables.needed(count)?)
        }
        (None, Some(index)) => (Some(index), variables.needed(KUBERNETES_COUNT)?),
    };
    let shard = index.and_then(|index| Shard::new(index + 1, count));
    shard.ok_or_else(|| variables.wrong("the number is beyond the count"))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<(usize, usize), String> {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, text)| text.to_string())
        };
        of_environment(&Variables::new("--shard env", find))
            .map(|shard| (shard.number, shard.count))
    }

    fn slurm(id: &str, min: &str, step: &str, count: &str) -> Result<(usize, usize), String> {
        let values = [id, min, step, count];
        let variables: Vec<_> = SLURM.into_iter().zip(values).collect();
        of(&variables)
    }

    #[test]
    fn of_environment__slurm_counts_from_anywhere() {
        assert_eq!(slurm("0", "0", "1", "3"), Ok((1, 3)));
        assert_eq!(slurm("3", "1", "1", "3"), Ok((3, 3)));
        assert_eq!(slurm("14", "10", "2", "3"), Ok((3, 3)));
        for wrong in
            [slurm("0", "1", "1", "3"), slurm("4", "1", "1", "3"), slurm("x", "1", "1", "3")]
        {
            assert!(wrong.is_err());
        }
        let why = of(&[(SLURM[0], "1")]).unwrap_err();
        assert!(why.contains(SLURM[1]), "{why}");
    }

    #[test]
    fn of_environment__kubernetes_counts_from_0() {
        let job = |index, count| of(&[(KUBERNETES_INDEX, index), (KUBERNETES_COUNT, count)]);
        assert_eq!(job("0", "3"), Ok((1, 3)));
        assert_eq!(job("2", "3"), Ok((3, 3)));
        assert!(job("3", "3").is_err());
        assert!(of(&[(KUBERNETES_INDEX, "0")]).unwrap_err().contains(KUBERNETES_COUNT));
        assert!(of(&[]).unwrap_err().contains("neither"));
        assert!(of(&[(KUBERNETES_INDEX, "0"), (SLURM[0], "0")]).unwrap_err().contains("both"));
    }

    #[test]
    fn from_str__counts_from_1() {
        let shard = |text: &str| text.parse::<ShardChoice>();
        assert_eq!(shard("env"), Ok(ShardChoice::Environment));
        assert_eq!(shard("2/3"), Ok(ShardChoice::This(Shard { number: 2, count: 3 })));
        for text in ["0/3", "4/3", "1/0", "1", "a/b", ""] {
            assert!(shard(text).is_err(), "{text}");
        }
    }

    #[test]
    fn has__each_point_in_one_share() {
        let shards: Vec<_> = (1..=3).map(|number| Shard { number, count: 3 }).collect();
        for index in 0..10 {
            assert_eq!(shards.iter().filter(|shard| shard.has(index)).count(), 1);
        }
    }
}
