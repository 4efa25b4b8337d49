//! Tables in Markdown.

/// A table with a header; all but the first column are figures.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = line(header.iter().map(ToString::to_string));
    text += &line(header.iter().enumerate().map(|(column, _)| {
        let rule = if column == 0 { "---" } else { "--:" };
        rule.to_owned()
    }));
    rows.iter().fold(text, |text, row| text + &line(row.iter().cloned()))
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.collect();
    format!("| {} |\n", cells.join(" | "))
}

/// A figure with two decimals, or a dash where there is none.
pub(super) fn two(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.2}"))
}

/// The same with one decimal.
pub(super) fn one(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.1}"))
}

/// `part` as a multiple of `whole`.
pub(super) fn ratio(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    Some(part? / whole.filter(|whole| *whole != 0.0)?)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn table__has_a_line_per_row() {
        let text = table(&["load", "P99"], &[vec!["0.8".into(), two(Some(1.005))]]);
        assert_eq!(text, "| load | P99 |\n| --- | --: |\n| 0.8 | 1.00 |\n");
    }

    #[test]
    fn ratio__needs_both() {
        assert_eq!(two(ratio(Some(3.0), Some(2.0))), "1.50");
        assert_eq!(one(ratio(None, Some(2.0))), "-");
        assert_eq!(ratio(Some(1.0), Some(0.0)), None);
    }
}
