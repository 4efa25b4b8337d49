//! Who may receive grants: a few places, and queues of messages that wait for one.
//!
//! The rule (PROTOCOL section 8, HOMA-GRANT-9 to HOMA-GRANT-12): a place goes first to the peer
//! with the fewest active messages, among those to the message with the fewest bytes remaining,
//! then to the oldest. So one message of each peer comes before a second one of any peer, and
//! within that order the shortest wins, also by taking the place of a longer one.
//!
//! Waiting messages lie in one heap per peer, and the peers in a heap by the first of theirs, so
//! that any number of them may wait. The places are few and are looked at one by one.

use alloc::vec::Vec;

use crate::error::NoMemory;
use crate::heap::{HeapEntries, IndexedHeap, Positions};

/// More places than this cannot be configured, because each decision looks at all of them.
const PLACES_LIMIT: usize = 64;

/// Room kept in the queue of a peer that has no messages.
const QUEUE_KEPT: usize = 16;

/// Precedence among messages: fewest bytes remaining, then oldest (HOMA-GRANT-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    /// Bytes of the message that have not arrived.
    pub(super) remaining: u32,
    /// Creation sequence number: older is smaller.
    pub(super) birth: u64,
}

/// A message that holds a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Active {
    pub(super) slot: u32,
    peer: u32,
    order: Order,
    /// Fully granted: if it loses its place it does not queue for another.
    satisfied: bool,
}

impl Active {
    pub(super) fn order(&self) -> Order {
        self.order
    }
}

/// Precedence among peers with waiting messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PeerOrder {
    active: usize,
    first: Order,
}

#[derive(Debug, Default)]
struct PeerQueue {
    waiting: HeapEntries<Order>,
    /// Number of messages that hold places.
    active: usize,
}

/// The places and the queues for them.
#[derive(Debug)]
pub(super) struct Places {
    places_max: usize,
    per_peer_max: usize,
    /// In precedence order.
    active: Vec<Active>,
    peers: Vec<PeerQueue>,
    waiting_positions: Positions,
    /// Peers with waiting messages.
    waiting_peers: IndexedHeap<PeerOrder>,
}

impl Places {
    /// `places_max` is moved into 1..=64, `per_peer_max` to 1 at least.
    pub(super) fn new(places_max: usize, per_peer_max: usize) -> Self {
        Self {
            places_max: places_max.clamp(1, PLACES_LIMIT),
            per_peer_max: per_peer_max.max(1),
            active: Vec::new(),
            peers: Vec::new(),
            waiting_positions: Positions::new(),
            waiting_peers: IndexedHeap::new(),
        }
    }

    /// Makes sure that `slot` of `peer` can [`join`](Self::join), and that later moves between
    /// places and queues never need memory.
    ///
    /// # Errors
    ///
    /// [`NoMemory`]; nothing has changed that matters.
    pub(super) fn reserve(&mut self, slot: u32, peer: u32) -> Result<(), NoMemory> {
        let missing = self.places_max - self.active.len();
        self.active.try_reserve(missing).map_err(|_| NoMemory)?;
        let peers = peer as usize + 1;
        if peers > self.peers.len() {
            self.peers.try_reserve(peers - self.peers.len()).map_err(|_| NoMemory)?;
            self.peers.resize_with(peers, PeerQueue::default);
        }
        // Active messages may come back to their queue.
        let queue = &mut self.peers[peer as usize];
        queue.waiting.reserve(queue.waiting.len() + queue.active + 1)?;
        self.waiting_positions.reserve_slot(slot)?;
        self.waiting_peers.reserve_slot(peer)
    }

    /// Lets a message that was reserved compete for a place.
    pub(super) fn join(&mut self, slot: u32, peer: u32, order: Order) {
        self.peers[peer as usize].waiting.set(&mut self.waiting_positions, slot, order);
        self.settle(peer);
    }

