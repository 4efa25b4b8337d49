//! Socket options that hold an integer.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets an integer option.
pub(crate) fn set_option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    let pointer = (&raw const value).cast();
    // SAFETY: `pointer` points to `len` readable bytes, a live local, for the whole call.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer, len) };
    super::checked(result as libc::ssize_t).map(drop)
}

/// Reads an integer option.
pub(crate) fn option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    let pointer = (&raw mut value).cast();
    // SAFETY: `pointer` points to `len` writable bytes, a live local, and so does the pointer to
    // `len`; any bytes that the kernel writes make a valid integer.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, pointer, &raw mut len) };
    super::checked(result as libc::ssize_t)?;
    Ok(value)
}
