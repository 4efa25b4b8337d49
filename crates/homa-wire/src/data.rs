//! DATA packets (WIRE section 4): pieces of messages.

use crate::field;
use crate::{Ack, DATA_HEADER_LEN, EmitError, RpcId};

/// `seg.offset` of a packet whose offset is to be taken from the common header.
pub(crate) const SEE_SEQUENCE: u32 = u32::MAX;

/// The pad of a packet with [`Data::incast`]. Other values mean nothing, whatever they are: hosts exist
/// that leave unused fields as they find them (WIRE section 10).
const INCAST: [u8; 3] = [1, 0, 0];

/// Header fields of a DATA packet. The payload follows; its length is that of the packet less
/// [`DATA_HEADER_LEN`] (HOMA-DATA-12), and may be 0 (HOMA-DATA-13).
///
/// Whether the sender's message is a request or a response follows from the sender's id
/// (HOMA-DATA-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Data {
    /// Length of the whole message in bytes. Not checked here: the protocol demands 1 to its
    /// maximum, and the same value in all packets of a message (HOMA-DATA-3).
    pub message_length: u32,
    /// The sender will send bytes 0 to `incoming` (exclusive) without further grants (HOMA-DATA-4);
    /// in a retransmission, the end of the range that is sent again.
    pub incoming: u32,
    /// An RPC whose response the sender, its client, has received (HOMA-DATA-5). An id of 0 on the
    /// wire is `None` (HOMA-DATA-6), so `Some` of an id of 0 has no representation.
    pub ack: Option<Ack>,
    /// Version of the receiver's cutoffs that the sender holds, 0 for none (HOMA-DATA-9).
    pub cutoff_version: u16,
    /// Whether these bytes were sent before (HOMA-DATA-10).
    pub retransmit: bool,
    /// The sender, a client, expects so many responses at the same time that each should begin with
    /// few unscheduled bytes: our extension, in bytes that kernel receivers ignore and kernel senders
    /// write as 0 (WIRE section 4, "pad").
    pub incast: bool,
    /// Offset of the payload in the message, in bytes (HOMA-DATA-11): the true one, wherever the
    /// packet had it. Less than `u32::MAX`.
    pub offset: u32,
    /// Which of the legal forms of the packet this is. Senders use the default.
    pub layout: DataLayout,
}

impl Data {
    /// Writes the fields of this type, and the offset in the common header.
    pub(crate) fn emit(&self, offsets: Offsets, out: &mut [u8; DATA_HEADER_LEN]) {
        let ack = self.ack.unwrap_or_default();
        field::SEQUENCE.set(out, offsets.sequence);
        field::DATA_MESSAGE_LENGTH.set(out, self.message_length);
        field::DATA_INCOMING.set(out, self.incoming);
        field::DATA_ACK_CLIENT_ID.set(out, ack.client_id.0);
        field::DATA_ACK_SERVER_PORT.set(out, ack.server_port);
        field::DATA_CUTOFF_VERSION.set(out, self.cutoff_version);
        field::DATA_RETRANSMIT.set(out, u8::from(self.retransmit));
        field::DATA_PAD.write(out, if self.incast { INCAST } else { [0; 3] });
        field::DATA_SEGMENT_OFFSET.set(out, offsets.segment);
    }
}

/// The form of a DATA packet: where it says its offset, and the TCP data offset (`doff`) with it.
///
/// The form says nothing about the message; it is kept so that a parsed packet can be written
/// again exactly as it was. The [default](Self::default) is what this implementation sends and
/// what every kernel version understands: the true offset in both places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataLayout {
    /// In units of 4 bytes, 0..=15.
    doff: u8,
    offset_place: OffsetPlace,
}

/// Where a DATA packet says its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum OffsetPlace {
    /// In `sequence` and `seg.offset`.
    Both,
    /// In `sequence`; `seg.offset` is all ones.
    Sequence,
    /// In `seg.offset`; `sequence` holds something else.
    Segment { sequence: u32 },
}

/// The two places of a DATA packet that can hold its offset, as they are on the wire.
#[derive(Clone, Copy)]
pub(crate) struct Offsets {
    sequence: u32,
    segment: u32,
}

impl DataLayout {
    /// Data offset of a packet that is whole as it is: 56 bytes.
    const DOFF_WHOLE: u8 = 14;

