//! Runs of received packets: DATA of one message that follows one another, handled as one.
//!
//! The kernel hands over what a peer sent together in one piece, and to look at each packet of it on its
//! own costs as much as all that the kernel does for them.

use homa_proto::Delivery;
use homa_wire::{Body, DataRun, Header, Version};

use crate::incoming::ADOPTED_LEN_MIN;
use crate::{MessageStore, PacketIo};

/// Packets of the batch received last, one at least.
pub(super) struct ReceivedRun {
    /// Index of the first.
    first: usize,
    pub(super) packets: usize,
    header_len: usize,
    /// Bytes of all payloads.
    pub(super) payload_len: usize,
    /// Payload bytes of each packet but the last.
    pub(super) segment_bytes: usize,
}

impl ReceivedRun {
    /// Packet `index` alone, with so many bytes of payload behind a header.
    #[inline]
    pub(super) fn single(index: usize, header_len: usize, payload_len: usize) -> Self {
        Self { first: index, packets: 1, header_len, payload_len, segment_bytes: payload_len }
    }

    /// Takes in those of the packets before `end` that continue the first one, which has this header.
    #[inline]
    pub(super) fn extend(
        &mut self,
        io: &impl PacketIo,
        end: usize,
        header: &Header,
        version: Version,
    ) {
        let Body::Data(data) = header.body else { return };
        let is_part = (1..data.message_length as usize).contains(&self.payload_len);
        // Long payloads stay in the buffers that they are in, and there each is alone.
        let is_copied = self.payload_len < ADOPTED_LEN_MIN;
        if is_part && is_copied && self.first + 1 < end {
            self.extend_part(io, end, data.offset, version);
        }
    }

    #[inline(never)]
    fn extend_part(&mut self, io: &impl PacketIo, end: usize, offset: u32, version: Version) {
        let first = io.packet(self.first);
        let Some(mut run) = DataRun::after(first.bytes, version) else { return };
        for index in self.first + 1..end {
            let next = io.packet(index);
            let offset = u32::try_from(offset as usize + self.payload_len);
            let payload = offset.ok().and_then(|offset| run.payload_at(offset, next.bytes));
            let fits = |len: usize| (1..=self.segment_bytes).contains(&len);
            let Some(len) = payload.map(<[u8]>::len).filter(|len| fits(*len)) else { return };
            if (next.peer, next.local) != (first.peer, first.local) {
                return;
            }
            self.packets += 1;
            self.payload_len += len;
            if len < self.segment_bytes {
                return;
            }
        }
    }

    /// Puts what is new of the payload into the store: if it is long and in one piece together with the
    /// buffer that it is in, else by a copy.
    pub(super) fn store(
        &self,
        store: &mut MessageStore,
        io: &mut impl PacketIo,
        delivery: &Delivery<'_>,
    ) {
        let &Delivery { key, message_length, offset, ranges } = delivery;
        if let [range] = ranges
            && self.packets == 1
            && range.len() >= ADOPTED_LEN_MIN
            && let start = self.header_len + (range.start - offset) as usize
            && let Some(bytes) =
                io.take_payload(self.first, start..start + range.len(), store.pool())
        {
            return store.adopt(key, message_length, range.start, bytes);
        }
        for range in ranges {
            let mut next = range.start;
            while next < range.end {
                let bytes = self.bytes_from(io, (next - offset) as usize);
                let len = bytes.len().min((range.end - next) as usize);
                store.write(key, message_length, next, &bytes[..len]);
                next += len as u32;
            }
        }
    }

