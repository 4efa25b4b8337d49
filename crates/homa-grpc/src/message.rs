//! Reading Homa messages piece by piece.

use bytes::{Buf, Bytes};
use homa::Message;

/// Takes the first piece of a message, without a copy; `None` at its end.
pub(crate) fn next_piece(message: &mut Message) -> Option<Bytes> {
    let piece = message.chunks().next().cloned()?;
    message.advance(piece.len());
    Some(piece)
}
