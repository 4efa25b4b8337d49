//! Starting calls and replies, at once or when there is room ([`crate::waiting`]).

use homa_io::{Clock, Message};
use homa_proto::{Duration, Instant, Limit, Resource, RpcKey};

use super::{BoxedDriver, State, Tables, Unsent};
use crate::Addr;
use crate::calls::{CallId, Owner};
use crate::config::{CallOptions, WhenFull, to_proto};
use crate::error::{CallError, ReplyError};
use crate::requests::{Entry, ServerIndex};
use crate::waiting::{Line, Send, Ticket, What, may_clear};

/// A reply was sent, or has joined a line.
#[derive(Debug)]
pub(crate) enum Replied {
    Sent,
    Waits(Ticket),
}

impl State {
    /// Starts a call and sends its first packets, or lets it wait for room if it is to.
    pub(crate) fn start_call(
        &mut self,
        addr: Addr,
        message: Message,
        options: CallOptions,
        owner: Owner,
    ) -> Result<CallId, CallError> {
        if self.draining || self.driver.is_none() {
            return Err(CallError::ShutDown);
        }
        let addr = if self.has_udp_ports { addr } else { addr.over_raw_ip()? };
        if let Err(CallError::Full { limit }) = self.check_call(addr, message.len()) {
            let waits = options.when_full.unwrap_or(self.when_full) == WhenFull::Wait;
            if waits && may_clear(&limit, message.len()) {
                return Ok(self.line_up_call(addr, message, options, owner, limit));
            }
            if self.obstacle_to_calls().is_some() {
                self.tables.calls.refuse();
                return Err(CallError::Full { limit });
            }
        }
        let driver = self.driver.as_mut().ok_or(CallError::ShutDown)?;
        let (peer, port) = (addr.peer(), addr.homa_port());
        let key = driver.send_request(self.client, peer, port, message, options.to_proto())?;
        let id = self.tables.calls.insert(addr, owner);
        self.tables.calls.started(id, key, &mut self.tables.wakers);
        self.send_soon();
        Ok(id)
    }

    /// Starts many calls whose outcomes are left to the queue; their packets leave together.
    pub(crate) fn send_batch(
        &mut self,
        requests: &mut Vec<(Addr, Message)>,
        started: &mut Vec<Result<CallId, CallError>>,
    ) {
        self.begin_batch(requests.len());
        let options = CallOptions::default().when_full(WhenFull::Reject);
        started.extend(
            requests
                .drain(..)
                .map(|(addr, message)| self.start_call(addr, message, options, Owner::Queue)),
        );
        self.end_batch();
    }

    /// Whether a call that waited to be started was; if it ended instead, it is forgotten.
    pub(crate) fn take_start(&mut self, id: CallId) -> Option<Result<CallId, CallError>> {
        if self.tables.calls.is_waiting(id) {
            return None;
        }
        if self.tables.calls.leave_to_queue(id) {
            // The outcome may have come already.
            self.tables.touched = true;
            return Some(Ok(id));
        }
        match self.take_outcome(id) {
            Some(Err(error)) => Some(Err(error)),
            _ => Some(Err(CallError::ShutDown)),
        }
    }

    /// Answers a request: takes the message, unless it fails.
    pub(crate) fn reply(&mut self, key: RpcKey, message: &mut Message) -> Result<(), ReplyError> {
        let server = self.prepare_reply(key)?;
        if let Some(limit) = self.tables.waiting.obstacle(Line::Replies(server)) {
            self.tables.waiting.refuse();
            return Err(ReplyError::Full { limit });
        }
        self.send_reply(key, message)
    }

    /// Answers a request, now or when there is room.
    pub(crate) fn reply_or_wait(
        &mut self,
        key: RpcKey,
        mut message: Message,
    ) -> Result<Replied, ReplyError> {
        let line = Line::Replies(self.prepare_reply(key)?);
        let length = message.len();
        match self.check_reply(key, line, length) {
            Err(ReplyError::Full { limit }) if may_clear(&limit, length) => {
                let send = Send { what: What::Reply(key), message };
                let ticket = self.tables.waiting.join(line, send, limit);
                if let Some(entry) = self.tables.requests.get_mut(key) {
                    entry.reply = Some(ticket);
                }
                Ok(Replied::Waits(ticket))
            }
            checked => {
                checked?;
                self.send_reply(key, &mut message)?;
                Ok(Replied::Sent)
            }
        }
    }

    /// Starts what waits and finds room now, in order; whether there was anything.
    pub(crate) fn admit(&mut self) -> bool {
        if self.tables.waiting.is_empty() || self.driver.is_none() {
            return false;
        }
        let now = Clock::now();
        self.expire(now);
        self.tables.waiting.unblock();
        let mut any = false;
        while let Some((line, ticket, send)) = self.tables.waiting.next() {
            let (what, length) = (send.what, send.message.len());
            if let Some(limit) = self.lacks_room(line, &what, length) {
                self.tables.waiting.block(line, limit);
                continue;
            }
            let Some(mut send) = self.tables.waiting.leave(ticket) else { continue };
            match what {
                What::Call { id, addr, options, deadline } => {
                    let left = deadline.saturating_since(now);
                    self.start_waiting_call(id, addr, send.message, options, left);
                }
                What::Reply(key) => {
                    let outcome = self.send_reply(key, &mut send.message);
                    let Tables { waiting, wakers, .. } = &mut self.tables;
                    waiting.settle_reply(ticket, outcome, wakers);
                }
            }
            self.tables.touched = true;
            any = true;
        }
        any
    }

