//! Blocking servers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use homa_io::Message;
use homa_wire::RefuseReason;

use crate::awaited::NextRequests;
use crate::error::{ReadError, ReplyError};
use crate::request::{self, Request};
use crate::requests::ServerIndex;
use crate::server::Service;
use crate::shared::Handle;

/// The blocking twin of [`crate::Server`]: a queue of requests that arrived whole.
///
/// Cloning is cheap; any number of threads may accept, and each request goes to one of them.
#[derive(Clone, Debug)]
pub struct Server {
    service: Arc<Service>,
}

/// The blocking twin of [`crate::StreamServer`]: requests are accepted at their first bytes.
#[derive(Clone, Debug)]
pub struct StreamServer {
    service: Arc<Service>,
}

/// The blocking twin of [`crate::StreamRequest`]: a request that is read while it arrives.
#[derive(Debug)]
pub struct StreamRequest {
    request: request::StreamRequest,
}

impl Server {
    pub(crate) fn new(handle: Arc<Handle>, index: ServerIndex) -> Self {
        Self { service: Arc::new(Service { handle, index }) }
    }

    /// Waits for the next request; `None` once the endpoint is closed.
    #[must_use]
    pub fn accept(&self) -> Option<Request> {
        self.accept_within(None)
    }

    /// Waits for the next request until `timeout` is over; `None` then, or once the endpoint is
    /// closed.
    #[must_use]
    pub fn accept_timeout(&self, timeout: Duration) -> Option<Request> {
        self.accept_within(Some(timeout))
    }

    /// Waits for requests, appends up to `max` of them to `requests`, and returns their number: 0
    /// when `timeout` is over or the endpoint is closed.
    pub fn accept_batch(
        &self,
        requests: &mut Vec<Request>,
        max: usize,
        timeout: Option<Duration>,
    ) -> usize {
        let handle = &self.service.handle;
        let each = |accepted| requests.push(Request::new(Arc::clone(handle), accepted));
        let mut next = NextRequests::new(self.service.index, max, each);
        handle.wait(&mut next, timeout).unwrap_or(0)
    }

    fn accept_within(&self, timeout: Option<Duration>) -> Option<Request> {
        let handle = &self.service.handle;
        let mut request = None;
        let each = |accepted| request = Some(Request::new(Arc::clone(handle), accepted));
        handle.wait(&mut NextRequests::new(self.service.index, 1, each), timeout);
        request
    }
}

impl StreamServer {
    pub(crate) fn new(handle: Arc<Handle>, index: ServerIndex) -> Self {
        Self { service: Arc::new(Service { handle, index }) }
    }

    /// Waits for the first bytes of the next request; `None` once the endpoint is closed.
    #[must_use]
    pub fn accept(&self) -> Option<StreamRequest> {
        let handle = &self.service.handle;
        let mut accepted = None;
        let mut next = NextRequests::new(self.service.index, 1, |next| accepted = Some(next));
        handle.wait(&mut next, None);
        let request = request::StreamRequest::new(Arc::clone(handle), &accepted?);
        Some(StreamRequest { request })
    }
}

impl StreamRequest {
    /// The client's endpoint: IP address and UDP port.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.request.peer()
    }

    /// Length of the whole request in bytes, of which some may not have arrived.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a request has at least one byte")]
    pub fn len(&self) -> usize {
        self.request.len()
    }

    /// Waits for the next bytes of the request, in order; `None` at its end.
    ///
    /// # Errors
    ///
    /// The client gave the call up before all had arrived.
    pub fn read(&mut self) -> Result<Option<Message>, ReadError> {
        self.request.read_on_thread()
    }

    /// Waits for all bytes that were not read yet.
    ///
    /// # Errors
    ///
    /// The client gave the call up before all had arrived.
    pub fn read_to_end(&mut self) -> Result<Message, ReadError> {
        self.request.read_to_end_on_thread()
    }

    /// Answers the request, which must have arrived whole; bytes not read are dropped.
    ///
    /// # Errors
    ///
    /// See [`ReplyError`]. The request stays answerable, unless its client is gone.
    pub fn reply(&mut self, message: impl Into<Message>) -> Result<(), ReplyError> {
        self.request.reply(message)
    }

    /// Like [`StreamRequest::reply`], but waits while this endpoint has no room for the reply, as long
    /// as the client does.
    ///
    /// # Errors
    ///
    /// See [`ReplyError`]. The request stays answerable, unless its client is gone.
    pub fn reply_when_room(&mut self, message: impl Into<Message>) -> Result<(), ReplyError> {
        self.request.reply_when_room_on_thread(message.into())
    }

    /// Refuses the request, arrived or not; its client learns the reason at once.
    pub fn refuse(self, reason: RefuseReason) {
        self.request.refuse(reason);
    }

    /// Whether nobody waits for the answer any more, see [`Request::is_cancelled`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.request.is_cancelled()
    }
}
