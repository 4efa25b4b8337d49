//! Which sockets are ready: `epoll`, edge-triggered.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;

/// How many events are taken at once.
const BATCH: usize = 256;

/// A set of sockets, each with a number.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

/// A socket that became readable or writable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    /// The number it was added with.
    pub(super) token: u64,
    /// Whether the peer has closed its side, so that reading must go on to the end.
    pub(super) closing: bool,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, events: vec![EpollEvent::empty(); BATCH] })
    }

    /// Reports from now on when the socket becomes readable or writable. Closing it ends this.
    pub(super) fn add(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        Ok(self.epoll.add(socket, EpollEvent::new(flags, token))?)
    }

    /// Sockets that became ready, waiting for at most `timeout` for the first.
    pub(super) fn wait(&mut self, timeout: Duration) -> io::Result<impl Iterator<Item = Ready>> {
        if !timeout.is_zero() {
            self.sleep(timeout)?;
        }
        let count = match self.epoll.wait(&mut self.events, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let closing = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        Ok(self.events[..count].iter().map(move |event| Ready {
            token: event.data(),
            closing: event.events().intersects(closing),
        }))
    }

    /// Waits until there is something: `epoll_wait` itself counts in milliseconds.
    fn sleep(&self, timeout: Duration) -> io::Result<()> {
        let mut fds = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, Some(TimeSpec::from_duration(timeout)), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
