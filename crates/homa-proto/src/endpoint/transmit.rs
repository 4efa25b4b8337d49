//! What leaves next: control packets, then retransmissions, then messages in order of their
//! remaining length (PROTOCOL section 10).

use super::{ControlPacket, Endpoint};
use crate::addr::PeerAddr;
use crate::cutoffs;
use crate::error::NoMemory;
use crate::event::{Payload, Transmit};
use crate::grant::GrantDecision;
use crate::observer::{Observer, TraceEvent};
use crate::pacer;
use crate::rpc::Rpc;
use crate::send::Next;
use crate::slab::RpcKey;
use crate::time::Instant;
use homa_wire::{Ack, Body, Data, DataLayout, Grant, Header, Priority};

/// Control packets that leave in a row while data waits.
const CONTROL_RUN_MAX: u32 = 8;

/// Entries of ended RPCs that the queue of retransmissions may hold besides as many as are open.
pub(super) const RESEND_QUEUE_SLACK: usize = 64;

impl<O: Observer> Endpoint<O> {
    /// The next packet to send, which counts as sent. A driver whose queue is full keeps what it
    /// has polled and polls no further.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        // Who makes this host send control packets all the time must not keep data from leaving.
        let data_first = self.control_run >= CONTROL_RUN_MAX;
        let first = if data_first { self.next_payload(now) } else { None };
        if data_first || self.control_queue.is_empty() {
            self.control_run = 0;
        }
        let transmit = first
            .or_else(|| self.next_control(now))
            .or_else(|| self.next_permitted_grant(now))
            .or_else(|| self.next_payload(now))?;
        self.count_transmit(now, &transmit);
        Some(transmit)
    }

    fn next_control(&mut self, now: Instant) -> Option<Transmit> {
        loop {
            let packet = self.control_queue.pop_front()?;
            self.uncount_control_packet(&packet);
            self.control_run += 1;
            let ControlPacket { peer, local, header, .. } = packet;
            if self.may_leave(now, &packet) {
                let priority = self.control_priority();
                return Some(Transmit { peer, local, priority, header, payload: None });
            }
        }
    }

    /// GRANTs beyond what a peer may draw are lost, as others are on the way: its next packets earn
    /// further ones.
    fn next_permitted_grant(&mut self, now: Instant) -> Option<Transmit> {
        loop {
            let transmit = self.next_grant(now)?;
            let Transmit { peer, local, header, .. } = transmit;
            let is_drawn = header.sender_id.is_server();
            if self.may_leave(now, &ControlPacket { peer, local, header, is_drawn }) {
                return Some(transmit);
            }
        }
    }

    /// Grants are decided when there is room to send them, after all packets of a batch.
    fn next_grant(&mut self, now: Instant) -> Option<Transmit> {
        let fifo_due = self.grants.next_time().is_some_and(|at| at <= now);
        if !self.grants_due && !fifo_due && self.grant_search.is_none() {
            return None;
        }
        if self.grants_due {
            self.grants.search_anew();
        }
        let (room, rpcs) = (self.incoming_room(), &self.rpcs);
        let memory_room = |slot: u32| {
            let incoming = rpcs.at(slot).and_then(|rpc| rpc.incoming.as_ref());
            incoming.map_or(0, |message| message.affordable(room).saturating_sub(message.granted))
        };
        let decision = self.grants.poll(now, |slot| u64::from(memory_room(slot)));
        let Some(GrantDecision { slot, offset, priority }) = decision else {
            return self.no_grant(now);
        };
        let key = self.rpcs.key_at(slot)?;
        let rpc = self.rpcs.get_mut(key)?;
        let incoming = rpc.incoming.as_mut()?;
        incoming.raise_granted(now, offset);
        // What is granted must find memory when it comes.
        // From now on the peer owes these bytes.
        rpc.patience.since = now;
        self.charge_incoming(key, offset);
        let rpc = self.rpcs.get(key)?;
        let transmit = Transmit {
            peer: self.peers.get(rpc.peer)?.addr,
            local: rpc.local,
            priority: self.control_priority(),
            header: self.rpcs.get(key)?.header(Body::Grant(Grant::new(offset, priority))),
            payload: None,
        };
        self.stats.grants_sent += 1;
        self.stats.fifo_grant_bytes = self.grants.fifo_bytes();
        self.rearm(key);
        Some(transmit)
    }

    /// Nobody can be granted anything now. If memory is why, the search goes on with the next call,
    /// and what holds memory to no purpose will be given up.
    fn no_grant(&mut self, now: Instant) -> Option<Transmit> {
        self.grants_due = false;
        self.grant_search = self.grants.search_goes_on().then_some(now);
        let short = self.grants.is_memory_short() && self.grant_search.is_none();
        self.reclaim_at = if short { self.next_reclaim(now) } else { None };
        None
    }

    /// Packets sent again and packets sent for the first time take turns while both wait: neither who
    /// asks for the same all the time nor who sends all the time keeps other messages from leaving.
    fn next_payload(&mut self, now: Instant) -> Option<Transmit> {
        self.paused_until = None;
        let transmit = if self.resent_last {
            self.next_data(now).or_else(|| self.next_resend(now))
        } else {
            self.next_resend(now).or_else(|| self.next_data(now))
        }?;
        self.resent_last = matches!(transmit.header.body, Body::Data(data) if data.retransmit);
        Some(transmit)
    }

    /// Messages with something to send again take turns, a packet each. Unless they are short they
    /// keep to the pace of the link, as with the kernel's queueing discipline: what receivers ask for
    /// again may be far more than it carries, and all else would wait for that to drain.
    fn next_resend(&mut self, now: Instant) -> Option<Transmit> {
        let pace = self.sender.pace(now);
        while let Some(key) = self.resend_queue.pop(pace.is_err()) {
            let Some(rpc) = self.rpcs.get_mut(key) else { continue };
            rpc.in_resend_queue = false;
            if self.must_wait_for_credit(now, key) {
                continue;
            }
            let Some(rpc) = self.rpcs.get_mut(key) else { continue };
            let Some(out) = rpc.outgoing.as_mut() else { continue };
            let Some(payload) = out.pop_resend() else { continue };
            let priority = out.resend_priority;
            if out.resend.is_empty() {
                rpc.patience.since = now;
                self.rearm(key);
            } else {
                self.enqueue_resend(key);
            }
            self.stats.resent_packets += 1;
            return self.data_packet(key, payload, priority, true);
        }
        if let Err(until) = pace
            && !self.resend_queue.is_empty()
        {
            self.pause(now, until);
        }
        None
    }

    fn next_data(&mut self, now: Instant) -> Option<Transmit> {
        loop {
            let slot = match self.sender.next(now) {
                Next::Message(slot) => slot,
                Next::Nothing => return None,
                Next::PausedUntil(until) => {
                    self.pause(now, until);
                    return None;
                }
            };
            let key = self.rpcs.key_at(slot)?;
            if self.must_wait_for_credit(now, key) {
                continue;
            }
            let Some((payload, rank)) = self.pop_packet(now, key) else { continue };
            let priority = self.data_priority(key, payload);
            let transmit = self.data_packet(key, payload, priority, false)?;
            let wire_bytes = self.transmit_wire_bytes(&transmit);
            if self.sender.sent(now, slot, rank, wire_bytes) {
                self.stats.pacer_fifo_bytes += u64::from(wire_bytes);
            }
            return Some(transmit);
        }
    }

    fn pause(&mut self, now: Instant, until: Instant) {
        if self.paused_until.replace(until).is_none() {
            self.stats.pacer_pauses += 1;
            self.trace(now, TraceEvent::PacerPaused { until });
        }
    }

    /// Takes the next packet of a message, and the rank it had before.
    fn pop_packet(&mut self, now: Instant, key: RpcKey) -> Option<(Payload, u32)> {
        let rpc = self.rpcs.get_mut(key)?;
        let is_client = rpc.is_client();
        let popped = rpc.outgoing.as_mut().and_then(|out| {
            let rank = out.rank();
            out.pop_next().map(|payload| (payload, rank))
        });
        let out = rpc.outgoing.as_ref();
        if let Some(out) = out.filter(|out| out.is_sendable()) {
            self.sender.set(key.slot(), out.rank(), rpc.birth);
            return popped;
        }
        self.sender.remove(key.slot());
        if let Some(out) = out.filter(|out| out.is_sent()) {
            let length = u64::from(out.length);
            rpc.sent_at.get_or_insert(now);
            if is_client {
                self.stats.client_requests_done += 1;
                self.stats.client_request_bytes_done += length;
            } else {
                self.stats.server_responses_done += 1;
                self.stats.server_response_bytes_done += length;
            }
        }
        // It is the other side's turn now.
        rpc.patience.since = now;
        self.rearm(key);
        popped
    }

    /// The priority of a packet sent for the first time (PROTOCOL section 9).
    fn data_priority(&self, key: RpcKey, payload: Payload) -> Priority {
        let out = self.rpcs.get(key).and_then(|rpc| rpc.outgoing.as_ref());
        match out {
            // An announcement has no bytes, and is as urgent as the shortest message.
            _ if payload.is_empty() => self.unscheduled_priority(key, 1),
            Some(out) if payload.start >= out.unscheduled => {
                self.clamp_priority(out.scheduled_priority)
            }
            Some(out) if self.config.unscheduled_by_remaining => {
                self.unscheduled_priority(key, out.length - payload.start)
            }
            _ => self.unscheduled_priority(key, u32::MAX),
        }
    }

    /// The level that the receiver wants for unscheduled bytes of a message of such a length, or of
    /// this one's if that is less (HOMA-CUTOFFS-2).
    pub(super) fn unscheduled_priority(&self, key: RpcKey, length: u32) -> Priority {
        let levels = self.config.priority_levels;
        let rpc = self.rpcs.get(key);
        let chosen = rpc.and_then(|rpc| {
            let out = rpc.outgoing.as_ref()?;
            let table = &self.peers.get(rpc.peer)?.cutoffs;
            let by_length = cutoffs::unscheduled_priority(table, levels, length.min(out.length));
            Some(out.unscheduled_priority.unwrap_or(by_length))
        });
        chosen.unwrap_or(Priority::LOWEST)
    }

    /// A DATA packet. First transmissions take an ack along (HOMA-ACK-5).
    fn data_packet(
        &mut self,
        key: RpcKey,
        payload: Payload,
        priority: Priority,
        retransmit: bool,
    ) -> Option<Transmit> {
        let rpc = self.rpcs.get(key)?;
        let peer = self.peers.get_mut(rpc.peer)?;
        let ack = if retransmit { None } else { peer.acks.pop() };
        let header = data_header(rpc, payload, ack, peer.cutoff_version, retransmit)?;
        let (peer, local) = (peer.addr, rpc.local);
        self.drew_data(key, payload.len());
        let payload = (!payload.is_empty()).then_some((key, payload));
        Some(Transmit { peer, local, priority, header, payload })
    }

    /// Puts an RPC with something to send again into the queue, once.
    pub(super) fn enqueue_resend(&mut self, key: RpcKey) {
        let Some(rpc) =
            self.rpcs.get_mut(key).filter(|rpc| !rpc.in_resend_queue && !rpc.credit.held)
        else {
            return;
        };
        let Some(out) = &rpc.outgoing else { return };
        rpc.in_resend_queue = true;
        self.resend_queue.push(key, self.sender.is_paced(key.slot(), out.length));
        // RPCs that have ended leave their entries behind while nothing can be sent.
        if self.resend_queue.len() > 2 * self.rpcs.len() as usize + RESEND_QUEUE_SLACK {
            let rpcs = &self.rpcs;
            self.resend_queue.retain(|key| rpcs.get(key).is_some());
        }
        self.meters.resend_queue.set(self.resend_queue.len() as u64);
    }

    /// Makes room for the entries of so many RPCs and those that ended ones leave behind.
    pub(super) fn reserve_resends(&mut self, rpcs: usize) -> Result<(), NoMemory> {
        self.resend_queue.reserve(2 * rpcs + RESEND_QUEUE_SLACK + 1)
    }

    fn count_transmit(&mut self, now: Instant, transmit: &Transmit) {
        let wire_bytes = self.transmit_wire_bytes(transmit);
        let is_first_data = match transmit.header.body {
            Body::Data(data) => !data.retransmit,
            _ => false,
        };
        if !is_first_data && !transmit.peer.ip().is_loopback() {
            self.sender.sent_other(now, wire_bytes);
        }
        let level = transmit.priority.index();
        let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
        let header_len = transmit.header.emitted_len(self.config.wire_version) as u64;
        self.stats.packets_sent[transmit.header.packet_type().index()] += 1;
        self.stats.priority_packets[level] += 1;
        self.stats.priority_bytes[level] += header_len + u64::from(payload_len);
        let Transmit { peer, header, priority, .. } = *transmit;
        self.trace(now, TraceEvent::PacketSent { peer, header, payload_len, priority });
    }

    fn transmit_wire_bytes(&self, transmit: &Transmit) -> u32 {
        let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
        self.wire_bytes(&transmit.header, payload_len, &transmit.peer)
    }

    /// Bytes that a packet from or to a peer takes up on an Ethernet link.
    pub(super) fn wire_bytes(&self, header: &Header, payload_len: u32, peer: &PeerAddr) -> u32 {
        let homa = header.emitted_len(self.config.wire_version) as u32 + payload_len;
        pacer::wire_bytes(homa + self.encapsulation.overhead(), peer.is_ipv6())
    }
}

fn data_header(
    rpc: &Rpc,
    payload: Payload,
    ack: Option<Ack>,
    cutoff_version: u16,
    retransmit: bool,
) -> Option<Header> {
    let out = rpc.outgoing.as_ref()?;
    Some(rpc.header(Body::Data(Data {
        message_length: out.length,
        // Of a retransmission, the end of the range sent again (WIRE section 4).
        incoming: if retransmit { payload.end } else { out.unscheduled },
        ack,
        cutoff_version,
        retransmit,
        incast: rpc.incast && rpc.is_client(),
        offset: payload.start,
        layout: DataLayout::default(),
    })))
}
