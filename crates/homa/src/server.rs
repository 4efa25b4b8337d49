//! Asynchronous servers.

use std::sync::Arc;
use std::time::Duration;

use crate::awaited::NextRequests;
use crate::request::{Request, StreamRequest};
use crate::requests::ServerIndex;
use crate::shared::Handle;
use crate::wait::wait;

/// A Homa port that serves: a queue of requests that arrived whole.
///
/// Cloning is cheap; any number of tasks may accept, and each request goes to one of them. When the
/// last clone is dropped the port does not serve any more: requests in the queue and new ones are
/// refused, those accepted can still be answered.
#[derive(Clone, Debug)]
pub struct Server {
    service: Arc<Service>,
}

/// A Homa port that serves and hands over requests at their first bytes: see
/// [`Endpoint::serve_streaming`](crate::Endpoint::serve_streaming). Otherwise like [`Server`].
#[derive(Clone, Debug)]
pub struct StreamServer {
    service: Arc<Service>,
}

/// The right to accept a port's requests.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) handle: Arc<Handle>,
    pub(crate) index: ServerIndex,
}

impl Server {
    pub(crate) fn new(handle: Arc<Handle>, index: ServerIndex) -> Self {
        Self { service: Arc::new(Service { handle, index }) }
    }

    /// Waits for the next request; `None` once the endpoint is closed.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future loses no request.
    pub async fn accept(&self) -> Option<Request> {
        let mut next = None;
        self.service.next(1, |handle, accepted| next = Some(Request::new(handle, accepted))).await;
        next
    }

    /// Waits for requests, appends up to `max` of them to `requests`, and returns their number: at
    /// least one unless the endpoint is closed or `max` is 0.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future loses no request: those taken are in `requests`.
    pub async fn accept_batch(&self, requests: &mut Vec<Request>, max: usize) -> usize {
        let each = |handle, accepted| requests.push(Request::new(handle, accepted));
        self.service.next(max, each).await
    }

    /// Waits until all requests to this server's endpoint were answered and the answers have arrived, or
    /// `patience` is over; returns whether they have. New requests are accepted meanwhile, and count.
    ///
    /// For who stops serving, and drops the last handle of the endpoint, by which answers that are under
    /// way are lost. [`Endpoint::shutdown`](crate::Endpoint::shutdown) waits for calls as well, and closes.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future changes nothing.
    pub async fn answered(&self, patience: Duration) -> bool {
        const LOOK_EVERY: Duration = Duration::from_millis(1);
        let answered = async {
            while !self.service.handle.lock().has_answered_all() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(patience, answered).await.is_ok()
    }
}

impl StreamServer {
    pub(crate) fn new(handle: Arc<Handle>, index: ServerIndex) -> Self {
        Self { service: Arc::new(Service { handle, index }) }
    }

    /// Waits for the first bytes of the next request; `None` once the endpoint is closed.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future loses no request.
    pub async fn accept(&self) -> Option<StreamRequest> {
        let mut next = None;
        let each = |handle, accepted| next = Some(StreamRequest::new(handle, &accepted));
        self.service.next(1, each).await;
        next
    }
}

impl Service {
    async fn next(
        &self,
        max: usize,
        mut each: impl FnMut(Arc<Handle>, crate::state::Accepted),
    ) -> usize {
        let each = |accepted| each(Arc::clone(&self.handle), accepted);
        wait(&self.handle, NextRequests::new(self.index, max, each)).await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut locked) = self.handle.shared.lock_to_drop() {
            locked.stop_serving(self.index);
        }
    }
}
