//! What waits for a server that is too busy.

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
/// And at most, should none of this channel's calls end meanwhile: others have its room.
const PAUSE_MAX: Duration = Duration::from_millis(640);

impl Overload {
    /// Waits before another attempt, the how manieth of which is `attempt`, from 0; until `deadline` at most.
    pub(super) async fn pause(&self, attempt: u32, deadline: Option<Instant>) {
        let pause = PAUSE.saturating_mul(1 << attempt.min(16)).min(PAUSE_MAX);
        let later = Instant::now() + pause;
        let _waiting = Waiting::new(&self.waiting);
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

/// Counts as waiting until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
