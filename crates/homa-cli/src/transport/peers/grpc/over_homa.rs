//! The same client and the same server, over Homa: what differs is what they are made on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::homa::{Addr, Endpoint};
use homa_grpc::{ChannelConfig, HomaChannel, Server, ServerConfig};

use super::client::GrpcCaller;
use super::server::Echo;
use crate::transport::homa::{HomaOptions, addr, local_ip};
use crate::transport::peers::future_client::future_client;
use crate::transport::peers::reactor::Reactor;
use crate::transport::peers::task_server::{Tally, TaskServer};
use crate::transport::{LoadClient, Regime};

/// How long to wait for an endpoint to be bound, which waits for nothing.
const BIND_TIMEOUT: Duration = Duration::from_secs(5);
/// Nothing else polls.
const SLEEPS: Regime = Regime { poll: Duration::ZERO };
/// What metadata, prefixes and heads take beside a message of the load generator, at most.
const OVERHEAD_BYTES: u32 = 4096;

pub(crate) fn grpc_homa_client(
    server: SocketAddr,
    homa_port: u16,
    slots: usize,
    regime: Regime,
    options: &HomaOptions,
) -> Result<impl LoadClient + use<>, String> {
    let server_addr = addr(server, homa_port, options)?;
    let config = adapted(options.config_for_calls(regime, slots), regime);
    let mut channel = ChannelConfig::default();
    channel.message_bytes_max = config.proto.message_length_max;
    let reactor = Reactor::new(SLEEPS).map_err(|error| error.to_string())?;
    let endpoint = bind(&reactor, SocketAddr::new(local_ip(server.ip()), 0), config)?;
    let channel = HomaChannel::connect_with(&endpoint, server_addr, channel);
    let channels = Arc::new([channel.map_err(|error| error.to_string())?]);
    Ok(future_client(reactor, GrpcCaller { channels }))
}

pub(crate) fn grpc_homa_server(
    address: SocketAddr,
    homa_port: u16,
    regime: Regime,
    options: &HomaOptions,
) -> Result<TaskServer, String> {
    let config = adapted(options.config_for_calls(regime, 1), regime);
    let mut server = ServerConfig::default();
    server.message_bytes_max = config.proto.message_length_max;
    let reactor = Reactor::new(SLEEPS).map_err(|error| error.to_string())?;
    let endpoint = bind(&reactor, address, config)?;
    let tally = Arc::new(Tally::default());
    let port = endpoint.serve(homa_port).map_err(|error| error.to_string())?;
    let address = Addr::new(endpoint.local_addr(), homa_port).map_err(|error| error.to_string())?;
    let accepting = {
        let _inside = reactor.enter();
        let serving = Server::builder().config(server).add_service(Echo(Arc::clone(&tally)));
        tokio::spawn(async { drop(serving.serve(port).await) })
    };
    Ok(TaskServer { address: address.to_string(), certificate: None, tally, accepting, reactor })
}

fn bind(reactor: &Reactor, at: SocketAddr, config: ::homa::Config) -> Result<Endpoint, String> {
    reactor
        .run(BIND_TIMEOUT, Endpoint::bind(at, config))
        .ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut).to_string())?
        .map_err(|error| error.to_string())
}

/// With room for what gRPC puts around messages, so that the longest are one RPC as well; and polling as
/// long as all do, which the driver of the endpoint does here.
fn adapted(mut config: ::homa::Config, regime: Regime) -> ::homa::Config {
    config.proto.message_length_max += OVERHEAD_BYTES;
    config.poll_async = regime.poll;
    config
}
