//! What the endpoint holds, and its accounts: every table and sum that grows has a row.

use super::Endpoint;
use super::transmit::RESEND_QUEUE_SLACK;
use crate::account::{Accounts, Meter, Resource};
use crate::observer::Observer;
use crate::rpc::State;
use crate::slab::RpcKey;
use crate::sockets::SocketId;

/// Meters of the host. Tables that know their own size are read when the accounts are asked for,
/// but their high-water marks are kept here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meters {
    pub(super) client_rpcs: Meter,
    pub(super) server_rpcs: Meter,
    pub(super) peers: Meter,
    /// Memory accounted to incoming messages that the application has not taken.
    pub(super) incoming_bytes: Meter,
    pub(super) arrived_bytes: Meter,
    pub(super) unread_bytes: Meter,
    /// Bytes of outgoing messages that may be sent or sent again.
    pub(super) outgoing_bytes: Meter,
    pub(super) control_packets: Meter,
    pub(super) resend_queue: Meter,
    pub(super) gaps: Meter,
    pub(super) finished_ids: Meter,
    pub(super) events: Meter,
}

impl<O: Observer> Endpoint<O> {
    /// What the host holds of everything that grows, and the limits. Costs no more than a copy.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        let (meters, limits) = (&self.meters, &self.config.limits);
        let rpcs_max = u64::from(limits.client_rpcs_max) + u64::from(limits.server_rpcs_max);
        let resends_max = 2 * rpcs_max + RESEND_QUEUE_SLACK as u64 + 1;
        let mut accounts = Accounts::default();
        let rows = [
            (Resource::ClientRpcs, &meters.client_rpcs, Some(limits.client_rpcs_max.into())),
            (Resource::ServerRpcs, &meters.server_rpcs, Some(limits.server_rpcs_max.into())),
            (Resource::Peers, &meters.peers, Some(limits.peers_max.into())),
            (Resource::IncomingBytes, &meters.incoming_bytes, Some(limits.incoming_bytes_max)),
            (Resource::ArrivedBytes, &meters.arrived_bytes, Some(limits.incoming_bytes_max)),
            (Resource::UnreadBytes, &meters.unread_bytes, Some(limits.incoming_bytes_max)),
            (Resource::OutgoingBytes, &meters.outgoing_bytes, Some(limits.outgoing_bytes_max)),
            (
                Resource::ControlPackets,
                &meters.control_packets,
                Some(limits.control_packets_max as u64),
            ),
            (Resource::ResendQueue, &meters.resend_queue, Some(resends_max)),
            (Resource::Gaps, &meters.gaps, Some(limits.gaps_total_max)),
            (
                Resource::FinishedIds,
                &meters.finished_ids,
                Some(limits.finished_ids_total_max as u64),
            ),
            (Resource::Events, &meters.events, None),
        ];
        for (resource, meter, limit) in rows {
            let mut account = meter.account(limit);
            if resource == Resource::FinishedIds {
                // They also go by time, without anybody counting.
                account.used = self.peers.finished_groups() as u64;
            }
            accounts.set(resource, account);
        }
        accounts
    }

    /// What the RPCs of one socket hold; `None` once it is closed.
    #[must_use]
    pub fn socket_accounts(&self, socket: SocketId) -> Option<Accounts> {
        let meters = &self.sockets.by_id(socket)?.meters;
        let limits = &self.config.limits;
        let mut accounts = Accounts::default();
        let rpcs_max = Some(limits.socket_rpcs_max.into());
        accounts.set(Resource::ClientRpcs, meters.client_rpcs.account(rpcs_max));
        accounts.set(Resource::ServerRpcs, meters.server_rpcs.account(rpcs_max));
        let incoming_max = Some(limits.socket_incoming_bytes_max);
        accounts.set(Resource::IncomingBytes, meters.incoming_bytes.account(incoming_max));
        let outgoing_max = Some(limits.socket_outgoing_bytes_max);
        accounts.set(Resource::OutgoingBytes, meters.outgoing_bytes.account(outgoing_max));
        Some(accounts)
    }

    /// Counts an RPC that was put into the table.
    pub(super) fn count_rpc(&mut self, key: RpcKey) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        let is_client = rpc.is_client();
        if let Some(socket) = self.sockets.of_rpc_mut(rpc.port, rpc.socket) {
            socket.meters.rpcs(is_client).raise(1);
        }
        if let Some(peer) = self.peers.get_mut(rpc.peer) {
            peer.open_rpcs += 1;
            peer.server_rpcs += u32::from(!is_client);
        }
        self.meters.client_rpcs.set(self.rpcs.clients().into());
        self.meters.server_rpcs.set(self.rpcs.servers().into());
        let outgoing = rpc.outgoing.as_ref().map_or(0, |out| out.length);
        self.hold_outgoing(key, outgoing);
    }

    /// Counts an RPC that was taken out of the table, whose memory was released before.
    pub(super) fn uncount_rpc(&mut self, is_client: bool, peer: u32, port: u16, socket: SocketId) {
        if let Some(socket) = self.sockets.of_rpc_mut(port, socket) {
            socket.meters.rpcs(is_client).lower(1);
        }
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.open_rpcs -= 1;
            peer.server_rpcs -= u32::from(!is_client);
        }
        self.meters.client_rpcs.set(self.rpcs.clients().into());
        self.meters.server_rpcs.set(self.rpcs.servers().into());
    }

    /// An RPC's outgoing message of `length` bytes is held from now on.
    pub(super) fn hold_outgoing(&mut self, key: RpcKey, length: u32) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        if let Some(socket) = self.sockets.of_rpc_mut(rpc.port, rpc.socket) {
            socket.meters.outgoing_bytes.raise(length.into());
        }
        self.meters.outgoing_bytes.raise(length.into());
    }

    /// Drops an RPC's outgoing message; whether there was one.
    pub(super) fn drop_outgoing(&mut self, key: RpcKey) -> bool {
        let Some(rpc) = self.rpcs.get_mut(key) else { return false };
        let Some(out) = rpc.outgoing.take() else { return false };
        if let Some(socket) = self.sockets.of_rpc_mut(rpc.port, rpc.socket) {
            socket.meters.outgoing_bytes.lower(out.length.into());
        }
        self.meters.outgoing_bytes.lower(out.length.into());
        true
    }

    /// Accounts for the memory that an incoming message needs up to an offset.
    pub(super) fn charge_incoming(&mut self, key: RpcKey, upto: u32) {
        let Some(rpc) = self.rpcs.get_mut(key) else { return };
        let Some(incoming) = rpc.incoming.as_mut() else { return };
        let more = u64::from(incoming.charge(incoming.charge_for(upto)));
        if more == 0 {
            return;
        }
        let is_request = !rpc.is_client();
        if let Some(socket) = self.sockets.of_rpc_mut(rpc.port, rpc.socket) {
            socket.meters.incoming_bytes.raise(more);
        }
        if let Some(peer) = self.peers.get_mut(rpc.peer).filter(|_| is_request) {
            peer.request_bytes += more;
        }
        self.meters.incoming_bytes.raise(more);
    }

    /// Drops what is known of an RPC's incoming message, and frees its memory; whether there was
    /// one.
    pub(super) fn drop_incoming(&mut self, key: RpcKey) -> bool {
        let Some(rpc) = self.rpcs.get_mut(key) else { return false };
        let Some(incoming) = rpc.incoming.take() else { return false };
        let charged = u64::from(incoming.charged);
        let is_request = !rpc.is_client();
        if matches!(rpc.state, State::Complete { .. } | State::Ready) {
            self.meters.unread_bytes.lower(incoming.bytes.length().into());
        }
        if let Some(socket) = self.sockets.of_rpc_mut(rpc.port, rpc.socket) {
            socket.meters.incoming_bytes.lower(charged);
        }
        if let Some(peer) = self.peers.get_mut(rpc.peer).filter(|_| is_request) {
            peer.request_bytes -= charged;
        }
        self.meters.incoming_bytes.lower(charged);
        self.meters.arrived_bytes.lower(incoming.bytes.received().into());
        self.meters.gaps.lower(incoming.bytes.gap_room());
        self.look_for_grants();
        true
    }

    /// Something changed that matters to messages which wait to be granted more, if there are any.
    pub(super) fn look_for_grants(&mut self) {
        let looked = self.reclaim_at.is_some() || self.grant_search.is_some();
        self.grants_due |= looked || self.grants.has_grantable();
    }

    /// Bytes that may still be accepted, or promised, before incoming memory is used up.
    pub(super) fn incoming_room(&self) -> u64 {
        self.config.limits.incoming_bytes_max.saturating_sub(self.meters.incoming_bytes.used())
    }
}
