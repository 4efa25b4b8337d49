//! Runs: DATA packets of one message that follow one another, alike but for their offsets.
//!
//! Senders cut long messages into hundreds of packets, and whoever writes or reads such a run need
//! look at all fields once only.

use crate::field;
use crate::{DATA_HEADER_LEN, PacketType, RpcId, Version};

/// The headers of the packets that follow a DATA packet in its message.
///
/// They are those of the first packet with another offset, and without its acknowledgement, which is
/// said once.
#[derive(Clone, Copy, Debug)]
pub struct DataRun {
    header: [u8; DATA_HEADER_LEN],
    /// The offset stands in `seg.offset` as well as in the common header.
    in_both_places: bool,
}

impl DataRun {
    /// What follows the DATA packet, or header, `first`. `None` if that is something else, or a
    /// segment whose common header was counted on by a NIC
    /// ([`DataLayout::native_gso`](crate::DataLayout::native_gso)).
    #[must_use]
    pub fn after(first: &[u8], version: Version) -> Option<Self> {
        let Version::V1 = version;
        let mut header = *first.first_chunk()?;
        if field::TYPE.value(&header) != PacketType::Data.code() {
            return None;
        }
        let sequence = field::SEQUENCE.value(&header);
        let segment_offset = field::DATA_SEGMENT_OFFSET.value(&header);
        if segment_offset != sequence && segment_offset != crate::data::SEE_SEQUENCE {
            return None;
        }
        field::DATA_ACK_CLIENT_ID.set(&mut header, RpcId(0).0);
        field::DATA_ACK_SERVER_PORT.set(&mut header, 0);
        Some(Self { header, in_both_places: segment_offset == sequence })
    }

    /// The header of the packet whose payload begins at `offset`.
    pub fn at(&mut self, offset: u32) -> &[u8; DATA_HEADER_LEN] {
        field::SEQUENCE.set(&mut self.header, offset);
        if self.in_both_places {
            field::DATA_SEGMENT_OFFSET.set(&mut self.header, offset);
        }
        &self.header
    }

    /// The payload of `packet`, if it is the one of this run that begins at `offset`.
    pub fn payload_at<'a>(&mut self, offset: u32, packet: &'a [u8]) -> Option<&'a [u8]> {
        let (header, payload) = packet.split_first_chunk()?;
        (header == self.at(offset)).then_some(payload)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::{Ack, Body, Data, DataLayout, HEADER_LEN_MAX, Header};
    use proptest::prelude::*;
    use std::vec::Vec;

    const V1: Version = Version::V1;

    fn emitted(header: &Header) -> Vec<u8> {
        let mut out = [0; HEADER_LEN_MAX];
        let len = header.emit(V1, &mut out).expect("room");
        out[..len].to_vec()
    }

    fn with_offset(header: &Header, offset: u32) -> Header {
        let Body::Data(data) = header.body else { panic!("{header:?}") };
        Header { body: Body::Data(Data { offset, ack: None, ..data }), ..*header }
    }

    fn data(layout: DataLayout) -> Header {
        let data = Data {
            message_length: 5_000,
            incoming: 4_000,
            ack: Some(Ack { client_id: RpcId(8), server_port: 7 }),
            cutoff_version: 3,
            retransmit: false,
            incast: true,
            offset: 1_000,
            layout,
        };
        Header::new(4_000, 99, RpcId(12), Body::Data(data))
    }

    #[test]
    fn after__nothing_follows_other_packets_and_segments_that_a_nic_cut() {
        let nic = data(DataLayout::native_gso(1_000, 55));
        assert!(DataRun::after(&emitted(&nic), V1).is_none());
        let data = emitted(&data(DataLayout::default()));
        assert!(DataRun::after(&data[..DATA_HEADER_LEN - 1], V1).is_none());
        assert!(DataRun::after(&data, V1).is_some());
        let need_ack = emitted(&Header::new(1, 2, RpcId(3), Body::NeedAck));
        let long = [need_ack, std::vec![0; 100]].concat();
        assert!(DataRun::after(&long, V1).is_none());
    }

    /// Any difference ends the run: another message, an acknowledgement, a retransmission.
    #[test]
    fn payload_at__takes_no_packet_that_differs() {
        let first = data(DataLayout::default());
        let mut run = DataRun::after(&emitted(&first), V1).unwrap();
        let next = [&emitted(&with_offset(&first, 2_000))[..], b"abc"].concat();
        assert_eq!(run.payload_at(2_000, &next), Some(&b"abc"[..]));
        assert_eq!(run.payload_at(2_001, &next), None);
        assert_eq!(run.payload_at(2_000, &next[..DATA_HEADER_LEN - 1]), None);
        for at in 0..DATA_HEADER_LEN {
            let mut other = next.clone();
            other[at] ^= 1;
            assert_eq!(run.payload_at(2_000, &other), None, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn at__is_the_header_with_that_offset(
            first_offset in 0..u32::MAX,
            offset in 0..u32::MAX,
            message_length: u32,
            sender_id: u64,
            retransmit: bool,
            sequence_only: bool,
        ) {
            let layout =
                if sequence_only { DataLayout::sequence_only() } else { DataLayout::default() };
            let header = data(layout);
            let Body::Data(fields) = header.body else { unreachable!() };
            let body = Data { offset: first_offset, message_length, retransmit, ..fields };
            let first = Header { sender_id: RpcId(sender_id), body: Body::Data(body), ..header };
            let mut run = DataRun::after(&emitted(&first), V1).unwrap();
            prop_assert_eq!(&run.at(offset)[..], emitted(&with_offset(&first, offset)));
        }
    }
}
