//! The client's side of QUIC.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ::homa::Message;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, ReadError, WriteError};
use tokio::sync::Mutex;

use super::certificate::{self, SERVER_NAME};
use super::{ReceiveError, receive, send, transport_config};
use crate::transport::echo::message_of;
use crate::transport::peers::CONNECT_TIMEOUT;
use crate::transport::peers::future_client::{Caller, future_client};
use crate::transport::peers::reactor::Reactor;
use crate::transport::{Failure, LoadClient, Regime, Request};

/// A client that takes only this certificate, or any if it is `None`. It connects when first needed,
/// and again after the connection broke.
pub(crate) fn quic_client(
    server: SocketAddr,
    certificate: Option<&[u8]>,
    regime: Regime,
) -> io::Result<impl LoadClient + use<>> {
    let mut config = ClientConfig::new(Arc::new(certificate::of_client(certificate)?));
    config.transport_config(transport_config());
    let reactor = Reactor::new(regime)?;
    let mut endpoint = {
        let _inside = reactor.enter();
        Endpoint::client(match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        })?
    };
    endpoint.set_default_client_config(config);
    let caller = QuicCaller { endpoint, server, connection: Arc::default() };
    Ok(future_client(reactor, caller))
}

/// Makes calls on one connection.
#[derive(Debug, Clone)]
pub(crate) struct QuicCaller {
    endpoint: Endpoint,
    server: SocketAddr,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl QuicCaller {
    /// The connection, which is made if there is none.
    async fn connection(&self) -> Result<Connection, Failure> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_ref().filter(|held| held.close_reason().is_none()) {
            return Ok(connection.clone());
        }
        let connecting = self.endpoint.connect(self.server, SERVER_NAME);
        let connecting = connecting.map_err(|error| Failure::new(error.to_string()))?;
        let connection = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connection) => connection.map_err(|error| of_connection(&error))?,
            // QUIC does not hear of it if nothing listens.
            Err(_) => return Err(Failure::new("no connection within 500 ms")),
        };
        Ok(held.insert(connection).clone())
    }
}

impl Caller for QuicCaller {
    async fn call(self, request: Request) -> Result<Message, Failure> {
        let connection = self.connection().await?;
        let streams = connection.open_bi().await;
        let (mut sending, mut receiving) = streams.map_err(|error| of_connection(&error))?;
        let message = message_of(request.header.encode(), request.body);
        send(&mut sending, &message).await.map_err(|error| match error {
            WriteError::ConnectionLost(error) => of_connection(&error),
            error => Failure::new(error.to_string()),
        })?;
        receive(&mut receiving).await.map_err(|error| match error {
            ReceiveError::TooLong => Failure::new("the response is too long"),
            ReceiveError::Stream(ReadError::ConnectionLost(error)) => of_connection(&error),
            ReceiveError::Stream(error) => Failure::new(error.to_string()),
        })
    }
}

fn of_connection(error: &ConnectionError) -> Failure {
    match error {
        ConnectionError::TimedOut => Failure::new("connection lost: the server is silent"),
        ConnectionError::ConnectionClosed(_) | ConnectionError::ApplicationClosed(_) => {
            Failure::new(format!("connection closed by the server ({error})"))
        }
        ConnectionError::Reset => Failure::new("connection reset by the server"),
        _ => Failure::new(format!("no connection: {error}")),
    }
}
