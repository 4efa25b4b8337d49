//! What the lock of an endpoint guards: the driver, the tables of calls and requests, and who drives.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration as StdDuration, Instant as StdInstant};

use homa_io::{AuthCounters, DriveStats, Driver, Message, PacketIo, Sink, Turn, wait_for_room};
use homa_proto::{Cancelled, Duration, Failure, Instant, Resource, RpcInfo, RpcKey, SocketId};
use homa_wire::RefuseReason;

use crate::calls::{CallId, Calls, Outcome, Removed};
use crate::config::WhenFull;
use crate::error::{BindError, CallError, ReadError, ReplyError};
use crate::lead::Seats;
use crate::queue::Queue;
use crate::requests::{Requests, ServerEntry, ServerIndex};
use crate::stats::{Accounts, Stats};
use crate::waiting::Waiting;

/// After so long without a turn, a verb takes one.
const VERBS_WITHOUT_TURN: Duration = Duration::from_micros(200);

/// Calls and replies whose packets are collected at most.
const COLLECTED_MAX: u64 = 64;

/// How long an endpoint that closes waits in all for room to send its last packets. They are short:
/// a socket that has no room for so long will not have any.
const LAST_FLUSH_MAX: StdDuration = StdDuration::from_millis(50);

mod sending;

pub(crate) use sending::Replied;

type BoxedDriver = Driver<Box<dyn PacketIo>>;

/// One endpoint, as seen by whoever holds its lock.
#[derive(Debug)]
pub(crate) struct State {
    /// `None` once the endpoint is closed: that closes the socket, too.
    driver: Option<BoxedDriver>,
    pub(crate) tables: Tables,
    pub(crate) seats: Seats,
    /// The socket from which calls leave.
    client: SocketId,
    local_addr: SocketAddr,
    client_rpcs_max: usize,
    /// How long a call may take in all, unless it says otherwise.
    call_deadline: Duration,
    /// What calls do that find no room, unless they say otherwise.
    pub(crate) when_full: WhenFull,
    /// No new calls; when all is finished, `idle` is told.
    draining: bool,
    /// Who waits for all to be finished.
    pub(crate) idle: Queue<()>,
    /// What the verbs so far call for that has not left.
    unsent: Unsent,
    /// Calls and replies among them.
    collected: u64,
    /// Calls that were open lately at the most.
    open_lately: u64,
    /// When the latest turn was taken, and whether since the lock was taken.
    turned_at: Instant,
    pub(crate) turned: bool,
    /// Somebody collects packets: see `Endpoint::cork`.
    corks: u32,
    /// The counters when the endpoint was closed.
    last_stats: Stats,
    /// What becomes of packets that are to be authentic, if they are to be.
    pub(crate) auth: Arc<AuthCounters>,
    /// Whether packets go over UDP, rather than raw IP.
    pub(crate) has_udp_ports: bool,
}

/// What is to be sent for verbs that were called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unsent {
    Nothing,
    /// Acknowledgements, which may wait for calls that take them along.
    Acks,
    Packets,
}

/// The tables that the driver's events change.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) calls: Calls,
    pub(crate) requests: Requests,
    /// Calls and replies that wait for room.
    pub(crate) waiting: Waiting,
    /// To be woken when the lock is released.
    pub(crate) wakers: Vec<Waker>,
    /// Something happened that a sleeping leader may wait for.
    pub(crate) touched: bool,
    /// Requests and responses that arrived, for the driver task to count.
    pub(crate) arrivals: u32,
    /// A verb left packets unsent, for whoever drives.
    pub(crate) backlog: bool,
}

/// A request as it was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) key: RpcKey,
    pub(crate) peer: SocketAddr,
    pub(crate) length: u32,
    /// The whole request, unless it is to be read as it arrives.
    pub(crate) message: Option<Message>,
}

impl Sink for Tables {
    fn request_started(&mut self, key: RpcKey, info: &RpcInfo) {
        self.requests.started(key, info);
        self.touched = true;
    }

    fn request_complete(&mut self, key: RpcKey, info: &RpcInfo) {
        self.requests.completed(key, info, &mut self.wakers);
        self.touched = true;
        self.arrivals += 1;
    }

