//! A stream, seen from the server: what its client has sent and asked for, and nobody has dealt with
//! yet.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use homa::{Message, RefuseReason, Request};
use tonic::Status;

use super::peers::{Peer, Room};
use super::reply::reply;
use crate::WINDOW;
use crate::held::NoRoom;
use crate::reorder::Reorder;
use crate::wire::Answer;

/// A call that is a stream.
#[derive(Debug)]
pub(super) struct Stream {
    peer: Arc<Peer>,
    state: Mutex<State>,
}

/// A part of a request's body that waits for the handler.
#[derive(Debug)]
pub(super) struct Push {
    pub(super) request: Request,
    pub(super) body: Message,
    pub(super) is_end: bool,
    pub(super) held: Room,
}

/// What the handler's body gets next.
pub(super) enum NextPush {
    Push(Push),
    /// There is none, for this reason, if not by the client's wish.
    Cancelled(Option<Status>),
}

#[derive(Debug)]
struct State {
    pulls: VecDeque<Pull>,
    pushes: Reorder<Push>,
    /// Nobody reads the request's body any more.
    is_closed: bool,
    is_cancelled: bool,
    /// Why, if it was not the client's wish.
    given_up: Option<Status>,
    /// When the client last said something.
    heard: Instant,
    /// Since when pushes were seen to wait for one that has not come.
    stuck: Option<Instant>,
    /// Who waits for a pull, for a push, for the stream to be cancelled.
    puller: Option<Waker>,
    reader: Option<Waker>,
    canceller: Option<Waker>,
}

#[derive(Debug)]
struct Pull {
    request: Request,
    since: Instant,
}

impl Stream {
    pub(super) fn new(peer: Arc<Peer>) -> Self {
        Self {
            peer,
            state: Mutex::new(State {
                pulls: VecDeque::new(),
                pushes: Reorder::new(0, WINDOW),
                is_closed: false,
                is_cancelled: false,
                given_up: None,
                heard: Instant::now(),
                stuck: None,
                puller: None,
                reader: None,
                canceller: None,
            }),
        }
    }

    /// The client asks for more.
    pub(super) fn pull(&self, request: Request) {
        let mut state = self.lock();
        let now = Instant::now();
        state.heard = now;
        if state.is_cancelled {
            drop(state);
            return reply(request, Answer::fault(&gone()));
        }
        if state.pulls.len() >= WINDOW {
            drop(state);
            let status = Status::resource_exhausted("the stream has too many pulls under way");
            return reply(request, Answer::fault(&status));
        }
        state.pulls.push_back(Pull { request, since: now });
        wake(state.puller.take(), state);
    }

    /// Holds the bytes of a push, if its client and all of them together may hold so many. What came
    /// before those that go before it makes room for them.
    pub(super) fn hold(&self, sequence: u64, bytes: usize) -> Result<Room, NoRoom> {
        loop {
            let held = self.peer.hold(bytes);
            let Err(NoRoom::Now) = held else { return held };
            let last = self.lock().pushes.take_last_behind(sequence);
            last.ok_or(NoRoom::Now)?.request.refuse(RefuseReason::Overloaded);
        }
    }

    /// The client sends more.
    pub(super) fn push(&self, sequence: u64, push: Push) {
        let mut state = self.lock();
        state.heard = Instant::now();
        if state.is_closed || state.is_cancelled {
            drop(state);
            return reply(push.request, Answer::taken(true));
        }
        match state.pushes.insert(sequence, push) {
            Ok(()) => wake(state.reader.take(), state),
            Err(push) => {
                drop(state);
                let status = Status::internal("the stream has a push twice or far ahead");
                reply(push.request, Answer::fault(&status));
            }
        }
    }

    /// The client is alive.
    pub(super) fn touch(&self) {
        self.lock().heard = Instant::now();
    }

