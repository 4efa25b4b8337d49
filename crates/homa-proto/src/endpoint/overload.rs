//! What happens when a limit is near: shares of peers, giving up what makes no progress, refusing.
//!
//! The order in which the remedies apply is that of [`Overload`](crate::Overload). Each packet pays
//! for a bounded number of steps, however much there is to look at.

use super::receive::Packet;
use super::{ControlPacket, Endpoint};
use crate::config::OverloadAnswer;
use crate::error::Cancelled;
use crate::incoming::Incoming;
use crate::observer::{DropReason, Observer};
use crate::rpc::{Rpc, State};
use crate::rpc_table::RpcTable;
use crate::slab::RpcKey;
use crate::sockets::Socket;
use crate::time::{Duration, Instant};
use homa_wire::{Body, Data, Refuse, RefuseReason};

/// RPCs that one packet, or one deadline, may have looked at for the sake of room.
const RECLAIM_STEPS: u32 = 16;

/// Entries of RPCs that wait no longer which the queue of requests may hold besides as many as are
/// open.
const QUEUE_SLACK: usize = 64;

/// Requests of peers that have not shown their address are given up so much sooner for the sake of
/// one that has: enough for a round trip, in which who is there shows it.
const STRANGERS_HASTE: u64 = 10;

/// What one peer drew may take this part of the queue of control packets, but always so many.
const CONTROL_SHARES: usize = 64;
const CONTROL_SHARE_MIN: usize = 256;

/// Why there is no room for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shortage {
    /// Its sender has its share, whatever others have.
    OfPeer,
    /// The host has no place for another server RPC.
    Rpcs,
    /// The host has no memory for it.
    Memory,
    /// The application does not keep up.
    Application,
    /// Its socket has as many server RPCs as sockets may have.
    RpcsOfSocket,
    /// Its socket has as much memory as sockets may have.
    MemoryOfSocket,
}

impl<O: Observer> Endpoint<O> {
    /// Whether a new request finds no room, even after what is inactive was given up. The refusal is
    /// counted.
    pub(super) fn is_overloaded(
        &mut self,
        packet: &Packet<'_>,
        socket: &Socket,
        data: &Data,
    ) -> bool {
        for step in 0..=RECLAIM_STEPS {
            if self.queue_delay(packet.now) > self.config.overload.queue_delay_max {
                self.count_shortage(Shortage::Application, socket);
                return true;
            }
            let Some(shortage) = self.shortage(packet, socket, data) else { return false };
            let of_host = matches!(shortage, Shortage::Rpcs | Shortage::Memory);
            if !of_host || step == RECLAIM_STEPS || !self.make_room(packet) {
                self.count_shortage(shortage, socket);
                return true;
            }
        }
        true
    }

    /// Tells a client that its request finds no room now, in the configured way.
    pub(super) fn answer_overload(&mut self, packet: &Packet<'_>) {
        self.stats.server_requests_overloaded += 1;
        match self.config.overload.answer {
            OverloadAnswer::Refuse => self.refuse_packet(packet, RefuseReason::Overloaded, 0),
            OverloadAnswer::Busy => self.answer(packet, Body::Busy),
        }
        self.drop_packet(packet, DropReason::Refused);
    }

    /// Whether as many control packets wait for this one's destination as may: what one peer draws
    /// from this host must not keep others waiting. All hosts that are no peers count as one. What
    /// this host says of its own accord has no such bound.
    pub(super) fn has_its_control_packets(&mut self, packet: &ControlPacket) -> bool {
        let share = self.config.limits.control_packets_max / CONTROL_SHARES;
        packet.is_drawn && *self.drawn_packets(packet) as usize >= share.max(CONTROL_SHARE_MIN)
    }

    /// Counts a control packet that will wait for the driver.
    pub(super) fn count_control_packet(&mut self, packet: &ControlPacket) {
        *self.drawn_packets(packet) += u32::from(packet.is_drawn);
    }

    /// A control packet leaves. Its destination may have become a peer meanwhile, or have been one:
    /// what is counted errs by few then, and is right again when nothing waits.
    pub(super) fn uncount_control_packet(&mut self, packet: &ControlPacket) {
        let count = self.drawn_packets(packet);
        *count = count.saturating_sub(u32::from(packet.is_drawn));
        if self.control_queue.is_empty() {
            self.drawn_by_strangers = 0;
        }
    }