    fn readable(&mut self, key: RpcKey, upto: u32) {
        self.requests.readable(key, upto, &mut self.wakers);
        self.touched = true;
    }

    fn response(&mut self, key: RpcKey) {
        self.calls.complete(key, &mut self.wakers);
        self.touched = true;
        self.arrivals += 1;
    }

    fn failed(&mut self, key: RpcKey, failure: Failure) {
        self.calls.fail(key, failure, &mut self.wakers);
        self.touched = true;
    }

    fn cancelled(&mut self, key: RpcKey, _cause: Cancelled) {
        if let Some(ticket) = self.requests.take_reply_ticket(key) {
            self.waiting.leave(ticket);
            self.waiting.settle_reply(ticket, Err(ReplyError::Cancelled), &mut self.wakers);
        }
        self.requests.cancelled(key, &mut self.wakers);
        self.touched = true;
    }
}

impl State {
    pub(crate) fn new(driver: BoxedDriver, client: SocketId) -> Self {
        let config = driver.endpoint().config();
        Self {
            local_addr: driver.local_addr(),
            client_rpcs_max: config.limits.client_rpcs_max as usize,
            call_deadline: config.timing.call_deadline,
            when_full: WhenFull::default(),
            driver: Some(driver),
            tables: Tables {
                calls: Calls::new(),
                requests: Requests::new(),
                waiting: Waiting::default(),
                wakers: Vec::new(),
                touched: false,
                arrivals: 0,
                backlog: false,
            },
            seats: Seats::default(),
            client,
            draining: false,
            idle: Queue::new(),
            unsent: Unsent::Nothing,
            collected: 0,
            open_lately: 0,
            turned_at: Instant::ZERO,
            turned: false,
            corks: 0,
            last_stats: Stats::default(),
            auth: Arc::default(),
            has_udp_ports: true,
        }
    }

    // Driving.

    /// Takes a turn of the drive loop; does nothing once closed.
    pub(crate) fn turn(&mut self) -> Turn {
        let Some(driver) = &mut self.driver else {
            return Turn { progress: false, more: false };
        };
        (self.unsent, self.collected) = (Unsent::Nothing, 0);
        self.open_lately -= self.open_lately.saturating_sub(self.tables.calls.open()) / 8;
        self.turned = true;
        let turn = driver.turn(&mut self.tables);
        self.turned_at = driver.now();
        self.expire(self.turned_at);
        turn
    }

    /// Sends what the verbs so far call for, unless it is being collected.
    ///
    /// A thread that calls one verb after the other takes a turn now and then, or the peers would
    /// hear nothing while it keeps the lock busy.
    pub(crate) fn flush(&mut self) {
        if self.unsent == Unsent::Nothing {
            return;
        }
        let Some(driver) = &self.driver else { return };
        let since_turn = driver.now().saturating_since(self.turned_at);
        let turn_due = since_turn >= VERBS_WITHOUT_TURN && !self.seats.is_leader_there();
        // Also for acknowledgements alone: a task that is woken for them finds more at a time, so that
        // what tasks do stays together. Without, calls that once left one by one go on to do so.
        let wakers = &mut self.tables.wakers;
        let returns_soon = self.seats.link.as_mut().is_some_and(|link| link.returns_soon(wakers));
        let may_wait = (self.is_collecting() || returns_soon) && !self.is_enough_collected();
        if may_wait && !turn_due {
            return;
        }
        self.flush_now();
        if turn_due {
            self.turn();
        }
    }

    /// A call was started, or a reply: its packets leave now, or with those of the next ones.
    fn send_soon(&mut self) {
        self.unsent = Unsent::Packets;
        self.collected += 1;
        self.open_lately = self.open_lately.max(self.tables.calls.open());
        self.flush();
    }

    /// Whether no more is to be collected: with half of a client's calls the server has something to do
    /// while the client goes on with the other half, instead of each waiting for the other, or asleep.
    fn is_enough_collected(&self) -> bool {
        let half = if self.open_lately > 1 { self.open_lately / 2 } else { COLLECTED_MAX };
        self.collected >= half.min(COLLECTED_MAX)
    }

