//! The whole stack over loopback: `homa bench`, with TCP beside Homa in the same run.

use std::io;
use std::process::{Command, Stdio};

use homa_sim::plot::Scale;
use serde_json::Value;

use super::Bench;
use super::curve::{Curve, Plot, Row};
use crate::measured::{Process, binary};

const PROGRAMS: &[&[&str]] = &[&["-p", "homa-cli"]];
/// Cores are those that both sides used: where that is less than the machine has, calls waited for something
/// else, such as other programs. The last, of both sides, includes polling, and depends less on what else runs.
const METRICS: &[&str] = &["kops", "gbps", "p50_us", "p99_us", "errors", "cores", "cpu_us_per_rpc"];
/// Places of these.
const KOPS: usize = 0;
const GBPS: usize = 1;
const P50: usize = 2;
const P99: usize = 3;
const CPU: usize = 6;

/// Connections above this are not tried: TCP has one for each open call.
const CONNECTIONS_MAX: u32 = 1_024;
/// Rounds, and the time of each transport in all: ordinary ones, ones in which calls take seconds, and those of the
/// quick form.
const SHORT: [&str; 6] = ["--rounds", "5", "--duration", "3s", "--warmup", "300ms"];
const LONG: [&str; 6] = ["--rounds", "3", "--duration", "12s", "--warmup", "2s"];
const QUICK: [&str; 6] = ["--rounds", "1", "--duration", "300ms", "--warmup", "100ms"];
/// Part of the calls that may fail.
const ERRORS_MAX: f64 = 1e-3;
/// Open calls at most in an open loop.
const OPEN_LOOP_CALLS: &str = "200";
/// Processes may have to wait for processors: that is not to be taken for silence. An option of Homa's alone.
const TIMEOUT: [&str; 2] = ["--timeout", "2s"];

/// By open calls.
pub(super) const OUTSTANDING: Curve = Curve {
    name: "stack-outstanding",
    title: "Whole stack: rate and latency by open calls of 100 B",
    keys: ["transport", "outstanding"],
    metrics: METRICS,
    x: ("open calls", Scale::Logarithmic),
    plots: &[
        Plot {
            suffix: "",
            title: "Calls of 100 B per second by open calls",
            metric: KOPS,
            y: ("thousand calls per second", Scale::Logarithmic),
        },
        Plot {
            suffix: "-p50",
            title: "P50 of calls of 100 B by open calls",
            metric: P50,
            y: ("us", Scale::Logarithmic),
        },
        Plot {
            suffix: "-cpu",
            title: "CPU time per call of 100 B by open calls, both sides",
            metric: CPU,
            y: ("us of a core per call", Scale::Logarithmic),
        },
    ],
    programs: PROGRAMS,
    measure: |bench| {
        let mut rows = Vec::new();
        for count in [1, 4, 16, 64, 256, 1_024, 10_000, 100_000, 1_000_000] {
            let transports =
                if count <= CONNECTIONS_MAX { "homa,tcp" } else { "homa,tcp-pipelined" };
            let outstanding = count.to_string();
            // A call waits for so many others that a short round would see none begin and end.
            let rounds = if count >= 10_000 { &LONG } else { &SHORT };
            let options = ["--transports", transports, "--outstanding", &outstanding];
            rows.extend(run(bench, "rate", f64::from(count), rounds, &options)?);
        }
        Ok(rows)
    },
};

/// By length of messages.
pub(super) const SIZE: Curve = Curve {
    name: "stack-size",
    title: "Whole stack: rate and throughput by length of messages, one open call",
    keys: ["transport", "bytes"],
    metrics: METRICS,
    x: ("bytes", Scale::Logarithmic),
    plots: &[
        Plot {
            suffix: "",
            title: "Throughput each way by length of request and response, one open call",
            metric: GBPS,
            y: ("Gb/s each way", Scale::Logarithmic),
        },
        Plot {
            suffix: "-p50",
            title: "P50 by length of request and response, one open call",
            metric: P50,
            y: ("us", Scale::Logarithmic),
        },
    ],
    programs: PROGRAMS,
    measure: |bench| {
        let mut rows = Vec::new();
        // The first is the shortest that has room for what the benchmark writes into each message.
        for bytes in [20, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 64 << 20] {
            let size = bytes.to_string();
            let options = ["--transports", "homa,tcp", "--outstanding", "1", "--size", &size];
            rows.extend(run(bench, "throughput", f64::from(bytes), &SHORT, &options)?);
        }
        Ok(rows)
    },
};

