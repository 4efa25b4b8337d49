//! REFUSE packets, the one extension of the wire: a server says at once that it will not answer.
//!
//! A REFUSE answers a request (DATA, or a RESEND that names one), is itself never answered, and is
//! to be believed only if it comes from the RPC's server and port. Kernel peers drop the type as
//! unknown and find out by their time-out.

use core::fmt;

use crate::ParseError;
use crate::field;

/// The fields of a REFUSE packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refuse {
    /// Why the request is refused.
    pub reason: RefuseReason,
    /// A number that belongs to the reason; 0 if there is nothing to say. With
    /// [`RefuseReason::TooLong`], the longest message that would be accepted, in bytes.
    pub detail: u32,
}

/// Why a server refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum RefuseReason {
    /// No socket has this port.
    NoPort = 1,
    /// The port's socket does not accept requests.
    NotServing = 2,
    /// The application gave the request up without a response.
    DroppedUnanswered = 3,
    /// The server is about to end.
    ShuttingDown = 4,
    /// The server has no room for the request, its client has its share, or requests wait too long.
    Overloaded = 5,
    /// The request is longer than the server accepts.
    TooLong = 6,
}

impl Refuse {
    /// Length of the packet.
    pub(crate) const LEN: usize = 36;

    /// The version of this extension.
    const VERSION: u8 = 1;

    /// Writes the fields of this type.
    pub(crate) fn emit(&self, out: &mut [u8; Self::LEN]) {
        field::REFUSE_VERSION.set(out, Self::VERSION);
        field::REFUSE_REASON.set(out, self.reason.code());
        field::REFUSE_DETAIL.set(out, self.detail);
    }
}

impl RefuseReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::NoPort,
        Self::NotServing,
        Self::DroppedUnanswered,
        Self::ShuttingDown,
        Self::Overloaded,
        Self::TooLong,
    ];

    /// The reason with this number on the wire, if there is one.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::NoPort,
            2 => Self::NotServing,
            3 => Self::DroppedUnanswered,
            4 => Self::ShuttingDown,
            5 => Self::Overloaded,
            6 => Self::TooLong,
            _ => return None,
        })
    }

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoPort => "no such port",
            Self::NotServing => "not serving",
            Self::DroppedUnanswered => "dropped unanswered",
            Self::ShuttingDown => "shutting down",
            Self::Overloaded => "overloaded",
            Self::TooLong => "too long",
        })
    }
}

/// A REFUSE packet in place.
#[derive(Clone, Copy, Debug)]
pub struct RefuseView<'a> {
    header: &'a [u8; Refuse::LEN],
    reason: RefuseReason,
}

impl<'a> RefuseView<'a> {
    pub(crate) fn new(packet: &'a [u8]) -> Result<Self, ParseError> {
        let header = packet
            .first_chunk()
            .ok_or(ParseError::TooShort { needed: Refuse::LEN, actual: packet.len() })?;
        let version = field::REFUSE_VERSION.value(header);
        if version != Refuse::VERSION {
            return Err(ParseError::BadRefuseVersion(version));
        }
        let code = field::REFUSE_REASON.value(header);
        let reason = RefuseReason::from_code(code).ok_or(ParseError::BadRefuseReason(code))?;
        Ok(Self { header, reason })
    }

    /// See [`Refuse::reason`].
    pub fn reason(&self) -> RefuseReason {
        self.reason
    }

    /// See [`Refuse::detail`].
    pub fn detail(&self) -> u32 {
        field::REFUSE_DETAIL.value(self.header)
    }

    /// All fields, as a value.
    pub fn value(&self) -> Refuse {
        Refuse { reason: self.reason(), detail: self.detail() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::collections::BTreeSet;
    use std::string::ToString;

    use super::{Refuse, RefuseReason};
    use crate::testing::{assert_shortest, body, packet};
    use crate::{Body, ParseError};

    const REFUSE: Refuse = Refuse { reason: RefuseReason::TooLong, detail: 1_000_000 };

    #[test]
    fn emit__36_bytes() {
        let packet = packet(Body::Refuse(REFUSE), &[]);
        assert_eq!(packet.len(), 36);
        assert_eq!(packet[11], 0x40);
        assert_eq!(packet[28..], [1, 6, 0, 0, 0x00, 0x0F, 0x42, 0x40]);
    }

    #[test]
    fn parse__every_reason() {
        for reason in RefuseReason::ALL {
            let refuse = Refuse { reason, detail: u32::MAX };
            assert_eq!(body(&packet(Body::Refuse(refuse), &[])), Ok(Body::Refuse(refuse)));
        }
    }

    #[test]
    fn parse__unknown_reason() {
        let mut packet = packet(Body::Refuse(REFUSE), &[]);
        let known = RefuseReason::ALL.map(RefuseReason::code);
        assert_eq!(known, [1, 2, 3, 4, 5, 6]);
        for code in (0..=u8::MAX).filter(|code| !known.contains(code)) {
            packet[29] = code;
            assert_eq!(body(&packet), Err(ParseError::BadRefuseReason(code)));
        }
    }

    #[test]
    fn parse__unknown_version() {
        let mut packet = packet(Body::Refuse(REFUSE), &[]);
        for version in (0..=u8::MAX).filter(|version| *version != 1) {
            packet[28] = version;
            assert_eq!(body(&packet), Err(ParseError::BadRefuseVersion(version)));
        }
    }

    #[test]
    fn parse__reserved_and_trailing_bytes_are_ignored() {
        let mut packet = packet(Body::Refuse(REFUSE), &[0xFF; 9]);
        packet[30..32].fill(0xFF);
        assert_eq!(body(&packet), Ok(Body::Refuse(REFUSE)));
    }

    #[test]
    fn parse__shortest() {
        assert_shortest(Body::Refuse(REFUSE), 36);
    }

    #[test]
    fn display__distinct() {
        let texts: BTreeSet<_> = RefuseReason::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), RefuseReason::ALL.len());
        assert!(texts.contains("shutting down"));
    }
}
