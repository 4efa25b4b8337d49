//! The drive loop: one endpoint's protocol, message store and packet I/O, moved on together.
//!
//! [`Driver`] is where a reader follows a packet from the wire to the application and back.
//! [`Driver::turn`] takes what has arrived, lets the protocol act on it and on the time, sends what
//! the protocol wants sent, and tells a [`Sink`] what happened. Between turns the application's
//! verbs ([`Driver::send_request`], [`Driver::reply`], ...) change the protocol's state; a
//! [`Driver::flush`] after one or several of them sends what follows, from the calling thread.
//!
//! A driver knows no threads and never sleeps. Who takes turns, and when to sleep in
//! [`wait`] until the next, is for its owner to decide: [`Driver::next_due`],
//! [`Driver::ready_fd`] and [`Driver::wants_room`] say until when and on what.

mod run;
mod sys;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use homa_proto::{
    Accounts, BindError, CallOptions, Cancelled, Endpoint, Event, Failure, Instant, PacketMeta,
    Payload, PeerAddr, ReplyError, RpcInfo, RpcKey, RunMax, SendError, SocketId, Stats, Transmit,
    Unreachable,
};
use homa_wire::{DataRun, HEADER_LEN_MAX, Header, RefuseReason, Version};

use self::run::ReceivedRun;
use crate::auth;
use crate::{
    CHUNK_LEN, Clock, Destination, ErrorOrigin, Message, MessageStore, PacketIo, PathError,
    PathErrorKind, SendBatch, is_sealed,
};

pub use sys::{Alarm, Bell, Woken, report_errors_as_urgent, wait, wait_for_room};

/// Packets of one message that are polled at a time at most: about as many as the kernel takes as one, which
/// is 65,487 bytes with their headers.
const RUN_MAX: RunMax = RunMax { packets: SendBatch::FULL as u32, bytes: 62_500 };

/// Packets sent in one flush at most, so that a large backlog does not keep the driver from
/// receiving: four batches.
const FLUSH_PACKETS_MAX: usize = 4 * SendBatch::FULL;

/// Payload bytes sent in one turn at most, or a run more: copying them takes as long as the peer bears
/// without hearing of what it has sent itself.
const TURN_BYTES_MAX: u64 = 2 * CHUNK_LEN as u64;

/// Batches received at most before timers run that are due: what waits in a socket buffer was sent
/// before they were.
const LATE_BATCHES_MAX: usize = 64;

/// Free chunks of 64 KiB that are kept for later messages at most: 16 MiB, and never more than an
/// eighth of the memory for incoming messages.
const RETAINED_CHUNKS_MAX: usize = 256;

/// One endpoint at work: protocol, messages and packets.
pub struct Driver<I> {
    endpoint: Endpoint,
    store: MessageStore,
    io: I,
    batch: SendBatch,
    version: Version,
    /// Packets leave with checksums, and those without a right one are dropped.
    checksums: bool,
    /// The time of the turn or verb at hand, read from the clock once for each.
    now: Instant,
    /// Several verbs are at hand, at the time of the first.
    in_batch: bool,
    /// The peer whose path MTU is the protocol's default.
    default_mtu_of: Option<PeerAddr>,
    /// The last flush stopped early: at its limit, or for want of room in the socket.
    flush: Flush,
    stats: DriveStats,
}

/// What a driver's owner is told, in order of occurrence, during turns and flushes.
///
/// Calls come from inside the driver: an implementation notes what happened and acts on it later.
pub trait Sink {
    /// The first bytes of a request arrived. Not called for requests that arrive whole in one
    /// packet.
    fn request_started(&mut self, key: RpcKey, info: &RpcInfo);
    /// A request arrived whole; [`Driver::accept`] takes it.
    fn request_complete(&mut self, key: RpcKey, info: &RpcInfo);
    /// All bytes before `upto` of a message still incomplete have arrived; [`Driver::read`] reads
    /// them.
    fn readable(&mut self, key: RpcKey, upto: u32);
    /// A response arrived whole; [`Driver::take_response`] takes it.
    fn response(&mut self, key: RpcKey);
    /// A call ended without a response.
    fn failed(&mut self, key: RpcKey, failure: Failure);
    /// A request can't be answered any more.
    fn cancelled(&mut self, key: RpcKey, cause: Cancelled);
}

