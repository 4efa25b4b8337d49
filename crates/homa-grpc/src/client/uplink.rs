//! The pushes of one stream, on their way to the server.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use homa::{Addr, CallError, Message};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::exchange::Exchange;
use super::overload;
use super::push_room::PushShare;

/// Sends the pushes of a stream.
#[derive(Debug)]
pub(super) struct Uplink {
    exchange: Exchange,
    addr: Addr,
    deadline: Option<Instant>,
    share: PushShare,
    /// Those not answered, by their numbers.
    unanswered: Mutex<BTreeSet<u64>>,
    one_answered: Notify,
}

/// A push is not answered, until this is dropped.
struct Unanswered {
    uplink: Arc<Uplink>,
    number: u64,
}

impl Uplink {
    pub(super) fn new(exchange: Exchange, addr: Addr, deadline: Option<Instant>) -> Self {
        let share = PushShare::new(Arc::clone(&exchange.shared.push_room));
        let (unanswered, one_answered) = (Mutex::default(), Notify::new());
        Self { exchange, addr, deadline, share, unanswered, one_answered }
    }

    /// Sends a push, once there is room for it among those that no handler has taken; and again, if the
    /// server turns it away for want of room, when it is the first of those that were not answered: one
    /// behind it would but keep it out.
    pub(super) fn push(
        self: &Arc<Self>,
        number: u64,
        message: Message,
    ) -> impl Future<Output = Result<Message, CallError>> + Send + use<> {
        let unanswered = Unanswered::new(self, number);
        async move {
            let uplink = &unanswered.uplink;
            let Uplink { exchange, addr, deadline, .. } = &**uplink;
            let _held = uplink.share.hold(message.len()).await;
            let mut attempt = 0;
            loop {
                let sent = exchange.begin(*addr, message.clone(), *deadline).await;
                if !matches!(sent, Err(CallError::Overloaded { .. })) {
                    return sent;
                }
                let later = Instant::now() + overload::backoff(attempt);
                uplink.until_first(number).await;
                tokio::time::sleep_until(later).await;
                attempt += 1;
            }
        }
    }

    async fn until_first(&self, number: u64) {
        loop {
            let one_answered = self.one_answered.notified();
            if self.unanswered().first().is_none_or(|first| *first >= number) {
                return;
            }
            one_answered.await;
        }
    }

    fn unanswered(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unanswered {
    fn new(uplink: &Arc<Uplink>, number: u64) -> Self {
        uplink.unanswered().insert(number);
        Self { uplink: Arc::clone(uplink), number }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.uplink.unanswered().remove(&self.number);
        self.uplink.one_answered.notify_waiters();
    }
}
