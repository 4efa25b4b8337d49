//! The bytes of one message while it arrives.

use crate::Message;
use crate::chunk_pool::{CHUNK_LEN, Chunk, ChunkPool};
use bytes::Bytes;
use std::ops::Range;

/// Buffers up to this length are allocated exactly instead of taken from the pool, so that many
/// short messages do not hold a whole chunk each.
const EXACT_LEN_MAX: usize = 16 * 1024;

/// Shortest payload that is worth a chunk of its own: the chunk in which it was received becomes a
/// part of the message, instead of being copied from.
pub(crate) const ADOPTED_LEN_MIN: usize = CHUNK_LEN / 2;

/// An incoming message: whatever has arrived of it so far, in any order.
///
/// Memory grows by the piece as bytes arrive, never by the announced length. The caller gives each
/// byte once; that is how completeness is known.
#[derive(Debug)]
pub(crate) struct Incoming {
    length: u32,
    written: u32,
    /// In the order of the message, none overlapping another.
    pieces: Vec<Piece>,
    /// A message that arrived in one packet.
    whole: Option<Bytes>,
    memory_bytes: usize,
    /// Bytes of the pieces' chunks in which nothing of the message will ever be.
    unused_bytes: usize,
}

/// Some consecutive bytes of a message, of which at least one has arrived.
#[derive(Debug)]
struct Piece {
    start: u32,
    end: u32,
    written: u32,
    storage: Storage,
}

#[derive(Debug)]
enum Storage {
    Pooled(Chunk),
    Exact(Box<[u8]>),
    /// Complete, and shared with a reader or received in place.
    Frozen(Bytes),
}

impl Incoming {
    /// A message of `length` bytes, of which none have arrived.
    pub(crate) const fn new(length: u32) -> Self {
        Self {
            length,
            written: 0,
            pieces: Vec::new(),
            whole: None,
            memory_bytes: 0,
            unused_bytes: 0,
        }
    }

    /// Stores bytes that were not stored before. What exceeds the message's length is ignored.
    pub(crate) fn write(&mut self, pool: &ChunkPool, offset: u32, data: &[u8]) {
        let room = self.length.saturating_sub(offset) as usize;
        let mut data = &data[..data.len().min(room)];
        if data.is_empty() || self.whole.is_some() {
            return;
        }
        if data.len() == self.length as usize && self.pieces.is_empty() {
            self.take_whole(Bytes::copy_from_slice(data), data.len());
            return;
        }
        let mut offset = offset;
        while !data.is_empty() {
            let piece = self.piece_mut(pool, offset);
            let (part, rest) = data.split_at(data.len().min((piece.end - offset) as usize));
            piece.write(offset, part);
            self.written = self.written.saturating_add(part.len() as u32);
            offset += part.len() as u32;
            data = rest;
        }
    }

    /// Like [`write`](Self::write), of bytes that lie in a chunk of their own, which becomes a part
    /// of the message unless it holds too little. Then, and where there is a buffer already, they
    /// are copied.
    pub(crate) fn adopt(&mut self, pool: &ChunkPool, offset: u32, data: Bytes) {
        let end = offset.saturating_add(data.len() as u32);
        if self.whole.is_some() || end > self.length || !self.affords_chunk(data.len()) {
            return self.write(pool, offset, &data);
        }
        if data.len() == self.length as usize && self.pieces.is_empty() {
            return self.take_whole(data, CHUNK_LEN);
        }
        let Some(index) = self.make_way(offset..end) else {
            return self.write(pool, offset, &data);
        };
        let written = data.len() as u32;
        self.written = self.written.saturating_add(written);
        self.insert(index, Piece { start: offset, end, written, storage: Storage::Frozen(data) });
        self.memory_bytes += CHUNK_LEN;
        self.unused_bytes += CHUNK_LEN - written as usize;
    }

    /// The bytes of `range`, or `None` if fewer than `range.end` bytes have arrived at all.
    ///
    /// Complete pieces are shared, others copied.
    pub(crate) fn read(&mut self, range: Range<u32>) -> Option<Message> {
        if range.start > range.end || range.end > self.written {
            return None;
        }
        if let Some(whole) = &self.whole {
            return Some(whole.slice(range.start as usize..range.end as usize).into());
        }
        let mut offset = range.start;
        let mut bytes = Vec::new();
        let first = self.first_ending_after(offset);
        for piece in &mut self.pieces[first..] {
            if offset == range.end {
                break;
            }
            let part = offset..range.end.min(piece.end);
            offset = part.end;
            bytes.push(piece.read(part)?);
        }
        (offset == range.end).then(|| bytes.into())
    }

