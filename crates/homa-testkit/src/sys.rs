//! An allocator that counts, for programs that say how much memory something takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts the bytes that all threads have asked for and not given back.
///
/// It counts what was asked for: what the allocator itself adds to each block is not in it, nor are stacks,
/// code, and what the kernel holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

impl CountingAllocator {
    /// Bytes that are allocated now.
    #[must_use]
    pub fn live_bytes() -> usize {
        LIVE.load(Ordering::Relaxed)
    }
}

// SAFETY: every method hands its arguments on to the system's allocator as they are; counting neither panics
// nor allocates.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for `alloc`.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is from the system's allocator, with this layout, as the caller warrants.
        unsafe { System.dealloc(block, layout) };
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as for `dealloc`; after a failure the block is untouched.
        let moved = unsafe { System.realloc(block, layout, bytes) };
        if !moved.is_null() {
            LIVE.fetch_add(bytes, Ordering::Relaxed);
            LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    /// Called by hand, as no test of this crate allocates by it.
    #[test]
    fn live_bytes__follow_every_method() {
        let small = Layout::from_size_align(100, 8).expect("a layout");
        let large = Layout::from_size_align(300, 8).expect("a layout");
        // SAFETY: sizes are not 0, and each block is given back once, with the layout that it has then.
        unsafe {
            let block = CountingAllocator.alloc(small);
            assert_eq!(CountingAllocator::live_bytes(), 100);
            let block = CountingAllocator.realloc(block, small, 300);
            assert_eq!(CountingAllocator::live_bytes(), 300);
            let zeroed = CountingAllocator.alloc_zeroed(small);
            assert_eq!(CountingAllocator::live_bytes(), 400);
            CountingAllocator.dealloc(block, large);
            CountingAllocator.dealloc(zeroed, small);
        }
        assert_eq!(CountingAllocator::live_bytes(), 0);
    }
}
