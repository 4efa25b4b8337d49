//! Queues on which tasks and threads wait.

use std::collections::VecDeque;
use std::task::Waker;

/// A first-in, first-out queue and those who wait for its entries.
///
/// Nobody is woken by [`push`](Self::push) itself: [`wake`](Self::wake) is called before the lock is
/// released, when the thread that drives has taken what it wants for itself.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    entries: VecDeque<T>,
    waiting: Vec<(Ticket, Waker)>,
    next_ticket: Ticket,
    /// Wake-ups owed: one for each new entry, and one for each woken waiter that took none.
    owed: usize,
}

/// Names one waiter in a queue.
type Ticket = u64;

/// Somebody's place among the waiters of a queue, or none.
#[derive(Debug, Default)]
pub(crate) struct Place(Option<Ticket>);

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { entries: VecDeque::new(), waiting: Vec::new(), next_ticket: 0, owed: 0 }
    }

    pub(crate) fn push(&mut self, entry: T) {
        self.entries.push_back(entry);
        self.owed += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.entries.pop_front()
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.entries.retain(keep);
    }

    /// Waits for an entry, or goes on waiting with another waker.
    pub(crate) fn enter(&mut self, place: &mut Place, waker: &Waker) {
        let found = self.waiting.iter_mut().rfind(|(ticket, _)| Some(*ticket) == place.0);
        if let Some((_, known)) = found {
            known.clone_from(waker);
            return;
        }
        place.0 = Some(self.next_ticket);
        self.waiting.push((self.next_ticket, waker.clone()));
        self.next_ticket += 1;
    }

    /// Waits no longer. Unless an entry was `served`, a wake-up that came already is passed on.
    pub(crate) fn leave(&mut self, place: &mut Place, served: bool) {
        let Some(mine) = place.0.take() else { return };
        match self.waiting.iter().rposition(|(ticket, _)| *ticket == mine) {
            Some(index) => drop(self.waiting.remove(index)),
            None if !served => self.owed += 1,
            None => {}
        }
    }

    /// Moves the wakers of those who are to look into `wakers`: as many as there are entries that
    /// nobody was woken for. The latest comer is first: it is the likeliest to be awake still.
    pub(crate) fn wake(&mut self, wakers: &mut Vec<Waker>) {
        for _ in 0..self.owed.min(self.entries.len()) {
            let Some((_, waker)) = self.waiting.pop() else { break };
            wakers.push(waker);
        }
        self.owed = 0;
    }

    /// Wakes everybody, for there will be no more entries.
    pub(crate) fn wake_all(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(self.waiting.drain(..).map(|(_, waker)| waker));
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn woken(&self) -> u32 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn waiter(queue: &mut Queue<u32>) -> (Arc<Count>, Place) {
        let (count, mut place) = (Arc::new(Count::default()), Place::default());
        queue.enter(&mut place, &Waker::from(Arc::clone(&count)));
        (count, place)
    }

    fn wake(queue: &mut Queue<u32>) {
        let mut wakers = Vec::new();
        queue.wake(&mut wakers);
        wakers.into_iter().for_each(Waker::wake);
    }

    #[test]
    fn wake__one_waiter_per_new_entry() {
        let mut queue = Queue::new();
        let waiters: Vec<_> = (0..3).map(|_| waiter(&mut queue)).collect();
        queue.push(1);
        queue.push(2);
        wake(&mut queue);
        wake(&mut queue);
        let woken: Vec<_> = waiters.iter().map(|(count, _)| count.woken()).collect();
        assert_eq!(woken, [0, 1, 1]);
    }

    #[test]
    fn wake__nobody_for_an_entry_that_was_taken_meanwhile() {
        let mut queue = Queue::new();
        let (count, _place) = waiter(&mut queue);
        queue.push(1);
        assert_eq!(queue.pop(), Some(1));
        wake(&mut queue);
        assert_eq!(count.woken(), 0);
    }

    #[test]
    fn leave__passes_an_unused_wake_up_on() {
        let mut queue = Queue::new();
        let (first, _first_place) = waiter(&mut queue);
        let (second, mut second_place) = waiter(&mut queue);
        queue.push(1);
        wake(&mut queue);
        assert_eq!((first.woken(), second.woken()), (0, 1));
        queue.leave(&mut second_place, false);
        wake(&mut queue);
        assert_eq!(first.woken(), 1);
    }

    #[test]
    fn leave__without_a_wake_up_wakes_nobody() {
        let mut queue = Queue::new();
        let (first, _first_place) = waiter(&mut queue);
        let (_second, mut second_place) = waiter(&mut queue);
        queue.leave(&mut second_place, false);
        queue.leave(&mut second_place, false);
        queue.push(1);
        wake(&mut queue);
        assert_eq!(first.woken(), 1);
    }

    #[test]
    fn enter__again_replaces_the_waker_and_keeps_the_place() {
        let mut queue = Queue::new();
        let (old, mut place) = waiter(&mut queue);
        let new = Arc::new(Count::default());
        queue.enter(&mut place, &Waker::from(Arc::clone(&new)));
        queue.push(1);
        wake(&mut queue);
        assert_eq!((old.woken(), new.woken()), (0, 1));
    }
}
