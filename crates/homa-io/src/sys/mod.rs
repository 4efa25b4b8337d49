//! The system calls that no safe interface offers, each behind a small safe function.
//!
//! Everything unsafe in this crate is here. Addresses and control messages are put together byte by
//! byte, in safe code; what is left as unsafe is the handing over of pointers to the kernel.

mod control;
mod epoll;
mod error_queue;
mod filter;
mod name;
mod options;
mod receive;
mod send;

pub(crate) use control::ControlMessages;
pub(crate) use epoll::Epoll;
pub(crate) use error_queue::{Origin, QueuedError, receive_error};
pub(crate) use filter::attach_filter;
pub(crate) use name::{Family, SocketName};
pub(crate) use options::{option, set_option};
pub(crate) use receive::{ReceiveBuffers, Received};
pub(crate) use send::{Messages, send_plain};

use std::io;

/// What a system call returned, with its failure as an error.
fn checked(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
