//! The worked examples of WIRE section 11: computed from the specification by another program.
//!
//! Each is written down here as a value, which must give the bytes, and the bytes the value.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::collections::BTreeMap;
use std::net::IpAddr;

use homa_wire::checksum::{self, Addresses};
use homa_wire::{
    Ack, AckList, Body, Cutoffs, Data, DataLayout, Grant, Header, Priority, Resend, RpcId, Version,
    ip,
};

const CLIENT: RpcId = RpcId(1000);
const SERVER: RpcId = RpcId(1001);

struct Vector {
    packet: Vec<u8>,
    addresses: Addresses,
}

fn vectors() -> BTreeMap<String, Vector> {
    let json: serde_json::Value =
        serde_json::from_str(include_str!("data/wire_vectors.json")).expect("JSON");
    let vectors = json.as_array().expect("a list").iter().map(|vector| {
        let text = |key: &str| vector[key].as_str().expect("a string");
        let address = |key: &str| text(key).parse::<IpAddr>().expect("an address");
        let packet = bytes(text("hex"));
        assert_eq!(Some(packet.len() as u64), vector["length"].as_u64());
        let addresses = Addresses::new(address("src"), address("dst")).expect("one family");
        (text("name").to_owned(), Vector { packet, addresses })
    });
    vectors.collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

fn from_client(checksum: u16, body: Body) -> Header {
    Header { checksum, ..Header::new(32768, 4000, CLIENT, body) }
}

fn from_server(checksum: u16, body: Body) -> Header {
    Header { checksum, ..Header::new(4000, 32768, SERVER, body) }
}

/// A DATA packet of a message whose bytes are all unscheduled, as HomaModule sends it.
fn data(message_length: u32, offset: u32) -> Data {
    Data {
        message_length,
        incoming: message_length,
        ack: None,
        cutoff_version: 1,
        retransmit: false,
        incast: false,
        offset,
        layout: DataLayout::sequence_only(),
    }
}

fn ack(client_id: u64) -> Ack {
    Ack { client_id: RpcId(client_id), server_port: 4000 }
}

fn ack_list(client_ids: &[u64]) -> AckList {
    let mut list = AckList::new();
    assert!(client_ids.iter().all(|id| list.push(ack(*id))));
    list
}

/// Bytes of the message whose byte i is i modulo 256.
fn pattern(offset: u32, len: usize) -> Vec<u8> {
    (offset..).map(|i| i.to_be_bytes()[3]).take(len).collect()
}

/// The header and payload of each example.
fn expected() -> Vec<(&'static str, Header, Vec<u8>)> {
    let data_packets = [
        (
            "data_request_short",
            from_client(0x8F3A, Body::Data(Data { cutoff_version: 0, ..data(16, 0) })),
            b"0123456789abcdef".to_vec(),
        ),
        (
            "data_response_middle",
            from_server(0x2644, Body::Data(data(5000, 1424))),
            pattern(1424, 1424),
        ),
        (
            "data_request_with_ack",
            from_client(0x99ED, Body::Data(Data { ack: Some(ack(998)), ..data(8, 0) })),
            b"ABCDEFGH".to_vec(),
        ),
        (
            "data_native_gso_seg0",
            from_client(
                0xEBDD,
                Body::Data(Data { layout: DataLayout::native_gso(0, 0), ..data(2000, 0) }),
            ),
            pattern(0, 1424),
        ),
        (
            "data_native_gso_seg1",
            from_client(
                0x409B,
                Body::Data(Data { layout: DataLayout::native_gso(1424, 0), ..data(2000, 1424) }),
            ),
            pattern(1424, 576),
        ),
        (
            "data_retransmit",
            from_client(
                0x2A0B,
                Body::Data(Data {
                    retransmit: true,
                    layout: DataLayout::default(),
                    ..data(2000, 1424)
                }),
            ),
            pattern(1424, 576),
        ),
    ];
    let grant = Grant { offset: 80_000, priority: Priority::clamped(3), resend_all: None };
    let resend_all = Resend::all(Priority::HIGHEST);
    let resend_gap = Resend::new(1424, 1424, Priority::HIGHEST);
    let cutoffs = Cutoffs { cutoffs: [0, 0, 0, 0, 1_000_000, 15_000, 2_800, 200], version: 1 };
    let overflow = ack_list(&[990, 992, 994, 996, 998]);
    let freeze = Header::new(32768, 0, RpcId(0), Body::Freeze);
    let need_ack = from_server(0x4EB6, Body::NeedAck);
    let control_packets = [
        ("grant", from_server(0x1336, Body::Grant(grant))),
        ("resend_all", from_client(0x47B3, Body::Resend(resend_all))),
        ("resend_gap", from_server(0x3C92, Body::Resend(resend_gap))),
        ("rpc_unknown", from_server(0x4EBA, Body::RpcUnknown)),
        ("busy", from_server(0x4EB9, Body::Busy)),
        ("cutoffs", from_server(0xC5F5, Body::Cutoffs(cutoffs))),
        ("freeze_all_peers", Header { checksum: 0x6240, ..freeze }),
        ("need_ack", need_ack),
        ("ack_answer", from_client(0x4E82, Body::Ack(AckList::new()))),
        ("ack_overflow", from_client(0xECF2, Body::Ack(overflow))),
        ("ipv4_need_ack", need_ack),
        ("ipv4_hijack_need_ack", need_ack),
        ("ipv6_need_ack", Header { checksum: 0x68B4, ..need_ack }),
    ];
    let control_packets = control_packets.map(|(name, header)| (name, header, Vec::new()));
    data_packets.into_iter().chain(control_packets).collect()
}

/// The Homa packet of an example, which may be wrapped in an IP packet.
fn homa_packet<'a>(name: &str, packet: &'a [u8]) -> &'a [u8] {
    let protocol = match name {
        "ipv4_need_ack" | "ipv6_need_ack" => ip::PROTOCOL,
        "ipv4_hijack_need_ack" => ip::PROTOCOL_HIJACKED,
        _ => return packet,
    };
    let packet = common::parse_ip(packet);
    assert_eq!(packet.protocol, protocol, "{name}");
    assert!(packet.is_whole(), "{name}");
    packet.payload
}

