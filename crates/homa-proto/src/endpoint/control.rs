//! Handlers of all packets but DATA (PROTOCOL sections 5, 6 and 9).

use super::Endpoint;
use super::receive::Packet;
use super::timers::FIRST_BYTES;
use crate::error::{Cancelled, Failure};
use crate::observer::{DropReason, Observer};
use crate::rpc::{Reason, State};
use crate::slab::RpcKey;
use crate::sockets::Socket;
use crate::time::Instant;
use homa_wire::{Ack, AckList, Body, Cutoffs, Grant, Priority, Refuse, RefuseReason, Resend};

impl<O: Observer> Endpoint<O> {
    /// A control packet of an RPC that exists.
    pub(super) fn on_control(&mut self, packet: &Packet<'_>, key: RpcKey) {
        let is_client = self.rpcs.get(key).is_some_and(|rpc| rpc.is_client());
        match (packet.header.body, is_client) {
            (Body::Grant(grant), _) => self.on_grant(packet, key, &grant),
            (Body::Resend(resend), _) => self.on_resend(packet, key, &resend),
            (Body::RpcUnknown, true) => self.on_unknown_at_server(packet, key),
            (Body::RpcUnknown, false) => {
                self.stats.server_rpcs_unknown += 1;
                self.cancel(packet.now, key, Cancelled::ByClient);
            }
            (Body::Busy, _) => self.on_busy(packet.now, key),
            (Body::Cutoffs(cutoffs), _) => self.on_cutoffs(key, &cutoffs),
            (Body::NeedAck, true) => self.on_need_ack(packet, key),
            (Body::Ack(acks), false) => self.on_ack(packet, &acks),
            (Body::Refuse(refuse), true) => self.on_refuse(packet, key, &refuse),
            // NEED_ACK and REFUSE go to clients, ACK goes to servers (HOMA-ACK-1).
            (Body::NeedAck | Body::Refuse(_), false) | (Body::Ack(_), true) => {
                self.stats.misplaced_packets += 1;
                self.drop_packet(packet, DropReason::Misplaced);
            }
            (Body::Data(_) | Body::Freeze, _) => {}
        }
    }

    /// A control packet of an RPC that does not exist: only some still mean something
    /// (PROTOCOL section 3, step 6).
    pub(super) fn on_control_without_rpc(&mut self, packet: &Packet<'_>, socket: &Socket) {
        let from_client = packet.header.sender_id.is_client();
        match packet.header.body {
            Body::Resend(_) => match Self::refusal_of(socket).filter(|_| from_client) {
                Some(RefuseReason::NotServing) => {
                    self.refuse_packet(packet, RefuseReason::NotServing, 0);
                }
                // HOMA-UNKNOWN-1: the client sends its request again, and is refused then if need be.
                _ => self.answer(packet, Body::RpcUnknown),
            },
            // An unknown RPC is always acknowledged (HOMA-NEEDACK-6).
            Body::NeedAck if !from_client => {
                let peer = packet.peer.filter(|&peer| self.owes_ack(packet, peer));
                self.answer_need_ack(packet, peer);
            }
            Body::Ack(acks) if from_client => self.on_ack(packet, &acks),
            // The ack overtook it: normal.
            Body::Grant(_) if from_client => {}
            _ => self.on_unknown_rpc(packet),
        }
    }

    /// The receiver permits more.
    fn on_grant(&mut self, packet: &Packet<'_>, key: RpcKey, grant: &Grant) {
        let now = packet.now;
        let priority = self.clamp_priority(grant.priority);
        let restart_spacing = self.config.timing.resend_interval;
        let Some(rpc) = self.rpcs.get_mut(key) else { return };
        if !matches!(rpc.state, State::Requesting | State::Replying) {
            return;
        }
        let Some(out) = rpc.outgoing.as_mut() else { return };
        rpc.patience.renew(now);
        rpc.patience.busy_streak = 0;
        out.grant(grant.offset);
        // That of the latest GRANT, even if it came out of order (DRAFT section 3).
        out.scheduled_priority = priority;
        let mut resends = false;
        if grant.wants_resend_all() {
            let last = rpc.patience.last_restart;
            if last.is_none_or(|last| now.saturating_since(last) >= restart_spacing) {
                rpc.patience.last_restart = Some(now);
                resends = out.queue_resend(0, grant.offset, priority);
            }
        }
        if resends {
            self.enqueue_resend(key);
        }
        self.schedule_send(key);
        self.rearm(key);
    }

