//! The blocking endpoint.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use homa_io::{Clock, Message};

use super::server::{Server, StreamServer};
use crate::addr::{Addr, Target, ToAddr};
use crate::awaited::{CallDone, Idle, Outcomes, Started};
use crate::calls::{CallId, Owner};
use crate::config::{CallOptions, Config, WhenFull, to_proto};
use crate::endpoint::Cork;
use crate::error::{BindError, CallError, ReplyError};
use crate::request::Request;
use crate::setup;
use crate::shared::{Handle, Locked};
use crate::stats::{Accounts, Stats};

/// The blocking twin of [`crate::Endpoint`]: a UDP socket that speaks Homa.
///
/// Cloning is cheap and gives another handle to the same endpoint. The endpoint closes when the last
/// of its handles, servers and requests is dropped. A thread of its own drives it while no thread
/// waits in it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    handle: Arc<Handle>,
}

impl Endpoint {
    /// Opens an endpoint at a UDP address, such as `"0.0.0.0:4000"` or `"[::]:4000"` (which serves
    /// IPv4 as well); port 0 takes a free port.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn bind(addr: impl ToSocketAddrs, config: Config) -> Result<Self, BindError> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for addr in addr.to_socket_addrs().map_err(BindError::Resolve)? {
            match setup::open(addr, &config) {
                Ok(handle) => return Ok(Self { handle }),
                Err(BindError::Io(error)) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(BindError::Io(last))
    }