    /// How many control packets wait that this one's destination drew.
    fn drawn_packets(&mut self, packet: &ControlPacket) -> &mut u32 {
        let peer = self.peers.find(&packet.peer);
        match peer.and_then(|slot| self.peers.get_mut(slot)) {
            Some(peer) => &mut peer.drawn_packets,
            None => &mut self.drawn_by_strangers,
        }
    }

    /// A complete request waits to be accepted from now on.
    pub(super) fn enqueue_unaccepted(&mut self, now: Instant, key: RpcKey) {
        let rpcs = &self.rpcs;
        if self.unaccepted.len() > 2 * rpcs.len() as usize + QUEUE_SLACK {
            self.unaccepted.retain(|&(_, key)| waits(rpcs, key));
        }
        // Without memory the request is served all the same, but is not seen to wait.
        if self.unaccepted.try_reserve(1).is_ok() {
            self.unaccepted.push_back((now, key));
        }
    }

    /// How long the oldest complete request has waited to be accepted.
    fn queue_delay(&mut self, now: Instant) -> Duration {
        while let Some(&(since, key)) = self.unaccepted.front() {
            if waits(&self.rpcs, key) {
                return now.saturating_since(since);
            }
            self.unaccepted.pop_front();
        }
        Duration::ZERO
    }

    /// An RPC that may become inactive is watched from now on.
    pub(super) fn watch(&mut self, key: RpcKey, since: Instant) {
        let stored = self.watched.set(key.slot(), since);
        debug_assert!(stored.is_ok(), "slots are reserved");
    }

    /// Gives something up for the sake of a packet for which there is no room; whether anything was
    /// found. A peer that has shown its address need not wait for strangers, of whom there may be so
    /// many that some are inactive at any time, but none for long.
    pub(super) fn make_room(&mut self, packet: &Packet<'_>) -> bool {
        if self.reclaim(packet.now) {
            return true;
        }
        let is_proven = packet.peer.is_some_and(|slot| self.is_proven(slot));
        let patience = self.config.inactive_after().divided_by(STRANGERS_HASTE);
        is_proven
            && self
                .most_inactive(packet.now, patience)
                .filter(|&key| self.rpcs.get(key).is_some_and(|rpc| !self.is_proven(rpc.peer)))
                .is_some_and(|key| {
                    self.give_up(packet.now, key);
                    true
                })
    }

    /// Gives up the RPC that has been inactive for longest, if any has been for
    /// `Overload::inactive_after`; whether one was found. Looks at a bounded number of them.
    pub(super) fn reclaim(&mut self, now: Instant) -> bool {
        let found = self.most_inactive(now, self.config.inactive_after());
        if let Some(key) = found {
            self.give_up(now, key);
        }
        found.is_some()
    }

    /// The RPC that has been inactive for longest, if any has been for `patience`, among a bounded
    /// number of them.
    fn most_inactive(&mut self, now: Instant, patience: Duration) -> Option<RpcKey> {
        for _ in 0..RECLAIM_STEPS {
            let (slot, noted) = self.watched.peek()?;
            // What is noted is never later than the truth.
            if noted + patience > now {
                return None;
            }
            let Some(key) = self.rpcs.key_at(slot) else {
                self.watched.remove(slot);
                continue;
            };
            let since = self.rpcs.get(key).and_then(inactive_since).unwrap_or(now);
            if since + patience <= now {
                return Some(key);
            }
            self.watch(key, since);
        }
        None
    }