    /// Sends what the verbs so far call for, be it collected or not.
    pub(crate) fn flush_now(&mut self) {
        self.collected = 0;
        if std::mem::replace(&mut self.unsent, Unsent::Nothing) == Unsent::Nothing {
            return;
        }
        let Some(driver) = &mut self.driver else { return };
        driver.flush(&mut self.tables);
        self.tables.backlog = driver.has_more() || driver.wants_room();
    }

    /// Ends everything at once: open calls fail, open requests are cancelled, the other sides are
    /// told, the socket closes, and everybody who waits is woken. Responses that were not taken
    /// stay to be taken.
    pub(crate) fn close(&mut self) {
        self.end_waiting();
        let Some(driver) = &mut self.driver else { return };
        self.tables.calls.take_responses(|key| driver.take_response(key));
        driver.close(self.client);
        for server in &self.tables.requests.servers {
            driver.close(server.socket);
        }
        flush_last(driver, &mut self.tables);
        self.last_stats = self.stats();
        self.driver = None;
        let Tables { calls, requests, wakers, .. } = &mut self.tables;
        calls.done.wake_all(wakers);
        for server in &mut requests.servers {
            server.queue.wake_all(wakers);
        }
        self.idle.wake_all(wakers);
        self.tables.touched = true;
    }

    // Verbs of clients.

    /// Takes the outcome of a call, if it is known.
    pub(crate) fn take_outcome(&mut self, id: CallId) -> Option<Result<Message, CallError>> {
        if !self.tables.calls.is_done(id) {
            return None;
        }
        let Removed { key, outcome } = self.tables.calls.remove(id)?;
        match outcome {
            Outcome::Taken(message) => return Some(Ok(message)),
            Outcome::Failed(error) => return Some(Err(error)),
            Outcome::Waiting(_) | Outcome::Pending | Outcome::Response => {}
        }
        let Some((driver, key)) = self.driver.as_mut().zip(key) else {
            return Some(Err(CallError::ShutDown));
        };
        let response = driver.take_response(key);
        let unsent = if driver.is_urgent() { Unsent::Packets } else { Unsent::Acks };
        self.unsent = self.unsent.max(unsent);
        Some(response.ok_or(CallError::ShutDown))
    }

    /// Takes the next outcome of the calls that were started with `send`.
    pub(crate) fn take_next_outcome(&mut self) -> Option<(CallId, Result<Message, CallError>)> {
        let id = self.tables.calls.done.pop()?;
        let outcome = self.take_outcome(id).unwrap_or(Err(CallError::ShutDown));
        Some((id, outcome))
    }

    /// The caller is gone: the call ends, and the server is told unless it has done its part.
    pub(crate) fn drop_call(&mut self, id: CallId) {
        let Some(Removed { key, outcome }) = self.tables.calls.remove(id) else { return };
        match outcome {
            Outcome::Failed(_) => {}
            Outcome::Waiting(ticket) => drop(self.tables.waiting.leave(ticket)),
            _ => self.abort_rpc(key),
        }
    }

    /// Ends an open call of `send`: its outcome is [`CallError::Aborted`].
    pub(crate) fn abort_call(&mut self, id: CallId) -> bool {
        let Tables { calls, wakers, touched, .. } = &mut self.tables;
        if !calls.is_pending_in_queue(id) {
            return false;
        }
        let key = calls.abort(id, wakers);
        *touched = true;
        self.abort_rpc(key);
        true
    }

    fn abort_rpc(&mut self, key: Option<RpcKey>) {
        if let (Some(key), Some(driver)) = (key, &mut self.driver) {
            driver.abort(key);
            self.unsent = Unsent::Packets;
        }
    }

    // Verbs of servers.

