//! Memory, by counting what programs ask their allocator for: of the core alone, and of whole endpoints.

use std::io;
use std::process::Command;

use homa_sim::plot::Scale;

use super::curve::{Curve, Plot, Row};
use crate::measured::{Process, binary};

/// By how many there are.
pub(super) const MEMORY: Curve = Curve {
    name: "memory",
    title: "Memory per host, idle peer and open RPC",
    keys: ["what", "count"],
    metrics: &["bytes_each"],
    x: ("number of peers or RPCs", Scale::Logarithmic),
    plots: &[Plot {
        suffix: "",
        title: "Bytes of each idle peer and each RPC, by their number",
        metric: 0,
        y: ("bytes of each", Scale::Logarithmic),
    }],
    programs: &[
        &["-p", "homa-proto", "--example", "memory"],
        &["-p", "homa-rpc", "--example", "endpoint_memory"],
    ],
    measure: |bench| {
        let mut rows = Vec::new();
        // What it says at most, in the quick form and in the other.
        for (layer, example, most) in [
            ("core", "examples/memory", ["10000", "1000000"]),
            ("endpoint", "examples/endpoint_memory", ["1000", "100000"]),
        ] {
            eprintln!("memory: {layer}");
            let mut command = Command::new(binary(bench.root, example));
            command.arg(most[usize::from(!bench.is_quick)]);
            let text = Process::start(&mut command)?.output()?;
            let parsed = parse(layer, &text);
            rows.extend(parsed.ok_or_else(|| io::Error::other(format!("{example}: {text}")))?);
        }
        Ok(rows)
    },
};

/// What an example prints: lines of what, how many, bytes of each.
fn parse(layer: &str, text: &str) -> Option<Vec<Row>> {
    let row = |line: &str| {
        let mut cells = line.split(',');
        let series = format!("{layer}: {}", cells.next()?);
        let x = cells.next()?.parse().ok()?;
        let bytes = cells.next()?.parse().ok()?;
        Some(Row { series, x, values: vec![bytes] })
    };
    let rows: Vec<Row> = text.lines().map(row).collect::<Option<_>>()?;
    (!rows.is_empty()).then_some(rows)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn parse__a_row_per_line() {
        let rows = parse("core", "host (client),1,1416\nopen RPC (client),1000,632\n").unwrap();
        assert_eq!(rows[1].series, "core: open RPC (client)");
        assert_eq!((rows[1].x, rows[1].values[0]), (1000.0, 632.0));
        assert_eq!(parse("core", "thread 'main' panicked\n"), None);
        assert_eq!(parse("core", ""), None);
    }
}
