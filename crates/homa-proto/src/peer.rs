//! What is known of one peer: soft state, shared by all RPCs with it (PROTOCOL section 11).

use crate::addr::PeerAddr;
use crate::cutoffs::CutoffTable;
use crate::delay::DelayEstimate;
use crate::finished::FinishedIds;
use crate::probes::Probes;
use crate::proof::AddressProof;
use crate::slab::RpcKey;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use homa_wire::{ACKS_MAX, Ack, AckList};

/// Soft state about one peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) addr: PeerAddr,
    /// Largest IP packet that reaches it.
    pub(crate) mtu: u32,
    /// Open RPCs with it.
    pub(crate) open_rpcs: u32,
    /// Those of them in which it is the client.
    pub(crate) server_rpcs: u32,
    /// Control packets that it drew and that wait for the driver.
    pub(crate) drawn_packets: u32,
    /// Memory accounted to its requests.
    pub(crate) request_bytes: u64,
    /// Its unscheduled priority cutoffs, as told by CUTOFFS.
    pub(crate) cutoffs: CutoffTable,
    /// Version of these cutoffs, echoed in DATA; 0 before the first CUTOFFS.
    pub(crate) cutoff_version: u16,
    /// When CUTOFFS were last sent to it.
    pub(crate) cutoffs_sent: Option<Instant>,
    /// Finished RPCs of which it, as server, need not keep anything.
    pub(crate) acks: PendingAcks,
    /// Finished RPCs of which it was the client.
    pub(crate) finished: FinishedIds,
    pub(crate) delay: DelayEstimate,
    /// When any packet last came with its address, or an RPC of it finished: this keeps its place in
    /// the table, and so its finished ids.
    pub(crate) seen: Instant,
    as_server: Liveness,
    as_client: Liveness,
    /// Keeps probes of it apart.
    pub(crate) probes: Probes,
    /// Whether it has shown that its address is its own, and what it may draw before.
    pub(crate) proof: AddressProof,
}

impl Peer {
    pub(crate) fn new(
        addr: PeerAddr,
        now: Instant,
        mtu: u32,
        cutoffs: CutoffTable,
        hash_seed: u64,
        proof: AddressProof,
    ) -> Self {
        Self {
            addr,
            mtu,
            open_rpcs: 0,
            server_rpcs: 0,
            drawn_packets: 0,
            request_bytes: 0,
            cutoffs,
            cutoff_version: 0,
            cutoffs_sent: None,
            acks: PendingAcks::default(),
            finished: FinishedIds::new(hash_seed),
            delay: DelayEstimate::default(),
            seen: now,
            as_server: Liveness::new(now),
            as_client: Liveness::new(now),
            probes: Probes::default(),
            proof,
        }
    }

    /// Whether it is alive in the role that it has in RPCs in which this host is the client, or is
    /// not. Told apart because ids of calls of this host can't be guessed, while anybody may begin a
    /// request in another host's name, and go on with it.
    pub(crate) fn liveness_mut(&mut self, for_calls: bool) -> &mut Liveness {
        if for_calls { &mut self.as_server } else { &mut self.as_client }
    }

    pub(crate) fn liveness(&self, for_calls: bool) -> &Liveness {
        if for_calls { &self.as_server } else { &self.as_client }
    }

    /// When it last sent anything about an open RPC.
    pub(crate) fn heard(&self) -> Instant {
        self.as_server.heard.max(self.as_client.heard)
    }

    /// Whether CUTOFFS may go out again: at most one per `spacing`.
    pub(crate) fn may_send_cutoffs(&mut self, now: Instant, spacing: Duration) -> bool {
        let due = self.cutoffs_sent.is_none_or(|sent| now.saturating_since(sent) >= spacing);
        if due {
            self.cutoffs_sent = Some(now);
        }
        due
    }
}

/// When a peer was last heard, in one role, and who asks whether it is still there: a silent peer is
/// probed by one RPC at a time (KNOWN_ISSUES 2.2). Only what names an open RPC by its id, both ports
/// and the peer's address is heard: all else may come from anybody.
#[derive(Debug)]
pub(crate) struct Liveness {
    /// When it last sent anything about an open RPC, or when it became known.
    pub(crate) heard: Instant,
    /// The RPC that probes it while it is silent.
    pub(crate) prober: Option<RpcKey>,
    /// Probes since it was last heard, without those sent in a burst.
    unanswered: u32,
    /// When the first of them went out.
    first_unanswered: Instant,
    /// When the last of them went out.
    last_unanswered: Instant,
}

impl Liveness {
    fn new(now: Instant) -> Self {
        Self {
            heard: now,
            prober: None,
            unanswered: 0,
            first_unanswered: now,
            last_unanswered: now,
        }
    }

    /// A packet about an open RPC came from the peer. Returns whether an RPC probed it.
    pub(crate) fn hear(&mut self, now: Instant) -> bool {
        self.heard = now;
        self.start_anew()
    }

    /// Forgets the probes that went unanswered. Returns whether an RPC probed the peer.
    pub(crate) fn start_anew(&mut self) -> bool {
        self.unanswered = 0;
        self.prober.take().is_some()
    }

    /// The RPC that probes the peer while it is silent: another, or `key`, whose task it is then.
    pub(crate) fn prober_or(&mut self, key: RpcKey) -> RpcKey {
        *self.prober.get_or_insert(key)
    }