/// What a turn found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Packets, or reports of the network about a path, had arrived.
    pub progress: bool,
    /// More is known to wait: take another turn before sleeping.
    pub more: bool,
}

/// Counters of the drive loop itself; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriveStats {
    /// Turns taken.
    pub turns: u64,
    /// Batches received that held at least one packet.
    pub batches_rcvd: u64,
    /// Packets in them.
    pub packets_rcvd: u64,
    /// Batches handed to the packet I/O.
    pub batches_sent: u64,
    /// Packets that left with them.
    pub packets_sent: u64,
    /// Times that a batch found no room, or not for all its packets.
    pub sends_blocked: u64,
    /// Packets dropped because their checksum was not right.
    pub bad_checksums: u64,
    /// Packets dropped because they are authenticated, and this endpoint has no keys. They count as of
    /// unknown type as well.
    pub authenticated: u64,
    /// Errors of the packet I/O itself; what was to be sent then is lost and sent again on request.
    pub io_errors: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    /// All that the protocol wanted sent has left.
    Done,
    /// There may be more to send.
    LimitReached,
    /// The socket is full; at most one batch waits.
    Blocked,
}

impl<I: PacketIo> Driver<I> {
    /// A driver of `endpoint` over `io`, with an empty message store.
    pub fn new(endpoint: Endpoint, io: I) -> Self {
        let incoming_chunks = endpoint.config().limits.incoming_bytes_max / CHUNK_LEN as u64;
        let retained = usize::try_from(incoming_chunks / 8).unwrap_or(RETAINED_CHUNKS_MAX);
        Self {
            version: endpoint.config().wire_version,
            checksums: false,
            endpoint,
            store: MessageStore::new(retained.min(RETAINED_CHUNKS_MAX)),
            io,
            batch: SendBatch::new(),
            now: Clock::now(),
            in_batch: false,
            default_mtu_of: None,
            flush: Flush::Done,
            stats: DriveStats::default(),
        }
    }

    /// From now on packets leave with the checksum of WIRE section 6, and packets without a right
    /// one are dropped and counted. Both sides must agree on it; kernel peers and the default are
    /// without.
    pub fn require_checksums(&mut self) {
        self.checksums = true;
    }

    /// Takes one turn: receives a batch of packets, handles them and the timers that are due, sends
    /// what follows, and reports to `sink`. Never blocks.
    pub fn turn(&mut self, sink: &mut impl Sink) -> Turn {
        self.stats.turns += 1;
        self.now = Clock::now();
        let mut progress = self.receive_batch();
        if self.is_timeout_due() {
            self.receive_before_timeout();
            self.endpoint.handle_timeout(self.now);
        }
        progress |= self.take_path_errors();
        if !progress {
            self.endpoint.settle(self.now);
        }
        self.flush_at_now(sink, TURN_BYTES_MAX);
        Turn { progress, more: self.flush == Flush::LimitReached }
    }

    /// Sends what the protocol wants sent after verbs, and reports to `sink` what came of them.
    /// Stops early when the socket is full, or after a few batches; turns carry on then.
    pub fn flush(&mut self, sink: &mut impl Sink) {
        self.flush_at_now(sink, u64::MAX);
    }

    // From the wire to the application.

    /// Receives one batch; whether there was one.
    fn receive_batch(&mut self) -> bool {
        let count = match self.io.recv_batch() {
            Ok(count) => count,
            Err(_) => {
                self.stats.io_errors += 1;
                0
            }
        };
        let mut port_reported = false;
        let mut next = 0;
        while next < count {
            let index = next;
            let (packets, port_closed) = self.receive_run(index, count);
            next += packets;
            // One per batch, as the kernel implementation does (WIRE section 9).
            if port_closed && !port_reported {
                self.io.send_port_unreachable(index);
                port_reported = true;
            }
        }
        self.stats.batches_rcvd += u64::from(count > 0);
        self.stats.packets_rcvd += count as u64;
        count > 0
    }

