//! The fields of packets by name, for people and as JSON.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use homa_wire::{Ack, Body, COMMON_HEADER_LEN, DATA_HEADER_LEN, ParseError, Priority, Resend};
use serde_json::{Map, Value, json};

use super::Packet;
use super::frame::Carried;
use super::segments::beyond_message;

/// Named values in the order in which they are printed.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    pub(super) fn push(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push((name, value.into()));
    }

    pub(super) fn to_json(&self) -> Map<String, Value> {
        self.0.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }
}

impl fmt::Display for Fields {
    /// As `name=value`; the first few, which every line has, without their names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            match (*name, value) {
                ("time_us", Value::Number(time)) => {
                    write!(f, "{separator}{:>14.3}", time.as_f64().unwrap_or_default())?;
                }
                ("from", Value::String(from)) => write!(f, "{separator}{from}")?,
                ("to", Value::String(to)) => write!(f, "{separator}> {to}")?,
                ("type" | "state", Value::String(kind)) => write!(f, "{separator}{kind:<11}")?,
                (_, Value::String(text)) if !text.contains(' ') => {
                    write!(f, "{separator}{name}={text}")?
                }
                (_, value) => write!(f, "{separator}{name}={value}")?,
            }
        }
        Ok(())
    }
}

/// All fields of a packet. Those that Homa ignores are told at the end, as TCP names them.
pub(super) fn of_packet(packet: &Packet<'_>, start: Duration) -> Fields {
    let header = &packet.header;
    let mut fields = Fields::default();
    fields.push("time_us", micros_since(packet.time, start));
    fields.push("from", endpoint(packet.carried.source, header.source_port));
    fields.push("to", endpoint(packet.carried.dest, header.dest_port));
    fields.push("type", header.packet_type().to_string());
    fields.push("id", header.sender_id.0.to_string());
    let side = if header.sender_id.0.is_multiple_of(2) { "client" } else { "server" };
    fields.push("side", side);
    push_body(&mut fields, packet);
    push_carrier(&mut fields, &packet.carried);
    push_authentication(&mut fields, &packet.carried);
    push_overlay(&mut fields, packet.carried.bytes);
    fields
}

/// What can be said of bytes that are no Homa packet although they were carried as one.
pub(super) fn of_malformed(
    time: Duration,
    start: Duration,
    carried: &Carried<'_>,
    error: ParseError,
) -> Fields {
    let mut fields = Fields::default();
    fields.push("time_us", micros_since(time, start));
    fields.push("from", carried.source.to_string());
    fields.push("to", carried.dest.to_string());
    fields.push("type", "malformed");
    fields.push("error", error.to_string());
    push_carrier(&mut fields, carried);
    push_authentication(&mut fields, carried);
    fields
}

/// An address and a Homa port.
pub(super) fn endpoint(address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    }
}

/// The microseconds from `start` to `time`, negative if captured out of order.
pub(super) fn micros_since(time: Duration, start: Duration) -> f64 {
    (time.as_nanos() as f64 - start.as_nanos() as f64) / 1e3
}

fn push_body(fields: &mut Fields, packet: &Packet<'_>) {
    match &packet.header.body {
        Body::Data(data) => {
            fields.push("offset", data.offset);
            fields.push("length", packet.carried.length.saturating_sub(DATA_HEADER_LEN));
            let beyond = beyond_message(data, packet.carried.length);
            if beyond > 0 {
                fields.push("beyond_message", beyond);
            }
            fields.push("message_length", data.message_length);
            fields.push("incoming", data.incoming);
            fields.push("retransmit", data.retransmit);
            if data.incast {
                fields.push("incast", true);
            }
            fields.push("cutoff_version", data.cutoff_version);
            fields.push("ack", data.ack.map(ack));
        }
        Body::Grant(grant) => {
            fields.push("offset", grant.offset);
            fields.push("priority", level(grant.priority));
            fields.push("resend_all", grant.resend_all);
        }
        Body::Resend(resend) => {
            fields.push("offset", resend.offset);
            let all = resend.length == Resend::ALL;
            fields.push("length", if all { json!("all") } else { json!(resend.length) });
            fields.push("priority", resend.priority.map(level));
        }
        Body::Cutoffs(cutoffs) => {
            fields.push("cutoffs", cutoffs.cutoffs.to_vec());
            fields.push("cutoff_version", cutoffs.version);
        }
        Body::Ack(acks) => fields.push("acks", acks.iter().map(ack).collect::<Vec<_>>()),
        Body::Refuse(refuse) => {
            fields.push("reason", refuse.reason.to_string());
            fields.push("detail", refuse.detail);
        }
        Body::RpcUnknown | Body::Busy | Body::Freeze | Body::NeedAck => {}
    }
}

