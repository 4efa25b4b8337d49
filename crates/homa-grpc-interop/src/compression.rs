//! Which messages are compressed. tonic compresses all messages of a stream or none, and does not tell
//! which were: the cases want both, so layers below the generated code do it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tower::Service;

use crate::frames::Reframed;

/// Which messages of a body were compressed, in their order: in the extensions of a request, those of
/// the request at a server, and those of the response at a client that put it there.
#[derive(Clone, Debug, Default)]
pub struct Flags(Arc<Mutex<VecDeque<bool>>>);

/// In the extensions of a request or response: numbers of the messages, from 0, that are to be sent
/// uncompressed although the stream is compressed.
#[derive(Clone, Debug, Default)]
pub struct Plain(pub Vec<usize>);

impl Flags {
    pub(crate) fn record(&self, is_compressed: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(is_compressed);
    }

    /// Whether the next message was compressed; `None` if there is none.
    pub fn next(&self) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// A channel that heeds [`Flags`] and [`Plain`].
#[derive(Clone, Debug)]
pub(crate) struct Client<S>(pub(crate) S);

/// Services that heed them.
#[derive(Clone, Debug)]
pub(crate) struct Server<S>(pub(crate) S);

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<S> Service<Request<Body>> for Client<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let flags: Option<Flags> = request.extensions_mut().remove();
        let plain: Option<Plain> = request.extensions_mut().remove();
        let response = self.0.call(request.map(|body| Reframed::body(body, None, plain)));
        Box::pin(async move { Ok(response.await?.map(|body| Reframed::body(body, flags, None))) })
    }
}

impl<S> Service<Request<Body>> for Server<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let flags = Flags::default();
        request.extensions_mut().insert(flags.clone());
        let response = self.0.call(request.map(|body| Reframed::body(body, Some(flags), None)));
        Box::pin(async move {
            let mut response = response.await?;
            let plain: Option<Plain> = response.extensions_mut().remove();
            Ok(response.map(|body| Reframed::body(body, None, plain)))
        })
    }
}
