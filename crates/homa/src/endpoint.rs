//! The asynchronous endpoint, and calls from it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use homa_io::Message;

use crate::addr::{Addr, Family, Target, ToAddr};
use crate::awaited::{CallDone, Idle, Outcomes, Started};
use crate::calls::{CallId, Owner};
use crate::config::{CallOptions, Config, WhenFull};
use crate::error::{BindError, CallError, ReplyError};
use crate::request::Request;
use crate::server::{Server, StreamServer};
use crate::setup;
use crate::shared::Handle;
use crate::stats::{Accounts, Stats};
use crate::task::{self, Link};
use crate::wait::wait;

/// A UDP socket that speaks Homa: it makes calls to any number of servers, and serves any number of
/// Homa ports.
///
/// Cloning is cheap and gives another handle to the same endpoint. The endpoint closes when the
/// last of its handles, servers, requests and calls is dropped: calls that are open then are
/// aborted, requests not answered are given up. [`Endpoint::shutdown`] ends it gently.
///
/// It is driven by a task of the tokio runtime in which it was bound, and by a thread of its own
/// while that runtime is busy or gone. The runtime must have been built with `enable_all`
/// (`#[tokio::main]` does).
#[derive(Clone, Debug)]
pub struct Endpoint {
    handle: Arc<Handle>,
}

/// A call on its way: a future of the response.
///
/// The request is sent when the future is first polled. **Dropping the future aborts the call**: the
/// server is told and shows it by [`Request::cancelled`](crate::Request::cancelled), and a response
/// that arrives later is discarded. Nothing else is lost by dropping it.
#[derive(Debug)]
#[must_use = "a call is sent only when it is awaited"]
pub struct Call {
    handle: Arc<Handle>,
    stage: Stage,
}

enum Stage {
    Resolving { name: Resolving, request: Message, options: CallOptions },
    Ready { addr: Addr, request: Message, options: CallOptions },
    Waiting(CallId),
    Failed(CallError),
    Done,
}

/// A call that waits to be started; dropped, it is given up.
struct Starting<'a> {
    handle: &'a Handle,
    /// `None` once it is known whether it was started.
    call: Option<CallId>,
}

type Resolving = Pin<Box<dyn Future<Output = Result<Addr, CallError>> + Send>>;

/// Collects the packets of several calls and replies: see [`Endpoint::cork`].
#[derive(Debug)]
#[must_use = "packets are collected only while it lives"]
pub struct Cork {
    handle: Arc<Handle>,
}

impl Endpoint {
    /// Opens an endpoint at a UDP address, such as `"0.0.0.0:4000"` or `"[::]:4000"` (which serves
    /// IPv4 as well); port 0 takes a free port.
    ///
    /// # Errors
    ///
    /// See [`BindError`]. Outside of a tokio runtime it is [`BindError::Io`].
    pub async fn bind(
        addr: impl tokio::net::ToSocketAddrs,
        config: Config,
    ) -> Result<Self, BindError> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for addr in tokio::net::lookup_host(addr).await.map_err(BindError::Resolve)? {
            match Self::open(addr, &config) {
                Err(BindError::Io(error)) => last = error,
                result => return result,
            }
        }
        Err(BindError::Io(last))
    }

    /// Opens an endpoint that only makes calls, at a free UDP port of all addresses.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub async fn client(config: Config) -> Result<Self, BindError> {
        let [ipv6, ipv4] = setup::CLIENT_ADDRS;
        match Self::open(ipv6, &config) {
            Err(BindError::Io(_)) => Self::open(ipv4, &config),
            result => result,
        }
    }

    fn open(addr: SocketAddr, config: &Config) -> Result<Self, BindError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let handle = setup::open(addr, config)?;
        let mut locked = handle.lock();
        let link = Link::new(&locked)?;
        locked.seats.link = Some(link);
        drop(locked);
        runtime.spawn(task::drive(Arc::clone(&handle.shared)));
        Ok(Self { handle })
    }

    /// Sends a request and waits for the response. The call ends after 10 seconds at the latest
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
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future aborts the call, see [`Call`].
    pub fn call(&self, addr: impl ToAddr, request: impl Into<Message>) -> Call {
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
    ) -> Call {
        let request = request.into();
        let stage = match addr.to_target() {
            Ok(Target::Addr(addr)) => Stage::Ready { addr, request, options },
            Ok(Target::Name { host, udp_port, homa_port }) => {
                let name = Box::pin(resolve(host, udp_port, homa_port, self.family()));
                Stage::Resolving { name, request, options }
            }
            Err(error) => Stage::Failed(error.into()),
        };
        Call { handle: Arc::clone(&self.handle), stage }
    }

    /// Sends a request without waiting for the response, which [`Endpoint::recv`] gives, nor for room
    /// ([`Endpoint::send_when_room`] does).
    ///
    /// # Errors
    ///
    /// See [`CallError`]; nothing was sent then and no outcome follows. Otherwise exactly one
    /// outcome follows.
    pub fn send(&self, addr: Addr, request: impl Into<Message>) -> Result<CallId, CallError> {
        self.send_with(addr, request, CallOptions::default())
    }

    /// Like [`Endpoint::send`], with a deadline or a priority of its own.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub fn send_with(
        &self,
        addr: Addr,
        request: impl Into<Message>,
        options: CallOptions,
    ) -> Result<CallId, CallError> {
        let options = options.when_full(WhenFull::Reject);
        self.handle.lock().start_call(addr, request.into(), options, Owner::Queue)
    }

    /// Like [`Endpoint::send_with`], but waits if this endpoint has no room for the call, as
    /// [`WhenFull::Wait`] says, until the call's deadline at the longest.
    ///
    /// # Errors
    ///
    /// See [`CallError`]; nothing was sent then and no outcome follows.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future gives up the call: no outcome follows, and its place in the line is that of
    /// the next.
    pub async fn send_when_room(
        &self,
        addr: Addr,
        request: impl Into<Message>,
        options: CallOptions,
    ) -> Result<CallId, CallError> {
        let (request, options) = (request.into(), options.when_full(WhenFull::Wait));
        let id = self.handle.lock().start_call(addr, request, options, Owner::Starter)?;
        let mut starting = Starting { handle: &self.handle, call: Some(id) };
        let started = wait(&self.handle, Started(id)).await;
        starting.call = None;
        started
    }

    /// Waits for the next outcome of the calls started with [`Endpoint::send`], in order of
    /// completion; `None` once the endpoint is closed and all outcomes are received.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future loses no outcome.
    pub async fn recv(&self) -> Option<(CallId, Result<Message, CallError>)> {
        let mut received = None;
        wait(&self.handle, Outcomes::new(1, |id, outcome| received = Some((id, outcome)))).await;
        received
    }

    /// Waits for outcomes as [`Endpoint::recv`] does, appends up to `max` of them to `outcomes`, and
    /// returns their number: at least one unless the endpoint is closed or `max` is 0.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future loses no outcome: those taken are in `outcomes`.
    pub async fn recv_batch(
        &self,
        outcomes: &mut Vec<(CallId, Result<Message, CallError>)>,
        max: usize,
    ) -> usize {
        wait(&self.handle, Outcomes::new(max, |id, outcome| outcomes.push((id, outcome)))).await
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
    ///
    /// # Cancellation safety
    ///
    /// If the future is dropped the endpoint stays open, but goes on refusing new calls and requests.
    pub async fn shutdown(&self, patience: Duration) -> bool {
        self.handle.lock().drain();
        let finished = wait(&self.handle, Idle::default());
        let finished = tokio::time::timeout(patience, finished).await.is_ok();
        self.handle.close();
        finished
    }

    /// Ends the endpoint at once: what is open fails. The UDP port is free when this returns.
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

    /// What a layer above keeps for this endpoint: one value of each type, made by who asks first, for all
    /// handles, and dropped with the endpoint.
    ///
    /// `make` may use the endpoint, and may be called in vain when several ask at the same time.
    pub fn extension<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        self.handle.extensions.get_or_make(make)
    }

    fn family(&self) -> Family {
        setup::preferred_family(self.local_addr())
    }
}

