//! Who drives an endpoint: leader and followers, the driver task, and the helper.
//!
//! Handing each packet from a network thread to an application thread would cost a wake-up, ten
//! times as much as the network on loopback. So whoever waits drives:
//!
//! * **Leader and followers.** Of the threads that wait in an endpoint one leads: it takes turns of
//!   the drive loop until what it waits for is there, then makes one of the others the leader and
//!   returns to its user. It polls, yielding the processor between turns, as long as packets come
//!   and for `Config::poll` after; then it sleeps until packets come or a timer is due. The others,
//!   the followers, poll a flag of their own for as long and then sleep; whoever completes what they
//!   wait for wakes them, after releasing the lock.
//! * **The driver task.** An asynchronous endpoint has a task in place of leaders ([`crate::task`]).
//! * **Verbs send.** A call, a reply, a refusal sends its packets from the calling thread. If that
//!   makes a timer due before the sleeping leader or the driver task plans to wake, these are told.
//! * **The helper** ([`crate::helper`]) drives while nobody else does, so that a handler that
//!   computes for long, or a runtime that is blocked, does not keep the endpoint from answering.
//!
//! Every turn is taken with the endpoint's lock held; the lock is never held while asleep
//! (but for at most 50 ms, on a full socket when the endpoint closes and its socket has no room), while a
//! waker is called, or while the application's code runs.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant as StdInstant};

use homa_io::Clock;
use homa_proto::Instant;

use crate::awaited::Awaited;
use crate::shared::{Locked, Shared};
use crate::sync::thread::{self, Thread};
use crate::sync::{AtomicBool, Ordering, thread_local, wait};
use crate::task::Link;

/// Who drives, who would, and who sleeps.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    leader: Leader,
    /// Threads that would lead; the latest comer last.
    followers: Vec<(Ticket, Waker)>,
    next_ticket: Ticket,
    /// The follower that was woken to lead and has not come yet.
    promoted: Option<Ticket>,
    /// Set while the helper sleeps without a glance at the others.
    pub(crate) helper_asleep: bool,
    /// What the driver task waits on; `None` for a blocking endpoint.
    pub(crate) link: Option<Link>,
}

type Ticket = u64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Leader {
    #[default]
    Nobody,
    /// A thread takes turns.
    Awake,
    /// It sleeps, and plans to wake then.
    Asleep { until: Option<Instant> },
}

impl Seats {
    /// If nobody leads, wakes the follower to do so that came last: it is likeliest to be awake.
    pub(crate) fn promote(&mut self, wakers: &mut Vec<Waker>) {
        if self.leader != Leader::Nobody || self.promoted.is_some() {
            return;
        }
        if let Some((ticket, waker)) = self.followers.last() {
            self.promoted = Some(*ticket);
            wakers.push(waker.clone());
        }
    }

    /// Whether somebody may have to be woken because a timer is due earlier than planned.
    pub(crate) fn is_anybody_asleep(&self) -> bool {
        self.helper_asleep || self.link.is_some() || self.is_leader_asleep()
    }

    pub(crate) fn is_leader_there(&self) -> bool {
        self.leader != Leader::Nobody
    }

    pub(crate) fn is_leader_asleep(&self) -> bool {
        matches!(self.leader, Leader::Asleep { .. })
    }

    /// Whether the leader sleeps although there may be something for it (`news`), or a timer is due
    /// before it plans to wake.
    pub(crate) fn must_wake_leader(&self, news: bool, due: Option<Instant>) -> bool {
        match self.leader {
            Leader::Asleep { until } => news || is_before(due, until),
            _ => false,
        }
    }

    /// The helper is to look on again, since others are at work; whether it must be woken for that.
    pub(crate) fn wake_helper(&mut self) -> bool {
        std::mem::take(&mut self.helper_asleep)
    }