    /// Opens an endpoint that only makes calls, at a free UDP port of all addresses.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn client(config: Config) -> Result<Self, BindError> {
        Self::bind(&setup::CLIENT_ADDRS[..], config)
    }

    /// Sends a request and waits for the response, for 10 seconds at the longest
    /// (`proto.timing.call_deadline`). Should this endpoint have no room for it, it fails or waits,
    /// as [`Config::when_full`] says.
    ///
    /// `addr` is best an [`Addr`], resolved once; text may name a host, and the time that resolving
    /// it takes is not part of the call's deadline. The request and the
    /// response are 1 to `proto.message_length_max` bytes long.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub fn call(
        &self,
        addr: impl ToAddr,
        request: impl Into<Message>,
    ) -> Result<Message, CallError> {
        self.call_with(addr, request, CallOptions::default())
    }

    /// Like [`Endpoint::call`], with a deadline or a priority of its own.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub fn call_with(
        &self,
        addr: impl ToAddr,
        request: impl Into<Message>,
        options: CallOptions,
    ) -> Result<Message, CallError> {
        let (locked, id) = self.start(addr, request.into(), options, Owner::Caller)?;
        let outcome = self.handle.shared.wait_on_thread(locked, &mut CallDone(id), None);
        outcome.unwrap_or(Err(CallError::ShutDown))
    }

    /// Sends a request without waiting for the response, which [`Endpoint::recv`] gives, nor for room
    /// ([`Endpoint::send_when_room`] does).
    ///
    /// # Errors
    ///
    /// See [`CallError`]; nothing was sent then and no outcome follows. Otherwise exactly one
    /// outcome follows.
    pub fn send(
        &self,
        addr: impl ToAddr,
        request: impl Into<Message>,
    ) -> Result<CallId, CallError> {
        self.send_with(addr, request, CallOptions::default())
    }

    /// Like [`Endpoint::send`], with a deadline or a priority of its own.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub fn send_with(
        &self,
        addr: impl ToAddr,
        request: impl Into<Message>,
        options: CallOptions,
    ) -> Result<CallId, CallError> {
        let options = options.when_full(WhenFull::Reject);
        self.start(addr, request.into(), options, Owner::Queue).map(|(_, id)| id)
    }

    /// Like [`Endpoint::send_with`], but waits if this endpoint has no room for the call, as
    /// [`WhenFull::Wait`] says, until the call's deadline at the longest. Room may take that others
    /// receive outcomes meanwhile.
    ///
    /// # Errors
    ///
    /// See [`CallError`]; nothing was sent then and no outcome follows.
    pub fn send_when_room(
        &self,
        addr: impl ToAddr,
        request: impl Into<Message>,
        options: CallOptions,
    ) -> Result<CallId, CallError> {
        let options = options.when_full(WhenFull::Wait);
        let (locked, id) = self.start(addr, request.into(), options, Owner::Starter)?;
        let started = self.handle.shared.wait_on_thread(locked, &mut Started(id), None);
        started.unwrap_or(Err(CallError::ShutDown))
    }

    /// Waits for the next outcome of the calls started with [`Endpoint::send`], in order of
    /// completion. `None` when `timeout` is over (without one it never is), or once the endpoint is
    /// closed and all outcomes are received. With a `timeout` of zero it looks once.
    pub fn recv(&self, timeout: Option<Duration>) -> Option<(CallId, Result<Message, CallError>)> {
        let mut received = None;
        let mut next = Outcomes::new(1, |id, outcome| received = Some((id, outcome)));
        self.handle.wait(&mut next, timeout);
        received
    }

    /// Waits for outcomes as [`Endpoint::recv`] does, appends up to `max` of them to `outcomes`, and
    /// returns their number: 0 when `timeout` is over or the endpoint is closed.
    pub fn recv_batch(
        &self,
        outcomes: &mut Vec<(CallId, Result<Message, CallError>)>,
        max: usize,
        timeout: Option<Duration>,
    ) -> usize {
        let mut next = Outcomes::new(max, |id, outcome| outcomes.push((id, outcome)));
        self.handle.wait(&mut next, timeout).unwrap_or(0)
    }

    /// Gives up an open call of [`Endpoint::send`]: the server is told, and the call's outcome is
    /// [`CallError::Aborted`]. Returns `false` if the call is not open: its outcome is known.
    pub fn abort(&self, call: CallId) -> bool {
        self.handle.lock().abort_call(call)
    }

    /// Serves a Homa port, 1 to 32767. The UDP port is the endpoint's own.
    ///
    /// # Errors
    ///
    /// The port is out of range or in use at this endpoint, or the endpoint is shut down.
    pub fn serve(&self, homa_port: u16) -> Result<Server, BindError> {
        let server = self.handle.lock().serve(homa_port, false)?;
        Ok(Server::new(Arc::clone(&self.handle), server))
    }

    /// Like [`Endpoint::serve`], but requests are accepted at their first bytes and read while they
    /// arrive.
    ///
    /// # Errors
    ///
    /// The port is out of range or in use at this endpoint, or the endpoint is shut down.
    pub fn serve_streaming(&self, homa_port: u16) -> Result<StreamServer, BindError> {
        let server = self.handle.lock().serve(homa_port, true)?;
        Ok(StreamServer::new(Arc::clone(&self.handle), server))
    }

    /// Sends many requests, each as [`Endpoint::send`] does, and their packets together: cheaper
    /// than one by one. `requests` is emptied; for each of them, in order, `started` is appended the
    /// id of its call, or why it was not sent.
    pub fn send_batch(
        &self,
        requests: &mut Vec<(Addr, Message)>,
        started: &mut Vec<Result<CallId, CallError>>,
    ) {
        self.handle.lock().send_batch(requests, started);
    }

    /// Answers many requests to this endpoint, each as [`Request::reply`] does, and sends the answers
    /// together: cheaper than one by one. Those that were answered are taken out of `replies`;
    /// why the others could not be, in the same order, is appended to `failed`.
    pub fn reply_batch(&self, replies: &mut Vec<(Request, Message)>, failed: &mut Vec<ReplyError>) {
        Request::reply_batch(&self.handle, replies, failed);
    }

    /// Collects the packets of what follows until the cork is dropped, so that many short calls or
    /// replies made at once leave in few system calls.
    ///
    /// Meanwhile packets still leave whenever there are many, or half of the open calls', so that the
    /// other side need not wait; whenever the endpoint is driven for another reason; and at the latest
    /// 2 ms later.
    pub fn cork(&self) -> Cork {
        Cork::new(Arc::clone(&self.handle))
    }

    /// Ends the endpoint gently: new calls fail, new requests are refused as shutting down, and what
    /// is open goes on, until all is finished and acknowledged or `patience` is over. Then the
    /// endpoint closes: what is still open fails, and [`Server::accept`] returns `None`.
    ///
    /// Returns whether all was finished in time.
    pub fn shutdown(&self, patience: Duration) -> bool {
        self.handle.lock().drain();
        let finished = self.handle.wait(&mut Idle::default(), Some(patience)).is_some();
        self.handle.close();
        finished
    }

    /// Ends the endpoint at once: what is open fails.
    pub fn close(&self) {
        self.handle.close();
    }

    /// The UDP address on which the endpoint receives. Its IP is unspecified if it was bound so.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.handle.lock().local_addr()
    }

    /// What the endpoint holds of everything that grows, with the limits; empty once closed.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        self.handle.lock().accounts()
    }

    /// The counters, as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handle.lock().stats()
    }

    /// Starts a call and goes on holding the lock.
    fn start(
        &self,
        addr: impl ToAddr,
        request: Message,
        options: CallOptions,
        owner: Owner,
    ) -> Result<(Locked<'_>, CallId), CallError> {
        let addr = match addr.to_target()? {
            Target::Addr(addr) => addr,
            Target::Name { host, udp_port, homa_port } => {
                let found = (host.as_str(), udp_port).to_socket_addrs();
                let preferred = setup::preferred_family(self.local_addr());
                Addr::choose(&host, homa_port, found, preferred)?
            }
        };
        let mut locked = self.handle.lock();
        let id = locked.start_call(addr, request, options, owner)?;
        Ok((locked, id))
    }
}

impl Handle {
    /// Waits on this thread, for `timeout` at the longest.
    pub(crate) fn wait<A: crate::awaited::Awaited>(
        &self,
        awaited: &mut A,
        timeout: Option<Duration>,
    ) -> Option<A::Output> {
        let deadline = timeout.map(|timeout| Clock::now() + to_proto(timeout));
        self.shared.wait_on_thread(self.lock(), awaited, deadline)
    }
}