    /// Whether nothing came for `patience`.
    pub(crate) fn is_silent(&self, now: Instant, patience: Duration) -> bool {
        now.saturating_since(self.heard) >= patience
    }

    /// A probe goes out. Those less than `spacing` after the last that counted don't count: a
    /// burst of them is answered, or not, as one; and a process that was held up wakes to a clock
    /// that has run on, asks, and must wait for answers before it may conclude anything.
    pub(crate) fn probed(&mut self, now: Instant, spacing: Duration) {
        if self.unanswered == 0 {
            self.first_unanswered = now;
        } else if now.saturating_since(self.last_unanswered) < spacing {
            return;
        }
        self.last_unanswered = now;
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// Whether at least `probes` probes, sent over at least `limit`, went unanswered
    /// (HOMA-TIMEOUT-1, HOMA-TIMEOUT-2).
    pub(crate) fn is_dead(&self, now: Instant, limit: Duration, probes: u32) -> bool {
        self.unanswered >= probes && now.saturating_since(self.first_unanswered) >= limit
    }

    /// The RPC `key` has ended, or won't probe: another may in its place. Returns whether it did.
    pub(crate) fn leave(&mut self, key: RpcKey) -> bool {
        self.prober.take_if(|prober| *prober == key).is_some()
    }
}

/// Acknowledgements that wait at most: as many calls may end before others begin.
const WAITING_ACKS_MAX: usize = 64;

/// Acknowledgements waiting for a packet to take them along; the latest leaves first
/// (PROTOCOL section 6).
#[derive(Debug, Default)]
pub(crate) struct PendingAcks {
    /// With the ports of this host from which these RPCs were called.
    waiting: Vec<(Ack, u16)>,
    /// The endpoint knows that they are more than wait for long.
    pub(crate) listed: bool,
}

impl PendingAcks {
    /// Adds the ack of an RPC called from `port`, or says that there is no room.
    pub(crate) fn push(&mut self, ack: Ack, port: u16) -> bool {
        let has_room = self.waiting.len() < WAITING_ACKS_MAX && self.waiting.try_reserve(1).is_ok();
        if has_room {
            self.waiting.push((ack, port));
        }
        has_room
    }

    /// The latest, and the port that it is about.
    pub(crate) fn last(&self) -> Option<(Ack, u16)> {
        self.waiting.last().copied()
    }

    /// Whether an RPC called from `port` waits to be acknowledged.
    pub(crate) fn contains(&self, ack: Ack, port: u16) -> bool {
        self.waiting.contains(&(ack, port))
    }

    /// Whether there are more than an ACK lists: these do not wait for company any longer.
    pub(crate) fn are_many(&self) -> bool {
        self.waiting.len() > ACKS_MAX
    }

    pub(crate) fn pop(&mut self) -> Option<Ack> {
        self.waiting.pop().map(|(ack, _)| ack)
    }

    /// Takes as many as an ACK lists.
    pub(crate) fn take_list(&mut self) -> AckList {
        let mut list = AckList::new();
        for _ in 0..ACKS_MAX {
            let Some(ack) = self.pop() else { break };
            let fits = list.push(ack);
            debug_assert!(fits, "so many fit");
        }
        list
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use homa_wire::RpcId;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn ack(id: u64) -> Ack {
        Ack { client_id: RpcId(id), server_port: 7 }
    }

    #[test]
    fn pending_acks__are_bounded_and_leave_latest_first() {
        let mut acks = PendingAcks::default();
        for id in 1..=5 {
            assert!(acks.push(ack(2 * id), 9));
        }
        assert!(!acks.are_many());
        assert!(acks.contains(ack(10), 9) && !acks.contains(ack(12), 9));
        assert!(!acks.contains(ack(10), 8), "of another port");
        for id in 6..=WAITING_ACKS_MAX as u64 {
            assert!(acks.push(ack(2 * id), 9));
            assert!(acks.are_many());
        }
        assert!(!acks.push(ack(500), 9));
        assert_eq!(acks.last(), Some((ack(128), 9)));
        assert_eq!(acks.pop(), Some(ack(128)));
        let listed = |list: AckList| list.iter().map(|a| a.client_id.0).collect::<Vec<_>>();
        assert_eq!(listed(acks.take_list()), [126, 124, 122, 120, 118]);
        assert!(!acks.contains(ack(118), 9), "it has left");
        while acks.are_many() {
            acks.take_list();
        }
        assert_eq!(listed(acks.take_list()), [6, 4, 2]);
        assert_eq!((acks.pop(), listed(acks.take_list()).len()), (None, 0));
    }

    /// HOMA-TIMEOUT-2.
    #[test]
    fn is_dead__needs_both_probes_and_time() {
        let mut liveness = Liveness::new(at(0));
        let (limit, spacing) = (Duration::from_millis(100), Duration::from_millis(5));
        for ms in [5, 10, 15, 20] {
            liveness.probed(at(ms), spacing);
            liveness.probed(at(ms + 1), spacing);
        }
        assert!(!liveness.is_dead(at(500), limit, 5));
        liveness.probed(at(25), spacing);
        assert!(!liveness.is_dead(at(104), limit, 5));
        assert!(liveness.is_dead(at(105), limit, 5));
        liveness.hear(at(106));
        assert!(!liveness.is_dead(at(300), limit, 5));
    }
}
