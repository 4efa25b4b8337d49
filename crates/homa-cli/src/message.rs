//! What the load generator's messages look like: `cp_node`'s 12-byte header (TOOLS section 1), then
//! a pattern.
//!
//! The header is in little-endian order: i32 length of the whole message, u8 client port, u8 client
//! node, u8 server port, u8 server node, u16 msg_id, u16 flags. A server echoes the request's bytes
//! with [`FLAG_RESPONSE`] set, or only the first 100 of them when [`FLAG_SHORT_RESPONSE`] is set.
//!
//! `cp_node` leaves the rest of a message undefined. Here it is a window into one fixed pattern,
//! whose place depends on the request's number, so that the client can tell for every byte of a
//! response whether it is right.

use std::fmt;

use bytes::{Buf, Bytes};

/// Length of the header, and of the shortest message.
pub(crate) const HEADER_LEN: usize = 12;
/// Length of the shortest message.
pub(crate) const MIN_LEN: u32 = HEADER_LEN as u32;
/// Length of the responses to long requests that want a short one.
pub(crate) const SHORT_RESPONSE_LEN: u32 = 100;
/// Calls under way at once that the header can tell apart (the client's port extends the 16 bits of
/// `msg_id`).
pub(crate) const MAX_SLOTS: usize = 1 << 24;

const FLAG_SHORT_RESPONSE: u16 = 1 << 1;
const FLAG_RESPONSE: u16 = 1 << 2;

/// After how many bytes the pattern repeats: a prime, so that a piece of a message which lands in a
/// wrong place is noticed, and short enough to stay in a core's cache while it is compared with.
const PATTERN_PERIOD: usize = 65_521;

/// A message's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Length of the whole message in bytes, with the header.
    pub(crate) length: u32,
    /// Bits 16 to 23 of the slot (`cp_node`: index of the client's port).
    pub(crate) client_port: u8,
    /// Low 16 bits of the slot in the client's table of calls.
    pub(crate) msg_id: u16,
    flags: u16,
}

impl Header {
    /// The header of a request of `length` bytes from a client's `slot`.
    pub(crate) fn request(slot: u32, length: u32, wants_short_response: bool) -> Self {
        let flags = if wants_short_response { FLAG_SHORT_RESPONSE } else { 0 };
        Self { length, client_port: (slot >> 16) as u8, msg_id: slot as u16, flags }
    }

    /// The header of the response to the request with this one.
    pub(crate) fn response(self) -> Self {
        let short = self.flags & FLAG_SHORT_RESPONSE != 0;
        let length = if short { self.length.min(SHORT_RESPONSE_LEN) } else { self.length };
        Self { length, flags: self.flags | FLAG_RESPONSE, ..self }
    }

    /// As bytes. The node and server port fields are zero: one process is one node here.
    pub(crate) fn encode(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4] = self.client_port;
        bytes[8..10].copy_from_slice(&self.msg_id.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    /// From bytes. Any bytes are a header; whether its length is right is for the caller to judge.
    pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> Self {
        Self {
            length: u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            client_port: bytes[4],
            msg_id: u16::from_le_bytes([bytes[8], bytes[9]]),
            flags: u16::from_le_bytes([bytes[10], bytes[11]]),
        }
    }
}

/// Turns the header of a request, as received, into that of its response, and returns the
/// response's length. Fields that this program doesn't use are echoed.
pub(crate) fn make_response(header: &mut [u8; HEADER_LEN]) -> u32 {
    let response = Header::decode(header).response();
    header[0..4].copy_from_slice(&response.length.to_le_bytes());
    header[10..12].copy_from_slice(&response.flags.to_le_bytes());
    response.length
}

/// The contents of messages after their headers.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    bytes: Bytes,
}

impl Pattern {
    /// A pattern for messages of up to `max_len` bytes.
    pub(crate) fn new(max_len: u32) -> Self {
        let period = (0..PATTERN_PERIOD as u64).map(|i| mix(i) as u8);
        let bytes = period
            .collect::<Vec<_>>()
            .into_iter()
            .cycle()
            .take(PATTERN_PERIOD + max_len as usize)
            .collect();
        Self { bytes }
    }

    /// What follows the header in request number `number` of `length` bytes; nothing is copied.
    pub(crate) fn body(&self, number: u64, length: u32) -> Bytes {
        let start = start_of(number);
        self.bytes.slice(start..start + length as usize - HEADER_LEN)
    }

    /// Whether a response is right that is short and, as usual, in one piece.
    fn is_right_short_piece(&self, expected: Header, number: u64, piece: &[u8]) -> bool {
        let length = expected.length as usize;
        if piece.len() != length || !(HEADER_LEN..PATTERN_PERIOD).contains(&length) {
            return false;
        }
        let (header, body) = piece.split_at(HEADER_LEN);
        header == expected.encode() && *body == self.bytes[start_of(number)..][..body.len()]
    }

