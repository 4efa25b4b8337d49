//! The distributions against what is known of them.

#![allow(non_snake_case, reason = "tests are named function__case")]

use super::*;
use proptest::prelude::*;

fn named(name: &str) -> Workload {
    name.parse().unwrap()
}

fn from_csv(text: &str) -> Result<Workload, String> {
    Workload::from_csv("test", text).map_err(|error| error.to_string())
}

#[test]
fn named__means_and_longest_are_those_of_the_files() {
    for (name, mean_bytes, longest) in [
        // W1's file begins with 187.77, which neither its rows nor their formula give.
        ("w1", 187.510_71, 100_000),
        ("w1-pareto", 2.730_47 + 0.53 * (15.0 + 214.476 / (1.0 - 0.348_238)), 1_000_000),
        ("w2", 440.790_7, 3_529_904),
        ("w3", 2_927.354, 15_158_197),
        ("w4", 127_796.6, 10_000_000),
        ("w5", 2_564_709.0 * 1442.0 / 1470.0, 28_840_000),
        ("starve", 526_315.79, 1_000_000),
    ] {
        let workload = named(name);
        let difference = workload.mean_bytes() / mean_bytes - 1.0;
        assert!(difference.abs() < 5e-4, "{name}: {}", workload.mean_bytes());
        assert_eq!(workload.longest(), longest, "{name}");
        assert_eq!(workload.name(), name);
    }
}

#[test]
fn named__steps_are_ascending_and_add_up() {
    for name in ["w1", "w1-pareto", "w2", "w3", "w4", "w5", "starve"] {
        let workload = named(name);
        let steps = workload.steps();
        assert!(steps.windows(2).all(|pair| pair[0].length < pair[1].length), "{name}");
        assert!(steps.iter().all(|step| step.length > 0 && step.probability > 0.0), "{name}");
        assert!((workload.expectation(|_| 1.0) - 1.0).abs() < 1e-9, "{name}");
    }
}

#[test]
fn named__percentiles_of_the_paper() {
    // PAPER_RESULTS section 1.2.
    for (name, percentiles) in [
        ("w1", [2, 27, 503, 1876]),
        ("w2", [3, 269, 512, 3151]),
        ("w3", [36, 268, 1755, 31013]),
        ("w4", [315, 662, 120_373, 3_430_822]),
        ("w5", [5768, 70_658, 4_806_186, 26_917_814]),
    ] {
        let workload = named(name);
        for (percent, expected) in [10.0, 50.0, 90.0, 99.0].into_iter().zip(percentiles) {
            let index = workload.guide.find(&workload.cumulative, percent / 100.0 - 1e-9);
            let length = workload.steps[index].length;
            let difference = f64::from(length) / f64::from(expected) - 1.0;
            assert!(difference.abs() < 0.005, "{name} P{percent}: {length}, not {expected}");
        }
    }
}

#[test]
fn bins__of_the_publication_hold_the_messages_they_should() {
    // W1's bins come from its formula, the others from as many drawn messages as the authors simulated.
    for (name, count, tolerance_percent) in [
        ("w1-pareto", 83, 0.02),
        ("w2", 99, 0.01),
        ("w3", 102, 0.02),
        ("w4", 91, 0.06),
        ("w5", 87, 0.3),
    ] {
        let workload = named(name);
        assert_eq!(workload.bins().len(), count, "{name}");
        assert!(workload.longest() <= workload.bins().last().unwrap().upper_bytes);
        for bin in workload.bins() {
            let below = |length| f64::from(u8::from(length <= bin.upper_bytes));
            let percent = 100.0 * workload.expectation(below);
            assert!(
                (percent - bin.cumulative_percent).abs() < tolerance_percent,
                "{name} {bin:?}: {percent}"
            );
        }
    }
    assert_eq!(named("W1").bins(), named("w1-pareto").bins());
    assert_eq!(named("w1").bins()[1], Bin { cumulative_percent: 18.402, upper_bytes: 2 });
}

#[test]
fn bins__of_others_have_equal_shares() {
    let uniform: String = (1..=250).map(|i| format!("{i},{}\n", f64::from(i) / 250.0)).collect();
    let workload = from_csv(&uniform).unwrap();
    assert_eq!(workload.bins().len(), 100);
    assert_eq!(workload.bins()[0], Bin { cumulative_percent: 1.2, upper_bytes: 3 });
    assert_eq!(workload.bins()[1].upper_bytes, 5);
    assert_eq!(named("starve").bins().len(), 10);
    let one = Bin { cumulative_percent: 100.0, upper_bytes: 1000 };
    assert_eq!(named("1000").bins(), [one]);
}