    /// Whether every byte has arrived.
    pub(crate) fn is_complete(&self) -> bool {
        self.written >= self.length
    }

    /// The complete message, or `None` if bytes are missing.
    pub(crate) fn into_message(self) -> Option<Message> {
        if !self.is_complete() {
            return None;
        }
        if let Some(whole) = self.whole {
            return Some(whole.into());
        }
        let pieces: Vec<_> = self.pieces.into_iter().map(Piece::freeze).collect();
        Some(pieces.into())
    }

    /// Bytes of memory held.
    pub(crate) const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    fn take_whole(&mut self, data: Bytes, memory_bytes: usize) {
        self.whole = Some(data);
        self.written = self.length;
        self.memory_bytes = memory_bytes;
    }

    /// The piece in which the byte at `offset` belongs.
    fn piece_mut(&mut self, pool: &ChunkPool, offset: u32) -> &mut Piece {
        let index = self.first_ending_after(offset);
        let next_start = self.pieces.get(index).map_or(self.length, |next| next.start);
        if next_start > offset || index == self.pieces.len() {
            // Of the gap only what lies in the same chunk of the message as the byte: so the protocol
            // charges it.
            let gap_start = index.checked_sub(1).map_or(0, |before| self.pieces[before].end);
            let chunk_start = offset - offset % CHUNK_LEN as u32;
            let start = chunk_start.max(gap_start);
            let end = chunk_start.saturating_add(CHUNK_LEN as u32).min(next_start);
            let storage = self.storage(pool, (end - start) as usize);
            self.insert(index, Piece { start, end, written: 0, storage });
        }
        &mut self.pieces[index]
    }

    fn storage(&mut self, pool: &ChunkPool, len: usize) -> Storage {
        if len <= EXACT_LEN_MAX || !self.affords_chunk(len) {
            self.memory_bytes += len;
            return Storage::Exact(vec![0; len].into());
        }
        self.memory_bytes += CHUNK_LEN;
        self.unused_bytes += CHUNK_LEN - len;
        Storage::Pooled(pool.take())
    }

    /// Where a piece of `range` comes among the others, if it can. A buffer into which it reaches is
    /// cut off before it: one that was made for more packets like the last, when another kind came.
    fn make_way(&mut self, range: Range<u32>) -> Option<usize> {
        let first = self.first_ending_after(range.start);
        let cuts = self.pieces.get(first).is_some_and(|piece| {
            piece.start < range.start && piece.end <= range.end && !piece.is_complete()
        });
        let index = first + usize::from(cuts);
        if self.pieces.get(index).is_some_and(|next| next.start < range.end) {
            return None;
        }
        if cuts {
            let piece = &mut self.pieces[first];
            let held = piece.storage.memory_bytes();
            self.unused_bytes -= held - piece.len();
            piece.cut(range.start);
            self.memory_bytes -= held - piece.len();
        }
        Some(index)
    }

    fn insert(&mut self, index: usize, piece: Piece) {
        let before = self.pieces.capacity();
        self.pieces.insert(index, piece);
        self.memory_bytes += (self.pieces.capacity() - before) * size_of::<Piece>();
    }

    fn first_ending_after(&self, offset: u32) -> usize {
        // Most often packets come in order.
        match self.pieces.last() {
            Some(last) if last.end > offset => {
                self.pieces.partition_point(|piece| piece.end <= offset)
            }
            _ => self.pieces.len(),
        }
    }

    /// Whether `len` bytes may have a chunk to themselves. The protocol charges the end of a message
    /// with a whole chunk if it is longer than [`EXACT_LEN_MAX`], and so much may remain unused; and
    /// a little more, since datagrams are slightly shorter than chunks.
    fn affords_chunk(&self, len: usize) -> bool {
        let length = self.length as usize;
        let tail = length % CHUNK_LEN;
        let charged_unused = if tail > EXACT_LEN_MAX { CHUNK_LEN - tail } else { 0 };
        self.unused_bytes + CHUNK_LEN - len <= charged_unused + length / 256
    }
}

