//! P99 slowdown under other parameters (SIGCOMM 2018, figures 17 to 20).

use super::ParameterCurve;
use super::csv::{curves, number, rows};

const TABLE: &str = include_str!("../../data/published/sigcomm18_fig17_20_sensitivity_p99.csv");

/// Which parameter of Homa differs between the curves of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// The number of priorities for unscheduled packets, W1 (figure 17).
    UnscheduledPriorities,
    /// The length in bytes that separates the two unscheduled priorities, W3 (figure 18).
    CutoffBytes,
    /// The number of priorities for scheduled packets with the same overcommitment, W4 (figure 19).
    ScheduledPriorities,
    /// How many bytes of a message are sent unscheduled, W4 (figure 20).
    UnscheduledBytes,
}

/// For each value of the parameter the P99 slowdown at 80 % load by percentage of messages, from
/// the shortest.
pub fn sensitivity(parameter: Parameter) -> Vec<ParameterCurve> {
    let figure = match parameter {
        Parameter::UnscheduledPriorities => "fig17",
        Parameter::CutoffBytes => "fig18",
        Parameter::ScheduledPriorities => "fig19",
        Parameter::UnscheduledBytes => "fig20",
    };
    // Each curve ends with its highest value, wherever that is, and the curves of figure 18 have no
    // point at 2 %: their first bin is at 6 %.
    let is_point = |fields: &Vec<&str>| {
        fields[0].starts_with(figure) && fields[2] != "max" && !fields[3].is_empty()
    };
    curves(
        rows(TABLE)
            .filter(is_point)
            .map(|fields| (number(fields[1]), (number(fields[2]), number(fields[3])))),
    )
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn sensitivity__has_all_curves() {
        for (parameter, values) in [
            (Parameter::UnscheduledPriorities, vec![1, 2, 3, 7]),
            (Parameter::CutoffBytes, vec![100, 400, 1000, 2000, 4000]),
            (Parameter::ScheduledPriorities, vec![4, 7]),
            (Parameter::UnscheduledBytes, vec![1, 500, 1000, 9328, 18656]),
        ] {
            let curves = sensitivity(parameter);
            let found: Vec<_> = curves.iter().map(|curve| curve.parameter).collect();
            assert_eq!(found, values);
            for curve in curves {
                let count = if parameter == Parameter::CutoffBytes { 16 } else { 17 };
                assert_eq!(curve.points.len(), count, "{parameter:?} {curve:?}");
                assert!(curve.points.iter().all(|&(percent, p99)| percent < 100.0 && p99 > 1.0));
            }
        }
        // PAPER_RESULTS section 1.8.
        assert_eq!(sensitivity(Parameter::UnscheduledPriorities)[0].points[2], (10.0, 5.40));
    }
}
