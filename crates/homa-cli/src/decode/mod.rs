//! What a capture of packets holds: `homa decode`.

mod authentication;
mod capture;
mod fields;
mod frame;
mod messages;
mod rpcs;
mod segments;

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use homa_wire::{Header, Version};
use serde_json::Value;

use self::capture::{Capture, Frame};
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
    /// What a line is about.
    pub show: Show,
    /// One JSON object per line; messages are always CSV.
    pub json: bool,
}

/// What a line of output is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Show {
    /// A packet.
    #[default]
    Packets,
    /// An RPC, summarised.
    Rpcs,
    /// A message, request or response, as CSV for `homa sim --replay`: `time_us`, the time of its first
    /// packet since the capture's first; `from` and `to`, addresses (with Homa ports if a host talks to
    /// itself); `bytes`.
    Messages,
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
/// Memory is bounded by the longest packet and, of RPCs and messages, by the number of RPCs and of
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
    let mut decoder = Decoder { options, out, counts, rpcs: RpcTable::default(), start: None };
    let mut frames = 0_u64;
    let damage = loop {
        match capture.next() {
            Ok(Some(frame)) => decoder.add(&frame)?,
            Ok(None) => break None,
            Err(why) => break Some(why),
        }
        frames += 1;
    };
    // Of a damaged capture, what came before the damage.
    decoder.finish()?;
    match damage {
        Some(why) => Err(Problem::Read(format!("{why}, after {frames} whole packets"))),
        None => Ok(()),
    }
}

/// Decoding under way.
struct Decoder<'a, W> {
    options: &'a Options,
    out: &'a mut W,
    counts: &'a mut Counts,
    rpcs: RpcTable,
    /// When the first frame was captured.
    start: Option<Duration>,
}