impl Piece {
    fn write(&mut self, offset: u32, data: &[u8]) {
        let storage = match &mut self.storage {
            Storage::Pooled(chunk) => chunk.buffer_mut(),
            Storage::Exact(bytes) => bytes,
            // Complete already: bytes that were delivered are never rewritten.
            Storage::Frozen(_) => return,
        };
        storage[(offset - self.start) as usize..][..data.len()].copy_from_slice(data);
        self.written += data.len() as u32;
    }

    /// Gives up the part from `end` on, of which nothing has arrived.
    fn cut(&mut self, end: u32) {
        self.end = end;
        self.storage = Storage::Exact(self.storage.bytes()[..self.len()].into());
    }

    /// Makes a complete piece shareable, and shares or copies the bytes. `None` if they begin before
    /// the piece.
    fn read(&mut self, range: Range<u32>) -> Option<Bytes> {
        if self.is_complete() {
            let storage = std::mem::replace(&mut self.storage, Storage::Frozen(Bytes::new()));
            self.storage = Storage::Frozen(storage.freeze(self.len()));
        }
        let start = range.start.checked_sub(self.start)? as usize;
        let range = start..start + range.len();
        Some(match &self.storage {
            Storage::Frozen(bytes) => bytes.slice(range),
            storage => Bytes::copy_from_slice(&storage.bytes()[range]),
        })
    }

    fn freeze(self) -> Bytes {
        let len = self.len();
        self.storage.freeze(len)
    }

    fn is_complete(&self) -> bool {
        self.written as usize >= self.len()
    }

    fn len(&self) -> usize {
        (self.end - self.start) as usize
    }
}

impl Storage {
    fn freeze(self, len: usize) -> Bytes {
        match self {
            Self::Pooled(chunk) => chunk.freeze(0..len),
            Self::Exact(bytes) => bytes.into(),
            Self::Frozen(bytes) => bytes,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Pooled(chunk) => chunk.buffer(),
            Self::Exact(bytes) => bytes,
            Self::Frozen(bytes) => bytes,
        }
    }