    /// Hands in all that arrived before the timers run, so that a late thread never mistakes its
    /// own delay for the peer's silence.
    fn receive_before_timeout(&mut self) {
        for _ in 0..LATE_BATCHES_MAX {
            if !self.receive_batch() {
                break;
            }
        }
    }

    /// Packet `index` of `count`, and those that continue it: parsed, handed to the protocol, and what is
    /// new of their payload copied into the store. How many they were, and whether they were for a port
    /// that nobody has.
    fn receive_run(&mut self, index: usize, count: usize) -> (usize, bool) {
        let packet = self.io.packet(index);
        if auth::is_marked(packet.bytes) {
            self.stats.authenticated += 1;
        } else if self.checksums && !is_sealed(packet.bytes) {
            self.stats.bad_checksums += 1;
            return (1, false);
        }
        let (header, payload_len) = match Header::parse(packet.bytes, self.version) {
            Ok((header, payload)) => (header, payload.len()),
            Err(error) => {
                self.endpoint.count_bad_packet(&error);
                return (1, false);
            }
        };
        let meta = PacketMeta { peer: packet.peer, local: packet.local };
        let header_len = packet.bytes.len() - payload_len;
        let mut run = ReceivedRun::single(index, header_len, payload_len);
        // Each of the others would have to be checked.
        if !self.checksums {
            run.extend(&self.io, count, &header, self.version);
        }
        self.announce_mtu(meta.peer);
        let (payload_len, segment_bytes) = (run.payload_len, run.segment_bytes);
        let delivery =
            self.endpoint.handle_run(self.now, meta, &header, payload_len, segment_bytes);
        if let Some(delivery) = delivery {
            run.store(&mut self.store, &mut self.io, &delivery);
        }
        (run.packets, self.endpoint.port_was_closed())
    }

    /// What the network reported about paths; whether it reported anything.
    fn take_path_errors(&mut self) -> bool {
        let mut any = false;
        while let Some(error) = self.io.next_error() {
            any = true;
            self.handle_path_error(error);
        }
        any
    }

    fn handle_path_error(&mut self, error: PathError) {
        let PathError { peer, kind, quoted, origin } = error;
        match kind {
            PathErrorKind::PathMtu(mtu) => self.endpoint.handle_path_mtu(peer, mtu),
            // A report that quotes too little to tell which RPC it is about costs its maker no guess.
            PathErrorKind::Unreachable(_) if quoted.is_none() && origin == ErrorOrigin::Network => {
                self.endpoint.count_ignored_unreachable();
            }
            PathErrorKind::Unreachable(kind) => {
                self.endpoint.handle_unreachable(self.now, peer, quoted, kind);
            }
            // A host to which the system won't send is as good as out of reach.
            PathErrorKind::SendFailed(_) => {
                self.endpoint.handle_unreachable(self.now, peer, quoted, Unreachable::Host);
            }
        }
    }