    /// The receiver misses something. Every RESEND is responded to (HOMA-RESEND-13).
    fn on_resend(&mut self, packet: &Packet<'_>, key: RpcKey, resend: &Resend) {
        let priority = self.clamp_priority(resend.priority.unwrap_or(Priority::HIGHEST));
        let spacing = self.config.timing.gap_patience_min;
        let Some(rpc) = self.rpcs.get_mut(key) else { return };
        rpc.patience.heard = packet.now;
        match rpc.state {
            State::Requesting => {}
            State::Replying => rpc.patience.unanswered = 0,
            State::Refused { reason, detail, .. } => {
                self.send_control(key, Body::Refuse(Refuse { reason, detail }));
                return;
            }
            // The client has some of a response: this host gave it before it lost its memory. Each
            // would tell the other for ever that it is busy, for neither has what the other lacks.
            State::Collecting if is_part_of_begun_message(resend) => {
                self.cancel(packet.now, key, Cancelled::ByClient);
                self.answer(packet, Body::RpcUnknown);
                return;
            }
            // The response is not ready (HOMA-BUSY-1), or has begun, so that the request was
            // executed and must not be sent again (DRAFT section 3).
            _ => {
                self.send_control(key, Body::Busy);
                return;
            }
        }
        let Some(out) = rpc.outgoing.as_mut() else { return };
        let end =
            if resend.is_all() { out.next } else { resend.offset.saturating_add(resend.length) };
        let suppressed = out.next > 0 && out.was_resent(packet.now, spacing);
        self.stats.resends_suppressed += u64::from(suppressed);
        let resends = !suppressed && out.queue_resend(resend.offset, end, priority);
        out.announce_again();
        // Bytes that were never granted are asked for: a GRANT was lost (PROTOCOL section 5).
        if end > out.granted {
            out.grant(end);
        }
        // Nothing of what is asked for was sent yet, or nothing is asked for.
        let busy = resend.offset >= out.next || resend.length == 0;
        if resends {
            self.enqueue_resend(key);
        }
        self.schedule_send(key);
        if busy {
            self.send_control(key, Body::Busy);
        }
        self.rearm(key);
    }

    /// The server does not know the RPC: it never had it, or lost it. All that was sent is sent
    /// again, but only while no byte of the response has come (DRAFT section 3), half as often with
    /// each time that it was of no use, and not when the server may have executed it and forgotten that since
    /// (HOMA-ONCE-1): then the call fails.
    fn on_unknown_at_server(&mut self, packet: &Packet<'_>, key: RpcKey) {
        let (now, timing) = (packet.now, &self.config.timing);
        let Some(rpc) = self.rpcs.get_mut(key).filter(|rpc| rpc.state == State::Requesting) else {
            self.stats.misplaced_packets += 1;
            self.drop_packet(packet, DropReason::Misplaced);
            return;
        };
        // The RESEND was answered. Should this go on for ever, the call's deadline ends it.
        rpc.patience.heard = now;
        rpc.patience.unanswered = 0;
        rpc.patience.busy_streak = 0;
        let spacing = timing.gap_patience_min.saturating_mul(1 << rpc.patience.restarts.min(10));
        let spacing = spacing.min(timing.timeout).max(timing.gap_patience_min);
        let last = rpc.patience.last_restart;
        if last.is_some_and(|last| now.saturating_since(last) < spacing) {
            return;
        }
        // It may have been executed, and given up, so long ago that the server has forgotten it. But
        // if that can't be, it has not been executed until now.
        let memory = timing.finished_memory;
        if rpc.sent_at.is_some_and(|sent| now.saturating_since(sent) > memory.divided_by(2)) {
            let reason = RefuseReason::DroppedUnanswered;
            self.fail(now, key, Failure::Refused { reason, detail: 0 });
            return;
        }
        let priority = self.unscheduled_priority(key, u32::MAX);
        let Some(rpc) = self.rpcs.get_mut(key) else { return };
        rpc.sent_at = rpc.sent_at.map(|_| now);
        rpc.patience.last_restart = Some(now);
        rpc.patience.restarts = rpc.patience.restarts.saturating_add(1);
        let Some(out) = rpc.outgoing.as_mut() else { return };
        out.announce_again();
        if out.queue_resend(0, out.next, priority) {
            self.enqueue_resend(key);
        }
        self.schedule_send(key);
        self.rearm(key);
    }

