//! What the unit tests share.

use std::vec;
use std::vec::Vec;

use crate::{Body, Header, ParseError, RpcId, Version};

/// The bytes of a packet with this body and this payload.
pub(crate) fn packet(body: Body, payload: &[u8]) -> Vec<u8> {
    let header = Header::new(32768, 4000, RpcId(1000), body);
    let mut packet = vec![0xEE; header.emitted_len(Version::V1)];
    assert_eq!(header.emit(Version::V1, &mut packet), Ok(packet.len()));
    packet.extend_from_slice(payload);
    packet
}

/// The body of a packet.
pub(crate) fn body(packet: &[u8]) -> Result<Body, ParseError> {
    Header::parse(packet, Version::V1).map(|(header, _)| header.body)
}

/// Shows that packets of this body may be as short as `shortest` bytes and no shorter.
pub(crate) fn assert_shortest(body: Body, shortest: usize) {
    let packet = packet(body, &[]);
    for len in 0..packet.len() {
        let result = Header::parse(&packet[..len], Version::V1);
        let needed = if len < 28 { 28 } else { shortest };
        if len < shortest {
            assert_eq!(result, Err(ParseError::TooShort { needed, actual: len }));
        } else {
            assert!(result.is_ok(), "{len} bytes");
        }
    }
}
