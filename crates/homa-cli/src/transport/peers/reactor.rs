//! A tokio runtime on the calling thread, which waits in the way that all transports do.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, EnterGuard, Runtime};

use crate::transport::Regime;

/// Timers are due in whole milliseconds, and late rather than early: so much before the end, sleeping
/// ends and polling begins.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// A round through all tasks that took less has found nothing to do but to ask for input. (tokio does not
/// tell; to receive or send a packet takes longer.)
const IDLE_ROUND: Duration = Duration::from_nanos(1500);

/// Runs tasks while it is waited in, and only then.
#[derive(Debug)]
pub(crate) struct Reactor {
    runtime: Runtime,
    regime: Regime,
}

impl Reactor {
    pub(crate) fn new(regime: Regime) -> io::Result<Self> {
        Ok(Self { runtime: Builder::new_current_thread().enable_all().build()?, regime })
    }

    /// What is made while the guard lives belongs to this reactor.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Runs all tasks until `work` is done, for `timeout` at most; `None` if it was not done then.
    pub(crate) fn run<T>(&self, timeout: Duration, work: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async {
            // A task of its own takes its turn behind those that have something to do.
            let mut waiting = tokio::spawn(wait(self.regime, timeout));
            let done = tokio::select! {
                biased;
                done = work => Some(done),
                _ = &mut waiting => None,
            };
            waiting.abort();
            done
        })
    }
}

/// Is over after `timeout`. Keeps the thread from sleeping as long as it is to poll.
async fn wait(regime: Regime, timeout: Duration) {
    let begin = Instant::now();
    let end = begin + timeout;
    poll_until(end.min(begin + regime.poll)).await;
    let left = end.saturating_duration_since(Instant::now());
    if let Some(sleep) = left.checked_sub(TIMER_SLACK) {
        tokio::time::sleep(sleep).await;
    }
    poll_until(end).await;
}

/// Lets other tasks and input be looked at again and again; and other processes run, as over TCP, after
/// rounds in which there was nothing to do.
async fn poll_until(end: Instant) {
    let mut now = Instant::now();
    while now < end {
        tokio::task::yield_now().await;
        let begin = std::mem::replace(&mut now, Instant::now());
        if now - begin < IDLE_ROUND {
            std::thread::yield_now();
            now = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn reactor(poll: Duration) -> Reactor {
        Reactor::new(Regime { poll }).unwrap()
    }

    #[test]
    fn run__ends_with_the_work_or_in_time() {
        for poll in [Duration::ZERO, Duration::from_micros(50), Duration::from_secs(1)] {
            let reactor = reactor(poll);
            assert_eq!(reactor.run(Duration::from_secs(60), async { 7 }), Some(7));
            for timeout in [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(20)] {
                let begin = Instant::now();
                assert_eq!(reactor.run(timeout, std::future::pending::<()>()), None);
                let took = begin.elapsed();
                assert!(took >= timeout && took < Duration::from_secs(5), "{took:?}");
            }
        }
    }

    /// A task that needs input and timers gets them while the thread polls and while it sleeps.
    #[test]
    fn run__tasks_go_on_while_it_waits() {
        for poll in [Duration::ZERO, Duration::from_secs(1)] {
            let reactor = reactor(poll);
            let task = {
                let _inside = reactor.enter();
                tokio::spawn(tokio::time::sleep(Duration::from_millis(5)))
            };
            assert!(reactor.run(Duration::from_secs(20), task).is_some());
        }
    }
}
