//! Parameters of an endpoint: plain values with defaults, checked once.
//!
//! Every field names its unit, its default, and HomaModule's name for it where there is one
//! (PARAMETERS section 1).

use crate::cutoffs::CutoffConfig;
use crate::error::{ConfigError, NoMemory};
use crate::grant::GrantConfig;
use crate::incoming::memory_of;
use crate::pacer::PacerConfig;
use crate::sockets::CLIENT_PORT_FIRST;
use crate::time::Duration;
use homa_wire::{PRIORITY_LEVELS, RpcId, Version};

/// All parameters of an [`crate::Endpoint`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Seed of every random choice: first ids, first client port, first cutoff version, hash keys,
    /// jitter. Take it from the operating system in production, fix it to reproduce a run. Default 0.
    pub seed: u64,
    /// Id of the first RPC started here, even and not 0 (`next_id`): to tell hosts apart in traces,
    /// or to replay a recording. Default `None`, a random one, so that a restarted host does not
    /// repeat the ids of its previous life (KNOWN_ISSUES 1.3).
    pub first_client_id: Option<RpcId>,
    /// Port of the first client socket, 32,768 to 65,535; the kernel implementation begins at
    /// 32,768. Default `None`, a random one.
    pub first_client_port: Option<u16>,
    /// The packet layout spoken. Default [`Version::V1`].
    pub wire_version: Version,
    /// Longest message sent or accepted, in bytes, 1 to 67,108,864. Default 1,000,000, all that
    /// the kernel implementation accepts.
    pub message_length_max: u32,
    /// Bytes of a message sent without waiting for grants. Default 40,000 (`unsched_bytes`).
    /// At 0 a message is announced by an empty DATA packet (HOMA-DATA-14).
    pub unscheduled_bytes: u32,
    /// Messages of so many bytes or more have no unscheduled bytes: they are announced by an empty DATA packet,
    /// which goes before all that waits and at the level of the shortest message, and wait a round
    /// trip for their first grant. So what senders send unasked does not fill switches, and receivers
    /// learn early of what is to come. Default 4,294,967,295, none.
    pub wholly_scheduled_min: u32,
    /// A receiver is told, by BUSY, that what it granted to a message has to wait, if the message that
    /// goes before has so many granted bytes or more to send. With `grants.idle_after` a receiver does not count
    /// them as on their way then (ADR 0013); without, and to kernels, this is but a sign of life. Default 4,294,967,295,
    /// never.
    pub tell_held_min: u32,
    /// Lowers a peer's unscheduled bytes to what the link carries in a measured minimum round
    /// trip, at `link_mbps`; a local decision (KNOWN_ISSUES 3.2). Default off.
    pub unscheduled_by_round_trip: bool,
    /// Whether the level of an unscheduled packet follows from the bytes of the message that remain to
    /// be sent, its own included, rather than from the message's length; a message's later packets
    /// may overtake longer messages so, as in the published simulation. A local decision: the
    /// receiver's cutoffs are obeyed either way. Own cutoffs are computed as if all hosts did the
    /// same. Default off.
    pub unscheduled_by_remaining: bool,
    /// Open calls of this host beyond which further requests are marked: many responses might come at
    /// the same time, and servers that understand the mark begin theirs with few unscheduled bytes,
    /// so that the grants of this host govern the rest (SIGCOMM 2018, section 3.6 "incast"). Kernel
    /// servers ignore it. A call counts from `send_request` to `finish`. Default `None`, never (ADR
    /// 0011).
    pub incast_calls_max: Option<u32>,
    /// Unscheduled bytes of a response whose request bears that mark, where `unscheduled_bytes` is
    /// more. Default 400; at `u32::MAX` the mark is ignored.
    pub incast_unscheduled_bytes: u32,
    /// Priority levels in use, 1 to 8. Default 8 (`num_priorities`).
    pub priority_levels: u8,
    /// Speed of this host's link in Mb/s. Default 25,000 (`link_mbps`).
    pub link_mbps: u32,
    /// Whether outgoing packets are paced to `link_mbps`. Packets to loopback addresses never are:
    /// there is no link to keep free. Default on.
    pub pacing: bool,
    /// The receiver's scheduling of incoming messages.
    pub grants: GrantConfig,
    /// The computation of this host's unscheduled priority cutoffs.
    pub cutoffs: CutoffConfig,
    /// Pacing of outgoing packets.
    pub pacer: PacerConfig,
    /// Retransmission, acknowledgement, and when to give up.
    pub timing: Timing,
    /// What may accumulate.
    pub limits: Limits,
    /// What happens when that is reached.
    pub overload: Overload,
    /// What peers may draw that have not shown that they receive what is sent to their address, or
    /// `None` for no limit: where packets are authenticated, or forged addresses can't occur. Default
    /// on.
    pub amplification: Option<Amplification>,
    /// Whether to send REFUSE where the wire of the kernel implementation has no answer. Kernel
    /// peers drop it silently. Default on.
    pub refuse: bool,
    /// Whether FREEZE packets are reported to the observer; otherwise they are dropped and
    /// counted. Default off.
    pub accept_freeze: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            first_client_id: None,
            first_client_port: None,
            wire_version: Version::V1,
            message_length_max: homa_wire::MESSAGE_LENGTH_MAX,
            unscheduled_bytes: 40_000,
            wholly_scheduled_min: u32::MAX,
            tell_held_min: u32::MAX,
            unscheduled_by_round_trip: false,
            unscheduled_by_remaining: false,
            incast_calls_max: None,
            incast_unscheduled_bytes: 400,
            priority_levels: 8,
            link_mbps: 25_000,
            pacing: true,
            grants: GrantConfig::default(),
            cutoffs: CutoffConfig::default(),
            pacer: PacerConfig::default(),
            timing: Timing::default(),
            limits: Limits::default(),
            overload: Overload::default(),
            amplification: Some(Amplification::default()),
            refuse: true,
            accept_freeze: false,
        }
    }
}