impl Future for Call {
    type Output = Result<Message, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match std::mem::replace(&mut this.stage, Stage::Done) {
                Stage::Resolving { mut name, request, options } => match name.as_mut().poll(cx) {
                    Poll::Ready(Ok(addr)) => this.stage = Stage::Ready { addr, request, options },
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        this.stage = Stage::Resolving { name, request, options };
                        return Poll::Pending;
                    }
                },
                Stage::Ready { addr, request, options } => {
                    let mut locked = this.handle.lock();
                    let id = locked.start_call(addr, request, options, Owner::Caller)?;
                    this.stage = Stage::Waiting(id);
                    return this.stage.poll_outcome(&mut locked, id, cx);
                }
                Stage::Waiting(id) => {
                    let mut locked = this.handle.lock();
                    return this.stage.poll_outcome(&mut locked, id, cx);
                }
                Stage::Failed(error) => return Poll::Ready(Err(error)),
                Stage::Done => panic!("a call was polled after it had completed"),
            }
        }
    }
}

impl Stage {
    fn poll_outcome(
        &mut self,
        locked: &mut crate::shared::Locked<'_>,
        id: CallId,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Message, CallError>> {
        use crate::awaited::Awaited;
        let mut done = CallDone(id);
        if let Some(outcome) = done.take(locked) {
            *self = Self::Done;
            return Poll::Ready(outcome);
        }
        done.enroll(locked, cx.waker());
        *self = Self::Waiting(id);
        Poll::Pending
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Resolving { .. } => "Resolving",
            Self::Ready { .. } => "Ready",
            Self::Waiting(_) => "Waiting",
            Self::Failed(_) => "Failed",
            Self::Done => "Done",
        })
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call
            && let Some(mut locked) = self.handle.shared.lock_to_drop()
        {
            locked.drop_call(call);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Stage::Waiting(id) = self.stage
            && let Some(mut locked) = self.handle.shared.lock_to_drop()
        {
            locked.drop_call(id);
        }
    }
}

impl Cork {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        handle.lock().cork();
        Self { handle }
    }
}

impl Drop for Cork {
    fn drop(&mut self) {
        if let Some(mut locked) = self.handle.shared.lock_to_drop() {
            locked.uncork();
        }
    }
}

async fn resolve(
    host: String,
    udp_port: u16,
    homa_port: u16,
    preferred: Family,
) -> Result<Addr, CallError> {
    let found = tokio::net::lookup_host((host.as_str(), udp_port)).await;
    Ok(Addr::choose(&host, homa_port, found, preferred)?)
}