    /// Notes that a message has fewer bytes remaining (KNOWN_ISSUES 3.7).
    pub(super) fn advance(&mut self, slot: u32, peer: u32, order: Order) {
        if let Some(mut at) = self.place_of(slot) {
            self.active[at].order = order;
            while at > 0 && order < self.active[at - 1].order {
                self.active.swap(at - 1, at);
                at -= 1;
            }
        } else if self.is_waiting(slot, peer) {
            self.peers[peer as usize].waiting.set(&mut self.waiting_positions, slot, order);
            self.settle(peer);
        }
    }

    /// Notes that a message is fully granted: it keeps a place that it has until it leaves, but
    /// does not wait for one.
    pub(super) fn satisfy(&mut self, slot: u32, peer: u32) {
        if let Some(at) = self.place_of(slot) {
            self.active[at].satisfied = true;
        } else if self.is_waiting(slot, peer) {
            self.peers[peer as usize].waiting.remove(&mut self.waiting_positions, slot);
            self.settle(peer);
        }
    }

    /// Takes a message out, be it active, waiting, or neither.
    pub(super) fn leave(&mut self, slot: u32, peer: u32) {
        if let Some(at) = self.place_of(slot) {
            self.active.remove(at);
            self.peers[peer as usize].active -= 1;
        } else if self.is_waiting(slot, peer) {
            self.peers[peer as usize].waiting.remove(&mut self.waiting_positions, slot);
        } else {
            return;
        }
        self.settle(peer);
        let queue = &mut self.peers[peer as usize];
        if queue.active == 0 {
            queue.waiting.release_if_larger(QUEUE_KEPT);
        }
    }

    /// The messages that hold places, in precedence order.
    pub(super) fn active(&self) -> &[Active] {
        &self.active
    }

    /// Whether a message waits for a place only because too many others hold one.
    pub(super) fn are_short(&self) -> bool {
        // Peers with the fewest active messages are first: if even they may not have more, it is by
        // the limit per peer that all wait.
        self.waiting_peers.peek().is_some_and(|(_, first)| first.active < self.per_peer_max)
    }

    /// Restores the rule after a change to messages of `peer`.
    fn settle(&mut self, peer: u32) {
        self.refresh(peer);
        self.swap_within(peer);
        // Every round fills a place or improves on its holder, by spread over peers, then by
        // precedence, so this ends; one change upsets few places.
        while self.admit() {}
    }

    /// Gives the place of a peer's last active message to its first waiting one, if that takes
    /// precedence.
    fn swap_within(&mut self, peer: u32) {
        let Some((_, first)) = self.peers[peer as usize].waiting.peek() else { return };
        let Some(last) = self.active.iter().rposition(|active| active.peer == peer) else { return };
        if first < self.active[last].order {
            self.evict(last);
            self.promote(peer);
        }
    }

    /// Gives a place to the first waiting message, if it deserves one.
    fn admit(&mut self) -> bool {
        let Some((peer, candidate)) = self.waiting_peers.peek() else { return false };
        if candidate.active >= self.per_peer_max {
            return false;
        }
        if self.active.len() >= self.places_max {
            let Some(loser) = self.loser_against(peer, candidate) else { return false };
            self.evict(loser);
        }
        self.promote(peer);
        true
    }

    /// The place that a candidate may take: that of the worst holder, if it belongs to a peer
    /// that has, counting the candidate as already in, more active messages than the candidate's
    /// peer, or as many and the holder comes after the candidate.
    fn loser_against(&self, peer: u32, candidate: PeerOrder) -> Option<usize> {
        let rank = |at: &usize| {
            let holder = &self.active[*at];
            let own = usize::from(holder.peer == peer);
            (self.peers[holder.peer as usize].active + own, holder.order)
        };
        let worst = (0..self.active.len()).max_by_key(rank)?;
        (rank(&worst) > (candidate.active + 1, candidate.first)).then_some(worst)
    }

