//! The server's side of gRPC.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::homa::Message;
use tonic::body::Body;
use tonic::codegen::{Service, StdError, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::codec::Plain;
use super::{CONNECTION_WINDOW, MAX_STREAMS, METHOD, SERVICE, STREAM_WINDOW};
use crate::transport::Regime;
use crate::transport::peers::MAX_MESSAGE;
use crate::transport::peers::reactor::Reactor;
use crate::transport::peers::task_server::{Tally, TaskServer};

pub(crate) fn grpc_server(address: SocketAddr, regime: Regime) -> io::Result<TaskServer> {
    let reactor = Reactor::new(regime)?;
    let tally = Arc::new(Tally::default());
    let (address, accepting) = {
        let _inside = reactor.enter();
        let incoming = TcpIncoming::bind(address)?.with_nodelay(Some(true));
        let serving = Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(MAX_STREAMS)
            .add_service(Echo(Arc::clone(&tally)));
        let address = incoming.local_addr()?;
        // That it ended is an error whatever the reason.
        let serving = async { drop(serving.serve_with_incoming(incoming).await) };
        (address, tokio::spawn(serving))
    };
    Ok(TaskServer { address: address.to_string(), certificate: None, tally, accepting, reactor })
}

/// The service: what a code generator would make of a description of it.
#[derive(Debug, Clone)]
pub(super) struct Echo(pub(super) Arc<Tally>);

impl NamedService for Echo {
    const NAME: &'static str = SERVICE;
}

impl<B> Service<http::Request<B>> for Echo
where
    B: tonic::codegen::Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if request.uri().path() != METHOD {
            self.0.fail();
            let status = Status::unimplemented("there is one method only: Call");
            return Box::pin(ready(Ok(status.into_http())));
        }
        let service = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(Plain).max_decoding_message_size(MAX_MESSAGE);
            Ok(grpc.unary(service, request).await)
        })
    }
}

impl UnaryService<Message> for Echo {
    type Response = Message;
    type Future = Ready<Result<Response<Message>, Status>>;

    fn call(&mut self, request: Request<Message>) -> Self::Future {
        ready(Ok(Response::new(self.0.answer(request.into_inner()))))
    }
}
