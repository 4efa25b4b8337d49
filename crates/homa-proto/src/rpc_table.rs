//! The open RPCs, found by key, by id, and by peer.

use crate::error::NoMemory;
use crate::index_table::IndexTable;
use crate::rpc::Rpc;
use crate::slab::{RpcKey, Slab};
use alloc::vec::Vec;
use core::hash::BuildHasher;
use foldhash::fast::FixedState;
use homa_wire::RpcId;

const NONE: u32 = u32::MAX;

/// Neighbours in the list of a peer's RPCs.
#[derive(Clone, Copy, Debug)]
struct Links {
    previous: u32,
    next: u32,
}

/// All open RPCs of a host.
#[derive(Debug)]
pub(crate) struct RpcTable {
    slab: Slab<Rpc>,
    /// Client RPCs by id; server RPCs by id and peer (WIRE section 3, DRAFT "server's key"). Ids of
    /// the two differ in their lowest bit, so one index holds both.
    index: IndexTable,
    hasher: FixedState,
    clients: u32,
    /// By RPC slot.
    links: Vec<Links>,
    /// By peer slot.
    first_of_peer: Vec<u32>,
}

impl RpcTable {
    pub(crate) fn new(rpcs_max: u32, hash_seed: u64) -> Self {
        Self {
            slab: Slab::new(rpcs_max),
            index: IndexTable::new(),
            hasher: FixedState::with_seed(hash_seed),
            clients: 0,
            links: Vec::new(),
            first_of_peer: Vec::new(),
        }
    }

    /// Adds an RPC whose id (and peer, for a server RPC) is not in the table.
    #[inline]
    pub(crate) fn insert(&mut self, rpc: Rpc) -> Result<RpcKey, NoMemory> {
        let (id, peer) = (rpc.id, rpc.peer);
        grow(&mut self.first_of_peer, peer, NONE)?;
        let key = self.slab.insert(rpc).map_err(|_| NoMemory)?;
        let slot = key.slot();
        let unlinked = Links { previous: NONE, next: NONE };
        let indexed = grow(&mut self.links, slot, unlinked)
            .and_then(|()| self.index.insert(self.hash(id, peer), slot).map_err(|_| NoMemory));
        if let Err(NoMemory) = indexed {
            self.slab.remove(key);
            return Err(NoMemory);
        }
        self.link(slot, peer);
        self.clients += u32::from(id.is_client());
        Ok(key)
    }

    /// Drops an RPC, if it is still there.
    pub(crate) fn remove(&mut self, key: RpcKey) {
        let Some(Rpc { id, peer, .. }) = self.slab.get(key) else { return };
        let (id, peer) = (*id, *peer);
        self.slab.remove(key);
        self.index.remove(self.hash(id, peer), key.slot());
        self.unlink(key.slot(), peer);
        self.clients -= u32::from(id.is_client());
    }

    pub(crate) fn get(&self, key: RpcKey) -> Option<&Rpc> {
        self.slab.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: RpcKey) -> Option<&mut Rpc> {
        self.slab.get_mut(key)
    }