    fn evict(&mut self, at: usize) {
        let loser = self.active.remove(at);
        let queue = &mut self.peers[loser.peer as usize];
        queue.active -= 1;
        if !loser.satisfied {
            queue.waiting.set(&mut self.waiting_positions, loser.slot, loser.order);
        }
        self.refresh(loser.peer);
    }

    fn promote(&mut self, peer: u32) {
        let queue = &mut self.peers[peer as usize];
        let Some((slot, order)) = queue.waiting.peek() else { return };
        queue.waiting.remove(&mut self.waiting_positions, slot);
        queue.active += 1;
        let at = self.active.partition_point(|active| active.order < order);
        self.active.insert(at, Active { slot, peer, order, satisfied: false });
        self.refresh(peer);
    }

    /// Brings a peer's place among the waiting peers up to date.
    fn refresh(&mut self, peer: u32) {
        let queue = &self.peers[peer as usize];
        match queue.waiting.peek() {
            Some((_, first)) => {
                let order = PeerOrder { active: queue.active, first };
                let reserved = self.waiting_peers.set(peer, order);
                debug_assert_eq!(reserved, Ok(()), "peer not reserved");
            }
            None => {
                self.waiting_peers.remove(peer);
            }
        }
    }

    fn place_of(&self, slot: u32) -> Option<usize> {
        self.active.iter().position(|active| active.slot == slot)
    }

    fn is_waiting(&self, slot: u32, peer: u32) -> bool {
        self.peers[peer as usize].waiting.key(&self.waiting_positions, slot).is_some()
    }

    /// The precedence under which a message is known, if it holds a place or waits for one.
    pub(super) fn order(&self, slot: u32, peer: u32) -> Option<Order> {
        match self.place_of(slot) {
            Some(at) => Some(self.active[at].order),
            None => self.peers.get(peer as usize)?.waiting.key(&self.waiting_positions, slot),
        }
    }

    /// Whether a message holds a place.
    pub(super) fn is_active(&self, slot: u32) -> bool {
        self.place_of(slot).is_some()
    }

    /// Checks the rule for every waiting message against every active one, and the books.
    ///
    /// # Panics
    ///
    /// If something is wrong.
    pub(super) fn check_invariants(&self) {
        assert!(self.active.len() <= self.places_max);
        assert!(self.active.is_sorted_by_key(|active| active.order));
        let mut waiting_peers = 0;
        for (peer, queue) in (0u32..).zip(&self.peers) {
            let held = self.active.iter().filter(|active| active.peer == peer).count();
            assert_eq!(queue.active, held);
            assert!(held <= self.per_peer_max);
            let first = queue.waiting.iter().map(|(_, order)| order).min();
            let expected = first.map(|first| PeerOrder { active: held, first });
            assert_eq!(self.waiting_peers.key(peer), expected);
            waiting_peers += usize::from(expected.is_some());
            for (slot, order) in queue.waiting.iter() {
                assert!(!self.is_active(slot), "waits for what it has");
                self.check_deserves_none(peer, held, order);
            }
        }
        assert_eq!(self.waiting_peers.len(), waiting_peers);
        let may_add =
            |queue: &PeerQueue| queue.waiting.len() > 0 && queue.active < self.per_peer_max;
        assert_eq!(self.are_short(), self.peers.iter().any(may_add));
    }

    /// A waiting message of a peer with `held` active ones has no claim to any place.
    fn check_deserves_none(&self, peer: u32, held: usize, order: Order) {
        let may_add = held < self.per_peer_max;
        assert!(!may_add || self.active.len() == self.places_max, "a place is left empty");
        for holder in &self.active {
            if holder.peer == peer {
                assert!(holder.order < order, "comes before an active message of its peer");
            } else if may_add {
                let others = self.peers[holder.peer as usize].active;
                assert!(others <= held + 1, "another peer has more than its share");
                assert!(others <= held || holder.order < order, "comes before an active message");
            }
        }
    }
}
