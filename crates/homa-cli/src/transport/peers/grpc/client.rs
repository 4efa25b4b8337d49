//! The client's side of gRPC.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ::homa::{CallError, Message};
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Body as HttpBody, StdError};
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use super::codec::Plain;
use super::{CONNECTION_WINDOW, METHOD, STREAM_WINDOW};
use crate::transport::echo::message_of;
use crate::transport::homa::failure_of;
use crate::transport::peers::future_client::{Caller, future_client};
use crate::transport::peers::reactor::Reactor;
use crate::transport::peers::{CONNECT_TIMEOUT, MAX_MESSAGE};
use crate::transport::{Failure, LoadClient, Regime, Request};

/// A client with so many connections. They are made when first needed, and again after they broke.
pub(crate) fn grpc_client(
    server: SocketAddr,
    connections: usize,
    regime: Regime,
) -> io::Result<impl LoadClient> {
    let endpoint = Endpoint::from_shared(format!("http://{server}"))
        .map_err(io::Error::other)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let reactor = Reactor::new(regime)?;
    let channels = {
        let _inside = reactor.enter();
        (0..connections).map(|_| endpoint.connect_lazy()).collect()
    };
    Ok(future_client(reactor, GrpcCaller { channels }))
}

/// Makes calls, each on the connection of its slot.
#[derive(Debug, Clone)]
pub(super) struct GrpcCaller<T> {
    pub(super) channels: Arc<[T]>,
}

impl<T> Caller for GrpcCaller<T>
where
    T: GrpcService<Body> + Clone + 'static,
    T::Error: Error,
    T::ResponseBody: Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError>,
{
    async fn call(self, request: Request) -> Result<Message, Failure> {
        let channel = self.channels[request.slot as usize % self.channels.len()].clone();
        let mut grpc = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
        grpc.ready().await.map_err(|error| of_error(&error))?;
        let message = message_of(request.header.encode(), request.body);
        let path = PathAndQuery::from_static(METHOD);
        let response = grpc.unary(tonic::Request::new(message), path, Plain).await;
        Ok(response.map_err(|status| of_status(&status))?.into_inner())
    }
}

fn of_status(status: &Status) -> Failure {
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled => of_error(status),
        code => Failure::new(format!("{code}: {}", status.message())),
    }
}

/// What lies at the bottom of an error, and whether that is a refused connection.
fn of_error(error: &(dyn Error + 'static)) -> Failure {
    if let Some(error) = error.source().and_then(|source| source.downcast_ref::<CallError>()) {
        return failure_of(error);
    }
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let kinds = causes.clone().filter_map(|error| error.downcast_ref::<io::Error>());
    if kinds.map(io::Error::kind).any(|kind| kind == io::ErrorKind::ConnectionRefused) {
        return Failure::nothing_listens("connection refused: nothing listens there");
    }
    let cause = causes.last().unwrap_or(error);
    Failure::new(format!("connection lost: {cause}"))
}
