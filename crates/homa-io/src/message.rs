//! Messages as applications give and take them: owned, immutable, in as many pieces as they came.

use bytes::{Buf, Bytes, BytesMut};
use std::fmt;
use std::ops::Range;

/// A message: immutable bytes in one or several reference-counted pieces.
///
/// Made from `Bytes`, vectors and strings without a copy. A message in one piece costs no
/// allocation of its own. Reading through [`Buf`] consumes it from the front; cloning is cheap and
/// shares the bytes.
///
/// ```
/// use homa_io::Message;
///
/// let message = Message::from("hello");
/// assert_eq!(message.len(), 5);
/// assert_eq!(message.into_bytes(), "hello");
/// ```
#[derive(Clone)]
pub struct Message {
    repr: Repr,
}

#[derive(Clone)]
enum Repr {
    One(Bytes),
    Many(Box<Pieces>),
}

/// Several pieces. Ends are offsets in the message as it was made, so that the piece that holds an
/// offset is found by bisection, and stay true while the front is consumed.
#[derive(Clone)]
struct Pieces {
    pieces: Vec<Piece>,
    /// Pieces before this index are consumed.
    next: usize,
    /// Bytes consumed.
    consumed: usize,
}

#[derive(Clone)]
struct Piece {
    end: usize,
    bytes: Bytes,
}

impl Message {
    /// A message of no bytes, which can't be sent (WIRE section 1).
    #[must_use]
    pub const fn new() -> Self {
        Self { repr: Repr::One(Bytes::new()) }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.repr {
            Repr::One(bytes) => bytes.len(),
            Repr::Many(many) => many.pieces.last().map_or(0, |last| last.end) - many.consumed,
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces, first to last, none of them empty.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        let (one, many) = match &self.repr {
            Repr::One(bytes) => (Some(bytes).filter(|bytes| !bytes.is_empty()), &[][..]),
            Repr::Many(many) => (None, &many.pieces[many.next..]),
        };
        one.into_iter().chain(many.iter().map(|piece| &piece.bytes))
    }

    /// All bytes in one piece. Costs a copy of the whole message if it is in several pieces, else
    /// nothing.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.repr {
            Repr::One(bytes) => bytes,
            Repr::Many(many) => many.copy(0..many.len()),
        }
    }

    /// Shows `visit` the pieces that hold the bytes of `range`, in order, and which bytes of each.
    ///
    /// # Panics
    ///
    /// If the range exceeds the message.
    pub fn visit_chunks(&self, range: Range<usize>, mut visit: impl FnMut(&Bytes, Range<usize>)) {
        match &self.repr {
            Repr::One(bytes) if range.is_empty() => assert!(range.end <= bytes.len()),
            Repr::One(bytes) => visit(bytes, range),
            Repr::Many(many) => many.slice(range, visit),
        }
    }

    /// The bytes of `range` in one piece: copied if they lie in several, else shared.
    ///
    /// # Panics
    ///
    /// If the range exceeds the message.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        match &self.repr {
            Repr::One(bytes) => bytes.slice(range),
            Repr::Many(many) => many.copy(range),
        }
    }

    /// In how many pieces the bytes of `range` lie.
    ///
    /// # Panics
    ///
    /// If the range exceeds the message.
    #[must_use]
    pub fn chunk_count(&self, range: Range<usize>) -> usize {
        match &self.repr {
            Repr::One(_) => usize::from(!range.is_empty()),
            Repr::Many(many) => many.indices(&range).len(),
        }
    }
}

