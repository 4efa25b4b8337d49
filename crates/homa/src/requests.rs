//! The requests of an endpoint's servers: queued until they are accepted, then known until answered.

use std::task::Waker;

use bytes::Buf;
use homa_io::{Driver, Message, PacketIo};
use homa_proto::{Meter, PeerAddr, RpcInfo, RpcKey, SocketId};

use crate::queue::Queue;
use crate::waiting::Ticket;

/// Names a server of an endpoint; never reused for another port.
pub(crate) type ServerIndex = usize;

/// All servers of an endpoint, and all requests that were not answered yet.
#[derive(Debug)]
pub(crate) struct Requests {
    /// By slot of the protocol's table.
    entries: Vec<Option<Entry>>,
    pub(crate) servers: Vec<ServerEntry>,
    /// Requests, arrived whole or not, that nobody has accepted.
    pub(crate) unaccepted: Meter,
    /// Requests that were accepted and not answered.
    pub(crate) unanswered: Meter,
}

/// A Homa port that serves, or did.
#[derive(Debug)]
pub(crate) struct ServerEntry {
    pub(crate) socket: SocketId,
    pub(crate) port: u16,
    /// Whether requests are handed over at their first bytes.
    pub(crate) streaming: bool,
    /// Whether somebody may still accept.
    pub(crate) open: bool,
    /// Requests to be accepted, and some that were cancelled since.
    pub(crate) queue: Queue<RpcKey>,
    /// How many of the queue's entries were cancelled.
    cancelled: usize,
    /// Requests that nobody has accepted.
    pub(crate) unaccepted: Meter,
}