    /// Turns the protocol's events into calls of the sink, and obeys those about messages.
    fn report_events(&mut self, sink: &mut impl Sink) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::RequestStarted { key } => {
                    if let Some(info) = self.endpoint.info(key) {
                        sink.request_started(key, &info);
                    }
                }
                Event::RequestComplete { key } => {
                    if let Some(info) = self.endpoint.info(key) {
                        sink.request_complete(key, &info);
                    }
                }
                Event::ResponseComplete { key } => sink.response(key),
                Event::Readable { key, upto } => sink.readable(key, upto),
                Event::Release { key } => self.store.release(key),
                Event::Failed { key, failure } => {
                    self.store.forget(key);
                    sink.failed(key, failure);
                }
                Event::Cancelled { key, cause } => {
                    self.store.forget(key);
                    sink.cancelled(key, cause);
                }
                // Events of later versions of the protocol that a driver need not know.
                _ => {}
            }
        }
    }

    // From the application to the wire.

    fn flush_at_now(&mut self, sink: &mut impl Sink, bytes_max: u64) {
        self.transmit(bytes_max);
        self.take_path_errors();
        self.report_events(sink);
    }

    /// Sends what the protocol wants sent, about so many payload bytes of it at most. A polled packet counts as sent for the protocol, so
    /// nothing is polled while packets wait for room.
    fn transmit(&mut self, bytes_max: u64) {
        let (mut packets, mut bytes_left) = (0, bytes_max);
        loop {
            let more = self.fill_batch(&mut bytes_left);
            if self.batch.is_empty() {
                self.flush = Flush::Done;
                return;
            }
            packets += self.send_batch();
            if !self.batch.is_empty() {
                self.flush = Flush::Blocked;
                return;
            }
            if !more {
                self.flush = Flush::Done;
                return;
            }
            if packets >= FLUSH_PACKETS_MAX || bytes_left == 0 {
                self.flush = Flush::LimitReached;
                return;
            }
        }
    }

    /// Polls until the batch is full or `bytes_left` are in it, which is lowered. Whether the protocol may
    /// want more sent than is in the batch then.
    fn fill_batch(&mut self, bytes_left: &mut u64) -> bool {
        // What is left of a batch leaves first, and nothing is polled behind it: see `transmit`.
        if !self.batch.is_empty() {
            return true;
        }
        while !self.batch.is_full() && *bytes_left > 0 {
            let polled = self.endpoint.poll_transmit_run(self.now, RUN_MAX);
            let Some(transmit) = polled else { return false };
            let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
            *bytes_left = bytes_left.saturating_sub(payload_len.into());
            self.push_run(&transmit);
        }
        true
    }

    /// Emits a packet, or a run of them, into the batch: headers by value, payload by reference.
    fn push_run(&mut self, transmit: &Transmit) {
        let mut header = [0; HEADER_LEN_MAX];
        let Ok(header_len) = transmit.header.emit(self.version, &mut header) else {
            debug_assert!(false, "the protocol makes valid headers: {:?}", transmit.header);
            return;
        };
        let Transmit { peer, local, priority, payload, segment_bytes, .. } = *transmit;
        let destination = Destination { peer, local, priority };
        let Some((key, Payload { start, end })) = payload else {
            return self.push_packet(destination, &header[..header_len], None);
        };
        let first_end = end.min(start.saturating_add(segment_bytes));
        let first = (key, Payload { start, end: first_end });
        self.push_packet(destination, &header[..header_len], Some(first));
        if first_end == end {
            return;
        }
        let Some(mut headers) = DataRun::after(&header[..header_len], self.version) else {
            debug_assert!(false, "only DATA comes in runs: {:?}", transmit.header);
            return;
        };
        let mut next = first_end;
        while next < end {
            let packet = Payload { start: next, end: end.min(next.saturating_add(segment_bytes)) };
            next = packet.end;
            self.push_packet(destination, headers.at(packet.start), Some((key, packet)));
        }
    }

    fn push_packet(
        &mut self,
        destination: Destination,
        header: &[u8],
        payload: Option<(RpcKey, Payload)>,
    ) {
        self.batch.push(destination, header);
        if let Some((key, payload)) = payload
            && !self.store.gather(key, payload.range(), &mut self.batch)
        {
            debug_assert!(false, "the protocol sends only what was parked and not released");
            self.batch.pop();
            return;
        }
        if self.checksums {
            self.batch.seal_last();
        }
    }

    /// Hands the batch to the packet I/O and returns how many packets left.
    fn send_batch(&mut self) -> usize {
        let before = self.batch.len();
        self.stats.batches_sent += 1;
        if self.io.send_batch(&mut self.batch).is_err() {
            // Lost, as any packet can be: retransmission makes up for it.
            self.stats.io_errors += 1;
            self.batch.clear();
        }
        let sent = before - self.batch.len();
        self.stats.packets_sent += sent as u64;
        self.stats.sends_blocked += u64::from(!self.batch.is_empty());
        sent
    }

    /// Tells the protocol how large packets to `peer` may be, should it meet the peer now. Later
    /// changes come as path errors.
    fn announce_mtu(&mut self, peer: PeerAddr) {
        if self.default_mtu_of == Some(peer) || self.endpoint.knows_peer(&peer) {
            return;
        }
        let mtu = self.io.path_mtu(&peer);
        self.endpoint.set_default_mtu(mtu);
        self.default_mtu_of = Some(peer);
    }

    // The application's verbs. Each reads the clock, unless in a batch; none sends by itself.

    /// Verbs until [`end_batch`](Self::end_batch) take place now: looking at the clock is a tenth of
    /// what a short call costs.
    pub fn begin_batch(&mut self) {
        self.now = Clock::now();
        self.in_batch = true;
    }

    /// Verbs look at the clock again.
    pub fn end_batch(&mut self) {
        self.in_batch = false;
    }

    fn look_at_clock(&mut self) {
        if !self.in_batch {
            self.now = Clock::now();
        }
    }

    /// Starts a call of Homa port `port` at `peer`.
    ///
    /// # Errors
    ///
    /// See [`SendError`]; the message is dropped and nothing has happened.
    pub fn send_request(
        &mut self,
        socket: SocketId,
        peer: PeerAddr,
        port: u16,
        message: Message,
        options: CallOptions,
    ) -> Result<RpcKey, SendError> {
        self.look_at_clock();
        let length = length_of(&message);
        self.announce_mtu(peer);
        let key = self.endpoint.send_request(self.now, socket, peer, port, length, options)?;
        self.store.park(key, message);
        Ok(key)
    }

    /// Whether [`Driver::send_request`] would start a call of so many bytes now, but for want of
    /// places for peers or of memory.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub fn check_request(
        &self,
        socket: SocketId,
        port: u16,
        length: usize,
    ) -> Result<(), SendError> {
        self.endpoint.check_request(socket, port, saturate(length))
    }

    /// Takes the complete response of a call, which ends the call. `None` if it isn't complete.
    pub fn take_response(&mut self, key: RpcKey) -> Option<Message> {
        let message = self.store.take(key)?;
        self.endpoint.finish(self.now, key);
        self.store.forget(key);
        Some(message)
    }

    /// Gives a call up; the server is told.
    pub fn abort(&mut self, key: RpcKey) {
        self.look_at_clock();
        self.endpoint.abort(self.now, key);
        self.store.forget(key);
    }

    /// Takes a complete request, which is then in service. `None` if it isn't complete.
    pub fn accept(&mut self, key: RpcKey) -> Option<Message> {
        let message = self.store.take(key)?;
        self.endpoint.accept(self.now, key);
        Some(message)
    }

    /// The bytes `from..upto` of a request that may still be arriving, of which `upto` were
    /// announced by [`Sink::readable`]. `None` if the request is gone.
    pub fn read(&mut self, key: RpcKey, from: u32, upto: u32) -> Option<Message> {
        self.store.read(key, from, upto)
    }

    /// The application reads a request while it arrives: from now on the request is kept for as long
    /// as its client may still send the rest, and never reported twice. Without effect on requests
    /// that have arrived whole.
    pub fn begin_stream(&mut self, key: RpcKey) {
        self.endpoint.begin_stream(key);
    }

    /// Answers a request that was accepted: takes the message, and leaves an empty one.
    ///
    /// # Errors
    ///
    /// See [`ReplyError`]; the message is left, and the request may still be answered.
    pub fn reply(&mut self, key: RpcKey, message: &mut Message) -> Result<(), ReplyError> {
        self.look_at_clock();
        self.endpoint.send_reply(self.now, key, length_of(message))?;
        self.store.park(key, std::mem::take(message));
        Ok(())
    }

    /// Whether [`Driver::reply`] would send a reply of so many bytes now.
    ///
    /// # Errors
    ///
    /// See [`ReplyError`].
    pub fn check_reply(&self, key: RpcKey, length: usize) -> Result<(), ReplyError> {
        self.endpoint.check_reply(key, saturate(length))
    }

    /// Tells the client that its request won't be answered, and ends it.
    pub fn refuse(&mut self, key: RpcKey, reason: RefuseReason) {
        self.look_at_clock();
        self.endpoint.refuse(self.now, key, reason);
        self.store.forget(key);
    }

    /// Opens the server port `port`, 1 to 32767.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn open_server(&mut self, port: u16) -> Result<SocketId, BindError> {
        self.endpoint.open_server(port)
    }

    /// Opens a client port.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn open_client(&mut self) -> Result<SocketId, BindError> {
        self.endpoint.open_client()
    }

    /// Opens a given client port: see [`Endpoint::open_client_at`].
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn open_client_at(&mut self, port: u16) -> Result<SocketId, BindError> {
        self.endpoint.open_client_at(port)
    }

    /// Turns the taking of requests on a server port on or off; without, they are refused as not
    /// serving.
    pub fn set_serving(&mut self, socket: SocketId, serving: bool) {
        self.endpoint.set_serving(socket, serving);
    }

    /// Refuses new requests to a server port as shutting down.
    pub fn set_draining(&mut self, socket: SocketId) {
        self.endpoint.set_draining(socket);
    }

    /// Closes a port and ends all its RPCs.
    pub fn close(&mut self, socket: SocketId) {
        self.look_at_clock();
        self.endpoint.close(self.now, socket);
    }

    // Queries.

    /// The time of the latest turn or verb.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// When a turn is due even if nothing arrives.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let io_due = self.io.next_due().map(Clock::from_std);
        match (self.endpoint.poll_timeout(), io_due) {
            (Some(timeout), Some(io_due)) => Some(timeout.min(io_due)),
            (timeout, io_due) => timeout.or(io_due),
        }
    }

    /// Becomes readable when a turn would find something that arrived.
    pub fn ready_fd(&self) -> BorrowedFd<'_> {
        self.io.ready_fd()
    }

    /// Whether packets wait for room in the socket: sleep until there is some, too.
    #[must_use]
    pub fn wants_room(&self) -> bool {
        self.flush == Flush::Blocked
    }

    /// Whether the verbs so far call for more than acknowledgements, which may wait some
    /// milliseconds for company.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.endpoint.is_urgent(self.now)
    }

    /// Whether a turn would find more to send.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.flush == Flush::LimitReached
    }

    /// Whether no RPC is open and nothing waits to be sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.endpoint.is_idle() && self.batch.is_empty()
    }

    /// Whether all answers to requests have arrived, or are given up.
    #[must_use]
    pub fn has_answered_all(&self) -> bool {
        self.endpoint.has_answered_all()
    }

    /// The UDP address that packets are received on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.io.local_addr()
    }

    /// The protocol's counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        self.endpoint.stats()
    }

    /// What the protocol and the message store hold of everything that grows, and the limits.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        let mut accounts = self.endpoint.accounts();
        self.store.account(&mut accounts);
        accounts
    }

    /// What the RPCs of one port hold; `None` once it is closed.
    #[must_use]
    pub fn socket_accounts(&self, socket: SocketId) -> Option<Accounts> {
        self.endpoint.socket_accounts(socket)
    }

    /// The drive loop's counters.
    #[must_use]
    pub fn drive_stats(&self) -> &DriveStats {
        &self.stats
    }

    /// The protocol, to be asked only.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn is_timeout_due(&self) -> bool {
        self.endpoint.poll_timeout().is_some_and(|timeout| timeout <= self.now)
    }
}

impl<I> fmt::Debug for Driver<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { now, flush, stats, .. } = self;
        let mut out = f.debug_struct("Driver");
        out.field("now", now).field("flush", flush).field("stats", stats).finish_non_exhaustive()
    }
}

/// The length as the protocol counts; what exceeds it is too long by any limit.
fn length_of(message: &Message) -> u32 {
    saturate(message.len())
}

/// Lengths that are too long anyway need no more bits.
fn saturate(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
