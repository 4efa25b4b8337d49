//! Acknowledgements of whole RPCs: one inside a DATA packet, or up to five in an ACK packet
//! (WIRE sections 4 and 5).

use core::iter;

use crate::field;
use crate::{ACKS_MAX, RpcId};

/// One RPC whose client needs nothing more from its server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ack {
    /// The RPC as its client numbers it. Even in packets of an honest sender; not checked here.
    pub client_id: RpcId,
    /// The server port that the RPC's request went to (HOMA-DATA-8).
    pub server_port: u16,
}

/// Bytes of the entries in an ACK packet.
type EntryBytes = [u8; field::ACK_ENTRY_LEN];

impl Ack {
    fn to_bytes(self) -> EntryBytes {
        let mut entry = [0; field::ACK_ENTRY_LEN];
        field::ACK_ENTRY_CLIENT_ID.set(&mut entry, self.client_id.0);
        field::ACK_ENTRY_SERVER_PORT.set(&mut entry, self.server_port);
        entry
    }

    fn from_bytes(entry: &EntryBytes) -> Self {
        Self {
            client_id: RpcId(field::ACK_ENTRY_CLIENT_ID.value(entry)),
            server_port: field::ACK_ENTRY_SERVER_PORT.value(entry),
        }
    }
}

/// The entries of an ACK packet: none to five (HOMA-ACK-3).
///
/// The RPC that the packet's common header names is acknowledged besides (HOMA-ACK-2).
//
// Ids and ports are kept apart because that takes 56 bytes instead of 88, and every `Header` has
// room for this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AckList {
    client_ids: [RpcId; ACKS_MAX],
    server_ports: [u16; ACKS_MAX],
    len: u8,
}

impl AckList {
    /// Length of the packet as we send it: all slots, unused ones zero.
    pub(crate) const LEN: usize = 80;

    /// Length of the shortest packet that is accepted.
    pub(crate) const LEN_MIN: usize = 30;

    /// A list without entries.
    pub const fn new() -> Self {
        Self { client_ids: [RpcId(0); ACKS_MAX], server_ports: [0; ACKS_MAX], len: 0 }
    }

    /// Appends an entry. Returns whether there was room for it.
    #[must_use = "an entry for which there is no room is not in the list"]
    pub fn push(&mut self, ack: Ack) -> bool {
        let slot = usize::from(self.len);
        let (Some(client_id), Some(server_port)) =
            (self.client_ids.get_mut(slot), self.server_ports.get_mut(slot))
        else {
            return false;
        };
        *client_id = ack.client_id;
        *server_port = ack.server_port;
        self.len = self.len.saturating_add(1);
        true
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = Ack> {
        iter::zip(self.client_ids, self.server_ports)
            .map(|(client_id, server_port)| Ack { client_id, server_port })
            .take(self.len())
    }

    /// Number of entries, at most [`ACKS_MAX`].
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are no entries.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there is no room for another entry.
    pub const fn is_full(&self) -> bool {
        self.len() == ACKS_MAX
    }

    /// Writes the fields of this type.
    pub(crate) fn emit(&self, out: &mut [u8; Self::LEN]) {
        let mut bytes = [0; ACKS_MAX * field::ACK_ENTRY_LEN];
        let (slots, _) = bytes.as_chunks_mut();
        for (slot, ack) in slots.iter_mut().zip(self.iter()) {
            *slot = ack.to_bytes();
        }
        field::ACK_COUNT.set(out, u16::from(self.len));
        field::ACK_ENTRIES.write(out, bytes);
    }
}

/// An ACK packet in place.
#[derive(Clone, Copy, Debug)]
pub struct AckView<'a> {
    entries: &'a [EntryBytes],
}

impl<'a> AckView<'a> {
    pub(crate) fn new(packet: &'a [u8]) -> Option<Self> {
        let (header, slots) = packet.split_first_chunk::<{ AckList::LEN_MIN }>()?;
        let (slots, _) = slots.as_chunks();
        let claimed = usize::from(field::ACK_COUNT.value(header));
        let entries = slots.get(..claimed.min(ACKS_MAX)).unwrap_or(slots);
        Some(Self { entries })
    }

    /// The entries, in order: as many as the packet claims and has, and at most [`ACKS_MAX`].
    pub fn iter(&self) -> impl Iterator<Item = Ack> + use<'a> {
        self.entries.iter().map(Ack::from_bytes)
    }

    /// Number of entries, at most [`ACKS_MAX`].
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries, as a value.
    pub fn value(&self) -> AckList {
        let mut list = AckList::new();
        for ack in self.iter() {
            // There are at most as many entries as there is room.
            let _ = list.push(ack);
        }
        list
    }
}