fn push_carrier(fields: &mut Fields, carried: &Carried<'_>) {
    fields.push("via", carried.via.to_string());
    fields.push("tos", format!("{:#04x}", carried.traffic_class));
    fields.push("bytes", carried.length);
    if carried.bytes.len() < carried.length {
        fields.push("captured", carried.bytes.len());
    }
    if carried.uncaptured > 0 {
        fields.push("uncaptured_packets", carried.uncaptured);
    }
}

/// What stood in front of an authenticated packet; without the key nobody can say whether it is true.
fn push_authentication(fields: &mut Fields, carried: &Carried<'_>) {
    let Some(authentication) = carried.authentication else { return };
    let [a, b, c] = authentication.key;
    fields.push("auth", "unverified");
    fields.push("auth_key", format!("{a:02x}{b:02x}{c:02x}"));
    fields.push("auth_session", format!("{:016x}", authentication.session));
    fields.push("auth_number", authentication.number.to_string());
}

/// The fields that lie where TCP's are (WIRE section 2).
fn push_overlay(fields: &mut Fields, bytes: &[u8]) {
    let Some(header) = bytes.first_chunk::<COMMON_HEADER_LEN>() else { return };
    let be16 = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let be32 = |bytes: &[u8]| bytes.first_chunk().map(|word| u32::from_be_bytes(*word));
    fields.push("seq", be32(&header[4..]));
    let segment_offset = bytes.get(52..DATA_HEADER_LEN).filter(|_| header[11] == 0x10);
    if let Some(offset) = segment_offset.and_then(be32) {
        fields.push("seg_offset", if offset == u32::MAX { json!("seq") } else { json!(offset) });
    }
    fields.push("tcp_ack", u32::from_be_bytes([0, header[8], header[9], header[10]]));
    fields.push("doff", header[12] >> 4);
    fields.push("flags", format!("{:#04x}", header[13]));
    fields.push("window", be16(14));
    fields.push("checksum", format!("{:#06x}", be16(16)));
    fields.push("urgent", format!("{:#06x}", be16(18)));
}

fn ack(ack: Ack) -> Value {
    json!(format!("{}@{}", ack.client_id.0, ack.server_port))
}

fn level(priority: Priority) -> u8 {
    priority.level()
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn display__names_and_values() {
        let mut fields = Fields::default();
        fields.push("time_us", 12.5);
        fields.push("from", "10.0.0.1:5");
        fields.push("to", "10.0.0.2:6");
        fields.push("type", "BUSY");
        fields.push("id", 7);
        fields.push("ack", None::<u32>);
        fields.push("error", "two words");
        assert_eq!(
            fields.to_string(),
            "        12.500 10.0.0.1:5 > 10.0.0.2:6 BUSY        id=7 ack=null error=\"two words\""
        );
        assert_eq!(fields.to_json()["id"], 7);
    }

    #[test]
    fn micros_since__may_be_negative() {
        let at = Duration::from_micros;
        assert_eq!(micros_since(at(5), at(2)), 3.0);
        assert_eq!(micros_since(at(2), at(5)), -3.0);
    }
}
