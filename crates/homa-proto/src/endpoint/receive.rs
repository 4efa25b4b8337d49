//! What is done with a received packet, up to its handler (PROTOCOL section 3).

use super::{ControlPacket, Endpoint};
use crate::event::{Delivery, PacketMeta, each_packet, packets_of};
use crate::observer::{DropReason, Observer, TraceEvent};
use crate::slab::RpcKey;
use crate::sockets::{Service, Socket};
use crate::time::Instant;
use homa_wire::{AckList, Body, Header, PacketType, ParseError, Refuse, RefuseReason};

/// A packet being handled.
#[derive(Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) now: Instant,
    pub(super) meta: PacketMeta,
    /// The slot of its sender, if that is known.
    pub(super) peer: Option<u32>,
    pub(super) header: &'a Header,
    /// Of all its payload.
    pub(super) payload_len: u32,
    /// Payload bytes of each packet but the last, if it is a run.
    pub(super) segment_bytes: u32,
}

impl Packet<'_> {
    /// Number of packets that it stands for.
    pub(super) fn count(&self) -> u64 {
        packets_of(self.payload_len, self.segment_bytes).into()
    }
}

impl<O: Observer> Endpoint<O> {
    /// Takes in a packet. Returns which of its payload bytes are new and must be copied into the
    /// message store before the next call.
    ///
    /// `payload_len` is the number of bytes after the header.
    #[inline]
    pub fn handle_packet(
        &mut self,
        now: Instant,
        meta: PacketMeta,
        header: &Header,
        payload_len: usize,
    ) -> Option<Delivery<'_>> {
        self.handle_run(now, meta, header, payload_len, payload_len)
    }

    /// Takes in a run of packets as [`handle_packet`](Self::handle_packet) would one by one, but all or
    /// nothing: DATA that follows one another in a message and is alike but for the offsets
    /// ([`homa_wire::DataRun`]).
    ///
    /// `header` is the first packet's. The payload is that of all packets, of which all but the last have
    /// `segment_bytes`.
    pub fn handle_run(
        &mut self,
        now: Instant,
        meta: PacketMeta,
        header: &Header,
        payload_len: usize,
        segment_bytes: usize,
    ) -> Option<Delivery<'_>> {
        self.settle(now);
        // No datagram is longer than a u32 can say; a longer one can't match any message.
        let payload_len = u32::try_from(payload_len).unwrap_or(u32::MAX);
        let segment_bytes = u32::try_from(segment_bytes).unwrap_or(u32::MAX);
        let peer = self.peers.find(&meta.peer);
        let packet = Packet { now, meta, peer, header, payload_len, segment_bytes };
        self.stats.packets_rcvd[header.packet_type().index()] += packet.count();
        for (header, payload_len) in each_packet(*header, payload_len, segment_bytes) {
            self.trace(now, TraceEvent::PacketReceived { peer: meta.peer, header, payload_len });
        }
        self.fresh.clear();
        self.port_closed = false;
        let (key, offset) = self.dispatch(&packet)?;
        if self.fresh.is_empty() {
            return None;
        }
        let message_length = match header.body {
            Body::Data(data) => data.message_length,
            _ => return None,
        };
        Some(Delivery { key, message_length, offset, ranges: &self.fresh })
    }

    /// Ends the RPC whose acknowledgement the packet handled last brought along. Nobody waits for that, while
    /// somebody may wait for the packet's own RPC: so it is put off until this is called, when there is
    /// nothing better to do, or until the next packet or timeout is handled.
    pub fn settle(&mut self, now: Instant) {
        if let Some((peer, ack)) = self.put_off.take() {
            self.on_acknowledged(now, peer, ack);
        }
    }

    /// Whether the packet handled last was for a port that nobody has here, or a request for one
    /// that takes none: over raw IP its sender is told by ICMP port unreachable (WIRE section 9).
    #[must_use]
    pub fn port_was_closed(&self) -> bool {
        self.port_closed
    }

    /// Counts a packet that could not be parsed.
    pub fn count_bad_packet(&mut self, error: &ParseError) {
        match error {
            ParseError::TooShort { .. } => self.stats.short_packets += 1,
            _ => self.stats.unknown_packet_types += 1,
        }
    }

    /// Finds socket, peer and RPC, and runs the packet's handler. Returns the RPC and offset of
    /// payload that was accepted.
    fn dispatch(&mut self, packet: &Packet<'_>) -> Option<(RpcKey, u32)> {
        let Packet { now, peer, header, .. } = *packet;
        if matches!(header.body, Body::Freeze) {
            self.on_freeze(packet);
            return None;
        }
        if let Some(slot) = peer {
            self.see(now, slot);
            self.earn(slot, packet);
        }
        let Some(socket) = self.sockets.by_port(header.dest_port).copied() else {
            self.on_unknown_port(packet);
            return None;
        };
        let id = header.sender_id.flipped();
        let key = peer.and_then(|peer| self.rpcs.find(id, peer));
        if let Some(key) = key {
            if self.is_foreign(key, &socket, header) {
                self.stats.wrong_port_packets += 1;
                self.drop_packet(packet, DropReason::WrongPort);
                return None;
            }
            self.hear(now, key, header.packet_type());
        }
        match (header.body, key) {
            (Body::Data(data), Some(key)) => self.on_data(packet, key, &data),
            (Body::Data(data), None) if id.is_server() => {
                self.on_first_data(packet, &socket, &data)
            }
            (Body::Data(_), None) => {
                self.on_unknown_rpc(packet);
                None
            }
            (_, Some(key)) => {
                self.on_control(packet, key);
                None
            }
            (_, None) => {
                self.on_control_without_rpc(packet, &socket);
                None
            }
        }
    }

    /// Whether a packet that names an RPC by id and peer address does not come from its peer's
    /// port, or not to its socket (KNOWN_ISSUES 1.5 and 1.10). Acks of other RPCs may arrive
    /// anywhere, this is about the RPC in the header.
    fn is_foreign(&self, key: RpcKey, socket: &Socket, header: &Header) -> bool {
        self.rpcs
            .get(key)
            .is_some_and(|rpc| !rpc.is_from_peer_port(header) || rpc.socket != socket.id)
    }

    /// A packet names an open RPC exactly: its peer is alive.
    pub(super) fn hear(&mut self, now: Instant, key: RpcKey, packet_type: PacketType) {
        let Some(rpc) = self.rpcs.get(key) else { return };
        let Some(peer) = self.peers.get_mut(rpc.peer) else { return };
        if rpc.patience.unanswered > 0 {
            let line = peer.probes.line_mut(rpc.line_kind());
            line.answered(packet_type, rpc.patience.is_told_busy(), &self.config.timing);
        }
        let (slot, is_call) = (rpc.peer, rpc.is_client());
        if peer.liveness_mut(is_call).hear(now) {
            // More packets come, probably, for which those need not ask that waited: but not so long that the
            // peer is silent again.
            self.go_on(slot, is_call, now + self.config.timing.resend_spacing_max);
        }
    }

    fn on_freeze(&mut self, packet: &Packet<'_>) {
        if self.config.accept_freeze {
            self.trace(packet.now, TraceEvent::FreezeReceived { peer: packet.meta.peer });
        } else {
            self.stats.freezes_ignored += 1;
            self.drop_packet(packet, DropReason::Freeze);
        }
    }

    /// Nobody holds the port. A request is refused; NEED_ACK is answered by ACK, since a closed
    /// client has certainly no use for its responses (DRAFT section 3 "NEED_ACK to a closed port").
    fn on_unknown_port(&mut self, packet: &Packet<'_>) {
        self.stats.unknown_ports += 1;
        self.port_closed = true;
        let header = packet.header;
        match header.body {
            Body::NeedAck if header.sender_id.is_server() => {
                self.answer(packet, Body::Ack(AckList::new()));
            }
            Body::Data(_) | Body::Resend(_) if header.sender_id.is_client() => {
                self.refuse_packet(packet, RefuseReason::NoPort, 0);
            }
            // A response for a closed client: only its server may stop sending it.
            Body::Resend(_) => self.answer(packet, Body::RpcUnknown),
            _ => {}
        }
        self.drop_packet(packet, DropReason::UnknownPort);
    }

    pub(super) fn on_unknown_rpc(&mut self, packet: &Packet<'_>) {
        self.stats.unknown_rpcs += 1;
        self.drop_packet(packet, DropReason::UnknownRpc);
    }

    /// Why a socket takes no requests now, if it doesn't.
    pub(super) fn refusal_of(socket: &Socket) -> Option<RefuseReason> {
        match socket.service {
            Service::Serving => None,
            Service::ClientOnly => Some(RefuseReason::NotServing),
            Service::Draining => Some(RefuseReason::ShuttingDown),
        }
    }

    /// Tells a client why its request is not taken.
    pub(super) fn refuse_packet(&mut self, packet: &Packet<'_>, reason: RefuseReason, detail: u32) {
        self.stats.server_requests_refused += 1;
        self.port_closed |= reason == RefuseReason::NotServing;
        let id = packet.header.sender_id.flipped();
        self.trace(packet.now, TraceEvent::RequestRefused { id, reason });
        if self.config.refuse {
            self.answer(packet, Body::Refuse(Refuse { reason, detail }));
        }
    }

    /// Sends a packet back to where this one came from, about the same RPC.
    pub(super) fn answer(&mut self, packet: &Packet<'_>, body: Body) {
        let header = packet.header.reply(body);
        let meta = packet.meta;
        self.queue_control(ControlPacket {
            peer: meta.peer,
            local: meta.local,
            header,
            is_drawn: true,
        });
    }

    pub(super) fn drop_packet(&mut self, packet: &Packet<'_>, reason: DropReason) {
        let event = TraceEvent::PacketDropped {
            peer: packet.meta.peer,
            packet_type: packet.header.packet_type(),
            id: packet.header.sender_id.flipped(),
            reason,
        };
        self.trace(packet.now, event);
    }
}