/// Times of loss recovery and of giving up. The mapping from HomaModule's ticks is in ADR 0004.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Timing {
    /// Silence of an expected packet before it is asked for, while a peer's delay is unknown, and
    /// the shortest such wait when nothing arrived at all. Default 5 ms (`resend_ticks`,
    /// `resend_interval`).
    pub resend_interval: Duration,
    /// Longest wait between two RESENDs of an RPC, whatever delay was measured or however often
    /// the peer said BUSY. Default 40 ms.
    pub resend_interval_max: Duration,
    /// Least age of a gap between received bytes before it is asked for; the measured reordering
    /// raises it. Default 1 ms.
    pub gap_patience_min: Duration,
    /// Silence, with RESENDs unanswered, after which a peer or an RPC has timed out. Default 100 ms
    /// (`timeout_ticks`).
    pub timeout: Duration,
    /// RESENDs that must have gone unanswered before a timeout is declared. Default 5
    /// (HOMA-TIMEOUT-2).
    pub timeout_resends: u32,
    /// Least spacing of RESENDs to one peer. Default 10 us.
    pub resend_spacing: Duration,
    /// Spacing up to which RESENDs to one peer slow down while they find nothing: those that go
    /// unanswered, and, apart from them, those for RPCs that the peer has said it works on. Default
    /// 1 ms.
    pub resend_spacing_max: Duration,
    /// Time from the end of the response's transmission to the first NEED_ACK. Default 2 ms
    /// (`request_ack_ticks`); doubles with each further one.
    pub need_ack_delay: Duration,
    /// Longest wait between two NEED_ACKs of an RPC. Default 100 ms.
    pub need_ack_delay_max: Duration,
    /// Silence of a client after which a server forgets its RPCs; exceeds what a live client
    /// would bear (HOMA-NEEDACK-5). Default 10 s.
    pub client_silence_max: Duration,
    /// A server RPC about which a live client said nothing for so long is forgotten. Default 60 s.
    pub rpc_silence_max: Duration,
    /// How long a call may take in all, unless its sender says otherwise. Default 10 s.
    pub call_deadline: Duration,
    /// How long a server remembers finished RPC ids at the least. A client that hears after more than
    /// half of that time that its server does not know a request can't know whether it was executed,
    /// and fails the call. Default 10 s.
    pub finished_memory: Duration,
    /// How long a server remembers why it refused a request. Each holds the place of an RPC, unlike
    /// finished ids. Default 2 s.
    pub refusal_memory: Duration,
    /// Least spacing of CUTOFFS to one peer. Default 1 ms.
    pub cutoffs_spacing: Duration,
    /// Granularity of deadlines. Default 64 us, rounded to a power of two of nanoseconds.
    pub granularity: Duration,
    /// Idle time before a peer may be evicted to make room, at least `finished_memory`, since
    /// its finished ids go with it. Default 10 s (`peer_idle_secs_min`).
    pub peer_idle_min: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            resend_interval: Duration::from_millis(5),
            resend_interval_max: Duration::from_millis(40),
            gap_patience_min: Duration::from_millis(1),
            timeout: Duration::from_millis(100),
            timeout_resends: 5,
            resend_spacing: Duration::from_micros(10),
            resend_spacing_max: Duration::from_millis(1),
            need_ack_delay: Duration::from_millis(2),
            need_ack_delay_max: Duration::from_millis(100),
            client_silence_max: Duration::from_secs(10),
            rpc_silence_max: Duration::from_secs(60),
            call_deadline: Duration::from_secs(10),
            finished_memory: Duration::from_secs(10),
            refusal_memory: Duration::from_secs(2),
            cutoffs_spacing: Duration::from_millis(1),
            granularity: Duration::from_micros(64),
            peer_idle_min: Duration::from_secs(10),
        }
    }
}

