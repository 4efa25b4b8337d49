//! What the kernel knows of the path to a peer.

use crate::sys::{Family, option, set_option};
use homa_proto::PeerAddr;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

/// What a path is taken to carry when nothing is known, in bytes.
const DEFAULT_MTU: u32 = 1500;

/// Paths that are remembered; when there are more, all are asked for anew.
const PATHS_MAX: usize = 4096;

/// The paths from one local address, each asked for once.
#[derive(Debug)]
pub(crate) struct Paths {
    local: SocketAddr,
    /// By what is left of an address without its port: the IP address and the link of a link-local one.
    known: HashMap<PeerAddr, Path>,
}

impl Paths {
    pub(crate) fn from(local: SocketAddr) -> Self {
        Self { local, known: HashMap::new() }
    }

    /// The path to `peer`.
    pub(crate) fn to(&mut self, peer: &PeerAddr) -> Path {
        let host = without_port(peer);
        if let Some(path) = self.known.get(&host) {
            return *path;
        }
        let path = Path::find(peer, self.local);
        if self.known.len() >= PATHS_MAX {
            self.known.clear();
        }
        self.known.insert(host, path);
        path
    }

    /// The path may have changed.
    pub(crate) fn forget(&mut self, peer: &PeerAddr) {
        self.known.remove(&without_port(peer));
    }

    #[cfg(test)]
    pub(crate) fn assume(&mut self, peer: &PeerAddr, path: Path) {
        self.known.insert(without_port(peer), path);
    }
}

/// What the kernel knows of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// The IP MTU in bytes.
    pub(crate) mtu: u32,
    /// The address that packets leave from unless they name one.
    pub(crate) source: Option<IpAddr>,
}

impl Path {
    /// The path to `peer` from a socket bound to `local`, as far as the kernel tells.
    pub(crate) fn find(peer: &PeerAddr, local: SocketAddr) -> Self {
        connected_path(peer, local).unwrap_or(Self { mtu: DEFAULT_MTU, source: None })
    }
}

/// Asked of another socket, connected for the purpose: connecting the real one would make it deaf
/// to everybody else.
fn connected_path(peer: &PeerAddr, local: SocketAddr) -> io::Result<Path> {
    let family = if peer.is_ipv6() { Family::V6 } else { Family::V4 };
    let unspecified = match family {
        Family::V4 => SocketAddr::from(([0; 4], 0)),
        Family::V6 => SocketAddr::from(([0u16; 8], 0)),
    };
    let same_family = local.is_ipv6() == peer.is_ipv6();
    let from = if same_family { with_port(local, 0) } else { unspecified };
    let socket = UdpSocket::bind(from)?;
    let fd = socket.as_fd();
    let (level, discover, always, mtu) = match family {
        Family::V4 => (libc::SOL_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO, libc::IP_MTU),
        Family::V6 => {
            (libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO, libc::IPV6_MTU)
        }
    };
    set_option(fd, level, discover, always)?;
    // Over raw IP peers have no port, and any will do.
    socket.connect(with_port(peer.socket_addr(), 9))?;
    let mtu = option(fd, level, mtu)?;
    let mtu = u32::try_from(mtu).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Path { mtu, source: Some(socket.local_addr()?.ip()) })
}

fn without_port(peer: &PeerAddr) -> PeerAddr {
    with_port(peer.socket_addr(), 0).into()
}

/// The same address, scope included, with another port.
fn with_port(mut addr: SocketAddr, port: u16) -> SocketAddr {
    addr.set_port(port);
    addr
}
