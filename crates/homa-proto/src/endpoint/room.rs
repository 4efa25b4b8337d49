//! Whether this host's own messages find room, and which limit leaves them none.

use super::Endpoint;
use crate::account::Resource;
use crate::error::Limit;
use crate::observer::Observer;
use crate::slab::RpcKey;
use crate::sockets::{Socket, SocketId};

impl<O: Observer> Endpoint<O> {
    /// Whether a request of `length` bytes from a socket finds room now. Places for peers are not
    /// looked at: they become free by time, not by what this host does.
    ///
    /// # Errors
    ///
    /// The limit that leaves none, of which `send_request` would say [`crate::SendError::Full`].
    pub fn room_for_request(&self, socket: SocketId, length: u32) -> Result<(), Limit> {
        let Some(socket) = self.sockets.by_id(socket) else { return Ok(()) };
        let limits = &self.config.limits;
        let of_host = Limit::of_host(Resource::ClientRpcs, limits.client_rpcs_max.into());
        of_host.admits(self.rpcs.clients().into(), 1)?;
        let of_socket = Limit::of_socket(Resource::ClientRpcs, limits.socket_rpcs_max.into());
        of_socket.admits(socket.meters.client_rpcs.used(), 1)?;
        self.room_for_outgoing(Some(socket), length)
    }

    /// Whether a reply of `length` bytes to a request finds room now.
    ///
    /// # Errors
    ///
    /// The limit that leaves none, of which `send_reply` would say [`crate::ReplyError::Full`].
    pub fn room_for_reply(&self, key: RpcKey, length: u32) -> Result<(), Limit> {
        let Some(rpc) = self.rpcs.get(key) else { return Ok(()) };
        let socket = self.sockets.by_port(rpc.port).filter(|socket| socket.id == rpc.socket);
        self.room_for_outgoing(socket, length)
    }

    /// Counts that a message of a socket was turned away, and hands the reason on.
    pub(super) fn count_refusal(&mut self, port: u16, socket: SocketId, limit: Limit) -> Limit {
        let of_socket = self.sockets.of_rpc_mut(port, socket).filter(|_| limit.of_socket);
        let meter = match (of_socket, limit.resource) {
            (Some(socket), Resource::ClientRpcs) => &mut socket.meters.client_rpcs,
            (Some(socket), _) => &mut socket.meters.outgoing_bytes,
            (None, Resource::ClientRpcs) => &mut self.meters.client_rpcs,
            (None, _) => &mut self.meters.outgoing_bytes,
        };
        meter.refuse();
        limit
    }

    fn room_for_outgoing(&self, socket: Option<&Socket>, length: u32) -> Result<(), Limit> {
        let (limits, length) = (&self.config.limits, u64::from(length));
        if let Some(socket) = socket {
            let max = limits.socket_outgoing_bytes_max;
            let of_socket = Limit::of_socket(Resource::OutgoingBytes, max);
            of_socket.admits(socket.meters.outgoing_bytes.used(), length)?;
        }
        let of_host = Limit::of_host(Resource::OutgoingBytes, limits.outgoing_bytes_max);
        of_host.admits(self.meters.outgoing_bytes.used(), length)
    }
}