/// What may accumulate. Reaching a limit is an ordinary outcome: a typed error to the caller, or
/// a refusal or a counted drop towards the network.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Open client RPCs, held by callers from `send_request` to `finish`. Default 262,144.
    pub client_rpcs_max: u32,
    /// Open server RPCs, held from a request's first packet to its acknowledgement; a request
    /// beyond is refused as overloaded. Default 262,144.
    pub server_rpcs_max: u32,
    /// Peers known, each held while it has open RPCs and for `peer_idle_min` after. Default 65,536.
    pub peers_max: u32,
    /// Memory of incoming messages in bytes, held from arrival, or from the grant that lets it arrive,
    /// until the application takes the message. It counts in pieces of 65,536 bytes, the end of a
    /// message exactly up to 16,384. No grants are given and no new bytes accepted beyond it. Default
    /// 256 MiB.
    pub incoming_bytes_max: u64,
    /// Bytes of outgoing messages, held from the send call until `Event::Release`. Default
    /// 100,000,000 (`wmem_max`).
    pub outgoing_bytes_max: u64,
    /// Holes in one incoming message; a packet that would make one more is dropped. Default 4,096.
    pub gaps_max: usize,
    /// Holes in all incoming messages together, about 8 bytes each. Default 1,048,576.
    pub gaps_total_max: u64,
    /// Open client RPCs, and as many server RPCs, of one socket. Default: no limit but the host's.
    pub socket_rpcs_max: u32,
    /// Memory of one socket's incoming messages, as `incoming_bytes_max`: a request beyond is refused
    /// as overloaded, and no call is started while responses hold so much that is arriving or that
    /// the application has not taken. Default: no limit but the host's.
    pub socket_incoming_bytes_max: u64,
    /// Bytes of one socket's outgoing messages. Default: no limit but the host's.
    pub socket_outgoing_bytes_max: u64,
    /// Finished RPC ids remembered per client, in groups of 64 neighbours. Default 262,144 groups.
    pub finished_ids_max: usize,
    /// The same over all clients, about 32 bytes each. Beyond it a client's older ids are forgotten
    /// when newer ones come. Default 1,048,576 groups.
    pub finished_ids_total_max: usize,
    /// Control packets waiting for the driver; more are dropped and counted. Held for one drain.
    /// Default 65,536.
    pub control_packets_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            client_rpcs_max: 262_144,
            server_rpcs_max: 262_144,
            peers_max: 65_536,
            incoming_bytes_max: 256 << 20,
            outgoing_bytes_max: 100_000_000,
            gaps_max: 4_096,
            gaps_total_max: 1 << 20,
            socket_rpcs_max: u32::MAX,
            socket_incoming_bytes_max: u64::MAX,
            socket_outgoing_bytes_max: u64::MAX,
            finished_ids_max: 262_144,
            finished_ids_total_max: 1 << 20,
            control_packets_max: 65_536,
        }
    }
}

