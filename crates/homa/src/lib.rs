//! Homa: a receiver-driven RPC transport with low tail latency, for tokio and for blocking programs.
