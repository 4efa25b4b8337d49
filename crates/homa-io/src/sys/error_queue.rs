//! Reading what the network reported about sent packets.

use super::{ControlMessages, SocketName};
use homa_proto::PeerAddr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes of the packet in question that are of interest: more than a common header.
const QUOTE_LEN_MAX: usize = 64;

/// One report from a socket's error queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueuedError {
    /// The error number, as `ee_errno`.
    pub(crate) errno: i32,
    /// Who noticed.
    pub(crate) origin: Origin,
    /// For `EMSGSIZE`, the IP MTU in bytes.
    pub(crate) info: u32,
    /// Where the packet was to go.
    pub(crate) peer: Option<PeerAddr>,
    quote: [u8; QUOTE_LEN_MAX],
    quote_len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This host, when it was asked to send.
    Local,
    /// Another host, by ICMP.
    Icmp,
    /// Something else that uses error queues.
    Other,
}

impl QueuedError {
    /// The beginning of the packet's payload, as far as it was quoted.
    pub(crate) fn quote(&self) -> &[u8] {
        &self.quote[..self.quote_len]
    }
}

/// Takes the oldest report; an error of kind `WouldBlock` if there is none.
///
/// Taking all of them also clears the error that the next send or receive would return.
pub(crate) fn receive_error(fd: BorrowedFd<'_>) -> io::Result<QueuedError> {
    let mut name = SocketName::EMPTY;
    let mut control = ControlMessages::EMPTY;
    let mut quote = [0; QUOTE_LEN_MAX];
    let mut iovec = libc::iovec { iov_base: quote.as_mut_ptr().cast(), iov_len: QUOTE_LEN_MAX };
    let mut header = super::send::empty_header().msg_hdr;
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = SocketName::LEN_MAX as libc::socklen_t;
    header.msg_iov = &raw mut iovec;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = ControlMessages::CAPACITY;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: name, control, iovec and quote are live locals of the lengths given, and any bytes
    // that the kernel writes are valid in them.
    let len = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags) };
    let quote_len = super::checked(len)?.min(QUOTE_LEN_MAX);
    control.set_len(header.msg_controllen);
    let extended = control
        .find(libc::SOL_IP, libc::IP_RECVERR)
        .or_else(|| control.find(libc::SOL_IPV6, libc::IPV6_RECVERR))
        .unwrap_or_default();
    let (errno, origin, info) = parse_extended(extended);
    Ok(QueuedError { errno, origin, info, peer: name.peer(), quote, quote_len })
}

/// Reads a `sock_extended_err`: errno, origin, type, code, padding, info.
fn parse_extended(bytes: &[u8]) -> (i32, Origin, u32) {
    let Some((fields, _)) = bytes.split_first_chunk::<12>() else {
        return (0, Origin::Other, 0);
    };
    let origin = match fields[4] {
        libc::SO_EE_ORIGIN_LOCAL => Origin::Local,
        libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 => Origin::Icmp,
        _ => Origin::Other,
    };
    let [e0, e1, e2, e3, .., i0, i1, i2, i3] = *fields;
    (i32::from_ne_bytes([e0, e1, e2, e3]), origin, u32::from_ne_bytes([i0, i1, i2, i3]))
}
