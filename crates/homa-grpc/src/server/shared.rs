//! What the calls of a server have in common.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;
use tonic::Status;

use super::config::ServerConfig;
use super::peers::Peers;
use super::streams::{Entered, Streams};
use crate::held::Holding;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: ServerConfig,
    pub(super) streams: Arc<Streams>,
    pub(super) peers: Arc<Peers>,
    /// Of responses, read from their handlers before their clients asked.
    pub(super) ahead: Holding,
    /// Whose turn it is, if not all handlers may run at once.
    pub(super) turns: Option<Semaphore>,
    /// New calls are refused.
    is_draining: AtomicBool,
    /// Calls that are not over.
    calls: AtomicUsize,
    /// The last of them is over.
    idle: Notify,
    /// True once calls may not go on.
    pub(super) stop: watch::Sender<bool>,
}

impl Shared {
    pub(super) fn new(config: ServerConfig) -> Self {
        let turns = |turns: usize| Semaphore::new(turns.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            streams: Arc::default(),
            peers: Arc::new(Peers::new(&config)),
            ahead: Holding::new(config.ahead_bytes_max),
            turns: config.concurrency.map(turns),
            is_draining: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            idle: Notify::new(),
            stop: watch::Sender::new(false),
            config,
        }
    }

    pub(super) fn message_bytes_max(&self) -> usize {
        self.config.message_bytes_max.max(crate::MESSAGE_BYTES_MIN) as usize
    }

    /// Counts a call, unless no new ones are accepted.
    pub(super) fn begin_call(self: &Arc<Self>) -> Option<Active> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let active = Active { shared: Arc::clone(self) };
        // Read behind the count: `drained` writes it, then reads the count.
        (!self.is_draining.load(Ordering::SeqCst)).then_some(active)
    }

    /// Enters a stream of a client.
    ///
    /// # Errors
    ///
    /// See [`Streams::enter`].
    pub(super) fn enter_stream(&self, peer: SocketAddr, id: u64) -> Result<Entered, Status> {
        self.streams.enter(self.peers.get(peer), id, self.config.streams_max)
    }

    /// Lets no new calls begin, and waits until those that have begun are over, or for as long as the
    /// configuration says; then the rest is cut short. And until their answers have arrived.
    pub(super) async fn drained(&self, server: &homa::Server) {
        // What is cut short has but to tell its client.
        const LAST_WORDS: Duration = Duration::from_secs(1);
        let deadline = Instant::now() + self.config.shutdown_patience;
        self.is_draining.store(true, Ordering::SeqCst);
        if tokio::time::timeout_at(deadline, self.idle()).await.is_err() {
            self.stop.send_replace(true);
            let _ = tokio::time::timeout(LAST_WORDS, self.idle()).await;
        }
        let rest = deadline.saturating_duration_since(Instant::now());
        server.answered(rest.max(LAST_WORDS)).await;
    }

    async fn idle(&self) {
        loop {
            let notified = self.idle.notified();
            if self.calls.load(Ordering::SeqCst) == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Waits until calls may not go on.
    pub(super) async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        // The sender lives as long as `self`.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

/// A call that is not over.
pub(super) struct Active {
    pub(super) shared: Arc<Shared>,
}

impl Drop for Active {
    fn drop(&mut self) {
        if self.shared.calls.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.shared.idle.notify_waiters();
        }
    }
}
