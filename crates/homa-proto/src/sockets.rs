//! Homa ports of this host and who holds them (PROTOCOL section 12, WIRE section 3).

use crate::account::Meter;
use crate::error::{BindError, NoMemory};
use alloc::vec::Vec;

/// First of the ports that are handed out to clients.
pub const CLIENT_PORT_FIRST: u16 = 0x8000;

/// Names an open socket; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(u32);

/// Whether a socket takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Only this host's own requests leave from it.
    ClientOnly,
    /// Requests are taken.
    Serving,
    /// No new requests: the application is shutting down.
    Draining,
}

/// What a socket's RPCs hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketMeters {
    pub(crate) client_rpcs: Meter,
    pub(crate) server_rpcs: Meter,
    pub(crate) incoming_bytes: Meter,
    pub(crate) outgoing_bytes: Meter,
}

impl SocketMeters {
    /// The meter of client or of server RPCs.
    pub(crate) fn rpcs(&mut self, is_client: bool) -> &mut Meter {
        if is_client { &mut self.client_rpcs } else { &mut self.server_rpcs }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket {
    pub(crate) id: SocketId,
    pub(crate) port: u16,
    pub(crate) service: Service,
    pub(crate) meters: SocketMeters,
}

/// The open sockets: few, and looked up for every packet, hence a sorted vector.
#[derive(Debug)]
pub(crate) struct SocketTable {
    by_port: Vec<Socket>,
    next_client_port: u16,
    next_id: u32,
}

impl SocketTable {
    /// `random` chooses the first client port.
    pub(crate) fn new(random: u16) -> Self {
        Self { by_port: Vec::new(), next_client_port: random | CLIENT_PORT_FIRST, next_id: 1 }
    }

    pub(crate) fn open_server(&mut self, port: u16) -> Result<SocketId, BindError> {
        if port == 0 || port >= CLIENT_PORT_FIRST {
            return Err(BindError::OutOfRange);
        }
        if self.by_port(port).is_some() {
            return Err(BindError::InUse);
        }
        self.insert(port, Service::Serving).map_err(|NoMemory| BindError::NoMemory)
    }

    pub(crate) fn open_client(&mut self) -> Result<SocketId, BindError> {
        for _ in 0..=u16::MAX - CLIENT_PORT_FIRST {
            let port = self.next_client_port;
            self.next_client_port = port.checked_add(1).unwrap_or(CLIENT_PORT_FIRST);
            if self.by_port(port).is_none() {
                return self
                    .insert(port, Service::ClientOnly)
                    .map_err(|NoMemory| BindError::NoMemory);
            }
        }
        Err(BindError::Exhausted)
    }

    pub(crate) fn open_client_at(&mut self, port: u16) -> Result<SocketId, BindError> {
        if port < CLIENT_PORT_FIRST {
            return Err(BindError::OutOfRange);
        }
        if self.by_port(port).is_some() {
            return Err(BindError::InUse);
        }
        self.insert(port, Service::ClientOnly).map_err(|NoMemory| BindError::NoMemory)
    }

    pub(crate) fn close(&mut self, id: SocketId) -> Option<Socket> {
        let at = self.by_port.iter().position(|s| s.id == id)?;
        Some(self.by_port.remove(at))
    }

    pub(crate) fn set_service(&mut self, id: SocketId, service: Service) {
        if let Some(socket) = self.by_port.iter_mut().find(|s| s.id == id) {
            socket.service = service;
        }
    }

    pub(crate) fn by_port(&self, port: u16) -> Option<&Socket> {
        let at = self.by_port.binary_search_by_key(&port, |s| s.port).ok()?;
        self.by_port.get(at)
    }

    /// The socket of an RPC, by the port that the RPC knows; `None` if it was closed.
    pub(crate) fn of_rpc_mut(&mut self, port: u16, id: SocketId) -> Option<&mut Socket> {
        let at = self.by_port.binary_search_by_key(&port, |s| s.port).ok()?;
        self.by_port.get_mut(at).filter(|socket| socket.id == id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Socket> {
        self.by_port.iter()
    }

    pub(crate) fn by_id(&self, id: SocketId) -> Option<&Socket> {
        self.by_port.iter().find(|s| s.id == id)
    }

    fn insert(&mut self, port: u16, service: Service) -> Result<SocketId, NoMemory> {
        let at = self.by_port.partition_point(|s| s.port < port);
        self.by_port.try_reserve(1).map_err(|_| NoMemory)?;
        let id = SocketId(self.next_id);
        self.next_id += 1;
        self.by_port.insert(at, Socket { id, port, service, meters: SocketMeters::default() });
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn open_client_at__takes_only_free_client_ports() {
        let mut table = SocketTable::new(0);
        assert_eq!(table.open_client_at(0x7fff), Err(BindError::OutOfRange));
        assert!(table.open_client_at(0x8000).is_ok());
        assert_eq!(table.open_client_at(0x8000), Err(BindError::InUse));
        let other = table.open_client().unwrap();
        assert_eq!(table.by_id(other).unwrap().port, 0x8001);
    }

    #[test]
    fn open_server__takes_only_server_ports() {
        let mut table = SocketTable::new(0);
        assert_eq!(table.open_server(0), Err(BindError::OutOfRange));
        assert_eq!(table.open_server(0x8000), Err(BindError::OutOfRange));
        assert!(table.open_server(0x7fff).is_ok());
        assert_eq!(table.open_server(0x7fff), Err(BindError::InUse));
    }

    #[test]
    fn open_client__wraps_within_the_client_range_and_skips_ports_in_use() {
        let mut table = SocketTable::new(u16::MAX);
        let last = table.open_client().unwrap();
        assert_eq!(table.by_id(last).unwrap().port, u16::MAX);
        let first = table.open_client().unwrap();
        assert_eq!(table.by_id(first).unwrap().port, CLIENT_PORT_FIRST);
        table.next_client_port = u16::MAX;
        let third = table.open_client().unwrap();
        assert_eq!(table.by_id(third).unwrap().port, CLIENT_PORT_FIRST + 1);
    }

    #[test]
    fn open_client__says_when_all_ports_are_taken() {
        let mut table = SocketTable::new(0);
        for _ in 0..32_768 {
            table.open_client().unwrap();
        }
        assert_eq!(table.open_client(), Err(BindError::Exhausted));
    }

    #[test]
    fn close__frees_the_port() {
        let mut table = SocketTable::new(0);
        let id = table.open_server(7).unwrap();
        assert_eq!(table.close(id).unwrap().port, 7);
        assert!(table.close(id).is_none());
        assert!(table.open_server(7).is_ok());
    }
}
