//! What holds for arbitrary bytes and for arbitrary headers.
#![allow(non_snake_case, reason = "tests are named function__case")]

use std::hint::black_box;

use homa_wire::checksum::{self, Addresses};
use homa_wire::{
    Ack, AckList, Body, BodyView, Cutoffs, Data, DataLayout, Grant, HEADER_LEN_MAX, Header,
    PacketType, PacketView, ParseError, Priority, Refuse, RefuseReason, Resend, RpcId, Version, ip,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn priorities() -> impl Strategy<Value = Priority> {
    (0..=7_u8).prop_map(Priority::clamped)
}

/// Acknowledgements inside DATA: an id of 0 would acknowledge nothing.
fn acks() -> impl Strategy<Value = Ack> {
    (1..=u64::MAX, any::<u16>())
        .prop_map(|(id, server_port)| Ack { client_id: RpcId(id), server_port })
}

/// The forms of a DATA packet, each with an offset that it can express.
fn offsets_and_layouts() -> impl Strategy<Value = (u32, DataLayout)> {
    prop_oneof![
        (0..u32::MAX).prop_map(|offset| (offset, DataLayout::default())),
        any::<u32>().prop_map(|offset| (offset, DataLayout::sequence_only())),
        (0..u32::MAX, any::<u32>())
            .prop_map(|(offset, sequence)| { (offset, DataLayout::native_gso(offset, sequence)) }),
        (0..u32::MAX).prop_map(|offset| (offset, DataLayout::native_gso(offset, offset))),
    ]
}

fn data() -> impl Strategy<Value = Data> {
    let fields = (
        any::<u32>(),
        any::<u32>(),
        proptest::option::of(acks()),
        any::<u16>(),
        any::<[bool; 2]>(),
    );
    (fields, offsets_and_layouts()).prop_map(|(fields, (offset, layout))| {
        let (message_length, incoming, ack, cutoff_version, [retransmit, incast]) = fields;
        Data { message_length, incoming, ack, cutoff_version, retransmit, incast, offset, layout }
    })
}

fn ack_lists() -> impl Strategy<Value = AckList> {
    vec((any::<u64>(), any::<u16>()), 0..=5).prop_map(|entries| {
        let mut list = AckList::new();
        for (id, server_port) in entries {
            assert!(list.push(Ack { client_id: RpcId(id), server_port }));
        }
        list
    })
}

fn bodies() -> impl Strategy<Value = Body> {
    prop_oneof![
        4 => data().prop_map(Body::Data),
        2 => (any::<u32>(), priorities(), any::<Option<bool>>()).prop_map(
            |(offset, priority, resend_all)| Body::Grant(Grant { offset, priority, resend_all })
        ),
        2 => (any::<u32>(), any::<u32>(), proptest::option::of(priorities())).prop_map(
            |(offset, length, priority)| Body::Resend(Resend { offset, length, priority })
        ),
        2 => (any::<[u32; 8]>(), any::<u16>())
            .prop_map(|(cutoffs, version)| Body::Cutoffs(Cutoffs { cutoffs, version })),
        2 => ack_lists().prop_map(Body::Ack),
        2 => (select(&RefuseReason::ALL), any::<u32>())
            .prop_map(|(reason, detail)| Body::Refuse(Refuse { reason, detail })),
        1 => select(&[Body::RpcUnknown, Body::Busy, Body::Freeze, Body::NeedAck]),
    ]
}

fn headers() -> impl Strategy<Value = Header> {
    let common = (any::<u16>(), any::<u16>(), any::<u64>(), any::<u16>());
    (common, bodies()).prop_map(|((source_port, dest_port, sender_id, checksum), body)| Header {
        source_port,
        dest_port,
        sender_id: RpcId(sender_id),
        checksum,
        body,
    })
}

/// Bytes of legal packets; payload only after DATA.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    (headers(), vec(any::<u8>(), 0..64)).prop_map(|(header, payload)| {
        let mut packet = emit(&header);
        if header.packet_type() == PacketType::Data {
            packet.extend(payload);
        }
        packet
    })
}

/// Arbitrary bytes of arbitrary length, which often have a legal type.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let types = prop_oneof![
        1 => any::<u8>(),
        9 => select(&PacketType::ALL).prop_map(PacketType::code),
    ];
    (vec(any::<u8>(), 0..160), types).prop_map(|(mut bytes, code)| {
        if let Some(byte) = bytes.get_mut(11) {
            *byte = code;
        }
        bytes
    })
}

fn emit(header: &Header) -> Vec<u8> {
    let mut out = vec![0xEE; HEADER_LEN_MAX];
    let len = header.emit(Version::V1, &mut out).expect("room, and a legal offset");
    assert_eq!(len, header.emitted_len(Version::V1));
    out.truncate(len);
    out
}

/// Calls everything that a receiver may call, and returns what parsing said.
fn read_all(packet: &[u8]) -> Result<Header, ParseError> {
    black_box(ip::is_hijacked(packet));
    let parsed = Header::parse(packet, Version::V1);
    match PacketView::new(packet, Version::V1) {
        Ok(view) => {
            let (header, payload) = parsed.expect("a view and a header are of the same packets");
            assert_eq!(view.payload(), payload);
            assert_eq!(view.packet_type(), header.packet_type());
            assert_eq!(view.source_port(), header.source_port);
            assert_eq!(view.dest_port(), header.dest_port);
            assert_eq!(view.sender_id(), header.sender_id);
            assert_eq!(view.checksum(), header.checksum);
            assert_eq!(view.body().value(), header.body);
            read_body(view.body(), packet);
        }
        Err(error) => assert_eq!(parsed, Err(error)),
    }
    parsed.map(|(header, _)| header)
}

