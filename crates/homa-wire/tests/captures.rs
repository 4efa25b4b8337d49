//! Packets of the Linux kernel implementation, captured (`tests-data/captures/README.md`): all of
//! them parse, and their headers are written again byte for byte from what was parsed.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::path::Path;

use common::IpPacket;
use homa_wire::{Body, Header, PacketType, Version, checksum, ip};

/// What a capture holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Packets per type, by `PacketType::index`.
    by_type: [usize; PacketType::COUNT],
    /// DATA packets that the capture did not cut short.
    whole_data: usize,
    /// DATA packets that are marked as retransmitted.
    retransmitted: usize,
    /// Packets of IP protocol 6.
    hijacked: usize,
}

/// The frames of a capture in the classic pcap format, little-endian, with microseconds.
fn frames(pcap: &[u8]) -> Vec<&[u8]> {
    let word = |at: usize| {
        let bytes = pcap[at..].first_chunk().expect("a word");
        usize::try_from(u32::from_le_bytes(*bytes)).expect("64 bits")
    };
    assert_eq!((word(0), word(20)), (0xA1B2_C3D4, 1), "pcap, Ethernet");
    let mut frames = Vec::new();
    let mut at = 24;
    while at < pcap.len() {
        let captured = word(at + 8);
        frames.push(&pcap[at + 16..at + 16 + captured]);
        at += 16 + captured;
    }
    frames
}

/// The Homa packets of a capture, and that there is nothing else in it.
fn homa_packets(pcap: &[u8]) -> Vec<IpPacket<'_>> {
    let packets = frames(pcap).into_iter().map(|frame| {
        assert_eq!(frame[12..14], [0x08, 0x00], "IPv4");
        let packet = common::parse_ip(&frame[14..]);
        let is_homa = match packet.protocol {
            ip::PROTOCOL => true,
            ip::PROTOCOL_HIJACKED => ip::is_hijacked(packet.payload),
            _ => false,
        };
        assert!(is_homa, "protocol {}", packet.protocol);
        packet
    });
    packets.collect()
}

/// Shows what this file is about for one packet, and counts it.
fn check(packet: &IpPacket<'_>, counts: &mut Counts) {
    let (header, payload) = Header::parse(packet.payload, Version::V1).expect("legal");
    let mut emitted = vec![0xEE; header.emitted_len(Version::V1)];
    header.emit(Version::V1, &mut emitted).expect("room");
    emitted.extend_from_slice(payload);
    // For packets cut short, this is the header and what is left of the payload.
    assert_eq!(emitted, packet.payload, "{header:?}");
    // The hosts left the rest to their network interfaces.
    let partial = checksum::pseudo_header(packet.addresses, packet.payload_len);
    assert_eq!(header.checksum, partial, "{header:?}");

    counts.by_type[header.packet_type().index()] += 1;
    counts.hijacked += usize::from(packet.protocol == ip::PROTOCOL_HIJACKED);
    if let Body::Data(data) = header.body {
        counts.whole_data += usize::from(packet.is_whole());
        counts.retransmitted += usize::from(data.retransmit);
        // WIRE section 4: the first time in one place, later in both.
        assert_eq!(data.layout.is_sequence_only(), !data.retransmit, "{header:?}");
        assert_eq!(data.layout.doff(), 14);
    } else {
        assert!(packet.is_whole(), "no control packet is cut short");
    }
}

fn counts(name: &str) -> Counts {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests-data/captures");
    let pcap = std::fs::read(folder.join(name)).expect("the capture");
    let mut counts = Counts::default();
    for packet in homa_packets(&pcap) {
        check(&packet, &mut counts);
    }
    counts
}

// Order of the types: DATA, GRANT, RESEND, RPC_UNKNOWN, BUSY, CUTOFFS, FREEZE, NEED_ACK, ACK, REFUSE.

#[test]
fn short_rpc__every_packet() {
    let expected = Counts {
        by_type: [893, 0, 2, 0, 1, 2, 0, 51, 51, 0],
        whole_data: 893,
        retransmitted: 1,
        hijacked: 0,
    };
    assert_eq!(counts("short-rpc.pcap"), expected);
}

#[test]
fn full_100kb__every_packet() {
    let expected = Counts {
        by_type: [349, 32, 11, 0, 1, 5, 0, 16, 6, 0],
        whole_data: 349,
        retransmitted: 61,
        hijacked: 0,
    };
    assert_eq!(counts("full-100kB.pcap"), expected);
}

#[test]
fn grants__every_packet() {
    let expected = Counts {
        by_type: [1406, 70, 9, 0, 9, 4, 0, 1, 1, 0],
        whole_data: 7,
        retransmitted: 0,
        hijacked: 0,
    };
    assert_eq!(counts("grants.pcap"), expected);
}

#[test]
fn w4__every_packet() {
    let expected = Counts {
        by_type: [437, 37, 2, 0, 0, 0, 0, 6, 4, 0],
        whole_data: 4,
        retransmitted: 20,
        hijacked: 0,
    };
    assert_eq!(counts("w4.pcap"), expected);
}

#[test]
fn loss_short__every_packet() {
    let expected = Counts {
        by_type: [905, 0, 43, 22, 0, 2, 0, 124, 104, 0],
        whole_data: 905,
        retransmitted: 41,
        hijacked: 0,
    };
    assert_eq!(counts("loss-short.pcap"), expected);
}

#[test]
fn loss_w4__every_packet() {
    let expected = Counts {
        by_type: [2393, 220, 220, 8, 5, 2, 0, 103, 49, 0],
        whole_data: 36,
        retransmitted: 539,
        hijacked: 0,
    };
    assert_eq!(counts("loss-w4.pcap"), expected);
}

/// HOMA-HDR-10.
#[test]
fn tcp_hijack__every_packet() {
    let expected = Counts {
        by_type: [155, 0, 36, 1, 6, 2, 0, 0, 0, 0],
        whole_data: 155,
        retransmitted: 133,
        hijacked: 200,
    };
    assert_eq!(counts("tcp-hijack.pcap"), expected);
}
