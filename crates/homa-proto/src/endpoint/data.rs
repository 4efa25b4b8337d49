//! DATA: requests begin, messages grow and complete (PROTOCOL section 4).

use super::Endpoint;
use super::receive::Packet;
use crate::error::Failure;
use crate::event::Event;
use crate::finished::Recorded;
use crate::grant::IncomingMessage;
use crate::incoming::Incoming;
use crate::observer::{DropReason, Observer, TraceEvent};
use crate::peer_table::FinishedLimits;
use crate::reassembly::InsertError;
use crate::rpc::{CreditWait, Patience, Rpc, State};
use crate::slab::RpcKey;
use crate::sockets::Socket;
use crate::time::Instant;
use homa_wire::{Ack, Body, Data, PacketType, Refuse, RefuseReason};

impl<O: Observer> Endpoint<O> {
    /// DATA of an RPC that exists. Returns the RPC and offset of accepted payload.
    pub(super) fn on_data(
        &mut self,
        packet: &Packet<'_>,
        key: RpcKey,
        data: &Data,
    ) -> Option<(RpcKey, u32)> {
        let rpc = self.rpcs.get(key)?;
        let (peer, state) = (rpc.peer, rpc.state);
        self.check_cutoff_version(packet, key, peer, data.cutoff_version);
        let accepted = match state {
            State::Requesting => self.begin_response(packet, key, data),
            State::Receiving | State::Collecting => true,
            State::Refused { reason, detail, .. } => {
                self.send_control(key, Body::Refuse(Refuse { reason, detail }));
                false
            }
            State::Complete { .. } | State::Ready | State::InService | State::Replying => {
                self.count_duplicate(packet, data);
                false
            }
        };
        let delivered = accepted && self.accept_data(packet, key, data);
        // Later, so that a completed request is known before others end.
        self.put_off = data.ack.map(|ack| (peer, ack));
        delivered.then_some((key, data.offset))
    }

    /// The first DATA of a request: creates the RPC, or says why not.
    pub(super) fn on_first_data(
        &mut self,
        packet: &Packet<'_>,
        socket: &Socket,
        data: &Data,
    ) -> Option<(RpcKey, u32)> {
        let created = self.create_server_rpc(packet, socket, data);
        if let Some((key, peer)) = created {
            self.hear(packet.now, key, PacketType::Data);
            self.check_cutoff_version(packet, key, peer, data.cutoff_version);
        }
        let delivered = created.filter(|&(key, _)| self.accept_data(packet, key, data));
        self.put_off = packet.peer.zip(data.ack);
        delivered.map(|(key, _)| (key, data.offset))
    }

    /// The new RPC, and the slot of its peer.
    fn create_server_rpc(
        &mut self,
        packet: &Packet<'_>,
        socket: &Socket,
        data: &Data,
    ) -> Option<(RpcKey, u32)> {
        let now = packet.now;
        if let Some((reason, detail)) = self.refusal_of_request(socket, data) {
            self.refuse_packet(packet, reason, detail);
            self.drop_packet(packet, DropReason::Refused);
            return None;
        }
        if self.is_overloaded(packet, socket, data) {
            self.answer_overload(packet);
            return None;
        }
        if data.message_length == 0 {
            self.stats.length_mismatches += 1;
            self.drop_packet(packet, DropReason::BadLength);
            return None;
        }
        if data.offset.saturating_add(packet.payload_len) > data.message_length {
            self.count_insert_error(packet, InsertError::OutOfRange);
            return None;
        }
        let Some(peer) = packet.peer.or_else(|| self.meet_peer(packet)) else {
            self.cant_create(packet);
            return None;
        };
        let id = packet.header.sender_id.flipped();
        let memory = self.config.timing.finished_memory;
        if self.peers.is_finished(now, peer, id.0, memory) {
            self.on_finished_request(packet, peer, id.0, data.retransmit);
            return None;
        }
        let rpc = Rpc {
            id,
            state: State::Collecting,
            socket: socket.id,
            port: socket.port,
            peer,
            peer_port: packet.header.source_port,
            local: packet.meta.local,
            birth: self.next_birth,
            sent_at: None,
            outgoing: None,
            incoming: Some(self.new_incoming(data)),
            patience: Patience::new(now),
            call_deadline: Instant::FAR_FUTURE,
            in_resend_queue: false,
            credit: CreditWait::default(),
            incast: data.incast,
            streamed: false,
        };
        let Ok(key) = self.insert_rpc(rpc) else {
            self.cant_create(packet);
            return None;
        };
        self.stats.server_requests_started += 1;
        let event =
            TraceEvent::RpcStarted { id, peer: packet.meta.peer, length: data.message_length };
        self.trace(now, event);
        // Even if nothing of this packet can be taken.
        self.look_by(key, self.soon(now));
        Some((key, peer))
    }

