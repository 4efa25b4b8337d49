//! The driver task: what drives an asynchronous endpoint.
//!
//! It is a task of the tokio runtime in which the endpoint was bound. It waits for the socket to
//! become readable and for an alarm (a timerfd: the runtime's own timers are rounded to
//! milliseconds), and takes a turn for either. After turns that found several things it looks again
//! behind the tasks that were woken, whose packets then leave together; and it goes on looking for
//! `Config::poll_async`.
//!
//! What it waits on lives in the endpoint's state, under its lock, so that closing the endpoint
//! frees the UDP port at once, wherever the task may be. If the runtime is blocked, or shut down,
//! the helper drives.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use homa_io::{Alarm, report_errors_as_urgent};
use homa_proto::Instant;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::lead::{elapsed, time_until};
use crate::shared::Shared;
use crate::state::State;
use crate::sync::thread;

/// What the driver task waits on.
#[derive(Debug)]
pub(crate) struct Link {
    socket: AsyncFd<OwnedFd>,
    alarm: AsyncFd<Alarm>,
    /// When the alarm will ring; in the past once it has.
    alarm_at: Option<Instant>,
    /// The task's, while it waits.
    waker: Option<Waker>,
    /// When a turn last found something.
    busy_at: Instant,
    /// Requests and responses come several at a time, as of late.
    come_together: bool,
    /// Such have come, and the task takes its next turn right behind the tasks that are to run.
    returns_soon: bool,
}

impl Link {
    /// Registers the driver's descriptor with the current runtime.
    ///
    /// # Errors
    ///
    /// The process has too many open files.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, and in one without `enable_io`.
    pub(crate) fn new(state: &State) -> io::Result<Self> {
        // An own descriptor of the same socket: the runtime needs one that it owns.
        let socket = state.duplicate_ready_fd()?;
        // Runtimes wait for what can be read, and an error alone is not.
        report_errors_as_urgent(&socket);
        let interest = Interest::READABLE | Interest::PRIORITY;
        Ok(Self {
            socket: register(socket, interest)?,
            alarm: register(Alarm::new()?, Interest::READABLE)?,
            alarm_at: None,
            waker: None,
            busy_at: state.now(),
            come_together: false,
            returns_soon: false,
        })
    }

    /// When the task plans to wake; `None` for not at all.
    pub(crate) fn alarm_at(&self) -> Option<Instant> {
        self.alarm_at
    }

    /// The task's waker, if it waits.
    pub(crate) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }

    /// Whether packets of verbs may wait for the task's next turn: then those of all tasks that it
    /// has woken at once, or that these wake or start, leave together. Should one of these compute, the helper
    /// takes the turn.
    pub(crate) fn returns_soon(&mut self, wakers: &mut Vec<Waker>) -> bool {
        if self.come_together
            && let Some(waker) = self.waker.take()
        {
            wakers.push(waker);
            self.returns_soon = true;
        }
        self.returns_soon
    }

    /// The task did not return: somebody else takes its turn.
    pub(crate) fn is_late(&mut self) {
        self.returns_soon = false;
    }

    /// Waits for the next packet and the next ring of the alarm, forgetting those so far: to be
    /// called *before* the turn that finds what came so far.
    fn arm(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Poll::Ready(ready) = self.socket.poll_read_ready(cx) {
            ready?.clear_ready();
        }
        while let Poll::Ready(ready) = self.alarm.poll_read_ready(cx) {
            ready?.clear_ready();
            self.alarm_at = None;
        }
        Ok(())
    }

    /// Sets the alarm to `due`, unless it rings earlier anyway.
    fn set_alarm(&mut self, due: Instant) -> io::Result<()> {
        if self.alarm_at.is_none_or(|alarm_at| due < alarm_at) {
            self.alarm.get_ref().set(time_until(due))?;
            self.alarm_at = Some(due);
        }
        Ok(())
    }
}

/// Registers a descriptor with the current runtime.
#[allow(
    deprecated,
    reason = "the replacement is unsafe, for descriptors that change under the \
                              runtime; an `OwnedFd` and an `Alarm` keep theirs for life"
)]
fn register<T: AsRawFd>(descriptor: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(descriptor, interest)
}

/// Drives the endpoint until it closes.
pub(crate) async fn drive(shared: Arc<Shared>) {
    loop {
        match poll_fn(|cx| poll_turn(&shared, cx)).await {
            Next::TurnAgain => {}
            // Other processes have the processor, too: who sends what this one waits for may need it.
            Next::PollAgain => thread::yield_now(),
            Next::End => return,
        }
        // Behind the tasks that were woken, and behind the runtime's own look at other sockets.
        tokio::task::yield_now().await;
    }
}

enum Next {
    TurnAgain,
    /// The same, although there was nothing.
    PollAgain,
    End,
}

/// Takes a turn. Ready unless it found nothing and it is time to wait.
fn poll_turn(shared: &Shared, cx: &mut Context<'_>) -> Poll<Next> {
    let Some(mut locked) = shared.lock_to_drop() else { return Poll::Ready(Next::End) };
    // No link, or one that fails: the endpoint is closed, or the runtime shuts down.
    let Some(link) = &mut locked.seats.link else { return Poll::Ready(Next::End) };
    link.waker = None;
    link.returns_soon = false;
    if link.arm(cx).is_err() {
        return Poll::Ready(Next::End);
    }
    locked.tables.arrivals = 0;
    let first = locked.drive();
    // A second look at once is cheaper than one behind the runtime's, and finds most often that
    // there was one packet: then it is time to wait. Who polls comes back anyway, behind those that
    // the packet was for.
    let looks_twice = first.progress && shared.poll_async.is_zero();
    let turn = if looks_twice { locked.drive() } else { first };
    let (now, due) = (locked.now(), locked.next_due());
    let (_, want_room) = locked.sleep_on();
    let arrivals = locked.tables.arrivals;
    let Some(link) = &mut locked.seats.link else { return Poll::Ready(Next::End) };
    if first.progress || first.more {
        link.busy_at = now;
    }
    if arrivals > 0 {
        link.come_together = arrivals > 1;
    }
    let polling = elapsed(link.busy_at, now) < shared.poll_async;
    if turn.progress || turn.more || want_room || polling || arrivals > 1 {
        link.returns_soon = link.come_together;
        let is_idle = !(first.progress || first.more || want_room);
        return Poll::Ready(if is_idle { Next::PollAgain } else { Next::TurnAgain });
    }
    link.waker = Some(cx.waker().clone());
    match due.map(|due| link.set_alarm(due)) {
        Some(Err(_)) => Poll::Ready(Next::End),
        _ => Poll::Pending,
    }
}
