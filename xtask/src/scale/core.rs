//! The core alone: the example `scale` of homa-proto, by time and by instructions.

use std::io;
use std::process::Command;

use homa_sim::plot::Scale;

use super::Bench;
use super::curve::{Curve, Plot, Row};
use crate::callgrind;
use crate::measured::{Process, binary, median};

const PROGRAMS: &[&[&str]] = &[&["-p", "homa-proto", "--example", "scale"]];
const METRICS: &[&str] =
    &["ns_per_rpc", "instructions_per_rpc", "cache_misses_per_rpc", "packets_per_rpc"];
const SIZE_METRICS: &[&str] = &[
    "ns_per_rpc",
    "instructions_per_rpc",
    "cache_misses_per_rpc",
    "packets_per_rpc",
    "ns_per_packet",
    "instructions_per_packet",
    "instructions_per_byte",
];
/// Places of these.
const NANOS: usize = 0;
const INSTRUCTIONS: usize = 1;
const MISSES: usize = 2;
const PACKETS: usize = 3;
const PACKET_INSTRUCTIONS: usize = 5;

/// What counts instructions, of the example's function `measured` alone. The caches are always these, so that
/// the figures are the same everywhere: size in bytes, ways, bytes of a line.
const CALLGRIND: [&str; 9] = [
    "valgrind",
    "--tool=callgrind",
    "--callgrind-out-file=/dev/null",
    "--collect-atstart=no",
    "--toggle-collect=*::measured*",
    "--cache-sim=yes",
    "--I1=32768,8,64",
    "--D1=32768,8,64",
    "--LL=8388608,16,64",
];
/// How many figures it gives.
const EVENTS: usize = 9;
/// The most of anything for which instructions are counted in the quick form: it takes fifty times as long.
const QUICK_MOST: u32 = 10_000;

/// By open RPCs.
pub(super) const OUTSTANDING: Curve = Curve {
    name: "core-outstanding",
    title: "Core: cost per RPC by open RPCs",
    keys: ["time", "outstanding"],
    metrics: METRICS,
    x: ("open RPCs", Scale::Logarithmic),
    plots: &[
        Plot {
            suffix: "",
            title: "Core: time per RPC of 100 B by open RPCs",
            metric: NANOS,
            y: ("ns per RPC, both sides", Scale::Logarithmic),
        },
        Plot {
            suffix: "-instructions",
            title: "Core: instructions per RPC of 100 B by open RPCs",
            metric: INSTRUCTIONS,
            y: ("instructions per RPC, both sides", Scale::Logarithmic),
        },
    ],
    programs: PROGRAMS,
    measure: |bench| {
        let counts = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
        let point = |(series, pace_ns): (&'static str, u32), count: u32| Point {
            series,
            x: count,
            settings: vec![("outstanding", count), ("pace_ns", pace_ns)],
            rpcs: 200_000,
            counted_rpcs: 20_000,
            is_slow: false,
        };
        // Either no deadline comes before the response, or calls wait as long as their number and a
        // microsecond each make them wait.
        let paces = [("no deadlines due", 2), ("1 us per RPC", 1_000)];
        let points = paces.iter().flat_map(|pace| counts.map(|count| point(*pace, count)));
        let mut points: Vec<Point> = points.collect();
        for point in points.iter_mut().filter(|point| point.settings[1].1 > 2) {
            // As many wait when it is measured as will ever do.
            point.settings.push(("warmup", point.x));
            if point.x >= 1_000_000 {
                (point.is_slow, point.counted_rpcs) = (true, 0);
            }
        }
        measure(bench, &points)
    },
};

