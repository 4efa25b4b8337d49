//! Why bytes are not a packet, and why a packet does not become bytes.

use core::error::Error;
use core::fmt;

/// Why bytes are not a packet. The packet is to be dropped and counted, never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseError {
    /// The packet is shorter than the common header or than the header of its type.
    TooShort {
        /// Shortest legal length in bytes: 28 if not even the type could be read.
        needed: usize,
        /// Length of the packet in bytes.
        actual: usize,
    },
    /// There is no packet type of this number.
    UnknownType(u8),
    /// A REFUSE packet is of a version of that extension which is not known.
    BadRefuseVersion(u8),
    /// A REFUSE packet gives a reason which is not known.
    BadRefuseReason(u8),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { needed, actual } => {
                write!(f, "packet of {actual} bytes is too short, {needed} are needed")
            }
            Self::UnknownType(code) => write!(f, "unknown packet type {code:#04x}"),
            Self::BadRefuseVersion(version) => write!(f, "unknown REFUSE version {version}"),
            Self::BadRefuseReason(reason) => write!(f, "unknown REFUSE reason {reason}"),
        }
    }
}

impl Error for ParseError {}

/// Why a header could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EmitError {
    /// The buffer is shorter than the header. Nothing was written.
    BufferTooShort {
        /// Length of the header in bytes.
        needed: usize,
        /// Length of the buffer in bytes.
        actual: usize,
    },
    /// A DATA packet for the offset 4294967295, which the wire cannot say: there it means "look
    /// elsewhere" (WIRE section 4). No message is that long. Nothing was written.
    OffsetReserved,
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooShort { needed, actual } => {
                write!(f, "buffer of {actual} bytes is too short for a header of {needed}")
            }
            Self::OffsetReserved => f.write_str("offset 4294967295 cannot be expressed"),
        }
    }
}

impl Error for EmitError {}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::string::ToString;

    use super::{EmitError, ParseError};

    #[test]
    fn display__says_what_was_wrong() {
        let short = ParseError::TooShort { needed: 56, actual: 55 };
        assert_eq!(short.to_string(), "packet of 55 bytes is too short, 56 are needed");
        assert_eq!(ParseError::UnknownType(9).to_string(), "unknown packet type 0x09");
        assert_eq!(ParseError::BadRefuseVersion(2).to_string(), "unknown REFUSE version 2");
        assert_eq!(ParseError::BadRefuseReason(7).to_string(), "unknown REFUSE reason 7");
        let buffer = EmitError::BufferTooShort { needed: 28, actual: 3 };
        assert_eq!(buffer.to_string(), "buffer of 3 bytes is too short for a header of 28");
        assert_eq!(EmitError::OffsetReserved.to_string(), "offset 4294967295 cannot be expressed");
    }
}
