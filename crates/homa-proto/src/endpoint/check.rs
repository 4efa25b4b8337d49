//! Relations that hold between calls, for tests, fuzzing and simulation.

use super::Endpoint;
use crate::account::Resource;
use crate::observer::Observer;
use crate::probes::LineKind;
use crate::rpc::State;

/// Sums over all RPCs.
#[derive(Default)]
struct Held {
    incoming: u64,
    arrived: u64,
    unread: u64,
    outgoing: u64,
    gaps: u64,
}

#[expect(clippy::panic, reason = "these are assertions")]
impl<O: Observer> Endpoint<O> {
    /// Checks that all tables agree with each other. Takes time proportional to what they hold.
    ///
    /// # Panics
    ///
    /// If a relation is broken, which is a defect of this crate.
    pub fn check_invariants(&self) {
        self.grants.check_invariants();
        let mut open_by_peer = alloc::vec![0u32; self.peers.iter().map(|(slot, _)| slot as usize + 1).max().unwrap_or(0)];
        let mut sendable = 0;
        for (key, rpc) in self.rpcs.iter() {
            open_by_peer[rpc.peer as usize] += 1;
            assert_eq!(self.rpcs.find(rpc.id, rpc.peer), Some(key), "index finds the RPC");
            self.check_state(key);
            let Some(out) = &rpc.outgoing else { continue };
            assert!(
                out.next <= out.length && out.granted <= out.length,
                "offsets within the message"
            );
            if rpc.credit.held {
                assert!(!rpc.is_client() && !rpc.in_resend_queue, "only responses wait for credit");
                assert_eq!(self.sender.key(key.slot()), None, "nothing of them leaves");
                continue;
            }
            sendable += usize::from(out.is_sendable());
            let queued = self.sender.key(key.slot());
            assert_eq!(queued, out.is_sendable().then_some((out.rank(), rpc.birth)), "SRPT order");
            let waits = rpc.in_resend_queue;
            assert_eq!(waits, !out.resend.is_empty(), "resend queue");
        }
        let refused =
            self.rpcs.iter().filter(|(_, rpc)| matches!(rpc.state, State::Refused { .. }));
        assert_eq!(refused.count(), self.refused_rpcs as usize, "remembered refusals");
        assert_eq!(self.sender.len(), sendable, "nobody else wants to send");
        self.check_accounts();
        self.check_held_by_peers();
        self.check_lines();
        let proven = self.peers.iter().filter(|(_, peer)| peer.proof.is_valid());
        assert_eq!(proven.count(), self.peers.proven() as usize, "proven peers");
        for (slot, peer) in self.peers.iter() {
            assert_eq!(peer.open_rpcs, open_by_peer[slot as usize], "RPCs of a peer");
            assert_eq!(self.rpcs_of_peer(slot), peer.open_rpcs as usize, "list of a peer");
        }
    }

    /// Every table and every sum has a row that says what it holds, within its limit.
    fn check_accounts(&self) {
        // A new field does not compile until it is either counted below or known not to grow.
        let Self {
            peers,
            rpcs,
            resend_queue,
            control_queue,
            events,
            watched,
            unaccepted,
            fresh,
            // Their memory follows the number of open RPCs, of peers or of configured places.
            wheel: _,
            grants: _,
            sender: _,
            // One per open port.
            sockets: _,
            // Values that do not grow.
            config: _,
            observer: _,
            stats: _,
            meters: _,
            traffic: _,
            ids: _,
            hash_keys: _,
            versions: _,
            drawn_by_strangers: _,
            control_run: _,
            crowded: _,
            resent_last: _,
            grants_due: _,
            reclaim_at: _,
            grant_search: _,
            refused_rpcs: _,
            paused_until: _,
            next_birth: _,
            encapsulation: _,
            default_mtu: _,
            port_closed: _,
            put_off: _,
        } = self;
        let held = self.recount();
        let accounts = self.accounts();
        for (resource, account) in accounts.iter() {
            let counted = match resource {
                Resource::ClientRpcs => rpcs.clients().into(),
                Resource::ServerRpcs => rpcs.servers().into(),
                Resource::Peers => peers.len().into(),
                Resource::IncomingBytes => held.incoming,
                Resource::ArrivedBytes => held.arrived,
                Resource::UnreadBytes => held.unread,
                Resource::OutgoingBytes => held.outgoing,
                Resource::Gaps => held.gaps,
                Resource::FinishedIds => peers.finished_groups() as u64,
                // Queues are drained by the driver; what counts is how long they were.
                Resource::ControlPackets => account.used.max(control_queue.len() as u64),
                Resource::ResendQueue => account.used.max(resend_queue.len() as u64),
                Resource::Events => account.used,
                other => panic!("{other} is no account of the core"),
            };
            assert_eq!(account.used, counted, "account of {resource}");
            assert!(account.high_water >= account.used, "high-water mark of {resource}");
            let slack = match resource {
                // Room for gaps grows by doubling, a message at a time, and begins with four.
                Resource::Gaps => 4.max(2 * self.config.limits.gaps_max),
                // Beyond the limit each client still has its two newest groups of ids.
                Resource::FinishedIds => 2 * peers.len() as usize,
                _ => 0,
            };
            let limit = account.limit.map(|limit| limit + slack as u64);
            assert!(limit.is_none_or(|limit| account.used <= limit), "limit of {resource}");
        }
        let entries_max = 2 * rpcs.slots() as usize + 65;
        assert!(unaccepted.len() <= entries_max && resend_queue.len() <= entries_max, "queues");
        assert!(watched.len() <= rpcs.servers() as usize, "only open server RPCs are watched");
        assert!(events.len() <= 4 * (rpcs.slots() as usize + 64) + fresh.len(), "events");
    }

