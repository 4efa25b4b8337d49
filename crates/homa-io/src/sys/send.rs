//! Sending several packets by one system call.

use super::{ControlMessages, SocketName};
use crate::SendBatch;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

const IOVECS_PER_PACKET_MAX: usize = SendBatch::SLICES_PER_PACKET_MAX + 2;

/// Packets laid out as the kernel wants them, for one system call.
///
/// It lives on the stack of the call that sends: nothing is kept that points into a batch.
pub(crate) struct Messages<'a> {
    headers: [MaybeUninit<libc::mmsghdr>; SendBatch::CAPACITY],
    iovecs: [MaybeUninit<libc::iovec>; SendBatch::CAPACITY * IOVECS_PER_PACKET_MAX],
    headers_len: usize,
    iovecs_len: usize,
    borrowed: PhantomData<&'a [u8]>,
}

impl<'a> Messages<'a> {
    pub(crate) fn new() -> Self {
        Self {
            headers: [const { MaybeUninit::uninit() }; SendBatch::CAPACITY],
            iovecs: [const { MaybeUninit::uninit() }; SendBatch::CAPACITY * IOVECS_PER_PACKET_MAX],
            headers_len: 0,
            iovecs_len: 0,
            borrowed: PhantomData,
        }
    }

    /// Adds a message, whose bytes are [added](Self::add) next.
    ///
    /// # Panics
    ///
    /// If there are [`SendBatch::CAPACITY`] messages already.
    pub(crate) fn push(&mut self, name: &'a SocketName, control: &'a ControlMessages) {
        let mut header = empty_header();
        header.msg_hdr.msg_name = (&raw const *name).cast_mut().cast();
        header.msg_hdr.msg_namelen = name.len();
        if control.len() > 0 {
            header.msg_hdr.msg_control = control.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_controllen = control.len();
        }
        self.headers[self.headers_len].write(header);
        self.headers_len += 1;
    }

    /// Appends bytes to the message pushed last: a packet, a part of one, or several packets, which
    /// the kernel is told to take apart again.
    ///
    /// # Panics
    ///
    /// If there is no message, or there are as many parts already as a batch may have.
    pub(crate) fn add(&mut self, bytes: &'a [u8]) {
        if bytes.is_empty() {
            return;
        }
        let last = &mut self.headers[self.headers_len - 1];
        // SAFETY: the first `headers_len` headers were written by `push`.
        let last = unsafe { last.assume_init_mut() };
        last.msg_hdr.msg_iovlen += 1;
        let iov_base = bytes.as_ptr().cast_mut().cast();
        self.iovecs[self.iovecs_len].write(libc::iovec { iov_base, iov_len: bytes.len() });
        self.iovecs_len += 1;
    }

    /// Sends the messages in order until one fails, and returns how many were sent.
    ///
    /// # Errors
    ///
    /// What made the first message fail. Why a later one failed shows when it is the first.
    pub(crate) fn send(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        self.point_headers_at_iovecs();
        let pointer = self.headers.as_mut_ptr().cast::<libc::mmsghdr>();
        if self.headers_len == 1 {
            // SAFETY: the one header is initialized; what it points to is borrowed for 'a, or is
            // part of `self`, and the kernel only reads it.
            let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const (*pointer).msg_hdr, 0) };
            return super::checked(sent).map(|_| 1);
        }
        let count = self.headers_len as libc::c_uint;
        // SAFETY: `count` headers are initialized; what they point to is borrowed for 'a, or is
        // part of `self`; of it all the kernel writes only the headers' `msg_len`.
        let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), pointer, count, 0) };
        super::checked(sent as libc::ssize_t)
    }

    /// Only now, since `self` may have been moved while packets were added.
    fn point_headers_at_iovecs(&mut self) {
        let mut next = self.iovecs.as_mut_ptr().cast::<libc::iovec>();
        for header in &mut self.headers[..self.headers_len] {
            // SAFETY: the first `headers_len` headers were written by `push`.
            let header = unsafe { header.assume_init_mut() };
            header.msg_hdr.msg_iov = next;
            // Stays within `iovecs`: `add` wrote one for each that it counted.
            next = next.wrapping_add(header.msg_hdr.msg_iovlen);
        }
    }
}

/// Sends one packet that is in one piece and needs no control messages: the shortest way there is.
pub(crate) fn send_plain(fd: BorrowedFd<'_>, bytes: &[u8], name: &SocketName) -> io::Result<usize> {
    let data = bytes.as_ptr().cast();
    let to = (&raw const *name).cast();
    // SAFETY: `data` points to `bytes.len()` bytes and `to` to `name.len()` bytes, both borrowed for
    // the call, and the kernel only reads them.
    let sent = unsafe { libc::sendto(fd.as_raw_fd(), data, bytes.len(), 0, to, name.len()) };
    super::checked(sent).map(|_| 1)
}

/// A message header that points to nothing.
pub(super) fn empty_header() -> libc::mmsghdr {
    // SAFETY: mmsghdr is a C struct of integers and pointers (and, in some C libraries, padding),
    // for all of which zero is a valid value.
    unsafe { std::mem::zeroed() }
}
