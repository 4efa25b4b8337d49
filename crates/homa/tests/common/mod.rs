//! What several tests need: endpoints on loopback, servers that echo, contents that can be checked.
#![allow(dead_code, reason = "each test file uses a part")]

use homa::{Addr, Config, Endpoint, Server, blocking};

/// The Homa port of the servers here.
pub(crate) const PORT: u16 = 7;

/// `length` bytes that follow from `seed`, with no short period.
pub(crate) fn contents(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A configuration for messages of up to `bytes`.
pub(crate) fn config_for(bytes: u32) -> Config {
    let mut config = Config::default();
    config.proto.message_length_max = bytes;
    config
}

pub(crate) fn addr_of(local: std::net::SocketAddr) -> Addr {
    Addr::new(local, PORT).unwrap()
}

pub(crate) async fn endpoint(config: Config) -> Endpoint {
    Endpoint::bind("127.0.0.1:0", config).await.unwrap()
}

/// An endpoint that serves, and the address of its server.
pub(crate) async fn serving(config: Config) -> (Endpoint, Server, Addr) {
    let endpoint = endpoint(config).await;
    let server = endpoint.serve(PORT).unwrap();
    let addr = addr_of(endpoint.local_addr());
    (endpoint, server, addr)
}

/// An endpoint whose server echoes in a task, until the endpoint closes.
pub(crate) async fn echoing(config: Config) -> (Endpoint, Addr) {
    let (endpoint, server, addr) = serving(config).await;
    tokio::spawn(async move {
        while let Some(mut request) = server.accept().await {
            let echo = request.take_message();
            // The client may have given up.
            let _ = request.reply(echo);
        }
    });
    (endpoint, addr)
}

pub(crate) fn blocking_endpoint(config: Config) -> blocking::Endpoint {
    blocking::Endpoint::bind("127.0.0.1:0", config).unwrap()
}

/// An endpoint whose server echoes in threads, until the endpoint closes.
pub(crate) fn blocking_echoing(config: Config, threads: usize) -> (blocking::Endpoint, Addr) {
    let endpoint = blocking_endpoint(config);
    let server = endpoint.serve(PORT).unwrap();
    for _ in 0..threads {
        let server = server.clone();
        std::thread::spawn(move || {
            while let Some(mut request) = server.accept() {
                let echo = request.take_message();
                let _ = request.reply(echo);
            }
        });
    }
    let addr = addr_of(endpoint.local_addr());
    (endpoint, addr)
}
