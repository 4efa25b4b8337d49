//! A capture summarised RPC by RPC.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use homa_wire::{Body, DATA_HEADER_LEN};

use super::Packet;
use super::fields::{Fields, endpoint, micros_since};
use super::frame::Via;
use super::segments::beyond_message;

/// The RPCs of a capture.
#[derive(Debug, Default)]
pub(super) struct RpcTable {
    /// Index in `rpcs` by what names an RPC.
    index: BTreeMap<RpcName, usize>,
    rpcs: Vec<Rpc>,
}

/// What names an RPC: one client has each even id once. Over UDP a client is an address with its
/// UDP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RpcName {
    client: (IpAddr, u16),
    server: (IpAddr, u16),
    client_id: u64,
}

/// What a capture says of one RPC.
#[derive(Debug)]
pub(super) struct Rpc {
    name: RpcName,
    client_port: u16,
    server_port: u16,
    request: Transfer,
    response: Transfer,
    begin: Duration,
    end: Duration,
    grants: u64,
    resends: u64,
    busy: u64,
    unknown: u64,
    need_acks: u64,
    acks: u64,
    refused: Option<String>,
    /// DATA packets that reach beyond their message: what they really held is not known.
    beyond_message: u64,
}

/// A message of which something was seen.
#[derive(Debug)]
pub(super) struct Message {
    /// When the first of its packets was seen.
    pub(super) begin: Duration,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) bytes: u32,
}

/// One message on its way.
#[derive(Debug, Default)]
struct Transfer {
    length: Option<u32>,
    /// Ranges that were seen, disjoint and ascending.
    seen: Vec<(u32, u32)>,
    packets: u64,
    retransmitted: u64,
    /// When the first packet was seen.
    begin: Duration,
    /// When the last new bytes were seen.
    last_new: Duration,
}

impl RpcTable {
    /// Takes a packet into account; FREEZE and those of no RPC are passed over.
    pub(super) fn add(&mut self, packet: &Packet<'_>) {
        let header = &packet.header;
        if header.sender_id.0 < 2 || matches!(header.body, Body::Freeze | Body::Cutoffs(_)) {
            return;
        }
        let (name, client_port, server_port) = identify(packet);
        let index = *self.index.entry(name).or_insert_with(|| {
            self.rpcs.push(Rpc::new(name, client_port, server_port, packet.time));
            self.rpcs.len() - 1
        });
        self.rpcs[index].add(packet);
    }

    /// The requests and responses of all of them.
    pub(super) fn messages(&self) -> impl Iterator<Item = Message> {
        self.rpcs.iter().flat_map(Rpc::messages)
    }

    /// All of them, by the time of their first packet.
    pub(super) fn in_order_of_time(&self) -> impl Iterator<Item = &Rpc> {
        let mut rpcs: Vec<_> = self.rpcs.iter().collect();
        rpcs.sort_by_key(|rpc| rpc.begin);
        rpcs.into_iter()
    }
}

impl Rpc {
    fn new(name: RpcName, client_port: u16, server_port: u16, begin: Duration) -> Self {
        Self {
            name,
            client_port,
            server_port,
            request: Transfer::default(),
            response: Transfer::default(),
            begin,
            end: begin,
            grants: 0,
            resends: 0,
            busy: 0,
            unknown: 0,
            need_acks: 0,
            acks: 0,
            refused: None,
            beyond_message: 0,
        }
    }

