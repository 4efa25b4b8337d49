//! A server that is a task, with a task for each request.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::homa::Message;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::reactor::Reactor;
use crate::transport::echo::echo;
use crate::transport::{LoadServer, Served};

/// Answers requests of any number of clients.
#[derive(Debug)]
pub(crate) struct TaskServer {
    pub(super) address: String,
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) tally: Arc<Tally>,
    /// Accepts connections; ends only if that is impossible.
    pub(super) accepting: JoinHandle<()>,
    /// Dropped last: the others belong to it.
    pub(super) reactor: Reactor,
}

/// What was done since it was last asked for.
#[derive(Debug, Default)]
pub(super) struct Tally {
    requests: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    errors: AtomicU64,
    changed: Notify,
}

impl Tally {
    /// The answer to a request, which is counted.
    pub(super) fn answer(&self, request: Message) -> Message {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes_in.fetch_add(request.len() as u64, Ordering::Relaxed);
        let response = echo(request);
        self.bytes_out.fetch_add(response.len() as u64, Ordering::Relaxed);
        self.changed.notify_one();
        response
    }

    /// Counts a request that could not be received or answered.
    pub(super) fn fail(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    fn move_to(&self, served: &mut Served) {
        served.requests += self.requests.swap(0, Ordering::Relaxed);
        served.bytes_in += self.bytes_in.swap(0, Ordering::Relaxed);
        served.bytes_out += self.bytes_out.swap(0, Ordering::Relaxed);
        served.errors += self.errors.swap(0, Ordering::Relaxed);
    }
}

impl LoadServer for TaskServer {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    fn serve(&mut self, timeout: Duration, served: &mut Served) -> io::Result<()> {
        self.reactor.run(timeout, self.tally.changed.notified());
        self.tally.move_to(served);
        if self.accepting.is_finished() {
            return Err(io::Error::other("connections can't be accepted any more"));
        }
        Ok(())
    }
}
