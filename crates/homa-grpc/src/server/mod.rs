//! The server's side: generated services at a Homa port.

mod accept;
mod call;
mod config;
mod handler;
mod listen;
mod outgoing;
mod peers;
mod reply;
mod request_body;
mod services;
mod shared;
mod stream;
mod streams;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;

use bytes::Bytes;
use homa::BindError;
use http::{Request, Response};
use tokio::task::{JoinError, JoinSet};
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::server::NamedService;
use tower_layer::{Identity, Layer, Stack};
use tower_service::Service;

use self::accept::Acceptor;
pub use self::config::ServerConfig;
pub use self::listen::Listen;
pub use self::services::Services;
use self::shared::Shared;

/// A gRPC server over Homa, of services that tonic generated.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = homa::Endpoint::bind("0.0.0.0:4000", homa::Config::default()).await?;
/// homa_grpc::Server::builder()
///     // .add_service(GreeterServer::new(MyGreeter::default()))
///     .serve(endpoint)
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// Interceptors are tonic's own: `GreeterServer::with_interceptor`. A handler finds its client's
/// address as [`HomaConnectInfo`](crate::HomaConnectInfo) in its request's extensions.
///
/// A handler is dropped when its client gave the call up, or is gone, and when its deadline has
/// passed. A call whose handler panics fails with `INTERNAL`, and no other does.
#[derive(Clone, Debug)]
pub struct Server<L = Identity> {
    config: ServerConfig,
    services: Services,
    layer: L,
}

impl Server {
    /// A server without services, with the default parameters.
    #[must_use]
    pub fn builder() -> Self {
        let config = ServerConfig::default();
        Self { config, services: Services::default(), layer: Identity::new() }
    }
}

impl<L> Server<L> {
    /// The same, with parameters.
    #[must_use]
    pub fn config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    /// The same, with one more service. Of two with one name the later counts.
    #[must_use]
    pub fn add_service<S, B>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        self.services.add(service);
        self
    }

    /// The same, with a layer of tower around all services. Of several, the one that was added first
    /// sees requests first. Errors of layers become statuses, as [`tonic::Status::from_error`] does
    /// it.
    #[must_use]
    pub fn layer<N>(self, layer: N) -> Server<Stack<N, L>> {
        let Self { config, services, layer: outer } = self;
        Server { config, services, layer: Stack::new(layer, outer) }
    }

    /// Serves until the endpoint is closed.
    ///
    /// # Errors
    ///
    /// There is no such Homa port, or it is in use: see [`Listen`].
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future ends the server at once: the port is served no more, and calls under way
    /// fail.
    pub async fn serve<B>(self, at: impl Listen) -> Result<(), BindError>
    where
        L: Layer<Services>,
        L::Service: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<StdError>,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        self.serve_with_shutdown(at, pending()).await
    }

    /// Serves until `signal` is ready, then shuts down: new calls are refused (their clients may try
    /// another server), those under way may go on for [`ServerConfig::shutdown_patience`], and their
    /// answers are delivered.
    ///
    /// # Errors
    ///
    /// There is no such Homa port, or it is in use: see [`Listen`].
    ///
    /// # Cancellation safety
    ///
    /// As for [`Server::serve`].
    pub async fn serve_with_shutdown<B>(
        self,
        at: impl Listen,
        signal: impl Future<Output = ()>,
    ) -> Result<(), BindError>
    where
        L: Layer<Services>,
        L::Service: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<StdError>,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        let server = at.listen()?;
        let Self { config, services, layer } = self;
        let acceptors = config.acceptors.unwrap_or_else(threads).max(1);
        let serving = Serving(Arc::new(Shared::new(config)));
        let handler = layer.layer(services);
        let mut tasks = JoinSet::new();
        for _ in 0..acceptors {
            let (server, handler) = (server.clone(), handler.clone());
            let acceptor = Acceptor { server, handler, shared: Arc::clone(&serving.0) };
            tasks.spawn(acceptor.run());
        }
        tasks.spawn(sweep(Arc::clone(&serving.0)));
        tokio::select! {
            biased;
            ended = tasks.join_next() => return closed(ended),
            () = signal => {}
        }
        tokio::select! {
            biased;
            ended = tasks.join_next() => closed(ended),
            () = serving.0.drained(&server) => Ok(()),
        }
    }
}

/// One that accepts ends when the endpoint is closed, or by a panic of a service that is cloned.
fn closed(ended: Option<Result<(), JoinError>>) -> Result<(), BindError> {
    if let Some(Err(error)) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
    Ok(())
}

/// Calls go on as long as it lives.
struct Serving(Arc<Shared>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.stop.send_replace(true);
    }
}

async fn sweep(shared: Arc<Shared>) {
    let ServerConfig { stream_idle_max, pull_hold, .. } = shared.config;
    shared.streams.sweep(stream_idle_max, pull_hold).await;
}

/// Threads of the runtime.
fn threads() -> usize {
    tokio::runtime::Handle::current().metrics().num_workers()
}
