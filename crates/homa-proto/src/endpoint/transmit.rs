//! What leaves next: control packets, then retransmissions, then messages in order of their
//! remaining length (PROTOCOL section 10).

use super::{ControlPacket, Endpoint};
use crate::addr::PeerAddr;
use crate::cutoffs;
use crate::error::NoMemory;
use crate::event::{Payload, RunMax, Transmit, each_packet, packets_of};
use crate::grant::GrantDecision;
use crate::observer::{Observer, TraceEvent};
use crate::pacer;
use crate::send::Next;
use crate::slab::RpcKey;
use crate::time::Instant;
use homa_wire::{Body, DATA_HEADER_LEN, Data, DataLayout, Grant, Header, Priority};

/// Control packets that leave in a row while data waits.
const CONTROL_RUN_MAX: u32 = 8;

/// Entries of ended RPCs that the queue of retransmissions may hold besides as many as are open.
pub(super) const RESEND_QUEUE_SLACK: usize = 64;

/// A DATA packet that is to leave now, or a run of them: small, so that choosing moves little.
#[derive(Clone, Copy)]
struct Chosen {
    key: RpcKey,
    payload: Payload,
    segment_bytes: u32,
    priority: Priority,
    /// The rank that its message had; `None` for a packet that is sent again.
    rank: Option<u32>,
}

impl Chosen {
    fn is_resent(&self) -> bool {
        self.rank.is_none()
    }
}

