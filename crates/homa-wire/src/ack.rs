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
    pub fn iter(&self) -> impl Iterator<Item = Ack> + use<> {
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

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::vec::Vec;

    use super::{Ack, AckList};
    use crate::testing::{assert_shortest, body, packet};
    use crate::{ACKS_MAX, Body, BodyView, PacketView, RpcId, Version};

    fn ack(number: u16) -> Ack {
        Ack { client_id: RpcId(1000 + 2 * u64::from(number)), server_port: 4000 + number }
    }

    fn list(len: u16) -> AckList {
        let mut list = AckList::new();
        for number in 0..len {
            assert!(list.push(ack(number)));
        }
        list
    }

    fn parse(packet: &[u8]) -> AckList {
        match body(packet) {
            Ok(Body::Ack(list)) => list,
            other => panic!("no ACK packet: {other:?}"),
        }
    }

    #[test]
    fn push__five_entries_and_no_more() {
        let mut acks = AckList::new();
        assert!(acks.is_empty());
        for number in 0..5 {
            assert!(!acks.is_full());
            assert!(acks.push(ack(number)));
            assert_eq!(acks.len(), usize::from(number) + 1);
        }
        assert!(acks.is_full());
        assert!(!acks.push(ack(5)));
        assert_eq!(acks, list(5));
        assert!(acks.iter().eq((0..5).map(ack)));
    }

    /// HOMA-ACK-3: the count, and as many entries; always 80 bytes, because kernel peers drop
    /// shorter packets, with unused slots zero.
    #[test]
    fn emit__80_bytes() {
        for len in 0..=5 {
            let packet = packet(Body::Ack(list(len)), &[]);
            assert_eq!(packet.len(), 80);
            assert_eq!(packet[28..30], len.to_be_bytes());
            let mut entries = Vec::new();
            for number in 0..len {
                entries.extend(ack(number).client_id.0.to_be_bytes());
                entries.extend(ack(number).server_port.to_be_bytes());
            }
            entries.resize(50, 0);
            assert_eq!(packet[30..], entries);
        }
    }

    /// HOMA-ACK-3, where the draft's packets end with their last entry.
    #[test]
    fn parse__30_bytes_and_10_per_entry() {
        for len in 0..=5 {
            let packet = packet(Body::Ack(list(len)), &[]);
            assert_eq!(parse(&packet[..30 + 10 * usize::from(len)]), list(len));
        }
    }

    #[test]
    fn parse__no_more_entries_than_there_are() {
        let packet = packet(Body::Ack(list(5)), &[]);
        for len in 30..=80 {
            let whole = u16::try_from((len - 30) / 10).expect("small");
            assert_eq!(parse(&packet[..len]), list(whole), "{len} bytes");
        }
    }

    /// WIRE section 5: a larger count is treated as 5.
    #[test]
    fn parse__no_more_than_five_entries() {
        let mut packet = packet(Body::Ack(list(5)), &[0xEE; 100]);
        for count in [5, 6, 255, 256, u16::MAX] {
            packet[28..30].copy_from_slice(&count.to_be_bytes());
            assert_eq!(parse(&packet), list(5));
        }
    }

    /// WIRE section 10: unused slots may hold anything.
    #[test]
    fn parse__unused_slots_are_ignored() {
        let mut packet = packet(Body::Ack(list(5)), &[]);
        packet[28..30].copy_from_slice(&[0, 2]);
        assert_eq!(parse(&packet), list(2));
    }

    #[test]
    fn parse__shortest() {
        assert_shortest(Body::Ack(list(5)), 30);
    }

    #[test]
    fn view__same_entries_as_the_value() {
        let packet = packet(Body::Ack(list(3)), &[]);
        let view = PacketView::new(&packet, Version::V1).expect("legal");
        let BodyView::Ack(acks) = view.body() else { panic!("ACK") };
        assert_eq!(acks.len(), 3);
        assert!(!acks.is_empty() && acks.len() <= ACKS_MAX);
        assert!(acks.iter().eq((0..3).map(ack)));
    }
}