#[test]
fn sample__follows_the_distribution() {
    for name in ["w1", "w1-pareto", "w2", "w3", "w4", "w5", "starve"] {
        let workload = named(name);
        let mut random = Random::new(7, "lengths", 0);
        const DRAWS: u32 = 200_000;
        let mut counts = vec![0_u32; workload.bins().len()];
        let mut sum = 0.0;
        for _ in 0..DRAWS {
            let length = workload.sample(&mut random);
            sum += f64::from(length);
            counts[workload.bins().partition_point(|bin| bin.upper_bytes < length)] += 1;
        }
        let mut upto = 0;
        for (bin, count) in workload.bins().iter().zip(counts) {
            upto += count;
            let percent = 100.0 * f64::from(upto) / f64::from(DRAWS);
            let length_below = |length| f64::from(u8::from(length <= bin.upper_bytes));
            let expected = 100.0 * workload.expectation(length_below);
            // Four standard deviations of a share of one half.
            assert!((percent - expected).abs() < 0.45, "{name} {bin:?}: {percent}, not {expected}");
        }
        let mean = workload.mean_bytes();
        let variance = workload.expectation(|length| (f64::from(length) - mean).powi(2));
        let deviation = (variance / f64::from(DRAWS)).sqrt();
        let difference = (sum / f64::from(DRAWS) - mean).abs();
        assert!(difference < 4.0 * deviation, "{name}: off by {difference}, {deviation}");
    }
}

#[test]
fn with_sampling__interpolates_between_lengths() {
    let workload = from_csv("100,0.5\n1000,1").unwrap();
    assert_eq!(workload.mean_bytes(), 550.0);
    let smooth = workload.with_sampling(Sampling::LogInterpolated);
    // Half at 100, half with the logarithmic mean of 100 and 1000.
    let expected = 50.0 + 0.5 * 900.0 / 10.0_f64.ln();
    assert!((smooth.mean_bytes() / expected - 1.0).abs() < 0.001, "{}", smooth.mean_bytes());
    assert!((smooth.expectation(|_| 1.0) - 1.0).abs() < 1e-9);
    let mut random = Random::new(1, "lengths", 0);
    let between = (0..1000).filter(|_| (101..1000).contains(&smooth.sample(&mut random))).count();
    assert!((400..600).contains(&between), "{between}");

    for name in ["w3", "w4", "w5"] {
        let smooth = named(name).with_sampling(Sampling::LogInterpolated);
        let ratio = smooth.mean_bytes() / named(name).mean_bytes();
        assert!((0.9..1.0).contains(&ratio), "{name} {ratio}");
        // The continuous distribution has the logarithmic mean between any two lengths.
        let workload = named(name);
        let mut below = workload.steps()[0].length;
        let mut continuous = 0.0;
        for step in workload.steps() {
            let (from, to) = (f64::from(below), f64::from(step.length));
            let mean = if from == to { to } else { (to - from) / (to / from).ln() };
            continuous += step.probability * mean;
            below = step.length;
        }
        assert!((smooth.mean_bytes() / continuous - 1.0).abs() < 0.001, "{name} {continuous}");
        assert_eq!(smooth.bins(), named(name).bins());
    }
}

#[test]
fn from_str__names_and_sizes() {
    assert_eq!(named("W4").name(), "w4");
    assert_eq!(named("1MB").longest(), 1_000_000);
    assert_eq!(named("64Ki").mean_bytes(), 65_536.0);
    assert_eq!(named("1").sample(&mut Random::new(0, "", 0)), 1);
    assert_eq!("0".parse::<Workload>().unwrap_err(), WorkloadError::Length(0));
    assert_eq!("4Gi".parse::<Workload>().unwrap_err(), WorkloadError::Length(1 << 32));
    for text in ["", "w6", "-1", "1.5", "w"] {
        assert_eq!(text.parse::<Workload>().unwrap_err(), WorkloadError::Unknown(text.into()));
    }
}

#[test]
fn from_csv__header_comments_and_blanks() {
    let with_all =
        "# measured\nlength,cumulative_fraction\n\n0,0\n10, 0.25\n10,0.5 # both\n 20\t1\n";
    let workload = from_csv(with_all).unwrap();
    let expected = [Step { length: 10, probability: 0.5 }, Step { length: 20, probability: 0.5 }];
    assert_eq!(workload.steps(), expected);
    assert_eq!(workload.to_string(), "test");
}

#[test]
fn from_csv__errors_say_where() {
    for (text, error) in [
        ("", "the table has no lengths"),
        ("length,fraction\n", "the table has no lengths"),
        ("10,0.5\n20", "line 2: '20' is not a length and a cumulative fraction"),
        ("10,0.5\n\nx,1", "line 3: 'x' is not a length in bytes below 2^32"),
        ("10,0.5\n5000000000,1", "line 2: '5000000000' is not a length in bytes below 2^32"),
        ("10,50", "line 1: '50' is not a fraction between 0 and 1"),
        ("10,nan", "line 1: 'nan' is not a fraction between 0 and 1"),
        ("10,0.5\n9,1", "line 2: length 9 follows 10"),
        ("10,0.5\n11,0.4", "line 2: fraction 0.4 follows 0.5"),
        ("0,0.5\n11,1", "line 1: a message has at least 1 byte"),
        ("10,0.5\n11,0.9", "line 2: the last fraction is 0.9 instead of 1"),
    ] {
        assert_eq!(from_csv(text).unwrap_err(), error, "{text}");
    }
}

proptest! {
    #[test]
    fn from_csv__never_panics(text in "[0-9a-z,. #\n-]{0,80}") {
        if let Ok(workload) = from_csv(&text) {
            prop_assert!(workload.mean_bytes() >= 1.0);
            prop_assert!(workload.longest() >= workload.sample(&mut Random::new(1, "", 0)));
            prop_assert!(!workload.bins().is_empty() && workload.bins().len() <= 100);
        }
    }
}
