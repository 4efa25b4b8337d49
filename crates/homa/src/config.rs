//! Parameters of endpoints and of calls.

use std::time::Duration;

use homa_io::{AuthConfig, FaultPlan, RawConfig, UdpConfig};
use homa_wire::Priority;

/// See [`Config::proto`].
const PACER_BACKLOG_MAX: homa_proto::Duration = homa_proto::Duration::from_micros(20);

/// All parameters of an endpoint: plain values with defaults, checked when it is bound.
///
/// ```
/// let mut config = homa::Config::default();
/// config.proto.message_length_max = 4 << 20;
/// config.poll = std::time::Duration::ZERO;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The UDP socket, unless `raw` is set.
    pub udp: UdpConfig,
    /// Raw IP (protocol 146) in place of UDP, as the Linux kernel implementation speaks it. It takes
    /// the capability CAP_NET_RAW, and one endpoint per host has the protocol unless
    /// [`RawConfig::shared_ports`] is set. There are no UDP ports then: endpoints are bound to an
    /// address with port 0, and servers are addressed by host and Homa port, `host:P`. Default
    /// `None`: UDP.
    pub raw: Option<RawConfig>,
    /// The protocol. Its `seed` is replaced, see [`Config::seed`], and bytes in flight towards this
    /// host are bounded by what the socket's receive buffer holds.
    ///
    /// `proto.link_mbps` should be the speed of the host's link: what is sent is paced to it. Of the core's
    /// defaults one is another here: `proto.pacer.backlog_max` is 20 us in place of 5, as long as
    /// 62,500 bytes take at the default speed. A thread that also receives comes back to sending
    /// less often than a kernel, and a run of packets that leaves as one is about as long.
    pub proto: homa_proto::Config,
    /// How long a thread that waits polls, yielding the processor, after the last packet before it
    /// sleeps; only for the blocking API. Longer means lower latency for sparse messages and more
    /// processor time; a wake-up from sleep costs 2 to 50 us. 0 = sleep at once. Default 50 us.
    pub poll: Duration,
    /// The same for the driver task of an asynchronous endpoint, which meanwhile yields to other
    /// tasks and processes; it keeps one of the runtime's threads busy. Default 0.
    pub poll_async: Duration,
    /// What calls do for which this endpoint has no room: for want of places for calls
    /// (`proto.limits.client_rpcs_max`, `socket_rpcs_max`) or of memory for what is sent
    /// (`outgoing_bytes_max`, `socket_outgoing_bytes_max`), or because of responses that nobody takes
    /// (`socket_incoming_bytes_max`). [`CallOptions::when_full`] says so for one
    /// call. What can't wait, [`send`](crate::Endpoint::send) and [`reply`](crate::Request::reply),
    /// has a twin that waits. Default [`WhenFull::Reject`].
    pub when_full: WhenFull,
    /// Whether packets carry Homa's own checksum, and those without a right one are dropped. All
    /// endpoints that talk to each other must agree. UDP's checksum covers what networks do to
    /// packets; this one covers the way above it, at the price of reading each byte once more on
    /// either side. Default off.
    pub checksums: bool,
    /// Authenticates every packet with a key that all endpoints have that talk to each other;
    /// packets of others are dropped and counted in [`Stats::auth`](crate::Stats::auth). Packets
    /// are not encrypted. Endpoints with a key and such without can't talk: calls between them end
    /// in [`CallError::Timeout`](crate::CallError::Timeout). Default none.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let path = std::env::temp_dir().join(format!("homa-doc-key-{}", std::process::id()));
    /// # std::fs::write(&path, "7".repeat(64))?;
    /// let mut config = homa::Config::default();
    /// config.auth = Some(homa::AuthConfig::new(homa::KeyFile::read(&path)?.keys));
    /// # std::fs::remove_file(path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub auth: Option<AuthConfig>,
    /// Faults to inject into the packets that arrive and leave, for tests. Default none.
    pub fault: Option<FaultPlan>,
    /// Seed of every random choice, to reproduce a run. Default `None`: from the operating system.
    pub seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        let mut proto = homa_proto::Config::default();
        proto.pacer.backlog_max = PACER_BACKLOG_MAX;
        Self {
            udp: UdpConfig::default(),
            raw: None,
            proto,
            poll: Duration::from_micros(50),
            poll_async: Duration::ZERO,
            when_full: WhenFull::default(),
            checksums: false,
            auth: None,
            fault: None,
            seed: None,
        }
    }
}

/// What becomes of a call for which its own endpoint has no room.
///
/// Calls that wait go in the order in which they were made, after replies that wait. While they do,
/// others that would not wait are rejected. Each holds its own message, which no limit counts
/// (`waiting_bytes` of the [accounts](crate::Accounts) does): who makes calls without end should not
/// let them wait. No call waits for places for peers (`proto.limits.peers_max`), which become free by
/// time only, nor for room that no call of its length ever has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// It fails at once, with [`CallError::Full`](crate::CallError::Full).
    #[default]
    Reject,
    /// It waits for room until its deadline.
    Wait,
}

/// Choices for one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallOptions {
    /// How long the call may take in all, to the nanosecond; `None` for
    /// `proto.timing.call_deadline`, 10 seconds unless configured.
    pub deadline: Option<Duration>,
    /// Priority of the request's first bytes in the network, in place of the level that the server
    /// recommends for the request's length.
    pub priority: Option<Priority>,
    /// What becomes of it if there is no room; `None` for [`Config::when_full`].
    pub when_full: Option<WhenFull>,
}

impl CallOptions {
    /// The default choices.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with a deadline.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same, with a priority.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// The same, with what becomes of the call if there is no room.
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = Some(when_full);
        self
    }

    pub(crate) fn to_proto(self) -> homa_proto::CallOptions {
        let mut options = homa_proto::CallOptions::default();
        options.deadline = self.deadline.map(to_proto);
        options.priority = self.priority;
        options
    }
}

/// Saturates at 584 years.
pub(crate) fn to_proto(duration: Duration) -> homa_proto::Duration {
    homa_proto::Duration::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
