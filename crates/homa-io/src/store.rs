//! Where the bytes of messages are while the protocol, which knows only ranges, moves them.

use crate::chunk_pool::ChunkPool;
use crate::incoming::Incoming;
use crate::{Message, SendBatch};
use bytes::Bytes;
use homa_proto::{Account, Accounts, Meter, Resource, RpcKey};
use std::ops::Range;

/// The outgoing and incoming messages of one endpoint's open RPCs.
///
/// It obeys the protocol and decides nothing: an outgoing message stays from [`park`](Self::park)
/// to [`release`](Self::release), an incoming one from the first [`write`](Self::write) to
/// [`take`](Self::take), and [`forget`](Self::forget) drops both.
///
/// Keys are used as the endpoint does: slots are dense and reused, and a newer generation makes
/// whatever an older one left in its slot disappear, while a key that is older than the slot's
/// content finds nothing.
#[derive(Debug)]
pub struct MessageStore {
    slots: Vec<Slot>,
    pool: ChunkPool,
    /// Bytes of all parked messages.
    outgoing: Meter,
    /// Memory of all incoming messages.
    incoming: Meter,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    outgoing: Option<Message>,
    incoming: Option<Incoming>,
}

/// An [`RpcKey`], or what a test makes up in its place.
#[derive(Clone, Copy)]
struct SlotKey {
    slot: u32,
    generation: u32,
}

impl From<RpcKey> for SlotKey {
    fn from(key: RpcKey) -> Self {
        Self { slot: key.slot(), generation: key.generation() }
    }
}

impl MessageStore {
    /// An empty store that keeps at most `retained_chunks_max` free chunks of 64 KiB for reuse.
    #[must_use]
    pub fn new(retained_chunks_max: usize) -> Self {
        Self {
            slots: Vec::new(),
            pool: ChunkPool::new(retained_chunks_max),
            outgoing: Meter::default(),
            incoming: Meter::default(),
        }
    }

    /// Keeps the RPC's outgoing message until it is released. Nothing is copied.
    pub fn park(&mut self, key: RpcKey, message: Message) {
        self.park_at(key.into(), message);
    }

    /// Appends the bytes of `range` of the RPC's outgoing message to the packet that was pushed to
    /// `batch` last. Nothing is copied, unless the bytes lie in more pieces than a packet may have.
    ///
    /// Returns `false`, and appends nothing, if the message isn't here or shorter than that: the
    /// packet should not be sent then.
    #[must_use]
    pub fn gather(&self, key: RpcKey, range: Range<usize>, batch: &mut SendBatch) -> bool {
        self.gather_at(key.into(), range, batch)
    }

    /// Drops the RPC's outgoing message. Packets in a batch hold their own reference.
    pub fn release(&mut self, key: RpcKey) {
        self.release_at(key.into());
    }

    /// Stores bytes of the RPC's incoming message at `offset` by a copy.
    ///
    /// Each byte is given once (`Delivery::ranges` are new by contract); bytes beyond
    /// `message_length` are ignored. A message that comes in one piece is stored exactly, longer
    /// ones by chunks as bytes arrive.
    pub fn write(&mut self, key: RpcKey, message_length: u32, offset: u32, data: &[u8]) {
        self.write_at(key.into(), message_length, offset, data);
    }

    /// Stores bytes as [`write`](Self::write) does, which lie in a chunk of their own. It becomes a
    /// part of the message unless too much of it would remain unused.
    pub(crate) fn adopt(&mut self, key: RpcKey, message_length: u32, offset: u32, data: Bytes) {
        self.adopt_at(key.into(), message_length, offset, data);
    }

    /// The bytes `from..upto` of a message that may still be arriving, all of which were written:
    /// `upto` is at most what `Event::Readable` announced. They stay in the store as well.
    ///
    /// Whole chunks are shared, the bytes of a chunk that is still being filled are copied.
    /// `None` if the message isn't here, or fewer than `upto` bytes of it arrived at all.
    pub fn read(&mut self, key: RpcKey, from: u32, upto: u32) -> Option<Message> {
        self.read_at(key.into(), from, upto)
    }

    /// Takes the complete incoming message out, without a copy. `None`, and nothing is taken, if it
    /// isn't here or bytes are missing: memory that this message has not written is never shown.
    pub fn take(&mut self, key: RpcKey) -> Option<Message> {
        self.take_at(key.into())
    }

    /// Drops all that is here of the RPC.
    pub fn forget(&mut self, key: RpcKey) {
        self.forget_at(key.into());
    }

