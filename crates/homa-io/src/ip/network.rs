//! What a socket hears of the network beside packets: reports about those it sent, and paths.

use super::{Drained, PathErrors, Paths};
use crate::{PathError, PathErrorKind, SendBatch};
use homa_proto::PeerAddr;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

/// How often a send or receive that failed because of something reported about another packet is
/// tried again before the failure is taken to be its own.
const ATTEMPTS_MAX: usize = 8;

/// The network as seen from a socket, or from several that share an address.
#[derive(Debug)]
pub(crate) struct Network {
    local_ip: IpAddr,
    paths: Paths,
    errors: PathErrors,
}

impl Network {
    /// As seen from `local`.
    pub(crate) fn from(local: SocketAddr) -> Self {
        let (paths, errors) = (Paths::from(local), PathErrors::default());
        Self { local_ip: local.ip(), paths, errors }
    }

    /// Receives from the socket `fd` by `receive`, which returns how many packets it received; 0 if
    /// nothing waits. What is reported meanwhile is taken note of.
    pub(crate) fn receive(
        &mut self,
        fd: BorrowedFd<'_>,
        mut receive: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut attempts = 0;
        loop {
            match receive() {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The kernel reports a path error by failing whatever call comes next.
                Err(error) => {
                    let drained = self.errors.drain(fd, None);
                    attempts += 1;
                    match (attempts >= ATTEMPTS_MAX, drained == Drained::default()) {
                        (false, _) => {}
                        (true, false) => return Ok(0),
                        (true, true) => return Err(error),
                    }
                }
            }
        }
    }

    /// Takes note of what the socket `fd` has been told.
    pub(crate) fn drain(&mut self, fd: BorrowedFd<'_>) {
        self.errors.drain(fd, None);
    }

    /// Sending the batch by the socket `fd` failed, after `attempts` failures to send its first
    /// packet. If this is that packet's own failure it is taken out; otherwise it is to be tried again.
    pub(crate) fn send_failed(
        &mut self,
        fd: BorrowedFd<'_>,
        batch: &mut SendBatch,
        error: &io::Error,
        attempts: &mut usize,
    ) {
        let sending = batch.front().map(|packet| packet.destination.peer);
        let drained = self.errors.drain(fd, sending);
        *attempts += 1;
        if is_own_error(drained, *attempts) {
            *attempts = 0;
            // Too long a packet has been reported, with the MTU, by the error queue.
            match error.raw_os_error() == Some(libc::EMSGSIZE) && drained.from_host > 0 {
                true => batch.remove_front(1),
                false => self.fail_front(batch, error),
            }
        }
    }

    /// Takes the first packet out of the batch, which can't be sent.
    pub(crate) fn fail_front(&mut self, batch: &mut SendBatch, error: &io::Error) {
        if let Some(packet) = batch.front() {
            // The route may have changed, and with it the source.
            self.paths.forget(&packet.destination.peer);
            self.errors.push_send_failure(&packet, error);
        }
        batch.remove_front(1);
    }

    /// The next report, oldest first.
    pub(crate) fn next_error(&mut self) -> Option<PathError> {
        let mut report = self.errors.pop()?;
        if let PathErrorKind::PathMtu(mtu) = &mut report.kind {
            // Anybody can forge the report; what the kernel made of it has been checked.
            self.paths.forget(&report.peer);
            *mtu = self.mtu(&report.peer);
        }
        Some(report)
    }

    /// The IP MTU towards `peer` in bytes.
    pub(crate) fn mtu(&mut self, peer: &PeerAddr) -> u32 {
        self.paths.to(peer).mtu
    }

    /// The address from which packets to `peer` leave if they name none, as far as it is known.
    pub(crate) fn source_ip(&mut self, peer: &PeerAddr) -> Option<IpAddr> {
        match self.local_ip.is_unspecified() {
            true => self.paths.to(peer).source,
            false => Some(self.local_ip),
        }
    }

    #[cfg(test)]
    pub(crate) fn assume(&mut self, peer: &PeerAddr, path: super::Path) {
        self.paths.assume(peer, path);
    }
}

/// Whether a failure to send is that of the packet itself, not a report about an earlier one that
/// the kernel delivers by failing whatever comes next.
///
/// Such a report fails one call only. It need not be in the error queue, which may be full.
fn is_own_error(drained: Drained, attempts: usize) -> bool {
    let failed_twice = drained.from_network == 0 && attempts >= 2;
    drained.from_host > 0 || failed_twice || attempts >= ATTEMPTS_MAX
}
