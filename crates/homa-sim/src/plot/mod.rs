//! Plots as SVG: slowdown by message length as in the Homa papers, and plain curves.
//!
//! The same curves give the same text, byte for byte.

mod axis;
mod draw;

use crate::workload::Bin;
use axis::Axis;
pub use axis::Scale;
use draw::draw;

/// How far apart the lengths of messages are labelled, in percent of the messages.
const LENGTH_TICK_PERCENT: u32 = 10;

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Line {
    /// Unbroken, for a P99.
    #[default]
    Solid,
    /// Dashes, for a median.
    Dashed,
    /// Dots, for values that others have published.
    Dotted,
}

/// One curve of a plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What the legend says.
    pub name: String,
    /// From left to right. Points that are not finite, or not positive on a logarithmic axis, are
    /// left out.
    pub points: Vec<(f64, f64)>,
    /// Which colour: curves that belong together have the same. There are 7, which then repeat.
    pub color: usize,
    /// How it is drawn.
    pub line: Line,
}

/// Plots slowdown, on a logarithmic axis, by percentage of messages from the shortest, as figures
/// 12 and 13 of the Homa paper do (SIGCOMM 2018). The horizontal axis is linear in the number of
/// messages; each tenth is labelled with the length that the workload's `bins` reach there.
///
/// Returns the SVG.
pub fn slowdown(title: &str, bins: &[Bin], curves: &[Curve]) -> String {
    let percents =
        (0..=100 / LENGTH_TICK_PERCENT).map(|tick| f64::from(tick * LENGTH_TICK_PERCENT));
    let x = Axis::with_ticks(
        "message length in bytes (each tenth of the axis is a tenth of the messages)",
        percents.map(|percent| (percent, length_at(bins, percent))).collect(),
    );
    // No message is faster than the best possible, which therefore belongs to every such plot.
    let values = curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
    let y = Axis::around("slowdown", Scale::Logarithmic, values.chain([1.0]));
    draw(title, &x, &y, curves)
}

/// Plots curves over linear or logarithmic axes, each given by its label and its scale: the length
/// of queues by load, for example.
///
/// Returns the SVG.
pub fn lines(title: &str, x: (&str, Scale), y: (&str, Scale), curves: &[Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let x = Axis::around(x.0, x.1, points().map(|point| point.0));
    let y = Axis::around(y.0, y.1, points().map(|point| point.1));
    draw(title, &x, &y, curves)
}

/// The length that the shortest messages up to a percentage have at most.
fn length_at(bins: &[Bin], percent: f64) -> String {
    let bin = bins.iter().find(|bin| bin.cumulative_percent >= percent).or(bins.last());
    // Where the axis begins, no message is.
    bin.filter(|_| percent > 0.0).map_or(String::new(), |bin| bin.upper_bytes.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use crate::Workload;

    fn curve(name: &str, line: Line, points: &[(f64, f64)]) -> Curve {
        Curve { name: name.into(), points: points.to_vec(), color: 0, line }
    }

    fn texts(svg: &str) -> Vec<&str> {
        let after_tag = svg.split("<text").skip(1).filter_map(|rest| rest.split_once('>'));
        after_tag.filter_map(|(_, rest)| Some(rest.split_once('<')?.0.trim())).collect()
    }

    /// Enough of XML to notice unescaped text, unclosed tags and bad attributes.
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg;
        while let Some((text, after)) = rest.split_once('<') {
            let is_entity = |part: &str| {
                ["lt;", "gt;", "amp;", "quot;", "apos;"].iter().any(|e| part.starts_with(e))
            };
            assert!(text.split('&').skip(1).all(is_entity) && !text.contains('>'), "{text}");
            let (tag, after) = after.split_once('>').expect("a tag ends");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            let name = tag.split_whitespace().next().unwrap();
            if let Some(name) = name.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(name);
            }
            rest = after;
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    }

    #[test]
    fn slowdown__labels_lengths_at_tenths() {
        let workload = Workload::named("w4").unwrap();
        let curves = [
            curve("Homa P99", Line::Solid, &[(1.0, 2.1), (50.0, 1.8), (100.0, 25.6)]),
            curve("Homa P50", Line::Dashed, &[(1.0, 1.4), (50.0, 1.3), (100.0, 5.9)]),
        ];
        let svg = slowdown("W4, load 0.8: <Homa> & others\n", workload.bins(), &curves);
        assert_well_formed(&svg);
        let texts = texts(&svg);
        for length in [315, 376, 502, 561, 662, 960, 6387, 49_408, 120_373, 10_000_000] {
            assert!(texts.contains(&length.to_string().as_str()), "{length}: {texts:?}");
        }
        for text in ["1", "2", "5", "10", "20", "50", "slowdown", "Homa P99", "Homa P50"] {
            assert!(texts.contains(&text), "{text}: {texts:?}");
        }
        assert!(texts[0].contains("&lt;Homa&gt; &amp; others"), "{}", texts[0]);
        assert_eq!(svg, slowdown("W4, load 0.8: <Homa> & others\n", workload.bins(), &curves));
    }

    #[test]
    fn lines__points_are_where_the_axes_say() {
        let svg = lines(
            "",
            ("load", Scale::Linear),
            ("bytes", Scale::Linear),
            &[curve("a", Line::Solid, &[(0.0, 0.0), (10.0, 50.0)])],
        );
        assert_well_formed(&svg);
        let line = svg.lines().find(|line| line.contains("<polyline") && line.contains("#0072b2"));
        let points = line.unwrap().split("points=\"").nth(1).unwrap();
        let numbers: Vec<f64> = points
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .filter_map(|number| number.parse().ok())
            .collect();
        let [left, bottom, right, top] = numbers[..] else { panic!("{points}") };
        assert_eq!((left, bottom, right, top), (70.0, 510.0, 850.0, 50.0));
    }

    #[test]
    fn lines__nothing_and_nonsense_are_drawn_too() {
        let nonsense = [(0.0, 1.0), (f64::NAN, 2.0), (1.0, f64::INFINITY), (-1.0, -5.0)];
        for scale in [Scale::Linear, Scale::Logarithmic] {
            assert_well_formed(&lines("empty", ("x", scale), ("y", scale), &[]));
            for line in [Line::Solid, Line::Dashed, Line::Dotted] {
                let curves = [curve("nonsense", line, &nonsense), curve("none", line, &[])];
                assert_well_formed(&lines("t", ("x", scale), ("y", scale), &curves));
            }
        }
        assert_well_formed(&slowdown("no bins", &[], &[]));
    }
}
