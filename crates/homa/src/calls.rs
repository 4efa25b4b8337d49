//! The calls of an endpoint: what became of each, and who wants to know.

use std::fmt;
use std::task::Waker;

use homa_io::Message;
use homa_proto::{Account, Failure, Meter, RpcKey};

use crate::Addr;
use crate::error::CallError;
use crate::queue::Queue;
use crate::waiting::Ticket;

/// Names a call that was started with `send`, until its outcome was received. Unique for the life of
/// its endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId {
    serial: u64,
    index: u32,
}

/// All calls that were started, or wait for that, and whose outcome was not taken.
#[derive(Debug)]
pub(crate) struct Calls {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Which entry the RPC in a slot of the protocol's table belongs to.
    by_slot: Vec<Option<(RpcKey, u32)>>,
    next_serial: u64,
    /// Calls that were started and not taken out, and those turned away.
    open: Meter,
    /// Outcomes of calls started with `send`, in order of completion.
    pub(crate) done: Queue<CallId>,
}

/// Who learns of a call's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The one who waits for this very call.
    Caller,
    /// The one who waits for it to be started; then `Queue`.
    Starter,
    /// Whoever receives the endpoint's next outcome.
    Queue,
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was not started, yet.
    Waiting(Ticket),
    Pending,
    /// The response has arrived and waits in the driver.
    Response,
    /// The response, taken out of a driver that is gone.
    Taken(Message),
    Failed(CallError),
}