    fn is_proven(&self, peer: u32) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.proof.is_valid())
    }

    /// When something may be given up for the sake of messages that wait for memory.
    pub(super) fn next_reclaim(&self, now: Instant) -> Option<Instant> {
        let (_, since) = self.watched.peek()?;
        Some((since + self.config.inactive_after()).max(now))
    }

    fn give_up(&mut self, now: Instant, key: RpcKey) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        if rpc.state == State::Collecting {
            self.stats.inactive_requests_dropped += 1;
            if self.config.refuse {
                let refuse = Refuse { reason: RefuseReason::Overloaded, detail: 0 };
                self.send_control(key, Body::Refuse(refuse));
            }
        } else {
            self.stats.unacked_responses_dropped += 1;
        }
        self.cancel(now, key, Cancelled::Inactive);
    }

    fn shortage(&self, packet: &Packet<'_>, socket: &Socket, data: &Data) -> Option<Shortage> {
        let limits = &self.config.limits;
        let (held_rpcs, held_bytes) = self.held_by_sender(packet);
        let (rpcs, rpcs_max) = (u64::from(self.rpcs.servers()), u64::from(limits.server_rpcs_max));
        let memory = self.meters.incoming_bytes.used();
        let end = data.offset.saturating_add(packet.payload_len).max(data.incoming);
        let incoming = Incoming::new(data.message_length, data.incoming, limits.gaps_max);
        let first = u64::from(incoming.charge_for(end.min(data.message_length)));
        if self.exceeds_share(held_rpcs, 1, rpcs, rpcs_max)
            || self.exceeds_share(held_bytes, first, memory, limits.incoming_bytes_max)
        {
            return Some(Shortage::OfPeer);
        }
        let of_socket = &socket.meters;
        if of_socket.server_rpcs.used() >= u64::from(limits.socket_rpcs_max) {
            return Some(Shortage::RpcsOfSocket);
        }
        let of_socket = of_socket.incoming_bytes.used() + incoming.memory();
        if of_socket > limits.socket_incoming_bytes_max {
            return Some(Shortage::MemoryOfSocket);
        }
        if rpcs >= rpcs_max {
            return Some(Shortage::Rpcs);
        }
        (incoming.memory() > self.incoming_room()).then_some(Shortage::Memory)
    }

    /// Server RPCs and request memory that the sender of a packet holds.
    fn held_by_sender(&self, packet: &Packet<'_>) -> (u64, u64) {
        let peer = packet.peer.and_then(|slot| self.peers.get(slot));
        peer.map_or((0, 0), |peer| (peer.server_rpcs.into(), peer.request_bytes))
    }

    /// Whether a peer that holds `held` of a resource and wants `more` would have more than its
    /// share: at share 1/2 not more than is left free, in general not more than that in proportion
    /// of the share to its rest. So one peer gets its share and no more, several get less each, and
    /// some is always left for a newcomer. The first of everything is always allowed.
    fn exceeds_share(&self, held: u64, more: u64, used: u64, limit: u64) -> bool {
        let share = u64::from(self.config.overload.peer_share_permille);
        if held == 0 || share >= 1000 {
            return false;
        }
        let free = limit.saturating_sub(used);
        (held + more).saturating_mul(1000 - share) > free.saturating_mul(share)
    }

    fn count_shortage(&mut self, shortage: Shortage, socket: &Socket) {
        match shortage {
            Shortage::OfPeer => self.stats.peer_share_refusals += 1,
            Shortage::Rpcs => self.meters.server_rpcs.refuse(),
            Shortage::Memory => self.meters.incoming_bytes.refuse(),
            Shortage::Application => self.stats.queue_delay_refusals += 1,
            Shortage::RpcsOfSocket | Shortage::MemoryOfSocket => {
                let Some(socket) = self.sockets.of_rpc_mut(socket.port, socket.id) else { return };
                match shortage {
                    Shortage::RpcsOfSocket => socket.meters.server_rpcs.refuse(),
                    _ => socket.meters.incoming_bytes.refuse(),
                }
            }
        }
    }
}

fn waits(rpcs: &RpcTable, key: RpcKey) -> bool {
    rpcs.get(key).is_some_and(|rpc| rpc.state == State::Ready)
}

/// Since when an RPC holds memory to no purpose, by its peer's fault; `None` if it is not the peer
/// that keeps it waiting.
fn inactive_since(rpc: &Rpc) -> Option<Instant> {
    match (rpc.state, &rpc.incoming) {
        (State::Collecting, Some(incoming)) if incoming.is_owed() => {
            Some(incoming.progress_since())
        }
        (State::Replying, _) if rpc.is_owed_ack() => {
            Some(rpc.patience.heard.max(rpc.patience.since))
        }
        _ => None,
    }
}
