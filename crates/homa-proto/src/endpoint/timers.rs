//! Deadlines: asking for what is missing, and giving up (PROTOCOL sections 6 and 7).
//!
//! Each RPC has one deadline in the wheel, the earliest of its reasons. It is brought forward when
//! a reason becomes earlier; when one becomes later it is left where it is and looked at again when
//! it fires, so that progress costs nothing.

use super::Endpoint;
use crate::error::{Cancelled, Failure};
use crate::observer::{Observer, TraceEvent};
use crate::peer::Peer;
use crate::rpc::{Reason, Rpc, State};
use crate::slab::RpcKey;
use crate::time::{Duration, Instant};
use homa_wire::{Body, Resend};

/// RESENDs for gaps that one RPC sends at a time; the rest follows when these are filled.
const RESENDS_PER_PROBE: usize = 32;

/// Of a message that has not begun some kernels ask for this (WIRE section 10, "RESEND when nothing was
/// received").
pub(super) const FIRST_BYTES: u32 = 100;

impl<O: Observer> Endpoint<O> {
    /// Does what has fallen due. Packets already received must be handed in before, so that a late
    /// driver does not mistake its own delay for silence.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.settle(now);
        if self.reclaim_at.take_if(|at| *at <= now).is_some() {
            self.reclaim(now);
            self.grants_due = true;
        }
        while let Some((slot, _)) = self.wheel.expire(now) {
            let Some(key) = self.rpcs.key_at(slot) else { continue };
            let Some((at, reason)) = self.deadline(key) else { continue };
            if at > now {
                self.look_by(key, at);
                continue;
            }
            self.on_deadline(now, key, reason);
            debug_assert!(
                self.deadline(key).is_none_or(|(at, next)| at > now || next != reason),
                "{reason:?} would be due for ever"
            );
        }
    }

    /// When `handle_timeout` must be called at the latest, followed by draining the polls; `None`
    /// if nothing is due ever.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let or_never = |at: Option<Instant>| at.unwrap_or(Instant::FAR_FUTURE);
        // One after the other: an array of options costs several times as much, for it is written in
        // parts and read whole.
        let first = or_never(self.wheel.next_deadline())
            .min(or_never(self.paused_until))
            .min(or_never(self.grants.next_time()))
            .min(or_never(self.grant_search))
            .min(or_never(self.reclaim_at));
        (first < Instant::FAR_FUTURE).then_some(first)
    }

    /// Brings the RPC's deadline forward if it should be earlier than it is.
    pub(super) fn rearm(&mut self, key: RpcKey) {
        match self.deadline(key) {
            Some((at, _)) => self.look_by(key, at),
            None => self.wheel.disarm(key.slot()),
        }
    }

    /// Makes sure that the RPC is looked at by `at`, before which it has no deadline. Most short RPCs end
    /// before, so that finding out their deadline would be in vain.
    pub(super) fn look_by(&mut self, key: RpcKey, at: Instant) {
        if self.wheel.armed(key.slot()).is_none_or(|armed| at < armed) {
            let armed = self.wheel.arm(key.slot(), at);
            debug_assert!(armed.is_ok(), "slots are reserved");
        }
    }

    /// The earliest deadline that an RPC may have that makes progress now, but for its call's.
    pub(super) fn soon(&self, now: Instant) -> Instant {
        let timing = &self.config.timing;
        let to_ask = timing.resend_interval.min(timing.need_ack_delay);
        now + to_ask.min(timing.client_silence_max).min(timing.rpc_silence_max)
    }

    /// The earliest of the RPC's reasons.
    pub(super) fn deadline(&self, key: RpcKey) -> Option<(Instant, Reason)> {
        let rpc = self.rpcs.get(key)?;
        let peer = self.peers.get(rpc.peer)?;
        let (mut first, mut reason) = match rpc.state {
            State::Requesting | State::Receiving => (rpc.call_deadline, Reason::CallDeadline),
            State::Collecting | State::Ready | State::InService | State::Replying => {
                (self.give_up_at(rpc, peer), Reason::GiveUp)
            }
            State::Refused { until, .. } => (until, Reason::ForgetRefusal),
            State::Complete { .. } => (Instant::FAR_FUTURE, Reason::CallDeadline),
        };
        let mut consider = |at: Instant, why: Reason| {
            if at < first {
                (first, reason) = (at, why);
            }
        };
        let may_probe = !rpc.is_in_its_line();
        if may_probe && rpc.is_owed_data() {
            consider(self.resend_at(rpc, peer), Reason::Resend);
        } else if may_probe && rpc.is_owed_ack() {
            consider(self.need_ack_at(rpc), Reason::NeedAck);
        }
        if let Some(at) = Self::turn_at(key, rpc, peer) {
            consider(at, Reason::Turn);
        }
        if rpc.credit.held {
            consider(rpc.credit.until, Reason::Credit);
        }
        (first < Instant::FAR_FUTURE).then_some((first, reason))
    }

    /// When missing data is asked for: after the peer's usual delay, or earlier if later bytes
    /// have overtaken a gap.
    fn resend_at(&self, rpc: &Rpc, peer: &Peer) -> Instant {
        let silence = rpc.patience.waits_since() + self.interval(rpc, peer);
        let timing = &self.config.timing;
        let gaps_since = rpc.incoming.as_ref().and_then(|incoming| incoming.gaps_since);
        let at = gaps_since.map_or(silence, |since| {
            let patience = peer.delay.gap_patience(timing.gap_patience_min, timing.resend_interval);
            silence.min(since + patience)
        });
        at.max(self.answer_due(rpc, peer))
    }

    /// When the answer to the RPC's last probe should be there: what was asked for is not asked for
    /// again within a round trip (KNOWN_ISSUES 2.4).
    fn answer_due(&self, rpc: &Rpc, peer: &Peer) -> Instant {
        let Some(asked) = rpc.patience.last_probe else { return Instant::ZERO };
        asked + peer.delay.retransmit_after(Duration::ZERO, self.config.timing.resend_interval)
    }

    /// How long an RPC waits for its peer before it asks: the peer's delay, at least
    /// `resend_interval`, doubled with each BUSY in a row, and with every second RESEND in a row
    /// that went unanswered.
    fn interval(&self, rpc: &Rpc, peer: &Peer) -> Duration {
        let max = self.config.timing.resend_interval_max;
        let base = self.peer_interval(peer);
        let doublings = match rpc.patience.unanswered {
            0 => rpc.patience.busy_streak,
            unanswered => unanswered / 2,
        };
        base.saturating_mul(1 << doublings.min(10)).min(max)
    }

    pub(super) fn peer_interval(&self, peer: &Peer) -> Duration {
        let timing = &self.config.timing;
        if peer.delay.minimum().is_none() {
            return timing.resend_interval;
        }
        peer.delay.retransmit_after(timing.resend_interval, timing.resend_interval_max)
    }

    /// When a server asks for the acknowledgement of its response: twice as late with each time it
    /// asked in vain.
    fn need_ack_at(&self, rpc: &Rpc) -> Instant {
        let timing = &self.config.timing;
        let factor = 1 << rpc.patience.unanswered.min(16);
        let wait = timing.need_ack_delay.saturating_mul(factor).min(timing.need_ack_delay_max);
        rpc.patience.waits_since() + wait
    }

    /// When a server forgets an RPC about which its client says nothing (HOMA-NEEDACK-4): the client
    /// is silent altogether, or about this RPC.
    fn give_up_at(&self, rpc: &Rpc, peer: &Peer) -> Instant {
        let timing = &self.config.timing;
        let heard = rpc.patience.heard;
        if rpc.state == State::Collecting {
            return heard + timing.client_silence_max;
        }
        let silent = peer.liveness(false).heard.max(heard) + timing.client_silence_max;
        match rpc.state {
            // A live client asks for its response all the time, but perhaps for another RPC's.
            State::Ready | State::InService => silent,
            _ => silent.min(heard + timing.rpc_silence_max),
        }
    }

    fn on_deadline(&mut self, now: Instant, key: RpcKey, reason: Reason) {
        match reason {
            Reason::CallDeadline => {
                self.stats.call_deadlines += 1;
                self.fail(now, key, Failure::DeadlineExceeded);
            }
            Reason::GiveUp => self.cancel(now, key, Cancelled::ClientSilent),
            Reason::ForgetRefusal => self.forget_refusal(now, key),
            Reason::Credit => self.on_credit_due(now, key),
            Reason::Resend | Reason::NeedAck => {
                if self.asks_now(now, key, reason) {
                    self.ask(now, key, reason);
                }
            }
            Reason::Turn => self.on_turn(now, key),
        }
    }

    /// Asks a peer for what it owes.
    pub(super) fn ask(&mut self, now: Instant, key: RpcKey, reason: Reason) {
        if reason == Reason::Resend {
            return self.request_retransmission(now, key, false);
        }
        self.probe_sent(now, key);
        self.send_control(key, Body::NeedAck);
        self.rearm(key);
    }

    /// Asks for what is missing (PROTOCOL section 5, "Sending RESENDs"): everything, if nothing
    /// came; else the gaps, and if the sender had its time, what was granted beyond them. Not again
    /// within a round trip.
    pub(super) fn request_retransmission(
        &mut self,
        now: Instant,
        key: RpcKey,
        sender_is_done: bool,
    ) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        let Some(peer) = self.peers.get(rpc.peer) else { return };
        if now < self.answer_due(rpc, peer) || !rpc.is_owed_data() {
            self.rearm(key);
            return;
        }
        // Without a silence, bytes beyond the highest are merely on their way.
        let is_silent = now >= rpc.patience.waits_since() + self.interval(rpc, peer);
        let (resends, count) = self.missing(rpc, is_silent || sender_is_done);
        for &resend in &resends[..count] {
            self.send_control(key, Body::Resend(resend));
        }
        if count == 0 {
            // Without a probe the RPC does not age, and others may probe in its place.
            let Some(rpc) = self.rpcs.get_mut(key) else { return };
            rpc.patience.since = now;
            let (peer, is_call) = (rpc.peer, rpc.is_client());
            self.stop_probing(now, key, peer, is_call);
        } else {
            self.probe_sent(now, key);
        }
        if let Some(incoming) = self.rpcs.get_mut(key).and_then(|rpc| rpc.incoming.as_mut()) {
            incoming.gaps_since = incoming.gaps_since.map(|_| now);
        }
        self.rearm(key);
    }

    /// RESENDs for what an RPC misses, and their number. `beyond_highest` includes granted bytes
    /// after the last that arrived.
    fn missing(&self, rpc: &Rpc, beyond_highest: bool) -> ([Resend; RESENDS_PER_PROBE], usize) {
        let priority = self.control_priority();
        let mut resends = [Resend::all(priority); RESENDS_PER_PROBE];
        let Some(incoming) = &rpc.incoming else {
            // linux_6.10.6 takes "all" for an empty range; it understands this form (WIRE section
            // 10), and others answer it with the first segment.
            if rpc.patience.unanswered % 3 == 2 {
                resends[0] = Resend::new(0, FIRST_BYTES, priority);
            }
            return (resends, 1);
        };
        let highest = incoming.bytes.highest();
        let upto = if beyond_highest { incoming.granted } else { incoming.granted.min(highest) };
        // What there is no memory for would be dropped anyway.
        let upto = upto.min(incoming.affordable(self.incoming_room()));
        let mut count = 0;
        for (resend, range) in resends.iter_mut().zip(incoming.bytes.missing(upto)) {
            *resend = Resend::new(range.start, range.end - range.start, priority);
            count += 1;
        }
        (resends, count)
    }

    /// The RPC's own RESENDs went unanswered for long, while its peer may be alive.
    pub(super) fn time_out(&mut self, now: Instant, key: RpcKey) {
        self.stats.rpc_timeouts += 1;
        match self.rpcs.get(key).map(|rpc| rpc.is_client()) {
            Some(true) => self.fail(now, key, Failure::Timeout),
            Some(false) => self.cancel(now, key, Cancelled::ClientSilent),
            None => {}
        }
    }

    /// The peer answers nobody, as server or as client: all RPCs that have waited for it so long in
    /// this role end (HOMA-TIMEOUT-3), but
    /// those whose request the application has, which keep until its client would have given up
    /// (HOMA-NEEDACK-5). What is known of the peer stays (HOMA-TIMEOUT-4), but later RPCs probe it
    /// anew (HOMA-TIMEOUT-2).
    pub(super) fn time_out_peer(&mut self, now: Instant, peer: u32, for_calls: bool) {
        let limit = self.config.timing.timeout;
        self.stats.peer_timeouts += 1;
        if let Some(addr) = self.peers.get(peer).map(|peer| peer.addr) {
            self.trace(now, TraceEvent::PeerTimedOut { peer: addr });
        }
        let mut next = self.rpcs.first_of_peer(peer);
        while let Some(key) = next {
            next = self.rpcs.next_of_peer(key);
            let Some(rpc) = self.rpcs.get(key) else { continue };
            let waits = rpc.is_client() == for_calls
                && matches!(rpc.state, State::Requesting | State::Receiving | State::Collecting);
            if waits && !rpc.streamed && now.saturating_since(rpc.patience.heard) >= limit {
                self.time_out(now, key);
            }
        }
        if let Some(known) = self.peers.get_mut(peer) {
            known.liveness_mut(for_calls).start_anew();
            self.go_on(peer, for_calls, now);
        }
    }
}
