//! Reading Homa messages piece by piece.

use bytes::{Buf, Bytes};
use homa::Message;

/// Takes the first piece of a message, without a copy; `None` at its end.
pub(crate) fn next_piece(message: &mut Message) -> Option<Bytes> {
    let mut chunks = message.chunks();
    let first = chunks.next()?;
    if chunks.next().is_none() {
        drop(chunks);
        return Some(std::mem::take(message).into_bytes());
    }
    let piece = first.clone();
    drop(chunks);
    message.advance(piece.len());
    Some(piece)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn next_piece__each_once() {
        let pieces = [&b"one"[..], b"two", b"three"].map(Bytes::from_static);
        for count in 0..=3 {
            let mut message = Message::from(pieces[..count].to_vec());
            for piece in &pieces[..count] {
                assert_eq!(next_piece(&mut message).as_ref(), Some(piece));
            }
            assert_eq!(next_piece(&mut message), None);
        }
    }
}