    pub(crate) fn at(&self, slot: u32) -> Option<&Rpc> {
        self.slab.at(slot)
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut Rpc> {
        self.slab.at_mut(slot)
    }

    pub(crate) fn key_at(&self, slot: u32) -> Option<RpcKey> {
        self.slab.key_at(slot)
    }

    /// The RPC with this id, as numbered here, with this peer.
    pub(crate) fn find(&self, id: RpcId, peer: u32) -> Option<RpcKey> {
        let slot = self.index.find(self.hash(id, peer), |slot| {
            self.slab.at(slot).is_some_and(|rpc| rpc.id == id && rpc.peer == peer)
        })?;
        self.slab.key_at(slot)
    }

    /// A peer's newest RPC. To visit all, take each one's `next_of_peer` before anything is done
    /// about it: it may end then, and no memory is needed for a list.
    pub(crate) fn first_of_peer(&self, peer: u32) -> Option<RpcKey> {
        self.slab.key_at(*self.first_of_peer.get(peer as usize)?)
    }

    /// The RPC with the same peer that was created before this one.
    pub(crate) fn next_of_peer(&self, key: RpcKey) -> Option<RpcKey> {
        self.slab.key_at(self.links.get(key.slot() as usize)?.next)
    }

    /// Slots that may hold an RPC: all below this number.
    pub(crate) fn slots(&self) -> u32 {
        self.slab.slots()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RpcKey, &Rpc)> {
        self.slab.iter()
    }

    pub(crate) fn len(&self) -> u32 {
        self.slab.len()
    }

    pub(crate) fn clients(&self) -> u32 {
        self.clients
    }

    pub(crate) fn servers(&self) -> u32 {
        self.len() - self.clients
    }

    fn hash(&self, id: RpcId, peer: u32) -> u64 {
        self.hasher.hash_one((id.0, peer))
    }

    fn link(&mut self, slot: u32, peer: u32) {
        let first = core::mem::replace(&mut self.first_of_peer[peer as usize], slot);
        self.links[slot as usize] = Links { previous: NONE, next: first };
        if first != NONE {
            self.links[first as usize].previous = slot;
        }
    }

    fn unlink(&mut self, slot: u32, peer: u32) {
        let Links { previous, next } = self.links[slot as usize];
        match previous {
            NONE => self.first_of_peer[peer as usize] = next,
            previous => self.links[previous as usize].next = next,
        }
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
    }
}

/// Makes `index` valid in `vec`, filling with `value`.
fn grow<T: Copy>(vec: &mut Vec<T>, index: u32, value: T) -> Result<(), NoMemory> {
    let needed = index as usize + 1;
    if vec.len() < needed {
        vec.try_reserve(needed - vec.len()).map_err(|_| NoMemory)?;
        vec.resize(needed, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::addr::LocalAddr;
    use crate::rpc::{Patience, State};
    use crate::sockets::SocketTable;
    use crate::time::Instant;
    use std::vec::Vec;

    fn rpc(id: u64, peer: u32) -> Rpc {
        Rpc {
            id: RpcId(id),
            state: State::Requesting,
            socket: SocketTable::new(0).open_client().unwrap(),
            port: 1,
            peer,
            peer_port: 2,
            local: LocalAddr::ANY,
            birth: 0,
            sent_at: None,
            outgoing: None,
            incoming: None,
            patience: Patience::new(Instant::ZERO),
            call_deadline: Instant::FAR_FUTURE,
            in_resend_queue: false,
            credit: crate::rpc::CreditWait::default(),
            incast: false,
            streamed: false,
        }
    }

    #[test]
    fn find__tells_peers_apart() {
        let mut table = RpcTable::new(10, 1);
        let a = table.insert(rpc(5, 0)).unwrap();
        let b = table.insert(rpc(5, 1)).unwrap();
        assert_eq!(table.find(RpcId(5), 0), Some(a));
        assert_eq!(table.find(RpcId(5), 1), Some(b));
        assert_eq!(table.find(RpcId(4), 0), None);
        table.remove(a);
        assert_eq!(table.find(RpcId(5), 0), None);
        assert_eq!(table.find(RpcId(5), 1), Some(b));
    }

    #[test]
    fn next_of_peer__visits_exactly_the_peers_rpcs() {
        let mut table = RpcTable::new(100, 1);
        let keys: Vec<_> =
            (0..30).map(|i| table.insert(rpc(2 * i, i as u32 % 3)).unwrap()).collect();
        for &i in &[0usize, 15, 27, 3] {
            table.remove(keys[i]);
        }
        let of_peer = |peer| {
            core::iter::successors(table.first_of_peer(peer), |&key| table.next_of_peer(key))
        };
        let mut left: Vec<_> = of_peer(0).map(|key| table.get(key).unwrap().id.0 / 2).collect();
        left.sort_unstable();
        assert_eq!(left, [6, 9, 12, 18, 21, 24]);
        assert_eq!(of_peer(7).count(), 0);
        assert_eq!(table.len(), 26);
        assert_eq!(table.clients(), 26);
    }

    #[test]
    fn insert__respects_the_limit() {
        let mut table = RpcTable::new(1, 1);
        table.insert(rpc(2, 0)).unwrap();
        assert!(table.insert(rpc(4, 0)).is_err());
        assert_eq!(table.find(RpcId(4), 0), None);
    }
}
