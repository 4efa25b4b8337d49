//! Packet headers as values.

use crate::field;
use crate::ip;
use crate::{
    AckList, COMMON_HEADER_LEN, Cutoffs, DATA_HEADER_LEN, Data, EmitError, Grant, PacketType,
    PacketView, ParseError, Refuse, Resend, RpcId, Version,
};

/// Data offset of control packets, in units of 4 bytes: the length of a TCP header without options,
/// because some NICs drop data that comes later (WIRE section 2).
const DOFF_CONTROL: u8 = 5;

/// A validated packet header as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Homa port of the sending socket (HOMA-HDR-5).
    pub source_port: u16,
    /// Homa port that the packet is for (HOMA-HDR-5).
    pub dest_port: u16,
    /// The RPC, as the packet's sender numbers it (HOMA-HDR-11).
    pub sender_id: RpcId,
    /// The checksum field. Never relied upon by a receiver (HOMA-HDR-9), and 0 in Homa over UDP;
    /// [`checksum`](crate::checksum) computes it for Homa over IP.
    pub checksum: u16,
    /// The type, and what belongs to it.
    pub body: Body,
}

/// What follows the common header, by type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "PacketType describes them")]
pub enum Body {
    Data(Data),
    Grant(Grant),
    Resend(Resend),
    RpcUnknown,
    Busy,
    Cutoffs(Cutoffs),
    Freeze,
    NeedAck,
    Ack(AckList),
    Refuse(Refuse),
}

impl Header {
    /// A header with a checksum field of 0.
    pub const fn new(source_port: u16, dest_port: u16, sender_id: RpcId, body: Body) -> Self {
        Self { source_port, dest_port, sender_id, checksum: 0, body }
    }

    /// Reads the header of one whole packet, the payload of an IP or UDP packet, and returns it
    /// with the packet's payload, which is empty for all types but DATA.
    ///
    /// # Errors
    ///
    /// Those of [`PacketView::new`].
    pub fn parse(packet: &[u8], version: Version) -> Result<(Self, &[u8]), ParseError> {
        let view = PacketView::new(packet, version)?;
        let header = Self {
            source_port: view.source_port(),
            dest_port: view.dest_port(),
            sender_id: view.sender_id(),
            checksum: view.checksum(),
            body: view.body().value(),
        };
        Ok((header, view.payload()))
    }

    /// Writes the header to the start of `out` and returns its length in bytes, which is
    /// [`emitted_len`](Self::emitted_len). Of a DATA packet, the payload is to be appended.
    ///
    /// # Errors
    ///
    /// [`EmitError::BufferTooShort`] if `out` is shorter than the header (a buffer of
    /// [`HEADER_LEN_MAX`](crate::HEADER_LEN_MAX) bytes never is), [`EmitError::OffsetReserved`] for
    /// DATA at an offset that no message has.
    pub fn emit(&self, version: Version, out: &mut [u8]) -> Result<usize, EmitError> {
        match version {
            Version::V1 => self.emit_v1(out),
        }
    }

    /// The header of an answer to this packet: ports swapped, and the RPC as the other side
    /// numbers it.
    #[must_use]
    pub const fn reply(&self, body: Body) -> Self {
        Self::new(self.dest_port, self.source_port, self.sender_id.flipped(), body)
    }

    /// The length in bytes of what [`emit`](Self::emit) writes.
    pub const fn emitted_len(&self, version: Version) -> usize {
        match version {
            Version::V1 => self.body.emitted_len(),
        }
    }

    /// The type of the packet.
    pub const fn packet_type(&self) -> PacketType {
        self.body.packet_type()
    }

