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