impl Limits {
    /// Limits with which an endpoint and its driver together stay within `memory_bytes` (at least
    /// 4 MiB is assumed), whatever peers do: half for incoming messages and buffers kept for them, a
    /// quarter for outgoing ones, the rest for tables. Bytes of messages that the application holds are the application's.
    #[must_use]
    pub fn within(memory_bytes: u64) -> Self {
        let memory_bytes = memory_bytes.max(4 << 20);
        // A tenth for server RPCs, a twentieth each for client RPCs, peers and the rest.
        let places = |divisor: u64, bytes_each: u64, max: u32| {
            u32::try_from(memory_bytes / divisor / bytes_each).unwrap_or(max).clamp(16, max)
        };
        let all = Self::default();
        let tables = memory_bytes / 20;
        let groups = usize::try_from(tables / 2 / 32).unwrap_or(all.finished_ids_total_max);
        Self {
            client_rpcs_max: places(20, RPC_BYTES, all.client_rpcs_max),
            server_rpcs_max: places(10, RPC_BYTES, all.server_rpcs_max),
            peers_max: places(20, PEER_BYTES, all.peers_max),
            incoming_bytes_max: memory_bytes / 16 * 7,
            outgoing_bytes_max: memory_bytes / 4,
            gaps_total_max: (tables / 4 / 8).min(all.gaps_total_max),
            finished_ids_total_max: groups.min(all.finished_ids_total_max),
            control_packets_max: places(80, 128, all.control_packets_max as u32) as usize,
            ..all
        }
    }
}

/// Bytes that an open RPC takes besides its message, in all tables of core, driver and endpoint, when these are full.
const RPC_BYTES: u64 = 1_280;

/// The same of a peer, without finished ids.
const PEER_BYTES: u64 = 1_024;

/// What happens when limits are near or reached.
///
/// The remedies apply in this order: a peer gets no more than its share; what makes no progress is
/// given up, longest inactive first; new requests are turned away; grants are withheld from messages
/// that need more memory than is left; sends of this host's own application are refused.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Overload {
    /// Share of the server RPCs and of the memory for incoming messages that one peer's requests may
    /// hold when no other peer holds any, in thousandths; of several each gets less, so that room is
    /// left for newcomers. 1 to 1000; at 1000 there are no shares. Default 500.
    pub peer_share_permille: u32,
    /// After how long without progress (1,000 new bytes, or the end) an incomplete request that waits
    /// for its client may be given up when room is short; likewise a response that was sent in full
    /// when its client is silent. Where `Timing::timeout` is longer, that counts. A tenth of it for
    /// requests of peers that have not shown their address, for the sake of one that has. Default 200 ms.
    pub inactive_after: Duration,
    /// New requests to a socket's host are turned away while a complete request has waited for so
    /// long to be accepted: by the time that they were accepted their clients would have given up.
    /// Default 1 s.
    pub queue_delay_max: Duration,
    /// What a client is told for whose request there is no room. Default [`OverloadAnswer::Refuse`].
    pub answer: OverloadAnswer,
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            peer_share_permille: 500,
            inactive_after: Duration::from_millis(200),
            queue_delay_max: Duration::from_secs(1),
            answer: OverloadAnswer::Refuse,
        }
    }
}

/// Limits of what a peer draws that has not echoed the cutoff version that only it was told.
///
/// Per second it draws at most `factor` times the bytes that it sent, of Homa headers and payload, and
/// `Config::unscheduled_bytes` (at least 1,500); ACKs and what calls of this host send are not counted.
/// Peers that never echo a version (WIRE section 10) stay limited. Loopback addresses are exempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amplification {
    /// Bytes drawn per byte sent. Default 3.
    pub factor: u32,
    /// How often, at most, a client is asked to echo its version before a response that exceeds what it
    /// may draw is sent at the limited rate. Default 3.
    pub challenges: u32,
    /// Distinct wrong echoes per second after which no echo counts until that second is over, at least
    /// 1. Default 8: to try half of all versions takes 68 minutes.
    pub guesses_max: u32,
}

impl Default for Amplification {
    fn default() -> Self {
        Self { factor: 3, challenges: 3, guesses_max: 8 }
    }
}

/// What a client is told for whose request there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverloadAnswer {
    /// REFUSE: its call fails at once, and it may go elsewhere.
    Refuse,
    /// BUSY: it tries again, at growing intervals, until its call's deadline. Kernel peers understand
    /// this one.
    Busy,
}

/// Longest message that can be configured: 64 MiB.
pub const MESSAGE_LENGTH_LIMIT: u32 = 64 << 20;