    /// Data offset of a segment cut by the NIC, which counts `seg.offset` as data: 52 bytes.
    const DOFF_NATIVE_GSO: u8 = 13;

    /// The offset in the common header only, `seg.offset` all ones: what HomaModule sends first.
    pub const fn sequence_only() -> Self {
        Self { doff: Self::DOFF_WHOLE, offset_place: OffsetPlace::Sequence }
    }

    /// A segment, at `offset` in the message, of a packet that a kernel host gave to its NIC to be
    /// cut up: its offset is in `seg.offset`, and `sequence` is whatever the NIC made of it.
    pub const fn native_gso(offset: u32, sequence: u32) -> Self {
        let offset_place =
            if sequence == offset { OffsetPlace::Both } else { OffsetPlace::Segment { sequence } };
        Self { doff: Self::DOFF_NATIVE_GSO, offset_place }
    }

    /// The TCP data offset, in units of 4 bytes, 0..=15: 14, or 13 for segments cut by a NIC.
    pub const fn doff(self) -> u8 {
        self.doff
    }

    /// Whether the packet has its offset in the common header only.
    pub const fn is_sequence_only(self) -> bool {
        matches!(self.offset_place, OffsetPlace::Sequence)
    }

    /// What a packet of this form for bytes at `offset` has in its two places for offsets.
    pub(crate) fn offsets(self, offset: u32) -> Result<Offsets, EmitError> {
        let offsets = match self.offset_place {
            OffsetPlace::Sequence => {
                return Ok(Offsets { sequence: offset, segment: SEE_SEQUENCE });
            }
            OffsetPlace::Both => Offsets { sequence: offset, segment: offset },
            OffsetPlace::Segment { sequence } => Offsets { sequence, segment: offset },
        };
        if offsets.segment == SEE_SEQUENCE {
            return Err(EmitError::OffsetReserved);
        }
        Ok(offsets)
    }
}

impl Default for DataLayout {
    /// The true offset in both places.
    fn default() -> Self {
        Self { doff: Self::DOFF_WHOLE, offset_place: OffsetPlace::Both }
    }
}

