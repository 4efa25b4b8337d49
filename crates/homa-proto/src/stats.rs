//! Free-running counters: HomaModule's where they have a meaning here, under its names
//! (PARAMETERS section 2), and those of our own limits.

use crate::size_class;
use homa_wire::{PRIORITY_LEVELS, PacketType};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Counters since the endpoint was made. They only grow, and wrap after 2^64.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: u64,)+
            /// Bytes of incoming messages, by their length.
            pub message_sizes: MessageSizes,
            /// Packets sent, by [`PacketType::index`].
            pub packets_sent: [u64; PacketType::COUNT],
            /// Packets received, by [`PacketType::index`].
            pub packets_rcvd: [u64; PacketType::COUNT],
            /// Bytes sent at each priority level, headers included.
            pub priority_bytes: [u64; PRIORITY_LEVELS],
            /// Packets sent at each priority level.
            pub priority_packets: [u64; PRIORITY_LEVELS],
        }

        const PLAIN: &[(&str, &str, fn(&Stats) -> u64)] = &[
            $((stringify!($name), concat!($($doc),+), |stats| stats.$name),)+
        ];
    };
}

counters! {
    /// Client RPCs started by the application.
    client_requests_started,
    /// Bytes of these requests.
    client_request_bytes_started,
    /// Requests sent in full.
    client_requests_done,
    /// Responses of which the first byte arrived.
    client_responses_started,
    /// Responses received in full.
    client_responses_done,
    /// Bytes of these responses.
    client_response_bytes_done,
    /// Client RPCs that failed.
    client_rpcs_failed,
    /// Client RPCs that the application aborted.
    client_rpcs_aborted,
    /// Bytes of requests sent in full.
    client_request_bytes_done,
    /// Server RPCs created by a request's first packet.
    server_requests_started,
    /// Requests received in full.
    server_requests_done,
    /// Bytes of these requests.
    server_request_bytes_done,
    /// Replies that the application started.
    server_responses_started,
    /// Bytes of these replies.
    server_response_bytes_started,
    /// Responses sent in full.
    server_responses_done,
    /// Bytes of responses sent in full.
    server_response_bytes_done,
    /// Bytes of messages that the application gave to be sent.
    sent_msg_bytes,
    /// Incoming messages longer than 131,072 bytes.
    large_msg_count,
    /// Bytes of these messages.
    large_msg_bytes,
    /// Server RPCs ended by their acknowledgement.
    server_rpcs_acked,
    /// Server RPCs ended because the client did not know them (RPC_UNKNOWN).
    server_rpcs_unknown,
    /// Server RPCs ended because their client fell silent or could not be reached.
    server_rpc_discards,
    /// Requests refused, by whatever reason.
    server_requests_refused,
    /// Requests turned away for want of room, by REFUSE or BUSY.
    server_requests_overloaded,
    /// Those of them whose sender had its share.
    peer_share_refusals,
    /// Those of them that came while another had waited too long to be accepted.
    queue_delay_refusals,
    /// Incomplete requests given up, since they made no progress while room was short.
    inactive_requests_dropped,
    /// Responses given up, since their client was silent while room was short.
    unacked_responses_dropped,
    /// DATA for which no server RPC could be created: no peer could be added, or no memory was left.
    server_cant_create_rpcs,
    /// DATA of RPCs that finished before: dropped, not executed again.
    finished_rpc_packets,
    /// Finished ids forgotten before their time for want of room.
    finished_ids_forgotten,
    /// DATA sent again because of RESEND or RPC_UNKNOWN.
    resent_packets,
    /// Retransmitted DATA received that brought something new.
    resent_packets_used,
    /// Retransmitted DATA received that brought nothing new.
    resent_discards,
    /// Other DATA received that brought nothing new.
    packet_discards,
    /// Times that a packet arrived before earlier ones of its message, leaving a gap.
    gaps_created,
    /// DATA dropped because its message length contradicts earlier packets.
    length_mismatches,
    /// DATA dropped because its bytes lie outside the message.
    range_errors,
    /// DATA dropped because its message has too many gaps.
    gap_overflows,
    /// Bytes of DATA dropped because incoming messages hold all their memory.
    dropped_data_no_bufs,
    /// Packets dropped because their source port is not their RPC's.
    wrong_port_packets,
    /// Packets shorter than their header.
    short_packets,
    /// Packets of unknown type, or with an unknown extension.
    unknown_packet_types,
    /// FREEZE packets dropped.
    freezes_ignored,
    /// Packets for unknown RPCs, but for GRANTs overtaken by an ack.
    unknown_rpcs,
    /// Packets for ports that no socket holds.
    unknown_ports,
    /// Packets that make no sense in their RPC's state or role.
    misplaced_packets,
    /// RPCs ended by silence.
    rpc_timeouts,
    /// Peers declared dead.
    peer_timeouts,
    /// Calls ended by their own deadline.
    call_deadlines,
    /// RESENDs and NEED_ACKs that waited because another RPC probed the silent peer.
    parked_probes,
    /// RESENDs and NEED_ACKs that waited for their turn, since others asked the same peer.
    queued_probes,
    /// Explicit ACKs because more than five acks were waiting, and no DATA to take them along.
    ack_overflows,
    /// NEED_ACKs answered by RESEND, or not at all, since the response is incomplete.
    ignored_need_acks,
    /// CUTOFFS not sent because one went to the peer just before.
    cutoffs_suppressed,
    /// Peers that echoed the cutoff version told to them: their addresses are their own.
    addresses_validated,
    /// Times that a client was asked to echo its version before its response was sent.
    address_challenges,
    /// Control packets dropped since peers that had not shown their address would draw too much.
    amplification_drops,
    /// Times that a response waited since its client would draw too much.
    amplification_holds,
    /// RESENDs not answered by DATA, since all that was sent had been asked for again twice just before.
    resends_suppressed,
    /// Bytes granted beyond SRPT to the oldest message.
    fifo_grant_bytes,
    /// Grants sent.
    grants_sent,
    /// Own cutoffs changed by observed traffic.
    cutoff_changes,
    /// Control packets dropped because the driver did not drain them.
    control_overflows,
    /// Packets that the operating system would not send.
    data_xmit_errors,
    /// Unreachability reports that matched no RPC.
    unreachables_ignored,
    /// Peers made.
    peer_allocs,
    /// Peers that could not be made for want of room.
    peer_failures,
    /// Times that sending paused for the pacer.
    pacer_pauses,
    /// Paced bytes sent for the oldest message instead of the shortest.
    pacer_fifo_bytes,
}

