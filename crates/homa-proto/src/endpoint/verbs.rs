//! What the application asks for.

use super::{ControlPacket, Endpoint};
use crate::account::Resource;
use crate::addr::{LocalAddr, PeerAddr};
use crate::error::{Cancelled, Failure, Limit, ReplyError, SendError};
use crate::observer::{Observer, TraceEvent};
use crate::peer_table::PeerError;
use crate::rpc::{CreditWait, Patience, Rpc, State};
use crate::slab::RpcKey;
use crate::sockets::SocketId;
use crate::time::{Duration, Instant};
use homa_wire::{Ack, Body, Header, Priority, Refuse, RefuseReason};

/// Choices for one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallOptions {
    /// How long the call may take in all; `None` for `Timing::call_deadline`.
    pub deadline: Option<Duration>,
    /// Priority of the request's unscheduled bytes instead of the level that the receiver's
    /// cutoffs give; clamped to the levels in use.
    pub priority: Option<Priority>,
}

impl<O: Observer> Endpoint<O> {
    /// Starts an RPC: a request of `length` bytes from `socket` to a Homa port of a peer. The
    /// driver holds the bytes until [`crate::Event::Release`].
    ///
    /// # Errors
    ///
    /// See [`SendError`]; nothing has happened then.
    pub fn send_request(
        &mut self,
        now: Instant,
        socket: SocketId,
        peer: PeerAddr,
        port: u16,
        length: u32,
        options: CallOptions,
    ) -> Result<RpcKey, SendError> {
        let local_port = self.sockets.by_id(socket).ok_or(SendError::NoSocket)?.port;
        if let Err(error) = self.check_request(socket, port, length) {
            if let SendError::Full(limit) = error {
                self.count_refusal(local_port, socket, limit);
            }
            return Err(error);
        }
        let peers_max = self.config.limits.peers_max;
        let peer_slot = self.peer_slot(now, &peer).map_err(|error| match error {
            PeerError::Full => SendError::Full(Limit::of_host(Resource::Peers, peers_max.into())),
            PeerError::NoMemory => SendError::NoMemory,
        })?;
        let mut outgoing = self.new_outgoing(peer_slot, length, u32::MAX);
        outgoing.unscheduled_priority = options.priority.map(|p| self.clamp_priority(p));
        let id = self.ids.next();
        let call_deadline = self.timeout_after(now, options.deadline);
        let rpc = Rpc {
            id,
            state: State::Requesting,
            socket,
            port: local_port,
            peer: peer_slot,
            peer_port: port,
            local: LocalAddr::ANY,
            birth: self.next_birth,
            sent_at: None,
            outgoing: Some(outgoing),
            incoming: None,
            patience: Patience::new(now),
            call_deadline,
            in_resend_queue: false,
            credit: CreditWait::default(),
            incast: self.expects_incast(),
            streamed: false,
        };
        let key = self.insert_rpc(rpc).map_err(|_| SendError::NoMemory)?;
        self.stats.client_requests_started += 1;
        self.stats.client_request_bytes_started += u64::from(length);
        self.stats.sent_msg_bytes += u64::from(length);
        self.trace(now, TraceEvent::RpcStarted { id, peer, length });
        self.schedule_send(key);
        self.look_by(key, call_deadline.min(self.soon(now)));
        Ok(key)
    }

