//! What all messages begin with: version, kind, flags, and where the body begins.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use homa::Message;

use super::Malformed;

/// The version of the mapping that is spoken here.
pub(crate) const VERSION: u8 = 1;
/// In place of a version: the message lists the versions that its sender speaks. Its layout is the same
/// for ever.
const VERSIONS: u8 = 0;
/// Length of the prefix in bytes.
pub(super) const LENGTH: usize = 8;
/// Where the flags are.
pub(super) const FLAGS: usize = 2;

/// A message taken apart.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// The head behind the prefix.
    pub(super) fields: Bytes,
    pub(super) body: Message,
}

/// Begins a message; [`finish`] completes it.
pub(super) fn begin(kind: u8, flags: u8, capacity: usize) -> BytesMut {
    let mut head = BytesMut::with_capacity(LENGTH + capacity);
    head.put_slice(&[VERSION, kind, flags, 0, 0, 0, 0, 0]);
    head
}

/// Enters where the body begins, now that the head is complete, and returns the head.
///
/// Heads are bounded by the limits of metadata, far below 4 GiB.
pub(super) fn finish(mut head: BytesMut) -> BytesMut {
    let length = head.len() as u32;
    head[4..LENGTH].copy_from_slice(&length.to_be_bytes());
    head
}

/// Splits a message at the end of its head, which must not be longer than `head_max`.
pub(super) fn split(mut message: Message, head_max: usize) -> Result<Split, Malformed> {
    let length = message.len();
    let mut start = [0; LENGTH];
    let there = length.min(LENGTH);
    copy_start(&message, &mut start[..there]);
    match start[0] {
        _ if there < 2 => return Err(Malformed::Truncated),
        VERSION => {}
        VERSIONS => return Err(Malformed::PeerVersions(listed_versions(&message))),
        other => return Err(Malformed::Version(other)),
    }
    if there < LENGTH {
        return Err(Malformed::Truncated);
    }
    let [_, kind, flags, _, end @ ..] = start;
    let end = u32::from_be_bytes(end) as usize;
    if end > head_max {
        return Err(Malformed::HeadTooLong { max: head_max });
    }
    if end < LENGTH || end > length {
        return Err(Malformed::Truncated);
    }
    let fields = message.slice(LENGTH..end);
    message.advance(end);
    Ok(Split { kind, flags, fields, body: message })
}

/// Copies the first bytes of a message, which must be there.
fn copy_start(message: &Message, mut to: &mut [u8]) {
    for chunk in message.chunks() {
        let (front, back) = to.split_at_mut(chunk.len().min(to.len()));
        front.copy_from_slice(&chunk[..front.len()]);
        if back.is_empty() {
            return;
        }
        to = back;
    }
}

/// The answer to a message in a version that is not spoken here.
pub(crate) fn versions_answer() -> Message {
    Message::from(&[VERSIONS, 1, VERSION])
}

fn listed_versions(message: &Message) -> Vec<u8> {
    let count = usize::from(message.slice(1..2)[0]);
    let end = message.len().min(2 + count);
    message.slice(2..end).to_vec()
}
