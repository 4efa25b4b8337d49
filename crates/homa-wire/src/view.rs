//! Packets in place: checked once, then read without failure.

use crate::field;
use crate::{
    AckList, AckView, Body, COMMON_HEADER_LEN, Cutoffs, CutoffsView, DATA_HEADER_LEN, DataView,
    Grant, GrantView, PacketType, ParseError, RefuseView, Resend, ResendView, RpcId, Version,
};

/// A packet in place, known to be of a legal type and long enough for it.
///
/// Fields that a receiver is to ignore (WIRE section 2) are never looked at, nor are bytes beyond
/// the header of a control packet.
#[derive(Clone, Copy, Debug)]
pub struct PacketView<'a> {
    common: &'a [u8; COMMON_HEADER_LEN],
    body: BodyView<'a>,
}

/// What follows the common header, by type.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "PacketType describes them")]
pub enum BodyView<'a> {
    Data(DataView<'a>),
    Grant(GrantView<'a>),
    Resend(ResendView<'a>),
    RpcUnknown,
    Busy,
    Cutoffs(CutoffsView<'a>),
    Freeze,
    NeedAck,
    Ack(AckView<'a>),
    Refuse(RefuseView<'a>),
}

impl<'a> PacketView<'a> {
    /// Looks at one whole packet, the payload of an IP or UDP packet.
    ///
    /// # Errors
    ///
    /// Says why the bytes are not a packet: the type is unknown, the packet shorter than its
    /// type demands, or a REFUSE unknown in version or reason.
    pub fn new(packet: &'a [u8], version: Version) -> Result<Self, ParseError> {
        match version {
            Version::V1 => Self::new_v1(packet),
        }
    }

    fn new_v1(packet: &'a [u8]) -> Result<Self, ParseError> {
        let too_short = |needed| ParseError::TooShort { needed, actual: packet.len() };
        let common = packet.first_chunk().ok_or(too_short(COMMON_HEADER_LEN))?;
        let body = match PacketType::try_from(field::TYPE.value(common))? {
            PacketType::Data => {
                BodyView::Data(DataView::new(packet).ok_or(too_short(DATA_HEADER_LEN))?)
            }
            PacketType::Grant => {
                BodyView::Grant(GrantView::new(packet).ok_or(too_short(Grant::LEN_MIN))?)
            }
            PacketType::Resend => {
                BodyView::Resend(ResendView::new(packet).ok_or(too_short(Resend::LEN_MIN))?)
            }
            PacketType::RpcUnknown => BodyView::RpcUnknown,
            PacketType::Busy => BodyView::Busy,
            PacketType::Cutoffs => {
                BodyView::Cutoffs(CutoffsView::new(packet).ok_or(too_short(Cutoffs::LEN))?)
            }
            PacketType::Freeze => BodyView::Freeze,
            PacketType::NeedAck => BodyView::NeedAck,
            PacketType::Ack => {
                BodyView::Ack(AckView::new(packet).ok_or(too_short(AckList::LEN_MIN))?)
            }
            PacketType::Refuse => BodyView::Refuse(RefuseView::new(packet)?),
        };
        Ok(Self { common, body })
    }

    /// Homa port of the sending socket (HOMA-HDR-5).
    pub fn source_port(&self) -> u16 {
        field::SOURCE_PORT.value(self.common)
    }

    /// Homa port that the packet is for (HOMA-HDR-5).
    pub fn dest_port(&self) -> u16 {
        field::DEST_PORT.value(self.common)
    }

    /// The RPC, as the packet's sender numbers it (HOMA-HDR-11).
    pub fn sender_id(&self) -> RpcId {
        RpcId(field::SENDER_ID.value(self.common))
    }

    /// The checksum field, as it is: never to be relied upon (HOMA-HDR-9).
    pub fn checksum(&self) -> u16 {
        field::CHECKSUM.value(self.common)
    }

    /// The type of the packet.
    pub fn packet_type(&self) -> PacketType {
        match self.body {
            BodyView::Data(_) => PacketType::Data,
            BodyView::Grant(_) => PacketType::Grant,
            BodyView::Resend(_) => PacketType::Resend,
            BodyView::RpcUnknown => PacketType::RpcUnknown,
            BodyView::Busy => PacketType::Busy,
            BodyView::Cutoffs(_) => PacketType::Cutoffs,
            BodyView::Freeze => PacketType::Freeze,
            BodyView::NeedAck => PacketType::NeedAck,
            BodyView::Ack(_) => PacketType::Ack,
            BodyView::Refuse(_) => PacketType::Refuse,
        }
    }

    /// What follows the common header.
    pub fn body(&self) -> BodyView<'a> {
        self.body
    }

    /// The piece of a message that the packet carries; empty but for DATA.
    pub fn payload(&self) -> &'a [u8] {
        match self.body {
            BodyView::Data(data) => data.payload(),
            _ => &[],
        }
    }
}

impl BodyView<'_> {
    /// All fields, as a value.
    pub fn value(&self) -> Body {
        match self {
            Self::Data(data) => Body::Data(data.value()),
            Self::Grant(grant) => Body::Grant(grant.value()),
            Self::Resend(resend) => Body::Resend(resend.value()),
            Self::RpcUnknown => Body::RpcUnknown,
            Self::Busy => Body::Busy,
            Self::Cutoffs(cutoffs) => Body::Cutoffs(cutoffs.value()),
            Self::Freeze => Body::Freeze,
            Self::NeedAck => Body::NeedAck,
            Self::Ack(acks) => Body::Ack(acks.value()),
            Self::Refuse(refuse) => Body::Refuse(refuse.value()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::{BodyView, PacketView};
    use crate::testing::{assert_shortest, packet};
    use crate::{Body, PacketType, ParseError, RpcId, Version};

    const BARE: [Body; 4] = [Body::RpcUnknown, Body::Busy, Body::Freeze, Body::NeedAck];

    /// HOMA-HDR-3, HOMA-HDR-5, HOMA-HDR-11.
    #[test]
    fn new__common_fields() {
        let mut bytes = packet(Body::Busy, &[]);
        bytes[16..18].copy_from_slice(&[0xAB, 0xCD]);
        let view = PacketView::new(&bytes, Version::V1).expect("legal");
        assert_eq!(view.source_port(), 32768);
        assert_eq!(view.dest_port(), 4000);
        assert_eq!(view.sender_id(), RpcId(1000));
        assert_eq!(view.checksum(), 0xABCD);
        assert_eq!(view.packet_type(), PacketType::Busy);
        assert!(matches!(view.body(), BodyView::Busy));
    }

    /// HOMA-HDR-12; FREEZE is another such type, of the kernel implementation.
    #[test]
    fn new__common_header_alone_is_enough() {
        for body in BARE {
            assert_eq!(packet(body, &[]).len(), 28);
            assert_shortest(body, 28);
        }
    }

    /// HOMA-HDR-4.
    #[test]
    fn new__unknown_types() {
        let mut bytes = packet(Body::Busy, &[0; 100]);
        for code in 0..=u8::MAX {
            bytes[11] = code;
            let result = PacketView::new(&bytes, Version::V1);
            if matches!(code, 0x10..=0x18) {
                assert_eq!(result.map(|view| view.packet_type().code()).ok(), Some(code));
            } else if code == 0x40 {
                assert_eq!(result.err(), Some(ParseError::BadRefuseVersion(0)));
            } else {
                assert_eq!(result.err(), Some(ParseError::UnknownType(code)));
            }
        }
    }

    /// HOMA-HDR-6, HOMA-HDR-8, HOMA-HDR-9: sequence, ack, data offset, flags, window, checksum and
    /// urgent pointer of control packets may hold anything (WIRE section 10).
    #[test]
    fn new__unused_fields_are_ignored() {
        for body in BARE {
            let mut bytes = packet(body, &[]);
            bytes[4..11].fill(0xFF);
            bytes[12..20].fill(0xFF);
            let view = PacketView::new(&bytes, Version::V1).expect("legal");
            assert_eq!(view.body().value(), body);
        }
    }

    #[test]
    fn payload__none_in_control_packets() {
        for body in BARE {
            let bytes = packet(body, b"trailing bytes");
            let view = PacketView::new(&bytes, Version::V1).expect("legal");
            assert_eq!(view.payload(), b"");
            assert_eq!(view.body().value(), body);
        }
    }
}
