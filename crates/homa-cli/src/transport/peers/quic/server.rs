//! The server's side of QUIC.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream, ServerConfig};

use super::{certificate, receive, send, transport_config};
use crate::transport::Regime;
use crate::transport::peers::reactor::Reactor;
use crate::transport::peers::task_server::{Tally, TaskServer};

/// A server with a certificate of its own.
pub(crate) fn quic_server(address: SocketAddr, regime: Regime) -> io::Result<TaskServer> {
    let (crypto, certificate) = certificate::of_server()?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(transport_config());
    let reactor = Reactor::new(regime)?;
    let tally = Arc::new(Tally::default());
    let (address, accepting) = {
        let _inside = reactor.enter();
        let endpoint = Endpoint::server(config, address)?;
        (endpoint.local_addr()?, tokio::spawn(accept(endpoint, Arc::clone(&tally))))
    };
    Ok(TaskServer {
        address: address.to_string(),
        certificate: Some(certificate),
        tally,
        accepting,
        reactor,
    })
}

async fn accept(endpoint: Endpoint, tally: Arc<Tally>) {
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(connect(incoming, Arc::clone(&tally)));
    }
}

/// That clients go away, or can't connect, is no error.
async fn connect(incoming: Incoming, tally: Arc<Tally>) {
    if let Ok(connection) = incoming.await {
        answer_all(connection, tally).await;
    }
}

async fn answer_all(connection: Connection, tally: Arc<Tally>) {
    while let Ok((sending, receiving)) = connection.accept_bi().await {
        tokio::spawn(answer(sending, receiving, Arc::clone(&tally)));
    }
}

async fn answer(mut sending: SendStream, mut receiving: RecvStream, tally: Arc<Tally>) {
    match receive(&mut receiving).await {
        Ok(request) => {
            let response = tally.answer(request);
            // The client has gone away meanwhile.
            let _ = send(&mut sending, &response).await;
        }
        Err(_) => tally.fail(),
    }
}