    fn emit_v1(&self, out: &mut [u8]) -> Result<usize, EmitError> {
        match &self.body {
            Body::Data(data) => {
                let offsets = data.layout.offsets(data.offset)?;
                let doff = data.layout.doff();
                self.emit_fields(out, doff, |header| data.emit(offsets, header))
            }
            Body::Grant(grant) => match grant.resend_all {
                None => self.emit_control(out, |h: &mut [u8; Grant::LEN_MIN]| grant.emit(h)),
                Some(resend_all) => {
                    self.emit_control(out, |header| grant.emit_full(resend_all, header))
                }
            },
            Body::Resend(resend) => match resend.priority {
                None => self.emit_control(out, |h: &mut [u8; Resend::LEN_MIN]| resend.emit(h)),
                Some(priority) => {
                    self.emit_control(out, |header| resend.emit_full(priority, header))
                }
            },
            Body::Cutoffs(cutoffs) => self.emit_control(out, |header| cutoffs.emit(header)),
            Body::Ack(acks) => self.emit_control(out, |header| acks.emit(header)),
            Body::Refuse(refuse) => self.emit_control(out, |header| refuse.emit(header)),
            Body::RpcUnknown | Body::Busy | Body::Freeze | Body::NeedAck => {
                self.emit_control(out, |_: &mut [u8; COMMON_HEADER_LEN]| {})
            }
        }
    }

    fn emit_control<const N: usize>(
        &self,
        out: &mut [u8],
        emit_body: impl FnOnce(&mut [u8; N]),
    ) -> Result<usize, EmitError> {
        self.emit_fields(out, DOFF_CONTROL, emit_body)
    }

    /// Writes a header of `N` bytes: the common fields, those of `emit_body`, and zero elsewhere.
    fn emit_fields<const N: usize>(
        &self,
        out: &mut [u8],
        doff: u8,
        emit_body: impl FnOnce(&mut [u8; N]),
    ) -> Result<usize, EmitError> {
        let actual = out.len();
        let header =
            out.first_chunk_mut().ok_or(EmitError::BufferTooShort { needed: N, actual })?;
        *header = [0; N];
        field::SOURCE_PORT.set(header, self.source_port);
        field::DEST_PORT.set(header, self.dest_port);
        field::TYPE.set(header, self.packet_type().code());
        field::DOFF.set(header, doff << 4);
        field::FLAGS.set(header, ip::HIJACK_FLAGS);
        field::CHECKSUM.set(header, self.checksum);
        field::URGENT.set(header, ip::HIJACK_URGENT);
        field::SENDER_ID.set(header, self.sender_id.0);
        emit_body(header);
        Ok(N)
    }
}

