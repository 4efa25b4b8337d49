//! One request to many servers at once, from one endpoint: the answer is there when the last is, or
//! when the deadline has passed.
//!
//!     cargo run --example fan_out

use std::time::Duration;

use homa::{Addr, CallOptions, Config, Endpoint, Server};

/// A leaf of a search: knows one number.
async fn leaf(server: Server, number: u64) {
    while let Some(mut request) = server.accept().await {
        if number == 13 {
            // One leaf is ill. Dropping the request tells the client at once.
            continue;
        }
        // The root may have given up; that is no concern of a leaf.
        let _ = request.reply(number.to_le_bytes().to_vec());
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut leaves = Vec::new();
    for number in 0..20 {
        let endpoint = Endpoint::bind("127.0.0.1:0", Config::default()).await?;
        leaves.push(Addr::new(endpoint.local_addr(), 1)?);
        tokio::spawn(leaf(endpoint.serve(1)?, number));
    }

    let root = Endpoint::client(Config::default()).await?;
    let options = CallOptions::new().deadline(Duration::from_millis(500));
    let calls: Vec<_> = leaves
        .iter()
        .map(|addr| tokio::spawn(root.call_with(*addr, "your number?", options)))
        .collect();

    let mut sum = 0;
    for call in calls {
        match call.await? {
            Ok(number) => sum += u64::from_le_bytes(number.into_bytes()[..].try_into()?),
            Err(error) => println!("without one leaf: {error}"),
        }
    }
    println!("sum of the others: {sum}");
    assert_eq!(sum, (0..20).sum::<u64>() - 13);
    Ok(())
}