/// By peers.
pub(super) const PEERS: Curve = Curve {
    name: "core-peers",
    title: "Core: cost per RPC by peers",
    keys: ["open", "peers"],
    metrics: METRICS,
    x: ("peers", Scale::Logarithmic),
    plots: &[
        Plot {
            suffix: "",
            title: "Core: time per RPC of 100 B by peers, called in turn",
            metric: NANOS,
            y: ("ns per RPC, both sides", Scale::Logarithmic),
        },
        Plot {
            suffix: "-instructions",
            title: "Core: instructions per RPC of 100 B by peers, called in turn",
            metric: INSTRUCTIONS,
            y: ("instructions per RPC, both sides", Scale::Logarithmic),
        },
    ],
    programs: PROGRAMS,
    measure: |bench| {
        let counts = [1, 10, 100, 1_000, 10_000, 100_000];
        let open = [("1 outstanding", 1), ("64 outstanding", 64)];
        let point = |(series, outstanding): (&'static str, u32), count: u32| Point {
            series,
            x: count,
            settings: vec![("peers", count), ("outstanding", outstanding)],
            rpcs: 200_000,
            // Once with the most peers is enough.
            counted_rpcs: if count > QUICK_MOST && outstanding > 1 { 0 } else { 20_000 },
            is_slow: false,
        };
        let points = open.iter().flat_map(|open| counts.map(|count| point(*open, count)));
        measure(bench, &points.collect::<Vec<_>>())
    },
};

/// By length of messages.
pub(super) const SIZE: Curve = Curve {
    name: "core-size",
    title: "Core: cost by length of messages",
    keys: ["mtu", "bytes"],
    metrics: SIZE_METRICS,
    x: ("bytes", Scale::Logarithmic),
    plots: &[
        Plot {
            suffix: "",
            title: "Core: time per RPC by length of request and response",
            metric: NANOS,
            y: ("ns per RPC, both sides", Scale::Logarithmic),
        },
        Plot {
            suffix: "-packet",
            title: "Core: instructions per DATA packet by length of request and response",
            metric: PACKET_INSTRUCTIONS,
            y: ("instructions per DATA packet, both sides", Scale::Logarithmic),
        },
    ],
    programs: PROGRAMS,
    measure: |bench| {
        let lengths = [1, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 64 << 20];
        let point = |(series, mtu): (&'static str, u32), length: u32| {
            // Both messages, in packets of about this length.
            let packets = 2 * length.div_ceil(mtu);
            Point {
                series,
                x: length,
                settings: vec![("length", length), ("mtu", mtu)],
                rpcs: (200_000 / packets).max(2),
                counted_rpcs: (20_000 / packets).max(1),
                is_slow: false,
            }
        };
        let mtus = [("MTU 1500", 1_500), ("MTU 65536", 65_536)];
        let points = mtus.iter().flat_map(|mtu| lengths.map(|length| point(*mtu, length)));
        let mut rows = measure(bench, &points.collect::<Vec<_>>())?;
        for row in &mut rows {
            let [nanos, instructions, _, packets] = row.values[..] else { continue };
            let both = 2.0 * row.x;
            row.values.extend([nanos / packets, instructions / packets, instructions / both]);
        }
        Ok(rows)
    },
};

/// One run of the example.
struct Point {
    series: &'static str,
    x: u32,
    settings: Vec<(&'static str, u32)>,
    /// Calls whose time is measured.
    rpcs: u32,
    /// Calls whose instructions are counted; 0 where that would take too long.
    counted_rpcs: u32,
    /// It takes a minute, and is therefore measured once.
    is_slow: bool,
}

impl Point {
    /// The example with this point's settings, by way of another program if `under` has its words.
    fn command(&self, bench: &Bench<'_>, under: &[&str], rpcs: u32) -> Command {
        let example = binary(bench.root, "examples/scale");
        let mut command = match under {
            [] => Command::new(example),
            [program, options @ ..] => {
                let mut command = Command::new(program);
                command.args(options).arg(example);
                command
            }
        };
        command.args(self.settings.iter().map(|(key, value)| format!("{key}={value}")));
        command.arg(format!("rpcs={rpcs}"));
        command
    }