/// A request that was not answered yet.
#[derive(Debug)]
pub(crate) struct Entry {
    key: RpcKey,
    pub(crate) server: ServerIndex,
    /// Who sent it.
    pub(crate) peer: PeerAddr,
    /// Its length in bytes.
    pub(crate) length: u32,
    /// All bytes before this offset have arrived.
    pub(crate) readable: u32,
    /// Whether all have.
    pub(crate) complete: bool,
    /// Whether the protocol was told that the request is in service, and the store emptied.
    in_service: bool,
    /// Its bytes, taken out of the store for a reply that failed.
    unread: Option<Message>,
    /// Whether it is, or was, in its server's queue.
    queued: bool,
    /// Whether the application holds it.
    accepted: bool,
    /// The client does not wait for an answer any more.
    pub(crate) cancelled: bool,
    /// Its reply, if that waits for room.
    pub(crate) reply: Option<Ticket>,
    /// Who waits for more bytes.
    pub(crate) reader: Option<Waker>,
    /// Who waits for the client to give up.
    pub(crate) cancel_waiter: Option<Waker>,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            servers: Vec::new(),
            unaccepted: Meter::default(),
            unanswered: Meter::default(),
        }
    }

    /// The first bytes of a request have arrived.
    pub(crate) fn started(&mut self, key: RpcKey, info: &RpcInfo) {
        let Some(server) = self.server_of(info.socket) else { return };
        self.insert(key, server, info);
        if self.servers[server].streaming {
            self.enqueue(key, server);
        }
    }

    /// A request has arrived whole.
    pub(crate) fn completed(&mut self, key: RpcKey, info: &RpcInfo, wakers: &mut Vec<Waker>) {
        let Some(server) = self.server_of(info.socket) else { return };
        if self.get_mut(key).is_none() {
            self.insert(key, server, info);
        }
        let Some(entry) = self.get_mut(key) else { return };
        entry.complete = true;
        entry.readable = entry.length;
        wakers.extend(entry.reader.take());
        self.enqueue(key, server);
    }

    /// More of a request can be read.
    pub(crate) fn readable(&mut self, key: RpcKey, upto: u32, wakers: &mut Vec<Waker>) {
        if let Some(entry) = self.get_mut(key) {
            entry.readable = upto;
            wakers.extend(entry.reader.take());
        }
    }

    /// The client gave a request up, or can't be reached.
    pub(crate) fn cancelled(&mut self, key: RpcKey, wakers: &mut Vec<Waker>) {
        let Some(entry) = self.get_mut(key) else { return };
        entry.cancelled = true;
        wakers.extend(entry.reader.take());
        wakers.extend(entry.cancel_waiter.take());
        if !entry.accepted {
            let (server, queued) = (entry.server, entry.queued);
            self.remove(key);
            if queued {
                self.sweep(server);
            }
        }
    }

    /// The reply to a request that waits for room, which it is not to do any longer.
    pub(crate) fn take_reply_ticket(&mut self, key: RpcKey) -> Option<Ticket> {
        self.get_mut(key)?.reply.take()
    }

    /// Accepts the next request of a server, in order of arrival.
    pub(crate) fn accept(&mut self, server: ServerIndex) -> Option<(RpcKey, &mut Entry)> {
        let key = loop {
            let key = self.servers[server].queue.pop()?;
            match self.get_mut(key) {
                Some(_) => break key,
                None => {
                    let cancelled = &mut self.servers[server].cancelled;
                    *cancelled = cancelled.saturating_sub(1);
                }
            }
        };
        self.unaccepted.lower(1);
        self.servers[server].unaccepted.lower(1);
        self.unanswered.raise(1);
        let entry = self.get_mut(key)?;
        entry.accepted = true;
        Some((key, entry))
    }

    /// Nothing more is to be known of a request.
    pub(crate) fn remove(&mut self, key: RpcKey) -> Option<Entry> {
        let slot = self.entries.get_mut(key.slot() as usize)?;
        let entry = slot.take_if(|entry| entry.key == key)?;
        if entry.accepted {
            self.unanswered.lower(1);
        } else {
            self.unaccepted.lower(1);
            self.servers[entry.server].unaccepted.lower(1);
        }
        Some(entry)
    }

    /// A request that was neither answered nor replaced by a later one in its slot.
    pub(crate) fn get_mut(&mut self, key: RpcKey) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(key.slot() as usize)?.as_mut()?;
        (entry.key == key).then_some(entry)
    }

    /// The requests to a server that nobody has accepted.
    pub(crate) fn unaccepted(&self, server: ServerIndex) -> Vec<RpcKey> {
        let entries = self.entries.iter().flatten();
        let waiting = entries.filter(|entry| entry.server == server && !entry.accepted);
        waiting.map(|entry| entry.key).collect()
    }

    fn enqueue(&mut self, key: RpcKey, server: ServerIndex) {
        let Some(entry) = self.get_mut(key) else { return };
        if !std::mem::replace(&mut entry.queued, true) {
            self.servers[server].queue.push(key);
        }
    }

    fn insert(&mut self, key: RpcKey, server: ServerIndex, info: &RpcInfo) {
        let slot = key.slot() as usize;
        if slot >= self.entries.len() {
            self.entries.resize_with(slot + 1, || None);
        }
        if let Some(key) = self.entries[slot].as_ref().map(|entry| entry.key) {
            self.remove(key);
        }
        self.unaccepted.raise(1);
        self.servers[server].unaccepted.raise(1);
        self.entries[slot] = Some(Entry {
            key,
            server,
            peer: info.peer,
            length: info.incoming_length.unwrap_or(0),
            readable: 0,
            complete: false,
            in_service: false,
            unread: None,
            queued: false,
            accepted: false,
            cancelled: false,
            reply: None,
            reader: None,
            cancel_waiter: None,
        });
    }

    /// Counts one more cancelled request in a queue, and sweeps the queue before such entries
    /// outnumber the others.
    fn sweep(&mut self, server: ServerIndex) {
        const SWEEP_MIN: usize = 32;
        let entry = &mut self.servers[server];
        entry.cancelled += 1;
        if entry.cancelled < SWEEP_MIN.max(entry.queue.len() / 2) {
            return;
        }
        entry.cancelled = 0;
        let Self { entries, servers, .. } = self;
        servers[server].queue.retain(|key| {
            let entry = entries.get(key.slot() as usize).and_then(Option::as_ref);
            entry.is_some_and(|entry| entry.key == *key)
        });
    }

    /// The server of a socket; an endpoint has few.
    fn server_of(&self, socket: SocketId) -> Option<ServerIndex> {
        self.servers.iter().position(|server| server.socket == socket)
    }
}

impl Entry {
    /// Takes a complete request out of the driver, once: its bytes are the application's from now on.
    pub(crate) fn begin_service<I: PacketIo>(
        &mut self,
        driver: &mut Driver<I>,
        key: RpcKey,
    ) -> Option<Message> {
        if std::mem::replace(&mut self.in_service, true) { None } else { driver.accept(key) }
    }

    /// Makes a complete request answerable. What was not read of it stays to be read, should the
    /// answer fail.
    pub(crate) fn begin_reply<I: PacketIo>(&mut self, driver: &mut Driver<I>, key: RpcKey) {
        if let Some(message) = self.begin_service(driver, key) {
            self.unread = Some(message);
        }
    }

    /// Takes the bytes of a complete request beyond `from`, once.
    pub(crate) fn take_rest<I: PacketIo>(
        &mut self,
        driver: &mut Driver<I>,
        key: RpcKey,
        from: u32,
    ) -> Option<Message> {
        let mut message = self.unread.take().or_else(|| self.begin_service(driver, key))?;
        message.advance(from as usize);
        Some(message)
    }
}

impl ServerEntry {
    pub(crate) fn new(socket: SocketId, port: u16, streaming: bool) -> Self {
        Self {
            socket,
            port,
            streaming,
            open: true,
            queue: Queue::new(),
            cancelled: 0,
            unaccepted: Meter::default(),
        }
    }
}
