//! What calls are given to: the services below their layers.

use std::future::{Future, poll_fn};

use bytes::Bytes;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

/// Anything that [`Server::serve`](crate::Server::serve) takes.
pub(super) trait Handler: Clone + Send + 'static {
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
    /// Errors of layers become the response: gRPC has nothing else.
    async fn handle(mut self, request: Request<Body>) -> Response<Body> {
        if let Err(error) = poll_fn(|cx| self.poll_ready(cx)).await {
            return Status::from_error(error.into()).into_http();
        }
        match self.call(request).await {
            Ok(response) => response.map(Body::new),
            Err(error) => Status::from_error(error.into()).into_http(),
        }
    }
}
