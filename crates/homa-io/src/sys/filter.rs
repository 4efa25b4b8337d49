//! Socket filters: small programs by which the kernel decides which packets a socket gets.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Attaches a classic BPF program. Packets that came before are not looked at again.
///
/// # Errors
///
/// `InvalidInput` if the kernel finds the program faulty.
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
    let pointer = (&raw const filter).cast();
    // SAFETY: `pointer` points to a live `sock_fprog` of `size` bytes, which points to `len`
    // instructions borrowed for the call; the kernel reads both and keeps neither.
    let result = unsafe {
        let option = libc::SO_ATTACH_FILTER;
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, option, pointer, size)
    };
    super::checked(result as libc::ssize_t).map(drop)
}
