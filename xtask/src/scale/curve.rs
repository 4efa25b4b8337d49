//! Curves: how they are measured, their table as CSV and in Markdown, and their plots.

use std::io;

use homa_sim::plot::{self, Line, Scale};

use super::Bench;
use crate::evaluation::markdown;

/// Something that is measured at several points.
pub(super) struct Curve {
    /// Name of its files.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// What tells the lines of its plots apart, and what is on their horizontal axis: the first two columns.
    pub(super) keys: [&'static str; 2],
    /// What is measured, with its unit: the other columns.
    pub(super) metrics: &'static [&'static str],
    /// The horizontal axis of its plots.
    pub(super) x: (&'static str, Scale),
    pub(super) plots: &'static [Plot],
    /// What cargo builds for it.
    pub(super) programs: &'static [&'static [&'static str]],
    pub(super) measure: fn(&Bench<'_>) -> io::Result<Vec<Row>>,
}

/// A plot of one metric.
pub(super) struct Plot {
    /// What follows the curve's name in its own.
    pub(super) suffix: &'static str,
    pub(super) title: &'static str,
    /// Which metric, counted from 0.
    pub(super) metric: usize,
    pub(super) y: (&'static str, Scale),
}

impl Plot {
    pub(super) fn file_name(&self, curve: &Curve) -> String {
        format!("{}{}.svg", curve.name, self.suffix)
    }
}

/// What was measured at one point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) series: String,
    pub(super) x: f64,
    /// One for each metric; NaN for what could not be measured.
    pub(super) values: Vec<f64>,
}

/// What was measured.
#[derive(Debug, PartialEq)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
}

impl Table {
    /// Reads what [`Table::csv`] wrote.
    ///
    /// # Errors
    ///
    /// It is another curve's, or no table.
    pub(super) fn parse(curve: &Curve, text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next() != Some(&header(curve).join(",")) {
            return Err(format!("the first line is not `{}`", header(curve).join(",")));
        }
        let row = |line: &str| {
            let mut cells = line.split(',');
            let series = cells.next()?.to_owned();
            let x = cells.next()?.parse().ok()?;
            let number =
                |cell: &str| if cell.is_empty() { Some(f64::NAN) } else { cell.parse().ok() };
            let values: Vec<f64> = cells.map(number).collect::<Option<_>>()?;
            (values.len() == curve.metrics.len()).then_some(Row { series, x, values })
        };
        let rows = lines.map(|line| row(line).ok_or_else(|| format!("not a row: `{line}`")));
        Ok(Self { rows: rows.collect::<Result<_, _>>()? })
    }

    /// As CSV; what could not be measured is empty.
    pub(super) fn csv(&self, curve: &Curve) -> String {
        let mut text = header(curve).join(",") + "\n";
        for row in &self.rows {
            let cells: Vec<String> = row.values.iter().map(|value| digits(*value, "")).collect();
            text += &format!("{},{},{}\n", row.series, row.x, cells.join(","));
        }
        text
    }

    /// As a table for people.
    pub(super) fn markdown(&self, curve: &Curve) -> String {
        let cells = |row: &Row| {
            let values = row.values.iter().map(|value| digits(*value, "-"));
            [row.series.clone(), row.x.to_string()].into_iter().chain(values).collect()
        };
        let rows: Vec<Vec<String>> = self.rows.iter().map(cells).collect();
        markdown::table(&header(curve), &rows)
    }

    /// One metric as SVG: a line for each series, in the order in which they first come.
    pub(super) fn svg(&self, curve: &Curve, plot: &Plot) -> String {
        let mut curves: Vec<plot::Curve> = Vec::new();
        for row in &self.rows {
            let point = (row.x, row.values[plot.metric]);
            if !point.1.is_finite() {
                continue;
            }
            match curves.iter_mut().find(|curve| curve.name == row.series) {
                Some(curve) => curve.points.push(point),
                None => curves.push(plot::Curve {
                    name: row.series.clone(),
                    points: vec![point],
                    color: curves.len(),
                    line: Line::Solid,
                }),
            }
        }
        plot::lines(plot.title, curve.x, plot.y, &curves)
    }
}

fn header(curve: &Curve) -> Vec<&'static str> {
    curve.keys.iter().chain(curve.metrics).copied().collect()
}

/// A figure with at least three digits, or `absent` if there is none.
fn digits(value: f64, absent: &str) -> String {
    match value {
        value if !value.is_finite() => absent.to_owned(),
        value if value == value.round() || value.abs() >= 100.0 => format!("{value:.0}"),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value if value.abs() >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    const CURVE: Curve = Curve {
        name: "example",
        title: "Example",
        keys: ["transport", "outstanding"],
        metrics: &["kops", "p50_us"],
        x: ("outstanding", Scale::Logarithmic),
        plots: &[],
        programs: &[],
        measure: |_| Ok(Vec::new()),
    };

    fn table() -> Table {
        let row = |series: &str, x, values: [f64; 2]| Row {
            series: series.into(),
            x,
            values: values.into(),
        };
        Table {
            rows: vec![
                row("homa", 1.0, [40.25, 7.5]),
                row("homa", 1e6, [f64::NAN, f64::NAN]),
                row("tcp", 1.0, [51.0, 1234.5]),
            ],
        }
    }

    #[test]
    fn csv__is_read_as_it_was_written() {
        let text = table().csv(&CURVE);
        assert_eq!(
            text,
            "transport,outstanding,kops,p50_us\nhoma,1,40.2,7.50\nhoma,1000000,,\ntcp,1,51,1234\n"
        );
        let read = Table::parse(&CURVE, &text).unwrap();
        assert_eq!(read.csv(&CURVE), text);
        assert!(read.rows[1].values[0].is_nan());
    }

    #[test]
    fn parse__refuses_what_is_no_table_of_the_curve() {
        let other = Table::parse(&CURVE, "transport,clients,kops\n").unwrap_err();
        assert!(other.contains("transport,outstanding,kops,p50_us"), "{other}");
        let short = "transport,outstanding,kops,p50_us\nhoma,1,40\n";
        assert!(Table::parse(&CURVE, short).unwrap_err().contains("`homa,1,40`"));
    }

    #[test]
    fn markdown__has_a_dash_for_what_is_missing() {
        let text = table().markdown(&CURVE);
        assert!(text.contains("| homa | 1000000 | - | - |"), "{text}");
    }

    #[test]
    fn svg__has_a_line_per_series() {
        let plot = Plot { suffix: "", title: "T", metric: 0, y: ("kops", Scale::Linear) };
        let svg = table().svg(&CURVE, &plot);
        assert!(svg.contains(">homa<") && svg.contains(">tcp<"));
        assert_eq!(plot.file_name(&CURVE), "example.svg");
    }
}