/// A DATA packet in place.
#[derive(Clone, Copy, Debug)]
pub struct DataView<'a> {
    header: &'a [u8; DATA_HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> DataView<'a> {
    pub(crate) fn new(packet: &'a [u8]) -> Option<Self> {
        let (header, payload) = packet.split_first_chunk()?;
        Some(Self { header, payload })
    }

    /// See [`Data::message_length`].
    pub fn message_length(&self) -> u32 {
        field::DATA_MESSAGE_LENGTH.value(self.header)
    }

    /// See [`Data::incoming`].
    pub fn incoming(&self) -> u32 {
        field::DATA_INCOMING.value(self.header)
    }

    /// See [`Data::ack`].
    pub fn ack(&self) -> Option<Ack> {
        let client_id = RpcId(field::DATA_ACK_CLIENT_ID.value(self.header));
        let server_port = field::DATA_ACK_SERVER_PORT.value(self.header);
        (client_id != RpcId(0)).then_some(Ack { client_id, server_port })
    }

    /// See [`Data::cutoff_version`].
    pub fn cutoff_version(&self) -> u16 {
        field::DATA_CUTOFF_VERSION.value(self.header)
    }

    /// Whether these bytes were sent before: any value but 0 says so (HOMA-DATA-10).
    pub fn is_retransmit(&self) -> bool {
        field::DATA_RETRANSMIT.value(self.header) != 0
    }

    /// See [`Data::incast`].
    pub fn is_incast(&self) -> bool {
        field::DATA_PAD.read(self.header) == INCAST
    }

    /// The true offset of the payload: `seg.offset`, or `sequence` where that is all ones.
    pub fn offset(&self) -> u32 {
        match self.segment_offset() {
            SEE_SEQUENCE => self.sequence(),
            offset => offset,
        }
    }

    /// The offset in the common header, as it is: wrong in segments that a NIC cut.
    pub fn sequence(&self) -> u32 {
        field::SEQUENCE.value(self.header)
    }

    /// The offset before the payload, as it is: all ones if it is to be taken from `sequence`.
    pub fn segment_offset(&self) -> u32 {
        field::DATA_SEGMENT_OFFSET.value(self.header)
    }

    /// The form of the packet.
    pub fn layout(&self) -> DataLayout {
        let (sequence, segment_offset) = (self.sequence(), self.segment_offset());
        let offset_place = if segment_offset == SEE_SEQUENCE {
            OffsetPlace::Sequence
        } else if segment_offset == sequence {
            OffsetPlace::Both
        } else {
            OffsetPlace::Segment { sequence }
        };
        DataLayout { doff: field::DOFF.value(self.header) >> 4, offset_place }
    }

    /// The bytes of the message that the packet carries.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// All fields, as a value.
    pub fn value(&self) -> Data {
        Data {
            message_length: self.message_length(),
            incoming: self.incoming(),
            ack: self.ack(),
            cutoff_version: self.cutoff_version(),
            retransmit: self.is_retransmit(),
            incast: self.is_incast(),
            offset: self.offset(),
            layout: self.layout(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::vec::Vec;

    use super::{Data, DataLayout};
    use crate::testing::{assert_shortest, body, packet};
    use crate::{Ack, Body, EmitError, Header, PacketView, RpcId, Version};

    fn data() -> Data {
        Data {
            message_length: 5000,
            incoming: 3000,
            ack: None,
            cutoff_version: 7,
            retransmit: false,
            incast: false,
            offset: 1424,
            layout: DataLayout::default(),
        }
    }

    fn parse(packet: &[u8]) -> Data {
        match body(packet) {
            Ok(Body::Data(data)) => data,
            other => panic!("no DATA packet: {other:?}"),
        }
    }

    fn emit(data: Data) -> Vec<u8> {
        packet(Body::Data(data), &[])
    }

    /// HOMA-DATA-1, HOMA-DATA-3, HOMA-DATA-4, HOMA-DATA-9: each field at its place.
    #[test]
    fn emit__fields_where_wire_section_4_has_them() {
        let packet = emit(data());
        assert_eq!(packet.len(), 56);
        assert_eq!(packet[11], 0x10);
        assert_eq!(packet[28..32], 5000_u32.to_be_bytes());
        assert_eq!(packet[32..36], 3000_u32.to_be_bytes());
        assert_eq!(packet[46..48], [0, 7]);
        assert_eq!(packet[48..52], [0; 4]);
    }

    /// HOMA-DATA-11, HOMA-HDR-7: what we send has the true offset in both places, and is whole.
    #[test]
    fn emit__default_layout_has_the_offset_twice() {
        let packet = emit(data());
        assert_eq!(packet[4..8], 1424_u32.to_be_bytes());
        assert_eq!(packet[52..56], 1424_u32.to_be_bytes());
        assert_eq!(packet[12], 0xE0);
    }

    #[test]
    fn emit__all_ones_is_no_offset() {
        let reserved = Data { offset: u32::MAX, ..data() };
        let header = Header::new(1, 2, RpcId(4), Body::Data(reserved));
        let mut out = [0xEE; 56];
        assert_eq!(header.emit(Version::V1, &mut out), Err(EmitError::OffsetReserved));
        assert_eq!(out, [0xEE; 56], "nothing is written");
    }

    /// HOMA-DATA-11: the form that HomaModule sends, WIRE section 4.
    #[test]
    fn offset__all_ones_means_sequence() {
        let mut packet = emit(data());
        packet[52..56].fill(0xFF);
        let data = parse(&packet);
        assert_eq!(data.offset, 1424);
        assert_eq!(data.layout, DataLayout::sequence_only());
        assert!(data.layout.is_sequence_only());
        assert_eq!(emit(data), packet);
    }

    /// HOMA-DATA-11: WIRE section 4, native GSO; `sequence` is not to be believed.
    #[test]
    fn offset__native_gso_segment_has_it_before_the_payload() {
        let mut packet = emit(data());
        packet[12] = 0xD0;
        packet[4..8].copy_from_slice(&77_u32.to_be_bytes());
        let data = parse(&packet);
        assert_eq!(data.offset, 1424);
        assert_eq!(data.layout, DataLayout::native_gso(1424, 77));
        assert_eq!(data.layout.doff(), 13);
        assert_eq!(emit(data), packet);
    }

    /// The first segment of a native GSO packet has its offset in both places, like our packets.
    #[test]
    fn layout__first_native_gso_segment() {
        let mut packet = emit(data());
        packet[12] = 0xD0;
        let data = parse(&packet);
        assert_eq!(data.layout, DataLayout::native_gso(1424, 1424));
        assert_ne!(data.layout, DataLayout::default());
        assert_eq!(emit(data), packet);
    }

    /// HOMA-HDR-8: the data offset plays no part in reading a packet.
    #[test]
    fn parse__doff_is_not_used() {
        let mut packet = packet(Body::Data(data()), b"payload");
        for doff in 0..=15 {
            packet[12] = doff << 4;
            let (header, payload) = Header::parse(&packet, Version::V1).expect("legal");
            let Body::Data(parsed) = header.body else { panic!("DATA") };
            assert_eq!(parsed, Data { layout: parsed.layout, ..data() });
            assert_eq!(parsed.layout.doff(), doff);
            assert_eq!(payload, b"payload");
        }
    }

    /// HOMA-DATA-5, HOMA-DATA-8.
    #[test]
    fn ack__id_and_server_port() {
        let ack = Some(Ack { client_id: RpcId(998), server_port: 4001 });
        let packet = emit(Data { ack, ..data() });
        assert_eq!(packet[36..44], 998_u64.to_be_bytes());
        assert_eq!(packet[44..46], 4001_u16.to_be_bytes());
        assert_eq!(parse(&packet).ack, ack);
    }

    /// HOMA-DATA-6, whatever the port.
    #[test]
    fn ack__id_0_acknowledges_nothing() {
        let mut packet = emit(data());
        assert_eq!(parse(&packet).ack, None);
        packet[44..46].fill(0x11);
        assert_eq!(parse(&packet).ack, None);
    }

    /// HOMA-DATA-10.
    #[test]
    fn retransmit__anything_but_0() {
        let mut packet = emit(data());
        for value in 0..=u8::MAX {
            packet[48] = value;
            assert_eq!(parse(&packet).retransmit, value != 0);
        }
        assert_eq!(emit(Data { retransmit: true, ..data() })[48], 1);
    }

    /// HOMA-DATA-12, HOMA-DATA-13.
    #[test]
    fn payload__what_follows_the_header() {
        let packet = packet(Body::Data(data()), b"payload");
        for len in 0..=7 {
            let (_, payload) = Header::parse(&packet[..56 + len], Version::V1).expect("legal");
            assert_eq!(payload, &b"payload"[..len]);
        }
    }

    /// HOMA-DATA-2: the side is in the sender's id.
    #[test]
    fn sender_id__says_request_or_response() {
        for (id, is_request) in [(1000, true), (1001, false)] {
            let header = Header::new(1, 2, RpcId(id), Body::Data(data()));
            let mut out = [0; 56];
            header.emit(Version::V1, &mut out).expect("room");
            let view = PacketView::new(&out, Version::V1).expect("legal");
            assert_eq!(view.sender_id().is_client(), is_request);
        }
    }

    #[test]
    fn parse__message_length_is_for_the_protocol_to_judge() {
        for message_length in [0, 1_000_000, 1_000_001, u32::MAX] {
            let data = Data { message_length, ..data() };
            assert_eq!(parse(&emit(data)), data);
        }
    }

    /// WIRE section 10: unused fields may hold anything.
    #[test]
    fn parse__pad_is_ignored() {
        let mut packet = emit(data());
        for garbage in [[0xFF; 3], [1, 0, 1], [1, 1, 0], [0, 0, 1], [0x81, 0, 0]] {
            packet[49..52].copy_from_slice(&garbage);
            assert_eq!(parse(&packet), data());
        }
    }

    /// Nothing but the pad tells the extension, so kernel receivers see no difference.
    #[test]
    fn incast__is_in_the_pad() {
        let marked = Data { incast: true, ..data() };
        let (mut packet, plain) = (emit(marked), emit(data()));
        assert_eq!(packet[49..52], [1, 0, 0]);
        assert_eq!(parse(&packet), marked);
        packet[49] = 0;
        assert_eq!(packet, plain);
    }

    #[test]
    fn parse__shortest() {
        assert_shortest(Body::Data(data()), 56);
    }
}