    /// The slot of a sender that was unknown, if there is room for it.
    fn meet_peer(&mut self, packet: &Packet<'_>) -> Option<u32> {
        let peer = self.peer_slot(packet.now, &packet.meta.peer).ok()?;
        self.earn(peer, packet);
        Some(peer)
    }

    /// A packet of a request that has been executed. It is remembered for as long as such packets
    /// come, however long the memory is: a client that sends it again still waits for a response,
    /// which was given up here (its packets would not leave, or the client was silent), and is told
    /// so rather than left asking until its deadline.
    fn on_finished_request(
        &mut self,
        packet: &Packet<'_>,
        peer: u32,
        id: u64,
        is_retransmission: bool,
    ) {
        self.stats.finished_rpc_packets += 1;
        self.record_finished(packet.now, peer, id);
        if is_retransmission {
            self.refuse_packet(packet, RefuseReason::DroppedUnanswered, 0);
        }
        self.drop_packet(packet, DropReason::Finished);
    }

    /// Why a new request is refused, if it is, and the limit in question.
    fn refusal_of_request(&self, socket: &Socket, data: &Data) -> Option<(RefuseReason, u32)> {
        if let Some(reason) = Self::refusal_of(socket) {
            return Some((reason, 0));
        }
        let length_max = self.config.message_length_max;
        (data.message_length > length_max).then_some((RefuseReason::TooLong, length_max))
    }

    fn cant_create(&mut self, packet: &Packet<'_>) {
        self.stats.server_cant_create_rpcs += 1;
        self.answer_overload(packet);
    }

    /// The first DATA of a response. False if its length is not allowed: the call fails
    /// (KNOWN_ISSUES 1.6).
    fn begin_response(&mut self, packet: &Packet<'_>, key: RpcKey, data: &Data) -> bool {
        let allowed = 1..=self.config.message_length_max;
        if !allowed.contains(&data.message_length) {
            self.stats.length_mismatches += 1;
            self.drop_packet(packet, DropReason::BadLength);
            self.fail(packet.now, key, Failure::BadResponse);
            return false;
        }
        let incoming = self.new_incoming(data);
        let Some(rpc) = self.rpcs.get_mut(key) else { return false };
        rpc.state = State::Receiving;
        rpc.incoming = Some(incoming);
        self.stats.client_responses_started += 1;
        // The server executed the request, so nothing of it will ever be needed again.
        self.release_outgoing(key);
        true
    }

    fn new_incoming(&self, data: &Data) -> Incoming {
        let limits = &self.config.limits;
        Incoming::new(data.message_length, data.incoming, limits.gaps_max)
    }

