//! Which faults to inject, as written on a command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The faults that [`FaultyIo`](super::FaultyIo) injects: probabilities per packet, and times.
///
/// Written as `drop=0.05,dup=0.01,reorder=0.05,delay=200us,jitter=50us,corrupt=0.001,
/// corrupt-undetected=0.001,seed=7`, each part at most once, in any order; what is not mentioned
/// does not happen. Nothing at all, or `none`, is a plan without faults.
///
/// ```
/// use homa_io::FaultPlan;
///
/// let plan: FaultPlan = "drop=0.05,delay=200us".parse()?;
/// assert_eq!(plan.drop, 0.05);
/// assert_eq!(plan.to_string(), "drop=0.05,delay=200us");
/// assert!("drop=5".parse::<FaultPlan>().is_err());
/// # Ok::<(), homa_io::ParseFaultPlanError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FaultPlan {
    /// Probability, 0 to 1, that a packet is lost. Default 0.
    pub drop: f64,
    /// Probability, 0 to 1, that a packet is sent twice (`dup`). Default 0.
    pub duplicate: f64,
    /// Probability, 0 to 1, that a packet is held back until 1 to 8 later ones have passed, or 1 ms.
    /// Default 0.
    pub reorder: f64,
    /// Probability, 0 to 1, that bits flip below the UDP checksum, which loses the packet. Default 0.
    pub corrupt: f64,
    /// Probability, 0 to 1, that bits flip above the UDP checksum, so that the packet arrives with
    /// wrong bytes (`corrupt-undetected`). Default 0.
    pub corrupt_undetected: f64,
    /// How much later every packet is sent. Default none.
    pub delay: Duration,
    /// A random time, up to this, added to each packet's delay. Default none.
    pub jitter: Duration,
    /// What all random choices follow from. Default 0.
    pub seed: u64,
}

/// Why a text is not a [`FaultPlan`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseFaultPlanError {
    /// A part is not of the form `fault=value`.
    #[error("`{0}` is not of the form fault=value")]
    NoValue(String),
    /// There is no such fault.
    #[error(
        "there is no fault `{0}`; there are drop, dup, reorder, delay, jitter, corrupt, \
         corrupt-undetected, and seed"
    )]
    UnknownFault(String),
    /// A fault was given more than once.
    #[error("`{0}` is given twice")]
    Repeated(String),
    /// A probability is not a number from 0 to 1.
    #[error("`{fault}={value}`: a probability is a number from 0 to 1, such as 0.05")]
    Probability {
        /// The fault.
        fault: String,
        /// What was given.
        value: String,
    },
    /// A time is not a number with a unit, or longer than an hour.
    #[error("`{fault}={value}`: a time is a number with us, ms or s, such as 200us, up to 3600s")]
    Time {
        /// The fault.
        fault: String,
        /// What was given.
        value: String,
    },
    /// A seed is not a whole number.
    #[error("`seed={0}`: a seed is a whole number from 0 to 18446744073709551615")]
    Seed(String),
}

impl FaultPlan {
    /// Whether no fault can happen.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        Self { seed: 0, ..*self } == Self::default()
    }

    fn set(&mut self, fault: &str, value: &str) -> Result<(), ParseFaultPlanError> {
        match fault {
            "drop" => self.drop = probability(fault, value)?,
            "dup" => self.duplicate = probability(fault, value)?,
            "reorder" => self.reorder = probability(fault, value)?,
            "corrupt" => self.corrupt = probability(fault, value)?,
            "corrupt-undetected" => self.corrupt_undetected = probability(fault, value)?,
            "delay" => self.delay = time(fault, value)?,
            "jitter" => self.jitter = time(fault, value)?,
            "seed" => {
                self.seed = value.parse().map_err(|_| ParseFaultPlanError::Seed(value.into()))?;
            }
            _ => return Err(ParseFaultPlanError::UnknownFault(fault.into())),
        }
        Ok(())
    }
}

impl FromStr for FaultPlan {
    type Err = ParseFaultPlanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut plan = Self::default();
        if text.trim().is_empty() || text.trim() == "none" {
            return Ok(plan);
        }
        let mut seen = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (fault, value) =
                part.split_once('=').ok_or_else(|| ParseFaultPlanError::NoValue(part.into()))?;
            if seen.contains(&fault) {
                return Err(ParseFaultPlanError::Repeated(fault.into()));
            }
            seen.push(fault);
            plan.set(fault, value)?;
        }
        Ok(plan)
    }
}

