//! Any bytes as a packet, and any packet as bytes.

use super::Choices;
use super::packets::any_header;
use homa_wire::checksum::{self, Addresses};
use homa_wire::{BodyView, HEADER_LEN_MAX, Header, PacketType, PacketView, Version, ip};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads the input as a packet, by value and in place; then makes a header from it, which must
/// survive the way over the wire, with a checksum that shows any one bit that flips.
///
/// # Panics
///
/// If what parses does not emit and parse to the same, both ways of reading disagree, or a checksum
/// does not hold.
pub fn decode(input: &[u8]) {
    if let Some(header) = read(input) {
        let emitted = emit(&header);
        assert_eq!(read(&emitted), Some(header), "what is accepted can be emitted");
    }
    let mut choices = Choices::new(input);
    let header = any_header(&mut choices);
    let cut = choices.byte();
    let is_data = header.packet_type() == PacketType::Data;
    let payload = if is_data { choices.rest() } else { &[] };
    let mut packet = emit(&header);
    packet.extend(payload);
    let parsed = Header::parse(&packet, Version::V1);
    assert_eq!(parsed, Ok((header, payload)), "what is emitted parses to the same");
    assert!(ip::is_hijacked(&packet), "everything we emit may travel as TCP");
    let cut = usize::from(cut) % packet.len();
    black_box(read(&packet[..cut]));
    check_checksum(&mut packet, cut, input);
}

/// Reads a packet by value and in place, and calls every accessor.
fn read(packet: &[u8]) -> Option<Header> {
    black_box(ip::is_hijacked(packet));
    let parsed = Header::parse(packet, Version::V1);
    let view = match PacketView::new(packet, Version::V1) {
        Ok(view) => view,
        Err(error) => {
            assert_eq!(parsed, Err(error));
            return None;
        }
    };
    let (header, payload) = parsed.expect("a view and a header are of the same packets");
    assert_eq!(view.payload(), payload);
    assert_eq!(view.packet_type(), header.packet_type());
    assert_eq!((view.source_port(), view.dest_port()), (header.source_port, header.dest_port));
    assert_eq!((view.sender_id(), view.checksum()), (header.sender_id, header.checksum));
    assert_eq!(view.body().value(), header.body);
    match view.body() {
        BodyView::Data(data) => {
            black_box((data.sequence(), data.segment_offset()));
            assert_eq!(data.payload(), payload);
        }
        BodyView::Ack(acks) => assert!(acks.iter().count() == acks.len() && acks.len() <= 5),
        _ => {}
    }
    Some(header)
}

fn emit(header: &Header) -> Vec<u8> {
    let mut out = [0xEE; HEADER_LEN_MAX];
    let len = header.emit(Version::V1, &mut out).expect("it has room and a legal offset");
    assert_eq!(len, header.emitted_len(Version::V1));
    out[..len].to_vec()
}

fn check_checksum(packet: &mut [u8], cut: usize, input: &[u8]) {
    let mut choices = Choices::new(input);
    let addresses = if choices.flag() {
        Addresses::new(
            IpAddr::V4(Ipv4Addr::from(choices.bytes::<4>())),
            IpAddr::V4(Ipv4Addr::from(choices.bytes::<4>())),
        )
    } else {
        Addresses::new(
            IpAddr::V6(Ipv6Addr::from(choices.bytes::<16>())),
            IpAddr::V6(Ipv6Addr::from(choices.bytes::<16>())),
        )
    };
    let Some(addresses) = addresses else { return };
    let parts = [&packet[..cut], &packet[cut..]];
    let checksum = checksum::compute(addresses, &parts);
    assert_eq!(checksum, checksum::compute(addresses, &[packet]), "parts make no difference");
    packet[checksum::FIELD].copy_from_slice(&checksum.to_be_bytes());
    assert!(checksum::verify(addresses, &[packet]));
    let bit = usize::from(choices.u16()) % (8 * packet.len());
    packet[bit / 8] ^= 1 << (bit % 8);
    assert!(!checksum::verify(addresses, &[packet]), "bit {bit} flipped");
}
