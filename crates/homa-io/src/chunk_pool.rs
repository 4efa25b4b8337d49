//! Reusable buffers for long messages.

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    free: ArrayQueue<Box<[u8]>>,
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

/// The first bytes of a chunk, as the owner behind a `Bytes`.
struct FilledChunk {
    chunk: Chunk,
    len: usize,
}

impl ChunkPool {
    /// A pool that keeps at most `retained_chunks_max` free chunks (at least 1) of [`CHUNK_LEN`]
    /// bytes; more than that go back to the operating system.
    #[must_use]
    pub fn new(retained_chunks_max: usize) -> Self {
        let stock = Stock {
            free: ArrayQueue::new(retained_chunks_max.max(1)),
            existing: AtomicUsize::new(0),
            existed: AtomicUsize::new(0),
        };
        Self { stock: Arc::new(stock) }
    }

    /// A chunk with arbitrary contents.
    pub(crate) fn take(&self) -> Chunk {
        let buffer = self.stock.free.pop().unwrap_or_else(|| self.allocate());
        Chunk { buffer, pool: self.clone() }
    }

    /// Bytes held by free chunks.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        self.stock.free.len() * CHUNK_LEN
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

impl Chunk {
    pub(crate) fn buffer_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    pub(crate) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// The first `len` bytes, all of which the caller has written. The chunk goes back to its pool
    /// when the last reference to them is dropped.
    pub(crate) fn freeze(self, len: usize) -> Bytes {
        Bytes::from_owner(FilledChunk { chunk: self, len })
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // A full pool hands the buffer back, and it is freed.
        let stock = &self.pool.stock;
        if stock.free.push(std::mem::take(&mut self.buffer)).is_err() {
            stock.existing.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl AsRef<[u8]> for FilledChunk {
    fn as_ref(&self) -> &[u8] {
        &self.chunk.buffer[..self.len]
    }
}

impl fmt::Debug for ChunkPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkPool({} of {} free)", self.stock.free.len(), self.stock.free.capacity())
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
        let bytes = chunk.freeze(5);
        assert_eq!(bytes, "hello");
        let part = bytes.slice(1..3);
        std::thread::spawn(move || drop(bytes)).join().unwrap();
        assert_eq!(pool.retained_bytes(), 0, "a part is still in use");
        std::thread::spawn(move || drop(part)).join().unwrap();
        assert_eq!(pool.retained_bytes(), CHUNK_LEN);
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