/// A call that was taken out.
#[derive(Debug)]
pub(crate) struct Removed {
    /// `None` if it was never started.
    pub(crate) key: Option<RpcKey>,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
struct Entry {
    /// `None` while the entry is free.
    call: Option<Call>,
    serial: u64,
}

#[derive(Debug)]
struct Call {
    /// `None` until it is started.
    key: Option<RpcKey>,
    addr: Addr,
    owner: Owner,
    outcome: Outcome,
    waker: Option<Waker>,
}

impl CallId {
    /// The index of the call's place in its endpoint's table: small, dense, and reused by later calls.
    /// What an application keeps for each of its open calls can be an array that is indexed with it.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.serial)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            by_slot: Vec::new(),
            next_serial: 0,
            open: Meter::default(),
            done: Queue::new(),
        }
    }

    /// Enters a call, which is then [started](Self::started) or given a [ticket](Self::set_ticket).
    pub(crate) fn insert(&mut self, addr: Addr, owner: Owner) -> CallId {
        let serial = self.next_serial;
        self.next_serial = serial + 1;
        let call = Some(Call { key: None, addr, owner, outcome: Outcome::Pending, waker: None });
        let entry = Entry { call, serial };
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = entry;
                index
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        CallId { serial, index }
    }

    /// The call was started.
    pub(crate) fn started(&mut self, id: CallId, key: RpcKey, wakers: &mut Vec<Waker>) {
        let Some(call) = self.get_mut(id) else { return };
        (call.key, call.outcome) = (Some(key), Outcome::Pending);
        if call.owner == Owner::Starter {
            wakers.extend(call.waker.take());
        }
        let slot = key.slot() as usize;
        if slot >= self.by_slot.len() {
            self.by_slot.resize(slot + 1, None);
        }
        self.by_slot[slot] = Some((key, id.index));
        self.open.raise(1);
    }

    /// The call waits to be started.
    pub(crate) fn set_ticket(&mut self, id: CallId, ticket: Ticket) {
        if let Some(call) = self.get_mut(id) {
            call.outcome = Outcome::Waiting(ticket);
        }
    }

    /// The call ends without having been started.
    pub(crate) fn end_waiting(&mut self, id: CallId, error: CallError, wakers: &mut Vec<Waker>) {
        if let Some(call) = self.get_mut(id) {
            call.outcome = Outcome::Failed(error);
            wakers.extend(call.waker.take());
        }
    }

    /// Whether the call waits to be started.
    pub(crate) fn is_waiting(&self, id: CallId) -> bool {
        self.get(id).is_some_and(|call| matches!(call.outcome, Outcome::Waiting(_)))
    }

    /// Leaves the outcome of a call to whoever receives the endpoint's next one; `false` if the call
    /// was never started.
    pub(crate) fn leave_to_queue(&mut self, id: CallId) -> bool {
        let Some(call) = self.get_mut(id).filter(|call| call.key.is_some()) else { return false };
        call.owner = Owner::Queue;
        call.waker = None;
        if !matches!(call.outcome, Outcome::Pending) {
            self.done.push(id);
        }
        true
    }

    /// Takes a call out, if its outcome is known or was never wanted.
    pub(crate) fn remove(&mut self, id: CallId) -> Option<Removed> {
        let entry = self.entries.get_mut(id.index as usize)?;
        if entry.serial != id.serial {
            return None;
        }
        let Call { key, outcome, .. } = entry.call.take()?;
        self.free.push(id.index);
        if key.is_some() {
            self.open.lower(1);
        }
        Some(Removed { key, outcome })
    }

    /// Whether the call's outcome is known. A call that is not here counts as unknown.
    pub(crate) fn is_done(&self, id: CallId) -> bool {
        self.get(id)
            .is_some_and(|call| !matches!(call.outcome, Outcome::Waiting(_) | Outcome::Pending))
    }

    /// Whether this is a call whose outcome comes out of the queue, and is still open.
    pub(crate) fn is_pending_in_queue(&self, id: CallId) -> bool {
        self.get(id).is_some_and(|call| {
            call.owner == Owner::Queue && matches!(call.outcome, Outcome::Pending)
        })
    }

    /// Who is to be woken when the call is done; `None` for nobody.
    pub(crate) fn set_waker(&mut self, id: CallId, waker: Option<&Waker>) {
        if let Some(call) = self.get_mut(id) {
            call.waker = waker.cloned();
        }
    }

    /// The response to an RPC has arrived.
    pub(crate) fn complete(&mut self, key: RpcKey, wakers: &mut Vec<Waker>) {
        self.finish(key, |_| Outcome::Response, wakers);
    }

    /// An RPC has failed.
    pub(crate) fn fail(&mut self, key: RpcKey, failure: Failure, wakers: &mut Vec<Waker>) {
        let failed = |addr| Outcome::Failed(CallError::from_failure(addr, failure));
        self.finish(key, failed, wakers);
    }

    /// The application gives up a call that is open, and receives that as its outcome.
    pub(crate) fn abort(&mut self, id: CallId, wakers: &mut Vec<Waker>) -> Option<RpcKey> {
        let key = self.get(id)?.key?;
        self.finish(key, |_| Outcome::Failed(CallError::Aborted), wakers);
        Some(key)
    }

    /// Takes the responses that wait in the driver out of it, by `take`, before the driver goes.
    pub(crate) fn take_responses(&mut self, mut take: impl FnMut(RpcKey) -> Option<Message>) {
        for call in self.entries.iter_mut().filter_map(|entry| entry.call.as_mut()) {
            if matches!(call.outcome, Outcome::Response) {
                let taken = call.key.and_then(&mut take).map(Outcome::Taken);
                call.outcome = taken.unwrap_or(Outcome::Failed(CallError::ShutDown));
            }
        }
    }

    /// A call is turned away for want of room.
    pub(crate) fn refuse(&mut self) {
        self.open.refuse();
    }

    /// Calls that are open, or whose outcome was not taken, with the limit on them.
    pub(crate) fn account(&self, limit: Option<u64>) -> Account {
        self.open.account(limit)
    }

    /// Number of calls that are open, or whose outcome was not taken.
    pub(crate) fn open(&self) -> u64 {
        self.open.used()
    }

    /// A call has its outcome, unless it has one: exactly one is ever given.
    fn finish(
        &mut self,
        key: RpcKey,
        outcome: impl FnOnce(Addr) -> Outcome,
        wakers: &mut Vec<Waker>,
    ) {
        let Some(Some((bound, index))) = self.by_slot.get(key.slot() as usize) else { return };
        if *bound != key {
            return;
        }
        let entry = &mut self.entries[*index as usize];
        // An entry that was vacated may have been taken by a later call with another key.
        let Some(call) = entry.call.as_mut().filter(|call| call.key == Some(key)) else { return };
        if !matches!(call.outcome, Outcome::Pending) {
            return;
        }
        call.outcome = outcome(call.addr);
        match call.owner {
            Owner::Caller | Owner::Starter => wakers.extend(call.waker.take()),
            Owner::Queue => self.done.push(CallId { serial: entry.serial, index: *index }),
        }
    }

    fn get(&self, id: CallId) -> Option<&Call> {
        let entry = self.entries.get(id.index as usize)?;
        entry.call.as_ref().filter(|_| entry.serial == id.serial)
    }

    fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        let entry = self.entries.get_mut(id.index as usize)?;
        entry.call.as_mut().filter(|_| entry.serial == id.serial)
    }
}