    /// Wakes the driver task if a timer is due before its alarm, or packets wait to be sent.
    pub(crate) fn nudge_task(
        &mut self,
        due: Option<Instant>,
        backlog: bool,
        wakers: &mut Vec<Waker>,
    ) {
        if let Some(link) = &mut self.link
            && (backlog || is_before(due, link.alarm_at()))
        {
            wakers.extend(link.take_waker());
        }
    }

    /// Drops what would keep the socket open. The driver task is to be woken, so that it ends.
    #[must_use]
    pub(crate) fn close(&mut self) -> Option<Waker> {
        self.link.take()?.take_waker()
    }

    fn add_follower(&mut self, waker: &Waker) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.followers.push((ticket, waker.clone()));
        ticket
    }

    fn remove_follower(&mut self, ticket: Ticket) {
        self.followers.retain(|(other, _)| *other != ticket);
        if self.promoted == Some(ticket) {
            self.promoted = None;
        }
    }
}

/// Whether `due` comes before `planned`, where nothing planned means never.
fn is_before(due: Option<Instant>, planned: Option<Instant>) -> bool {
    due.is_some_and(|due| planned.is_none_or(|planned| due < planned))
}

impl Shared {
    /// Waits, driving the endpoint or while others do, until `awaited` is there or the `deadline`
    /// has passed (then `None`). `locked` is the lock of this endpoint, held.
    pub(crate) fn wait_on_thread<'a, A: Awaited>(
        &'a self,
        mut locked: Locked<'a>,
        awaited: &mut A,
        deadline: Option<Instant>,
    ) -> Option<A::Output> {
        loop {
            if let Some(output) = awaited.take(&mut locked) {
                return Some(output);
            }
            // First, so that who has no time to wait looks at least once.
            if locked.seats.leader == Leader::Nobody {
                return self.lead(locked, awaited, deadline);
            }
            if is_over(deadline) {
                return None;
            }
            locked = self.follow(locked, awaited, deadline);
        }
    }

    /// Takes turns until `awaited` is there.
    fn lead<'a, A: Awaited>(
        &'a self,
        mut locked: Locked<'a>,
        awaited: &mut A,
        deadline: Option<Instant>,
    ) -> Option<A::Output> {
        locked.seats.leader = Leader::Awake;
        let mut quiet_since = None;
        let output = loop {
            let turn = locked.drive();
            let output = awaited.take(&mut locked);
            let now = locked.now();
            if output.is_some() || deadline.is_some_and(|deadline| deadline <= now) {
                break output;
            }
            if turn.progress || turn.more {
                quiet_since = None;
            }
            let quiet_since = *quiet_since.get_or_insert(now);
            locked = if elapsed(quiet_since, now) < self.poll || turn.more {
                self.yield_unlocked(locked)
            } else {
                self.sleep(locked, deadline)
            };
        };
        locked.seats.leader = Leader::Nobody;
        output
    }

    /// Lets others run, and have the lock.
    fn yield_unlocked<'a>(&'a self, locked: Locked<'a>) -> Locked<'a> {
        drop(locked);
        thread::yield_now();
        self.lock()
    }

    /// Sleeps until packets come, a timer is due, or somebody rings.
    fn sleep<'a>(&'a self, mut locked: Locked<'a>, deadline: Option<Instant>) -> Locked<'a> {
        let until = match (locked.next_due(), deadline) {
            (Some(due), Some(deadline)) => Some(due.min(deadline)),
            (due, deadline) => due.or(deadline),
        };
        let (io, want_room) = locked.sleep_on();
        locked.seats.leader = Leader::Asleep { until };
        // The leader has just looked itself, and waits for room.
        (locked.tables.touched, locked.tables.backlog) = (false, false);
        drop(locked);
        let woken = wait(io, want_room, &self.leader_bell, until.map(time_until));
        if woken.bell {
            self.leader_bell.silence();
        }
        let mut locked = self.lock();
        locked.seats.leader = Leader::Awake;
        locked
    }

    /// Waits while another thread leads, until woken: by whoever completed what is awaited, or to
    /// lead.
    fn follow<'a, A: Awaited>(
        &'a self,
        mut locked: Locked<'a>,
        awaited: &mut A,
        deadline: Option<Instant>,
    ) -> Locked<'a> {
        let parker = Parker::of_this_thread();
        let waker = Waker::from(Arc::clone(&parker));
        parker.reset();
        awaited.enroll(&mut locked, &waker);
        let ticket = locked.seats.add_follower(&waker);
        // Who waits has no more to collect, and the leader may be asleep. What comes of it finds the
        // waker in its place.
        locked.flush_now();
        drop(locked);
        parker.wait(self.poll, deadline);
        let mut locked = self.lock();
        locked.seats.remove_follower(ticket);
        awaited.withdraw(&mut locked);
        locked
    }
}

