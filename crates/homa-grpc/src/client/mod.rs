//! The client's side: a channel that generated clients call through.

mod body;
mod call;
mod config;
mod exchange;
mod overload;
mod push_room;
mod stream;
mod target;
mod uplink;
mod upload;

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use homa::{AddrError, Endpoint, ToAddr};
use tonic::Status;
use tonic::body::Body;

pub use self::body::ResponseBody;
pub use self::config::ChannelConfig;
use self::exchange::Exchange;
use self::overload::Overload;
use self::push_room::PushRoom;
use self::target::Server;
use crate::held::Holding;

/// A gRPC channel to one server over Homa, for generated clients: `XClient::new(channel)`.
///
/// There is no connection: a channel is an address and an endpoint, and cloning it is cheap. A unary
/// call whose messages fit is exactly one Homa RPC. Errors are [`tonic::Status`]es; one that comes
/// from Homa has the [`homa::CallError`] as its source.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use homa_grpc::HomaChannel;
///
/// let endpoint = homa::Endpoint::client(homa::Config::default()).await?;
/// let channel = HomaChannel::connect(&endpoint, "localhost:4000")?;
/// # let _ = channel;
/// // let mut client = GreeterClient::new(channel);
/// # Ok(())
/// # }
/// ```
///
/// # Deadlines
///
/// A call's deadline is its `grpc-timeout` (`tonic::Request::set_timeout`), else
/// [`ChannelConfig::deadline`], else none: it waits as long as the server lives, whose death Homa
/// notices within about 100 ms.
///
/// # Cancellation safety
///
/// Dropping the future of a call, or the stream of its responses, cancels the call: the server drops
/// its handler.
#[derive(Clone, Debug)]
pub struct HomaChannel {
    shared: Arc<Shared>,
}

/// A call on its way: a future of the response.
pub struct ResponseFuture {
    call: Pin<Box<dyn Future<Output = Result<http::Response<ResponseBody>, Status>> + Send>>,
}

/// What the calls of a channel have in common.
#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    server: Server,
    config: ChannelConfig,
    next_stream: AtomicU64,
    push_room: Arc<PushRoom>,
    /// Bytes of items that wait for their readers.
    unread: Holding,
    overload: Overload,
}

impl HomaChannel {
    /// A channel to the server at `addr`, `host:P` or `host:U/H` as [`homa::Addr`] says. Nothing is
    /// sent before the first call. A host name is looked up by the first call, and again after the
    /// server could not be reached.
    ///
    /// # Errors
    ///
    /// `addr` is no address.
    pub fn connect(endpoint: &Endpoint, addr: impl ToAddr) -> Result<Self, AddrError> {
        Self::connect_with(endpoint, addr, ChannelConfig::default())
    }

    /// Like [`HomaChannel::connect`], with parameters.
    ///
    /// # Errors
    ///
    /// `addr` is no address.
    pub fn connect_with(
        endpoint: &Endpoint,
        addr: impl ToAddr,
        config: ChannelConfig,
    ) -> Result<Self, AddrError> {
        let server = Server::new(addr.to_target()?);
        // Random, so that a client's streams are not those of its previous life.
        let first = RandomState::new().build_hasher().finish();
        let next_stream = AtomicU64::new(first);
        let endpoint = endpoint.clone();
        let push_room = PushRoom::of(&endpoint);
        let (unread, overload) = (Holding::new(config.unread_bytes_max), Overload::default());
        let shared = Shared { endpoint, server, config, next_stream, push_room, unread, overload };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl tower_service::Service<http::Request<Body>> for HomaChannel {
    type Response = http::Response<ResponseBody>;
    type Error = Status;
    type Future = ResponseFuture;

    /// Always ready: what has no room at the endpoint waits or fails as [`ChannelConfig::when_full`] says.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> ResponseFuture {
        let exchange = Exchange::new(Arc::clone(&self.shared));
        ResponseFuture { call: Box::pin(call::call(exchange, request)) }
    }
}

impl Shared {
    /// The longest message that is sent, in bytes: what a stream has under way leaves room for another at the
    /// endpoint.
    fn message_bytes_max(&self) -> usize {
        self.config
            .message_bytes_max()
            .min(self.push_room.max().max(crate::MESSAGE_BYTES_MIN as usize))
    }

    fn next_stream(&self) -> u64 {
        self.next_stream.fetch_add(1, Ordering::Relaxed)
    }
}

impl Future for ResponseFuture {
    type Output = Result<http::Response<ResponseBody>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.call.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
