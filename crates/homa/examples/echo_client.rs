//! Calls `echo_server` a few times.
//!
//!     cargo run --example echo_client [ADDR, default 127.0.0.1:4000]

use std::time::Instant;

use homa::{Addr, Config, Endpoint};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4000".to_owned());
    // Resolved once, so that calls need not.
    let addr = Addr::resolve(addr)?;
    let client = Endpoint::client(Config::default()).await?;
    for length in [1, 100, 10_000, 1_000_000] {
        let request = vec![b'x'; length];
        let start = Instant::now();
        let response = client.call(addr, request.clone()).await?;
        assert!(response == request, "an echo is what was sent");
        println!("{length:>9} bytes there and back in {:?}", start.elapsed());
    }
    Ok(())
}