    /// Nanoseconds and packets per RPC.
    fn time(&self, bench: &Bench<'_>) -> io::Result<[f64; 2]> {
        let rpcs = if bench.is_quick { self.rpcs.div_ceil(10) } else { self.rpcs };
        let text = Process::start(&mut self.command(bench, &[], rpcs))?.output()?;
        parse_time(&text).ok_or_else(|| self.failed("no figures", &text))
    }

    /// Instructions and cache misses per RPC.
    fn count(&self, bench: &Bench<'_>) -> io::Result<[f64; 2]> {
        let rpcs = self.counted_rpcs;
        let output = self.command(bench, &CALLGRIND, rpcs).output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let counts = parse_counts(&text).ok_or_else(|| self.failed("nothing counted", &text))?;
        Ok(counts.map(|count| count / f64::from(rpcs)))
    }

    fn failed(&self, why: &str, text: &str) -> io::Error {
        let text = text.trim();
        io::Error::other(format!("scale {:?}: {why}: {text}", self.settings))
    }
}

/// Measures all points, in rounds, so that a disturbance of the machine does not hit one of them alone.
fn measure(bench: &Bench<'_>, points: &[Point]) -> io::Result<Vec<Row>> {
    let counts = callgrind::is_there("no instructions");
    let mut times = vec![Vec::new(); points.len()];
    for round in 1..=bench.rounds() {
        eprintln!("core: round {round} of {}", bench.rounds());
        let of_round = |point: &Point| round == 1 || !point.is_slow;
        for (point, times) in points.iter().zip(&mut times).filter(|(point, _)| of_round(point)) {
            times.push(point.time(bench)?);
        }
    }
    let mut rows = Vec::new();
    for (point, times) in points.iter().zip(times) {
        let mut values = vec![f64::NAN; METRICS.len()];
        values[NANOS] = median(times.iter().map(|time| time[0]).collect());
        values[PACKETS] = median(times.iter().map(|time| time[1]).collect());
        let is_quick_enough = !bench.is_quick || point.x <= QUICK_MOST;
        if counts && is_quick_enough && point.counted_rpcs > 0 {
            eprintln!("core: counting {:?}", point.settings);
            [values[INSTRUCTIONS], values[MISSES]] = point.count(bench)?;
        }
        rows.push(Row { series: point.series.into(), x: f64::from(point.x), values });
    }
    Ok(rows)
}

/// What the example prints: nanoseconds and packets per RPC.
fn parse_time(text: &str) -> Option<[f64; 2]> {
    let (nanos, packets) = text.trim().split_once(' ')?;
    Some([nanos.parse().ok()?, packets.parse().ok()?])
}

/// Instructions and misses of the last cache out of what callgrind prints: "Collected :" and, in this order,
/// instructions, data reads and writes, misses of the first caches (three figures), misses of the last one
/// (three figures). Zeros at the end are left out.
fn parse_counts(text: &str) -> Option<[f64; 2]> {
    let collected = callgrind::collected(text)?.split_whitespace();
    let mut counts: Vec<f64> = collected.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    counts.resize(EVENTS, 0.0);
    let [instructions, _, _, _, _, _, code, read, written] = counts[..] else { return None };
    // Without the function there is nothing to count: it was inlined, or has another name.
    (instructions > 0.0).then_some([instructions, code + read + written])
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn parse_time__two_figures() {
        assert_eq!(parse_time("1020.5 2.0\n"), Some([1020.5, 2.0]));
        assert_eq!(parse_time("1020.5\n"), None);
    }

    #[test]
    fn parse_counts__instructions_and_misses_of_the_last_cache() {
        let text =
            "==1== Events    : Ir Dr Dw\n==1== Collected : 1000 300 200 5 6 7 1 2 4\n==1==\n";
        assert_eq!(parse_counts(text), Some([1000.0, 7.0]));
        assert_eq!(parse_counts("==1== Collected : 1000 300 200 5 6 7 1\n"), Some([1000.0, 1.0]));
        assert_eq!(parse_counts("==1== Collected :\n"), None);
        assert_eq!(parse_counts("==1== Collected : 0 0 0 0 0 0 0 0 0\n"), None);
    }
}
