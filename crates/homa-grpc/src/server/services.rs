//! Which service a call is for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::server::NamedService;
use tower_service::Service;

use super::handler::Handler;

/// The services of a server, by name.
#[derive(Clone, Default)]
pub struct Services {
    by_name: Arc<HashMap<&'static str, Arc<dyn Handle>>>,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A service whose type does not matter any more.
trait Handle: Send + Sync {
    fn handle(&self, request: Request<Body>) -> BoxFuture<Result<Response<Body>, Infallible>>;
}

impl<S, B> Handle for S
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    fn handle(&self, request: Request<Body>) -> BoxFuture<Result<Response<Body>, Infallible>> {
        let handled = Handler::handle(self.clone(), request);
        Box::pin(async move { Ok(handled.await) })
    }
}

impl Services {
    pub(super) fn add<S, B>(&mut self, service: S)
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        let mut by_name = HashMap::clone(&self.by_name);
        by_name.insert(S::NAME, Arc::new(service));
        self.by_name = Arc::new(by_name);
    }

    fn named_by(&self, path: &str) -> Option<&Arc<dyn Handle>> {
        let (service, _method) = path.strip_prefix('/')?.rsplit_once('/')?;
        self.by_name.get(service)
    }
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Some(service) = self.named_by(request.uri().path()) {
            return service.handle(request);
        }
        let status = Status::unimplemented(format!("no such service: {}", request.uri().path()));
        Box::pin(std::future::ready(Ok(status.into_http())))
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut names: Vec<_> = self.by_name.keys().collect();
        names.sort();
        f.debug_tuple("Services").field(&names).finish()
    }
}