    /// The application has taken the response: the RPC ends, and its acknowledgement is due
    /// (PROTOCOL section 6). Without effect unless the response is complete.
    pub fn finish(&mut self, now: Instant, key: RpcKey) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        let State::Complete { acked } = rpc.state else { return };
        let id = rpc.id;
        if !acked {
            self.acknowledge(key);
        }
        self.trace(now, TraceEvent::RpcFinished { id });
        self.remove_rpc(now, key, false);
    }

    /// The application has taken a complete request: it is in service, and its bytes are the
    /// application's. Without effect in other states.
    pub fn accept(&mut self, _now: Instant, key: RpcKey) {
        if self.rpcs.get(key).is_none_or(|rpc| rpc.state != State::Ready) {
            return;
        }
        self.drop_incoming(key);
        if let Some(rpc) = self.rpcs.get_mut(key) {
            rpc.state = State::InService;
        }
    }

    /// The application reads a request while it arrives: from now on the request is kept, should
    /// its client fall silent, until the client would have given up, and its id is remembered
    /// whatever becomes of it, so that the application never sees it twice. Without effect on
    /// requests that have arrived whole.
    pub fn begin_stream(&mut self, key: RpcKey) {
        if let Some(rpc) = self.rpcs.get_mut(key).filter(|rpc| rpc.state == State::Collecting) {
            rpc.streamed = true;
        }
    }

    /// Starts the response to a request that was accepted. The driver holds the bytes until
    /// [`crate::Event::Release`].
    ///
    /// # Errors
    ///
    /// See [`ReplyError`]; the RPC remains answerable unless it is [`ReplyError::Gone`].
    pub fn send_reply(&mut self, now: Instant, key: RpcKey, length: u32) -> Result<(), ReplyError> {
        let rpc = self.rpcs.get(key).ok_or(ReplyError::Gone)?;
        let (id, peer, port, socket) = (rpc.id, rpc.peer, rpc.port, rpc.socket);
        if let Err(error) = self.check_reply(key, length) {
            if let ReplyError::Full(limit) = error {
                self.count_refusal(port, socket, limit);
            }
            return Err(error);
        }
        let limit = if rpc.incast { self.config.incast_unscheduled_bytes } else { u32::MAX };
        let outgoing = self.new_outgoing(peer, length, limit);
        self.quit_line(key);
        let rpc = self.rpcs.get_mut(key).ok_or(ReplyError::Gone)?;
        rpc.outgoing = Some(outgoing);
        rpc.state = State::Replying;
        // The client's silence counts from now on.
        rpc.patience = Patience::new(now);
        self.watch(key, now);
        self.hold_outgoing(key, length);
        self.stats.server_responses_started += 1;
        self.stats.server_response_bytes_started += u64::from(length);
        self.stats.sent_msg_bytes += u64::from(length);
        self.trace(now, TraceEvent::ReplyStarted { id, length });
        self.schedule_send(key);
        self.challenge_if_needed(now, key, length);
        self.look_by(key, self.soon(now));
        Ok(())
    }

    /// The application won't answer this request: the client is told why, now and whenever it
    /// asks within `Timing::refusal_memory`. The driver drops all it holds for the RPC; no event
    /// follows. Without effect on client RPCs and on requests that were answered.
    pub fn refuse(&mut self, now: Instant, key: RpcKey, reason: RefuseReason) {
        let open =
            |rpc: &&Rpc| matches!(rpc.state, State::Collecting | State::Ready | State::InService);
        if self.rpcs.get(key).filter(open).is_none() {
            return;
        }
        self.drop_incoming(key);
        self.watched.remove(key.slot());
        let Some(rpc) = self.rpcs.get_mut(key) else { return };
        let detail = 0;
        let until = now + self.config.timing.refusal_memory;
        rpc.state = State::Refused { reason, detail, until };
        let (id, peer) = (rpc.id, rpc.peer);
        self.grants.remove(key.slot());
        self.grants_due = true;
        self.refused_rpcs += 1;
        self.stop_probing(now, key, peer, false);
        self.stats.server_requests_refused += 1;
        self.trace(now, TraceEvent::RequestRefused { id, reason });
        if self.config.refuse {
            self.send_control(key, Body::Refuse(Refuse { reason, detail }));
        }
        self.rearm(key);
    }

    /// Ends a client RPC in which the application has lost interest, and tells the server so by
    /// one RPC_UNKNOWN. The driver drops all it holds for the RPC; no event follows.
    pub fn abort(&mut self, now: Instant, key: RpcKey) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        let id = rpc.id;
        match rpc.state {
            // The server has done its part; an ack frees it as well.
            State::Complete { .. } => return self.finish(now, key),
            State::Requesting | State::Receiving => {}
            _ => return,
        }
        self.send_control(key, Body::RpcUnknown);
        self.stats.client_rpcs_aborted += 1;
        self.trace(now, TraceEvent::RpcAborted { id });
        self.remove_rpc(now, key, false);
    }

    /// Closes a socket: its client RPCs fail (but those with a complete response, which count as
    /// finished), its server RPCs are cancelled, their other sides are told, and later packets for
    /// its port find nobody. Acknowledgements that wait for company leave, so that servers need not
    /// ask a host that may be gone. Takes time proportional to the number of open RPCs and peers.
    pub fn close(&mut self, now: Instant, socket: SocketId) {
        if self.sockets.close(socket).is_none() {
            return;
        }
        for slot in 0..self.rpcs.slots() {
            let Some(key) = self.rpcs.key_at(slot) else { continue };
            let Some(rpc) = self.rpcs.get(key).filter(|rpc| rpc.socket == socket) else { continue };
            match (rpc.is_client(), rpc.state) {
                // The response is there, and the driver has been told.
                (true, State::Complete { .. }) => self.finish(now, key),
                (true, _) => self.fail(now, key, Failure::ShutDown),
                (false, _) => self.cancel(now, key, Cancelled::ShutDown),
            }
        }
        self.send_waiting_acks();
    }

    /// Whether so many calls are open that the response to a further one should not come unasked.
    fn expects_incast(&self) -> bool {
        self.config.incast_calls_max.is_some_and(|max| self.rpcs.clients() >= max)
    }

    /// Queues all acknowledgements that wait for a packet to take them along.
    fn send_waiting_acks(&mut self) {
        for slot in 0..self.peers.slots() {
            while let Some(packet) = self.waiting_acks(slot) {
                self.queue_control(packet);
            }
        }
    }

    /// An ACK with acknowledgements that wait for this peer, as many as it holds.
    pub(super) fn waiting_acks(&mut self, peer: u32) -> Option<ControlPacket> {
        let peer = self.peers.get_mut(peer)?;
        let (Ack { client_id, server_port }, port) = peer.acks.last()?;
        peer.acks.pop();
        let acks = Body::Ack(peer.acks.take_list());
        let header = Header::new(port, server_port, client_id, acks);
        Some(ControlPacket { peer: peer.addr, local: LocalAddr::ANY, header, is_drawn: false })
    }

    /// Has the acknowledgement of a completed client RPC leave with the next DATA to its server, or
    /// together with five others when nothing else is to be sent.
    fn acknowledge(&mut self, key: RpcKey) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        let Some(peer) = self.peers.get_mut(rpc.peer) else { return };
        let ack = Ack { client_id: rpc.id, server_port: rpc.peer_port };
        if !peer.acks.push(ack, rpc.port) {
            let header = rpc.header(Body::Ack(peer.acks.take_list()));
            let (peer, local) = (peer.addr, rpc.local);
            self.stats.ack_overflows += 1;
            self.queue_control(ControlPacket { peer, local, header, is_drawn: false });
            return;
        }
        // Without memory for the list they wait for DATA, or to be asked for.
        if peer.acks.are_many() && !peer.acks.listed && self.crowded.try_reserve(1).is_ok() {
            peer.acks.listed = true;
            self.crowded.push(rpc.peer);
        }
    }
}
