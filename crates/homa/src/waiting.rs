//! Calls and replies that wait for room to be sent, in order.
//!
//! Each socket has a line of its own: that of calls, and one of replies for each server. The first of
//! a line that meets a limit of its socket holds up its line only; a first reply that meets a limit of
//! the endpoint holds up everybody else, since whoever passed it could keep it waiting for ever.
//! Replies go before calls: they end work, and make room where calls make more.
//!
//! Room is given by whoever holds the endpoint's lock when it appears (`State::admit`), not by those
//! who wait: a future that nobody polls holds up nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

use homa_io::Message;
use homa_proto::{Account, Instant, Limit, Meter, Resource, RpcKey};

use crate::Addr;
use crate::calls::CallId;
use crate::config::CallOptions;
use crate::error::ReplyError;
use crate::requests::ServerIndex;

/// Names somebody who waits; never reused.
pub(crate) type Ticket = u64;

/// Names a line. Calls are last, since the first in order goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Line {
    Replies(ServerIndex),
    Calls,
}

/// All who wait for room.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    lines: BTreeMap<Line, Waiters>,
    /// Which line a ticket is in.
    tickets: BTreeMap<Ticket, Line>,
    deadlines: BTreeSet<(Instant, Ticket)>,
    /// Replies whose senders look for what became of them.
    replies: BTreeMap<Ticket, Reply>,
    next_ticket: Ticket,
    sends: Meter,
    bytes: Meter,
}

/// A line, which exists while somebody waits in it.
#[derive(Debug, Default)]
struct Waiters {
    sends: BTreeMap<Ticket, Send>,
    /// What the first of them lacked, if that is known.
    blocked: Option<Limit>,
}

/// A message that waits.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) what: What,
    pub(crate) message: Message,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Call { id: CallId, addr: Addr, options: CallOptions, deadline: Instant },
    Reply(RpcKey),
}

#[derive(Debug, Default)]
struct Reply {
    waker: Option<Waker>,
    outcome: Option<Result<(), ReplyError>>,
}

impl Waiting {
    /// Joins a line, for `limit` left no room.
    pub(crate) fn join(&mut self, line: Line, send: Send, limit: Limit) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.sends.raise(1);
        self.bytes.raise(send.message.len() as u64);
        match &send.what {
            What::Call { deadline, .. } => drop(self.deadlines.insert((*deadline, ticket))),
            What::Reply(_) => drop(self.replies.insert(ticket, Reply::default())),
        }
        let waiters = self.lines.entry(line).or_default();
        waiters.blocked.get_or_insert(limit);
        waiters.sends.insert(ticket, send);
        self.tickets.insert(ticket, line);
        ticket
    }

    /// Leaves the line, if it waits: room was found, or is not wanted any more.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Send> {
        let line = self.tickets.remove(&ticket)?;
        let waiters = self.lines.get_mut(&line)?;
        let send = waiters.sends.remove(&ticket)?;
        if waiters.sends.is_empty() {
            self.lines.remove(&line);
        }
        if let What::Call { deadline, .. } = &send.what {
            self.deadlines.remove(&(*deadline, ticket));
        }
        self.sends.lower(1);
        self.bytes.lower(send.message.len() as u64);
        Some(send)
    }

    /// Everybody leaves.
    pub(crate) fn leave_all(&mut self) -> Vec<(Ticket, Send)> {
        let tickets: Vec<_> = self.tickets.keys().copied().collect();
        tickets.into_iter().filter_map(|ticket| Some((ticket, self.leave(ticket)?))).collect()
    }

    /// One call whose deadline has passed leaves.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(Send, Option<Limit>)> {
        let (deadline, ticket) = self.deadlines.first().copied()?;
        if deadline > now {
            return None;
        }
        let blocked = self.tickets.get(&ticket).and_then(|line| self.obstacle(*line));
        self.sends.refuse();
        Some((self.leave(ticket)?, blocked))
    }

    /// A message is turned away since others wait.
    pub(crate) fn refuse(&mut self) {
        self.sends.refuse();
    }

    /// All lines are to be looked at again.
    pub(crate) fn unblock(&mut self) {
        self.lines.values_mut().for_each(|waiters| waiters.blocked = None);
    }

    /// The first of a line still lacks room.
    pub(crate) fn block(&mut self, line: Line, limit: Limit) {
        if let Some(waiters) = self.lines.get_mut(&line) {
            waiters.blocked = Some(limit);
        }
    }

    /// What became of a reply that has left the line.
    pub(crate) fn settle_reply(
        &mut self,
        ticket: Ticket,
        outcome: Result<(), ReplyError>,
        wakers: &mut Vec<Waker>,
    ) {
        if let Some(reply) = self.replies.get_mut(&ticket) {
            reply.outcome.get_or_insert(outcome);
            wakers.extend(reply.waker.take());
        }
    }

    /// Who is to be woken when a reply has left the line; `None` for nobody.
    pub(crate) fn set_reply_waker(&mut self, ticket: Ticket, waker: Option<&Waker>) {
        if let Some(reply) = self.replies.get_mut(&ticket) {
            reply.waker = waker.cloned();
        }
    }

    /// The sender of a reply looks no longer; what became of the reply, if it has left the line.
    pub(crate) fn forget_reply(&mut self, ticket: Ticket) -> Option<Result<(), ReplyError>> {
        self.leave(ticket);
        self.replies.remove(&ticket)?.outcome
    }

    /// What became of a reply; `None` while it waits.
    pub(crate) fn reply_outcome(&self, ticket: Ticket) -> Option<Result<(), ReplyError>> {
        self.replies.get(&ticket)?.outcome
    }

    /// Who may be the next to find room: the first of a line that is not held up.
    pub(crate) fn next(&self) -> Option<(Line, Ticket, &Send)> {
        if self.endpoint_limit().is_some() {
            return None;
        }
        let free = self.lines.iter().filter(|(_, waiters)| waiters.blocked.is_none());
        let firsts = free.filter_map(|(line, waiters)| {
            let (ticket, send) = waiters.sends.first_key_value()?;
            Some((*line, *ticket, send))
        });
        firsts.min_by_key(|(line, ticket, _)| (*line == Line::Calls, *ticket))
    }

    /// Why a newcomer to a line would have to wait, though there may be room.
    pub(crate) fn obstacle(&self, line: Line) -> Option<Limit> {
        let own = self.lines.get(&line).and_then(|waiters| waiters.blocked);
        own.or_else(|| self.endpoint_limit())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// When the first deadline passes.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// How many wait, and their bytes.
    pub(crate) fn accounts(&self) -> [(Resource, Account); 2] {
        [
            (Resource::WaitingSends, self.sends.account(None)),
            (Resource::WaitingBytes, self.bytes.account(None)),
        ]
    }

    /// The limit of the endpoint that the first of some line of replies has met.
    fn endpoint_limit(&self) -> Option<Limit> {
        let replies = self.lines.range(..Line::Calls);
        replies.filter_map(|(_, waiters)| waiters.blocked).find(|limit| !limit.of_socket)
    }
}

/// Whether a limit that leaves no room for a message may do so later, without the clock alone.
pub(crate) fn may_clear(limit: &Limit, length: usize) -> bool {
    match limit.resource {
        // Places for peers become free by time.
        Resource::Peers => false,
        Resource::OutgoingBytes => limit.max >= length as u64,
        _ => limit.max > 0,
    }
}
