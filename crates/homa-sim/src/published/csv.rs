//! Reading the tables that are compiled in. Tests read every one of them, so that a malformed line
//! cannot reach users.

use std::fmt::Debug;
use std::str::FromStr;

use super::ParameterCurve;

/// The fields of each line after the header; comments begin with `#`.
pub(super) fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|line| !line.starts_with('#')).skip(1).map(|line| line.split(',').collect())
}

/// The number in a field.
pub(super) fn number<T: FromStr<Err: Debug>>(field: &str) -> T {
    field.parse().expect("a number in a table that is compiled in")
}

/// Whether a table's `column` names what was asked for.
pub(super) fn is_same(column: &str, asked: &str) -> bool {
    column.eq_ignore_ascii_case(asked)
}

/// The workload as the publications call it.
pub(super) fn base_workload(workload: &str) -> &str {
    let is_pareto = workload.eq_ignore_ascii_case("w1-pareto");
    if is_pareto { "W1" } else { workload }
}

/// Gathers points with the same parameter, in their order.
pub(super) fn curves(points: impl Iterator<Item = (u32, (f64, f64))>) -> Vec<ParameterCurve> {
    let mut curves: Vec<ParameterCurve> = Vec::new();
    for (parameter, point) in points {
        match curves.last_mut() {
            Some(curve) if curve.parameter == parameter => curve.points.push(point),
            _ => curves.push(ParameterCurve { parameter, points: vec![point] }),
        }
    }
    curves
}
