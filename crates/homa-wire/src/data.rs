//! DATA packets (WIRE section 4): pieces of messages.

use crate::field;
use crate::{Ack, DATA_HEADER_LEN, EmitError, RpcId};

/// `seg.offset` of a packet whose offset is to be taken from the common header.
const SEE_SEQUENCE: u32 = u32::MAX;

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
            offset: self.offset(),
            layout: self.layout(),
        }
    }
}
