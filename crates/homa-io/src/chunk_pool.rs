//! Reusable buffers for long messages.

use bytes::Bytes;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Length of a chunk in bytes.
///
/// Large enough that a message of a megabyte is 16 pieces, small enough that the first packet of a
/// message that never continues costs little.
pub const CHUNK_LEN: usize = 64 * 1024;

/// A bounded stock of free chunks, shared by a message store and by all the messages it handed out.
///
/// Fresh memory costs a page fault per 4 KiB, which for long messages is more than half the cost of
/// receiving them; so chunks come back here when the application drops the message, in whatever
/// thread that happens. Chunks are reused without being cleared: nobody may look at bytes that he
/// has not written.
#[derive(Clone)]
pub struct ChunkPool {
    stock: Arc<Stock>,
}

struct Stock {
    /// The one that came back last is used first: it may be in a cache still.
    free: Mutex<Vec<Box<[u8]>>>,
    free_max: usize,
    /// Chunks in existence: free ones, those in stores, and those in messages of the application.
    existing: AtomicUsize,
    /// The most that ever existed.
    existed: AtomicUsize,
}

/// One chunk, which goes back to its pool when dropped.
pub(crate) struct Chunk {
    buffer: Box<[u8]>,
    pool: ChunkPool,
}

/// Some bytes of a chunk, as the owner behind a `Bytes`.
struct FilledChunk {
    chunk: Chunk,
    range: Range<usize>,
}

impl ChunkPool {
    /// A pool that keeps at most `retained_chunks_max` free chunks (at least 1) of [`CHUNK_LEN`]
    /// bytes; more than that go back to the operating system.
    #[must_use]
    pub fn new(retained_chunks_max: usize) -> Self {
        let stock = Stock {
            free: Mutex::default(),
            free_max: retained_chunks_max.max(1),
            existing: AtomicUsize::new(0),
            existed: AtomicUsize::new(0),
        };
        Self { stock: Arc::new(stock) }
    }

    /// A chunk with arbitrary contents.
    pub(crate) fn take(&self) -> Chunk {
        let free = self.stock.free().pop();
        let buffer = free.unwrap_or_else(|| self.allocate());
        Chunk { buffer, pool: self.clone() }
    }

    /// Makes a chunk of `buffer`, which has the length of one, and puts another in its place.
    pub(crate) fn exchange(&self, buffer: &mut Box<[u8]>) -> Chunk {
        let mut chunk = self.take();
        std::mem::swap(&mut chunk.buffer, buffer);
        chunk
    }

    /// Bytes held by free chunks.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        self.stock.free().len() * CHUNK_LEN
    }

    /// Bytes of all chunks in existence: free, in the store, and in messages that the application
    /// holds.
    #[must_use]
    pub fn existing_bytes(&self) -> usize {
        self.stock.existing.load(Ordering::Relaxed) * CHUNK_LEN
    }

    /// The most that [`existing_bytes`](Self::existing_bytes) ever was.
    #[must_use]
    pub fn existed_bytes(&self) -> usize {
        self.stock.existed.load(Ordering::Relaxed) * CHUNK_LEN
    }

    fn allocate(&self) -> Box<[u8]> {
        let existing = self.stock.existing.fetch_add(1, Ordering::Relaxed) + 1;
        self.stock.existed.fetch_max(existing, Ordering::Relaxed);
        vec![0; CHUNK_LEN].into_boxed_slice()
    }
}

impl Stock {
    fn free(&self) -> MutexGuard<'_, Vec<Box<[u8]>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a buffer for later, or hands it back if there are enough.
    fn keep(&self, buffer: Box<[u8]>) -> Option<Box<[u8]>> {
        let mut free = self.free();
        if free.len() >= self.free_max {
            return Some(buffer);
        }
        free.push(buffer);
        None
    }
}

impl Chunk {
    pub(crate) fn buffer_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    pub(crate) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// The bytes of `range`, all of which the caller has written. The chunk goes back to its pool
    /// when the last reference to them is dropped.
    pub(crate) fn freeze(self, range: Range<usize>) -> Bytes {
        Bytes::from_owner(FilledChunk { chunk: self, range })
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // What the pool does not keep is freed, without its lock.
        if let Some(_buffer) = self.pool.stock.keep(std::mem::take(&mut self.buffer)) {
            self.pool.stock.existing.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl AsRef<[u8]> for FilledChunk {
    fn as_ref(&self) -> &[u8] {
        &self.chunk.buffer[self.range.clone()]
    }
}

impl fmt::Debug for ChunkPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkPool({} of {} free)", self.stock.free().len(), self.stock.free_max)
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chunk")
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn take__reuses_chunks_dropped_in_another_thread() {
        let pool = ChunkPool::new(4);
        let mut chunk = pool.take();
        chunk.buffer_mut()[..5].copy_from_slice(b"hello");
        let address = chunk.buffer().as_ptr();
        let bytes = chunk.freeze(0..5);
        assert_eq!(bytes, "hello");
        let part = bytes.slice(1..3);
        std::thread::spawn(move || drop(bytes)).join().unwrap();
        assert_eq!(pool.retained_bytes(), 0, "a part is still in use");
        std::thread::spawn(move || drop(part)).join().unwrap();
        assert_eq!(pool.retained_bytes(), CHUNK_LEN);
        assert_eq!(pool.take().buffer().as_ptr(), address);
    }

    #[test]
    fn exchange__makes_a_chunk_of_any_buffer_and_leaves_another() {
        let pool = ChunkPool::new(4);
        let mut buffer = vec![7; CHUNK_LEN].into_boxed_slice();
        let address = buffer.as_ptr();
        let bytes = pool.exchange(&mut buffer).freeze(10..20);
        assert_eq!((&bytes[..], bytes.as_ptr()), (&[7; 10][..], address.wrapping_add(10)));
        assert_eq!((buffer.len(), pool.existing_bytes()), (CHUNK_LEN, CHUNK_LEN));
        drop(bytes);
        assert_eq!(pool.take().buffer().as_ptr(), address);
    }

    #[test]
    fn take__prefers_what_came_back_last() {
        let pool = ChunkPool::new(4);
        let (first, second) = (pool.take(), pool.take());
        let address = second.buffer().as_ptr();
        drop(first);
        drop(second);
        assert_eq!(pool.take().buffer().as_ptr(), address);
    }

    #[test]
    fn drop__keeps_no_more_than_the_limit() {
        let pool = ChunkPool::new(2);
        let chunks: Vec<_> = (0..5).map(|_| pool.take()).collect();
        drop(chunks);
        assert_eq!(pool.retained_bytes(), 2 * CHUNK_LEN);
        assert_eq!(format!("{pool:?}"), "ChunkPool(2 of 2 free)");
    }
}