/// Wakes one thread: by a flag while it polls, by unparking it once it sleeps.
#[derive(Debug)]
struct Parker {
    woken: AtomicBool,
    thread: Thread,
}

impl Parker {
    /// The calling thread's parker, made once per thread.
    fn of_this_thread() -> Arc<Self> {
        thread_local! {
            static PARKER: RefCell<Option<Arc<Parker>>> = const { RefCell::new(None) };
        }
        PARKER.with(|parker| {
            let new = || Arc::new(Self { woken: false.into(), thread: thread::current() });
            Arc::clone(parker.borrow_mut().get_or_insert_with(new))
        })
    }

    /// Forgets wake-ups that were meant for an earlier wait. Before the waker is handed out.
    fn reset(&self) {
        self.woken.store(false, Ordering::Relaxed);
    }

    /// Polls for `poll`, then sleeps, until woken or `deadline` has passed. Only on its own thread.
    fn wait(&self, poll: Duration, deadline: Option<Instant>) {
        let start = StdInstant::now();
        while !self.is_woken() && start.elapsed() < poll {
            thread::yield_now();
        }
        while !self.is_woken() && !is_over(deadline) {
            match deadline {
                Some(deadline) => thread::park_timeout(time_until(deadline)),
                None => thread::park(),
            }
        }
    }

    fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

pub(crate) fn elapsed(since: Instant, now: Instant) -> Duration {
    Duration::from_nanos(now.saturating_since(since).as_nanos())
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Clock::now())
}

pub(crate) fn time_until(instant: Instant) -> Duration {
    elapsed(Clock::now(), instant)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::Addr;
    use crate::CallOptions;
    use crate::awaited::CallDone;
    use crate::calls::Owner;
    use crate::state::State;
    use homa_io::{Driver, MemoryIo};
    use homa_proto::{Config, Endpoint};
    use std::net::SocketAddr;

    /// An endpoint without a helper, and the address of the other end of its wire.
    fn shared() -> (Shared, MemoryIo, Addr) {
        let [here, there] = [1000, 2000].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let (io, other_end) = MemoryIo::pair(here, there, 64).unwrap();
        let endpoint = Endpoint::new(Config::default(), Clock::now()).unwrap();
        let mut driver = Driver::new(endpoint, Box::new(io) as _);
        let client = driver.open_client().unwrap();
        let state = State::new(driver, client);
        let shared = Shared::new(state, Duration::ZERO, Duration::ZERO).unwrap();
        (shared, other_end, Addr::new(there, 7).unwrap())
    }

    #[test]
    fn wait_on_thread__a_follower_sends_what_a_cork_holds_back() {
        let (shared, _other_end, addr) = shared();
        let mut locked = shared.lock();
        locked.turn();
        locked.seats.leader = Leader::Asleep { until: None };
        locked.cork();
        let call = locked.start_call(addr, "x".into(), CallOptions::default(), Owner::Caller);
        assert!(locked.holds_back());
        let deadline = Clock::now() + homa_proto::Duration::from_millis(5);
        let outcome = shared.wait_on_thread(locked, &mut CallDone(call.unwrap()), Some(deadline));
        assert!(outcome.is_none() && !shared.holds_back());
        assert_eq!(shared.lock().stats().drive.packets_sent, 1);
    }
}
