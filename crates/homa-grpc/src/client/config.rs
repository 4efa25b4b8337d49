//! Parameters of a channel.

use std::time::Duration;

use homa::WhenFull;

use crate::wire::MetadataLimits;

/// Parameters of a [`HomaChannel`](crate::HomaChannel): plain values with defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChannelConfig {
    /// The longest Homa message that is sent and that the server may answer with, in bytes, at least
    /// 1,024. Longer bodies are split. Not more than `proto.message_length_max` of this endpoint and
    /// of the server's. What is sent is cut to a third of `proto.limits.outgoing_bytes_max` as well.
    /// Default 1,000,000.
    pub message_bytes_max: u32,
    /// Metadata sent and taken.
    pub metadata: MetadataLimits,
    /// The deadline of calls that have no `grpc-timeout`. Default `None`: no deadline, as gRPC has it.
    pub deadline: Option<Duration>,
    /// Whether a call for which this endpoint has no room, or the server, which has turned it away as
    /// overloaded, waits until there is some, or its deadline has passed; or fails at once, with
    /// `RESOURCE_EXHAUSTED` or `UNAVAILABLE`, which is better where another server may take it. Default
    /// [`WhenFull::Wait`], as calls over HTTP/2 wait; [`homa::Config::when_full`] does not matter.
    pub when_full: WhenFull,
    /// Messages of a streaming response that may be under way or unread, each of up to
    /// `message_bytes_max`, 1 to 64 (values outside are moved to the nearest). Streams that have little to say use one. Default 8.
    pub pulls_max: usize,
    /// Messages of a streaming request that the server's handler has not taken yet, each of up to
    /// `message_bytes_max`, 1 to 64 (values outside are moved to the nearest). Default 4. Until then they
    /// count as sent by the endpoint; those of all streams have a third of its
    /// `proto.limits.outgoing_bytes_max`, and one stream as much as it leaves to others.
    pub pushes_max: usize,
    /// Bytes of streaming responses that have arrived and wait for their readers, of all streams of this
    /// channel: while there are as many, each stream asks for a message only when it has none. Default
    /// 32 MiB.
    pub unread_bytes_max: usize,
    /// How often the server is told that a stream still has a reader which is busy with what it
    /// has. Less than the server's [`ServerConfig::stream_idle_max`](crate::ServerConfig). Default
    /// 3 s.
    pub keep_alive: Duration,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            message_bytes_max: homa::proto::Config::default().message_length_max,
            metadata: MetadataLimits::default(),
            deadline: None,
            when_full: WhenFull::Wait,
            pulls_max: 8,
            pushes_max: 4,
            unread_bytes_max: 32 << 20,
            keep_alive: Duration::from_secs(3),
        }
    }
}

impl ChannelConfig {
    pub(super) fn message_bytes_max(&self) -> usize {
        self.message_bytes_max.max(crate::MESSAGE_BYTES_MIN) as usize
    }

    pub(super) fn pulls_max(&self) -> usize {
        self.pulls_max.clamp(1, crate::WINDOW)
    }

    pub(super) fn pushes_max(&self) -> usize {
        self.pushes_max.clamp(1, crate::WINDOW)
    }
}
