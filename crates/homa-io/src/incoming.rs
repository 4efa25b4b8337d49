//! The bytes of one message while it arrives.

use crate::Message;
use crate::chunk_pool::{CHUNK_LEN, Chunk, ChunkPool};
use bytes::Bytes;
use std::ops::Range;

/// Buffers up to this length are allocated exactly instead of taken from the pool, so that many
/// short messages do not hold a whole chunk each.
const EXACT_LEN_MAX: usize = 16 * 1024;

/// An incoming message: whatever has arrived of it so far, in any order.
///
/// Memory grows by the buffer as bytes arrive, never by the announced length. The caller writes
/// each byte once; that is how completeness is known.
#[derive(Debug)]
pub(crate) struct Incoming {
    length: u32,
    written: u32,
    /// One per [`CHUNK_LEN`] bytes, up to the last that holds anything. Entries for nothing cost a
    /// small part of the buffer that made the table grow.
    buffers: Vec<Option<Buffer>>,
    /// A message that arrived in one packet.
    whole: Option<Bytes>,
    memory_bytes: usize,
}

/// What has arrived of one span of [`CHUNK_LEN`] bytes (or less, at the end of the message).
#[derive(Debug)]
struct Buffer {
    storage: Storage,
    written: usize,
}

#[derive(Debug)]
enum Storage {
    Pooled(Chunk),
    Exact(Box<[u8]>),
    /// Complete, and shared with a reader.
    Frozen(Bytes),
}

impl Incoming {
    /// A message of `length` bytes, of which none have arrived.
    pub(crate) const fn new(length: u32) -> Self {
        Self { length, written: 0, buffers: Vec::new(), whole: None, memory_bytes: 0 }
    }

    /// Stores bytes that were not stored before. What exceeds the message's length is ignored.
    pub(crate) fn write(&mut self, pool: &ChunkPool, offset: u32, data: &[u8]) {
        let room = self.length.saturating_sub(offset) as usize;
        let mut data = &data[..data.len().min(room)];
        if data.is_empty() || self.whole.is_some() {
            return;
        }
        if data.len() == self.length as usize && self.buffers.is_empty() {
            self.whole = Some(Bytes::copy_from_slice(data));
            self.written = self.length;
            self.memory_bytes = data.len();
            return;
        }
        let mut offset = offset as usize;
        while !data.is_empty() {
            let start = offset % CHUNK_LEN;
            let (part, rest) = data.split_at(data.len().min(CHUNK_LEN - start));
            self.buffer_mut(pool, offset / CHUNK_LEN).write(start, part);
            self.written = self.written.saturating_add(part.len() as u32);
            offset += part.len();
            data = rest;
        }
    }

    /// The bytes of `range`, or `None` if fewer than `range.end` bytes have arrived at all.
    ///
    /// Spans whose buffer is complete are shared, others copied.
    pub(crate) fn read(&mut self, range: Range<u32>) -> Option<Message> {
        if range.start > range.end || range.end > self.written {
            return None;
        }
        if let Some(whole) = &self.whole {
            return Some(whole.slice(range.start as usize..range.end as usize).into());
        }
        let mut pieces = Vec::new();
        let (mut offset, end) = (range.start as usize, range.end as usize);
        while offset < end {
            let index = offset / CHUNK_LEN;
            let start = offset % CHUNK_LEN;
            let part = start..(start + end - offset).min(CHUNK_LEN);
            offset += part.len();
            let len = self.span_len(index);
            let buffer = self.buffers.get_mut(index)?.as_mut()?;
            pieces.push(buffer.read(part, len));
        }
        Some(pieces.into())
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
        let length = self.length as usize;
        let mut pieces = Vec::with_capacity(self.buffers.len());
        for (index, buffer) in self.buffers.into_iter().enumerate() {
            pieces.push(buffer?.freeze((length - index * CHUNK_LEN).min(CHUNK_LEN)));
        }
        Some(pieces.into())
    }

    /// Bytes of memory held.
    pub(crate) const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    fn buffer_mut(&mut self, pool: &ChunkPool, index: usize) -> &mut Buffer {
        if index >= self.buffers.len() {
            let before = self.buffers.capacity();
            self.buffers.resize_with(index + 1, || None);
            let more = self.buffers.capacity() - before;
            self.memory_bytes += more * size_of::<Option<Buffer>>();
        }
        let len = self.span_len(index);
        self.buffers[index].get_or_insert_with(|| {
            let buffer = Buffer::new(pool, len);
            self.memory_bytes += buffer.memory_bytes();
            buffer
        })
    }

    /// How many of the message's bytes belong into buffer `index`.
    fn span_len(&self, index: usize) -> usize {
        (self.length as usize - index * CHUNK_LEN).min(CHUNK_LEN)
    }
}

impl Buffer {
    fn new(pool: &ChunkPool, len: usize) -> Self {
        let storage = if len <= EXACT_LEN_MAX {
            Storage::Exact(vec![0; len].into_boxed_slice())
        } else {
            Storage::Pooled(pool.take())
        };
        Self { storage, written: 0 }
    }

    fn write(&mut self, start: usize, data: &[u8]) {
        let storage = match &mut self.storage {
            Storage::Pooled(chunk) => chunk.buffer_mut(),
            Storage::Exact(bytes) => bytes,
            // Complete already: bytes that were delivered are never rewritten.
            Storage::Frozen(_) => return,
        };
        storage[start..start + data.len()].copy_from_slice(data);
        self.written += data.len();
    }

    fn read(&mut self, range: Range<usize>, len: usize) -> Bytes {
        if self.written >= len {
            self.share(len);
        }
        match &self.storage {
            Storage::Pooled(chunk) => Bytes::copy_from_slice(&chunk.buffer()[range]),
            Storage::Exact(bytes) => Bytes::copy_from_slice(&bytes[range]),
            Storage::Frozen(bytes) => bytes.slice(range),
        }
    }

    /// Makes a complete buffer shareable.
    fn share(&mut self, len: usize) {
        let storage = std::mem::replace(&mut self.storage, Storage::Frozen(Bytes::new()));
        self.storage = Storage::Frozen(storage.freeze(len));
    }

    fn freeze(self, len: usize) -> Bytes {
        self.storage.freeze(len)
    }

    fn memory_bytes(&self) -> usize {
        match &self.storage {
            Storage::Pooled(_) => CHUNK_LEN,
            Storage::Exact(bytes) => bytes.len(),
            Storage::Frozen(bytes) => bytes.len(),
        }
    }
}

impl Storage {
    fn freeze(self, len: usize) -> Bytes {
        match self {
            Self::Pooled(chunk) => chunk.freeze(len),
            Self::Exact(bytes) => bytes.into(),
            Self::Frozen(bytes) => bytes,
        }
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn incoming__any_order_gives_the_same_message(
            length in prop_oneof![1usize..5_000, 1usize..300_000],
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
            order in any::<u64>(),
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
            for range in fragments {
                prop_assert!(!incoming.is_complete());
                incoming.write(&pool, range.start as u32, &data[range.clone()]);
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
        }
    }
}
