//! All streams of a server.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tonic::Status;

use super::peers::Peer;
use super::stream::{Stream, gone};
use crate::held::Held;

/// The streams, by their clients and the names that these gave them.
#[derive(Debug, Default)]
pub(super) struct Streams {
    table: Mutex<Table>,
}

/// A stream in the table, until this is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) stream: Arc<Stream>,
    streams: Arc<Streams>,
    key: Key,
    _of_peer: Held,
    /// Why the stream ends, if not as it should.
    fault: Option<Status>,
}

type Key = (SocketAddr, u64);

#[derive(Debug, Default)]
struct Table {
    streams: HashMap<Key, Arc<Stream>>,
    /// Why streams ended that did not end as they should, for clients that had not asked then. The
    /// latest come last.
    faults: VecDeque<(Key, Status)>,
}

/// Faults that are remembered.
const FAULTS_MAX: usize = 1024;
/// Characters of the text of one.
const FAULT_TEXT_MAX: usize = 256;

impl Streams {
    /// Enters a new stream.
    ///
    /// # Errors
    ///
    /// There are too many, or the client has one of that name.
    pub(super) fn enter(
        self: &Arc<Self>,
        peer: Arc<Peer>,
        id: u64,
        streams_max: usize,
    ) -> Result<Entered, Status> {
        let mut table = self.lock();
        if table.streams.len() >= streams_max {
            let why = format!("the server has {streams_max} streams, its `streams_max`");
            return Err(Status::resource_exhausted(why));
        }
        let key = (peer.addr, id);
        let Entry::Vacant(vacant) = table.streams.entry(key) else {
            return Err(Status::internal("the client has a stream of that name already"));
        };
        let Ok(of_peer) = peer.streams.hold(1) else {
            let why =
                "this client has as many streams as `streams_per_peer_max` of the server allows";
            return Err(Status::resource_exhausted(why));
        };
        let stream = Arc::clone(vacant.insert(Arc::new(Stream::new(peer))));
        // Should the handler panic, this is what remains to be said.
        let fault = Some(Status::internal("the server gave the stream up"));
        Ok(Entered { stream, streams: Arc::clone(self), key, _of_peer: of_peer, fault })
    }

    pub(super) fn find(&self, peer: SocketAddr, id: u64) -> Option<Arc<Stream>> {
        self.lock().streams.get(&(peer, id)).cloned()
    }

    /// Why there is no such stream.
    pub(super) fn why_gone(&self, peer: SocketAddr, id: u64) -> Status {
        let table = self.lock();
        let mut latest_first = table.faults.iter().rev();
        let found = latest_first.find(|(key, _)| *key == (peer, id));
        found.map_or_else(gone, |(_, status)| status.clone())
    }

    /// Looks after all streams again and again; never ends.
    pub(super) async fn sweep(&self, idle_max: Duration, pull_hold: Duration) {
        const SHORTEST: Duration = Duration::from_millis(20);
        const LONGEST: Duration = Duration::from_secs(5);
        let interval = (idle_max.min(pull_hold) / 4).clamp(SHORTEST, LONGEST);
        loop {
            tokio::time::sleep(interval).await;
            let all: Vec<_> = self.lock().streams.values().cloned().collect();
            for (index, stream) in all.into_iter().enumerate() {
                stream.sweep(Instant::now(), idle_max, pull_hold);
                if index % 64 == 63 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remember(&mut self, key: Key, fault: &Status) {
        if self.faults.len() >= FAULTS_MAX {
            self.faults.pop_front();
        }
        let text: String = fault.message().chars().take(FAULT_TEXT_MAX).collect();
        self.faults.push_back((key, Status::new(fault.code(), text)));
    }
}

impl Entered {
    /// The stream ends as it should, or with a status that the client is told where it waits.
    pub(super) fn end(mut self, fault: Option<Status>) {
        self.fault = fault;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut table = self.streams.lock();
        table.streams.remove(&self.key);
        if let Some(fault) = &self.fault {
            table.remember(self.key, fault);
        }
        drop(table);
        self.stream.end(self.fault.as_ref());
    }
}