impl<W: Write> Decoder<'_, W> {
    fn add(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        self.start.get_or_insert(frame.time);
        match frame::find(frame.link, frame.bytes, &self.options.udp_ports) {
            Finding::Homa(datagram) => {
                segments::split(datagram)
                    .try_for_each(|carried| self.add_packet(frame, carried))?;
            }
            Finding::Other => self.counts.other += 1,
        }
        Ok(())
    }

    fn add_packet(&mut self, frame: &Frame<'_>, carried: Carried<'_>) -> io::Result<()> {
        let start = self.start.unwrap_or_default();
        match Header::parse(carried.bytes, Version::V1) {
            Ok((header, _)) => {
                self.counts.homa += 1;
                let packet = Packet { time: frame.time, carried, header };
                if self.options.show != Show::Packets {
                    self.rpcs.add(&packet);
                    return Ok(());
                }
                write_fields(self.out, &fields::of_packet(&packet, start), self.options.json)
            }
            Err(error) => {
                self.counts.malformed += 1;
                if self.options.show != Show::Packets {
                    return Ok(());
                }
                let fields = fields::of_malformed(frame.time, start, &carried, error);
                write_fields(self.out, &fields, self.options.json)
            }
        }
    }

    /// Prints the RPCs or messages, if they are wanted.
    fn finish(&mut self) -> io::Result<()> {
        let start = self.start.unwrap_or_default();
        match self.options.show {
            Show::Packets => {}
            Show::Rpcs => {
                for rpc in self.rpcs.in_order_of_time() {
                    write_fields(self.out, &rpc.fields(start), self.options.json)?;
                }
            }
            Show::Messages => messages::write(self.out, &self.rpcs, start)?,
        }
        self.out.flush()
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

    fn show(rpcs: bool) -> Show {
        if rpcs { Show::Rpcs } else { Show::Packets }
    }

    fn decoded(name: &str, rpcs: bool) -> Vec<Value> {
        let file = format!("{}/../../tests-data/captures/{name}.pcap", env!("CARGO_MANIFEST_DIR"));
        let options = Options { udp_ports: vec![], show: show(rpcs), json: true };
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

    /// A capture without link layer, of one UDP datagram from port 5 to 4000.
    fn capture_of(datagram: &[u8]) -> Cursor<Vec<u8>> {
        let length = 28 + datagram.len() as u32;
        let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for word in [0x4_0000, 101, 0, 0, length, length] {
            file.extend(u32::to_le_bytes(word));
        }
        let [high, low] = (length as u16).to_be_bytes();
        file.extend([0x45, 0, high, low, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        let [high, low] = (length as u16 - 20).to_be_bytes();
        file.extend([0, 5, 0x0f, 0xa0, high, low, 0, 0]);
        file.extend(datagram);
        Cursor::new(file)
    }

    fn request(id: u64) -> Vec<u8> {
        let data = homa_wire::Data {
            message_length: 20,
            incoming: 20,
            ack: None,
            cutoff_version: 0,
            retransmit: false,
            incast: false,
            offset: 0,
            layout: homa_wire::DataLayout::default(),
        };
        let mut bytes = [7; homa_wire::DATA_HEADER_LEN + 20];
        let header = Header::new(32768, 4000, homa_wire::RpcId(id), homa_wire::Body::Data(data));
        header.emit(Version::V1, &mut bytes).unwrap();
        bytes.to_vec()
    }

    fn decoded_datagram(datagram: &[u8], rpcs: bool) -> Vec<Value> {
        let options = Options { udp_ports: vec![4000], show: show(rpcs), json: true };
        let mut out = Vec::new();
        decode(capture_of(datagram), &options, &mut out, &mut Counts::default()).unwrap();
        let lines = String::from_utf8(out).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// As numbers, ids beyond 2^53 would be rounded by most readers of JSON.
    #[test]
    fn decode__packets_sent_as_one_datagram() {
        let ids = [u64::MAX - 1, 1 << 60, 2];
        let datagram = ids.map(request).concat();
        for rpcs in [false, true] {
            let lines = decoded_datagram(&datagram, rpcs);
            let found: Vec<_> = lines.iter().map(|line| line["id"].as_str().unwrap()).collect();
            assert_eq!(found, ids.map(|id| id.to_string()));
            let whole = |line: &Value| line["state"] == "requested" && line["request"] == 20;
            assert!(lines.iter().all(|line| if rpcs { whole(line) } else { line["length"] == 20 }));
        }
    }

    #[test]
    fn decode__what_reaches_beyond_its_message_is_said_and_not_counted() {
        let datagram = [request(2), vec![0; 100]].concat();
        let packets = decoded_datagram(&datagram, false);
        assert_eq!(
            (&packets[0]["length"], &packets[0]["beyond_message"]),
            (&120.into(), &100.into())
        );
        let rpcs = decoded_datagram(&datagram, true);
        assert_eq!((&rpcs[0]["state"], &rpcs[0]["beyond_message"]), (&"partial".into(), &1.into()));
    }

    #[test]
    fn decode__authenticated_packets_are_told_as_such() {
        let mut in_front = [0x55; 44];
        in_front[..12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 9, 0xab, 0xcd, 0xef, 0xA1]);
        let packets = decoded_datagram(&[&in_front[..], &request(6)].concat(), false);
        let packet = &packets[0];
        assert_eq!((&packet["type"], &packet["length"]), (&"DATA".into(), &20.into()));
        assert_eq!(
            (&packet["auth"], &packet["auth_key"]),
            (&"unverified".into(), &"abcdef".into())
        );
        assert_eq!((&packet["auth_number"], &packet["id"]), (&"9".into(), &"6".into()));
    }

    /// What comes before the damage is there, packet by packet and RPC by RPC.
    #[test]
    fn decode__a_capture_that_was_cut_off() {
        let whole =
            format!("{}/../../tests-data/captures/short-rpc.pcap", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(whole).unwrap();
        for rpcs in [false, true] {
            let options = Options { udp_ports: vec![], show: show(rpcs), json: true };
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
