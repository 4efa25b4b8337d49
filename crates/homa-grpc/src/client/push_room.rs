//! How much of streaming requests may be under way from an endpoint, for other calls to have room there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use homa::Endpoint;
use homa::proto::Resource;
use tokio::sync::Notify;

/// What pushes of all streams of an endpoint hold until servers have taken them.
#[derive(Debug)]
pub(super) struct PushRoom {
    max: usize,
    used: Mutex<usize>,
    freed: Notify,
}

/// What one stream has of it.
#[derive(Debug)]
pub(super) struct PushShare {
    room: Arc<PushRoom>,
    /// Used only while `used` is locked.
    own: AtomicUsize,
    /// Pushes of a stream get their room in order.
    turn: tokio::sync::Mutex<()>,
}

/// The bytes of one push, until it is dropped.
#[derive(Debug)]
pub(super) struct PushHeld<'a> {
    share: &'a PushShare,
    bytes: usize,
}

impl PushRoom {
    /// That of an endpoint: a third of what it may have sent and not delivered.
    pub(super) fn of(endpoint: &Endpoint) -> Arc<Self> {
        endpoint.extension(|| {
            let account = endpoint.accounts().endpoint.get(Resource::OutgoingBytes);
            // Of a closed endpoint it does not matter.
            let limit = account.and_then(|account| account.limit).unwrap_or(0);
            Self::new(usize::try_from(limit / 3).unwrap_or(usize::MAX))
        })
    }

    fn new(max: usize) -> Self {
        Self { max, used: Mutex::new(0), freed: Notify::new() }
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    fn used(&self) -> MutexGuard<'_, usize> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PushShare {
    pub(super) fn new(room: Arc<PushRoom>) -> Self {
        Self { room, own: AtomicUsize::new(0), turn: tokio::sync::Mutex::new(()) }
    }

    /// Waits until there is room for so many bytes. A stream may have as much as is free for others then, so
    /// none keeps them all out. First pushes may have as much again, by the same rule.
    pub(super) async fn hold(&self, bytes: usize) -> PushHeld<'_> {
        let _turn = self.turn.lock().await;
        loop {
            let freed = self.room.freed.notified();
            if self.try_hold(bytes) {
                return PushHeld { share: self, bytes };
            }
            freed.await;
        }
    }

    fn try_hold(&self, bytes: usize) -> bool {
        let mut used = self.room.used();
        let own = self.own.load(Ordering::Relaxed);
        let after = used.saturating_add(bytes);
        let free = |max: usize| max.saturating_sub(after);
        let is_fair = own.saturating_add(bytes) <= free(self.room.max);
        let is_first = own == 0 && bytes <= free(self.room.max.saturating_mul(2));
        let has_room = is_fair || is_first || *used == 0;
        if has_room {
            *used = after;
            self.own.store(own + bytes, Ordering::Relaxed);
        }
        has_room
    }
}

impl Drop for PushHeld<'_> {
    fn drop(&mut self) {
        let mut used = self.share.room.used();
        self.share.own.fetch_sub(self.bytes, Ordering::Relaxed);
        *used -= self.bytes;
        drop(used);
        self.share.room.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn hold__one_stream_leaves_room_for_others() {
        let room = Arc::new(PushRoom::new(100));
        let [one, other, third] = [(); 3].map(|()| PushShare::new(Arc::clone(&room)));
        let held: Vec<_> = std::iter::from_fn(|| one.hold(10).now_or_never()).collect();
        assert_eq!(held.len(), 5);
        let more: Vec<_> = std::iter::from_fn(|| other.hold(10).now_or_never()).collect();
        assert_eq!(more.len(), 2);
        // However little is left, one push goes, if it leaves room for another.
        assert!(third.hold(66).now_or_never().is_none());
        let first = third.hold(65).now_or_never();
        assert!(first.is_some() && third.hold(1).now_or_never().is_none());
        drop((held, more, first));
        assert_eq!(*room.used(), 0);
        assert!(one.hold(1000).now_or_never().is_some());
    }

    #[tokio::test]
    async fn hold__waits_until_there_is_room_and_in_order() {
        let room = Arc::new(PushRoom::new(100));
        let share = Arc::new(PushShare::new(room));
        let first = share.hold(50).await;
        let waiting = Arc::clone(&share);
        let long = tokio::spawn(async move { drop(waiting.hold(40).await) });
        tokio::task::yield_now().await;
        assert!(share.hold(1).now_or_never().is_none(), "the one before it waits");
        assert!(!long.is_finished());
        drop(first);
        long.await.unwrap();
    }
}
