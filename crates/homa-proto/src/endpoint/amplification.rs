//! What hosts draw that have not shown that they receive what is sent to their address: little more
//! than they send, so that others can't make this host flood them.
//!
//! Limited is what leaves in reaction: packets of RPCs served here, and answers about unknown RPCs.
//! What this host's own calls send is limited by what the application asked for.

use super::receive::Packet;
use super::{ControlPacket, Endpoint};
use crate::observer::Observer;
use crate::proof::AddressProof;
use crate::slab::RpcKey;
use crate::time::{Duration, Instant};
use homa_wire::{Body, Cutoffs, DATA_HEADER_LEN, Resend};

/// Least allowance per second, whatever the unscheduled bytes are: a packet of ordinary size.
const WINDOW_MIN: u32 = 1_500;

impl<O: Observer> Endpoint<O> {
    /// A packet came with a peer's address. If nothing was heard of the peer for so long that it might
    /// have been evicted, its address may have passed to another host, which must show anew that it is
    /// its own.
    pub(super) fn see(&mut self, now: Instant, slot: u32) {
        let idle_min = self.config.timing.peer_idle_min;
        let Some(peer) = self.peers.get_mut(slot) else { return };
        peer.seen = now;
        if now.saturating_since(peer.heard()) >= idle_min {
            self.peers.with_proof(slot, AddressProof::expire);
        }
    }

    /// A packet came from a peer, and lets it draw more.
    pub(super) fn earn(&mut self, peer: u32, packet: &Packet<'_>) {
        let Some(limit) = self.config.amplification else { return };
        let version = self.config.wire_version;
        let Some(proof) = self.proof_mut(peer).filter(|proof| !proof.is_valid()) else { return };
        let is_data = matches!(packet.header.body, Body::Data(_));
        let payload_len = if is_data { packet.payload_len } else { 0 };
        let header_len = packet.header.emitted_len(version) as u64;
        proof.earn(packet.count() * header_len + u64::from(payload_len), limit);
        // One at a time, so that a packet costs the same however many wait.
        if proof.holds_any() {
            self.release_next(peer);
        }
    }

    /// A control packet is about to leave: false, and counted, if it was drawn beyond what its
    /// destination may.
    pub(super) fn may_leave(&mut self, now: Instant, packet: &ControlPacket) -> bool {
        if self.config.amplification.is_none()
            || !packet.is_drawn
            || matches!(packet.header.body, Body::Ack(_))
        {
            return true;
        }
        let window = self.allowance();
        let bytes = packet.header.emitted_len(self.config.wire_version) as u64;
        // To hosts that are no peers nothing longer is sent than three times what they sent.
        let slot = self.peers.find(&packet.peer);
        let Some(peer) = slot.and_then(|slot| self.peers.get_mut(slot)) else { return true };
        if peer.addr.is_loopback() {
            return true;
        }
        let may = peer.proof.may_draw(now, bytes, window);
        if may {
            peer.proof.draw(bytes);
        } else {
            self.stats.amplification_drops += 1;
        }
        may
    }

    /// Before a DATA packet of a message leaves: true if it must wait instead, which it then does.
    pub(super) fn must_wait_for_credit(&mut self, now: Instant, key: RpcKey) -> bool {
        let Some(peer) = self.limited_peer(key) else { return false };
        let Some(out) = self.rpcs.get(key).and_then(|rpc| rpc.outgoing.as_ref()) else {
            return false;
        };
        let payload = self.packet_payload_max(peer).min(out.length);
        let bytes = DATA_HEADER_LEN as u64 + u64::from(payload);
        let window = self.allowance();
        let Some(proof) = self.proof_mut(peer) else { return false };
        if proof.may_draw(now, bytes, window) {
            return false;
        }
        self.hold(now, key)
    }

    /// A DATA packet left.
    pub(super) fn drew_data(&mut self, key: RpcKey, payload: u32) {
        let Some(peer) = self.limited_peer(key) else { return };
        let Some(proof) = self.proof_mut(peer) else { return };
        proof.draw(DATA_HEADER_LEN as u64 + u64::from(payload));
        if proof.holds_any() {
            self.release_next(peer);
        }
    }

    /// A response is about to be sent: if it is more than the peer may draw, the peer is asked first
    /// to show that it is there, by sending a byte of its request again, in a packet that echoes what
    /// CUTOFFS told it. Clients do so only while they have seen nothing of the response.
    pub(super) fn challenge_if_needed(&mut self, now: Instant, key: RpcKey, length: u32) {
        let Some(peer) = self.limited_peer(key) else { return };
        let window = self.allowance();
        let packets = u64::from(length.div_ceil(self.packet_payload_max(peer)));
        let bytes = u64::from(length) + packets * DATA_HEADER_LEN as u64;
        let Some(proof) = self.proof_mut(peer) else { return };
        if proof.credit(now, window) < bytes {
            self.hold(now, key);
        }
    }

    /// A held response's time has come: the peer is asked again, or what may be sent is sent.
    pub(super) fn on_credit_due(&mut self, now: Instant, key: RpcKey) {
        if !self.challenge(now, key) {
            self.release(key);
        }
        self.rearm(key);
    }

