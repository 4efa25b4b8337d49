//! A recorded conversation: who sent which Homa packet when.

use homa_proto::{Duration, Header};
use homa_wire::{Body, Version, ip};
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

/// One of the two hosts of a capture (`tests-data/captures/README.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// node0, 10.99.0.10, whose application makes the calls.
    Client,
    /// node1, 10.99.0.11, which serves them.
    Server,
}

impl Side {
    /// Its IPv4 address.
    pub(super) const fn address(self) -> [u8; 4] {
        match self {
            Self::Client => [10, 99, 0, 10],
            Self::Server => [10, 99, 0, 11],
        }
    }
}

/// A Homa packet as recorded.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// Time since the first packet of the capture.
    pub(super) at: Duration,
    pub(super) from: Side,
    pub(super) header: Header,
    /// Bytes after the header, as the IP header tells.
    pub(super) payload_len: u32,
    /// As many of them as were captured.
    pub(super) payload: Vec<u8>,
}

impl Recorded {
    /// Whether it is DATA of the request with this id.
    fn is_data_of(&self, id: u64) -> bool {
        self.header.sender_id.0 == id && matches!(self.header.body, Body::Data(_))
    }
}

/// The packets of a capture file, in order.
#[derive(Clone, Debug)]
pub struct Capture {
    pub(super) packets: Vec<Recorded>,
}

impl Capture {
    /// Reads a pcap file of Ethernet frames that holds nothing but Homa packets of the two hosts,
    /// native or in the guise of TCP (WIRE section 7).
    ///
    /// # Panics
    ///
    /// If the file can't be read, or holds anything else.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader = PcapReader::new(file).expect("a capture in pcap format");
        assert_eq!(reader.header().datalink, DataLink::ETHERNET);
        let mut packets = Vec::new();
        let mut start = None;
        while let Some(frame) = reader.next_packet() {
            let frame = frame.expect("an undamaged capture");
            let micros = u64::try_from(frame.timestamp.as_micros()).expect("a time of our days");
            let at = Duration::from_micros(micros - *start.get_or_insert(micros));
            packets.push(parse(at, &frame.data));
        }
        Self { packets }
    }

    /// The same without the DATA that the recorded server evidently had not got: what the client had
    /// sent of an RPC when the server said that it knew nothing of it, having said nothing of it
    /// before.
    #[must_use]
    pub fn without_lost_requests(&self) -> Self {
        let mut said = BTreeSet::new();
        let mut lost = BTreeSet::new();
        for (at, packet) in self.packets.iter().enumerate() {
            let id = packet.header.sender_id.0 & !1;
            match (packet.from, packet.header.body) {
                (Side::Server, Body::RpcUnknown) if !said.contains(&id) => {
                    let before = self.packets[..at].iter().enumerate();
                    lost.extend(before.filter(|(_, p)| p.is_data_of(id)).map(|(at, _)| at));
                }
                (Side::Server, _) => {
                    said.insert(id);
                }
                (Side::Client, _) => {}
            }
        }
        let kept = self.packets.iter().enumerate().filter(|(at, _)| !lost.contains(at));
        Self { packets: kept.map(|(_, packet)| packet.clone()).collect() }
    }

    /// Time from the first packet to the last.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.packets.last().map_or(Duration::ZERO, |packet| packet.at)
    }
}

fn parse(at: Duration, frame: &[u8]) -> Recorded {
    assert_eq!(frame[12..14], [0x08, 0x00], "IPv4");
    let ip = &frame[14..];
    let header_len = usize::from(ip[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let homa = &ip[header_len..total.min(ip.len())];
    let is_homa =
        ip[9] == ip::PROTOCOL || (ip[9] == ip::PROTOCOL_HIJACKED && ip::is_hijacked(homa));
    assert!(is_homa, "IP protocol {}", ip[9]);
    let from = if ip[12..16] == Side::Client.address() { Side::Client } else { Side::Server };
    assert_eq!(ip[12..16], from.address(), "a third host");
    let (header, payload) = Header::parse(homa, Version::V1).expect("a legal packet");
    let missing = total - header_len - homa.len();
    let payload_len = u32::try_from(payload.len() + missing).expect("shorter than an IP packet");
    Recorded { at, from, header, payload_len, payload: payload.to_vec() }
}