    /// The payload from byte `at` of the run on, as far as it lies in the same packet.
    fn bytes_from<'a>(&self, io: &'a impl PacketIo, at: usize) -> &'a [u8] {
        let packet = io.packet(self.first + at / self.segment_bytes);
        &packet.bytes[self.header_len + at % self.segment_bytes..]
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::{Destination, MemoryIo, SendBatch};
    use homa_proto::LocalAddr;
    use homa_wire::{HEADER_LEN_MAX, Priority, RpcId};
    use std::net::SocketAddr;

    const V1: Version = Version::V1;
    const SEGMENT: u32 = 1000;

    /// Of message `id`, which has 10,000 bytes, so many from `offset` on.
    fn packet(id: u64, offset: u32, len: u32) -> (Header, u32) {
        let data = homa_testkit::data(10_000, offset, 10_000);
        (Header::new(1, 2, RpcId(id), Body::Data(data)), len)
    }

    /// What is taken as one when these packets arrive together: how many, and payload bytes.
    fn runs(packets: &[(Header, u32)]) -> Vec<(usize, usize)> {
        let [a, b] = [1000, 2000].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let (mut a_io, mut b_io) = MemoryIo::pair(a, b, packets.len()).unwrap();
        let priority = Priority::HIGHEST;
        let destination = Destination { peer: b.into(), local: LocalAddr::ANY, priority };
        let mut batch = SendBatch::new();
        for (header, len) in packets {
            let mut bytes = [0; HEADER_LEN_MAX];
            let header_len = header.emit(V1, &mut bytes).unwrap();
            batch.push(destination, &bytes[..header_len]);
            batch.append_payload(vec![7; *len as usize].into());
        }
        a_io.send_batch(&mut batch).unwrap();
        let count = b_io.recv_batch().unwrap();
        assert_eq!(count, packets.len());
        let mut taken = Vec::new();
        let mut next = 0;
        while next < count {
            let (header, payload) = Header::parse(b_io.packet(next).bytes, V1).unwrap();
            let mut run = ReceivedRun::single(
                next,
                b_io.packet(next).bytes.len() - payload.len(),
                payload.len(),
            );
            run.extend(&b_io, count, &header, V1);
            taken.push((run.packets, run.payload_len));
            next += run.packets;
        }
        taken
    }

    #[test]
    fn extend__takes_what_follows_up_to_a_shorter_packet() {
        let packets = [0, 1, 2].map(|n| packet(2, n * SEGMENT, SEGMENT));
        assert_eq!(runs(&packets), [(3, 3000)]);
        let end = [packet(2, 3000, 10), packet(2, 3010, 10), packet(2, 3020, 20)];
        assert_eq!(runs(&[&packets[..], &end].concat()), [(4, 3010), (1, 10), (1, 20)]);
    }

    #[test]
    fn extend__ends_at_gaps_repetitions_and_other_messages() {
        let apart = [packet(2, 0, 500), packet(2, 501, 500)];
        assert_eq!(runs(&apart), [(1, 500); 2]);
        assert_eq!(runs(&[apart[0]; 2]), [(1, 500); 2]);
        assert_eq!(runs(&[packet(2, 0, 500), packet(4, 500, 500)]), [(1, 500); 2]);
        let whole = [packet(2, 0, 10_000), packet(2, 10_000, 10)];
        assert_eq!(runs(&whole), [(1, 10_000), (1, 10)], "nothing follows a whole message");
        let empty = [packet(2, 0, 0), packet(2, 0, 0)];
        assert_eq!(runs(&empty), [(1, 0); 2]);
        let need_ack = Header::new(1, 2, RpcId(2), Body::NeedAck);
        assert_eq!(runs(&[(need_ack, 9), (need_ack, 9)]), [(1, 0); 2]);
    }

    /// Offsets end there.
    #[test]
    fn extend__does_not_overflow() {
        let mut last = [packet(2, u32::MAX - 500, 500), packet(2, u32::MAX - 1, 500)];
        for (header, _) in &mut last {
            let Body::Data(data) = &mut header.body else { unreachable!() };
            data.message_length = u32::MAX;
        }
        assert_eq!(runs(&last), [(1, 500); 2]);
        assert_eq!(runs(&[last[1], last[0]]), [(1, 500); 2]);
    }
}
