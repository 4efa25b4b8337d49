//! Which RPC asks a peer for what it owes: of a silent peer's RPCs one, of others those whose turn it is
//! (PROTOCOL section 7, KNOWN_ISSUES 2.2).

use super::Endpoint;
use crate::observer::Observer;
use crate::peer::Peer;
use crate::probes::{LineKind, Place};
use crate::rpc::{Reason, Rpc};
use crate::slab::RpcKey;
use crate::time::Instant;
use alloc::vec::Vec;

/// A line of RPCs that wait for their turn to ask a peer.
#[derive(Clone, Copy)]
pub(super) struct LineOf {
    peer: u32,
    kind: LineKind,
}

impl<O: Observer> Endpoint<O> {
    /// Whether an RPC that wants to ask its peer does so now. If not, it has ended, or its deadline was set, or another
    /// RPC asks.
    pub(super) fn asks_now(&mut self, now: Instant, key: RpcKey, reason: Reason) -> bool {
        if self.rpcs.get(key).is_none_or(Rpc::is_in_its_line) || !self.may_ask(now, key, reason) {
            return false;
        }
        self.quit_line(key);
        self.is_its_turn(now, key)
    }

    /// Whether an RPC may ask its peer when its turn comes: a silent peer is asked by one RPC at a time, and a dead
    /// one not at all. If not, it has ended, or waits for what comes of the other's question.
    pub(super) fn may_ask(&mut self, now: Instant, key: RpcKey, reason: Reason) -> bool {
        let timing = &self.config.timing;
        let (limit, probes) = (timing.timeout, timing.timeout_resends);
        let Some(rpc) = self.rpcs.get(key) else { return false };
        let (slot, is_call) = (rpc.peer, rpc.is_client());
        let Some(peer) = self.peers.get(slot) else { return false };
        if peer.liveness(is_call).is_dead(now, limit, probes) {
            self.time_out_peer(now, slot, is_call);
        }
        let Some(rpc) = self.rpcs.get(key) else { return false };
        let for_data = reason == Reason::Resend;
        if for_data && !rpc.streamed && rpc.patience.is_exhausted(now, limit, probes) {
            self.time_out(now, key);
            return false;
        }
        !self.must_park(now, key)
    }

    /// Parks the RPC if its peer is silent and another RPC probes it.
    fn must_park(&mut self, now: Instant, key: RpcKey) -> bool {
        let Some(rpc) = self.rpcs.get(key) else { return false };
        let (slot, is_call) = (rpc.peer, rpc.is_client());
        let Some(peer) = self.peers.get(slot) else { return false };
        if !peer.liveness(is_call).is_silent(now, self.peer_interval(peer)) {
            return false;
        }
        let Some(peer) = self.peers.get_mut(slot) else { return false };
        let liveness = peer.liveness_mut(is_call);
        let another_probes = liveness.prober.is_some_and(|prober| prober != key);
        if !another_probes || !liveness.park(key) {
            liveness.prober = Some(key);
            return false;
        }
        self.stats.parked_probes += 1;
        if let Some(rpc) = self.rpcs.get_mut(key) {
            rpc.patience.parked = true;
        }
        self.rearm(key);
        true
    }

    /// Takes a turn if nobody waits for one, or lets the RPC wait in line.
    fn is_its_turn(&mut self, now: Instant, key: RpcKey) -> bool {
        let Some(rpc) = self.rpcs.get_mut(key) else { return false };
        let kind = rpc.line_kind();
        let Some(peer) = self.peers.get_mut(rpc.peer) else { return false };
        let line = peer.probes.line_mut(kind);
        if line.is_free(now) {
            line.take_turn(now, &self.config.timing);
            return true;
        }
        let slot = key.slot();
        let before = line.ends.map(|(_, last)| last);
        line.ends = Some((line.ends.map_or(slot, |(first, _)| first), slot));
        rpc.patience.place = Some(Place { kind, before, behind: None });
        if let Some(before) = before.and_then(|before| self.place_mut(before)) {
            before.behind = Some(slot);
        }
        self.stats.queued_probes += 1;
        self.rearm(key);
        false
    }

