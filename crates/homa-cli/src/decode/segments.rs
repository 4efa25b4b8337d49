//! The Homa packets in one captured UDP datagram: with segmentation offload a host hands several to
//! its network as one datagram, and there, or on loopback, that is what is captured.

use homa_wire::{Body, COMMON_HEADER_LEN, DATA_HEADER_LEN, Data, Header, Version, ip};

use super::authentication::Authentication;
use super::frame::{Carried, Via};

/// The packets of a datagram, in order. All have one length, but the last, which may be shorter; all
/// are authenticated, or none is, for they go to one peer.
///
/// Nothing in a capture says that length. It is the least one at which whole packets follow each
/// other to the end, as far as they were captured. What has none is one packet. Packets of which
/// nothing was captured are only counted, by the last one of which something was.
pub(super) fn split(datagram: Carried<'_>) -> impl Iterator<Item = Carried<'_>> {
    let whole = datagram.length;
    let length = match datagram.via {
        Via::Udp { .. } => segment_length(datagram.bytes, whole).max(1),
        Via::Native | Via::Hijacked => whole.max(1),
    };
    let captured = datagram.bytes.len();
    let is_authenticated = Authentication::strip(datagram.bytes).0.is_some();
    (0..captured.max(1)).step_by(length).map(move |start| {
        let end = whole.min(start + length);
        let uncaptured = if end >= captured { (whole - end).div_ceil(length) } else { 0 };
        let packet = &datagram.bytes[start..end.min(captured)];
        // Packets over raw IP have none.
        let (authentication, bytes) =
            if is_authenticated { Authentication::strip(packet) } else { (None, packet) };
        let in_front = authentication.map_or(0, |_| Authentication::LEN);
        let length = (end - start).saturating_sub(in_front);
        Carried { bytes, length, authentication, uncaptured, ..datagram }
    })
}

fn segment_length(bytes: &[u8], whole: usize) -> usize {
    let found = (COMMON_HEADER_LEN..whole).take_while(|&length| length < bytes.len());
    let mut found = found.filter(|&length| are_packets(bytes, whole, length));
    found.next().unwrap_or(whole)
}

/// Whether `bytes`, the beginning of a datagram of `whole` bytes, are packets of `length` bytes. The
/// second must have been captured.
fn are_packets(bytes: &[u8], whole: usize, length: usize) -> bool {
    let is_authenticated = Authentication::strip(bytes).0.is_some();
    let mut starts = (0..whole).step_by(length);
    let may_be = |start: usize| {
        let captured = bytes.get(start..).unwrap_or_default();
        let its_length = length.min(whole - start);
        let is_cut = captured.len() < its_length.min(Authentication::LEN + DATA_HEADER_LEN);
        let is_like_the_first = Authentication::strip(captured).0.is_some() == is_authenticated;
        (is_cut && start > length) || (is_like_the_first && is_packet(captured, its_length))
    };
    // The second nearly always tells.
    may_be(length) && starts.all(may_be)
}

/// Whether `bytes` begin with a packet that may have `length` bytes. So many bits of its header are
/// fixed that payload does not look like one by chance.
fn is_packet(bytes: &[u8], length: usize) -> bool {
    let bytes = &bytes[..bytes.len().min(length)];
    let (authentication, bytes) = Authentication::strip(bytes);
    let length = length - authentication.map_or(0, |_| Authentication::LEN.min(length));
    if !ip::is_hijacked(bytes) {
        return false;
    }
    match Header::parse(bytes, Version::V1) {
        Ok((Header { body: Body::Data(data), .. }, _)) => beyond_message(&data, length) == 0,
        Ok((header, _)) => length == header.emitted_len(Version::V1),
        Err(_) => false,
    }
}

/// How many bytes of a DATA packet of `length` bytes lie beyond its message: then it is damaged, or several
/// packets that could not be told apart.
pub(super) fn beyond_message(data: &Data, length: usize) -> u64 {
    let payload = length.saturating_sub(DATA_HEADER_LEN);
    let end = u64::from(data.offset) + payload as u64;
    end.saturating_sub(data.message_length.into())
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use homa_wire::{AckList, HEADER_LEN_MAX, RpcId};
    use proptest::prelude::*;

    use super::*;

    fn packet(id: u64, body: Body, payload: usize) -> Vec<u8> {
        let mut bytes = [0; HEADER_LEN_MAX];
        let header = Header::new(32768, 4000, RpcId(id), body);
        let length = header.emit(Version::V1, &mut bytes).unwrap();
        let payload = (0..payload).map(|at| (at * 7 + id as usize) as u8);
        bytes[..length].iter().copied().chain(payload).collect()
    }

    fn data(id: u64, offset: u32, message_length: u32, payload: usize) -> Vec<u8> {
        let data = homa_testkit::data(message_length, offset, message_length);
        packet(id, Body::Data(data), payload)
    }

    fn datagram(bytes: &[u8], length: usize) -> Carried<'_> {
        Carried {
            source: [10, 0, 0, 1].into(),
            dest: [10, 0, 0, 2].into(),
            via: Via::Udp { source_port: 5, dest_port: 4000 },
            traffic_class: 0,
            bytes,
            length,
            authentication: None,
            uncaptured: 0,
        }
    }

    fn in_front(number: u8) -> Vec<u8> {
        let mut bytes = vec![0x77; Authentication::LEN];
        bytes[..12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, number, 1, 2, 3, 0xA1]);
        bytes
    }

    /// What a whole capture of these packets, sent as one, falls into.
    fn assert_split(packets: &[Vec<u8>]) {
        let bytes = packets.concat();
        let found: Vec<_> = split(datagram(&bytes, bytes.len())).collect();
        let expected: Vec<_> =
            packets.iter().map(|packet| Authentication::strip(packet).1).collect();
        assert_eq!(found.iter().map(|packet| packet.bytes).collect::<Vec<_>>(), expected);
        assert!(found.iter().all(|packet| packet.length == packet.bytes.len()));
        let authenticated = found.iter().filter(|packet| packet.authentication.is_some()).count();
        assert_eq!(authenticated, packets.iter().filter(|packet| packet[11] == 0xA1).count());
    }

    /// What `homa client --outstanding 16` sends at once, and the pieces of a long message, which alone
    /// would be one plausible packet.
    #[test]
    fn split__messages_of_equal_length_and_pieces_of_a_long_one() {
        assert_split(&[2, 4, 6, 8].map(|id| data(id, 0, 100, 100)));
        assert_split(&[0, 1, 2].map(|n| data(2, n * 1424, 1_000_000, 1424)));
        let mut to_the_end = [0, 1, 2].map(|n| data(2, n * 1424, 3000, 1424)).to_vec();
        to_the_end[2] = data(2, 2848, 3000, 152);
        assert_split(&to_the_end);
    }

    #[test]
    fn split__other_packets_of_equal_length_and_a_shorter_one() {
        assert_split(&[
            packet(3, Body::Ack(AckList::default()), 0),
            packet(5, Body::Ack(AckList::default()), 0),
            packet(7, Body::NeedAck, 0),
        ]);
        assert_split(&[data(2, 0, 100, 100), data(4, 0, 100, 100), packet(6, Body::Busy, 0)]);
    }

    #[test]
    fn split__authenticated_packets() {
        let packets = [1, 2, 3].map(|n| [in_front(n), data(2 * u64::from(n), 0, 50, 50)].concat());
        assert_split(&packets);
        assert_split(&packets[..1]);
    }

    /// The 44 bytes in front of the second packet belong to the payload of the first.
    #[test]
    fn split__payload_that_looks_like_authentication() {
        let mut first = data(2, 0, 9000, 300);
        let at = first.len() - Authentication::LEN;
        first[at..].copy_from_slice(&in_front(1));
        assert_split(&[first, data(4, 0, 9000, 1)]);
    }

    #[test]
    fn split__one_packet_stays_whole() {
        assert_split(&[data(2, 0, 60_000, 60_000)]);
        assert_split(&[data(2, 100, 60_000, 0)]);
        assert_split(&[packet(3, Body::Busy, 0)]);
        let sealed_long_ago = [vec![1; 40], data(2, 0, 9, 9)].concat();
        assert_split(&[sealed_long_ago]);
    }

    /// Nothing tells where the first packet ends; what reaches beyond its message is no payload of it.
    #[test]
    fn split__unknown_lengths_are_seen_to_be_unknown() {
        let bytes = [2, 4].map(|id| data(id, 0, 100, 100)).concat();
        let found: Vec<_> = split(datagram(&bytes[..150], bytes.len())).collect();
        assert_eq!(found.len(), 1);
        let (header, _) = Header::parse(found[0].bytes, Version::V1).unwrap();
        let Body::Data(data) = header.body else { panic!("{header:?}") };
        assert_eq!(beyond_message(&data, found[0].length), 156);
        assert_eq!(beyond_message(&data, 156), 0);
    }

    #[test]
    fn split__packets_of_which_nothing_was_captured_are_counted() {
        let bytes = [2, 4, 6, 8].map(|id| data(id, 0, 100, 100)).concat();
        let found: Vec<_> = split(datagram(&bytes[..156 + 120], bytes.len())).collect();
        let seen = |packet: &Carried<'_>| (packet.bytes.len(), packet.length, packet.uncaptured);
        assert_eq!(found.iter().map(seen).collect::<Vec<_>>(), [(156, 156, 0), (120, 156, 2)]);
    }

    #[test]
    fn split__raw_ip_is_taken_as_it_is() {
        let bytes = [2, 4].map(|id| data(id, 0, 100, 100)).concat();
        let datagram = Carried { via: Via::Native, ..datagram(&bytes, bytes.len()) };
        assert_eq!(split(datagram).collect::<Vec<_>>(), [datagram]);
    }

    proptest! {
        #[test]
        fn split__any_run_of_one_length(length in 0_usize..3000, count in 1_usize..20, last in 0_usize..3000) {
            let mut packets: Vec<_> =
                (0..count as u64).map(|n| data(2 * n + 2, 5, 9000, length)).collect();
            packets.push(data(1000, 0, 9000, last.min(length)));
            assert_split(&packets);
        }

        #[test]
        fn split__never_panics_and_loses_nothing(bytes: Vec<u8>, more in 0_usize..100) {
            let found: Vec<_> = split(datagram(&bytes, bytes.len() + more)).collect();
            prop_assert_eq!(found.len(), 1);
        }
    }
}