    pub(crate) fn serve(&mut self, port: u16, streaming: bool) -> Result<ServerIndex, BindError> {
        let driver = self.driver.as_mut().filter(|_| !self.draining).ok_or(BindError::ShutDown)?;
        let servers = &mut self.tables.requests.servers;
        if let Some(index) = servers.iter().position(|server| server.port == port) {
            let server = &mut servers[index];
            if server.open {
                return Err(BindError::PortInUse(port));
            }
            (server.open, server.streaming) = (true, streaming);
            driver.set_serving(server.socket, true);
            return Ok(index);
        }
        let socket = driver.open_server(port).map_err(|error| match error {
            homa_proto::BindError::OutOfRange => BindError::PortOutOfRange(port),
            homa_proto::BindError::NoMemory => BindError::NoMemory,
            _ => BindError::PortInUse(port),
        })?;
        driver.set_serving(socket, true);
        servers.push(ServerEntry::new(socket, port, streaming));
        Ok(servers.len() - 1)
    }

    /// Nobody accepts any more: new requests and those not accepted are refused.
    pub(crate) fn stop_serving(&mut self, server: ServerIndex) {
        let Some(driver) = &mut self.driver else { return };
        let requests = &mut self.tables.requests;
        requests.servers[server].open = false;
        driver.set_serving(requests.servers[server].socket, false);
        for key in requests.unaccepted(server) {
            requests.remove(key);
            driver.refuse(key, RefuseReason::NotServing);
        }
        self.unsent = Unsent::Packets;
    }

    /// Accepts the next request of a server.
    pub(crate) fn accept(&mut self, server: ServerIndex) -> Option<Accepted> {
        let driver = self.driver.as_mut()?;
        let streaming = self.tables.requests.servers[server].streaming;
        loop {
            let (key, entry) = self.tables.requests.accept(server)?;
            let (peer, length) = (entry.peer.socket_addr(), entry.length);
            if streaming {
                driver.begin_stream(key);
                return Some(Accepted { key, peer, length, message: None });
            }
            if let Some(message) = entry.begin_service(driver, key) {
                return Some(Accepted { key, peer, length, message: Some(message) });
            }
            debug_assert!(false, "a complete request is in the store");
            self.tables.requests.remove(key);
        }
    }

    pub(crate) fn refuse(&mut self, key: RpcKey, reason: RefuseReason) {
        let known = self.tables.requests.remove(key);
        if let (Some(entry), Some(driver)) = (known, &mut self.driver)
            && !entry.cancelled
        {
            driver.refuse(key, reason);
            self.unsent = Unsent::Packets;
        }
    }

    /// Whether nobody waits for the answer to a request that was accepted.
    pub(crate) fn is_cancelled(&mut self, key: RpcKey) -> bool {
        self.driver.is_none()
            || self.tables.requests.get_mut(key).is_none_or(|entry| entry.cancelled)
    }

    /// What has arrived of a request beyond `from`, which is not its end; `None` if nothing has, yet.
    pub(crate) fn read(&mut self, key: RpcKey, from: u32) -> Option<Result<Message, ReadError>> {
        let Some((driver, entry)) = self.open_request(key) else {
            return Some(Err(ReadError::Cancelled));
        };
        if from >= entry.readable {
            return None;
        }
        let bytes = if entry.complete {
            entry.take_rest(driver, key, from)
        } else {
            driver.read(key, from, entry.readable)
        };
        Some(bytes.ok_or(ReadError::Cancelled))
    }

    /// All of a request beyond `from`, which is not its end; `None` until it has arrived whole.
    pub(crate) fn read_to_end(
        &mut self,
        key: RpcKey,
        from: u32,
    ) -> Option<Result<Message, ReadError>> {
        let Some((driver, entry)) = self.open_request(key) else {
            return Some(Err(ReadError::Cancelled));
        };
        if !entry.complete {
            return None;
        }
        let message = entry.take_rest(driver, key, from);
        Some(message.ok_or(ReadError::Cancelled))
    }

    // Winding down, and the rest.

