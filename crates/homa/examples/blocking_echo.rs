//! Server and client without an asynchronous runtime, in one process.
//!
//!     cargo run --release --example blocking_echo

use std::time::Instant;

use homa::blocking::Endpoint;
use homa::{Addr, Config};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = Endpoint::bind("127.0.0.1:0", Config::default())?;
    let addr = Addr::new(endpoint.local_addr(), 7)?;
    let server = endpoint.serve(7)?;
    let echo = std::thread::spawn(move || {
        while let Some(mut request) = server.accept() {
            let echo = request.take_message();
            if let Err(error) = request.reply(echo) {
                eprintln!("no reply to {}: {error}", request.peer());
            }
        }
    });

    let client = Endpoint::client(Config::default())?;
    let mut times = Vec::new();
    for _ in 0..10_000 {
        let start = Instant::now();
        client.call(addr, vec![b'x'; 100])?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!("100 bytes there and back: median {:?}, P99 {:?}", times[5_000], times[9_900]);

    endpoint.close();
    echo.join().expect("the server does not panic");
    Ok(())
}
