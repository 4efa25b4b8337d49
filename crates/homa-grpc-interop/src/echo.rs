//! The metadata that the service gives back, as `custom_metadata` asks: below the generated code, as that
//! has no trailers of successful unary calls.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

/// Given back in the response's headers.
pub(crate) const INITIAL: HeaderName = HeaderName::from_static("x-grpc-test-echo-initial");
/// Given back in its trailers.
pub(crate) const TRAILING: HeaderName = HeaderName::from_static("x-grpc-test-echo-trailing-bin");

/// Services that give metadata back.
#[derive(Clone, Debug)]
pub(crate) struct Echo<S>(pub(crate) S);

impl<S> Service<Request<Body>> for Echo<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let initial = request.headers().get(INITIAL).cloned();
        let trailing = request.headers().get(TRAILING).cloned();
        let response = self.0.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            if let Some(initial) = initial {
                response.headers_mut().insert(INITIAL, initial);
            }
            Ok(match trailing {
                Some(value) => response.map(|body| Body::new(WithTrailer { body, value })),
                None => response,
            })
        })
    }
}

/// A body with one more trailer.
struct WithTrailer {
    body: Body,
    value: HeaderValue,
}

impl http_body::Body for WithTrailer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut polled
            && let Some(trailers) = frame.trailers_mut()
        {
            trailers.insert(TRAILING, self.value.clone());
        }
        polled
    }
}