    /// Refuses new requests as shutting down, and new calls; open ones go on.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
        if let Some(driver) = &mut self.driver {
            for server in &self.tables.requests.servers {
                driver.set_draining(server.socket);
            }
        }
    }

    /// Whether nothing is open any more, on the network or in the hands of the application.
    pub(crate) fn is_idle(&self) -> bool {
        self.tables.waiting.is_empty() && self.driver.as_ref().is_none_or(Driver::is_idle)
    }

    pub(crate) fn has_answered_all(&self) -> bool {
        self.driver.as_ref().is_none_or(Driver::has_answered_all)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.driver.is_none()
    }

    /// Many verbs follow, so many of them calls: their packets leave together, and count as called now.
    pub(crate) fn begin_batch(&mut self, calls: usize) {
        self.cork();
        self.open_lately = self.open_lately.max(self.tables.calls.open() + calls as u64);
        if let Some(driver) = &mut self.driver {
            driver.begin_batch();
        }
    }

    pub(crate) fn end_batch(&mut self) {
        self.uncork();
        if let Some(driver) = &mut self.driver {
            driver.end_batch();
        }
    }

    pub(crate) fn cork(&mut self) {
        self.corks += 1;
    }

    pub(crate) fn uncork(&mut self) {
        self.corks -= 1;
    }

    /// Whether packets wait for a cork to be drawn, or for others to go with.
    pub(crate) fn holds_back(&self) -> bool {
        self.unsent != Unsent::Nothing && self.is_collecting()
    }

    fn is_collecting(&self) -> bool {
        self.corks > 0 || self.unsent == Unsent::Acks
    }

    pub(crate) fn queue_of(&mut self, server: ServerIndex) -> &mut Queue<RpcKey> {
        &mut self.tables.requests.servers[server].queue
    }

    /// The time of the latest turn or verb.
    pub(crate) fn now(&self) -> Instant {
        self.driver.as_ref().map_or(Instant::ZERO, Driver::now)
    }

    /// When the next turn is due though nothing arrives.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let of_driver = self.driver.as_ref().and_then(Driver::next_due);
        let of_waiting = self.tables.waiting.next_deadline();
        match (of_driver, of_waiting) {
            (Some(driver), Some(waiting)) => Some(driver.min(waiting)),
            (driver, waiting) => driver.or(waiting),
        }
    }

    /// Whether a turn would find more to send.
    pub(crate) fn has_more(&self) -> bool {
        self.driver.as_ref().is_some_and(Driver::has_more)
    }

    /// On what to sleep, and whether room to send ends the sleep, too.
    pub(crate) fn sleep_on(&self) -> (Option<RawFd>, bool) {
        match &self.driver {
            Some(driver) => (Some(driver.ready_fd().as_raw_fd()), driver.wants_room()),
            None => (None, false),
        }
    }

    /// Another descriptor of what [`State::sleep_on`] names.
    pub(crate) fn duplicate_ready_fd(&self) -> io::Result<OwnedFd> {
        let driver = self.driver.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        driver.ready_fd().try_clone_to_owned()
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What the endpoint holds; empty once closed.
    pub(crate) fn accounts(&self) -> Accounts {
        let Some(driver) = &self.driver else { return Accounts::default() };
        let Tables { calls, requests, waiting, .. } = &self.tables;
        let mut endpoint = driver.accounts();
        let limit = |resource| endpoint.get(resource).and_then(|account| account.limit);
        let rpcs_max = limit(Resource::ServerRpcs);
        let calls = calls.account(limit(Resource::ClientRpcs));
        endpoint.set(Resource::Calls, calls);
        endpoint.set(Resource::UnacceptedRequests, requests.unaccepted.account(rpcs_max));
        endpoint.set(Resource::UnansweredRequests, requests.unanswered.account(rpcs_max));
        for (resource, account) in waiting.accounts() {
            endpoint.set(resource, account);
        }
        let of = |socket| driver.socket_accounts(socket).unwrap_or_default();
        let mut client = of(self.client);
        client.set(Resource::Calls, calls);
        let servers = requests.servers.iter().map(|server| {
            let mut accounts = of(server.socket);
            accounts.set(Resource::UnacceptedRequests, server.unaccepted.account(None));
            (server.port, accounts)
        });
        Accounts { endpoint, client, servers: servers.collect() }
    }

    pub(crate) fn stats(&self) -> Stats {
        match &self.driver {
            Some(driver) => {
                let drive: DriveStats = *driver.drive_stats();
                Stats { protocol: driver.stats().clone(), drive, auth: self.auth.snapshot() }
            }
            None => self.last_stats.clone(),
        }
    }
}

