//! The SVG of a plot: a grid with labelled ticks, the curves, and a legend.

use std::fmt::{self, Write};

use super::axis::Axis;
use super::{Curve, Line};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 570.0;

/// The edges of the area between the axes.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 850.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 510.0;

/// Lines of the legend: how far apart, and how much of the curve stands before the name.
const LEGEND_LINE: f64 = 20.0;
const LEGEND_SAMPLE: f64 = 30.0;

/// How wide a letter of the legend is at most on average; nothing here can measure text.
const LETTER_WIDTH: f64 = 7.5;

/// Colours that people with any kind of colour vision can tell apart (Okabe and Ito, 2008).
const COLORS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];

/// Draws `curves` over two axes.
pub(super) fn draw(title: &str, x: &Axis, y: &Axis, curves: &[Curve]) -> String {
    let mut svg = String::new();
    try_draw(&mut svg, title, x, y, curves).expect("a string takes whatever is written");
    svg
}

fn try_draw(svg: &mut String, title: &str, x: &Axis, y: &Axis, curves: &[Curve]) -> fmt::Result {
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">"#
    )?;
    writeln!(svg, r##"<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>"##)?;
    let middle = (LEFT + RIGHT) / 2.0;
    let title = escape(title);
    writeln!(
        svg,
        r#"<text x="{middle}" y="28" text-anchor="middle" font-size="18">{title}</text>"#
    )?;
    grid(svg, x, y)?;
    for curve in curves {
        let places = |point: &(f64, f64)| {
            let has_place = x.shows(point.0) && y.shows(point.1);
            has_place.then(|| (across(x.fraction(point.0)), up(y.fraction(point.1))))
        };
        polyline(svg, curve, curve.points.iter().filter_map(places))?;
    }
    legend(svg, curves)?;
    writeln!(svg, "</svg>")
}

/// The ticks of both axes with lines through the area, and what the axes measure.
fn grid(svg: &mut String, x: &Axis, y: &Axis) -> fmt::Result {
    for (fraction, text) in x.ticks() {
        let (at, text, below) = (across(fraction), escape(text), BOTTOM + 18.0);
        writeln!(svg, r##"<path d="M{at:.2} {TOP}V{BOTTOM}" stroke="#d8d8d8"/>"##)?;
        writeln!(svg, r#"<text x="{at:.2}" y="{below}" text-anchor="middle">{text}</text>"#)?;
    }
    for (fraction, text) in y.ticks() {
        let (at, text, before) = (up(fraction), escape(text), LEFT - 7.0);
        let base = at + 4.5;
        writeln!(svg, r##"<path d="M{LEFT} {at:.2}H{RIGHT}" stroke="#d8d8d8"/>"##)?;
        writeln!(svg, r#"<text x="{before}" y="{base:.2}" text-anchor="end">{text}</text>"#)?;
    }
    writeln!(svg, r##"<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#000000"/>"##)?;
    let (middle, low, label) = ((LEFT + RIGHT) / 2.0, BOTTOM + 44.0, escape(x.label()));
    writeln!(svg, r#"<text x="{middle}" y="{low}" text-anchor="middle">{label}</text>"#)?;
    let (middle, label) = ((TOP + BOTTOM) / 2.0, escape(y.label()));
    writeln!(
        svg,
        r#"<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">{label}</text>"#
    )
}

/// The curves' names in the upper left corner, where those that rise leave room.
fn legend(svg: &mut String, curves: &[Curve]) -> fmt::Result {
    let Some(longest) = curves.iter().map(|curve| curve.name.chars().count()).max() else {
        return Ok(());
    };
    let (left, top) = (LEFT + 12.0, TOP + 12.0);
    let width = LEGEND_SAMPLE + 26.0 + longest as f64 * LETTER_WIDTH;
    let height = LEGEND_LINE * curves.len() as f64 + 8.0;
    writeln!(
        svg,
        r##"<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="#ffffff" stroke="#808080"/>"##
    )?;
    for (index, curve) in curves.iter().enumerate() {
        let (x, y) = (left + 8.0, top + LEGEND_LINE * (index as f64 + 0.5) + 4.0);
        polyline(svg, curve, [(x, y), (x + LEGEND_SAMPLE, y)].into_iter())?;
        let (x, base, name) = (x + LEGEND_SAMPLE + 8.0, y + 4.5, escape(&curve.name));
        writeln!(svg, r#"<text x="{x}" y="{base}">{name}</text>"#)?;
    }
    Ok(())
}

/// A line in the curve's style.
fn polyline(
    svg: &mut String,
    curve: &Curve,
    points: impl Iterator<Item = (f64, f64)>,
) -> fmt::Result {
    let color = COLORS[curve.color % COLORS.len()];
    let dashes = match curve.line {
        Line::Solid => "",
        Line::Dashed => r#" stroke-dasharray="7 4""#,
        Line::Dotted => r#" stroke-dasharray="2 3""#,
    };
    write!(svg, r#"<polyline fill="none" stroke="{color}" stroke-width="2"{dashes} points=""#)?;
    for (x, y) in points {
        write!(svg, "{x:.2},{y:.2} ")?;
    }
    writeln!(svg, r#""/>"#)
}

fn across(fraction: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * fraction
}

fn up(fraction: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * fraction
}

/// As text between tags; control characters, which XML has no room for, become blanks.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
        escaped
    })
}
