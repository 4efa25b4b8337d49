//! Whether this host's own messages may be sent, and which limit leaves them no room.

use super::Endpoint;
use crate::account::Resource;
use crate::error::{Limit, ReplyError, SendError};
use crate::observer::Observer;
use crate::rpc::State;
use crate::slab::RpcKey;
use crate::sockets::{Socket, SocketId};

impl<O: Observer> Endpoint<O> {
    /// Whether a request of `length` bytes from `socket` to `port` could be started now. Places for
    /// peers are not looked at: they become free by time, not by what this host does.
    ///
    /// # Errors
    ///
    /// What `send_request` would say.
    pub fn check_request(&self, socket: SocketId, port: u16, length: u32) -> Result<(), SendError> {
        let socket = self.sockets.by_id(socket).ok_or(SendError::NoSocket)?;
        if port == 0 {
            return Err(SendError::BadPort);
        }
        match length {
            0 => return Err(SendError::Empty),
            _ if length > self.config.message_length_max => {
                return Err(SendError::TooLong(self.config.message_length_max));
            }
            _ => {}
        }
        self.room_for_call(socket)
            .and_then(|()| self.room_for_outgoing(Some(socket), length))
            .map_err(SendError::Full)
    }

    /// Whether a reply of `length` bytes to a request could be started now.
    ///
    /// # Errors
    ///
    /// What `send_reply` would say.
    pub fn check_reply(&self, key: RpcKey, length: u32) -> Result<(), ReplyError> {
        let rpc = self.rpcs.get(key).ok_or(ReplyError::Gone)?;
        match rpc.state {
            State::InService => {}
            State::Refused { .. } => return Err(ReplyError::Gone),
            _ => return Err(ReplyError::NotInService),
        }
        match length {
            0 => return Err(ReplyError::Empty),
            _ if length > self.config.message_length_max => {
                return Err(ReplyError::TooLong(self.config.message_length_max));
            }
            _ => {}
        }
        let socket = self.sockets.by_port(rpc.port).filter(|socket| socket.id == rpc.socket);
        self.room_for_outgoing(socket, length).map_err(ReplyError::Full)
    }

    /// Counts that a message of a socket was turned away.
    pub(super) fn count_refusal(&mut self, port: u16, socket: SocketId, limit: Limit) {
        let of_socket = self.sockets.of_rpc_mut(port, socket).filter(|_| limit.of_socket);
        let meter = match (of_socket, limit.resource) {
            (Some(socket), Resource::ClientRpcs) => &mut socket.meters.client_rpcs,
            (Some(socket), Resource::IncomingBytes) => &mut socket.meters.incoming_bytes,
            (Some(socket), _) => &mut socket.meters.outgoing_bytes,
            (None, Resource::ClientRpcs) => &mut self.meters.client_rpcs,
            (None, _) => &mut self.meters.outgoing_bytes,
        };
        meter.refuse();
    }

    fn room_for_call(&self, socket: &Socket) -> Result<(), Limit> {
        let limits = &self.config.limits;
        let of_host = Limit::of_host(Resource::ClientRpcs, limits.client_rpcs_max.into());
        of_host.admits(self.rpcs.clients().into(), 1)?;
        let of_socket = Limit::of_socket(Resource::ClientRpcs, limits.socket_rpcs_max.into());
        of_socket.admits(socket.meters.client_rpcs.used(), 1)?;
        // Responses that nobody takes must not grow without end.
        let of_socket = Limit::of_socket(Resource::IncomingBytes, limits.socket_incoming_bytes_max);
        of_socket.admits(socket.meters.incoming_bytes.used(), 1)
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