/// Calls every accessor that tells more than the value does.
fn read_body(body: BodyView<'_>, packet: &[u8]) {
    match body {
        BodyView::Data(data) => {
            assert_eq!(data.payload(), &packet[56..]);
            let (sequence, segment) = (data.sequence(), data.segment_offset());
            let offset = if segment == u32::MAX { sequence } else { segment };
            assert_eq!(data.offset(), offset);
            assert_eq!(data.layout().doff(), packet[12] >> 4);
        }
        BodyView::Grant(grant) => assert_eq!(grant.resend_all().is_some(), packet.len() >= 34),
        BodyView::Resend(resend) => assert_eq!(resend.priority().is_some(), packet.len() >= 37),
        BodyView::Ack(acks) => {
            assert!(acks.len() <= 5 && acks.len() <= (packet.len() - 30) / 10);
            assert_eq!(acks.iter().count(), acks.len());
            assert!(acks.iter().eq(acks.value().iter()));
        }
        BodyView::Cutoffs(_)
        | BodyView::Refuse(_)
        | BodyView::RpcUnknown
        | BodyView::Busy
        | BodyView::Freeze
        | BodyView::NeedAck => {}
    }
}

/// The checksum as its definition has it: word by word, over one copy of everything.
fn naive_checksum(addresses: Addresses, packet: &[u8]) -> u16 {
    let mut bytes = Vec::new();
    match addresses {
        Addresses::V4 { source, dest } => {
            bytes.extend(source.octets());
            bytes.extend(dest.octets());
        }
        Addresses::V6 { source, dest } => {
            bytes.extend(source.octets());
            bytes.extend(dest.octets());
        }
    }
    bytes.extend([0, 6]);
    bytes.extend(u16::try_from(packet.len()).expect("a short packet").to_be_bytes());
    bytes.extend(packet);
    let field = bytes.len() - packet.len() + 16;
    bytes[field..field + 2].fill(0);
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    let sum = bytes.chunks(2).fold(0_u32, |sum, word| {
        let sum = sum + u32::from(u16::from_be_bytes([word[0], word[1]]));
        (sum & 0xFFFF) + (sum >> 16)
    });
    match !u16::try_from(sum).expect("folded") {
        0 => 0xFFFF,
        checksum => checksum,
    }
}

fn addresses() -> impl Strategy<Value = Addresses> {
    prop_oneof![
        any::<([u8; 4], [u8; 4])>()
            .prop_map(|(s, d)| Addresses::V4 { source: s.into(), dest: d.into() }),
        any::<([u8; 16], [u8; 16])>()
            .prop_map(|(s, d)| Addresses::V6 { source: s.into(), dest: d.into() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn parse__arbitrary_bytes_never_panic(bytes in bytes()) {
        let _ = black_box(read_all(&bytes));
    }

    #[test]
    fn parse__truncated_packets_never_panic(packet in packets()) {
        for len in 0..=packet.len() {
            let result = read_all(&packet[..len]);
            if let Err(ParseError::TooShort { needed, actual }) = result {
                prop_assert!(actual == len && len < needed && needed <= packet.len());
            } else {
                prop_assert!(result.is_ok(), "what is left has the same type");
            }
        }
    }

    #[test]
    fn parse__mutated_packets_never_panic(
        packet in packets(),
        mutations in vec((any::<Index>(), any::<u8>()), 1..8),
        len in any::<Index>(),
    ) {
        let mut packet = packet;
        for (place, value) in mutations {
            *place.get_mut(&mut packet) = value;
        }
        let _ = black_box(read_all(&packet));
        let _ = black_box(read_all(&packet[..len.index(packet.len())]));
    }

    /// Everything that a header says survives the way over the wire.
    #[test]
    fn emit__parse_gives_the_same_header(header in headers(), payload in vec(any::<u8>(), 0..32)) {
        let mut packet = emit(&header);
        let payload = if header.packet_type() == PacketType::Data { payload } else { vec![] };
        packet.extend(&payload);
        prop_assert_eq!(Header::parse(&packet, Version::V1), Ok((header, &payload[..])));
    }

    /// Whatever is accepted can be written, and is then read as the same.
    #[test]
    fn parse__what_is_accepted_can_be_emitted(bytes in bytes()) {
        if let Ok(header) = read_all(&bytes) {
            prop_assert_eq!(read_all(&emit(&header)), Ok(header));
        }
    }

    /// HOMA-DATA-11: the form of DATA packets and the shorter forms of others are kept.
    #[test]
    fn parse__legal_packets_are_emitted_byte_for_byte(packet in packets()) {
        let (header, payload) = Header::parse(&packet, Version::V1).expect("legal");
        let mut emitted = emit(&header);
        emitted.extend(payload);
        prop_assert_eq!(emitted, packet);
    }

    #[test]
    fn emit__never_panics_for_want_of_room(header in headers(), len in 0..HEADER_LEN_MAX) {
        let mut out = vec![0xEE; len];
        let result = header.emit(Version::V1, &mut out);
        prop_assert_eq!(result.is_ok(), len >= header.emitted_len(Version::V1));
    }

    #[test]
    fn checksum__as_defined(
        packet in packets(),
        addresses in addresses(),
        cuts in (any::<Index>(), any::<Index>()),
    ) {
        let (first, second) = (cuts.0.index(packet.len()), cuts.1.index(packet.len()));
        let (first, second) = (first.min(second), first.max(second));
        let parts = [&packet[..first], &packet[first..second], &packet[second..]];
        let checksum = checksum::compute(addresses, &parts);
        prop_assert_eq!(checksum, naive_checksum(addresses, &packet));

        let mut packet = packet;
        packet[checksum::FIELD].copy_from_slice(&checksum.to_be_bytes());
        prop_assert!(checksum::verify(addresses, &[&packet]));
    }
}