    /// Adds a packet's bytes to a message. Returns whether any are new (they are in `fresh`).
    fn accept_data(&mut self, packet: &Packet<'_>, key: RpcKey, data: &Data) -> bool {
        let now = packet.now;
        let Some(rpc) = self.rpcs.get_mut(key) else { return false };
        let Some(incoming) = rpc.incoming.as_mut() else { return false };
        if data.message_length != incoming.bytes.length() {
            self.stats.length_mismatches += 1;
            self.drop_packet(packet, DropReason::BadLength);
            return false;
        }
        let peer = rpc.peer;
        let end = data.offset.saturating_add(packet.payload_len);
        if end > data.message_length {
            self.count_insert_error(packet, InsertError::OutOfRange);
            return false;
        }
        // Not by packets that contradict the message: if its first one was wrong, all others do, and
        // only its end lets the peer begin it anew.
        rpc.patience.renew(now);
        rpc.patience.busy_streak = 0;
        if !self.charge(packet, key, end) {
            return false;
        }
        // What the scheduler does not know would never be granted the rest.
        let is_part = packet.payload_len < data.message_length;
        if is_part
            && self.grants.granted(key.slot()).is_none()
            && self.grants.reserve(key.slot(), peer).is_err()
        {
            self.count_insert_error(packet, InsertError::NoMemory);
            return false;
        }
        if self.grants.is_informed() {
            let Packet { meta, header, payload_len, segment_bytes, .. } = *packet;
            let wire_bytes = self.run_wire_bytes(header, payload_len, segment_bytes, &meta.peer);
            self.grants.arrived(now, wire_bytes);
        }
        let Some(incoming) = self.rpcs.get_mut(key).and_then(|rpc| rpc.incoming.as_mut()) else {
            return false;
        };
        let (prefix, highest) = (incoming.bytes.prefix(), incoming.bytes.highest());
        let limits = &self.config.limits;
        let room_for_gaps = self.meters.gaps.used() < limits.gaps_total_max;
        incoming.bytes.limit_gaps(room_for_gaps.then_some(limits.gaps_max));
        let gap_room = incoming.bytes.gap_room();
        let new_bytes = match incoming.bytes.insert(data.offset, end, &mut self.fresh) {
            Ok(0) if packet.payload_len > 0 => {
                self.count_duplicate(packet, data);
                return false;
            }
            Ok(new_bytes) => new_bytes,
            Err(error) => {
                self.count_insert_error(packet, error);
                return false;
            }
        };
        let is_first = !core::mem::replace(&mut incoming.begun, true);
        self.stats.resent_packets_used += u64::from(data.retransmit) * packet.count();
        self.stats.gaps_created += u64::from(data.offset > highest);
        let observed = incoming.arrived(now, data.offset, end, data.retransmit);
        self.meters.arrived_bytes.raise(new_bytes.into());
        // In this order: room that only changed its place is no new high-water mark.
        self.meters.gaps.lower(gap_room);
        self.meters.gaps.raise(incoming.bytes.gap_room());
        if let Some(peer) = self.peers.get_mut(peer) {
            observed.grant_delay.into_iter().for_each(|delay| peer.delay.sample(delay));
            observed.reordering.into_iter().for_each(|late| peer.delay.reordered_by(late));
        }
        self.note_progress(packet, key, is_first, prefix);
        new_bytes > 0
    }

    /// What follows from new bytes of a message: it is complete, or the scheduler learns of it.
    fn note_progress(&mut self, packet: &Packet<'_>, key: RpcKey, is_first: bool, prefix: u32) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        let Some(incoming) = rpc.incoming.as_ref() else { return };
        let (length, received) = (incoming.bytes.length(), incoming.bytes.received());
        let upto = incoming.bytes.prefix();
        let (is_client, peer, birth) = (rpc.is_client(), rpc.peer, rpc.birth);
        let granted = incoming.granted;
        if is_first {
            let by_remaining = self.config.unscheduled_by_remaining;
            let segment_bytes = if by_remaining { self.packet_payload_max(peer) } else { length };
            self.traffic.record(length, segment_bytes);
            self.stats.count_message(length);
            self.update_cutoffs(packet.now);
        }
        if received == length {
            self.complete(packet, key);
            return;
        }
        let slot = key.slot();
        if self.grants.granted(slot).is_none() {
            let segment_bytes = self.packet_payload_max(peer);
            let unscheduled = granted;
            let message =
                IncomingMessage { slot, peer, length, unscheduled, received, segment_bytes, birth };
            let inserted = self.grants.insert(packet.now, message);
            debug_assert!(inserted.is_ok(), "room was reserved before");
        } else {
            self.grants.progress(slot, received);
        }
        self.grants_due = true;
        if is_first && !is_client {
            self.watch(key, packet.now);
            self.tell_if_room(Event::RequestStarted { key });
        }
        if upto > prefix {
            self.tell_if_room(Event::Readable { key, upto });
        }
        self.rearm(key);
    }

    /// All bytes of the message are there.
    fn complete(&mut self, packet: &Packet<'_>, key: RpcKey) {
        self.grants.remove(key.slot());
        self.look_for_grants();
        self.watched.remove(key.slot());
        let Some(rpc) = self.rpcs.get_mut(key) else { return };
        let length = rpc.incoming.as_ref().map_or(0, |incoming| incoming.bytes.length());
        self.meters.unread_bytes.raise(length.into());
        let id = rpc.id;
        let is_client = rpc.is_client();
        // Who reads a request as it arrives has accepted it.
        let waits = !is_client && !rpc.streamed;
        let event = if is_client {
            rpc.state = State::Complete { acked: false };
            self.stats.client_responses_done += 1;
            self.stats.client_response_bytes_done += u64::from(length);
            Event::ResponseComplete { key }
        } else {
            rpc.state = State::Ready;
            self.stats.server_requests_done += 1;
            self.stats.server_request_bytes_done += u64::from(length);
            Event::RequestComplete { key }
        };
        if waits {
            self.enqueue_unaccepted(packet.now, key);
        }
        self.trace(packet.now, TraceEvent::MessageComplete { id, length });
        self.tell(event);
        // The deadline that it has comes no later than the next one, if there is one.
    }

