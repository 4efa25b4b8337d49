//! What a capture of packets holds: `homa decode`.

mod capture;
mod fields;
mod frame;
mod rpcs;

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use homa_wire::{Header, Version};
use serde_json::Value;

use self::capture::Capture;
use self::fields::Fields;
use self::frame::{Carried, Finding};
use self::rpcs::RpcTable;

/// A Homa packet of a capture.
#[derive(Debug)]
struct Packet<'a> {
    /// Since the epoch.
    time: Duration,
    carried: Carried<'a>,
    header: Header,
}

/// What to print of a capture.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// UDP packets from or to these ports are taken for Homa.
    pub udp_ports: Vec<u16>,
    /// A summary of each RPC instead of the packets.
    pub rpcs: bool,
    /// One JSON object per line.
    pub json: bool,
}

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Homa packets.
    pub homa: u64,
    /// What should be Homa and does not parse.
    pub malformed: u64,
    /// Other packets.
    pub other: u64,
}

/// Why decoding ended early.
#[derive(Debug)]
pub enum Problem {
    /// The capture can't be read, or is damaged; what came before the damage was printed.
    Read(String),
    /// The output can't be written.
    Write(io::Error),
}

/// Prints what a capture in pcap or pcapng format holds to `out`.
///
/// Memory is bounded by the longest packet and, with [`Options::rpcs`], by the number of RPCs and of
/// the pieces in which their messages came.
///
/// # Errors
///
/// See [`Problem`]. `counts` says what was found even then.
pub fn decode(
    input: impl Read + 'static,
    options: &Options,
    out: &mut impl Write,
    counts: &mut Counts,
) -> Result<(), Problem> {
    let mut capture = Capture::new(Box::new(input)).map_err(Problem::Read)?;
    let mut rpcs = RpcTable::default();
    let mut start = None;
    let mut frames = 0_u64;
    let damage = loop {
        let frame = match capture.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => break None,
            Err(why) => break Some(why),
        };
        frames += 1;
        let start = *start.get_or_insert(frame.time);
        let carried = match frame::find(frame.link, frame.bytes, &options.udp_ports) {
            Finding::Homa(carried) => carried,
            Finding::Other => {
                counts.other += 1;
                continue;
            }
        };
        match Header::parse(carried.bytes, Version::V1) {
            Ok((header, _)) => {
                counts.homa += 1;
                let packet = Packet { time: frame.time, carried, header };
                if options.rpcs {
                    rpcs.add(&packet);
                } else {
                    write_fields(out, &fields::of_packet(&packet, start), options.json)?;
                }
            }
            Err(error) => {
                counts.malformed += 1;
                if !options.rpcs {
                    let fields = fields::of_malformed(frame.time, start, &carried, error);
                    write_fields(out, &fields, options.json)?;
                }
            }
        }
    };
    // Of a damaged capture, what came before the damage.
    if options.rpcs {
        for rpc in rpcs.in_order_of_time() {
            write_fields(out, &rpc.fields(start.unwrap_or_default()), options.json)?;
        }
    }
    out.flush()?;
    match damage {
        Some(why) => Err(Problem::Read(format!("{why}, after {frames} whole packets"))),
        None => Ok(()),
    }
}

/// One line: a JSON object, or readable text.
fn write_fields(out: &mut impl Write, fields: &Fields, json: bool) -> io::Result<()> {
    if json {
        writeln!(out, "{}", Value::Object(fields.to_json()))
    } else {
        writeln!(out, "{fields}")
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} Homa packets, {} malformed, {} other packets",
            self.homa, self.malformed, self.other
        )
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(why) => f.write_str(why),
            Self::Write(error) => write!(f, "cannot write the output: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::fs::File;
    use std::io::Cursor;

    use super::*;

    const CAPTURES: [&str; 7] =
        ["full-100kB", "grants", "loss-short", "loss-w4", "short-rpc", "tcp-hijack", "w4"];

    fn decoded(name: &str, rpcs: bool) -> Vec<Value> {
        let file = format!("{}/../../tests-data/captures/{name}.pcap", env!("CARGO_MANIFEST_DIR"));
        let options = Options { udp_ports: vec![], rpcs, json: true };
        let (mut out, mut counts) = (Vec::new(), Counts::default());
        let input = File::open(file).unwrap();
        decode(input, &options, &mut out, &mut counts)
            .unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let lines = String::from_utf8(out).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    fn count(packets: &[Value], kind: &str) -> usize {
        packets.iter().filter(|packet| packet["type"] == kind).count()
    }

    #[test]
    fn decode__every_packet_of_the_kernels_captures() {
        for name in CAPTURES {
            let packets = decoded(name, false);
            assert!(packets.len() > 100, "{name}: {}", packets.len());
            assert!(count(&packets, "DATA") > 50, "{name}");
            assert_eq!(count(&packets, "malformed"), 0, "{name}");
        }
    }

    #[test]
    fn decode__what_each_capture_is_about() {
        assert!(count(&decoded("grants", false), "GRANT") > 10);
        let lossy = decoded("loss-w4", false);
        assert!(count(&lossy, "RESEND") > 10 && count(&lossy, "BUSY") > 0);
        assert!(lossy.iter().any(|packet| packet["retransmit"] == true));
        let hijacked = decoded("tcp-hijack", false);
        assert!(hijacked.iter().any(|packet| packet["via"] == "ip/6"));
    }

    #[test]
    fn decode__rpcs_with_their_lengths() {
        let rpcs = decoded("full-100kB", true);
        let complete: Vec<_> = rpcs.iter().filter(|rpc| rpc["state"] == "complete").collect();
        assert!(!complete.is_empty());
        for rpc in complete {
            assert_eq!((&rpc["request"], &rpc["response"]), (&100_000.into(), &100_000.into()));
            assert!(rpc["duration_us"].as_f64().unwrap() > 0.0);
            assert!(rpc["grants"].as_u64().unwrap() > 0);
        }
    }

    /// What comes before the damage is there, packet by packet and RPC by RPC.
    #[test]
    fn decode__a_capture_that_was_cut_off() {
        let whole =
            format!("{}/../../tests-data/captures/short-rpc.pcap", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(whole).unwrap();
        for rpcs in [false, true] {
            let options = Options { udp_ports: vec![], rpcs, json: true };
            let (mut out, mut counts) = (Vec::new(), Counts::default());
            let half = Cursor::new(bytes[..bytes.len() / 2].to_vec());
            let Err(Problem::Read(why)) = decode(half, &options, &mut out, &mut counts) else {
                panic!("not noticed")
            };
            assert!(why.contains("damaged") && why.contains("whole packets"), "{why}");
            assert!(String::from_utf8(out).unwrap().lines().count() > 10);
            assert!(counts.homa > 10);
        }
    }

    #[test]
    fn decode__no_capture_is_an_error() {
        let input = Cursor::new(b"[package]\nname = \"homa-cli\"\n");
        let result = decode(input, &Options::default(), &mut Vec::new(), &mut Counts::default());
        assert!(matches!(result, Err(Problem::Read(_))));
    }
}
