//! The types of packets.

use core::fmt;

use crate::ParseError;

/// The type of a packet, byte 11 of every packet (WIRE section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PacketType {
    /// A piece of a message, from its sender to its receiver.
    Data = 0x10,
    /// Permission to send more of a message.
    Grant = 0x11,
    /// A request to send a range of a message again.
    Resend = 0x12,
    /// The sender does not know the RPC that the answered packet named.
    RpcUnknown = 0x13,
    /// The sender is alive but has nothing to send yet.
    Busy = 0x14,
    /// The priorities to use for unscheduled bytes.
    Cutoffs = 0x15,
    /// A debugging aid: stop recording traces. Not in the Internet-Draft.
    Freeze = 0x16,
    /// A server asks whether the client has the response.
    NeedAck = 0x17,
    /// A client says which RPCs it is done with.
    Ack = 0x18,
    /// A server will not answer this request. Our extension: kernel peers drop it as unknown.
    Refuse = 0x40,
}

impl PacketType {
    /// How many types there are: the size of an array of per-type counters.
    pub const COUNT: usize = 10;

    /// All types, in the order of their [`index`](Self::index) and of their numbers on the wire.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Data,
        Self::Grant,
        Self::Resend,
        Self::RpcUnknown,
        Self::Busy,
        Self::Cutoffs,
        Self::Freeze,
        Self::NeedAck,
        Self::Ack,
        Self::Refuse,
    ];

    /// The type with this number on the wire, if there is one.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0x10 => Self::Data,
            0x11 => Self::Grant,
            0x12 => Self::Resend,
            0x13 => Self::RpcUnknown,
            0x14 => Self::Busy,
            0x15 => Self::Cutoffs,
            0x16 => Self::Freeze,
            0x17 => Self::NeedAck,
            0x18 => Self::Ack,
            0x40 => Self::Refuse,
            _ => return None,
        })
    }

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// A dense number from 0 to [`COUNT`](Self::COUNT) - 1, for arrays of per-type counters.
    pub const fn index(self) -> usize {
        match self {
            Self::Data => 0,
            Self::Grant => 1,
            Self::Resend => 2,
            Self::RpcUnknown => 3,
            Self::Busy => 4,
            Self::Cutoffs => 5,
            Self::Freeze => 6,
            Self::NeedAck => 7,
            Self::Ack => 8,
            Self::Refuse => 9,
        }
    }

    /// The name that the specification uses, for example `NEED_ACK`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "DATA",
            Self::Grant => "GRANT",
            Self::Resend => "RESEND",
            Self::RpcUnknown => "RPC_UNKNOWN",
            Self::Busy => "BUSY",
            Self::Cutoffs => "CUTOFFS",
            Self::Freeze => "FREEZE",
            Self::NeedAck => "NEED_ACK",
            Self::Ack => "ACK",
            Self::Refuse => "REFUSE",
        }
    }
}

impl TryFrom<u8> for PacketType {
    type Error = ParseError;

    fn try_from(code: u8) -> Result<Self, ParseError> {
        Self::from_code(code).ok_or(ParseError::UnknownType(code))
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::collections::BTreeSet;
    use std::string::ToString;

    use super::PacketType;
    use crate::ParseError;

    /// HOMA-HDR-4, with FREEZE (22) of the kernel implementation and our REFUSE (64) besides.
    #[test]
    fn from_code__only_the_known_types() {
        let known = (0..=u8::MAX).filter_map(PacketType::from_code);
        assert!(known.eq(PacketType::ALL));
        let codes = PacketType::ALL.map(PacketType::code);
        assert_eq!(codes, [16, 17, 18, 19, 20, 21, 22, 23, 24, 64]);
    }

    #[test]
    fn try_from__unknown_type_is_named() {
        assert_eq!(PacketType::try_from(0x19), Err(ParseError::UnknownType(0x19)));
        assert_eq!(PacketType::try_from(0x18), Ok(PacketType::Ack));
    }

    #[test]
    fn index__dense_and_in_order() {
        assert!(PacketType::ALL.iter().map(|t| t.index()).eq(0..PacketType::COUNT));
    }

    #[test]
    fn name__distinct() {
        let names: BTreeSet<_> = PacketType::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), PacketType::COUNT);
        assert!(names.contains("NEED_ACK"));
    }
}