impl fmt::Display for FaultPlan {
    /// In the form that is parsed, without the faults that can't happen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut probability = |fault: &str, value: f64| {
            if value > 0.0 {
                parts.push(format!("{fault}={value}"));
            }
        };
        probability("drop", self.drop);
        probability("dup", self.duplicate);
        probability("reorder", self.reorder);
        probability("corrupt", self.corrupt);
        probability("corrupt-undetected", self.corrupt_undetected);
        for (fault, time) in [("delay", self.delay), ("jitter", self.jitter)] {
            if !time.is_zero() {
                parts.push(format!("{fault}={}us", time.as_nanos() as f64 / 1e3));
            }
        }
        if self.seed != 0 {
            parts.push(format!("seed={}", self.seed));
        }
        if parts.is_empty() { f.write_str("none") } else { f.write_str(&parts.join(",")) }
    }
}

fn probability(fault: &str, value: &str) -> Result<f64, ParseFaultPlanError> {
    let wrong = || ParseFaultPlanError::Probability { fault: fault.into(), value: value.into() };
    let probability: f64 = value.parse().map_err(|_| wrong())?;
    if (0.0..=1.0).contains(&probability) { Ok(probability) } else { Err(wrong()) }
}

fn time(fault: &str, value: &str) -> Result<Duration, ParseFaultPlanError> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    units
        .into_iter()
        .find_map(|(unit, seconds)| Some((value.strip_suffix(unit)?, seconds)))
        .and_then(|(number, unit)| Some(number.trim().parse::<f64>().ok()? * unit))
        .filter(|seconds| (0.0..=3600.0).contains(seconds))
        .map(|seconds| Duration::from_nanos((seconds * 1e9).round() as u64))
        .ok_or_else(|| ParseFaultPlanError::Time { fault: fault.into(), value: value.into() })
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> String {
        text.parse::<FaultPlan>().unwrap_err().to_string()
    }

    #[test]
    fn from_str__reads_every_fault() {
        let text = "drop=0.05,dup=0.01, reorder=1,delay=200us,jitter=1.5ms,corrupt=0.001,\
                    corrupt-undetected=1e-4,seed=7";
        let plan: FaultPlan = text.parse().unwrap();
        let expected = FaultPlan {
            drop: 0.05,
            duplicate: 0.01,
            reorder: 1.0,
            corrupt: 0.001,
            corrupt_undetected: 0.0001,
            delay: Duration::from_micros(200),
            jitter: Duration::from_micros(1500),
            seed: 7,
        };
        assert_eq!(plan, expected);
        assert!(!plan.is_harmless());
        for text in ["", "none", "seed=3", "drop=0,delay=0s"] {
            assert!(text.parse::<FaultPlan>().unwrap().is_harmless(), "{text}");
        }
    }

    #[test]
    fn from_str__says_what_is_wrong() {
        assert_eq!(error("drop"), "`drop` is not of the form fault=value");
        assert_eq!(error("drop=0.1,"), "`` is not of the form fault=value");
        assert!(error("loss=0.1").starts_with("there is no fault `loss`; there are drop, dup,"));
        assert_eq!(error("drop=0.1,drop=0.2"), "`drop` is given twice");
        for value in ["5", "-0.1", "NaN", "five", "", "5%"] {
            let text = format!("corrupt={value}");
            let expected = format!("`{text}`: a probability is a number from 0 to 1, such as 0.05");
            assert_eq!(error(&text), expected);
        }
        for value in ["200", "us", "-1us", "5 minutes", "3601s", "infs", "NaNms"] {
            let text = format!("delay={value}");
            assert!(error(&text).starts_with(&format!("`{text}`: a time is")), "{text}");
        }
        assert!(error("seed=-1").starts_with("`seed=-1`: a seed is"));
    }

    proptest! {
        #[test]
        fn display__parses_to_the_same_plan(
            drop in 0.0..=1.0, duplicate in 0.0..=1.0, reorder in 0.0..=1.0, corrupt in 0.0..=1.0,
            corrupt_undetected in 0.0..=1.0, delay in 0u64..3_600_000_000, jitter in 0u64..1_000_000,
            seed in any::<u64>(),
        ) {
            let (delay, jitter) = (Duration::from_micros(delay), Duration::from_nanos(jitter));
            let plan = FaultPlan {
                drop, duplicate, reorder, corrupt, corrupt_undetected, delay, jitter, seed,
            };
            prop_assert_eq!(plan.to_string().parse::<FaultPlan>().unwrap(), plan);
        }

        #[test]
        fn from_str__never_panics(text in ".{0,60}") {
            let _ = text.parse::<FaultPlan>();
        }
    }
}
