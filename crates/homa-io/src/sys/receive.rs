//! Receiving several packets by one system call.

use super::{ControlMessages, SocketName};
use crate::{CHUNK_LEN, ChunkPool};
use bytes::Bytes;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Buffers for one batch of received packets.
///
/// Each has the length of a chunk, so that it can become a part of a message, and room for the
/// longest UDP payload. A socket bound to a network interface with a small
/// MTU needs as much, since packets from the same host reach it over loopback. Only pages that are
/// written to take memory, and slots are filled from the first, so few are touched while few
/// packets come.
pub(crate) struct ReceiveBuffers {
    slots: Vec<Box<[u8]>>,
    names: Vec<SocketName>,
    controls: Vec<ControlMessages>,
    lens: Vec<usize>,
}

/// One packet of the batch received last.
pub(crate) struct Received<'a> {
    pub(crate) name: &'a SocketName,
    pub(crate) control: &'a ControlMessages,
    /// Length of the datagram.
    pub(crate) len: usize,
}

/// Room for one packet: no UDP payload is longer.
const SLOT_LEN: usize = CHUNK_LEN;

impl ReceiveBuffers {
    /// Packets received by one system call at most.
    pub(crate) const CAPACITY: usize = 64;

    pub(crate) fn new() -> Self {
        Self {
            slots: (0..Self::CAPACITY).map(|_| vec![0; SLOT_LEN].into()).collect(),
            names: vec![SocketName::EMPTY; Self::CAPACITY],
            controls: vec![ControlMessages::EMPTY; Self::CAPACITY],
            lens: vec![0; Self::CAPACITY],
        }
    }

    /// Receives one packet, without control messages.
    pub(crate) fn receive_plain(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let mut name_len = SocketName::LEN_MAX as libc::socklen_t;
        let slot = self.slots[0].as_mut_ptr().cast();
        let name = (&raw mut self.names[0]).cast();
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: `slot` points to SLOT_LEN writable bytes (that is every slot's length), `name` to `name_len` bytes, both of
        // which live in `self`, borrowed exclusively for the call; all bytes are valid in both.
        let len = unsafe {
            libc::recvfrom(fd.as_raw_fd(), slot, SLOT_LEN, flags, name, &raw mut name_len)
        };
        self.lens[0] = super::checked(len)?;
        self.controls[0].clear();
        Ok(())
    }

    /// Receives one packet, with control messages.
    pub(crate) fn receive_one(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let iov_base = self.slots[0].as_mut_ptr().cast();
        let mut iovec = libc::iovec { iov_base, iov_len: SLOT_LEN };
        let mut header = super::send::empty_header().msg_hdr;
        header.msg_iov = &raw mut iovec;
        header.msg_iovlen = 1;
        header.msg_name = (&raw mut self.names[0]).cast();
        header.msg_namelen = SocketName::LEN_MAX as libc::socklen_t;
        header.msg_control = self.controls[0].as_mut_ptr().cast();
        header.msg_controllen = ControlMessages::CAPACITY;
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: the iovec is a live local; slot, name and control buffer live in `self`, borrowed
        // exclusively for the call, with the lengths given, and any bytes are valid in them.
        let len = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags) };
        self.lens[0] = super::checked(len)?;
        self.controls[0].set_len(header.msg_controllen);
        Ok(())
    }

    /// Receives up to `count_max` packets, at most [`CAPACITY`](Self::CAPACITY), with control messages if
    /// `with_control`, and returns their number, at least 1.
    pub(crate) fn receive_many(
        &mut self,
        fd: BorrowedFd<'_>,
        count_max: usize,
        with_control: bool,
    ) -> io::Result<usize> {
        let count_max = count_max.min(Self::CAPACITY);
        let mut iovecs = [const { MaybeUninit::<libc::iovec>::uninit() }; Self::CAPACITY];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; Self::CAPACITY];
        for index in 0..count_max {
            let iov_base = self.slots[index].as_mut_ptr().cast();
            let iovec = libc::iovec { iov_base, iov_len: SLOT_LEN };
            let mut header = super::send::empty_header();
            header.msg_hdr.msg_iov = iovecs[index].write(iovec);
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = (&raw mut self.names[index]).cast();
            header.msg_hdr.msg_namelen = SocketName::LEN_MAX as libc::socklen_t;
            if with_control {
                header.msg_hdr.msg_control = self.controls[index].as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = ControlMessages::CAPACITY;
            }
            headers[index].write(header);
        }
        let pointer = headers.as_mut_ptr().cast();
        let flags = (libc::MSG_DONTWAIT | libc::MSG_TRUNC) as _;
        let timeout = std::ptr::null_mut();
        // SAFETY: all `count_max` headers are initialized; the iovecs, slots, names and
        // control buffers that they point to live in this frame or in `self`, borrowed exclusively,
        // with the lengths given, and any bytes are valid in them.
        let count =
            unsafe { libc::recvmmsg(fd.as_raw_fd(), pointer, count_max as _, flags, timeout) };
        let count = super::checked(count as libc::ssize_t)?;
        for (index, header) in headers[..count].iter().enumerate() {
            // SAFETY: all headers were initialized above.
            let header = unsafe { header.assume_init_ref() };
            self.lens[index] = header.msg_len as usize;
            self.controls[index].set_len(header.msg_hdr.msg_controllen);
        }
        Ok(count)
    }

    /// Gives away the bytes of `range` of packet `index` with their buffer.
    pub(crate) fn take(&mut self, index: usize, range: Range<usize>, pool: &ChunkPool) -> Bytes {
        pool.exchange(&mut self.slots[index]).freeze(range)
    }

    /// What is known of packet `index` of the last batch.
    pub(crate) fn received(&self, index: usize) -> Received<'_> {
        Received { name: &self.names[index], control: &self.controls[index], len: self.lens[index] }
    }

    /// The first `len` bytes of packet `index` of the last batch.
    pub(crate) fn bytes(&self, index: usize, len: usize) -> &[u8] {
        &self.slots[index][..len.min(SLOT_LEN)]
    }
}
