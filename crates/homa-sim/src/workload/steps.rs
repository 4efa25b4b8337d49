//! Distributions as lists of steps: parsing, interpolating, and the formula for W1.

use super::{INTERPOLATED_PARTS, Step, TABLES, WorkloadError};

/// By how much the last fraction of a table may differ from 1.
const LAST_FRACTION_TOLERANCE: f64 = 1e-6;

/// Scale, in bytes, and shape of the generalised Pareto distribution of W1's tail.
const W1_SCALE_BYTES: f64 = 214.476;
const W1_SHAPE: f64 = 0.348238;
const W1_LONGEST_BYTES: u32 = 1_000_000;

/// Above this length neighbouring steps of W1's tail are 1/1000 apart instead of 1 byte.
const W1_DENSE_BYTES: u32 = 2000;

/// The steps of a table with lines of length and cumulative fraction.
pub(super) fn parse(text: &str) -> Result<Vec<Step>, WorkloadError> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut last_length, mut last_fraction, mut last_line) = (0, 0.0, 0);
    for (line, row) in rows(text) {
        let (length, fraction) =
            parse_row(row).map_err(|reason| WorkloadError::Line { line, reason })?;
        let problem = |reason: String| Err(WorkloadError::Line { line, reason });
        if length < last_length {
            return problem(format!("length {length} follows {last_length}"));
        }
        if fraction < last_fraction {
            return problem(format!("fraction {fraction} follows {last_fraction}"));
        }
        let probability = fraction - last_fraction;
        if probability > 0.0 && length == 0 {
            return problem("a message has at least 1 byte".into());
        }
        match steps.last_mut() {
            Some(step) if step.length == length => step.probability += probability,
            _ if probability > 0.0 => steps.push(Step { length, probability }),
            _ => {}
        }
        (last_length, last_fraction, last_line) = (length, fraction, line);
    }
    if steps.is_empty() {
        return Err(WorkloadError::Table("the table has no lengths".into()));
    }
    if (last_fraction - 1.0).abs() > LAST_FRACTION_TOLERANCE {
        let reason = format!("the last fraction is {last_fraction} instead of 1");
        return Err(WorkloadError::Line { line: last_line, reason });
    }
    Ok(steps)
}

/// Divides each step but the first into several, log-linearly towards the one before.
pub(super) fn interpolate(steps: &[Step]) -> Vec<Step> {
    let mut fine: Vec<Step> = steps.first().copied().into_iter().collect();
    for pair in steps.windows(2) {
        let (below, above) = (f64::from(pair[0].length), f64::from(pair[1].length));
        let probability = pair[1].probability / f64::from(INTERPOLATED_PARTS);
        for part in 0..INTERPOLATED_PARTS {
            let at = (f64::from(part) + 0.5) / f64::from(INTERPOLATED_PARTS);
            let length = (below * (above / below).powf(at)).round() as u32;
            match fine.last_mut() {
                Some(last) if last.length == length => last.probability += probability,
                _ => fine.push(Step { length, probability }),
            }
        }
    }
    fine
}

/// W1 from its formula, see [`Workload::w1_pareto`](super::Workload::w1_pareto).
pub(super) fn w1_pareto() -> Vec<Step> {
    let rows = TABLES[0].1.split_once('\n').map_or("", |(_, rows)| rows);
    let mut steps = parse(rows).expect("a test parses every table");
    steps.truncate(15);
    let listed = steps.iter().map(|step| step.probability).sum::<f64>();
    let offset_bytes = f64::from(steps.last().map_or(0, |step| step.length));
    // Lengths are rounded to whole bytes, so that `length` stands for all up to half a byte above.
    let exceeds = |length: u32| {
        let beyond = f64::from(length) + 0.5 - offset_bytes;
        (1.0 - listed) * (1.0 + W1_SHAPE * beyond / W1_SCALE_BYTES).powf(-1.0 / W1_SHAPE)
    };
    let mut length = steps.last().map_or(0, |step| step.length);
    let mut remaining = 1.0 - listed;
    steps.last_mut().expect("there are 15").probability += remaining - exceeds(length);
    remaining = exceeds(length);
    while length < W1_LONGEST_BYTES {
        let gap = if length < W1_DENSE_BYTES { 1 } else { length / 1000 };
        length = (length + gap).min(W1_LONGEST_BYTES);
        let after = if length == W1_LONGEST_BYTES { 0.0 } else { exceeds(length) };
        steps.push(Step { length, probability: remaining - after });
        remaining = after;
    }
    steps
}

/// The lines with something in them, with their numbers; without a header.
fn rows(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split('#').next().unwrap_or_default().trim()))
        .filter(|(_, line)| !line.is_empty())
        .enumerate()
        .filter(|(row, (_, line))| *row > 0 || !line.starts_with(|c: char| c.is_alphabetic()))
        .map(|(_, numbered)| numbered)
}

fn parse_row(row: &str) -> Result<(u32, f64), String> {
    let is_separator = |c: char| c == ',' || c.is_whitespace();
    let fields: Vec<&str> = row.split(is_separator).filter(|field| !field.is_empty()).collect();
    let &[length, fraction] = fields.as_slice() else {
        return Err(format!("'{row}' is not a length and a cumulative fraction"));
    };
    let length =
        length.parse().map_err(|_| format!("'{length}' is not a length in bytes below 2^32"))?;
    match fraction.parse::<f64>() {
        Ok(value) if (0.0..=1.0 + LAST_FRACTION_TOLERANCE).contains(&value) => Ok((length, value)),
        _ => Err(format!("'{fraction}' is not a fraction between 0 and 1")),
    }
}