    /// Accounts for the memory that a packet's bytes will need. False if there is none: the packet
    /// is dropped, and asked for again later (PROTOCOL section 15).
    fn charge(&mut self, packet: &Packet<'_>, key: RpcKey, end: u32) -> bool {
        let fits = |this: &Self| {
            let incoming = this.rpcs.get(key).and_then(|rpc| rpc.incoming.as_ref());
            incoming.is_some_and(|incoming| incoming.fits(end, this.incoming_room()))
        };
        if !(fits(self) || self.make_room(packet) && fits(self)) {
            self.stats.dropped_data_no_bufs += u64::from(packet.payload_len);
            self.meters.incoming_bytes.refuse();
            self.drop_packet(packet, DropReason::NoMemory);
            return false;
        }
        self.charge_incoming(key, end);
        true
    }

    /// A sender whose cutoffs are not ours is told them (HOMA-CUTOFFS-10, HOMA-CUTOFFS-11), at most
    /// once per `cutoffs_spacing`.
    fn check_cutoff_version(&mut self, packet: &Packet<'_>, key: RpcKey, peer: u32, version: u16) {
        if self.take_echo(packet.now, peer, version) {
            return;
        }
        let spacing = self.config.timing.cutoffs_spacing;
        let due =
            self.peers.get_mut(peer).is_some_and(|peer| peer.may_send_cutoffs(packet.now, spacing));
        if due {
            self.send_cutoffs(key, peer);
        } else {
            self.stats.cutoffs_suppressed += 1;
        }
    }

    /// Lets observed traffic move our own cutoffs (PROTOCOL section 9, homa_prio).
    fn update_cutoffs(&mut self, now: Instant) {
        if self.traffic.recompute(now).is_some() {
            self.stats.cutoff_changes += 1;
            self.grants.set_cutoffs(self.traffic.cutoffs());
        }
    }

    /// The peer, as client, has the response to one of its RPCs (HOMA-DATA-7). Any socket's RPC may
    /// be named; the port in the ack says whose.
    pub(super) fn on_acknowledged(&mut self, now: Instant, peer: u32, ack: Ack) {
        if !ack.client_id.is_client() {
            self.stats.misplaced_packets += 1;
            return;
        }
        let key = self.rpcs.find(ack.client_id.flipped(), peer);
        let acked = key.filter(|&key| {
            self.rpcs.get(key).is_some_and(|rpc| {
                rpc.port == ack.server_port
                    && rpc.state == State::Replying
                    && rpc.outgoing.as_ref().is_some_and(|out| out.is_sent())
            })
        });
        if let Some(key) = acked {
            self.finish_acked(now, key);
        }
    }

    pub(super) fn record_finished(&mut self, now: Instant, peer: u32, id: u64) {
        let limits = FinishedLimits {
            memory: self.config.timing.finished_memory,
            per_peer_max: self.config.limits.finished_ids_max,
            total_max: self.config.limits.finished_ids_total_max,
        };
        match self.peers.record_finished(now, peer, id, limits) {
            Recorded::Ok => {}
            Recorded::ForgotEarly | Recorded::NoMemory => {
                self.stats.finished_ids_forgotten += 1;
                self.meters.finished_ids.refuse();
            }
        }
        self.meters.finished_ids.set(self.peers.finished_groups() as u64);
    }

    fn count_duplicate(&mut self, packet: &Packet<'_>, data: &Data) {
        if data.retransmit {
            self.stats.resent_discards += packet.count();
        } else {
            self.stats.packet_discards += packet.count();
        }
        self.drop_packet(packet, DropReason::Duplicate);
    }

    fn count_insert_error(&mut self, packet: &Packet<'_>, error: InsertError) {
        let reason = match error {
            InsertError::OutOfRange => {
                self.stats.range_errors += packet.count();
                DropReason::BadRange
            }
            InsertError::TooManyGaps => {
                self.stats.gap_overflows += packet.count();
                self.meters.gaps.refuse();
                DropReason::TooManyGaps
            }
            InsertError::NoMemory => {
                self.stats.dropped_data_no_bufs += u64::from(packet.payload_len);
                DropReason::NoMemory
            }
        };
        self.drop_packet(packet, reason);
    }
}