    /// Takes in the version that a DATA packet echoes. Returns whether it is the one told last.
    pub(super) fn take_echo(&mut self, now: Instant, peer: u32, echo: u16) -> bool {
        let table = self.traffic.cutoffs().version;
        let Some(known) = self.peers.get_mut(peer) else { return false };
        let is_current = known.proof.version_for(table, &mut self.versions) == echo;
        let guesses_max = self.config.amplification.map_or(u32::MAX, |limit| limit.guesses_max);
        let echoed = |proof: &mut AddressProof| proof.echoed(now, echo, guesses_max);
        if echo != 0 && self.peers.with_proof(peer, echoed) == Some(true) {
            self.stats.addresses_validated += 1;
            while let Some(key) = self.proof_mut(peer).and_then(AddressProof::next_held) {
                if let Some(rpc) = self.rpcs.get_mut(key) {
                    rpc.credit.in_queue = false;
                }
                self.release(key);
            }
        }
        is_current
    }

    /// Tells a peer our cutoffs, under the version that only it gets.
    pub(super) fn send_cutoffs(&mut self, key: RpcKey, peer: u32) {
        let ours = *self.traffic.cutoffs();
        let Some(peer) = self.peers.get_mut(peer) else { return };
        let version = peer.proof.version_for(ours.version, &mut self.versions);
        self.send_control(key, Body::Cutoffs(Cutoffs { cutoffs: ours.cutoffs, version }));
    }

    /// The peer of a response, if what it draws is limited.
    pub(super) fn limited_peer(&self, key: RpcKey) -> Option<u32> {
        self.config.amplification?;
        let rpc = self.rpcs.get(key).filter(|rpc| !rpc.is_client())?;
        let peer = self.peers.get(rpc.peer)?;
        // Nobody else can send from this host's own addresses.
        let limited = !peer.proof.is_valid() && !peer.addr.is_loopback();
        limited.then_some(rpc.peer)
    }

    /// Bytes that a peer may draw per second besides those for what it sends.
    fn allowance(&self) -> u32 {
        self.config.unscheduled_bytes.max(WINDOW_MIN)
    }

    /// Takes a response out of the order of sending until it is released. False if memory is short.
    fn hold(&mut self, now: Instant, key: RpcKey) -> bool {
        if !self.queue_for_credit(key) {
            return false;
        }
        let Some(rpc) = self.rpcs.get_mut(key) else { return false };
        let renewal = self.peers.get(rpc.peer).map(|peer| peer.proof.renewal());
        rpc.credit.held = true;
        rpc.credit.until = renewal.unwrap_or(now);
        self.sender.remove(key.slot());
        self.stats.amplification_holds += 1;
        self.challenge(now, key);
        self.rearm(key);
        true
    }

    /// Puts a response into its peer's queue of those that wait, once.
    fn queue_for_credit(&mut self, key: RpcKey) -> bool {
        let Some(rpc) = self.rpcs.get(key) else { return false };
        if rpc.credit.in_queue {
            return true;
        }
        let (slot, rpcs) = (rpc.peer, &self.rpcs);
        let Some(peer) = self.peers.get_mut(slot) else { return false };
        let queued = peer.proof.hold(key, peer.open_rpcs, |key| rpcs.get(key).is_some());
        if let Some(rpc) = self.rpcs.get_mut(key) {
            rpc.credit.in_queue = queued;
        }
        queued
    }

    /// Asks the peer of a held response to show that it is there, unless it was asked often enough, or
    /// has seen some of the response.
    fn challenge(&mut self, now: Instant, key: RpcKey) -> bool {
        let Some(limit) = self.config.amplification else { return false };
        let Some(rpc) = self.rpcs.get_mut(key) else { return false };
        let has_begun = rpc.outgoing.as_ref().is_none_or(|out| out.next > 0);
        rpc.credit.awaits_echo = !has_begun && rpc.credit.challenges < limit.challenges;
        if !rpc.credit.awaits_echo {
            return false;
        }
        rpc.credit.challenges += 1;
        let peer = rpc.peer;
        let interval = self.peers.get(peer).map_or(Duration::ZERO, |peer| self.peer_interval(peer));
        if let Some(rpc) = self.rpcs.get_mut(key) {
            rpc.credit.until = now + interval.max(self.config.timing.granularity);
        }
        self.stats.address_challenges += 1;
        self.send_cutoffs(key, peer);
        self.send_control(key, Body::Resend(Resend::new(0, 1, self.control_priority())));
        true
    }

    /// Lets the response go on that has waited longest for credit. One that awaits an echo stays.
    fn release_next(&mut self, peer: u32) {
        let Some(key) = self.proof_mut(peer).and_then(AddressProof::next_held) else { return };
        let Some(rpc) = self.rpcs.get_mut(key) else { return };
        rpc.credit.in_queue = false;
        if rpc.credit.awaits_echo && self.queue_for_credit(key) {
            return;
        }
        self.release(key);
    }

    fn release(&mut self, key: RpcKey) {
        let Some(rpc) = self.rpcs.get_mut(key).filter(|rpc| rpc.credit.held) else { return };
        rpc.credit.held = false;
        rpc.credit.awaits_echo = false;
        if rpc.outgoing.as_ref().is_some_and(|out| !out.resend.is_empty()) {
            self.enqueue_resend(key);
        }
        self.schedule_send(key);
        self.rearm(key);
    }

    fn proof_mut(&mut self, peer: u32) -> Option<&mut AddressProof> {
        self.peers.get_mut(peer).map(|peer| &mut peer.proof)
    }
}