    /// The peer is alive but has nothing to send yet, or not now. A single unanswered probe tells its
    /// delay.
    fn on_busy(&mut self, now: Instant, key: RpcKey) {
        let Some(rpc) = self.rpcs.get_mut(key) else { return };
        let probe = rpc.patience.last_probe.filter(|_| rpc.patience.unanswered == 1);
        let sample = probe.map(|probe| now.saturating_since(probe));
        rpc.patience.renew(now);
        rpc.patience.busy_streak = rpc.patience.busy_streak.saturating_add(1);
        let peer = rpc.peer;
        if self.grants.is_informed() {
            self.grants.told_held(now, key.slot());
            self.grants_due = true;
        }
        if let (Some(delay), Some(peer)) = (sample, self.peers.get_mut(peer)) {
            peer.delay.sample(delay);
        }
        self.rearm(key);
    }

    /// Remembers a peer's cutoffs and their version, to be echoed (HOMA-CUTOFFS-4, HOMA-CUTOFFS-7).
    /// Only those that name an open RPC, since who names none may be anybody. The peer sends them in
    /// answer to DATA, so that the next DATA draws them again.
    fn on_cutoffs(&mut self, key: RpcKey, cutoffs: &Cutoffs) {
        let Some(slot) = self.rpcs.get(key).map(|rpc| rpc.peer) else { return };
        let Some(peer) = self.peers.get_mut(slot) else { return };
        peer.cutoffs = cutoffs.cutoffs;
        // Every length may use level 0, whatever the peer wrote there (WIRE section 5).
        peer.cutoffs[0] = u32::MAX;
        peer.cutoff_version = cutoffs.version;
    }

    /// The server asks whether its response arrived. Only a complete one is acknowledged
    /// (HOMA-NEEDACK-8); else what is missing is asked for (HOMA-NEEDACK-9).
    fn on_need_ack(&mut self, packet: &Packet<'_>, key: RpcKey) {
        let Some(rpc) = self.rpcs.get_mut(key) else { return };
        if let State::Complete { acked } = &mut rpc.state {
            *acked = true;
            let peer = rpc.peer;
            self.answer_need_ack(packet, Some(peer));
            return;
        }
        // It has responded: what is missing was lost.
        rpc.patience.busy_streak = 0;
        self.stats.ignored_need_acks += 1;
        // At the pace of other probes, however often the server asks.
        if rpc.is_owed_data() && self.asks_now(packet.now, key, Reason::Resend) {
            self.request_retransmission(packet.now, key, true);
        }
    }

    /// Whether the RPC that a NEED_ACK names is one of those whose acks wait for this server. If not,
    /// anybody may have sent it, and acks that it drew might go to a port that nobody has.
    fn owes_ack(&self, packet: &Packet<'_>, peer: u32) -> bool {
        let header = packet.header;
        let named = Ack { client_id: header.sender_id.flipped(), server_port: header.source_port };
        self.peers.get(peer).is_some_and(|peer| peer.acks.contains(named, header.dest_port))
    }

    /// Acknowledges the RPC that a NEED_ACK names, and with it what else waits for this server.
    fn answer_need_ack(&mut self, packet: &Packet<'_>, peer: Option<u32>) {
        let acks = peer
            .and_then(|slot| self.peers.get_mut(slot))
            .map_or_else(AckList::new, |peer| peer.acks.take_list());
        self.answer(packet, Body::Ack(acks));
    }

    /// The RPC in the header and those in the list are finished (HOMA-ACK-2, HOMA-ACK-3).
    fn on_ack(&mut self, packet: &Packet<'_>, acks: &AckList) {
        let Some(peer) = packet.peer else { return };
        let named =
            Ack { client_id: packet.header.sender_id, server_port: packet.header.dest_port };
        for ack in core::iter::once(named).chain(acks.iter()) {
            self.on_acknowledged(packet.now, peer, ack);
        }
    }

    /// The server won't execute the request.
    fn on_refuse(&mut self, packet: &Packet<'_>, key: RpcKey, refuse: &Refuse) {
        let rpc = self.rpcs.get(key).filter(|rpc| rpc.state == State::Requesting);
        if let Some(told_busy) = rpc.map(|rpc| rpc.patience.is_told_busy()) {
            // Who was at work on it and has not even the port now is another life of the server: what
            // the one before it did, nobody knows.
            let is_another = told_busy && refuse.reason == RefuseReason::NoPort;
            let reason = if is_another { RefuseReason::DroppedUnanswered } else { refuse.reason };
            self.fail(packet.now, key, Failure::Refused { reason, detail: refuse.detail });
        } else {
            self.stats.misplaced_packets += 1;
            self.drop_packet(packet, DropReason::Misplaced);
        }
    }
}

/// Whether a RESEND names what is missing of a message, some of which has arrived. Of one that has
/// not begun, everything is asked for, or its first bytes.
const fn is_part_of_begun_message(resend: &Resend) -> bool {
    resend.offset > 0 || (!resend.is_all() && resend.length != FIRST_BYTES)
}
