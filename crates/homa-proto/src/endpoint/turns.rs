//! Which RPC asks a peer for what it owes: of a silent peer's RPCs one, of others those whose turn it is
//! (PROTOCOL section 7, KNOWN_ISSUES 2.2).

use super::Endpoint;
use crate::observer::Observer;
use crate::peer::Peer;
use crate::probes::{LineKind, Place};
use crate::rpc::{Reason, Rpc};
use crate::slab::RpcKey;
use crate::time::Instant;

/// A line of RPCs that wait for their turn to ask a peer.
#[derive(Clone, Copy)]
struct LineOf {
    peer: u32,
    kind: LineKind,
}

impl<O: Observer> Endpoint<O> {
    /// Whether an RPC that wants to ask its peer does so now. If not, it has ended, or waits in line.
    pub(super) fn asks_now(&mut self, now: Instant, key: RpcKey, reason: Reason) -> bool {
        if self.rpcs.get(key).is_none_or(Rpc::is_in_its_line) || !self.may_ask(now, key, reason) {
            return false;
        }
        self.quit_line(key);
        self.takes_turn(now, key)
    }

    /// The turn of the first in line has come: it leaves, and asks if it is still due. Then the next one's comes.
    pub(super) fn on_turn(&mut self, now: Instant, key: RpcKey) {
        let Some(line) = self.leave_line(key) else { return };
        match self.deadline(key) {
            Some((at, reason @ (Reason::Resend | Reason::NeedAck))) if at <= now => {
                if self.may_ask(now, key, reason) {
                    self.ensure_prober(now, key);
                    self.take_turn(now, line);
                    self.ask(now, key, reason);
                }
            }
            _ => self.rearm(key),
        }
        self.call_next(line);
    }

    /// Whether an RPC may ask its peer when its turn comes. If not, it has ended: a peer that is dead is not asked.
    fn may_ask(&mut self, now: Instant, key: RpcKey, reason: Reason) -> bool {
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
        true
    }

    /// Takes a turn if nobody waits for one, or lets the RPC wait in line. A silent peer is asked by one RPC alone.
    fn takes_turn(&mut self, now: Instant, key: RpcKey) -> bool {
        let prober = self.ensure_prober(now, key);
        let Some(rpc) = self.rpcs.get_mut(key) else { return false };
        let kind = rpc.line_kind();
        let Some(peer) = self.peers.get_mut(rpc.peer) else { return false };
        let line = peer.probes.line_mut(kind);
        if prober.map_or_else(|| line.is_free(now), |prober| prober == key) {
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
        self.stats.parked_probes += u64::from(prober.is_some());
        self.stats.queued_probes += u64::from(prober.is_none());
        self.rearm(key);
        false
    }

    /// Makes the RPC the one that probes its peer, if that is silent and none does. Returns which one does.
    fn ensure_prober(&mut self, now: Instant, key: RpcKey) -> Option<RpcKey> {
        let rpc = self.rpcs.get(key)?;
        let (slot, is_call) = (rpc.peer, rpc.is_client());
        let peer = self.peers.get(slot)?;
        let liveness = peer.liveness(is_call);
        if !liveness.is_silent(now, self.peer_interval(peer)) {
            return liveness.prober;
        }
        Some(self.peers.get_mut(slot)?.liveness_mut(is_call).prober_or(key))
    }

    /// When the RPC's turn comes, if it is the first in line, and no other probes the silent peer.
    pub(super) fn turn_at(key: RpcKey, rpc: &Rpc, peer: &Peer) -> Option<Instant> {
        let place = rpc.patience.place?;
        let prober = peer.liveness(rpc.is_client()).prober;
        let is_called = place.before.is_none() && prober.is_none_or(|prober| prober == key);
        is_called.then(|| peer.probes.line(place.kind).next())
    }

    /// Takes an RPC out of the line that it waits in, wherever it is there. Then [`Self::call_next`].
    fn leave_line(&mut self, key: RpcKey) -> Option<LineOf> {
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

    /// An RPC waits no longer where it did, if it did: most never do.
    #[inline]
    pub(super) fn quit_line(&mut self, key: RpcKey) {
        let waits = |rpc: &Rpc| rpc.patience.place.is_some();
        if self.rpcs.get(key).is_some_and(waits)
            && let Some(line) = self.leave_line(key)
        {
            self.call_next(line);
        }
    }

    /// Who has left a line asks.
    fn take_turn(&mut self, now: Instant, line: LineOf) {
        if let Some(peer) = self.peers.get_mut(line.peer) {
            peer.probes.line_mut(line.kind).take_turn(now, &self.config.timing);
        }
    }

    /// There may be another first in line: it gets a deadline for its turn, which the others don't have.
    fn call_next(&mut self, line: LineOf) {
        let first = |peer: &Peer| peer.probes.line(line.kind).ends.map(|(first, _)| first);
        let first = self.peers.get(line.peer).and_then(first);
        if let Some(key) = first.and_then(|first| self.rpcs.key_at(first)) {
            self.rearm(key);
        }
    }

    /// A peer is silent no longer, or its prober has left: those that wait for their turns go on, at `at` at the
    /// earliest.
    pub(super) fn go_on(&mut self, peer: u32, for_calls: bool, at: Instant) {
        let kinds: &[LineKind] =
            if for_calls { &[LineKind::Call, LineKind::BusyCall] } else { &[LineKind::Request] };
        for &kind in kinds {
            let Some(known) = self.peers.get_mut(peer) else { return };
            known.probes.line_mut(kind).wait_until(at);
            self.call_next(LineOf { peer, kind });
        }
    }

    pub(super) fn probe_sent(&mut self, now: Instant, key: RpcKey) {
        let Some(rpc) = self.rpcs.get_mut(key) else { return };
        let is_call = rpc.is_client();
        let Some(peer) = self.peers.get_mut(rpc.peer) else { return };
        if rpc.patience.unanswered > 0 {
            peer.probes.line_mut(rpc.line_kind()).slow_down(&self.config.timing);
        }
        rpc.patience.probed(now);
        peer.liveness_mut(is_call).probed(now, self.config.timing.resend_interval);
    }

    /// An RPC won't probe its peer, or not now: if it did, another one does.
    pub(super) fn stop_probing(&mut self, now: Instant, key: RpcKey, peer: u32, is_call: bool) {
        let known = self.peers.get_mut(peer);
        if known.is_some_and(|known| known.liveness_mut(is_call).leave(key)) {
            self.go_on(peer, is_call, now);
        }
    }
}
