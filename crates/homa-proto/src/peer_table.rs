//! The peers known, found by address; idle ones make room for new ones (PROTOCOL section 11).

use crate::addr::PeerAddr;
use crate::error::NoMemory;
use crate::finished::{FinishedIds, Recorded};
use crate::index_table::IndexTable;
use crate::peer::Peer;
use crate::proof::AddressProof;
use crate::slab::{Slab, SlabError};
use crate::time::{Duration, Instant};
use core::cell::Cell;
use core::hash::BuildHasher;
use foldhash::fast::FixedState;

/// Peers examined for eviction when the table is full: bounds the work of one insertion.
const EVICTION_SCAN: u32 = 16;

/// Why a peer could not be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerError {
    /// The table is full of peers in use.
    Full,
    NoMemory,
}

/// Peers by address. Slots are stable while a peer has open RPCs.
#[derive(Debug)]
pub(crate) struct PeerTable {
    slab: Slab<Peer>,
    index: IndexTable,
    hasher: FixedState,
    /// The slot found last, whatever is in it now.
    latest: Cell<u32>,
    /// Where the search for a peer to evict goes on.
    hand: u32,
    /// Peers that have shown that their address is their own.
    proven: u32,
    /// Groups of finished ids that all peers together hold.
    finished_groups: usize,
    /// The peer whose finished ids are looked at next.
    finished_hand: u32,
}

/// How finished ids are remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FinishedLimits {
    /// For how long at least.
    pub(crate) memory: Duration,
    /// Groups per peer and generation.
    pub(crate) per_peer_max: usize,
    /// Groups in all.
    pub(crate) total_max: usize,
}

impl PeerTable {
    pub(crate) fn new(peers_max: u32, hash_seed: u64) -> Self {
        Self {
            slab: Slab::new(peers_max),
            index: IndexTable::new(),
            hasher: FixedState::with_seed(hash_seed),
            latest: Cell::new(0),
            hand: 0,
            proven: 0,
            finished_groups: 0,
            finished_hand: 0,
        }
    }

    pub(crate) fn find(&self, addr: &PeerAddr) -> Option<u32> {
        let is_it = |slot| self.slab.at(slot).is_some_and(|peer: &Peer| peer.addr == *addr);
        // Packets come in batches of one sender, and answers go to it.
        let latest = self.latest.get();
        if is_it(latest) {
            return Some(latest);
        }
        let found = self.index.find(self.hasher.hash_one(addr), is_it)?;
        self.latest.set(found);
        Some(found)
    }

