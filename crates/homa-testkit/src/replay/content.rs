//! Contents of messages, as far as captures hold them.

use homa_wire::Data;

/// A message put together from packets: which bytes came, and what those are that were captured.
#[derive(Clone, Debug)]
pub(super) struct Content {
    /// What is known of each byte.
    bytes: Vec<Byte>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Byte {
    Missing,
    /// It came, in the part of a packet that was not captured.
    Unseen,
    Seen(u8),
}

/// `cp_node`'s flag for responses: bit 2 of the 16 bits at offset 10 (TOOLS section 1).
const RESPONSE_FLAG_AT: usize = 10;
const RESPONSE_FLAG: u8 = 1 << 2;

impl Content {
    pub(super) fn new(length: u32) -> Self {
        Self { bytes: vec![Byte::Missing; length as usize] }
    }

    /// Adds the payload of a packet.
    pub(super) fn add(&mut self, data: &Data, payload_len: u32, payload: &[u8]) {
        let start = data.offset as usize;
        self.put(start, start + payload_len as usize, start, payload);
    }

    /// Puts bytes `start` to `end` of the message, which lie in a packet whose captured payload
    /// begins at `offset`.
    pub(super) fn put(&mut self, start: usize, end: usize, offset: usize, payload: &[u8]) {
        for at in start..end {
            let seen = payload.get(at - offset).map(|&byte| Byte::Seen(byte));
            if !matches!(self.bytes[at], Byte::Seen(_)) {
                self.bytes[at] = seen.unwrap_or(Byte::Unseen);
            }
        }
    }

    pub(super) fn length(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("lengths are 32 bits")
    }

    pub(super) fn is_complete(&self) -> bool {
        !self.bytes.contains(&Byte::Missing)
    }

    /// Number of bytes whose values are known.
    pub(super) fn seen(&self) -> usize {
        self.bytes.iter().filter(|byte| matches!(byte, Byte::Seen(_))).count()
    }

    /// What `cp_node` answers to this request.
    pub(super) fn echo(&self) -> Self {
        let mut echo = self.clone();
        if let Some(Byte::Seen(flags)) = echo.bytes.get_mut(RESPONSE_FLAG_AT) {
            *flags |= RESPONSE_FLAG;
        }
        echo
    }

    /// The first byte that is known of both and differs.
    pub(super) fn first_difference(&self, other: &Self) -> Option<usize> {
        self.bytes.iter().zip(&other.bytes).position(
            |pair| matches!(pair, (Byte::Seen(ours), Byte::Seen(theirs)) if ours != theirs),
        )
    }
}
