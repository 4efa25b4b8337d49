//! What servers answer, for transports that have messages in pieces.

use ::homa::Message;
use bytes::{Buf, Bytes};

use crate::message::{HEADER_LEN, Header, make_response};

/// Messages up to this length are made in one piece, longer ones of shared pieces: below, a copy
/// costs less than keeping count of the pieces.
const MAX_COPIED: usize = 4096;

/// The response to a request of the load generator; anything else is sent back as it is.
pub(super) fn echo(mut request: Message) -> Message {
    let length = request.len();
    if (HEADER_LEN..MAX_COPIED).contains(&length) && request.chunk().len() == length {
        return Message::from(echo_of_piece(request.chunk()));
    }
    let Some(mut header) = (length >= HEADER_LEN).then(|| read_header(&mut request)) else {
        return request;
    };
    if Header::decode(&header).length as usize != length {
        return message_of_pieces(header, request);
    }
    let body_length = make_response(&mut header) as usize - HEADER_LEN;
    if body_length < request.remaining() {
        return message_of(header, request.slice(0..body_length));
    }
    message_of_pieces(header, request)
}

/// The same for a short request in one piece.
fn echo_of_piece(request: &[u8]) -> Vec<u8> {
    let mut response = request.to_vec();
    if let Some(header) = response.first_chunk_mut()
        && Header::decode(header).length as usize == request.len()
    {
        let length = make_response(header);
        response.truncate(length as usize);
    }
    response
}

fn read_header(message: &mut Message) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    message.copy_to_slice(&mut header);
    header
}

/// A message of a header and what follows it.
pub(super) fn message_of(header: [u8; HEADER_LEN], body: Bytes) -> Message {
    if body.len() <= MAX_COPIED {
        return Message::from([&header, &body[..]].concat());
    }
    message_of_pieces(header, Message::from(body))
}

fn message_of_pieces(header: [u8; HEADER_LEN], mut body: Message) -> Message {
    if body.remaining() <= MAX_COPIED {
        let mut bytes = Vec::with_capacity(HEADER_LEN + body.remaining());
        bytes.extend_from_slice(&header);
        while body.has_remaining() {
            let chunk = body.chunk();
            bytes.extend_from_slice(chunk);
            body.advance(chunk.len());
        }
        return Message::from(bytes);
    }
    let mut pieces = vec![Bytes::copy_from_slice(&header)];
    pieces.extend(body.chunks().cloned());
    Message::from(pieces)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use crate::message::Pattern;

    fn bytes_of(message: Message) -> Bytes {
        message.into_bytes()
    }

    #[test]
    fn echo__whole_short_and_in_pieces() {
        let pattern = Pattern::new(200_000);
        for length in [12, 100, 4000, 5000, 200_000] {
            for short in [false, true] {
                let header = Header::request(3, length, short);
                let body = pattern.body(5, length);
                let half = body.len() / 2;
                let pieces = vec![
                    Bytes::copy_from_slice(&header.encode()[..7]),
                    Bytes::copy_from_slice(&header.encode()[7..]),
                    body.slice(..half),
                    body.slice(half..),
                ];
                for request in [Message::from(pieces), message_of(header.encode(), body)] {
                    let mut response = echo(request);
                    assert_eq!(
                        pattern.verify(header, 5, &mut response),
                        Ok(()),
                        "{length} {short}"
                    );
                }
            }
        }
    }

    #[test]
    fn echo__other_messages_come_back_unchanged() {
        for text in ["hello", "hello, this is not a load generator"] {
            assert_eq!(bytes_of(echo(Message::from(text))), text);
        }
    }
}
