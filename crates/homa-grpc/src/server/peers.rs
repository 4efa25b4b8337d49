//! What each client has of a server: one alone does not keep all others out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::config::ServerConfig;
use crate::held::{Held, Holding, NoRoom};

/// The clients' endpoints that have something.
#[derive(Debug)]
pub(super) struct Peers {
    table: Mutex<HashMap<SocketAddr, Weak<Peer>>>,
    /// Bytes of all.
    holding: Holding,
    held_bytes_max: usize,
    streams_max: usize,
}

/// What one of them has.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    /// Calls that are streams.
    pub(super) streams: Holding,
    holding: Holding,
    peers: Arc<Peers>,
}

/// What a message holds until its handler has taken it.
#[derive(Debug)]
pub(super) struct Room {
    _of_all: Held,
    _of_peer: Option<(Held, Arc<Peer>)>,
}

impl Peers {
    pub(super) fn new(config: &ServerConfig) -> Self {
        Self {
            table: Mutex::default(),
            holding: Holding::new(config.held_bytes_max),
            held_bytes_max: config.held_bytes_max / 2,
            streams_max: config.streams_per_peer_max,
        }
    }

    pub(super) fn get(self: &Arc<Self>, addr: SocketAddr) -> Arc<Peer> {
        let mut table = self.lock();
        if let Some(peer) = table.get(&addr).and_then(Weak::upgrade) {
            return peer;
        }
        let peer = Arc::new(Peer {
            addr,
            streams: Holding::new(self.streams_max),
            holding: Holding::new(self.held_bytes_max),
            peers: Arc::clone(self),
        });
        table.insert(addr, Arc::downgrade(&peer));
        peer
    }

    /// Holds the bytes of a message that its client's share does not count.
    pub(super) fn hold(&self, bytes: usize) -> Result<Room, NoRoom> {
        Ok(Room { _of_all: self.holding.hold(bytes)?, _of_peer: None })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Weak<Peer>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer {
    /// Holds the bytes of a message, if this client and all together may hold so many.
    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Result<Room, NoRoom> {
        let of_peer = Some((self.holding.hold(bytes)?, Arc::clone(self)));
        Ok(Room { _of_all: self.peers.holding.hold(bytes)?, _of_peer: of_peer })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut table = self.peers.lock();
        // It may be there again already.
        if table.get(&self.addr).is_some_and(|peer| peer.strong_count() == 0) {
            table.remove(&self.addr);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn peers() -> Arc<Peers> {
        let mut config = ServerConfig::default();
        (config.held_bytes_max, config.streams_per_peer_max) = (100, 2);
        Arc::new(Peers::new(&config))
    }

    #[test]
    fn hold__one_client_has_half_and_others_the_rest() {
        let peers = peers();
        let [one, other] = [1, 2].map(|port| peers.get(([127, 0, 0, 1], port).into()));
        let held = one.hold(50).unwrap();
        assert_eq!(one.hold(1).unwrap_err(), NoRoom::Now);
        assert_eq!(other.hold(51).unwrap_err(), NoRoom::Ever);
        let rest = other.hold(50).unwrap();
        assert_eq!(peers.hold(1).unwrap_err(), NoRoom::Now);
        drop((held, rest));
        assert!(peers.hold(100).is_ok());
    }

    #[test]
    fn get__a_client_is_known_as_long_as_it_has_something() {
        let peers = peers();
        let addr = ([127, 0, 0, 1], 1).into();
        let held = peers.get(addr).hold(30).unwrap();
        assert_eq!(peers.get(addr).hold(30).unwrap_err(), NoRoom::Now);
        assert_eq!(peers.lock().len(), 1);
        drop(held);
        assert!(peers.lock().is_empty());
        let stream = peers.get(addr).streams.hold(1).unwrap();
        drop(stream);
        assert!(peers.lock().is_empty());
    }
}
