//! What threads and tasks wait for, in one form for both.

use std::task::Waker;

use homa_io::Message;
use homa_proto::RpcKey;

use crate::calls::CallId;
use crate::error::{CallError, ReadError, ReplyError};
use crate::queue::Place;
use crate::requests::ServerIndex;
use crate::state::{Accepted, State};
use crate::waiting::Ticket;

/// Somebody waits in an endpoint: for the outcome of a call, a request, the next bytes.
///
/// Threads and tasks wait in the same way: they look ([`Awaited::take`]), and if it isn't there
/// leave a waker and look again when woken.
pub(crate) trait Awaited {
    /// What is waited for.
    type Output;

    /// Takes it, if it is there, or says that it will never be.
    fn take(&mut self, state: &mut State) -> Option<Self::Output>;
    /// Leaves, or replaces, the waker that is called when it may be there.
    fn enroll(&mut self, state: &mut State, waker: &Waker);
    /// Waits no longer: it was taken, or is not wanted any more.
    fn withdraw(&mut self, state: &mut State);
}

/// The outcome of one call.
pub(crate) struct CallDone(pub(crate) CallId);

impl Awaited for CallDone {
    type Output = Result<Message, CallError>;

    fn take(&mut self, state: &mut State) -> Option<Self::Output> {
        state.take_outcome(self.0)
    }

    fn enroll(&mut self, state: &mut State, waker: &Waker) {
        state.tables.calls.set_waker(self.0, Some(waker));
    }

    fn withdraw(&mut self, state: &mut State) {
        state.tables.calls.set_waker(self.0, None);
    }
}

/// The start of a call that may have to wait for room; its outcome is left to the queue then.
pub(crate) struct Started(pub(crate) CallId);

impl Awaited for Started {
    type Output = Result<CallId, CallError>;

    fn take(&mut self, state: &mut State) -> Option<Self::Output> {
        state.take_start(self.0)
    }

    fn enroll(&mut self, state: &mut State, waker: &Waker) {
        state.tables.calls.set_waker(self.0, Some(waker));
    }

    fn withdraw(&mut self, state: &mut State) {
        state.tables.calls.set_waker(self.0, None);
    }
}

/// What became of a reply that had to wait for room.
pub(crate) struct ReplySent(pub(crate) Ticket);

impl Awaited for ReplySent {
    type Output = Result<(), ReplyError>;

    fn take(&mut self, state: &mut State) -> Option<Self::Output> {
        state.tables.waiting.reply_outcome(self.0)
    }

    fn enroll(&mut self, state: &mut State, waker: &Waker) {
        state.tables.waiting.set_reply_waker(self.0, Some(waker));
    }

    fn withdraw(&mut self, state: &mut State) {
        state.tables.waiting.set_reply_waker(self.0, None);
    }
}

/// Up to `max` outcomes of calls started with `send`, each handed to `each`: at least one unless the
/// endpoint is closed.
pub(crate) struct Outcomes<F> {
    each: F,
    max: usize,
    place: Place,
    served: bool,
}

impl<F: FnMut(CallId, Result<Message, CallError>)> Outcomes<F> {
    pub(crate) fn new(max: usize, each: F) -> Self {
        Self { each, max, place: Place::default(), served: false }
    }
}

impl<F: FnMut(CallId, Result<Message, CallError>)> Awaited for Outcomes<F> {
    type Output = usize;

    fn take(&mut self, state: &mut State) -> Option<usize> {
        let mut count = 0;
        while count < self.max {
            let Some((id, outcome)) = state.take_next_outcome() else { break };
            (self.each)(id, outcome);
            count += 1;
        }
        self.served = count > 0;
        (count > 0 || self.max == 0 || state.is_closed()).then_some(count)
    }

    fn enroll(&mut self, state: &mut State, waker: &Waker) {
        state.tables.calls.done.enter(&mut self.place, waker);
    }

    fn withdraw(&mut self, state: &mut State) {
        state.tables.calls.done.leave(&mut self.place, self.served);
    }
}

/// Up to `max` requests to a server, each handed to `each`: at least one unless nobody may accept
/// any more.
pub(crate) struct NextRequests<F> {
    server: ServerIndex,
    each: F,
    max: usize,
    place: Place,
    served: bool,
}

impl<F: FnMut(Accepted)> NextRequests<F> {
    pub(crate) fn new(server: ServerIndex, max: usize, each: F) -> Self {
        Self { server, each, max, place: Place::default(), served: false }
    }
}

impl<F: FnMut(Accepted)> Awaited for NextRequests<F> {
    type Output = usize;

    fn take(&mut self, state: &mut State) -> Option<usize> {
        let mut count = 0;
        while count < self.max {
            let Some(accepted) = state.accept(self.server) else { break };
            (self.each)(accepted);
            count += 1;
        }
        self.served = count > 0;
        (count > 0 || self.max == 0 || state.is_closed()).then_some(count)
    }

    fn enroll(&mut self, state: &mut State, waker: &Waker) {
        state.queue_of(self.server).enter(&mut self.place, waker);
    }

    fn withdraw(&mut self, state: &mut State) {
        state.queue_of(self.server).leave(&mut self.place, self.served);
    }
}

/// More of a request that is read as it arrives.
pub(crate) struct MoreBytes {
    pub(crate) key: RpcKey,
    pub(crate) from: u32,
}

impl Awaited for MoreBytes {
    type Output = Result<Message, ReadError>;

    fn take(&mut self, state: &mut State) -> Option<Self::Output> {
        state.read(self.key, self.from)
    }

    fn enroll(&mut self, state: &mut State, waker: &Waker) {
        if let Some(entry) = state.tables.requests.get_mut(self.key) {
            entry.reader = Some(waker.clone());
        }
    }

    fn withdraw(&mut self, state: &mut State) {
        if let Some(entry) = state.tables.requests.get_mut(self.key) {
            entry.reader = None;
        }
    }
}

/// All bytes of a request beyond `from`.
pub(crate) struct AllBytes(pub(crate) MoreBytes);

impl Awaited for AllBytes {
    type Output = Result<Message, ReadError>;

    fn take(&mut self, state: &mut State) -> Option<Self::Output> {
        state.read_to_end(self.0.key, self.0.from)
    }

    fn enroll(&mut self, state: &mut State, waker: &Waker) {
        self.0.enroll(state, waker);
    }

    fn withdraw(&mut self, state: &mut State) {
        self.0.withdraw(state);
    }
}

/// The moment at which nobody waits for the answer to a request any more.
pub(crate) struct RequestCancelled(pub(crate) RpcKey);

impl Awaited for RequestCancelled {
    type Output = ();

    fn take(&mut self, state: &mut State) -> Option<()> {
        state.is_cancelled(self.0).then_some(())
    }

    fn enroll(&mut self, state: &mut State, waker: &Waker) {
        if let Some(entry) = state.tables.requests.get_mut(self.0) {
            entry.cancel_waiter = Some(waker.clone());
        }
    }

    fn withdraw(&mut self, state: &mut State) {
        if let Some(entry) = state.tables.requests.get_mut(self.0) {
            entry.cancel_waiter = None;
        }
    }
}

/// The moment at which nothing is open any more.
#[derive(Default)]
pub(crate) struct Idle(Place);

impl Awaited for Idle {
    type Output = ();

    fn take(&mut self, state: &mut State) -> Option<()> {
        state.is_idle().then_some(())
    }

    fn enroll(&mut self, state: &mut State, waker: &Waker) {
        state.idle.enter(&mut self.0, waker);
    }

    fn withdraw(&mut self, state: &mut State) {
        state.idle.leave(&mut self.0, true);
    }
}