    /// Ends the calls that have waited for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let Tables { waiting, calls, wakers, touched, .. } = &mut self.tables;
        while let Some((send, waited_for)) = waiting.expire(now) {
            if let What::Call { id, addr, .. } = send.what {
                calls.end_waiting(id, CallError::DeadlineExceeded { addr, waited_for }, wakers);
                *touched = true;
            }
        }
    }

    /// Ends everybody's wait, for the endpoint closes.
    pub(super) fn end_waiting(&mut self) {
        let Tables { waiting, calls, wakers, .. } = &mut self.tables;
        for (ticket, send) in waiting.leave_all() {
            match send.what {
                What::Call { id, .. } => calls.end_waiting(id, CallError::ShutDown, wakers),
                What::Reply(_) => waiting.settle_reply(ticket, Err(ReplyError::ShutDown), wakers),
            }
        }
    }

    fn line_up_call(
        &mut self,
        addr: Addr,
        message: Message,
        options: CallOptions,
        owner: Owner,
        limit: Limit,
    ) -> CallId {
        let patience = options.deadline.map_or(self.call_deadline, to_proto);
        let deadline = Clock::now() + patience;
        let id = self.tables.calls.insert(addr, owner);
        let what = What::Call { id, addr, options, deadline };
        let ticket = self.tables.waiting.join(Line::Calls, Send { what, message }, limit);
        self.tables.calls.set_ticket(id, ticket);
        id
    }

    fn start_waiting_call(
        &mut self,
        id: CallId,
        addr: Addr,
        message: Message,
        options: CallOptions,
        left: Duration,
    ) {
        let Some(driver) = &mut self.driver else { return };
        let mut options = options.to_proto();
        options.deadline = Some(left);
        let (peer, port) = (addr.peer(), addr.homa_port());
        let Tables { calls, wakers, .. } = &mut self.tables;
        match driver.send_request(self.client, peer, port, message, options) {
            Ok(key) => calls.started(id, key, wakers),
            Err(error) => calls.end_waiting(id, error.into(), wakers),
        }
        self.unsent = Unsent::Packets;
    }

    /// The limit for which somebody who waits has to go on waiting. What would fail for another reason
    /// lacks none.
    fn lacks_room(&self, line: Line, what: &What, length: usize) -> Option<Limit> {
        let limit = match *what {
            What::Call { addr, .. } => match self.check_call(addr, length) {
                Err(CallError::Full { limit }) => Some(limit),
                _ => None,
            },
            What::Reply(key) => match self.check_reply(key, line, length) {
                Err(ReplyError::Full { limit }) => Some(limit),
                _ => None,
            },
        };
        limit.filter(|limit| may_clear(limit, length))
    }

    /// Whether a call could be started now.
    fn check_call(&self, addr: Addr, length: usize) -> Result<(), CallError> {
        let driver = self.driver.as_ref().ok_or(CallError::ShutDown)?;
        driver.check_request(self.client, addr.homa_port(), length)?;
        self.obstacle_to_calls().map_or(Ok(()), |limit| Err(CallError::Full { limit }))
    }

    /// Whether a reply could be sent now.
    fn check_reply(&self, key: RpcKey, line: Line, length: usize) -> Result<(), ReplyError> {
        let driver = self.driver.as_ref().ok_or(ReplyError::ShutDown)?;
        driver.check_reply(key, length)?;
        let obstacle = self.tables.waiting.obstacle(line);
        obstacle.map_or(Ok(()), |limit| Err(ReplyError::Full { limit }))
    }

    /// Why a call has to wait or fail that the protocol would start.
    fn obstacle_to_calls(&self) -> Option<Limit> {
        let of_calls = Limit::of_host(Resource::ClientRpcs, self.client_rpcs_max as u64);
        let has_place = of_calls.admits(self.tables.calls.open(), 1);
        has_place.err().or_else(|| self.tables.waiting.obstacle(Line::Calls))
    }

    /// Makes a request answerable that has arrived whole; its server.
    fn prepare_reply(&mut self, key: RpcKey) -> Result<ServerIndex, ReplyError> {
        if self.is_closed() {
            return Err(ReplyError::ShutDown);
        }
        let (driver, entry) = self.open_request(key).ok_or(ReplyError::Cancelled)?;
        if entry.complete {
            // A stream need not have been read to its end.
            entry.begin_reply(driver, key);
        }
        Ok(entry.server)
    }

    fn send_reply(&mut self, key: RpcKey, message: &mut Message) -> Result<(), ReplyError> {
        let driver = self.driver.as_mut().ok_or(ReplyError::ShutDown)?;
        driver.reply(key, message)?;
        self.tables.requests.remove(key);
        self.send_soon();
        Ok(())
    }

    /// A request that the application holds and somebody waits to be answered.
    pub(super) fn open_request(&mut self, key: RpcKey) -> Option<(&mut BoxedDriver, &mut Entry)> {
        let entry = self.tables.requests.get_mut(key).filter(|entry| !entry.cancelled)?;
        Some((self.driver.as_mut()?, entry))
    }
}