impl Stats {
    /// Every counter: name, value, meaning.
    pub fn iter(&self) -> impl Iterator<Item = (CounterName, u64, &'static str)> + '_ {
        let plain = PLAIN.iter().map(|&(name, doc, read)| {
            (CounterName { prefix: name, suffix: "", number: None }, read(self), doc.trim())
        });
        let sent = by_type("packets_sent_", &self.packets_sent, "packets sent of this type");
        let rcvd = by_type("packets_rcvd_", &self.packets_rcvd, "packets received of this type");
        let bytes = by_level("_bytes", &self.priority_bytes, "bytes sent at this priority level");
        let packets =
            by_level("_packets", &self.priority_packets, "packets sent at this priority level");
        let sizes = self.message_sizes.iter();
        plain.chain(sizes).chain(sent).chain(rcvd).chain(bytes).chain(packets)
    }

    /// A message has left in full for the first time: a request, or a response.
    pub(crate) fn count_sent(&mut self, is_request: bool, length: u32) {
        let (done, bytes_done) = if is_request {
            (&mut self.client_requests_done, &mut self.client_request_bytes_done)
        } else {
            (&mut self.server_responses_done, &mut self.server_response_bytes_done)
        };
        *done += 1;
        *bytes_done += u64::from(length);
    }

    /// Counts an incoming message, when its first packet has arrived.
    pub(crate) fn count_message(&mut self, length: u32) {
        let class = size_class::of(length);
        match self.message_sizes.0.get_mut(class) {
            Some(bytes) => *bytes += u64::from(length),
            None => {
                self.large_msg_count += 1;
                self.large_msg_bytes += u64::from(length);
            }
        }
    }
}

/// Bytes of incoming messages by length: HomaModule's `msg_bytes_N`, N being the longest length of
/// a class; classes are 64 bytes wide up to 4096, then 1024 up to 131,072.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSizes([u64; size_class::BOUNDED]);

impl Default for MessageSizes {
    fn default() -> Self {
        Self([0; size_class::BOUNDED])
    }
}

impl MessageSizes {
    fn iter(&self) -> impl Iterator<Item = (CounterName, u64, &'static str)> + '_ {
        self.0.iter().enumerate().map(|(class, &bytes)| {
            let number = size_class::upper(class);
            let name = CounterName { prefix: "msg_bytes_", number, suffix: "" };
            (name, bytes, "bytes of incoming messages of up to this length")
        })
    }
}

fn by_type<'a>(
    prefix: &'static str,
    values: &'a [u64; PacketType::COUNT],
    doc: &'static str,
) -> impl Iterator<Item = (CounterName, u64, &'static str)> + 'a {
    PacketType::ALL.iter().map(move |packet_type| {
        let name = CounterName { prefix, suffix: packet_type.name(), number: None };
        (name, values[packet_type.index()], doc)
    })
}

fn by_level<'a>(
    suffix: &'static str,
    values: &'a [u64; PRIORITY_LEVELS],
    doc: &'static str,
) -> impl Iterator<Item = (CounterName, u64, &'static str)> + 'a {
    values.iter().zip(0..).map(move |(&value, level)| {
        (CounterName { prefix: "priority", suffix, number: Some(level) }, value, doc)
    })
}

/// A counter's name, made of parts so that it needs no memory; print it with `Display`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterName {
    prefix: &'static str,
    suffix: &'static str,
    number: Option<u32>,
}

impl core::fmt::Display for CounterName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.prefix)?;
        if let Some(number) = self.number {
            write!(f, "{number}")?;
        }
        f.write_str(self.suffix)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use std::collections::BTreeSet;
    use std::string::ToString;

    #[test]
    fn iter__names_every_counter_once() {
        let mut stats = Stats::default();
        stats.packets_sent[PacketType::NeedAck.index()] = 3;
        stats.priority_bytes[7] = 9;
        stats.rpc_timeouts = 1;
        stats.count_message(65);
        stats.count_message(200_000);
        let names: BTreeSet<_> = stats.iter().map(|(name, ..)| name.to_string()).collect();
        assert_eq!(names.len(), stats.iter().count());
        let value = |wanted: &str| {
            stats.iter().find(|(name, ..)| name.to_string() == wanted).map(|(_, value, _)| value)
        };
        assert_eq!(value("packets_sent_NEED_ACK"), Some(3));
        assert_eq!(value("priority7_bytes"), Some(9));
        assert_eq!(value("rpc_timeouts"), Some(1));
        assert_eq!(value("msg_bytes_128"), Some(65));
        assert_eq!((value("large_msg_count"), value("large_msg_bytes")), (Some(1), Some(200_000)));
        assert!(stats.iter().all(|(_, _, doc)| !doc.is_empty()));
    }
}
