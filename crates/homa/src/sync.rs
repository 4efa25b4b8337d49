//! What threads hand over to each other with: the standard library's locks, atomics and threads, or,
//! compiled with `--cfg shuttle`, those of a model checker, which tries many interleavings
//! (`cargo xtask model`, `model.rs`).

#[cfg(not(shuttle))]
pub(crate) use homa_io::wait;
#[cfg(not(shuttle))]
pub(crate) use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread, thread_local,
};

#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread, thread_local,
};

/// [`homa_io::wait`] as the model checker needs it: all threads are one to the system, so that nobody
/// may really sleep. Times that are near are over at any moment, others never.
#[cfg(shuttle)]
pub(crate) fn wait(
    io: Option<std::os::fd::RawFd>,
    want_room: bool,
    bell: &homa_io::Bell,
    timeout: Option<std::time::Duration>,
) -> homa_io::Woken {
    use shuttle::rand::{Rng, thread_rng};
    use std::time::Duration;
    loop {
        let woken = homa_io::wait(io, want_room, bell, Some(Duration::ZERO));
        let near = timeout.is_some_and(|timeout| timeout < Duration::from_secs(60));
        if woken != homa_io::Woken::default() || near && thread_rng().gen_range(0..4) == 0 {
            return woken;
        }
        thread::yield_now();
    }
}