/// HOMA-HDR-3, HOMA-DATA-1, HOMA-ACK-3 and what else WIRE says about bytes.
#[test]
fn parse__every_vector() {
    let vectors = vectors();
    for (name, header, payload) in expected() {
        let packet = homa_packet(name, &vectors[name].packet);
        assert_eq!(Header::parse(packet, Version::V1), Ok((header, &payload[..])), "{name}");
    }
}

#[test]
fn emit__every_vector() {
    let vectors = vectors();
    for (name, header, payload) in expected() {
        let mut packet = vec![0xEE; header.emitted_len(Version::V1)];
        assert_eq!(header.emit(Version::V1, &mut packet), Ok(packet.len()), "{name}");
        packet.extend(payload);
        assert_eq!(packet, homa_packet(name, &vectors[name].packet), "{name}");
    }
}

#[test]
fn expected__is_every_vector() {
    let mut names: Vec<_> = expected().iter().map(|(name, ..)| *name).collect();
    names.sort_unstable();
    assert!(vectors().keys().eq(names));
}

/// WIRE section 6: those of native GSO segments mean nothing (WIRE section 4).
#[test]
fn checksum__every_vector() {
    for (name, vector) in vectors() {
        if name.starts_with("data_native_gso") {
            continue;
        }
        let packet = homa_packet(&name, &vector.packet);
        assert!(checksum::verify(vector.addresses, &[packet]), "{name}");
    }
}

/// The IP headers of the wrapped examples have the addresses that are given beside them, and the
/// priority that the specification gives control packets. HOMA-HDR-2, HOMA-PRIO-4, HOMA-PRIO-10.
#[test]
fn ip_wrapped__addresses_and_priority() {
    let vectors = vectors();
    for name in ["ipv4_need_ack", "ipv4_hijack_need_ack", "ipv6_need_ack"] {
        let Vector { packet, addresses } = &vectors[name];
        assert_eq!(common::parse_ip(packet).addresses, *addresses, "{name}");
        let traffic_class = match packet[0] >> 4 {
            4 => packet[1],
            _ => packet[0] << 4 | packet[1] >> 4,
        };
        assert_eq!(traffic_class, Priority::HIGHEST.traffic_class(), "{name}");
        assert!(ip::is_hijacked(homa_packet(name, packet)), "{name}");
    }
}
