//! Parameters of a server.

use std::time::Duration;

use crate::wire::MetadataLimits;

/// Parameters of a [`Server`](crate::Server): plain values with defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The longest Homa message that is sent, in bytes, at least 1,024; longer bodies are split. Not
    /// more than `proto.message_length_max` of this endpoint. Default 1,000,000.
    pub message_bytes_max: u32,
    /// Metadata sent and taken.
    pub metadata: MetadataLimits,
    /// How long a handler may take at most, whatever its client allows. Default `None`: no limit.
    pub deadline: Option<Duration>,
    /// Handlers that run at once; further calls wait for their turn. Default `None`: no limit.
    pub concurrency: Option<usize>,
    /// Bytes of requests that no handler has taken yet, of all clients together; half of it may be of one
    /// client's endpoint. Requests beyond are refused as overloaded, for their clients to make them again.
    /// At least twice the longest message that clients send (their `ChannelConfig::message_bytes_max`),
    /// for one that is longer than a client's half is refused for good. Default 256 MiB.
    pub held_bytes_max: usize,
    /// Bytes of streaming responses that are ready before their clients ask, of all streams together. While
    /// there are as many, handlers are not asked for more than their clients have room for; what a handler
    /// has said beyond that (the rest of a long message, say) waits and counts. Default 64 MiB.
    pub ahead_bytes_max: usize,
    /// Calls that are streams, of all clients together. Default 65,536.
    pub streams_max: usize,
    /// Calls that are streams, of one client's endpoint. Each may hold what its handler says at a time: one
    /// long message, for example. Default 4,096.
    pub streams_per_peer_max: usize,
    /// A stream of which the client says nothing for so long is cancelled: its handler is dropped.
    /// More than the clients' [`ChannelConfig::keep_alive`](crate::ChannelConfig::keep_alive).
    /// Default 10 s.
    pub stream_idle_max: Duration,
    /// A pull that has waited so long for something to be said is answered with nothing; the client
    /// keeps only one under way then. Default 10 s.
    pub pull_hold: Duration,
    /// How long calls may go on after the signal to shut down; then they are cancelled. Default 30 s.
    pub shutdown_patience: Duration,
    /// Tasks that accept requests, and that begin with the work of each: a handler that never waits
    /// needs no task of its own. Default `None`: one for each thread of the runtime.
    pub acceptors: Option<usize>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            message_bytes_max: homa::proto::Config::default().message_length_max,
            metadata: MetadataLimits::default(),
            deadline: None,
            concurrency: None,
            held_bytes_max: 256 << 20,
            ahead_bytes_max: 64 << 20,
            streams_max: 65_536,
            streams_per_peer_max: 4096,
            stream_idle_max: Duration::from_secs(10),
            pull_hold: Duration::from_secs(10),
            shutdown_patience: Duration::from_secs(30),
            acceptors: None,
        }
    }
}