    /// What the RPCs hold according to themselves.
    fn recount(&self) -> Held {
        let mut held = Held::default();
        for (_, rpc) in self.rpcs.iter() {
            held.outgoing += rpc.outgoing.as_ref().map_or(0, |out| u64::from(out.length));
            let Some(incoming) = &rpc.incoming else { continue };
            held.incoming += u64::from(incoming.charged);
            held.arrived += u64::from(incoming.bytes.received());
            held.gaps += incoming.bytes.gap_room();
            if matches!(rpc.state, State::Complete { .. } | State::Ready) {
                held.unread += u64::from(incoming.bytes.length());
            }
            let needed = incoming.charge_for(incoming.bytes.highest());
            assert!(
                incoming.bytes.received() == 0 || incoming.charged >= needed,
                "uncharged memory"
            );
        }
        held
    }

    /// What peers and sockets hold adds up to what the host holds.
    fn check_held_by_peers(&self) {
        let (mut servers, mut bytes) = (0, 0);
        for (_, peer) in self.peers.iter() {
            servers += peer.server_rpcs;
            bytes += peer.request_bytes;
        }
        let requests = self.rpcs.iter().filter(|(_, rpc)| !rpc.is_client());
        let charged = requests.filter_map(|(_, rpc)| rpc.incoming.as_ref());
        assert_eq!(servers, self.rpcs.servers(), "server RPCs of all peers");
        assert_eq!(bytes, charged.map(|incoming| u64::from(incoming.charged)).sum::<u64>());
        for socket in self.sockets.iter() {
            let of_socket = || self.rpcs.iter().filter(|(_, rpc)| rpc.socket == socket.id);
            let clients = of_socket().filter(|(_, rpc)| rpc.is_client()).count() as u64;
            let all = of_socket().count() as u64;
            assert_eq!(socket.meters.client_rpcs.used(), clients, "client RPCs of a socket");
            assert_eq!(socket.meters.server_rpcs.used(), all - clients, "server RPCs of a socket");
            let incoming = of_socket().filter_map(|(_, rpc)| rpc.incoming.as_ref());
            let charged: u64 = incoming.map(|incoming| u64::from(incoming.charged)).sum();
            assert_eq!(socket.meters.incoming_bytes.used(), charged, "memory of a socket");
        }
    }

    /// Whoever waits for a turn to ask is in a line, and the first in it is called when its turn comes.
    fn check_lines(&self) {
        let place_at = |slot: u32| self.rpcs.at(slot).and_then(|rpc| rpc.patience.place);
        let mut waiting = 0;
        for (slot, peer) in self.peers.iter() {
            for for_calls in [true, false] {
                let asks = |key| self.rpcs.get(key).is_some_and(|rpc| !rpc.is_in_its_line());
                assert!(peer.liveness(for_calls).prober.is_none_or(asks), "a prober asks");
            }
            for kind in [LineKind::Call, LineKind::BusyCall, LineKind::Request] {
                let line = peer.probes.line(kind);
                let Some((first, last)) = line.ends else { continue };
                let prober = peer.liveness(kind != LineKind::Request).prober;
                let called = self.wheel.armed(first).is_some_and(|at| at <= line.next());
                let probed = prober.is_some_and(|prober| prober.slot() != first);
                assert!(called || probed, "the first has a deadline");
                let (mut before, mut next) = (None, Some(first));
                while let Some(at) = next {
                    let place = place_at(at).filter(|place| place.kind == kind);
                    assert_eq!(place.map(|place| place.before), Some(before), "neighbours");
                    assert_eq!(
                        self.rpcs.at(at).map(|rpc| rpc.peer),
                        Some(slot),
                        "its own peer's line"
                    );
                    (before, next) = (Some(at), place.and_then(|place| place.behind));
                    waiting += 1;
                }
                assert_eq!(before, Some(last), "the last in line");
            }
        }
        let with_places = self.rpcs.iter().filter(|(_, rpc)| rpc.patience.place.is_some());
        assert_eq!(waiting, with_places.count(), "nobody waits elsewhere");
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
