//! Several descriptors as one that becomes readable when any of them has something.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A set of descriptors; its own descriptor is readable while one of them is ready.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    /// An empty set.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers; the result is checked before it is used.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        super::checked(fd as libc::ssize_t)?;
        // SAFETY: the descriptor was just opened and nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Adds a descriptor: it counts as ready when something can be received, or was reported.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, false)
    }

    /// Whether the descriptor counts as ready, too, when something can be sent.
    pub(crate) fn set_wants_room(&self, fd: BorrowedFd<'_>, wanted: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, wanted)
    }

    fn control(&self, verb: libc::c_int, fd: BorrowedFd<'_>, room: bool) -> io::Result<()> {
        let room = if room { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | room) as u32, u64: 0 };
        // SAFETY: `event` is a live local, which the kernel only reads.
        let result =
            unsafe { libc::epoll_ctl(self.0.as_raw_fd(), verb, fd.as_raw_fd(), &raw mut event) };
        super::checked(result as libc::ssize_t).map(drop)
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
