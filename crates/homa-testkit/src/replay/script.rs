//! What the applications of a capture did: which calls were made when, and answered when.

use super::capture::{Capture, Recorded, Side};
use super::content::Content;
use homa_proto::Duration;
use homa_wire::Body;
use std::collections::BTreeMap;

/// One RPC of a capture.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The request as far as it was captured, and when its first DATA was: the call was made then,
    /// or before the capture began. `None` if no DATA of it is there.
    pub(super) request: Option<(Duration, Content)>,
    /// The response as far as it was captured.
    pub(super) response: Option<Content>,
    /// When the server's first packet left that it sends only after its application has replied.
    pub(super) replied_at: Option<Duration>,
}

/// The RPCs of a capture, by client id.
pub(super) fn exchanges(capture: &Capture) -> BTreeMap<u64, Exchange> {
    let mut exchanges = BTreeMap::new();
    for packet in &capture.packets {
        let id = packet.header.sender_id.0 & !1;
        let exchange = exchanges.entry(id).or_insert_with(|| Exchange {
            request: None,
            response: None,
            replied_at: None,
        });
        note(exchange, packet);
    }
    exchanges
}

fn note(exchange: &mut Exchange, packet: &Recorded) {
    let data = match packet.header.body {
        Body::Data(data) => data,
        Body::NeedAck => {
            exchange.replied_at.get_or_insert(packet.at);
            return;
        }
        _ => return,
    };
    let content = match packet.from {
        Side::Client => {
            let begun = || (packet.at, Content::new(data.message_length));
            &mut exchange.request.get_or_insert_with(begun).1
        }
        Side::Server => {
            exchange.replied_at.get_or_insert(packet.at);
            exchange.response.get_or_insert_with(|| Content::new(data.message_length))
        }
    };
    assert_eq!(content.length(), data.message_length, "the recorded host's own mistake");
    content.add(&data, packet.payload_len, &packet.payload);
}