    /// The client gave the stream up, or is gone; or the server does, and says why.
    pub(super) fn cancel(&self, given_up: Option<Status>) {
        let mut state = self.lock();
        if !state.is_cancelled {
            (state.is_cancelled, state.given_up) = (true, given_up);
        }
        let wakers = [state.puller.take(), state.reader.take(), state.canceller.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Waits until the stream is cancelled, and says why, if it was not the client's wish.
    pub(super) async fn cancelled(&self) -> Option<Status> {
        std::future::poll_fn(|cx| {
            let mut state = self.lock();
            if state.is_cancelled {
                return Poll::Ready(state.given_up.clone());
            }
            state.canceller = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Whether a pull waits; if not, the task is woken when one does. One task at a time may wait.
    pub(super) fn has_pull(&self, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        if state.pulls.is_empty() {
            state.puller = Some(cx.waker().clone());
        }
        !state.pulls.is_empty()
    }

    /// Waits for a pull. One task at a time may wait.
    pub(super) fn poll_pull(&self, cx: &mut Context<'_>) -> Poll<Request> {
        let mut state = self.lock();
        if let Some(pull) = state.pulls.pop_front() {
            // Its client waited for it until now, and says no more meanwhile.
            state.heard = Instant::now();
            return Poll::Ready(pull.request);
        }
        state.puller = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits for the next push. One task at a time may wait.
    pub(super) fn poll_push(&self, cx: &mut Context<'_>) -> Poll<NextPush> {
        let mut state = self.lock();
        if let Some(push) = state.pushes.pop() {
            (state.heard, state.stuck) = (Instant::now(), None);
            return Poll::Ready(NextPush::Push(push));
        }
        if state.is_cancelled {
            return Poll::Ready(NextPush::Cancelled(state.given_up.clone()));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Nobody will read the request's body any more: answers the pushes that wait, and those to come.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let pushes: Vec<_> = state.pushes.drain().collect();
        drop(state);
        for push in pushes {
            reply(push.request, Answer::taken(true));
        }
    }

    /// The stream is over: answers what waits, with a fault if it did not end as it should.
    pub(super) fn end(&self, fault: Option<&Status>) {
        self.cancel(None);
        self.close();
        let pulls = std::mem::take(&mut self.lock().pulls);
        for pull in pulls {
            let answer = fault.map_or_else(Answer::nothing, Answer::fault);
            reply(pull.request, answer);
        }
    }

    /// Looks after a stream that may be forgotten: answers pulls that have waited for long, and
    /// cancels it if the client has gone.
    pub(super) fn sweep(&self, now: Instant, idle_max: Duration, pull_hold: Duration) {
        let mut state = self.lock();
        let waits = !state.pulls.is_empty() || !state.pushes.is_empty();
        let is_stuck = !state.pushes.is_empty() && !state.pushes.is_due();
        state.stuck = is_stuck.then(|| state.stuck.unwrap_or(now));
        let is_stuck_for_long =
            state.stuck.is_some_and(|since| now.saturating_duration_since(since) >= idle_max);
        let is_idle = !waits && now.saturating_duration_since(state.heard) >= idle_max;
        let gave_up = state.pulls.iter().any(|pull| pull.request.is_cancelled())
            || state.pushes.iter().any(|push| push.request.is_cancelled());
        let given_up = match (is_idle, is_stuck_for_long) {
            (true, _) => Some("the client has said nothing about the stream for long"),
            (_, true) => Some("a part of the stream's request has not come for long"),
            _ => None,
        };
        if gave_up || given_up.is_some() {
            drop(state);
            return self.cancel(given_up.map(Status::unavailable));
        }
        let is_old = |pull: &Pull| now.saturating_duration_since(pull.since) >= pull_hold;
        let old = state.pulls.iter().take_while(|pull| is_old(pull)).count();
        let old: Vec<_> = state.pulls.drain(..old).collect();
        if !old.is_empty() {
            state.heard = now;
        }
        drop(state);
        for pull in old {
            reply(pull.request, Answer::nothing());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What clients are told about streams that are not known, any more or yet.
pub(super) fn gone() -> Status {
    Status::unavailable("the server does not know the stream: it is over, or was given up as idle")
}

fn wake(waker: Option<Waker>, state: MutexGuard<'_, State>) {
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