impl Pieces {
    fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| last.end) - self.consumed
    }

    /// Which pieces hold the bytes of `range`.
    fn indices(&self, range: &Range<usize>) -> Range<usize> {
        assert!(range.start <= range.end && range.end <= self.len(), "range exceeds the message");
        let pieces = &self.pieces[self.next..];
        let start = range.start + self.consumed;
        let end = range.end + self.consumed;
        let first = self.next + pieces.partition_point(|piece| piece.end <= start);
        let after_last = if range.is_empty() {
            first
        } else {
            self.next + pieces.partition_point(|piece| piece.end < end) + 1
        };
        first..after_last
    }

    fn slice(&self, range: Range<usize>, mut take: impl FnMut(&Bytes, Range<usize>)) {
        let indices = self.indices(&range);
        for piece in &self.pieces[indices] {
            let piece_start = piece.end - piece.bytes.len();
            let start = (range.start + self.consumed).max(piece_start) - piece_start;
            let end = (range.end + self.consumed).min(piece.end) - piece_start;
            take(&piece.bytes, start..end);
        }
    }

    fn copy(&self, range: Range<usize>) -> Bytes {
        if self.indices(&range).len() == 1 {
            let mut shared = Bytes::new();
            self.slice(range, |bytes, range| shared = bytes.slice(range));
            return shared;
        }
        let mut copy = BytesMut::with_capacity(range.len());
        self.slice(range, |bytes, range| copy.extend_from_slice(&bytes[range]));
        copy.freeze()
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "can't advance beyond the message");
        self.consumed += count;
        while self.next < self.pieces.len() && self.pieces[self.next].end <= self.consumed {
            self.pieces[self.next].bytes = Bytes::new();
            self.next += 1;
        }
        if let Some(piece) = self.pieces.get_mut(self.next) {
            let gone = piece.bytes.len() - (piece.end - self.consumed);
            piece.bytes.advance(gone);
        }
    }
}

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self { repr: Repr::One(bytes) }
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static [u8]> for Message {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl<const N: usize> From<&'static [u8; N]> for Message {
    fn from(bytes: &'static [u8; N]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<&'static str> for Message {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<Vec<Bytes>> for Message {
    /// The pieces one after the other, none of them copied.
    fn from(pieces: Vec<Bytes>) -> Self {
        let mut end = 0;
        let filled = pieces.into_iter().filter(|bytes| !bytes.is_empty());
        let mut pieces: Vec<Piece> = filled
            .map(|bytes| {
                end += bytes.len();
                Piece { end, bytes }
            })
            .collect();
        let repr = match pieces.len() {
            0 | 1 => Repr::One(pieces.pop().map_or_else(Bytes::new, |piece| piece.bytes)),
            _ => Repr::Many(Box::new(Pieces { pieces, next: 0, consumed: 0 })),
        };
        Self { repr }
    }
}

impl From<Message> for Bytes {
    /// As [`Message::into_bytes`].
    fn from(message: Message) -> Self {
        message.into_bytes()
    }
}

impl Buf for Message {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        match &self.repr {
            Repr::One(bytes) => bytes,
            Repr::Many(many) => many.pieces.get(many.next).map_or(&[], |piece| &piece.bytes),
        }
    }

    fn advance(&mut self, count: usize) {
        match &mut self.repr {
            Repr::One(bytes) => bytes.advance(count),
            Repr::Many(many) => many.advance(count),
        }
    }

    /// Shared if the bytes lie in one piece, else copied.
    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        let bytes = self.slice(0..len);
        self.advance(len);
        bytes
    }
}

impl PartialEq<[u8]> for Message {
    fn eq(&self, other: &[u8]) -> bool {
        let mut rest = other;
        self.len() == other.len()
            && self.chunks().all(|chunk| {
                let (front, back) = rest.split_at(chunk.len());
                rest = back;
                chunk == front
            })
    }
}

impl PartialEq<&[u8]> for Message {
    fn eq(&self, other: &&[u8]) -> bool {
        *self == **other
    }
}

impl PartialEq<Vec<u8>> for Message {
    fn eq(&self, other: &Vec<u8>) -> bool {
        *self == other[..]
    }
}

impl PartialEq for Message {
    /// Whether the bytes are the same, in whatever pieces.
    fn eq(&self, other: &Self) -> bool {
        let mut offset = 0;
        self.len() == other.len()
            && other.chunks().all(|chunk| {
                let range = offset..offset + chunk.len();
                offset = range.end;
                self.slice(range) == chunk
            })
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    /// Length and number of pieces; the contents of messages do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} bytes", self.len())?;
        match self.chunks().count() {
            0 | 1 => f.write_str(")"),
            pieces => write!(f, " in {pieces} pieces)"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;

    fn abc() -> Message {
        Message::from(vec![Bytes::from("ab"), Bytes::new(), Bytes::from("cde"), Bytes::from("f")])
    }

    #[test]
    fn from__single_pieces_are_not_copied() {
        let vector = vec![1u8; 100];
        let address = vector.as_ptr();
        assert_eq!(Message::from(vector).into_bytes().as_ptr(), address);
        let bytes = Bytes::from("x".to_string());
        let message = Message::from(vec![Bytes::new(), bytes.clone()]);
        assert_eq!(message.into_bytes().as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn from__all_sources_have_their_bytes() {
        assert_eq!(Message::from("hi"), b"hi"[..]);
        assert_eq!(Message::from(b"hi"), b"hi"[..]);
        assert_eq!(Message::from(&b"hi"[..]), b"hi"[..]);
        assert_eq!(Message::from(String::from("hi")), b"hi"[..]);
        assert_eq!(Bytes::from(abc()), "abcdef");
        assert!(Message::from(Vec::<Bytes>::new()).is_empty());
        assert_eq!(Message::new().chunks().count(), 0);
    }

    #[test]
    fn eq__compares_bytes_not_pieces() {
        assert_eq!(abc(), Message::from("abcdef"));
        assert_eq!(Message::from("abcdef"), abc());
        assert_ne!(abc(), Message::from("abcdeg"));
        assert_ne!(abc(), Message::from("abcde"));
        assert_ne!(abc(), b"abcdx f"[..]);
    }

    #[test]
    fn debug__is_short() {
        assert_eq!(format!("{:?}", abc()), "Message(6 bytes in 3 pieces)");
        assert_eq!(format!("{:?}", Message::from("secret")), "Message(6 bytes)");
    }

    #[test]
    fn slice__within_one_piece_shares_it() {
        let message = abc();
        let piece = message.chunks().nth(1).unwrap().clone();
        assert_eq!(message.slice(3..5).as_ptr(), piece[1..].as_ptr());
    }

    #[test]
    #[should_panic(expected = "range exceeds the message")]
    fn visit_chunks__beyond_the_end_panics() {
        abc().visit_chunks(3..7, |_, _| {});
    }

    /// A message in random pieces, and its bytes.
    fn scattered() -> impl Strategy<Value = (Message, Vec<u8>)> {
        let pieces = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8);
        pieces.prop_map(|pieces| {
            let flat = pieces.concat();
            (Message::from(pieces.into_iter().map(Bytes::from).collect::<Vec<_>>()), flat)
        })
    }

    proptest! {
        #[test]
        fn message__agrees_with_a_vector(
            (mut message, flat) in scattered(),
            steps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 0..10),
        ) {
            let mut rest = &flat[..];
            for (start, end, by_copy) in steps {
                let (start, end) = (start.index(rest.len() + 1), end.index(rest.len() + 1));
                let range = start.min(end)..start.max(end);
                let mut parts = Vec::new();
                message.visit_chunks(range.clone(), |bytes, part| parts.push(bytes.slice(part)));
                prop_assert_eq!(parts.len(), message.chunk_count(range.clone()));
                prop_assert!(parts.iter().all(|part| !part.is_empty()));
                prop_assert_eq!(&parts.concat()[..], &rest[range.clone()]);
                prop_assert_eq!(&message.slice(range.clone())[..], &rest[range.clone()]);

                let step = range.start;
                if by_copy {
                    prop_assert_eq!(&message.copy_to_bytes(step)[..], &rest[..step]);
                } else {
                    message.advance(step);
                }
                rest = &rest[step..];
                prop_assert_eq!(message.len(), rest.len());
                prop_assert_eq!(&message, rest);
                prop_assert_eq!(message.chunk().is_empty(), rest.is_empty());
            }
            prop_assert_eq!(&message.clone().into_bytes()[..], rest);
            let mut copied = vec![0; rest.len()];
            message.copy_to_slice(&mut copied);
            prop_assert_eq!(&copied[..], rest);
            prop_assert!(message.is_empty());
        }
    }
}
