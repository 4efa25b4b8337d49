//! Homa for users of tower without gRPC: bytes in, bytes out, one RPC a call.
//!
//! ```
//! use bytes::Bytes;
//! use homa_grpc::tower::{BytesClient, serve_bytes};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = homa::Endpoint::bind("127.0.0.1:0", homa::Config::default()).await?;
//! let addr = homa::Addr::new(endpoint.local_addr(), 7)?;
//! let shout = service_fn(|request: Bytes| async move {
//!     Ok::<_, std::convert::Infallible>(Bytes::from(request.to_ascii_uppercase()))
//! });
//! tokio::spawn(serve_bytes(endpoint.serve(7)?, shout));
//!
//! let client = ServiceBuilder::new().concurrency_limit(8).service(BytesClient::new(&endpoint, addr));
//! assert_eq!(client.oneshot(Bytes::from("hello")).await?, "HELLO");
//! # Ok(())
//! # }
//! ```

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use homa::{Addr, Call, CallError, CallOptions, Endpoint, Request, Server};
use tower_service::Service;

/// Calls one server, as a service from request to response: 1 to 1,000,000 bytes each, as
/// [`Endpoint::call`] has it. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct BytesClient {
    endpoint: Endpoint,
    addr: Addr,
    options: CallOptions,
}

/// A call of a [`BytesClient`]: a future of the response. Dropping it aborts the call.
#[derive(Debug)]
#[must_use = "a call is sent only when it is awaited"]
pub struct BytesCall(Call);

impl BytesClient {
    /// A client of the server at `addr`.
    #[must_use]
    pub fn new(endpoint: &Endpoint, addr: Addr) -> Self {
        Self { endpoint: endpoint.clone(), addr, options: CallOptions::default() }
    }

    /// The same, with a deadline or a priority for each of its calls.
    #[must_use]
    pub fn options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }
}

impl Service<Bytes> for BytesClient {
    type Response = Bytes;
    type Error = CallError;
    type Future = BytesCall;

    /// Always ready: what has no room at the endpoint fails or waits, as [`homa::Config::when_full`]
    /// says.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Bytes) -> BytesCall {
        BytesCall(self.endpoint.call_with(self.addr, request, self.options))
    }
}

impl Future for BytesCall {
    type Output = Result<Bytes, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = Pin::new(&mut self.0).poll(cx);
        response.map(|response| response.map(homa::Message::into_bytes))
    }
}

/// Serves a Homa port with a service from request to response, each request in a task of its own, until
/// the endpoint is closed or the service can't be made ready. A request is accepted when the service is
/// ready for it, so that a limit of the service lets requests wait at Homa, which turns away those
/// that wait for too long. A request that fails is refused
/// ([`homa::RefuseReason::DroppedUnanswered`]), as is one whose response is empty or too long.
///
/// # Errors
///
/// That of the service, when it was to be made ready.
///
/// # Cancellation safety
///
/// Dropping the future stops accepting; requests that were accepted are still answered. The
/// response to a request whose client gave it up is not waited for.
pub async fn serve_bytes<S>(server: Server, mut service: S) -> Result<(), S::Error>
where
    S: Service<Bytes, Response = Bytes>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    loop {
        poll_fn(|cx| service.poll_ready(cx)).await?;
        let Some(mut request) = server.accept().await else { return Ok(()) };
        let response = service.call(request.take_message().into_bytes());
        tokio::spawn(answer(request, response));
    }
}

async fn answer<E>(mut request: Request, response: impl Future<Output = Result<Bytes, E>>) {
    let response = tokio::select! {
        biased;
        response = response => response,
        () = request.cancelled() => return,
    };
    if let Ok(response) = response {
        // If it can't be sent, dropping the request refuses it.
        let _ = request.reply_when_room(response).await;
    }
}