impl Config {
    /// Checks every rule that the fields' documentation states.
    ///
    /// # Errors
    ///
    /// The first field found to break its rule.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let rule = |ok: bool, field: &'static str, rule: &'static str| {
            if ok { Ok(()) } else { Err(ConfigError { field, rule }) }
        };
        let id_ok = self.first_client_id.is_none_or(|id| id.is_client() && id.0 != 0);
        rule(id_ok, "first_client_id", "even, not 0")?;
        let port_ok = self.first_client_port.is_none_or(|port| port >= CLIENT_PORT_FIRST);
        rule(port_ok, "first_client_port", "32,768 to 65,535")?;
        let length_ok = (1..=MESSAGE_LENGTH_LIMIT).contains(&self.message_length_max);
        rule(length_ok, "message_length_max", "1 to 67,108,864 bytes")?;
        rule((1..=8).contains(&self.priority_levels), "priority_levels", "1 to 8")?;
        rule(self.link_mbps >= 1, "link_mbps", "at least 1")?;
        let overcommit_ok = (1..=64).contains(&self.grants.overcommit_max);
        rule(overcommit_ok, "grants.overcommit_max", "1 to 64")?;
        rule(self.grants.incoming_bytes_max >= 1, "grants.incoming_bytes_max", "at least 1 byte")?;
        let segments_ok = (1..=16).contains(&self.grants.grant_segments_min);
        rule(segments_ok, "grants.grant_segments_min", "1 to 16")?;
        let tells_idle = self.grants.idle_after == Duration::ZERO || self.grants.window_bytes > 0;
        rule(tells_idle, "grants.idle_after", "0 if grants.window_bytes is 0")?;
        rule(self.grants.fifo_share_permille <= 500, "grants.fifo_share_permille", "at most 500")?;
        rule(self.pacer.fifo_share_permille <= 500, "pacer.fifo_share_permille", "at most 500")?;
        rule(
            (50..=1000).contains(&self.pacer.usage_permille),
            "pacer.usage_permille",
            "50 to 1000",
        )?;
        let cutoffs = self.cutoff_config().fixed_table();
        let cutoffs_ok = cutoffs.is_none_or(|table| table.is_sorted_by(|a, b| a >= b));
        rule(cutoffs_ok, "cutoffs.fixed", "non-increasing from the lowest level used")?;
        self.timing.validate()?;
        rule(self.limits.client_rpcs_max >= 1, "limits.client_rpcs_max", "at least 1")?;
        rule(self.limits.peers_max >= 1, "limits.peers_max", "at least 1")?;
        rule(self.limits.gaps_max >= 1, "limits.gaps_max", "at least 1")?;
        rule(self.limits.control_packets_max >= 16, "limits.control_packets_max", "at least 16")?;
        rule(
            (1..=1000).contains(&self.overload.peer_share_permille),
            "overload.peer_share_permille",
            "1 to 1000",
        )?;
        let guesses_ok = self.amplification.is_none_or(|limit| limit.guesses_max >= 1);
        rule(guesses_ok, "amplification.guesses_max", "at least 1")?;
        let in_ok = self.limits.incoming_bytes_max >= memory_of(self.message_length_max);
        rule(
            in_ok,
            "limits.incoming_bytes_max",
            "at least what a message of message_length_max takes",
        )?;
        let out_ok = self.limits.outgoing_bytes_max >= u64::from(self.message_length_max);
        rule(out_ok, "limits.outgoing_bytes_max", "at least message_length_max")
    }
}

impl Config {
    /// The cutoffs that give each unscheduled level about the same number of bytes of known traffic,
    /// described by message lengths in bytes and how many have each, in any order. What an endpoint
    /// with this configuration computes from the traffic that it sees, but for lengths in classes;
    /// meant for [`CutoffConfig::fixed`].
    ///
    /// It depends on `priority_levels`, `unscheduled_bytes`, `message_length_max`, `cutoffs.unscheduled_levels`
    /// and `cutoffs.unscheduled_boost_permille`; with `unscheduled_by_remaining` also on
    /// `segment_bytes`, the payload of a full packet. Numbers are exact up to 2^50 bytes in all.
    ///
    /// A single length cannot be divided. One that carries more than a level's share takes a level
    /// alone, and fewer levels may be used than asked for; the others are left to scheduled bytes.
    ///
    /// # Errors
    ///
    /// [`NoMemory`] if a table as long as the description can't be allocated.
    pub fn balanced_cutoffs(
        &self,
        messages: impl IntoIterator<Item = (u32, u64)>,
        segment_bytes: u32,
    ) -> Result<[u32; PRIORITY_LEVELS], NoMemory> {
        self.cutoff_config().balance_messages(messages, segment_bytes)
    }

    /// How long an RPC must have been inactive to be given up.
    pub(crate) fn inactive_after(&self) -> Duration {
        self.overload.inactive_after.max(self.timing.timeout)
    }

