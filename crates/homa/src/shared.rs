//! An endpoint as its users share it: the state behind its lock, and what happens on unlocking.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use homa_io::{Bell, Turn};

use crate::extensions::Extensions;
use crate::helper;
use crate::state::State;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering};

/// What all users of an endpoint share. See [`crate::lead`] for who drives.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Counts the turns that anybody but the helper takes: the helper only looks on while it moves.
    turns: AtomicU64,
    /// Whether packets are held back, for a cork or for company, which the helper sends at its next look.
    held_back: AtomicBool,
    /// Wakes the leader that sleeps.
    pub(crate) leader_bell: Bell,
    /// Wakes the helper.
    pub(crate) helper_bell: Bell,
    /// How long a thread polls before it sleeps.
    pub(crate) poll: Duration,
    /// How long the driver task polls before it waits.
    pub(crate) poll_async: Duration,
}

/// The lock of an endpoint, held. Unlocking sends what verbs have called for and wakes whoever is
/// concerned, in this order and after the lock is released.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    shared: &'a Shared,
    /// `None` only while it is dropped.
    guard: Option<MutexGuard<'a, State>>,
    /// Whether the helper holds the lock.
    by_helper: bool,
}

/// A user's hold on an endpoint. When the last is dropped the endpoint closes.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) extensions: Extensions,
    helper: Mutex<Option<JoinHandle<()>>>,
}

/// Who is to be woken once the lock is released.
#[derive(Debug, Default)]
struct Wakes {
    one: Option<Waker>,
    more: Vec<Waker>,
    leader: bool,
    helper: bool,
}

impl Shared {
    /// # Errors
    ///
    /// The process has too many open files.
    pub(crate) fn new(state: State, poll: Duration, poll_async: Duration) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::new(state),
            turns: AtomicU64::new(0),
            held_back: AtomicBool::new(false),
            leader_bell: Bell::new()?,
            helper_bell: Bell::new()?,
            poll,
            poll_async,
        })
    }

    /// # Panics
    ///
    /// If a thread panicked while it held the lock: the protocol's state can't be relied upon then.
    pub(crate) fn lock(&self) -> Locked<'_> {
        let guard = self.state.lock().expect("a thread panicked while it drove the endpoint");
        Locked { shared: self, guard: Some(guard), by_helper: false }
    }

    /// Like [`Shared::lock`], for the helper: its own turns are not to call it off.
    pub(crate) fn lock_by_helper(&self) -> Option<Locked<'_>> {
        let guard = self.state.lock().ok()?;
        Some(Locked { shared: self, guard: Some(guard), by_helper: true })
    }

    /// Like [`Shared::lock`], but nothing after a panic: for destructors, which must not panic.
    pub(crate) fn lock_to_drop(&self) -> Option<Locked<'_>> {
        let guard = self.state.lock().ok()?;
        Some(Locked { shared: self, guard: Some(guard), by_helper: false })
    }

    /// How many turns anybody but the helper has taken.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Whether a cork holds packets back.
    pub(crate) fn holds_back(&self) -> bool {
        self.held_back.load(Ordering::Relaxed)
    }

    /// Closes the endpoint at once.
    pub(crate) fn close(&self) {
        let mut task = None;
        if let Some(mut locked) = self.lock_to_drop() {
            locked.close();
            task = locked.seats.close();
        }
        self.leader_bell.ring();
        self.helper_bell.ring();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Locked<'_> {
    /// Takes a turn of the drive loop.
    pub(crate) fn drive(&mut self) -> Turn {
        if self.by_helper
            && let Some(link) = &mut self.seats.link
        {
            link.is_late();
        }
        self.turn()
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.guard.as_ref().expect("held until dropped")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.guard.as_mut().expect("held until dropped")
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut guard) = self.guard.take() else { return };
        if std::thread::panicking() {
            return;
        }
        let wakes = settle(&mut guard, self.by_helper);
        if std::mem::take(&mut guard.turned) && !self.by_helper {
            // Only ever changed under the lock.
            let turns = self.shared.turns.load(Ordering::Relaxed);
            self.shared.turns.store(turns.wrapping_add(1), Ordering::Relaxed);
        }
        self.shared.held_back.store(guard.holds_back(), Ordering::Relaxed);
        drop(guard);
        wakes.fire(self.shared);
    }
}

/// Leaves the state as others may find it, and says whom to wake.
fn settle(state: &mut State, by_helper: bool) -> Wakes {
    loop {
        state.flush();
        // What leaves, or fails to, may make room for those who wait.
        if !state.admit() {
            break;
        }
    }
    let idle = state.is_draining() && state.is_idle();
    let State { tables, seats, idle: idle_waiters, .. } = state;
    let wakers = &mut tables.wakers;
    tables.calls.done.wake(wakers);
    tables.requests.servers.iter_mut().for_each(|server| server.queue.wake(wakers));
    if idle {
        idle_waiters.wake_all(wakers);
    }
    seats.promote(wakers);
    let touched = std::mem::take(&mut tables.touched);
    let backlog = std::mem::take(&mut tables.backlog);
    let mut wakes = Wakes::default();
    if seats.is_anybody_asleep() {
        let due = state.next_due();
        let State { tables, seats, .. } = state;
        wakes.leader = seats.must_wake_leader(touched || backlog, due);
        wakes.helper = !by_helper && seats.wake_helper();
        seats.nudge_task(due, backlog, &mut tables.wakers);
    }
    let wakers = &mut state.tables.wakers;
    match wakers.len() {
        0 => {}
        // The usual case, without an allocation.
        1 => wakes.one = wakers.pop(),
        _ => wakes.more = std::mem::take(wakers),
    }
    wakes
}

impl Wakes {
    fn fire(self, shared: &Shared) {
        self.one.into_iter().chain(self.more).for_each(Waker::wake);
        if self.leader {
            shared.leader_bell.ring();
        }
        if self.helper {
            shared.helper_bell.ring();
        }
    }
}

impl Handle {
    /// Starts the helper of an endpoint.
    ///
    /// # Errors
    ///
    /// No thread could be started.
    pub(crate) fn new(shared: Arc<Shared>) -> io::Result<Arc<Self>> {
        let helper = helper::spawn(Arc::clone(&shared))?;
        let (extensions, helper) = (Extensions::default(), Mutex::new(Some(helper)));
        Ok(Arc::new(Self { shared, extensions, helper }))
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        self.shared.lock()
    }

    /// Closes the endpoint. The helper is waited for (it sleeps, or is in the middle of a turn), so
    /// that it does not hold the UDP port any longer when this returns.
    pub(crate) fn close(&self) {
        self.shared.close();
        let Ok(Some(helper)) = self.helper.lock().map(|mut helper| helper.take()) else { return };
        // A waker called by the helper may have dropped the last user.
        if helper.thread().id() != thread::current().id() {
            let _ = helper.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