    /// Compares a response with the one that `request`, which had the given number, must have.
    pub(crate) fn verify(
        &self,
        request: Header,
        number: u64,
        response: &mut dyn Buf,
    ) -> Result<(), Mismatch> {
        let expected = request.response();
        if self.is_right_short_piece(expected, number, response.chunk()) {
            return Ok(());
        }
        if response.remaining() != expected.length as usize {
            return Err(Mismatch::Length {
                expected: expected.length,
                actual: response.remaining(),
            });
        }
        let mut header = [0; HEADER_LEN];
        response.copy_to_slice(&mut header);
        if header != expected.encode() {
            return Err(Mismatch::Header);
        }
        let mut offset = start_of(number);
        while response.has_remaining() {
            let chunk = response.chunk();
            // Against the first period only, since that stays in the cache.
            let expected = &self.bytes[offset..self.bytes.len().min(2 * PATTERN_PERIOD)];
            let count = chunk.len().min(expected.len());
            if chunk[..count] != expected[..count] {
                let wrong = chunk.iter().zip(expected).take_while(|(a, b)| a == b).count();
                let done = request.response().length as usize - response.remaining();
                return Err(Mismatch::Byte { offset: done + wrong });
            }
            response.advance(count);
            offset = (offset + count) % PATTERN_PERIOD;
        }
        Ok(())
    }
}

/// How a response differs from what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// It is longer or shorter.
    Length {
        /// The length it should have, in bytes.
        expected: u32,
        /// The length it has, in bytes.
        actual: usize,
    },
    /// Its header differs.
    Header,
    /// A byte after the header differs.
    Byte {
        /// Where in the message.
        offset: usize,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { expected, actual } => {
                write!(f, "wrong response: {actual} bytes instead of {expected}")
            }
            Self::Header => f.write_str("wrong response: the header differs"),
            // Without the offset, so that such failures are counted as one kind.
            Self::Byte { .. } => f.write_str("wrong response: the contents differ"),
        }
    }
}

/// Where in the pattern request number `number` begins.
fn start_of(number: u64) -> usize {
    // The high half of the product: as even as a remainder, and without a division.
    ((u128::from(mix(number)) * PATTERN_PERIOD as u128) >> u64::BITS) as usize
}

/// A well-mixed function of `x` (the finaliser of SplitMix64).
fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use proptest::prelude::*;

    use super::*;

    /// What a server answers, by the rules of TOOLS section 1.
    fn echo(request: Header, body: &[u8]) -> Vec<u8> {
        let mut header = request.encode();
        let length = make_response(&mut header) as usize;
        let mut message = header.to_vec();
        message.extend_from_slice(&body[..length - HEADER_LEN]);
        message
    }

    #[test]
    fn encode__is_the_layout_of_cp_node() {
        let header = Header::request(0x02_0304, 0x0a0b_0c0d, true);
        assert_eq!(header.encode(), [0x0d, 0x0c, 0x0b, 0x0a, 2, 0, 0, 0, 0x04, 0x03, 2, 0]);
    }

    #[test]
    fn make_response__keeps_what_it_does_not_know() {
        let mut bytes = [200, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0x80, 0x40];
        assert_eq!(make_response(&mut bytes), 200);
        assert_eq!(bytes, [200, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0x84, 0x40]);
    }

    #[test]
    fn response__is_short_only_when_asked_for_and_long() {
        assert_eq!(Header::request(0, 5000, true).response().length, 100);
        assert_eq!(Header::request(0, 50, true).response().length, 50);
        assert_eq!(Header::request(0, 5000, false).response().length, 5000);
    }

    #[test]
    fn verify__wrong_length_or_header() {
        let pattern = Pattern::new(1000);
        let request = Header::request(1, 100, false);
        let response = echo(request, &pattern.body(9, 100));
        assert_eq!(
            pattern.verify(request, 9, &mut &response[..99]),
            Err(Mismatch::Length { expected: 100, actual: 99 })
        );
        assert_eq!(
            pattern.verify(Header::request(2, 100, false), 9, &mut &response[..]),
            Err(Mismatch::Header)
        );
    }

    #[test]
    fn verify__another_requests_contents_are_noticed() {
        let pattern = Pattern::new(1000);
        let request = Header::request(1, 100, false);
        let response = echo(request, &pattern.body(9, 100));
        assert_eq!(
            pattern.verify(request, 10, &mut &response[..]),
            Err(Mismatch::Byte { offset: 12 })
        );
    }

    proptest! {
        #[test]
        fn verify__any_flipped_bit_is_noticed(
            number: u64,
            length in MIN_LEN..300_000,
            short: bool,
            cut: prop::sample::Index,
            at: prop::sample::Index,
            bit in 0..8,
        ) {
            let pattern = Pattern::new(300_000);
            let request = Header::request(77, length, short);
            let mut response = echo(request, &pattern.body(number, length));
            // In two pieces, as a message that arrived in several packets.
            let whole = |bytes: &[u8]| {
                let (a, b) = bytes.split_at(cut.index(bytes.len()));
                pattern.verify(request, number, &mut a.chain(b))
            };
            prop_assert_eq!(whole(&response), Ok(()));
            let at = at.index(response.len());
            response[at] ^= 1_u8 << bit;
            let expected = match at {
                0..HEADER_LEN => Mismatch::Header,
                offset => Mismatch::Byte { offset },
            };
            prop_assert_eq!(whole(&response), Err(expected));
        }
    }
}
