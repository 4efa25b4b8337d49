//! The fuzz target of the reader of captures; `fuzz/fuzz_targets/capture.rs` includes it.

use homa_cli::decode::{Counts, Options, Problem, Show, decode};
use homa_testkit::fuzz::{Choices, packet};
use std::io::Cursor;

/// A line of output has at most so many bytes.
const LINE_BYTES_MAX: usize = 2000;
/// A packet of a capture takes at least so many, of which it has the length twice.
const RECORD_BYTES_MIN: usize = 12;
/// The UDP port taken for Homa's.
const UDP_PORT: u16 = 4000;

const ETHERNET: u32 = 1;
const RAW: u32 = 101;
const LINUX_SLL: u32 = 113;

/// Reads the input as a capture; then makes a capture of packets from it, which must all be found.
///
/// # Panics
///
/// If the reader panics, prints more than a capture of this length can hold, or does not find as many
/// packets as there are.
pub(crate) fn capture(input: &[u8]) {
    for show in [Show::Packets, Show::Rpcs, Show::Messages] {
        let (counts, _) = read(input.to_vec(), show);
        let packets = counts.homa + counts.malformed + counts.other;
        assert!(packets as usize <= input.len() / RECORD_BYTES_MIN, "{counts:?}");
    }
    let (file, packets) = compose(&mut Choices::new(input));
    for show in [Show::Packets, Show::Rpcs, Show::Messages] {
        let (counts, result) = read(file.clone(), show);
        assert!(result.is_ok(), "a whole capture: {result:?}");
        assert_eq!(counts.homa + counts.malformed + counts.other, packets);
    }
}

/// Decodes a capture, and checks that the output is in proportion.
fn read(file: Vec<u8>, show: Show) -> (Counts, Result<(), Problem>) {
    let options = Options { udp_ports: vec![UDP_PORT], show, json: show == Show::Packets };
    let (mut out, mut counts) = (Vec::new(), Counts::default());
    let result = decode(Cursor::new(file), &options, &mut out, &mut counts);
    let lines = (counts.homa + counts.malformed) as usize;
    assert!(out.len() <= (lines + 1) * LINE_BYTES_MAX, "{} bytes of {counts:?}", out.len());
    let text = String::from_utf8(out).expect("text");
    assert!(show != Show::Packets || text.lines().count() == lines, "a line per packet");
    (counts, result)
}

/// A capture of Homa packets in frames of many forms, some of them damaged, and their number.
fn compose(choices: &mut Choices<'_>) -> (Vec<u8>, u64) {
    let link = choices.pick(&[ETHERNET, RAW, LINUX_SLL]);
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend(0x4_0000_u32.to_le_bytes());
    file.extend(link.to_le_bytes());
    let mut packets = 0;
    while !choices.is_empty() && packets < 64 {
        let frame = frame(choices, link);
        let captured = if choices.one_in(8) { choices.index(frame.len()) } else { frame.len() };
        for number in [choices.byte().into(), u32::from(choices.u16()), captured as u32] {
            file.extend(number.to_le_bytes());
        }
        file.extend((frame.len() as u32).to_le_bytes());
        file.extend(&frame[..captured]);
        packets += 1;
    }
    (file, packets)
}

fn frame(choices: &mut Choices<'_>, link: u32) -> Vec<u8> {
    let is_ipv6 = choices.flag();
    let mut frame = match link {
        ETHERNET => vec![0; 12],
        LINUX_SLL => vec![0; 14],
        _ => Vec::new(),
    };
    if link == ETHERNET && choices.one_in(4) {
        frame.extend([0x81, 0, 0, 7]);
    }
    if link != RAW {
        frame.extend(if is_ipv6 { [0x86, 0xdd] } else { [0x08, 0] });
    }
    let (protocol, payload) = payload(choices);
    let at = frame.len();
    if is_ipv6 {
        frame.extend([0x60, 0, 0, 0, 0, 0, protocol, 64]);
        frame[at + 4..at + 6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
        frame.extend([choices.byte() % 4; 32]);
    } else {
        frame.extend([0x45, 0xe0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0]);
        frame[at + 2..at + 4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
        frame.extend([10, 0, 0, choices.byte() % 4, 10, 0, 0, choices.byte() % 4]);
    }
    frame.extend(payload);
    if choices.one_in(8) {
        let place = choices.index(frame.len());
        frame[place] = choices.byte();
    }
    frame
}

/// A Homa packet as the payload of IP, and IP's protocol number for it.
fn payload(choices: &mut Choices<'_>) -> (u8, Vec<u8>) {
    let homa = packet(choices);
    match choices.below(4) {
        0 => (6, homa),
        1 => {
            let [high, low] = UDP_PORT.to_be_bytes();
            let mut datagram = vec![high, low, 1, 1, 0, 0, 0, 0];
            datagram.extend(homa);
            (17, datagram)
        }
        _ => (146, homa),
    }
}