/// Sends all that is left to be sent, though it take many batches, before the socket closes.
fn flush_last(driver: &mut BoxedDriver, tables: &mut Tables) {
    let end = StdInstant::now() + LAST_FLUSH_MAX;
    loop {
        driver.flush(tables);
        let left = end.saturating_duration_since(StdInstant::now());
        if driver.wants_room() && !left.is_zero() {
            wait_for_room(driver.ready_fd(), left);
        } else if !driver.has_more() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::calls::Owner;
    use crate::{Addr, CallOptions};
    use homa_io::{Clock, PathError, ReceivedPacket, SendBatch};
    use homa_proto::{Endpoint, PeerAddr};
    use std::net::UdpSocket;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Takes a few packets at a time, to nowhere, as long as there is room.
    struct Narrow {
        socket: UdpSocket,
        room: Arc<AtomicUsize>,
        at_once: usize,
    }

    impl PacketIo for Narrow {
        fn recv_batch(&mut self) -> io::Result<usize> {
            Ok(0)
        }

        fn packet(&self, _index: usize) -> ReceivedPacket<'_> {
            unreachable!("nothing arrives")
        }

        fn send_batch(&mut self, batch: &mut SendBatch) -> io::Result<()> {
            let room = self.room.load(Ordering::Relaxed);
            let count = batch.len().min(room).min(self.at_once);
            batch.remove_front(count);
            self.room.store(room - count, Ordering::Relaxed);
            Ok(())
        }

        fn next_error(&mut self) -> Option<PathError> {
            None
        }

        fn path_mtu(&mut self, _peer: &PeerAddr) -> u32 {
            1500
        }

        fn local_addr(&self) -> SocketAddr {
            self.socket.local_addr().unwrap()
        }

        fn ready_fd(&self) -> BorrowedFd<'_> {
            self.socket.as_fd()
        }

        fn receive_buffer_bytes(&self) -> usize {
            1 << 20
        }

        fn next_due(&self) -> Option<StdInstant> {
            None
        }
    }

    /// A state with calls whose requests have left, by a socket that takes `at_once` packets at a
    /// time; and the room that the socket has.
    fn with_calls(count: usize, at_once: usize) -> (State, Arc<AtomicUsize>) {
        let room = Arc::new(AtomicUsize::new(usize::MAX / 2));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = Addr::new(socket.local_addr().unwrap(), 7).unwrap();
        let endpoint = Endpoint::new(homa_proto::Config::default(), Clock::now()).unwrap();
        let io: Box<dyn PacketIo> = Box::new(Narrow { socket, room: Arc::clone(&room), at_once });
        let mut driver = Driver::new(endpoint, io);
        let client = driver.open_client().unwrap();
        let mut state = State::new(driver, client);
        for _ in 0..count {
            state.start_call(addr, "x".into(), CallOptions::default(), Owner::Queue).unwrap();
        }
        while state.sleep_on().1 || state.has_more() {
            state.turn();
        }
        (state, room)
    }

    #[test]
    fn close__tells_more_sides_than_one_flush_does() {
        let (mut state, _room) = with_calls(600, usize::MAX);
        let before = state.stats().drive.packets_sent;
        state.close();
        assert_eq!(state.stats().drive.packets_sent - before, 600);
    }

    #[test]
    fn close__waits_for_room_to_tell_the_other_sides() {
        let (mut state, _room) = with_calls(100, 5);
        let before = state.stats().drive.packets_sent;
        state.close();
        assert_eq!(state.stats().drive.packets_sent - before, 100);
    }

    #[test]
    fn close__gives_up_a_socket_without_room() {
        let (mut state, room) = with_calls(100, 5);
        room.store(12, Ordering::Relaxed);
        let before = state.stats().drive.packets_sent;
        let start = StdInstant::now();
        state.close();
        assert_eq!(state.stats().drive.packets_sent - before, 12);
        assert!(start.elapsed() >= LAST_FLUSH_MAX);
        assert!(start.elapsed() < StdDuration::from_secs(5), "{:?}", start.elapsed());
        let mut outcomes = 0;
        while let Some((_, outcome)) = state.take_next_outcome() {
            assert_eq!(outcome, Err(CallError::ShutDown));
            outcomes += 1;
        }
        assert_eq!(outcomes, 100);
    }
}
