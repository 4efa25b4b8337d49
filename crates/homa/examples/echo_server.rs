//! An echo server for `echo_client` and for `homa client`.
//!
//!     cargo run --example echo_server [LISTEN, default 127.0.0.1:4000] [REQUESTS]
//!
//! Serves the Homa port of the same number as the UDP port, until Ctrl-C or for so many requests.

use std::net::SocketAddr;
use std::time::Duration;

use homa::{Config, Endpoint};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let listen: SocketAddr = args.next().as_deref().unwrap_or("127.0.0.1:4000").parse()?;
    let requests = args.next().map_or(Ok(u64::MAX), |number| number.parse())?;

    let endpoint = Endpoint::bind(listen, Config::default()).await?;
    let server = endpoint.serve(listen.port())?;
    println!("echoing at {}", endpoint.local_addr());
    for _ in 0..requests {
        let Some(mut request) = server.accept().await else { break };
        let echo = request.take_message();
        if let Err(error) = request.reply(echo) {
            eprintln!("no reply to {}: {error}", request.peer());
        }
    }
    // Until the last response has arrived and was acknowledged.
    endpoint.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
