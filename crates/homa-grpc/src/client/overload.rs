//! What waits for a server that is too busy.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Calls that the server has turned away. Each that ends, of the same channel, lets one of them try again:
/// so there are about as many under way as the server has room for.
#[derive(Debug, Default)]
pub(super) struct Overload {
    waiting: AtomicUsize,
    one_ended: Notify,
}

/// How long a server that is too busy is left alone, at first.
pub(super) const PAUSE: Duration = Duration::from_millis(20);
/// And later, while it is.
const PAUSE_MAX: Duration = Duration::from_millis(640);
/// Between two calls of those that wait, if none ends meanwhile, for others have the server's room.
const SPACING: Duration = Duration::from_millis(10);

impl Overload {
    /// Waits before another attempt, the how manieth of which is `attempt`, from 0; until `deadline` at most.
    pub(super) async fn pause(&self, attempt: u32, deadline: Option<Instant>) {
        let waiting = Waiting::new(&self.waiting);
        let spaced = SPACING.saturating_mul(u32::try_from(waiting.place).unwrap_or(u32::MAX));
        let later = Instant::now() + jittered(growing(attempt).max(spaced));
        let until = deadline.map_or(later, |deadline| deadline.min(later));
        // Either is a reason to go on.
        let _ = tokio::time::timeout_at(until, self.one_ended.notified()).await;
    }

    /// A call has ended, or was taken as a stream.
    pub(super) fn one_ended(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.one_ended.notify_one();
        }
    }
}

/// How long to leave a busy server alone for, which has turned something away so often before, give or take
/// a half, so that not all come back at once.
pub(super) fn backoff(attempt: u32) -> Duration {
    jittered(growing(attempt))
}

fn growing(attempt: u32) -> Duration {
    PAUSE.saturating_mul(1 << attempt.min(16)).min(PAUSE_MAX)
}

fn jittered(pause: Duration) -> Duration {
    // Keyed anew each time.
    let random = RandomState::new().build_hasher().finish() % 1024;
    pause / 2 + pause.mul_f64(random as f64 / 1024.0)
}

/// Counts as waiting until it is dropped.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    place: usize,
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        let place = count.fetch_add(1, Ordering::Relaxed) + 1;
        Self { count, place }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn backoff__grows_up_to_a_limit_and_differs() {
        for (attempt, millis) in [(0, 20), (1, 40), (5, 640), (6, 640), (u32::MAX, 640)] {
            let middle = Duration::from_millis(millis);
            let pauses: Vec<_> = (0..20).map(|_| backoff(attempt)).collect();
            assert!(pauses.iter().all(|pause| (middle / 2..middle * 3 / 2).contains(pause)));
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
    }

    /// However many wait, and for however long, they do not ask a busy server more often.
    #[tokio::test]
    async fn pause__of_many_is_spaced() {
        let overload = std::sync::Arc::new(Overload::default());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..500 {
            let overload = std::sync::Arc::clone(&overload);
            tasks.spawn(async move { overload.pause(0, None).await });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = overload.waiting.load(Ordering::Relaxed);
        assert!((300..480).contains(&before), "{before}");
        // Each that ends is a place for one.
        for _ in 0..100 {
            overload.one_ended();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let after = overload.waiting.load(Ordering::Relaxed);
        assert!((before - 130..=before - 100).contains(&after), "{before} {after}");
    }
}
