//! What the network reported, waiting to be told.

use crate::packet_io::quoted_packet;
use crate::sys::{Origin, QueuedError, receive_error};
use crate::{ErrorOrigin, OutgoingPacket, PathError, PathErrorKind};
use homa_proto::{PeerAddr, Unreachable};
use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;

/// Reports kept at most. More come only from packets to many dead peers at once; these will be
/// found out by their silence.
const REPORTS_MAX: usize = 1024;

/// Reports about paths, oldest first.
#[derive(Debug, Default)]
pub(crate) struct PathErrors {
    reports: VecDeque<PathError>,
}

/// What reading a socket's error queue brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Reports from the network, about packets sent earlier: any of them may have made an
    /// unrelated send or receive fail.
    pub(crate) from_network: usize,
    /// Reports from this host, about the packet that it was just asked to send.
    pub(crate) from_host: usize,
}

impl PathErrors {
    /// Takes all reports out of the socket's error queue.
    ///
    /// Reports of this host's own do not name the peer in full; they concern `sending`, the peer of
    /// the packet that just failed. Without it they are left out: they come again when it fails.
    pub(crate) fn drain(&mut self, fd: BorrowedFd<'_>, sending: Option<PeerAddr>) -> Drained {
        let mut drained = Drained::default();
        // Bounded by the queue, which the socket's receive buffer limits.
        while let Ok(error) = receive_error(fd) {
            let (peer, origin) = match error.origin {
                Origin::Icmp => {
                    drained.from_network += 1;
                    (error.peer, ErrorOrigin::Network)
                }
                Origin::Local => {
                    drained.from_host += 1;
                    (sending, ErrorOrigin::Host)
                }
                Origin::Other => continue,
            };
            if let Some(peer) = peer
                && let Some(kind) = kind(&error)
            {
                let quoted = quoted_packet(error.quote());
                self.push(PathError { peer, kind, quoted, origin });
            }
        }
        drained
    }

    /// Reports that the operating system would not send `packet`.
    pub(crate) fn push_send_failure(&mut self, packet: &OutgoingPacket<'_>, error: &io::Error) {
        let kind = match error.raw_os_error().and_then(unreachable) {
            Some(unreachable) => PathErrorKind::Unreachable(unreachable),
            None => PathErrorKind::SendFailed(error.kind()),
        };
        let quoted = quoted_packet(packet.front);
        let (peer, origin) = (packet.destination.peer, ErrorOrigin::Host);
        self.push(PathError { peer, kind, quoted, origin });
    }

    pub(crate) fn pop(&mut self) -> Option<PathError> {
        self.reports.pop_front()
    }

    fn push(&mut self, report: PathError) {
        if self.reports.len() < REPORTS_MAX {
            self.reports.push_back(report);
        }
    }
}

/// What a report from the error queue says, in Homa's terms.
fn kind(error: &QueuedError) -> Option<PathErrorKind> {
    match error.errno {
        libc::EMSGSIZE => Some(PathErrorKind::PathMtu(error.info)),
        errno => unreachable(errno).map(PathErrorKind::Unreachable),
    }
}

/// Which kind of unreachability an error number stands for (PROTOCOL section 12).
///
/// The kernel turns ICMP types and codes into these: port unreachable into `ECONNREFUSED`, protocol
/// unreachable into `ENOPROTOOPT` (IPv6: a parameter problem, `EPROTO`), other ways of not getting
/// there into the rest.
fn unreachable(errno: i32) -> Option<Unreachable> {
    match errno {
        libc::ECONNREFUSED => Some(Unreachable::Port),
        libc::ENOPROTOOPT | libc::EPROTO => Some(Unreachable::Protocol),
        libc::EHOSTUNREACH
        | libc::ENETUNREACH
        | libc::EHOSTDOWN
        | libc::ENETDOWN
        | libc::ENONET
        | libc::EACCES => Some(Unreachable::Host),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    /// PROTOCOL section 12.
    #[test]
    fn unreachable__tells_port_protocol_and_host() {
        assert_eq!(unreachable(libc::ECONNREFUSED), Some(Unreachable::Port));
        assert_eq!(unreachable(libc::ENOPROTOOPT), Some(Unreachable::Protocol));
        assert_eq!(unreachable(libc::EPROTO), Some(Unreachable::Protocol));
        assert_eq!(unreachable(libc::ENETUNREACH), Some(Unreachable::Host));
        assert_eq!(unreachable(libc::EPERM), None);
    }
}