impl Body {
    /// The type of the packet.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Data(_) => PacketType::Data,
            Self::Grant(_) => PacketType::Grant,
            Self::Resend(_) => PacketType::Resend,
            Self::RpcUnknown => PacketType::RpcUnknown,
            Self::Busy => PacketType::Busy,
            Self::Cutoffs(_) => PacketType::Cutoffs,
            Self::Freeze => PacketType::Freeze,
            Self::NeedAck => PacketType::NeedAck,
            Self::Ack(_) => PacketType::Ack,
            Self::Refuse(_) => PacketType::Refuse,
        }
    }

    const fn emitted_len(&self) -> usize {
        match self {
            Self::Data(_) => DATA_HEADER_LEN,
            Self::Grant(grant) => grant.emitted_len(),
            Self::Resend(resend) => resend.emitted_len(),
            Self::Cutoffs(_) => Cutoffs::LEN,
            Self::Ack(_) => AckList::LEN,
            Self::Refuse(_) => Refuse::LEN,
            Self::RpcUnknown | Self::Busy | Self::Freeze | Self::NeedAck => COMMON_HEADER_LEN,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::{Body, Header};
    use crate::{
        AckList, Cutoffs, Data, DataLayout, EmitError, Grant, HEADER_LEN_MAX, PRIORITY_LEVELS,
        PacketType, Priority, Refuse, RefuseReason, Resend, RpcId, Version,
    };

    const DATA: Data = Data {
        message_length: 1,
        incoming: 1,
        ack: None,
        cutoff_version: 0,
        retransmit: false,
        incast: false,
        offset: 0,
        layout: DataLayout::sequence_only(),
    };

    /// One body of each type and form.
    const BODIES: [Body; 12] = [
        Body::Data(DATA),
        Body::Grant(Grant::new(1, Priority::LOWEST)),
        Body::Grant(Grant { offset: 1, priority: Priority::LOWEST, resend_all: None }),
        Body::Resend(Resend::all(Priority::HIGHEST)),
        Body::Resend(Resend { offset: 0, length: 1, priority: None }),
        Body::RpcUnknown,
        Body::Busy,
        Body::Cutoffs(Cutoffs { cutoffs: [1; PRIORITY_LEVELS], version: 1 }),
        Body::Freeze,
        Body::NeedAck,
        Body::Ack(AckList::new()),
        Body::Refuse(Refuse { reason: RefuseReason::NoPort, detail: 0 }),
    ];

    fn header(body: Body) -> Header {
        Header::new(32768, 4000, RpcId(0x0102_0304_0506_0708), body)
    }

    /// HOMA-HDR-3, HOMA-HDR-6, HOMA-HDR-7, HOMA-HDR-10: the common header of every type is that of
    /// WIRE section 2.
    #[test]
    fn emit__common_header() {
        for body in BODIES {
            let header = Header { checksum: 0x1122, ..header(body) };
            let mut out = [0xEE; HEADER_LEN_MAX];
            header.emit(Version::V1, &mut out).expect("room");
            let code = body.packet_type().code();
            let doff = if body.packet_type() == PacketType::Data { 0xE0 } else { 0x50 };
            let expected = [
                [0x80, 0x00, 0x0F, 0xA0],
                [0; 4],
                [0, 0, 0, code],
                [doff, 0x06, 0, 0],
                [0x11, 0x22, 0xB9, 0x7D],
                [1, 2, 3, 4],
                [5, 6, 7, 8],
            ];
            assert_eq!(out[..28], *expected.as_flattened(), "{body:?}");
        }
    }

    #[test]
    fn emit__writes_the_header_and_nothing_else() {
        for body in BODIES {
            let mut out = [0xEE; HEADER_LEN_MAX + 1];
            let len = header(body).emit(Version::V1, &mut out).expect("room");
            assert_eq!(len, header(body).emitted_len(Version::V1));
            assert!(out[len..].iter().all(|byte| *byte == 0xEE), "{body:?}");
            assert_eq!(Header::parse(&out[..len], Version::V1), Ok((header(body), &[][..])));
        }
    }

    #[test]
    fn emit__buffer_too_short() {
        for body in BODIES {
            let needed = header(body).emitted_len(Version::V1);
            for actual in 0..needed {
                let mut out = [0xEE; HEADER_LEN_MAX];
                let result = header(body).emit(Version::V1, &mut out[..actual]);
                assert_eq!(result, Err(EmitError::BufferTooShort { needed, actual }));
                assert_eq!(out, [0xEE; HEADER_LEN_MAX], "nothing is written");
            }
        }
    }

    /// WIRE section 1, with GRANT and RESEND also in their other forms.
    #[test]
    fn emitted_len__by_type() {
        let lengths = BODIES.map(|body| header(body).emitted_len(Version::V1));
        assert_eq!(lengths, [56, 34, 33, 37, 36, 28, 28, 62, 28, 28, 80, 36]);
        assert_eq!(lengths.iter().max(), Some(&HEADER_LEN_MAX));
    }

    /// HOMA-HDR-9: whatever is in the field is carried, and makes no difference.
    #[test]
    fn parse__checksum_is_carried_not_verified() {
        for body in BODIES {
            let header = Header { checksum: 0xDEAD, ..header(body) };
            let mut out = [0; HEADER_LEN_MAX];
            let len = header.emit(Version::V1, &mut out).expect("room");
            assert_eq!(Header::parse(&out[..len], Version::V1), Ok((header, &[][..])));
        }
    }

    /// WIRE section 5: how RPC_UNKNOWN is made from a RESEND.
    #[test]
    fn reply__ports_swapped_and_id_flipped() {
        let resend = header(Body::Resend(Resend::all(Priority::HIGHEST)));
        let id = RpcId(0x0102_0304_0506_0709);
        let expected = Header::new(4000, 32768, id, Body::RpcUnknown);
        assert_eq!(Header { checksum: 7, ..resend }.reply(Body::RpcUnknown), expected);
    }
}
