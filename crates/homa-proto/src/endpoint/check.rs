//! Relations that hold between calls, for tests, fuzzing and simulation.

use super::Endpoint;
use crate::observer::Observer;
use crate::rpc::State;

impl<O: Observer> Endpoint<O> {
    /// Checks that all tables agree with each other. Takes time proportional to what they hold.
    ///
    /// # Panics
    ///
    /// If a relation is broken, which is a defect of this crate.
    pub fn check_invariants(&self) {
        self.grants.check_invariants();
        let mut open_by_peer = alloc::vec![0u32; self.peers.iter().map(|(slot, _)| slot as usize + 1).max().unwrap_or(0)];
        let (mut incoming, mut outgoing, mut sendable) = (0u64, 0u64, 0);
        for (key, rpc) in self.rpcs.iter() {
            open_by_peer[rpc.peer as usize] += 1;
            assert_eq!(self.rpcs.find(rpc.id, rpc.peer), Some(key), "index finds the RPC");
            incoming += rpc.incoming.as_ref().map_or(0, |incoming| u64::from(incoming.charged));
            self.check_state(key);
            let Some(out) = &rpc.outgoing else { continue };
            outgoing += u64::from(out.length);
            assert!(
                out.next <= out.length && out.granted <= out.length,
                "offsets within the message"
            );
            sendable += usize::from(out.is_sendable());
            let queued = self.sender.key(key.slot());
            assert_eq!(
                queued,
                out.is_sendable().then_some((out.remaining(), rpc.birth)),
                "SRPT order"
            );
            let waits = rpc.in_resend_queue;
            assert_eq!(waits, !out.resend.is_empty(), "resend queue");
        }
        let refused =
            self.rpcs.iter().filter(|(_, rpc)| matches!(rpc.state, State::Refused { .. }));
        assert_eq!(refused.count(), self.refused_rpcs as usize, "remembered refusals");
        assert_eq!(self.sender.len(), sendable, "nobody else wants to send");
        assert_eq!(self.incoming_bytes, incoming, "incoming memory");
        assert_eq!(self.outgoing_bytes, outgoing, "outgoing memory");
        assert!(self.incoming_bytes <= self.config.limits.incoming_bytes_max, "incoming limit");
        assert!(self.outgoing_bytes <= self.config.limits.outgoing_bytes_max, "outgoing limit");
        assert!(self.rpcs.clients() <= self.config.limits.client_rpcs_max, "client limit");
        assert!(self.rpcs.servers() <= self.config.limits.server_rpcs_max, "server limit");
        for (slot, peer) in self.peers.iter() {
            assert_eq!(peer.open_rpcs, open_by_peer[slot as usize], "RPCs of a peer");
            assert_eq!(self.rpcs_of_peer(slot), peer.open_rpcs as usize, "list of a peer");
        }
    }

    fn rpcs_of_peer(&self, peer: u32) -> usize {
        let first = self.rpcs.first_of_peer(peer);
        core::iter::successors(first, |&key| self.rpcs.next_of_peer(key)).count()
    }

    fn check_state(&self, key: crate::slab::RpcKey) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        let (has_in, has_out) = (rpc.incoming.is_some(), rpc.outgoing.is_some());
        match rpc.state {
            State::Requesting => assert!(rpc.is_client() && has_out && !has_in),
            State::Receiving => assert!(rpc.is_client() && !has_out && has_in),
            State::Complete { .. } => assert!(rpc.is_client() && !has_out && has_in),
            State::Collecting | State::Ready => assert!(!rpc.is_client() && !has_out && has_in),
            State::InService | State::Refused { .. } => {
                assert!(!rpc.is_client() && !has_out && !has_in);
            }
            State::Replying => assert!(!rpc.is_client() && has_out && !has_in),
        }
        let armed = self.wheel.armed(key.slot()).is_some();
        let quiet = matches!(rpc.state, State::Complete { .. });
        assert!(armed || quiet, "an RPC that waits for something has a deadline: {:?}", rpc.state);
        let granted = self.grants.granted(key.slot());
        let arriving = matches!(rpc.state, State::Receiving | State::Collecting);
        assert!(granted.is_none() || arriving, "only arriving messages are scheduled");
        if let (Some(granted), Some(incoming)) = (granted, &rpc.incoming) {
            assert_eq!(granted, incoming.granted, "both know what was granted");
            assert!(granted <= incoming.bytes.length(), "grants end with the message");
        }
    }
}