    /// Adds a peer that is not in the table, evicting one that was idle for `idle_min` if need be.
    /// Returns its slot.
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        peer: Peer,
        idle_min: Duration,
    ) -> Result<u32, PeerError> {
        let hash = self.hasher.hash_one(peer.addr);
        if self.slab.is_full() && !self.evict(now, idle_min) {
            return Err(PeerError::Full);
        }
        let key = self.slab.insert(peer).map_err(|e| match e {
            SlabError::Full => PeerError::Full,
            SlabError::NoMemory => PeerError::NoMemory,
        })?;
        if let Err(NoMemory) = self.index.insert(hash, key.slot()).map_err(|_| NoMemory) {
            self.slab.remove(key);
            return Err(PeerError::NoMemory);
        }
        Ok(key.slot())
    }

    /// Remembers that an RPC with this peer as its client has finished.
    ///
    /// Each call also looks at one other peer, so that those who have fallen silent give their
    /// memory back. When all peers together hold too much, this one's older ids are forgotten.
    pub(crate) fn record_finished(
        &mut self,
        now: Instant,
        slot: u32,
        id: u64,
        limits: FinishedLimits,
    ) -> Recorded {
        if let Some(peer) = self.slab.at_mut(slot) {
            peer.seen = now;
        }
        self.finished_hand = (self.finished_hand + 1) % self.slab.slots().max(1);
        self.with_finished(self.finished_hand, |finished| finished.rotate(now, limits.memory));
        let is_full = self.finished_groups >= limits.total_max;
        let ids_max = if is_full { 1 } else { limits.per_peer_max };
        let recorded =
            self.with_finished(slot, |finished| finished.record(now, id, limits.memory, ids_max));
        recorded.unwrap_or(Recorded::NoMemory)
    }

    /// Lets `act` change what a peer has shown of its address.
    pub(crate) fn with_proof<R>(
        &mut self,
        slot: u32,
        act: impl FnOnce(&mut AddressProof) -> R,
    ) -> Option<R> {
        let proof = &mut self.slab.at_mut(slot)?.proof;
        let before = u32::from(proof.is_valid());
        let result = act(proof);
        self.proven = self.proven + u32::from(proof.is_valid()) - before;
        Some(result)
    }

    /// Whether an RPC with this peer as its client is remembered to have finished.
    pub(crate) fn is_finished(
        &mut self,
        now: Instant,
        slot: u32,
        id: u64,
        memory: Duration,
    ) -> bool {
        self.with_finished(slot, |finished| finished.contains(now, id, memory)).unwrap_or(false)
    }

    fn with_finished<R>(
        &mut self,
        slot: u32,
        act: impl FnOnce(&mut FinishedIds) -> R,
    ) -> Option<R> {
        let finished = &mut self.slab.at_mut(slot)?.finished;
        let before = finished.groups();
        let result = act(finished);
        self.finished_groups = self.finished_groups + finished.groups() - before;
        Some(result)
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Peer> {
        self.slab.at(slot)
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Peer> {
        self.slab.at_mut(slot)
    }

    /// One more than the highest slot ever in use.
    pub(crate) fn slots(&self) -> u32 {
        self.slab.slots()
    }

    pub(crate) fn len(&self) -> u32 {
        self.slab.len()
    }

    /// Peers that have shown that their address is their own.
    pub(crate) fn proven(&self) -> u32 {
        self.proven
    }

    /// Groups of finished ids that all peers together hold.
    pub(crate) fn finished_groups(&self) -> usize {
        self.finished_groups
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Peer)> {
        self.slab.iter().map(|(key, peer)| (key.slot(), peer))
    }

    /// Evicts one idle peer among the next few. Its acks are lost (the server will ask by
    /// NEED_ACK), and its cutoffs return with the next mismatch.
    ///
    /// One that has shown its address gives way only when such peers fill more than half of the table:
    /// strangers, of whom there can be as many as there are addresses, don't drive it out.
    fn evict(&mut self, now: Instant, idle_min: Duration) -> bool {
        let mut proven = None;
        for _ in 0..EVICTION_SCAN {
            self.hand = (self.hand + 1) % self.slab.slots().max(1);
            let Some(peer) = self.slab.at(self.hand) else { continue };
            if peer.open_rpcs > 0 || now.saturating_since(peer.seen) < idle_min {
                continue;
            }
            if !peer.proof.is_valid() {
                return self.remove(self.hand);
            }
            proven = Some(self.hand);
        }
        let are_many = self.proven > self.slab.len() / 2;
        proven.filter(|_| are_many).is_some_and(|slot| self.remove(slot))
    }

    fn remove(&mut self, slot: u32) -> bool {
        let Some((key, peer)) = self.slab.key_at(slot).zip(self.slab.at(slot)) else {
            return false;
        };
        self.index.remove(self.hasher.hash_one(peer.addr), slot);
        self.finished_groups -= peer.finished.groups();
        self.proven -= u32::from(peer.proof.is_valid());
        self.slab.remove(key);
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::random::{Purpose, Stream};
    use core::net::SocketAddr;
    use std::vec::Vec;

    const IDLE: Duration = Duration::from_secs(10);

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    fn addr(host: u8) -> PeerAddr {
        PeerAddr::from(SocketAddr::from(([10, 0, 0, host], 4000)))
    }

    fn peer(host: u8, now: Instant) -> Peer {
        let mut versions = Stream::new(1, Purpose::CutoffVersion);
        let proof = AddressProof::new(now, 1, &mut versions);
        Peer::new(addr(host), now, 1500, [u32::MAX; 8], 1, proof)
    }

    #[test]
    fn record_finished__is_bounded_over_all_peers_and_forgets_the_silent() {
        let mut table = PeerTable::new(100, 1);
        let limits = FinishedLimits { memory: IDLE, per_peer_max: 1000, total_max: 500 };
        for host in 0..50 {
            let slot = table.insert(at(0), peer(host, at(0)), IDLE).unwrap();
            // Each id in a group of its own.
            for id in 0..100 {
                table.record_finished(at(0), slot, id << 10, limits);
            }
        }
        let held: usize = table.iter().map(|(_, peer)| peer.finished.groups()).sum();
        assert_eq!(table.finished_groups, held);
        assert!(held <= 500 + 2 * 50, "{held} groups");
        // One that goes on makes all others give their memory back.
        for second in 30..80 {
            table.record_finished(at(second), 0, second << 10, limits);
        }
        assert!(table.finished_groups <= 40, "{} groups", table.finished_groups);
        assert!(table.is_finished(at(80), 0, 79 << 10, IDLE));
    }

    /// Strangers come from as many addresses as there are.
    #[test]
    fn insert__evicts_proven_peers_only_for_want_of_others() {
        let mut table = PeerTable::new(64, 1);
        let prove = |table: &mut PeerTable, slot, now| {
            let mut versions = Stream::new(9, Purpose::CutoffVersion);
            let version = table.get_mut(slot).unwrap().proof.version_for(1, &mut versions);
            assert_eq!(table.with_proof(slot, |proof| proof.echoed(now, version, 8)), Some(true));
        };
        for host in 0..32 {
            let slot = table.insert(at(0), peer(host, at(0)), IDLE).unwrap();
            prove(&mut table, slot, at(0));
        }
        // Far more strangers than there are places, at once and over a long time.
        for second in [0, 1, 20, 40, 60] {
            for host in 100..200 {
                let _ = table.insert(at(second), peer(host, at(second)), IDLE);
            }
        }
        assert!((0..32).all(|host| table.find(&addr(host)).is_some()), "all of them are there");
        assert_eq!((table.len(), table.proven()), (64, 32));
        // If more than half are proven, they make room for each other.
        let strangers: Vec<_> =
            table.iter().filter(|(_, peer)| !peer.proof.is_valid()).map(|(slot, _)| slot).collect();
        strangers.into_iter().for_each(|slot| prove(&mut table, slot, at(60)));
        assert!(table.insert(at(80), peer(250, at(80)), IDLE).is_ok());
        assert_eq!((table.len(), table.proven()), (64, 63));
    }

    #[test]
    fn insert__evicts_only_idle_peers_without_rpcs() {
        let mut table = PeerTable::new(2, 1);
        let busy = table.insert(at(0), peer(1, at(0)), IDLE).unwrap();
        table.get_mut(busy).unwrap().open_rpcs = 1;
        table.insert(at(0), peer(2, at(0)), IDLE).unwrap();
        assert_eq!(table.insert(at(9), peer(3, at(9)), IDLE), Err(PeerError::Full));
        table.insert(at(10), peer(3, at(10)), IDLE).unwrap();
        assert_eq!(table.find(&addr(1)), Some(busy));
        assert_eq!(table.find(&addr(2)), None);
        assert!(table.find(&addr(3)).is_some());
        assert_eq!(table.len(), 2);
    }
}