    /// Parameters that several parts need, handed on to each.
    pub(crate) fn grant_config(&self) -> GrantConfig {
        let (link_mbps, priority_levels) = (self.link_mbps, self.priority_levels);
        GrantConfig { link_mbps, priority_levels, ..self.grants.clone() }
    }

    pub(crate) fn cutoff_config(&self) -> CutoffConfig {
        CutoffConfig {
            priority_levels: self.priority_levels,
            unscheduled_bytes: self.unscheduled_bytes,
            message_length_max: self.message_length_max,
            by_remaining: self.unscheduled_by_remaining,
            ..self.cutoffs.clone()
        }
    }

    pub(crate) fn pacer_config(&self) -> PacerConfig {
        let link_mbps = if self.pacing { self.link_mbps } else { 0 };
        PacerConfig { link_mbps, ..self.pacer.clone() }
    }
}

impl Timing {
    fn validate(&self) -> Result<(), ConfigError> {
        let positive = |d: Duration, field| {
            if d > Duration::ZERO {
                Ok(())
            } else {
                Err(ConfigError { field, rule: "longer than 0" })
            }
        };
        positive(self.resend_interval, "timing.resend_interval")?;
        positive(self.timeout, "timing.timeout")?;
        positive(self.gap_patience_min, "timing.gap_patience_min")?;
        positive(self.resend_spacing, "timing.resend_spacing")?;
        positive(self.need_ack_delay, "timing.need_ack_delay")?;
        positive(self.client_silence_max, "timing.client_silence_max")?;
        positive(self.rpc_silence_max, "timing.rpc_silence_max")?;
        positive(self.call_deadline, "timing.call_deadline")?;
        positive(self.granularity, "timing.granularity")?;
        if self.resend_spacing_max < self.resend_spacing {
            return Err(ConfigError {
                field: "timing.resend_spacing_max",
                rule: "at least timing.resend_spacing",
            });
        }
        if self.resend_interval_max < self.resend_interval {
            return Err(ConfigError {
                field: "timing.resend_interval_max",
                rule: "at least timing.resend_interval",
            });
        }
        if self.peer_idle_min < self.finished_memory {
            return Err(ConfigError {
                field: "timing.peer_idle_min",
                rule: "at least timing.finished_memory (HOMA-ONCE-3)",
            });
        }
        if self.client_silence_max <= self.timeout {
            return Err(ConfigError {
                field: "timing.client_silence_max",
                rule: "longer than timing.timeout (HOMA-NEEDACK-5)",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn validate__accepts_the_defaults() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn validate__names_the_field_at_fault() {
        let config = Config { message_length_max: MESSAGE_LENGTH_LIMIT + 1, ..Config::default() };
        assert_eq!(config.validate().unwrap_err().field, "message_length_max");

        let mut config = Config::default();
        config.timing.client_silence_max = config.timing.timeout;
        assert_eq!(config.validate().unwrap_err().field, "timing.client_silence_max");

        let config = Config { first_client_id: Some(RpcId(3)), ..Config::default() };
        assert_eq!(config.validate().unwrap_err().field, "first_client_id");

        let config = Config { first_client_port: Some(4000), ..Config::default() };
        assert_eq!(config.validate().unwrap_err().field, "first_client_port");

        let mut config = Config::default();
        config.cutoffs.fixed = Some([0, 0, 300, 0, 0, 0, 20, 10]);
        assert_eq!(
            config.validate(),
            Err(ConfigError {
                field: "cutoffs.fixed",
                rule: "non-increasing from the lowest level used"
            })
        );
        config.cutoffs.fixed = Some([0, 0, 300, 20, 10, 0, 0, 0]);
        assert_eq!(config.validate(), Ok(()));

        for segments in [0, 17] {
            let mut config = Config::default();
            config.grants.grant_segments_min = segments;
            assert_eq!(config.validate().unwrap_err().field, "grants.grant_segments_min");
        }

        let mut config = Config::default();
        config.grants.idle_after = Duration::from_micros(5);
        assert_eq!(config.validate().unwrap_err().field, "grants.idle_after");
        config.grants.window_bytes = 100_000;
        assert_eq!(config.validate(), Ok(()));

        let mut config = Config::default();
        config.limits.incoming_bytes_max = 999_999;
        assert_eq!(config.validate().unwrap_err().field, "limits.incoming_bytes_max");
    }
}
