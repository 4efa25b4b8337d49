//! Parameters with several values each, and the points that they span.

use std::str::FromStr;

use super::setting::{Setting, is_path};

/// `KEY=A,B,...`: the values of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub(super) key: String,
    values: Vec<String>,
}

impl FromStr for Axis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not KEY=A,B,..., such as load=0.5,0.8");
        let (key, list) = text.split_once('=').filter(|(key, _)| is_path(key)).ok_or_else(wrong)?;
        let values = split(list);
        if values.iter().any(String::is_empty) {
            return Err(wrong());
        }
        Ok(Self { key: key.into(), values })
    }
}

/// The settings at each point of a sweep: all combinations, the last axis varying fastest. Without an
/// axis that is one point without settings.
pub(super) fn points(axes: &[Axis]) -> Vec<Vec<Setting>> {
    axes.iter().fold(vec![Vec::new()], |points, axis| {
        let with = |point: &Vec<Setting>, value: &String| {
            point.iter().cloned().chain([Setting::new(&axis.key, value)]).collect()
        };
        points
            .iter()
            .flat_map(|point| axis.values.iter().map(move |value| with(point, value)))
            .collect()
    })
}

/// Splits at commas that are not within brackets or braces.
fn split(list: &str) -> Vec<String> {
    let mut depth = 0;
    let is_separator = |c: char| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    };
    list.split(is_separator).map(|value| value.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn texts(axes: &[&str]) -> Vec<String> {
        let axes: Vec<Axis> = axes.iter().map(|axis| axis.parse().unwrap()).collect();
        let text = |point: &Vec<Setting>| {
            let parts: Vec<_> = point.iter().map(|s| format!("{}={}", s.key, s.text)).collect();
            parts.join(" ")
        };
        points(&axes).iter().map(text).collect()
    }

    #[test]
    fn points__are_all_combinations_in_order() {
        assert_eq!(texts(&[]), [""]);
        assert_eq!(texts(&["load=0.5"]), ["load=0.5"]);
        let both = texts(&["workload=w1,w4", "load=0.5, 0.8"]);
        let expected = [
            "workload=w1 load=0.5",
            "workload=w1 load=0.8",
            "workload=w4 load=0.5",
            "workload=w4 load=0.8",
        ];
        assert_eq!(both, expected);
    }

    #[test]
    fn from_str__keeps_lists_together() {
        let values = texts(&["homa.cutoffs=[8,7,6],null"]);
        assert_eq!(values, ["homa.cutoffs=[8,7,6]", "homa.cutoffs=null"]);
        for text in ["load", "load=", "load=1,,2", "=1", "a b=1"] {
            assert!(text.parse::<Axis>().is_err(), "{text}");
        }
    }
}
