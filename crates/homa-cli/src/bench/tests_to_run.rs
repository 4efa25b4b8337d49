//! What is measured: the tests of the suite, or one of them, changed as asked for.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

use crate::args::BenchArgs;
use crate::load::Pace;
use crate::workload::Workload;

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestChoice {
    /// All four tests, one after the other
    Suite,
    /// 100 B, 1 outstanding
    Latency,
    /// 100 B, 64 outstanding
    Rate,
    /// 1 MB, 8 outstanding
    Throughput,
    /// Message lengths of a data centre (W4), 64 outstanding
    Workload,
}

/// The name of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TestName {
    Latency,
    Rate,
    Throughput,
    Workload,
}

impl TestName {
    const SUITE: [Self; 4] = [Self::Latency, Self::Rate, Self::Throughput, Self::Workload];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Rate => "rate",
            Self::Throughput => "throughput",
            Self::Workload => "workload",
        }
    }

    /// Message lengths and calls at once, unless said otherwise.
    fn defaults(self) -> (&'static str, usize) {
        match self {
            Self::Latency => ("100", 1),
            Self::Rate => ("100", 64),
            Self::Throughput => ("1000000", 8),
            Self::Workload => ("w4", 64),
        }
    }
}

impl FromStr for TestName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::SUITE.into_iter().find(|name| name.as_str() == text);
        found.ok_or_else(|| {
            format!("'{text}' is none of the tests latency, rate, throughput and workload")
        })
    }
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One test.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) name: TestName,
    pub(crate) workload: Workload,
    pub(crate) outstanding: usize,
    pub(crate) pace: Pace,
}

/// The tests that the arguments ask for.
///
/// # Errors
///
/// Options that change a test were given for the suite, or a message length is impossible.
pub(crate) fn of_args(args: &BenchArgs) -> Result<Vec<Test>, String> {
    let name = match args.test {
        TestChoice::Suite => {
            let changed = args.size.is_some()
                || args.outstanding.is_some()
                || args.workload.is_some()
                || args.pace.pace(1.0) != Pace::Closed;
            if changed {
                return Err("--size, --outstanding, --workload, --gbps and --rps change a single \
                            test: say which, for instance 'homa bench latency --size 1K'"
                    .into());
            }
            return TestName::SUITE.map(|name| test(name, args)).into_iter().collect();
        }
        TestChoice::Latency => TestName::Latency,
        TestChoice::Rate => TestName::Rate,
        TestChoice::Throughput => TestName::Throughput,
        TestChoice::Workload => TestName::Workload,
    };
    Ok(vec![test(name, args)?])
}

fn test(name: TestName, args: &BenchArgs) -> Result<Test, String> {
    let (workload, outstanding) = name.defaults();
    let workload = match (&args.workload, args.size) {
        (Some(workload), _) => workload.clone(),
        (None, Some(size)) => Workload::fixed(size.0)?,
        (None, None) => workload.parse()?,
    };
    let pace = args.pace.pace(workload.mean_bytes());
    Ok(Test { name, outstanding: args.outstanding.unwrap_or(outstanding), pace, workload })
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn tests_of(args: &[&str]) -> Result<Vec<Test>, String> {
        let cli = Cli::parse_from([&["homa", "bench"], args].concat());
        let Command::Bench(args) = cli.command else { panic!("not bench") };
        of_args(&args)
    }

    #[test]
    fn of_args__the_suite() {
        let tests = tests_of(&[]).unwrap();
        let facts: Vec<_> = tests
            .iter()
            .map(|t| (t.name.as_str(), t.workload.to_string(), t.outstanding))
            .collect();
        assert_eq!(
            facts,
            [
                ("latency", "100".into(), 1),
                ("rate", "100".into(), 64),
                ("throughput", "1000000".into(), 8),
                ("workload", "w4".into(), 64)
            ]
        );
    }

    #[test]
    fn of_args__a_changed_test() {
        let tests =
            tests_of(&["rate", "--size", "1K", "--outstanding", "5", "--rps", "10"]).unwrap();
        assert_eq!(tests.len(), 1);
        assert_eq!(tests[0].workload.to_string(), "1000");
        assert_eq!(tests[0].outstanding, 5);
        assert_eq!(tests[0].pace, Pace::Open { per_second: 10.0 });
    }

    #[test]
    fn of_args__the_suite_cannot_be_changed() {
        for option in ["--size", "--outstanding", "--workload", "--gbps", "--rps"] {
            assert!(tests_of(&[option, "100"]).is_err(), "{option}");
        }
        assert!(tests_of(&["latency", "--size", "5"]).is_err(), "shorter than the header");
    }
}