/// By offered load.
pub(super) const LOAD: Curve = Curve {
    name: "stack-load",
    title: "Whole stack: latency by offered load, calls of 100 B in an open loop",
    keys: ["transport", "load_percent"],
    metrics: METRICS,
    x: ("load, %", Scale::Linear),
    plots: &[
        Plot {
            suffix: "",
            title: "P50 of calls of 100 B by load, in percent of the transport's own closed-loop rate",
            metric: P50,
            y: ("us", Scale::Logarithmic),
        },
        Plot {
            suffix: "-p99",
            title: "P99 of calls of 100 B by load, in percent of the transport's own closed-loop rate",
            metric: P99,
            y: ("us", Scale::Logarithmic),
        },
    ],
    programs: PROGRAMS,
    measure: |bench| {
        let transports = ["homa", "tcp-connections"];
        let mut rows = Vec::new();
        let both = transports.join(",");
        let closed = run(bench, "rate", 100.0, &SHORT, &["--transports", &both])?;
        for load in [10, 30, 50, 70, 80, 90] {
            for (transport, full) in transports.iter().zip(&closed) {
                let rps = full.values[KOPS] * 1e3 * f64::from(load) / 100.0;
                if !rps.is_finite() || rps < 1.0 {
                    return Err(io::Error::other(format!(
                        "{transport}: no rate to take a part of"
                    )));
                }
                let rps = format!("{rps:.0}");
                let options =
                    ["--transports", transport, "--rps", &rps, "--outstanding", OPEN_LOOP_CALLS];
                rows.extend(run(bench, "rate", f64::from(load), &SHORT, &options)?);
            }
        }
        Ok(rows)
    },
};

/// One `homa bench`, of a single test; a row for each transport. Where it gave no figures, it is said why,
/// and there is one row without any.
fn run(
    bench: &Bench<'_>,
    test: &str,
    x: f64,
    rounds: &[&'static str; 6],
    options: &[&str],
) -> io::Result<Vec<Row>> {
    let mut words = vec!["bench", test];
    words.extend(if bench.is_quick { &QUICK } else { rounds });
    words.extend(options);
    if options.iter().any(|option| option.contains("homa")) {
        words.extend(TIMEOUT);
    }
    eprintln!("homa {}", words.join(" "));
    let mut command = Command::new(binary(bench.root, "homa"));
    command.args(&words).args(["--json", "-"]).stderr(Stdio::inherit());
    let text = Process::start(&mut command)?.output()?;
    Ok(parse(&text, x).unwrap_or_else(|| {
        println!("homa {}: no figures", words.join(" "));
        vec![Row { series: "homa".into(), x, values: vec![f64::NAN; METRICS.len()] }]
    }))
}

/// The results of schema homa-bench/1.
fn parse(text: &str, x: f64) -> Option<Vec<Row>> {
    let json: Value = serde_json::from_str(text).ok()?;
    let row = |result: &Value| {
        let series = match (result["transport"].as_str()?, result["variant"].as_str()) {
            (transport, Some("pipelined")) => format!("{transport} pipelined"),
            (transport, _) => transport.to_owned(),
        };
        let figure = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let errors = figure(&result["errors"]);
        let (cpu, rtt, kops) = (&result["cpu"], &result["rtt_us"], figure(&result["kops"]));
        let cores = figure(&cpu["client"]) + figure(&cpu["server"]);
        let mut values = vec![
            kops,
            figure(&result["gbps"]),
            figure(&rtt["p50"]),
            figure(&rtt["p99"]),
            errors,
            cores,
            1e3 * cores / kops,
        ];
        // Of a run in which calls failed, or none began and ended while it was measured, figures say nothing. A
        // connection that was not made in time fails one call, which does not matter among many.
        if errors > ERRORS_MAX * figure(&result["rpcs"]) || rtt.is_null() {
            values[..=P99].fill(f64::NAN);
            values[CPU] = f64::NAN;
        }
        Some(Row { series, x, values })
    };
    json["results"].as_array()?.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn parse__a_row_per_transport() {
        let text = r#"{"results":[
            {"transport":"homa","variant":null,"kops":500,"gbps":0.5,"errors":1,"rpcs":1000,
             "rtt_us":{"p50":90.0,"p99":152.0},"cpu":{"client":1.0,"server":0.75}},
            {"transport":"tcp","variant":"pipelined","kops":11.0,"gbps":0.1,"errors":3,"rpcs":2000,
             "rtt_us":{"p50":9.0,"p99":15.0},"cpu":{"client":1.0,"server":null}}]}"#;
        let rows = parse(text, 64.0).unwrap();
        assert_eq!(rows[0].series, "homa");
        assert_eq!(rows[0].values, [500.0, 0.5, 90.0, 152.0, 1.0, 1.75, 3.5]);
        assert_eq!(rows[1].series, "tcp pipelined");
        assert!(rows[1].values[KOPS].is_nan() && rows[1].values[4] == 3.0);
        assert!(parse("nothing", 1.0).is_none());
    }
}