    /// Bytes of memory that messages hold here: outgoing ones, buffers of incoming ones, and free
    /// chunks kept for reuse. Messages that were taken belong to the application.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        (self.outgoing.used() + self.incoming.used()) as usize + self.pool.retained_bytes()
    }

    /// Where free chunks are.
    pub(crate) const fn pool(&self) -> &ChunkPool {
        &self.pool
    }

    /// Bytes of memory held by incoming messages. It exceeds what the protocol counts, as a chunk
    /// is held from its first byte.
    #[must_use]
    pub fn incoming_memory_bytes(&self) -> usize {
        self.incoming.used() as usize
    }

    /// Adds what the store holds to the accounts. The limits of incoming and outgoing memory are the
    /// protocol's, and what it lets arrive is what comes here; chunks may also be in the hands of
    /// the application, which has no limit but its own.
    pub fn account(&self, accounts: &mut Accounts) {
        let limit = |resource| accounts.get(resource).and_then(|account| account.limit);
        let incoming = self.incoming.account(limit(Resource::IncomingBytes));
        let outgoing = self.outgoing.account(limit(Resource::OutgoingBytes));
        let chunks = Account {
            used: self.pool.existing_bytes() as u64,
            high_water: self.pool.existed_bytes() as u64,
            ..Account::default()
        };
        accounts.set(Resource::StoreIncomingBytes, incoming);
        accounts.set(Resource::StoreOutgoingBytes, outgoing);
        accounts.set(Resource::ChunkBytes, chunks);
    }

    fn park_at(&mut self, key: SlotKey, message: Message) {
        self.release_at(key);
        let len = message.len();
        if let Some(index) = self.claim(key) {
            self.slots[index].outgoing = Some(message);
            self.outgoing.raise(len as u64);
        }
    }

    fn gather_at(&self, key: SlotKey, range: Range<usize>, batch: &mut SendBatch) -> bool {
        let Some(message) = self.slot(key).and_then(|slot| slot.outgoing.as_ref()) else {
            return false;
        };
        if range.start > range.end || range.end > message.len() {
            return false;
        }
        let is_copied = range.len() <= SendBatch::COPIED_PAYLOAD_MAX;
        let slices_max = SendBatch::SLICES_PER_PACKET_MAX;
        if !is_copied && message.chunk_count(range.clone()) > slices_max {
            batch.append_payload(message.slice(range));
        } else {
            message.visit_chunks(range, |bytes, range| batch.append(bytes, range));
        }
        true
    }

    fn release_at(&mut self, key: SlotKey) {
        if let Some(message) = self.present_mut(key).and_then(|slot| slot.outgoing.take()) {
            self.outgoing.lower(message.len() as u64);
        }
    }

    fn write_at(&mut self, key: SlotKey, message_length: u32, offset: u32, data: &[u8]) {
        self.fill(key, message_length, |incoming, pool| incoming.write(pool, offset, data));
    }

    fn adopt_at(&mut self, key: SlotKey, message_length: u32, offset: u32, data: Bytes) {
        self.fill(key, message_length, |incoming, pool| incoming.adopt(pool, offset, data));
    }

    fn fill(
        &mut self,
        key: SlotKey,
        message_length: u32,
        store: impl FnOnce(&mut Incoming, &ChunkPool),
    ) {
        let Some(index) = self.claim(key) else { return };
        let incoming = &mut self.slots[index].incoming;
        let incoming = incoming.get_or_insert_with(|| Incoming::new(message_length));
        let before = incoming.memory_bytes();
        store(incoming, &self.pool);
        self.incoming.raise((incoming.memory_bytes() - before) as u64);
    }

    fn read_at(&mut self, key: SlotKey, from: u32, upto: u32) -> Option<Message> {
        self.present_mut(key)?.incoming.as_mut()?.read(from..upto)
    }

    fn take_at(&mut self, key: SlotKey) -> Option<Message> {
        let incoming =
            self.present_mut(key)?.incoming.take_if(|incoming| incoming.is_complete())?;
        self.incoming.lower(incoming.memory_bytes() as u64);
        incoming.into_message()
    }

    fn forget_at(&mut self, key: SlotKey) {
        self.release_at(key);
        if let Some(incoming) = self.present_mut(key).and_then(|slot| slot.incoming.take()) {
            self.incoming.lower(incoming.memory_bytes() as u64);
        }
    }

    /// The slot if it holds what belongs to `key`.
    fn slot(&self, key: SlotKey) -> Option<&Slot> {
        self.slots.get(key.slot as usize).filter(|slot| slot.generation == key.generation)
    }

    fn present_mut(&mut self, key: SlotKey) -> Option<&mut Slot> {
        self.slots.get_mut(key.slot as usize).filter(|slot| slot.generation == key.generation)
    }

    /// The index of the slot, made ready for `key`; `None` if it has gone over to a later key.
    fn claim(&mut self, key: SlotKey) -> Option<usize> {
        let index = key.slot as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        let generation = self.slots[index].generation;
        if generation != key.generation {
            // Generations wrap, so "later" means less than half the circle ahead.
            if key.generation.wrapping_sub(generation) > u32::MAX / 2 {
                return None;
            }
            self.forget_at(SlotKey { slot: key.slot, generation });
            self.slots[index].generation = key.generation;
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::Destination;
    use crate::chunk_pool::CHUNK_LEN;
    use homa_proto::LocalAddr;
    use homa_wire::Priority;
    use std::net::SocketAddr;

    const OLD: SlotKey = SlotKey { slot: 3, generation: 7 };
    const NEW: SlotKey = SlotKey { slot: 3, generation: 8 };

    fn batch() -> SendBatch {
        let peer = SocketAddr::from(([10, 0, 0, 1], 4000)).into();
        let mut batch = SendBatch::new();
        let destination = Destination { peer, local: LocalAddr::ANY, priority: Priority::LOWEST };
        batch.push(destination, b"");
        batch
    }

    #[test]
    fn gather__shares_the_parked_bytes() {
        let mut store = MessageStore::new(1);
        let data = Bytes::from(vec![5; 10_000]);
        store.park_at(OLD, data.clone().into());
        let mut batch = batch();
        assert!(store.gather_at(OLD, 100..9_000, &mut batch));
        let packet = batch.front().unwrap();
        assert_eq!((packet.len, packet.payload[0].as_ptr()), (8_900, data[100..].as_ptr()));
        store.release_at(OLD);
        assert_eq!(batch.front().unwrap().to_vec(), data[100..9_000], "outlives the release");
        assert_eq!(store.memory_bytes(), 0);
        assert!(!store.gather_at(OLD, 100..300, &mut batch));
    }

    #[test]
    fn gather__copies_what_lies_in_too_many_pieces() {
        let mut store = MessageStore::new(1);
        let pieces: Vec<_> = (0..40u8).map(|n| Bytes::from(vec![n; 1_000])).collect();
        let all: Vec<u8> = pieces.concat();
        store.park_at(OLD, pieces.into());
        let mut many = batch();
        assert!(store.gather_at(OLD, 0..40_000, &mut many));
        assert_eq!(many.front().unwrap().payload.len(), 1);
        assert_eq!(many.front().unwrap().to_vec(), all);
        let mut few = batch();
        assert!(store.gather_at(OLD, 4_000..20_000, &mut few));
        assert_eq!(few.front().unwrap().payload.len(), 15, "and the first is copied");
        assert_eq!(few.front().unwrap().to_vec(), all[4_000..20_000]);
    }

    #[test]
    fn gather__beyond_the_message_appends_nothing() {
        let mut store = MessageStore::new(1);
        store.park_at(OLD, "abc".into());
        let mut batch = batch();
        assert!(!store.gather_at(OLD, 2..4, &mut batch));
        assert!(!store.gather_at(SlotKey { slot: 99, generation: 0 }, 0..1, &mut batch));
        assert_eq!(batch.front().unwrap().len, 0);
    }

    #[test]
    fn slot__a_newer_key_replaces_and_an_older_finds_nothing() {
        let mut store = MessageStore::new(1);
        store.park_at(OLD, "old".into());
        store.write_at(OLD, 4, 0, b"ol");
        store.write_at(NEW, 3, 0, b"new");
        assert_eq!(store.memory_bytes(), 3);
        store.write_at(OLD, 4, 2, b"d!");
        store.park_at(OLD, "late".into());
        store.release_at(OLD);
        store.forget_at(OLD);
        assert!(!store.gather_at(OLD, 0..1, &mut batch()));
        assert!(store.take_at(OLD).is_none());
        assert_eq!(store.take_at(NEW).unwrap(), b"new"[..]);
        assert!(store.take_at(NEW).is_none());
    }

    #[test]
    fn slot__generations_wrap() {
        let mut store = MessageStore::new(1);
        let last = SlotKey { slot: 0, generation: u32::MAX };
        store.slots.push(Slot { generation: u32::MAX - 1, ..Slot::default() });
        store.park_at(last, "a".into());
        let wrapped = SlotKey { slot: 0, generation: 0 };
        store.park_at(wrapped, "b".into());
        assert!(!store.gather_at(last, 0..1, &mut batch()));
        assert!(store.gather_at(wrapped, 0..1, &mut batch()));
    }

    #[test]
    fn take__only_when_complete() {
        let mut store = MessageStore::new(4);
        store.write_at(OLD, 100_000, 0, &[1; 60_000]);
        assert!(store.take_at(OLD).is_none());
        assert_eq!(store.read_at(OLD, 10, 20).unwrap().len(), 10);
        store.write_at(OLD, 100_000, 60_000, &[2; 40_000]);
        let message = store.take_at(OLD).unwrap();
        assert_eq!((message.len(), message.chunks().count()), (100_000, 2));
        assert_eq!(store.memory_bytes(), 0);
        drop(message);
        assert_eq!(store.memory_bytes(), 2 * CHUNK_LEN, "chunks are kept for reuse");
    }

    /// What the protocol charges for an incoming message covers what the store really holds, also of
    /// messages that arrive as scattered single bytes; but for the tables of pieces, which are small.
    #[test]
    fn account__of_scattered_bytes_is_within_what_the_protocol_charges() {
        let quantum = CHUNK_LEN as u64;
        for length in [1, 1416, 16_384, 16_385, 60_000, 65_536, 65_537, 82_000, 1_000_000] {
            let mut store = MessageStore::new(1);
            let tail = u64::from(length) % quantum;
            let tail = if tail > 16_384 { quantum } else { tail };
            let charged = u64::from(length) / quantum * quantum + tail;
            for offset in (0..length).step_by(10_007).rev() {
                store.write_at(OLD, length, offset, &[1]);
            }
            let mut accounts = Accounts::default();
            store.account(&mut accounts);
            let held = accounts.get(Resource::StoreIncomingBytes).unwrap();
            assert!(held.used <= charged + charged / 1000 + 250, "{length}: {} held", held.used);
            store.forget_at(OLD);
            store.account(&mut accounts);
            let after = accounts.get(Resource::StoreIncomingBytes).unwrap();
            assert_eq!((after.used, after.high_water), (0, held.high_water));
            let chunks = accounts.get(Resource::ChunkBytes).unwrap();
            assert!(chunks.used <= quantum, "one free chunk is kept: {}", chunks.used);
        }
    }

    /// Of a message that came with the buffers of its packets as well, whatever their lengths; but for
    /// the 256th part that packets are shorter than chunks. Meanwhile at most 48 KiB more.
    #[test]
    fn account__of_adopted_packets_is_within_what_the_protocol_charges() {
        let quantum = CHUNK_LEN as u32;
        let charge = |length: u32| {
            let tail = length % quantum;
            u64::from(length - tail + if tail > 16_384 { quantum } else { tail })
        };
        for length in [32_768, 65_536, 70_000, 131_000, 1_000_000, 4_000_000] {
            for packet in [32_768, 33_000, 50_000, 60_000, 65_451] {
                let mut store = MessageStore::new(1);
                for offset in (0..length).step_by(packet) {
                    let end = length.min(offset + packet as u32);
                    let data = store.pool().take().freeze(0..(end - offset) as usize);
                    store.adopt_at(OLD, length, offset, data);
                    let charged = charge(length).min(u64::from(end.next_multiple_of(quantum)));
                    let more = if end == length { 0 } else { 48 << 10 };
                    let table = u64::from(length) / 1000 + 250;
                    let most = charged + more + u64::from(length) / 256 + table;
                    let held = store.incoming_memory_bytes() as u64;
                    assert!(held <= most, "{end} of {length} by {packet}: {held}");
                }
                assert!(store.take_at(OLD).is_some());
                assert_eq!(store.memory_bytes(), CHUNK_LEN, "one free chunk is kept");
            }
        }
    }

    #[test]
    fn memory_bytes__returns_to_nothing_by_forget() {
        let mut store = MessageStore::new(1);
        for slot in 0..10 {
            let key = SlotKey { slot, generation: 0 };
            store.park_at(key, vec![0; 1000].into());
            store.park_at(key, vec![0; 500].into());
            store.write_at(key, 5_000, 1_000, &[0; 1_000]);
        }
        assert!(store.memory_bytes() >= 10 * 5_500);
        for slot in 0..10 {
            store.forget_at(SlotKey { slot, generation: 0 });
        }
        assert_eq!(store.memory_bytes(), 0);
    }
}
