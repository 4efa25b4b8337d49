//! An allocator that fails when told to, on the thread that told it, and only inside [`starving`].

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Which of the allocations inside [`starving`] fail, counted from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// None.
    Never,
    /// All.
    Always,
    /// Those from `first` on, so many.
    Run { first: u64, count: u64 },
    /// Each with this chance in 1000, by a generator with this state.
    Chance { permille: u32, state: u64 },
}

thread_local! {
    static PLAN: Cell<Plan> = const { Cell::new(Plan::Never) };
    static ASKED: Cell<u64> = const { Cell::new(0) };
    static REFUSED: Cell<u64> = const { Cell::new(0) };
    static STARVING: Cell<bool> = const { Cell::new(false) };
}

/// Follows `plan` from now on, and counts from 0.
pub(crate) fn follow(plan: Plan) {
    PLAN.set(plan);
    ASKED.set(0);
    REFUSED.set(0);
}

/// Allocations that were asked for inside [`starving`], and those that failed.
pub(crate) fn counts() -> (u64, u64) {
    (ASKED.get(), REFUSED.get())
}

/// Runs code whose allocations may fail.
pub(crate) fn starving<T>(code: impl FnOnce() -> T) -> T {
    STARVING.set(true);
    let result = code();
    STARVING.set(false);
    result
}

fn fails() -> bool {
    // What panics needs memory to say why.
    if !STARVING.get() || std::thread::panicking() {
        return false;
    }
    let number = ASKED.replace(ASKED.get() + 1);
    let fails = match PLAN.get() {
        Plan::Never => false,
        Plan::Always => true,
        Plan::Run { first, count } => number >= first && number - first < count,
        Plan::Chance { permille, mut state } => {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            PLAN.set(Plan::Chance { permille, state });
            state % 1000 < u64::from(permille)
        }
    };
    REFUSED.set(REFUSED.get() + u64::from(fails));
    fails
}

struct Failing;

#[global_allocator]
static ALLOCATOR: Failing = Failing;

// SAFETY: every method hands its arguments on to the system's allocator as they are, or fails by
// returning null, which each may; none panics or allocates itself (the thread-locals are plain cells,
// made without an initializer or destructor).
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is from the system's allocator, with this layout, as the caller warrants.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // Who asks for less gets it.
        if bytes > layout.size() && fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: as for `alloc` and `dealloc`; after a failure above the block is untouched.
        unsafe { System.realloc(block, layout, bytes) }
    }
}
