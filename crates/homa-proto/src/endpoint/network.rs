//! What the network and the operating system report (PROTOCOL section 12).

use super::Endpoint;
use crate::addr::PeerAddr;
use crate::error::{Cancelled, Failure, Unreachable};
use crate::observer::Observer;
use crate::rpc::State;
use crate::slab::RpcKey;
use crate::time::Instant;
use homa_wire::RpcId;

/// A report of less is false: Linux believes no less either (`net.ipv4.route.min_pmtu`, and it
/// fragments then), and IPv6 has no links that carry less (RFC 8200). An attacker who could go lower
/// would have each of our packets carry next to nothing.
const IPV4_MTU_MIN: u32 = 552;
const IPV6_MTU_MIN: u32 = 1_280;

/// What a driver may take off a path's MTU for headers of its own, such as authentication's.
const DRIVER_HEADERS_MAX: u32 = 64;

/// The packet of ours that a report quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotedPacket {
    /// Our port.
    pub source_port: u16,
    /// The peer's port.
    pub dest_port: u16,
    /// The RPC, as we number it.
    pub sender_id: RpcId,
}

impl<O: Observer> Endpoint<O> {
    /// The network says that a packet did not reach a peer.
    ///
    /// With the quoted packet only the RPC it belongs to ends, and only if ports and id match, since
    /// reports can be forged. Without it all RPCs end that wait for this peer: for what this host's own
    /// operating system reports, never for what came from the network.
    pub fn handle_unreachable(
        &mut self,
        now: Instant,
        peer: PeerAddr,
        quoted: Option<QuotedPacket>,
        kind: Unreachable,
    ) {
        let Some(slot) = self.peers.find(&peer) else {
            self.stats.unreachables_ignored += 1;
            return;
        };
        if let Some(quoted) = quoted {
            match self.quoted_rpc(slot, &quoted) {
                Some(key) => self.end_unreachable(now, key, kind),
                None => self.stats.unreachables_ignored += 1,
            }
            return;
        }
        let mut next = self.rpcs.first_of_peer(slot);
        while let Some(key) = next {
            next = self.rpcs.next_of_peer(key);
            self.end_unreachable(now, key, kind);
        }
    }

    /// Counts a report of the network that names no RPC, which anybody may have made up.
    pub fn count_ignored_unreachable(&mut self) {
        self.stats.unreachables_ignored += 1;
    }

    /// An RPC ends whose packets don't reach the peer, if it has anything to send or to receive.
    fn end_unreachable(&mut self, now: Instant, key: RpcKey, kind: Unreachable) {
        match self.rpcs.get(key).map(|rpc| rpc.state) {
            Some(State::Requesting | State::Receiving) => {
                self.fail(now, key, Failure::Unreachable(kind));
            }
            Some(State::Collecting | State::Replying) => {
                self.cancel(now, key, Cancelled::Unreachable(kind));
            }
            _ => {}
        }
    }

    fn quoted_rpc(&self, peer: u32, quoted: &QuotedPacket) -> Option<RpcKey> {
        let key = self.rpcs.find(quoted.sender_id, peer)?;
        let rpc = self.rpcs.get(key)?;
        let ours = rpc.port == quoted.source_port && rpc.peer_port == quoted.dest_port;
        ours.then_some(key)
    }

    /// IP packets to this peer may have `mtu` bytes at most. Messages begun before keep their
    /// packet boundaries, in smaller pieces if need be (KNOWN_ISSUES 2.7).
    ///
    /// Reports can be forged, so they only ever lower the MTU, never below what all paths of
    /// consequence carry (1,280 bytes for IPv6, 552 for IPv4, less 64 for a driver's own headers), and
    /// those about hosts that are no peers are ignored: a peer starts with the default MTU, also when
    /// it is met anew.
    pub fn handle_path_mtu(&mut self, peer: PeerAddr, mtu: u32) {
        let Some(slot) = self.peers.find(&peer) else { return };
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let least = if peer.addr.is_ipv6() { IPV6_MTU_MIN } else { IPV4_MTU_MIN };
        let mtu = mtu.max(least - DRIVER_HEADERS_MAX);
        if mtu >= peer.mtu {
            return;
        }
        peer.mtu = mtu;
        let packet_max = self.packet_payload_max(slot);
        let mut next = self.rpcs.first_of_peer(slot);
        while let Some(key) = next {
            next = self.rpcs.next_of_peer(key);
            if let Some(out) = self.rpcs.get_mut(key).and_then(|rpc| rpc.outgoing.as_mut()) {
                out.shrink_packets(packet_max);
            }
        }
    }

    /// The driver learned the speed of this host's link, in Mb/s, at least 1: it moves the grants to
    /// the oldest message (KNOWN_ISSUES 3.6) and the pacer.
    pub fn set_link_mbps(&mut self, link_mbps: u32) {
        self.config.link_mbps = link_mbps.max(1);
        self.grants.set_link(self.config.link_mbps);
        self.sender.set_link(self.config.pacer_config().link_mbps);
    }

    /// Whether a peer is known already, so that the driver need not look up its path again.
    #[must_use]
    pub fn knows_peer(&self, peer: &PeerAddr) -> bool {
        self.peers.find(peer).is_some()
    }

    /// The operating system refused to send a packet of this RPC, which ends if it still has
    /// anything to send or to receive.
    pub fn handle_send_error(&mut self, now: Instant, key: RpcKey) {
        self.stats.data_xmit_errors += 1;
        match self.rpcs.get(key).map(|rpc| rpc.state) {
            Some(State::Requesting | State::Receiving) => {
                self.fail(now, key, Failure::SendFailed);
            }
            Some(State::Collecting | State::Replying) => {
                self.cancel(now, key, Cancelled::Unreachable(Unreachable::Host));
            }
            _ => {}
        }
    }

    /// The driver's transmit queue holds `bytes` that have not left: feedback for the pacer.
    pub fn handle_tx_backlog(&mut self, now: Instant, bytes: u64) {
        self.sender.observed_backlog(now, bytes);
    }
}