    /// When the RPC's turn comes, if it is the first in line.
    pub(super) fn turn_at(rpc: &Rpc, peer: &Peer) -> Option<Instant> {
        let place = rpc.patience.place?;
        place.before.is_none().then(|| peer.probes.line(place.kind).next())
    }

    /// Takes an RPC out of the line that it waits in, wherever it is there. Then [`Self::call_next`].
    pub(super) fn leave_line(&mut self, key: RpcKey) -> Option<LineOf> {
        let rpc = self.rpcs.get_mut(key)?;
        let Place { kind, before, behind } = rpc.patience.place.take()?;
        let peer = rpc.peer;
        if let Some(place) = before.and_then(|slot| self.place_mut(slot)) {
            place.behind = behind;
        }
        if let Some(place) = behind.and_then(|slot| self.place_mut(slot)) {
            place.before = before;
        }
        let line = self.peers.get_mut(peer)?.probes.line_mut(kind);
        line.ends = line.ends.and_then(|(first, last)| match (before, behind) {
            (None, None) => None,
            (None, Some(behind)) => Some((behind, last)),
            (Some(before), None) => Some((first, before)),
            (Some(_), Some(_)) => Some((first, last)),
        });
        Some(LineOf { peer, kind })
    }

    fn place_mut(&mut self, slot: u32) -> Option<&mut Place> {
        self.rpcs.at_mut(slot)?.patience.place.as_mut()
    }

    /// An RPC waits no longer where it did, if it did.
    #[inline]
    pub(super) fn quit_line(&mut self, key: RpcKey) {
        if self.rpcs.get(key).is_some_and(|rpc| rpc.patience.place.is_some())
            && let Some(line) = self.leave_line(key)
        {
            self.call_next(line);
        }
    }

    /// Who has left a line asks.
    pub(super) fn take_turn(&mut self, now: Instant, line: LineOf) {
        if let Some(peer) = self.peers.get_mut(line.peer) {
            peer.probes.line_mut(line.kind).take_turn(now, &self.config.timing);
        }
    }

    /// There may be another first in line: it gets a deadline for its turn, which the others don't have.
    pub(super) fn call_next(&mut self, line: LineOf) {
        let Some(peer) = self.peers.get(line.peer) else { return };
        let line = peer.probes.line(line.kind);
        let at = line.next();
        if let Some(key) = line.ends.and_then(|(first, _)| self.rpcs.key_at(first)) {
            self.look_by(key, at);
        }
    }

    pub(super) fn probe_sent(&mut self, now: Instant, key: RpcKey) {
        let Some(rpc) = self.rpcs.get_mut(key) else { return };
        let is_call = rpc.is_client();
        let Some(peer) = self.peers.get_mut(rpc.peer) else { return };
        if rpc.patience.unanswered > 0 {
            peer.probes.line_mut(rpc.line_kind()).unanswered(&self.config.timing);
        }
        rpc.patience.probed(now);
        peer.liveness_mut(is_call).probed(now, self.config.timing.resend_interval);
    }

    /// The RPC won't probe its peer, or not now: those that waited for its probe go on.
    pub(super) fn stop_probing(&mut self, now: Instant, key: RpcKey) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        let (slot, is_call) = (rpc.peer, rpc.is_client());
        let peer = self.peers.get_mut(slot);
        if let Some(waiting) = peer.and_then(|peer| peer.liveness_mut(is_call).leave(key)) {
            self.unpark(now, waiting);
        }
    }

    /// Lets RPCs go on that waited for another one's probe.
    pub(super) fn unpark(&mut self, now: Instant, waiting: Vec<RpcKey>) {
        for key in waiting {
            let Some(rpc) = self.rpcs.get_mut(key) else { continue };
            rpc.patience.parked = false;
            rpc.patience.since = now;
            self.rearm(key);
        }
    }
}