    fn add(&mut self, packet: &Packet<'_>) {
        self.end = self.end.max(packet.time);
        match &packet.header.body {
            Body::Data(data) => {
                let from_client = is_client_id(packet.header.sender_id.0);
                let transfer = if from_client { &mut self.request } else { &mut self.response };
                let length = packet.carried.length.saturating_sub(DATA_HEADER_LEN) as u32;
                if transfer.length.is_none() {
                    transfer.length = Some(data.message_length);
                    transfer.begin = packet.time;
                }
                transfer.packets += 1;
                transfer.retransmitted += u64::from(data.retransmit);
                if beyond_message(data, packet.carried.length) > 0 {
                    self.beyond_message += 1;
                } else if transfer.insert(data.offset, data.offset.saturating_add(length)) {
                    transfer.last_new = packet.time;
                }
            }
            Body::Grant(_) => self.grants += 1,
            Body::Resend(_) => self.resends += 1,
            Body::Busy => self.busy += 1,
            Body::RpcUnknown => self.unknown += 1,
            Body::NeedAck => self.need_acks += 1,
            Body::Ack(_) => self.acks += 1,
            Body::Refuse(refuse) => self.refused = Some(refuse.reason.to_string()),
            Body::Cutoffs(_) | Body::Freeze => {}
        }
    }

    pub(super) fn fields(&self, start: Duration) -> Fields {
        let mut fields = Fields::default();
        fields.push("time_us", micros_since(self.begin, start));
        fields.push("from", endpoint(self.name.client.0, self.client_port));
        fields.push("to", endpoint(self.name.server.0, self.server_port));
        fields.push("state", self.state());
        fields.push("id", self.name.client_id.to_string());
        fields.push("request", self.request.length);
        fields.push("response", self.response.length);
        fields.push("duration_us", micros_since(self.last_time(), self.begin));
        fields.push("request_packets", self.request.packets);
        fields.push("response_packets", self.response.packets);
        fields.push("retransmitted", self.request.retransmitted + self.response.retransmitted);
        fields.push("grants", self.grants);
        fields.push("resends", self.resends);
        fields.push("busy", self.busy);
        fields.push("unknown", self.unknown);
        fields.push("need_acks", self.need_acks);
        fields.push("acks", self.acks);
        if let Some(reason) = &self.refused {
            fields.push("refused", reason.as_str());
        }
        if self.beyond_message > 0 {
            fields.push("beyond_message", self.beyond_message);
        }
        fields
    }

    fn messages(&self) -> impl Iterator<Item = Message> {
        let [client, server] = self.hosts();
        let message = |transfer: &Transfer, from: &String, to: &String| Message {
            begin: transfer.begin,
            from: from.clone(),
            to: to.clone(),
            bytes: transfer.length.unwrap_or(0),
        };
        let request = message(&self.request, &client, &server);
        let response = message(&self.response, &server, &client);
        [request, response].into_iter().filter(|message| message.bytes > 0)
    }

    /// Client and server: their addresses, with ports if that is one address.
    fn hosts(&self) -> [String; 2] {
        let (client, server) = (self.name.client.0, self.name.server.0);
        if client == server {
            return [endpoint(client, self.client_port), endpoint(server, self.server_port)];
        }
        [client, server].map(|address| address.to_string())
    }

    /// How far it got, as far as the capture shows.
    fn state(&self) -> &'static str {
        match (self.request.is_complete(), self.response.is_complete()) {
            _ if self.refused.is_some() => "refused",
            (_, true) => "complete",
            (true, false) => "requested",
            (false, false) => "partial",
        }
    }

    /// When the response was there, or the last packet if it never was.
    fn last_time(&self) -> Duration {
        if self.response.is_complete() { self.response.last_new } else { self.end }
    }
}

impl Transfer {
    /// Adds a range; whether any of it is new.
    fn insert(&mut self, start: u32, end: u32) -> bool {
        if start >= end || self.seen.iter().any(|&(s, e)| s <= start && end <= e) {
            return false;
        }
        let (mut start, mut end) = (start, end);
        self.seen.retain(|&(s, e)| {
            let apart = e < start || end < s;
            if !apart {
                start = start.min(s);
                end = end.max(e);
            }
            apart
        });
        self.seen.push((start, end));
        self.seen.sort_unstable();
        true
    }

    fn is_complete(&self) -> bool {
        self.length.is_some_and(|length| self.seen == [(0, length)])
    }
}

fn is_client_id(id: u64) -> bool {
    id.is_multiple_of(2)
}

