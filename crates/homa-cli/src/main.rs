//! The homa command: server, load generator, benchmarks and packet decoder for the Homa transport.
fn main() {}
