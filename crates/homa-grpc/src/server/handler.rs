//! What calls are given to: the services below their layers.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

/// Anything that [`Server::serve`](crate::Server::serve) takes.
pub(super) trait Handler: Clone + Send + 'static {
    /// Hands a request over.
    fn handle(self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send;
}

impl<S, B> Handler for S
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<tonic::codegen::StdError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    fn handle(mut self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send {
        // Most are always ready; others are asked again, by a task that waits for it.
        let mut cx = Context::from_waker(Waker::noop());
        let handling = match self.poll_ready(&mut cx) {
            Poll::Ready(Ok(())) => Handling::Called(self.call(request)),
            Poll::Ready(Err(error)) => Handling::Failed(of_error(error)),
            Poll::Pending => Handling::Waits(Box::pin(when_ready(self, request))),
        };
        async move {
            match handling {
                Handling::Called(called) => of_result(called.await),
                Handling::Failed(response) => *response,
                Handling::Waits(waits) => waits.await,
            }
        }
    }
}

/// How far a request has come.
enum Handling<F> {
    Called(F),
    Failed(Box<Response<Body>>),
    /// For the service to be ready.
    Waits(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

async fn when_ready<S, B>(mut service: S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<tonic::codegen::StdError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    if let Err(error) = poll_fn(|cx| service.poll_ready(cx)).await {
        return *of_error(error);
    }
    of_result(service.call(request).await)
}

fn of_result<B, E>(result: Result<Response<B>, E>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
    E: Into<tonic::codegen::StdError>,
{
    match result {
        Ok(response) => response.map(Body::new),
        Err(error) => *of_error(error),
    }
}

/// Errors of layers become the response: gRPC has nothing else.
fn of_error(error: impl Into<tonic::codegen::StdError>) -> Box<Response<Body>> {
    Box::new(Status::from_error(error.into()).into_http())
}
