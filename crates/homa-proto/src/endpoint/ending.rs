//! How RPCs end (PROTOCOL section 17): each exactly once, leaving nothing behind.

use super::Endpoint;
use crate::error::{Cancelled, Failure};
use crate::event::Event;
use crate::observer::{Observer, TraceEvent};
use crate::rpc::State;
use crate::slab::RpcKey;
use crate::time::Instant;
use homa_wire::{Body, Refuse, RefuseReason};

impl<O: Observer> Endpoint<O> {
    /// A client RPC fails.
    pub(super) fn fail(&mut self, now: Instant, key: RpcKey, failure: Failure) {
        let Some(rpc) = self.rpcs.get(key).filter(|rpc| rpc.is_client()) else { return };
        let id = rpc.id;
        // A server that is alive need not keep what nobody waits for.
        if !matches!(failure, Failure::Refused { .. } | Failure::Unreachable(_)) {
            self.send_control(key, Body::RpcUnknown);
        }
        self.stats.client_rpcs_failed += 1;
        self.trace(now, TraceEvent::RpcFailed { id, failure });
        self.remove_rpc(now, key, false);
        self.tell(Event::Failed { key, failure });
    }

    /// A server RPC ends before its response was acknowledged.
    pub(super) fn cancel(&mut self, now: Instant, key: RpcKey, cause: Cancelled) {
        let Some(rpc) = self.rpcs.get(key).filter(|rpc| !rpc.is_client()) else { return };
        let (id, was_refused) = (rpc.id, matches!(rpc.state, State::Refused { .. }));
        // A request that never reached the application may be sent again after a silence; one that
        // the client gave up must not come back as a late duplicate.
        let executed =
            rpc.state != State::Collecting || rpc.streamed || cause == Cancelled::ByClient;
        let is_unanswered =
            matches!(rpc.state, State::Collecting | State::Ready | State::InService);
        if cause == Cancelled::ShutDown && is_unanswered && self.config.refuse {
            // Who is told that it is shutting down may call another server.
            let begun = rpc.state == State::InService || rpc.streamed;
            let reason = match begun {
                true => RefuseReason::DroppedUnanswered,
                false => RefuseReason::ShuttingDown,
            };
            self.send_control(key, Body::Refuse(Refuse { reason, detail: 0 }));
        }
        if cause != Cancelled::ByClient {
            self.stats.server_rpc_discards += 1;
        }
        self.trace(now, TraceEvent::RpcCancelled { id, cause });
        self.remove_rpc(now, key, executed);
        if !was_refused {
            self.tell(Event::Cancelled { key, cause });
        }
    }

    /// A server RPC's response was acknowledged.
    pub(super) fn finish_acked(&mut self, now: Instant, key: RpcKey) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        let id = rpc.id;
        self.stats.server_rpcs_acked += 1;
        self.trace(now, TraceEvent::RpcAcked { id });
        self.remove_rpc(now, key, true);
        self.tell(Event::Release { key });
    }

    /// A refusal was remembered for long enough.
    pub(super) fn forget_refusal(&mut self, now: Instant, key: RpcKey) {
        self.remove_rpc(now, key, true);
    }

    /// Takes an RPC out of every table. `remember` keeps its id, so that late packets can't bring
    /// it back (HOMA-ONCE-3).
    pub(super) fn remove_rpc(&mut self, now: Instant, key: RpcKey, remember: bool) {
        let was_arriving = self.drop_incoming(key);
        self.drop_outgoing(key);
        let Some(rpc) = self.rpcs.get(key) else { return };
        let (id, peer) = (rpc.id, rpc.peer);
        let (port, socket) = (rpc.port, rpc.socket);
        self.refused_rpcs -= u32::from(matches!(rpc.state, State::Refused { .. }));
        self.quit_line(key);
        self.rpcs.remove(key);
        if self.rpcs.len() == 0 {
            // Entries of RPCs that have ended would make an idle host wait for its link.
            self.resend_queue.retain(|_| false);
            self.meters.resend_queue.set(0);
        }
        self.uncount_rpc(id.is_client(), peer, port, socket);
        self.sender.remove(key.slot());
        self.wheel.disarm(key.slot());
        self.watched.remove(key.slot());
        if was_arriving {
            self.grants.remove(key.slot());
            self.look_for_grants();
        }
        if remember {
            self.record_finished(now, peer, id.0);
        }
        self.stop_probing(now, key, peer, id.is_client());
    }

    /// The outgoing message is needed no longer, while the RPC goes on.
    pub(super) fn release_outgoing(&mut self, key: RpcKey) {
        if self.drop_outgoing(key) {
            self.sender.remove(key.slot());
            self.tell(Event::Release { key });
        }
    }
}
