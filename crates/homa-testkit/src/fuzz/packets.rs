//! Headers made from choices.

use super::Choices;
use crate::probe::data;
use homa_wire::{
    Ack, AckList, Body, Cutoffs, Data, DataLayout, Grant, HEADER_LEN_MAX, Header, PacketType,
    Priority, Refuse, RefuseReason, Resend, RpcId, Version,
};

/// Payload bytes of a full packet over an Ethernet.
pub(super) const SEGMENT: u32 = 1416;

/// Any packet: a header, and after that of DATA some payload.
///
/// # Panics
///
/// If the header can't be emitted, which is a defect.
#[must_use]
pub fn packet(choices: &mut Choices<'_>) -> Vec<u8> {
    let header = any_header(choices);
    let mut packet = vec![0; HEADER_LEN_MAX];
    let len = header.emit(Version::V1, &mut packet).expect("it has room and a legal offset");
    packet.truncate(len);
    if header.packet_type() == PacketType::Data {
        packet.resize(len + usize::from(choices.byte()), 0xDA);
    }
    packet
}

/// Any header at all that can be emitted.
pub(super) fn any_header(choices: &mut Choices<'_>) -> Header {
    let (source_port, dest_port, id) = (choices.u16(), choices.u16(), RpcId(choices.u64()));
    let checksum = choices.u16();
    let mut numbers = *choices;
    let body = body(choices, Magnitude::Any);
    let body = match body {
        Body::Data(data) => Body::Data(any_layout(&mut numbers, data)),
        other => other,
    };
    Header { checksum, ..Header::new(source_port, dest_port, id, body) }
}

/// How large lengths and offsets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Magnitude {
    /// Whatever 32 bits hold.
    Any,
    /// Mostly such as occur in messages of up to 100,000 bytes, now and then absurd.
    Plausible,
}

/// A body; DATA half of the time.
pub(super) fn body(choices: &mut Choices<'_>, magnitude: Magnitude) -> Body {
    match choices.below(20) {
        0..10 => Body::Data(arrival(choices, magnitude)),
        10 | 11 => Body::Grant(Grant {
            offset: offset(choices, magnitude),
            priority: Priority::clamped(choices.byte() % 10),
            resend_all: [None, Some(false), Some(true)][choices.below(3) as usize],
        }),
        12 | 13 => Body::Resend(Resend {
            offset: offset(choices, magnitude),
            length: length(choices, magnitude),
            priority: choices.flag().then(|| Priority::clamped(choices.byte() % 10)),
        }),
        14 => Body::RpcUnknown,
        15 => Body::Busy,
        16 => {
            let cutoffs = std::array::from_fn(|_| length(choices, magnitude));
            Body::Cutoffs(Cutoffs { cutoffs, version: choices.u16() % 5 })
        }
        17 => choices.pick(&[Body::NeedAck, Body::NeedAck, Body::Freeze]),
        18 => {
            let mut list = AckList::new();
            for _ in 0..choices.below(6) {
                let _ = list.push(ack(choices));
            }
            Body::Ack(list)
        }
        _ => Body::Refuse(Refuse {
            reason: choices.pick(&RefuseReason::ALL),
            detail: length(choices, magnitude),
        }),
    }
}

fn arrival(choices: &mut Choices<'_>, magnitude: Magnitude) -> Data {
    let message_length = length(choices, magnitude);
    let offset = offset(choices, magnitude).min(u32::MAX - 1);
    let incoming = if choices.flag() { message_length } else { length(choices, magnitude) };
    let flags = choices.byte();
    Data {
        ack: (flags & 1 != 0).then(|| ack(choices)),
        retransmit: flags & 2 != 0,
        cutoff_version: u16::from(flags >> 2) % 4,
        incast: flags & 16 != 0,
        ..data(message_length, offset, incoming)
    }
}

/// An acknowledgement, of an id that an endpoint may well know.
fn ack(choices: &mut Choices<'_>) -> Ack {
    let small = choices.byte();
    let id = if small == 255 { choices.u64() } else { u64::from(small) % 40 };
    Ack { client_id: RpcId(id.max(1)), server_port: choices.pick(&[4000, 4000, 4000, 7]) }
}

fn offset(choices: &mut Choices<'_>, magnitude: Magnitude) -> u32 {
    if magnitude == Magnitude::Any {
        return choices.u32();
    }
    match choices.byte() {
        n @ 0..192 => u32::from(n % 72) * SEGMENT,
        192..240 => choices.below(20_000),
        _ => choices.pick(&[u32::MAX, u32::MAX - 1, 0x8000_0000, 1_000_000, 99_999]),
    }
}

fn length(choices: &mut Choices<'_>, magnitude: Magnitude) -> u32 {
    if magnitude == Magnitude::Any {
        return choices.u32();
    }
    match choices.byte() {
        0..192 => choices.pick(&[100, 1416, 5000, 56_640, 99_000]),
        192..240 => choices.below(20_000),
        _ => choices.pick(&[0, u32::MAX, 1_000_001, 100_001, 0x8000_0000]),
    }
}

/// The same with its offset in any of the places where the wire may have it (HOMA-DATA-11).
fn any_layout(choices: &mut Choices<'_>, data: Data) -> Data {
    let layout = match choices.below(3) {
        0 => DataLayout::default(),
        1 => DataLayout::sequence_only(),
        _ => DataLayout::native_gso(data.offset, choices.u32()),
    };
    Data { layout, ..data }
}
