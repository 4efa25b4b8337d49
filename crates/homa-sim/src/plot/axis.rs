//! Axes with round numbers at the ticks.

/// About how many ticks a linear axis has.
const LINEAR_TICKS: f64 = 8.0;

/// With more ticks than this a logarithmic axis has them at powers of 10 only.
const LOGARITHMIC_TICKS_MAX: usize = 13;

/// How values are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally far apart; the axis includes 0.
    Linear,
    /// Equal ratios are equally far apart; only positive values have a place.
    Logarithmic,
}

/// An axis from its first tick to its last.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    label: String,
    scale: Scale,
    /// Values and what is written there, ascending, at least two.
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis with these ticks, at least two.
    pub(super) fn with_ticks(label: &str, ticks: Vec<(f64, String)>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, ticks }
    }

    /// An axis that has room for all `values` which are finite and, on a logarithmic one, positive.
    pub(super) fn around(label: &str, scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let has_place = |value: &f64| value.is_finite() && (scale == Scale::Linear || *value > 0.0);
        let (low, high) = values
            .filter(has_place)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let ticks = match scale {
            Scale::Linear => linear_ticks(low.min(0.0), high.max(0.0)),
            Scale::Logarithmic if low > high => logarithmic_ticks(1.0, 10.0),
            Scale::Logarithmic => logarithmic_ticks(low, high),
        };
        Self { label: label.into(), scale, ticks }
    }

    /// What it measures.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Whether the value has a place on it.
    pub(super) fn shows(&self, value: f64) -> bool {
        (self.first()..=self.last()).contains(&value)
    }

    /// How far along the axis a value lies that has a place: from 0 at the first tick to 1 at the
    /// last.
    pub(super) fn fraction(&self, value: f64) -> f64 {
        let place = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.ln(),
        };
        let (first, last) = (place(self.first()), place(self.last()));
        (place(value) - first) / (last - first)
    }

    /// Where the ticks are (see [`fraction`](Self::fraction)), and what is written there.
    pub(super) fn ticks(&self) -> impl Iterator<Item = (f64, &str)> {
        self.ticks.iter().map(|(value, text)| (self.fraction(*value), text.as_str()))
    }

    fn first(&self) -> f64 {
        self.ticks.first().map_or(0.0, |tick| tick.0)
    }

    fn last(&self) -> f64 {
        self.ticks.last().map_or(1.0, |tick| tick.0)
    }
}

/// Multiples of 1, 2 or 5 times a power of 10, from not above `low` to not below `high`.
fn linear_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let span = if high > low { high - low } else { 1.0 };
    let rough = span / LINEAR_TICKS;
    let exponent = rough.log10().floor() as i32;
    let (factor, exponent) = match rough / power(exponent) {
        ratio if ratio <= 1.0 => (1.0, exponent),
        ratio if ratio <= 2.0 => (2.0, exponent),
        ratio if ratio <= 5.0 => (5.0, exponent),
        _ => (1.0, exponent + 1),
    };
    let step = factor * power(exponent);
    let (first, last) = ((low / step).floor() as i32, ((low + span) / step).ceil() as i32);
    (first..=last).map(|index| tick(f64::from(index) * factor, exponent)).collect()
}

/// 1, 2 and 5 times powers of 10, from not above `low` to not below `high`, which are positive.
fn logarithmic_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let exponents = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let all: Vec<_> = exponents
        .clone()
        .flat_map(|exponent| [1.0, 2.0, 5.0].map(|factor| tick(factor, exponent)))
        .collect();
    // Two at least, where low and high are the same.
    let first = all.iter().rposition(|tick| tick.0 <= low).unwrap_or(0).min(all.len() - 2);
    let last = all.iter().position(|tick| tick.0 >= high).unwrap_or(all.len() - 1).max(first + 1);
    if last - first < LOGARITHMIC_TICKS_MAX {
        return all[first..=last].to_vec();
    }
    exponents.map(|exponent| tick(1.0, exponent)).collect()
}

fn tick(factor: f64, exponent: i32) -> (f64, String) {
    let value = factor * power(exponent);
    let decimals = exponent.min(0).unsigned_abs() as usize;
    (value, format!("{value:.decimals$}"))
}

/// A power of 10: exact for the integers that `f64` holds, and else the nearest fraction.
fn power(exponent: i32) -> f64 {
    if exponent < 0 { 1.0 / 10.0_f64.powi(-exponent) } else { 10.0_f64.powi(exponent) }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use proptest::prelude::*;

    fn labels(scale: Scale, values: &[f64]) -> Vec<String> {
        let axis = Axis::around("", scale, values.iter().copied());
        axis.ticks.into_iter().map(|tick| tick.1).collect()
    }

    #[test]
    fn around__linear() {
        let at = |values: &[f64]| labels(Scale::Linear, values);
        assert_eq!(at(&[3.0, 78.0]), ["0", "10", "20", "30", "40", "50", "60", "70", "80"]);
        assert_eq!(at(&[0.35]), ["0.00", "0.05", "0.10", "0.15", "0.20", "0.25", "0.30", "0.35"]);
        assert_eq!(at(&[-1.0, 4.0]), ["-1", "0", "1", "2", "3", "4"]);
        assert_eq!(at(&[]).first().unwrap(), "0.0");
    }

    #[test]
    fn around__logarithmic() {
        let at = |values: &[f64]| labels(Scale::Logarithmic, values);
        assert_eq!(at(&[1.0, 15.0]), ["1", "2", "5", "10", "20"]);
        assert_eq!(at(&[0.9, 3.0]), ["0.5", "1", "2", "5"]);
        assert_eq!(at(&[1.0]), ["1", "2"]);
        assert_eq!(at(&[0.0, -3.0]), ["1", "2", "5", "10"]);
        assert_eq!(
            at(&[0.3, 2e5]),
            ["0.1", "1", "10", "100", "1000", "10000", "100000", "1000000"]
        );
    }

    proptest! {
        #[test]
        fn around__has_room_for_all_values(
            values in proptest::collection::vec(1e-9..1e12_f64, 1..5),
            is_linear: bool,
        ) {
            let scale = if is_linear { Scale::Linear } else { Scale::Logarithmic };
            let axis = Axis::around("", scale, values.iter().copied());
            prop_assert!((2..=24).contains(&axis.ticks.len()));
            prop_assert!(axis.ticks.windows(2).all(|pair| pair[0].0 < pair[1].0));
            for value in values {
                prop_assert!(axis.shows(value), "{axis:?} {value}");
                prop_assert!((-1e-9..=1.0 + 1e-9).contains(&axis.fraction(value)));
            }
        }
    }
}
