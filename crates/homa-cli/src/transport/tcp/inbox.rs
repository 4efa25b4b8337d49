//! What has arrived on a connection, cut into messages.

use std::io::{self, Read};
use std::net::TcpStream;
use std::ops::Range;

use super::LENGTHS;
use crate::message::{HEADER_LEN, Header};

/// How much is asked for at once when no longer message is expected.
const READ_LEN: usize = 64 << 10;

/// A buffer that is filled from a socket, never shrinks and is reused.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// Where the messages not yet taken begin.
    start: usize,
    /// Where what has arrived ends.
    end: usize,
}

/// What an attempt to read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// Some bytes; whether they were all that there were.
    Read {
        /// Fewer came than were asked for.
        drained: bool,
    },
    /// There is nothing to read now.
    Nothing,
    /// The peer has closed the connection.
    Closed,
}

impl Inbox {
    /// Reads once.
    pub(super) fn fill(&mut self, mut socket: &TcpStream) -> io::Result<Fill> {
        // The rest of a long message is read without the beginning of the next, so that the buffer
        // is empty after it and nothing need be moved to its front.
        let want = self.missing().max(READ_LEN);
        if self.bytes.len() < self.end + want {
            self.bytes.resize(self.end + want, 0);
        }
        match socket.read(&mut self.bytes[self.end..self.end + want]) {
            Ok(0) => Ok(Fill::Closed),
            Ok(count) => {
                self.end += count;
                Ok(Fill::Read { drained: count < want })
            }
            Err(error) if is_transient(&error) => Ok(Fill::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Takes the next whole message, if there is one: where it lies.
    ///
    /// # Errors
    ///
    /// `InvalidData`: no message has such a length.
    pub(super) fn take_message(&mut self) -> io::Result<Option<Range<usize>>> {
        let Some(length) = self.next_length() else { return Ok(None) };
        if !LENGTHS.contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let end = self.start + length as usize;
        if end > self.end {
            return Ok(None);
        }
        let message = self.start..end;
        self.start = end;
        Ok(Some(message))
    }

    /// Moves what is left to the front. Messages taken before are gone then.
    pub(super) fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// The bytes of a message that was taken.
    pub(super) fn message(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// The header of a message that was taken, to be changed.
    pub(super) fn header_mut(&mut self, message: &Range<usize>) -> &mut [u8; HEADER_LEN] {
        let bytes = &mut self.bytes[message.start..message.start + HEADER_LEN];
        bytes.try_into().expect("a message has a header")
    }

    /// How many bytes the current message lacks, as far as known.
    fn missing(&self) -> usize {
        let length = self.next_length().filter(|length| LENGTHS.contains(length)).unwrap_or(0);
        (length as usize).saturating_sub(self.end - self.start)
    }

    /// The length that the header of the next message tells, once that has arrived.
    fn next_length(&self) -> Option<u32> {
        let header = self.bytes[self.start..self.end].first_chunk()?;
        Some(Header::decode(header).length)
    }
}

/// Whether an error only says that there is nothing to do now.
pub(super) fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
