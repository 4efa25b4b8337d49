//! A server that works on a long request while it arrives.
//!
//!     cargo run --release --example streaming_read

use std::time::{Duration, Instant};

use homa::{Addr, CallOptions, Config, Endpoint};

const LENGTH: u32 = 16 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::default();
    config.proto.message_length_max = LENGTH;
    let endpoint = Endpoint::bind("127.0.0.1:0", config.clone()).await?;
    let addr = Addr::new(endpoint.local_addr(), 1)?;
    let server = endpoint.serve_streaming(1)?;

    let client = Endpoint::client(config).await?;
    let options = CallOptions::new().deadline(Duration::from_secs(60));
    let call = tokio::spawn(client.call_with(addr, vec![1; LENGTH as usize], options));

    let start = Instant::now();
    let mut request = server.accept().await.ok_or("the endpoint is closed")?;
    println!("{} bytes announced after {:?}", request.len(), start.elapsed());
    let (mut sum, mut pieces) = (0_u64, 0);
    while let Some(piece) = request.read().await? {
        pieces += 1;
        sum +=
            piece.chunks().flat_map(|chunk| chunk.iter()).map(|byte| u64::from(*byte)).sum::<u64>();
    }
    println!("read in {pieces} pieces after {:?}", start.elapsed());
    request.reply(sum.to_string())?;
    assert_eq!(call.await??.into_bytes(), LENGTH.to_string());
    Ok(())
}