/// What RPC a packet belongs to, with its client's and its server's Homa port.
fn identify(packet: &Packet<'_>) -> (RpcName, u16, u16) {
    let header = &packet.header;
    let carried = &packet.carried;
    let (source_udp, dest_udp) = match carried.via {
        Via::Udp { source_port, dest_port } => (source_port, dest_port),
        Via::Native | Via::Hijacked => (0, 0),
    };
    let source = (carried.source, source_udp);
    let dest = (carried.dest, dest_udp);
    let client_id = header.sender_id.0 & !1;
    if is_client_id(header.sender_id.0) {
        let name = RpcName { client: source, server: dest, client_id };
        (name, header.source_port, header.dest_port)
    } else {
        let name = RpcName { client: dest, server: source, client_id };
        (name, header.dest_port, header.source_port)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use homa_wire::{Data, DataLayout, Header, RpcId};

    use super::super::frame::Carried;
    use super::*;

    const CLIENT: [u8; 4] = [10, 0, 0, 1];
    const SERVER: [u8; 4] = [10, 0, 0, 2];

    fn packet(us: u64, id: u64, body: Body, payload: usize) -> Packet<'static> {
        let (from, to, source_port, dest_port) = if id.is_multiple_of(2) {
            (CLIENT, SERVER, 32768, 4000)
        } else {
            (SERVER, CLIENT, 4000, 32768)
        };
        let carried = Carried {
            source: from.into(),
            dest: to.into(),
            via: Via::Native,
            traffic_class: 0,
            bytes: &[],
            length: DATA_HEADER_LEN + payload,
            authentication: None,
            uncaptured: 0,
        };
        let header = Header::new(source_port, dest_port, RpcId(id), body);
        Packet { time: Duration::from_micros(us), carried, header }
    }

    fn data(offset: u32, message_length: u32, retransmit: bool) -> Body {
        Body::Data(Data {
            message_length,
            incoming: message_length,
            ack: None,
            cutoff_version: 0,
            retransmit,
            incast: false,
            offset,
            layout: DataLayout::default(),
        })
    }

    #[test]
    fn add__both_directions_are_one_rpc() {
        let mut table = RpcTable::default();
        table.add(&packet(100, 1000, data(0, 2000, false), 1424));
        table.add(&packet(105, 1002, data(0, 10, false), 10));
        table.add(&packet(110, 1000, data(1424, 2000, false), 576));
        table.add(&packet(120, 1001, Body::Busy, 0));
        table.add(&packet(130, 1001, data(0, 100, true), 100));
        table.add(&packet(140, 1001, data(0, 100, true), 100));
        table.add(&packet(150, 1001, Body::NeedAck, 0));
        let rpcs: Vec<_> =
            table.in_order_of_time().map(|rpc| rpc.fields(Duration::ZERO).to_json()).collect();
        assert_eq!(rpcs.len(), 2);
        let rpc = &rpcs[0];
        assert_eq!(rpc["state"], "complete");
        assert_eq!((&rpc["request"], &rpc["response"]), (&2000.into(), &100.into()));
        assert_eq!((&rpc["request_packets"], &rpc["response_packets"]), (&2.into(), &2.into()));
        assert_eq!(
            (&rpc["retransmitted"], &rpc["busy"], &rpc["need_acks"]),
            (&2.into(), &1.into(), &1.into())
        );
        assert_eq!(rpc["duration_us"], 30.0);
        assert_eq!(rpc["from"], "10.0.0.1:32768");
        assert_eq!(rpcs[1]["state"], "requested");
    }

    #[test]
    fn insert__merges_ranges() {
        let mut transfer = Transfer { length: Some(30), ..Transfer::default() };
        assert!(transfer.insert(20, 30));
        assert!(transfer.insert(0, 10));
        assert!(!transfer.insert(22, 25));
        assert!(!transfer.is_complete());
        assert!(transfer.insert(5, 20));
        assert!(transfer.is_complete());
    }
}