    fn memory_bytes(&self) -> usize {
        self.bytes().len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n % 251) as u8 ^ (n >> 13) as u8).collect()
    }

    #[test]
    fn write__a_message_of_one_packet_is_one_exact_piece() {
        let pool = ChunkPool::new(1);
        let mut incoming = Incoming::new(5);
        incoming.write(&pool, 0, b"hello");
        assert_eq!(incoming.memory_bytes(), 5);
        assert_eq!(incoming.read(1..3).unwrap(), b"el"[..]);
        let message = incoming.into_message().unwrap();
        assert_eq!((message.len(), message.chunks().count()), (5, 1));
    }

    #[test]
    fn write__memory_follows_what_arrives_not_what_is_announced() {
        let pool = ChunkPool::new(1);
        let mut incoming = Incoming::new(64 << 20);
        incoming.write(&pool, 0, &[1; 1000]);
        assert!(incoming.memory_bytes() < CHUNK_LEN + 1000);
        incoming.write(&pool, (64 << 20) - 1, &[1]);
        assert!(incoming.memory_bytes() < 3 * CHUNK_LEN, "{}", incoming.memory_bytes());
        incoming.write(&pool, 1000, &[1; CHUNK_LEN]);
        assert!(incoming.memory_bytes() < 4 * CHUNK_LEN);
    }

    #[test]
    fn write__beyond_the_announced_length_is_ignored() {
        let pool = ChunkPool::new(1);
        let mut incoming = Incoming::new(10);
        incoming.write(&pool, 8, b"abcdef");
        incoming.write(&pool, 10, b"x");
        incoming.write(&pool, u32::MAX, b"x");
        incoming.write(&pool, 0, b"01234567");
        assert_eq!(incoming.into_message().unwrap(), b"01234567ab"[..]);
    }

    #[test]
    fn into_message__of_an_incomplete_message_is_none() {
        let pool = ChunkPool::new(2);
        let mut incoming = Incoming::new(100_000);
        incoming.write(&pool, 0, &[7; 99_999]);
        assert!(incoming.into_message().is_none());
        assert!(Incoming::new(1).into_message().is_none());
    }

    #[test]
    fn read__of_bytes_that_have_not_arrived_is_none() {
        let pool = ChunkPool::new(2);
        let mut incoming = Incoming::new(200_000);
        incoming.write(&pool, 0, &[7; 10]);
        assert!(incoming.read(0..11).is_none());
        assert!(incoming.read(Range { start: 5, end: 4 }).is_none());
        assert_eq!(incoming.read(2..10).unwrap(), [7; 8][..]);
        assert!(incoming.read(3..3).unwrap().is_empty());
    }

    #[test]
    fn read__shares_complete_buffers_with_the_message() {
        let pool = ChunkPool::new(4);
        let data = pattern(2 * CHUNK_LEN + 20_000);
        let mut incoming = Incoming::new(data.len() as u32);
        incoming.write(&pool, 0, &data[..CHUNK_LEN + 10]);
        let read = incoming.read(100..CHUNK_LEN as u32 + 10).unwrap();
        assert_eq!(read, data[100..CHUNK_LEN + 10]);
        incoming.write(&pool, CHUNK_LEN as u32 + 10, &data[CHUNK_LEN + 10..]);
        let message = incoming.into_message().unwrap();
        assert_eq!(message, data);
        assert_eq!(message.slice(100..110).as_ptr(), read.slice(0..10).as_ptr());
        drop((read, message));
        assert_eq!(pool.retained_bytes(), 3 * CHUNK_LEN);
    }

    /// Reused chunks hold bytes of other messages: they must not show.
    #[test]
    fn write__over_a_used_chunk_shows_only_this_message() {
        let pool = ChunkPool::new(1);
        let mut first = Incoming::new(20_000);
        first.write(&pool, 0, &[0xAA; 10_000]);
        first.write(&pool, 10_000, &[0xAA; 10_000]);
        drop(first.into_message());
        assert_eq!(pool.retained_bytes(), CHUNK_LEN);
        let mut second = Incoming::new(17_000);
        second.write(&pool, 500, &[0x55; 16_500]);
        assert!(second.read(0..16_501).is_none());
        second.write(&pool, 0, &[0x55; 500]);
        assert_eq!(second.into_message().unwrap(), vec![0x55; 17_000]);
    }

    /// Bytes as a driver of packets gives them away: in a chunk, behind a header.
    fn received(pool: &ChunkPool, data: &[u8]) -> Bytes {
        let mut chunk = pool.take();
        let place = 56..56 + data.len();
        chunk.buffer_mut()[place.clone()].copy_from_slice(data);
        chunk.freeze(place)
    }

    /// The packets of a message over loopback: 40,000 bytes without grants, then as many as fit.
    fn loopback_packets(length: usize) -> Vec<Range<usize>> {
        let starts = std::iter::once(0).chain((40_000..length).step_by(65_451));
        starts
            .map(|start| start..length.min(if start == 0 { 40_000 } else { start + 65_451 }))
            .collect()
    }

    #[test]
    fn adopt__messages_over_loopback_without_a_copy() {
        for length in [40_000, 100_000, 1_000_000, 10_000_000, 64 << 20] {
            let (pool, data) = (ChunkPool::new(1), pattern(length));
            let mut incoming = Incoming::new(length as u32);
            let packets = loopback_packets(length);
            for range in &packets {
                let packet = received(&pool, &data[range.clone()]);
                let address = packet.as_ptr();
                incoming.adopt(&pool, range.start as u32, packet);
                let stored = incoming.read(range.start as u32..range.end as u32).unwrap();
                let is_adopted = stored.into_bytes().as_ptr() == address;
                assert_eq!(is_adopted, range.len() >= ADOPTED_LEN_MIN, "{range:?} of {length}");
            }
            assert_eq!(incoming.into_message().unwrap(), data);
        }
    }

    #[test]
    fn adopt__copies_what_would_leave_too_much_unused() {
        let (pool, data) = (ChunkPool::new(4), pattern(80_000));
        let mut incoming = Incoming::new(80_000);
        incoming.adopt(&pool, 0, received(&pool, &data[..40_000]));
        incoming.adopt(&pool, 40_000, received(&pool, &data[40_000..]));
        assert!(incoming.memory_bytes() < 81_000, "{}", incoming.memory_bytes());
        assert_eq!(incoming.into_message().unwrap(), data);
    }

    /// Short packets and long ones, as when an announcement carries the first bytes of a message.
    #[test]
    fn adopt__behind_a_short_packet() {
        let (pool, data) = (ChunkPool::new(4), pattern(131_000));
        let mut incoming = Incoming::new(131_000);
        incoming.write(&pool, 0, &data[..200]);
        incoming.write(&pool, 200, &data[200..400]);
        incoming.adopt(&pool, 400, received(&pool, &data[400..65_800]));
        assert!(incoming.memory_bytes() < CHUNK_LEN + 1_000, "{}", incoming.memory_bytes());
        incoming.adopt(&pool, 65_800, received(&pool, &data[65_800..]));
        let message = incoming.into_message().unwrap();
        assert_eq!((message.chunks().count(), message == data), (3, true));
    }

    /// A buffer is cut off only for a payload that is adopted then: what is held never becomes less.
    #[test]
    fn adopt__reaching_into_two_buffers_copies() {
        let (pool, data) = (ChunkPool::new(4), pattern(140_000));
        let mut incoming = Incoming::new(140_000);
        incoming.write(&pool, 0, &data[..10_000]);
        incoming.write(&pool, 100_000, &data[100_000..]);
        let held = incoming.memory_bytes();
        incoming.adopt(&pool, 10_000, received(&pool, &data[10_000..75_000]));
        assert_eq!(incoming.memory_bytes(), held);
        incoming.write(&pool, 75_000, &data[75_000..100_000]);
        assert_eq!(incoming.into_message().unwrap(), data);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn incoming__any_order_gives_the_same_message(
            length in prop_oneof![1usize..5_000, 1usize..300_000],
            cuts in prop_oneof![
                prop::collection::vec(any::<prop::sample::Index>(), 0..6),
                prop::collection::vec(any::<prop::sample::Index>(), 0..40),
            ],
            order in any::<u64>(),
            adopted in any::<u64>(),
            reads in any::<bool>(),
        ) {
            let data = pattern(length);
            let mut bounds: Vec<_> = cuts.iter().map(|cut| cut.index(length)).collect();
            bounds.extend([0, length]);
            bounds.sort_unstable();
            bounds.dedup();
            let mut fragments: Vec<_> = bounds.windows(2).map(|pair| pair[0]..pair[1]).collect();
            fragments.sort_by_key(|range| (range.start as u64 + 1).wrapping_mul(order | 1));

            let pool = ChunkPool::new(8);
            let mut incoming = Incoming::new(length as u32);
            let mut arrived = vec![false; length];
            for (index, range) in fragments.into_iter().enumerate() {
                prop_assert!(!incoming.is_complete());
                let (offset, fragment) = (range.start as u32, &data[range.clone()]);
                let held = incoming.memory_bytes();
                if adopted >> index & 1 == 1 && fragment.len() <= CHUNK_LEN - 56 {
                    incoming.adopt(&pool, offset, received(&pool, fragment));
                } else {
                    incoming.write(&pool, offset, fragment);
                }
                let table = incoming.pieces.capacity() * size_of::<Piece>();
                let tail = length % CHUNK_LEN;
                let charged = length - tail + if tail > EXACT_LEN_MAX { CHUNK_LEN } else { tail };
                prop_assert!(incoming.memory_bytes() <= charged + length / 256 + table);
                prop_assert!(incoming.memory_bytes() >= held, "the store counts upwards");
                if incoming.whole.is_none() {
                    let taken: usize = incoming.pieces.iter().map(Piece::len).sum();
                    prop_assert_eq!(incoming.memory_bytes(), taken + incoming.unused_bytes + table);
                }
                arrived[range].fill(true);
                if reads {
                    let prefix = arrived.iter().position(|here| !here).unwrap_or(length);
                    let from = prefix / 3;
                    let read = incoming.read(from as u32..prefix as u32).unwrap();
                    prop_assert_eq!(&read, &data[from..prefix]);
                }
            }
            prop_assert!(incoming.is_complete());
            let message = incoming.into_message().unwrap();
            prop_assert_eq!(&message, &data);
            drop(message);
            prop_assert_eq!(pool.existing_bytes(), pool.retained_bytes());
        }
    }
}
