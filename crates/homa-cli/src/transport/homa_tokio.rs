//! Homa through its asynchronous API: one thread awaits all calls, on tokio's runtime.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ::homa::{Addr, Endpoint, Message};

use super::echo::message_of;
use super::homa::{HomaOptions, addr, failure_of, local_ip};
use super::peers::future_client::{Caller, future_client};
use super::peers::reactor::Reactor;
use super::{Failure, LoadClient, Regime, Request};

/// How long to wait for the endpoint to be bound, which waits for nothing.
const BIND_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for up to `slots` calls at once.
pub(super) fn homa_tokio_client(
    server: SocketAddr,
    homa_port: u16,
    slots: usize,
    regime: Regime,
    options: &HomaOptions,
) -> Result<impl LoadClient + use<>, String> {
    let server_addr = addr(server, homa_port, options)?;
    let config = options.config_for_calls(regime, slots);
    let reactor = Reactor::new(regime).map_err(|error| error.to_string())?;
    let local = SocketAddr::new(local_ip(server.ip()), 0);
    let endpoint = reactor
        .run(BIND_TIMEOUT, Endpoint::bind(local, config))
        .ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut).to_string())?
        .map_err(|error| error.to_string())?;
    Ok(future_client(reactor, HomaCaller { endpoint, server: server_addr }))
}

#[derive(Debug, Clone)]
pub(super) struct HomaCaller {
    endpoint: Endpoint,
    server: Addr,
}

impl Caller for HomaCaller {
    async fn call(self, request: Request) -> Result<Message, Failure> {
        let message = message_of(request.header.encode(), request.body);
        let outcome = self.endpoint.call(self.server, message).await;
        outcome.map_err(|error| failure_of(&error))
    }
}