impl<O: Observer> Endpoint<O> {
    /// The next packet to send, which counts as sent. A driver whose queue is full keeps what it
    /// has polled and polls no further.
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.poll_transmit_run(now, RunMax::ONE_PACKET)
    }

    /// What [`poll_transmit`](Self::poll_transmit) would return next, or in several calls, if that is a run of
    /// packets of one message.
    pub fn poll_transmit_run(&mut self, now: Instant, max: RunMax) -> Option<Transmit> {
        // Who makes this host send control packets all the time must not keep data from leaving.
        let data_first = self.control_run >= CONTROL_RUN_MAX;
        let first = if data_first { self.next_payload(now, max) } else { None };
        if data_first || self.control_queue.is_empty() {
            self.control_run = 0;
        }
        if first.is_none()
            && (!self.control_queue.is_empty() || self.may_grant(now))
            && let Some(transmit) = self.next_control_or_grant(now)
        {
            return Some(transmit);
        }
        match first.or_else(|| self.next_payload(now, max)) {
            Some(chosen) => self.data_packet(now, &chosen),
            None if self.crowded.is_empty() => None,
            None => self.next_ack(now),
        }
    }

    /// Whether there may be more to send than acknowledgements that can wait for DATA to take them
    /// along. If not, draining [`poll_transmit`](Self::poll_transmit) may be put off for some
    /// milliseconds.
    #[must_use]
    pub fn is_urgent(&self, now: Instant) -> bool {
        !self.control_queue.is_empty() || self.may_grant(now) || self.sender.len() > 0
    }

    /// Out of line, for most packets are DATA.
    #[inline(never)]
    fn next_control_or_grant(&mut self, now: Instant) -> Option<Transmit> {
        let transmit = self.next_control(now).or_else(|| self.next_permitted_grant(now))?;
        self.count_control(now, &transmit);
        Some(transmit)
    }

    /// Acknowledgements of which no DATA took enough along.
    #[inline(never)]
    fn next_ack(&mut self, now: Instant) -> Option<Transmit> {
        loop {
            let slot = *self.crowded.last()?;
            let acks = self.peers.get_mut(slot).map(|peer| &mut peer.acks);
            if let Some(acks) = acks.filter(|acks| acks.listed)
                && acks.are_many()
            {
                let packet = self.waiting_acks(slot)?;
                self.stats.ack_overflows += 1;
                let transmit = self.control_transmit(&packet);
                self.count_control(now, &transmit);
                return Some(transmit);
            }
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.acks.listed = false;
            }
            self.crowded.pop();
        }
    }

    fn next_control(&mut self, now: Instant) -> Option<Transmit> {
        loop {
            let packet = self.control_queue.pop_front()?;
            self.uncount_control_packet(&packet);
            self.control_run += 1;
            if self.may_leave(now, &packet) {
                return Some(self.control_transmit(&packet));
            }
        }
    }

    fn control_transmit(&self, packet: &ControlPacket) -> Transmit {
        let ControlPacket { peer, local, header, .. } = *packet;
        let priority = self.control_priority();
        Transmit { peer, local, priority, header, payload: None, segment_bytes: 0 }
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

    /// Whether it may be time for a grant.
    fn may_grant(&self, now: Instant) -> bool {
        self.grants_due
            || self.grant_search.is_some()
            || self.grants.next_time().is_some_and(|at| at <= now)
    }

    /// Grants are decided when there is room to send them, after all packets of a batch.
    fn next_grant(&mut self, now: Instant) -> Option<Transmit> {
        if !self.may_grant(now) {
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
            segment_bytes: 0,
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

    /// Packets sent again and packets sent for the first time take turns, one by one, while both wait: neither who
    /// asks for the same all the time nor who sends all the time keeps other messages from leaving.
    fn next_payload(&mut self, now: Instant, max: RunMax) -> Option<Chosen> {
        self.paused_until = None;
        if self.resend_queue.is_empty() {
            let chosen = self.next_data(now, max)?;
            self.resent_last = false;
            return Some(chosen);
        }
        let chosen = if self.resent_last {
            self.next_data(now, RunMax::ONE_PACKET).or_else(|| self.next_resend(now))
        } else {
            self.next_resend(now).or_else(|| self.next_data(now, RunMax::ONE_PACKET))
        }?;
        self.resent_last = chosen.is_resent();
        Some(chosen)
    }

    /// Messages with something to send again take turns, a packet each. Unless they are short they
    /// keep to the pace of the link, as with the kernel's queueing discipline: what receivers ask for
    /// again may be far more than it carries, and all else would wait for that to drain.
    #[inline(never)]
    fn next_resend(&mut self, now: Instant) -> Option<Chosen> {
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
            let segment_bytes = payload.len();
            return Some(Chosen { key, payload, segment_bytes, priority, rank: None });
        }
        if let Err(until) = pace
            && !self.resend_queue.is_empty()
        {
            self.pause(now, until);
        }
        None
    }

    fn next_data(&mut self, now: Instant, max: RunMax) -> Option<Chosen> {
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
            if let Some(chosen) = self.pop_run(now, key, max) {
                return Some(chosen);
            }
        }
    }

    fn pause(&mut self, now: Instant, until: Instant) {
        if self.paused_until.replace(until).is_none() {
            self.stats.pacer_pauses += 1;
            self.trace(now, TraceEvent::PacerPaused { until });
        }
    }

    /// How many packets of a message may leave at a time, if one may.
    fn run_packets(&self, now: Instant, key: RpcKey, max: RunMax) -> u32 {
        let Some(rpc) = self.rpcs.get(key) else { return 1 };
        let Some(out) = &rpc.outgoing else { return 1 };
        let Some(peer) = self.peers.get(rpc.peer) else { return 1 };
        let level_per_packet = self.config.unscheduled_by_remaining && out.next < out.unscheduled;
        let fit = (max.bytes / out.full_segment()).min(max.packets);
        if fit <= 1 || level_per_packet || self.limited_peer(key).is_some() {
            return 1;
        }
        let wire_bytes = self.on_ethernet(DATA_HEADER_LEN as u32 + out.full_segment(), &peer.addr);
        fit.min(self.sender.run_packets(now, key.slot(), wire_bytes))
    }

    /// Takes the next packets of a message.
    fn pop_run(&mut self, now: Instant, key: RpcKey, max: RunMax) -> Option<Chosen> {
        let packets_max = if max.packets > 1 { self.run_packets(now, key, max) } else { 1 };
        let rpc = self.rpcs.get_mut(key)?;
        let Some(out) = rpc.outgoing.as_mut() else {
            self.sender.remove(key.slot());
            return None;
        };
        let rank = out.rank();
        let popped = out.pop_run(packets_max);
        let segment_bytes = out.full_segment();
        if out.is_sendable() {
            self.sender.set(key.slot(), out.rank(), rpc.birth);
        } else {
            self.sender.remove(key.slot());
            let sent = out.is_sent().then_some(out.length);
            if let Some(length) = sent {
                rpc.sent_at.get_or_insert(now);
                self.stats.count_sent(rpc.is_client(), length);
            }
            // It is the other side's turn now.
            rpc.patience.since = now;
            self.look_by(key, self.soon(now));
        }
        let payload = popped?;
        let segment_bytes = segment_bytes.min(payload.len());
        let priority = self.data_priority(key, payload);
        Some(Chosen { key, payload, segment_bytes, priority, rank: Some(rank) })
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

    /// A DATA packet, or a run of them, which counts as sent. First transmissions take an ack along (HOMA-ACK-5).
    fn data_packet(&mut self, now: Instant, chosen: &Chosen) -> Option<Transmit> {
        let Chosen { key, payload, segment_bytes, priority, rank } = *chosen;
        let rpc = self.rpcs.get(key)?;
        let out = rpc.outgoing.as_ref()?;
        let peer = self.peers.get_mut(rpc.peer)?;
        let retransmit = chosen.is_resent();
        let data = Data {
            message_length: out.length,
            // Of a retransmission, the end of the range sent again (WIRE section 4).
            incoming: if retransmit { payload.end } else { out.unscheduled },
            ack: if retransmit { None } else { peer.acks.pop() },
            cutoff_version: peer.cutoff_version,
            retransmit,
            incast: rpc.incast && rpc.is_client(),
            offset: payload.start,
            layout: DataLayout::default(),
        };
        let transmit = Transmit {
            peer: peer.addr,
            local: rpc.local,
            priority,
            header: rpc.header(Body::Data(data)),
            payload: (!payload.is_empty()).then_some((key, payload)),
            segment_bytes,
        };
        self.drew_data(key, payload.len());
        let Transmit { ref peer, ref header, .. } = transmit;
        let wire_bytes = self.run_wire_bytes(header, payload.len(), segment_bytes, peer);
        match rank {
            Some(rank) if self.sender.sent(now, key.slot(), rank, wire_bytes) => {
                self.stats.pacer_fifo_bytes += u64::from(wire_bytes);
            }
            Some(_) => {}
            None if transmit.peer.is_loopback() => {}
            None => self.sender.sent_other(now, wire_bytes),
        }
        self.count_transmit(now, &transmit);
        Some(transmit)
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

    fn count_control(&mut self, now: Instant, transmit: &Transmit) {
        if !transmit.peer.is_loopback() {
            let wire_bytes = self.header_bytes(&transmit.header, &transmit.peer);
            self.sender.sent_other(now, wire_bytes);
        }
        self.count_transmit(now, transmit);
    }

    fn count_transmit(&mut self, now: Instant, transmit: &Transmit) {
        let Transmit { peer, header, priority, segment_bytes, .. } = *transmit;
        let level = priority.index();
        let packets = u64::from(transmit.packets());
        let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
        let header_len = header.emitted_len(self.config.wire_version) as u64;
        self.stats.packets_sent[header.packet_type().index()] += packets;
        self.stats.priority_packets[level] += packets;
        self.stats.priority_bytes[level] += packets * header_len + u64::from(payload_len);
        for (header, payload_len) in each_packet(header, payload_len, segment_bytes) {
            self.trace(now, TraceEvent::PacketSent { peer, header, payload_len, priority });
        }
    }

    /// Bytes that a packet from or to a peer takes up on an Ethernet link, of which so many are Homa's.
    fn on_ethernet(&self, homa: u32, peer: &PeerAddr) -> u32 {
        pacer::wire_bytes(homa + self.encapsulation.overhead(), peer.is_ipv6())
    }

    /// The same of a packet without payload.
    fn header_bytes(&self, header: &Header, peer: &PeerAddr) -> u32 {
        self.on_ethernet(header.emitted_len(self.config.wire_version) as u32, peer)
    }

    /// The same of a run, with its payload.
    pub(super) fn run_wire_bytes(
        &self,
        header: &Header,
        payload_len: u32,
        segment_bytes: u32,
        peer: &PeerAddr,
    ) -> u32 {
        let of_header = self.header_bytes(header, peer);
        let headers = of_header.saturating_mul(packets_of(payload_len, segment_bytes));
        headers.saturating_add(payload_len)
    }
}
