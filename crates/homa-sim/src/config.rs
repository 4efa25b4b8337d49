//! What to simulate.

use std::path::PathBuf;

use homa_proto::{Config, Duration};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dctcp::DctcpConfig;
use crate::faults::{Fault, FaultPlan};
use crate::framing::Framing;
use crate::network::{NetworkConfig, Routing};
use crate::oracle::OracleConfig;
use crate::replay::{Replay, ReplayError};
use crate::time::SimTime;
use crate::topology::{Shape, TopologyError};
use crate::traffic::{IncastOverlay, Pattern};
use crate::workload::{Sampling, Workload, WorkloadError};

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimConfig {
    /// What runs on the hosts.
    pub protocol: Protocol,
    /// Lengths of messages: `w1` to `w5`, `w1-pareto`, `starve`, a number of bytes, or `replay` for those
    /// that are replayed.
    pub workload: String,
    /// Treatment of lengths between those that a workload lists.
    pub sampling: Sampling,
    /// Share of the hosts' links that traffic needs, headers and grants included, 0 to 1.
    pub load: f64,
    /// Who sends to whom.
    pub traffic: Pattern,
    /// Incasts beside that.
    pub incast: Option<IncastOverlay>,
    /// A file of messages that are sent instead of those that workload, load and traffic describe; the
    /// workload then only gives the cutoffs that hosts know beforehand, and the ranges of lengths in
    /// reports.
    ///
    /// It is CSV. A line of names tells which column is `time_us`, the time at which a message starts, in
    /// microseconds from the start of the run (or `start_ns`, in nanoseconds); `from` and `to`, its sender
    /// and receiver; and `bytes`, its length. Hosts are numbers from 0, or, if not all of them are numbers,
    /// names, which are numbered in order of appearance. Other columns, empty lines and lines that begin
    /// with `#` are passed over; lines need not be in order of time. Of all messages from `warmup_ms` on,
    /// up to `messages` are measured.
    pub replay: Option<PathBuf>,
    /// Messages or RPCs.
    pub exchange: Exchange,
    /// Messages that are measured.
    pub messages: u64,
    /// Milliseconds of the same traffic before these: long messages take long to become as many as they
    /// will be.
    pub warmup_ms: f64,
    /// Seed of all that is random.
    pub seed: u64,
    /// The longest a run may take, in simulated seconds.
    pub seconds_max: f64,
    /// Switches and links.
    pub network: NetworkConfig,
    /// What goes wrong. Not for the oracle, which has no packets that could be lost.
    pub faults: Vec<Fault>,
    /// Headers.
    pub framing: Framing,
    /// Parameters of Homa.
    pub homa: HomaConfig,
    /// Parameters of the DCTCP-like sender.
    pub dctcp: DctcpConfig,
    /// Parameters of the central scheduler.
    pub oracle: OracleConfig,
}

/// The workload that has the lengths of what is replayed.
const REPLAY: &str = "replay";

/// What runs on the hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// The production core.
    #[default]
    Homa,
    /// A window-based sender that reacts to congestion marks ([`DctcpConfig`]), with ECMP by pairs of hosts
    /// whatever the network's routing, and marks from 65 full packets on if the network sets no
    /// threshold. For one-way messages only.
    Dctcp,
    /// A central scheduler that knows all messages and has the shortest sent: the lower bound
    /// ([`OracleConfig`]). For one-way messages only.
    Oracle,
}

/// What makes a request a message, and whether there is more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exchange {
    /// One-way messages, as in the simulations of SIGCOMM'18: what Homa needs to end the RPC (a
    /// response of one byte, its acknowledgement) travels beside the network.
    #[default]
    OneWay,
    /// RPCs: each request is answered by as many bytes; the response's arrival ends the message.
    Echo,
    /// RPCs: each request is answered by so many bytes.
    Reply(u32),
}

/// Parameters of Homa, as the published evaluation names them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HomaConfig {
    /// Priority levels in use, 1 to 8.
    pub priorities: u8,
    /// How many of them unscheduled data has, or `None` to divide them by bytes.
    pub unscheduled_priorities: Option<u8>,
    /// Messages that are granted at the same time (degree of overcommitment).
    pub overcommit: usize,
    /// Messages of one sender that are.
    pub overcommit_per_sender: usize,
    /// Bytes of a message that are sent without a grant.
    pub unscheduled_bytes: u32,
    /// Messages of so many bytes or more are announced, and sent only when granted.
    pub wholly_scheduled_bytes: u32,
    /// Bytes of a message that may be granted and not received (RTTbytes), or 0 for a share of
    /// `incoming_bytes`.
    pub rtt_bytes: u32,
    /// The same for all but the shortest of a receiver's messages.
    pub later_rtt_bytes: u32,
    /// Bytes that may be on their way to a host.
    pub incoming_bytes: u64,
    /// Nanoseconds without an arrival after which unanswered grants do not count as on their way, or 0 if they
    /// always do.
    pub idle_ns: u64,
    /// A receiver is told that what it granted waits, if the message that goes before has so many granted bytes
    /// to send.
    pub tell_held_bytes: u32,
    /// Least bytes of a grant.
    pub grant_bytes: u32,
    /// Least full packets of a grant.
    pub grant_packets: u32,
    /// Whether a message makes place for another when all of it is granted, not when it has arrived.
    pub places_end_when_granted: bool,
    /// Bytes at the end of scheduled messages that are sent at the level of short ones.
    pub tail_bytes: u32,
    /// Whether the level of an unscheduled packet follows from what remains of its message.
    pub by_remaining: bool,
    /// Whether cutoffs are computed beforehand from the workload; otherwise hosts learn them.
    pub known_cutoffs: bool,
    /// Cutoffs, by level from the lowest, instead.
    pub cutoffs: Option<[u32; 8]>,
    /// Share of the link for the oldest message, in thousandths.
    pub fifo_permille: u32,
    /// Bytes that it is granted at a time for that.
    pub fifo_grant_bytes: u32,
    /// Whether hosts pace what they hand to their interface, as drivers without feedback must.
    pub pacing: bool,
    /// Milliseconds of silence before packets are asked for again.
    pub resend_ms: u64,
    /// Open calls of a client beyond which its requests say that an incast is to be expected (the paper's
    /// incast control), or `None` for never.
    pub incast_calls_max: Option<u32>,
    /// Bytes of the response to such a request that are sent without a grant.
    pub incast_unscheduled_bytes: u32,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self::sigcomm18("w4")
    }
}

impl Default for HomaConfig {
    fn default() -> Self {
        Self::sigcomm18(1)
    }
}

impl HomaConfig {
    /// The protocol as published, with so many of eight levels for unscheduled data.
    fn sigcomm18(unscheduled_priorities: u8) -> Self {
        Self {
            priorities: 8,
            unscheduled_priorities: Some(unscheduled_priorities),
            overcommit: usize::from(8 - unscheduled_priorities),
            overcommit_per_sender: 1,
            unscheduled_bytes: 9328,
            wholly_scheduled_bytes: u32::MAX,
            rtt_bytes: 10_000,
            later_rtt_bytes: u32::MAX,
            incoming_bytes: u64::MAX >> 1,
            idle_ns: 0,
            tell_held_bytes: u32::MAX,
            grant_bytes: 0,
            grant_packets: 1,
            places_end_when_granted: true,
            tail_bytes: 10_000,
            by_remaining: true,
            known_cutoffs: true,
            cutoffs: None,
            fifo_permille: 0,
            fifo_grant_bytes: 50_000,
            pacing: false,
            resend_ms: 1000,
            incast_calls_max: None,
            incast_unscheduled_bytes: 400,
        }
    }

    /// Homa as it was simulated for SIRD's evaluation: a round trip is 100,000 bytes, and seven messages are
    /// granted at the same time.
    fn nsdi25() -> Self {
        Self {
            unscheduled_priorities: None,
            overcommit: 7,
            unscheduled_bytes: 100_000,
            rtt_bytes: 100_000,
            tail_bytes: 100_000,
            ..Self::sigcomm18(4)
        }
    }

    /// The same with informed overcommitment (ADR 0013).
    fn informed() -> Self {
        Self {
            overcommit: 24,
            wholly_scheduled_bytes: 500_000,
            later_rtt_bytes: 55_000,
            incoming_bytes: 150_000,
            idle_ns: 150,
            tell_held_bytes: 3_000,
            places_end_when_granted: false,
            ..Self::nsdi25()
        }
    }

    /// The protocol as the kernel implementation is deployed.
    fn kernel() -> Self {
        Self {
            priorities: 8,
            unscheduled_priorities: None,
            overcommit: 8,
            overcommit_per_sender: 8,
            unscheduled_bytes: 40_000,
            wholly_scheduled_bytes: u32::MAX,
            rtt_bytes: 0,
            later_rtt_bytes: u32::MAX,
            incoming_bytes: 400_000,
            idle_ns: 0,
            tell_held_bytes: u32::MAX,
            grant_bytes: 10_000,
            grant_packets: 2,
            places_end_when_granted: false,
            tail_bytes: 0,
            by_remaining: false,
            known_cutoffs: false,
            cutoffs: None,
            fifo_permille: 50,
            fifo_grant_bytes: 50_000,
            pacing: true,
            resend_ms: 5,
            incast_calls_max: None,
            incast_unscheduled_bytes: 400,
        }
    }
}

impl SimConfig {
    /// The published evaluation (SIGCOMM'18, section 5.2): 144 hosts, one-way messages, all to all, and
    /// the division of priorities that the paper gives for the workload; for others, 4 and 4.
    #[must_use]
    pub fn sigcomm18(workload: &str) -> Self {
        let (unscheduled, warmup_ms) = match workload {
            "w1" | "w1-pareto" => (7, 5.0),
            "w2" => (5, 20.0),
            "w4" => (1, 100.0),
            "w5" => (1, 300.0),
            REPLAY => (4, 0.0),
            _ => (4, 100.0),
        };
        Self {
            protocol: Protocol::Homa,
            workload: workload.into(),
            sampling: Sampling::Step,
            load: 0.8,
            traffic: Pattern::AllToAll,
            incast: None,
            replay: None,
            exchange: Exchange::OneWay,
            messages: 100_000,
            warmup_ms,
            seed: 1,
            seconds_max: 100.0,
            network: NetworkConfig::default(),
            faults: Vec::new(),
            framing: Framing::SIGCOMM18,
            homa: HomaConfig::sigcomm18(unscheduled),
            dctcp: DctcpConfig::default(),
            oracle: OracleConfig::default(),
        }
    }

    /// The kernel implementation's parameters, on links of 25 Gb/s, with RPCs.
    #[must_use]
    pub fn kernel(workload: &str) -> Self {
        let network = NetworkConfig {
            topology: Shape::SingleSwitch { hosts: 40 },
            host_gbps: 25.0,
            core_gbps: 100.0,
            host_send_ns: 1600,
            host_receive_ns: 3200,
            nic_queue_bytes: u64::MAX,
            routing: Routing::Flow,
            ..NetworkConfig::default()
        };
        Self {
            exchange: Exchange::Echo,
            network,
            framing: Framing::ipv4(3000),
            homa: HomaConfig::kernel(),
            ..Self::sigcomm18(workload)
        }
    }

    /// SIRD's evaluation (NSDI'25, table 5), with traffic all to all and a core that bears it all: 144 hosts
    /// at 100 Gb/s, one-way messages, and Homa as it was simulated there.
    #[must_use]
    pub fn nsdi25(workload: &str) -> Self {
        let network = NetworkConfig {
            host_gbps: 100.0,
            core_gbps: 400.0,
            propagation_ns: 200,
            switch_ns: 275,
            host_receive_ns: 825,
            ..NetworkConfig::default()
        };
        let warmup_ms = match workload {
            "w5" => 20.0,
            "w4" => 6.0,
            _ => 2.0,
        };
        Self {
            load: 0.5,
            warmup_ms,
            network,
            homa: HomaConfig::nsdi25(),
            ..Self::sigcomm18(workload)
        }
    }

    /// The same with informed overcommitment (ADR 0013).
    #[must_use]
    pub fn informed(workload: &str) -> Self {
        Self { homa: HomaConfig::informed(), ..Self::nsdi25(workload) }
    }

    /// The distribution of lengths.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the file can't be replayed whose lengths it has.
    pub fn workload(&self) -> Result<Workload, SimError> {
        let replay = if self.workload == REPLAY { self.replayed()? } else { None };
        self.workload_with(replay.as_ref())
    }

    /// Checks it without running it: what this accepts, [`run`](crate::run) accepts.
    ///
    /// # Errors
    ///
    /// What is not possible.
    pub fn validate(&self) -> Result<(), SimError> {
        self.network.topology.build()?;
        FaultPlan::new(&self.faults, &self.network)?;
        let inputs = self.inputs()?;
        if self.protocol == Protocol::Homa {
            self.homa_config(&inputs).validate()?;
        }
        Ok(())
    }

    /// What messages are made from, read once for all that needs it; with it all is checked that is not the
    /// network's, the faults' or the core's own.
    ///
    /// # Errors
    ///
    /// A value is out of its range, or there is no such workload or file.
    pub(crate) fn inputs(&self) -> Result<Inputs, SimError> {
        let replay = self.replayed()?;
        self.check_ranges()?;
        let workload = self.workload_with(replay.as_ref())?;
        if workload.longest() > homa_proto::MESSAGE_LENGTH_LIMIT {
            return Err(SimError::Config("messages are too long".into()));
        }
        Ok(Inputs { workload, replay })
    }

    /// When the first message that is measured may start.
    pub(crate) fn warmup(&self) -> SimTime {
        SimTime::from_secs_f64(self.warmup_ms * 1e-3)
    }

    /// The core's parameters.
    pub(crate) fn homa_config(&self, inputs: &Inputs) -> Config {
        let Inputs { workload, replay } = inputs;
        let incast_bytes = self.incast.map_or(0, |incast| incast.bytes);
        let replayed = replay.as_ref().and_then(|replay| replay.lengths().max()).unwrap_or(0);
        let reply_bytes = match self.exchange {
            Exchange::Reply(bytes) => bytes,
            Exchange::OneWay | Exchange::Echo => 0,
        };
        let others = [replayed, incast_bytes, reply_bytes, self.framing.payload_bytes];
        let longest = others.into_iter().fold(workload.longest(), u32::max);
        self.homa_config_for(workload, longest)
    }

    /// The messages that are replayed, if any are: then some from the end of the warm-up on.
    fn replayed(&self) -> Result<Option<Replay>, SimError> {
        let Some(path) = &self.replay else { return Ok(None) };
        let replay = Replay::read(path, self.network.topology.hosts())?;
        if replay.count_since(self.warmup()) == 0 {
            let why = "replay: no message starts at warmup_ms or later";
            return Err(SimError::Config(why.into()));
        }
        Ok(Some(replay))
    }

    /// The distribution of lengths, which may be that of what is replayed.
    fn workload_with(&self, replay: Option<&Replay>) -> Result<Workload, SimError> {
        if self.workload == REPLAY {
            let replay =
                replay.ok_or_else(|| SimError::Config("workload replay needs a replay".into()))?;
            return Ok(Workload::of_lengths(REPLAY, replay.lengths())?);
        }
        let workload: Workload = self.workload.parse()?;
        Ok(workload.with_sampling(self.sampling))
    }

    /// Checks that values are in their ranges.
    fn check_ranges(&self) -> Result<(), SimError> {
        let rule = |ok: bool, what: &str| {
            if ok { Ok(()) } else { Err(SimError::Config(what.into())) }
        };
        rule(self.load > 0.0 && self.load <= 2.0, "load is above 0 and at most 2")?;
        rule(self.messages >= 1, "messages are at least 1")?;
        rule((0.0..=1e6).contains(&self.warmup_ms), "warmup_ms is 0 to 1,000,000")?;
        rule(self.seconds_max > 0.0, "seconds_max is above 0")?;
        rule(self.framing.payload_bytes >= 200, "payload_bytes are at least 200")?;
        let NetworkConfig { host_gbps, core_gbps, loss_permille, .. } = self.network;
        rule(host_gbps > 0.0 && core_gbps > 0.0, "links are faster than 0 Gb/s")?;
        rule((0.0..1000.0).contains(&loss_permille), "loss_permille is 0 to 1000")?;
        rule(
            self.protocol == Protocol::Homa || self.exchange == Exchange::OneWay,
            "only Homa has RPCs: for others, exchange is one_way",
        )?;
        rule(
            self.protocol != Protocol::Oracle || self.faults.is_empty(),
            "the oracle has no packets that could be lost: no faults with it",
        )?;
        let DctcpConfig { initial_window_packets, gain, rto_min_us } = self.dctcp;
        rule(initial_window_packets >= 1, "dctcp.initial_window_packets are at least 1")?;
        rule(gain > 0.0 && gain <= 1.0, "dctcp.gain is above 0 and at most 1")?;
        rule((1..=10_000_000).contains(&rto_min_us), "dctcp.rto_min_us is 1 to 10,000,000")?;
        if let Some(IncastOverlay { senders, bytes, share }) = self.incast {
            rule(senders >= 1, "incast.senders are at least 1")?;
            rule(bytes >= 1, "incast.bytes are at least 1")?;
            rule((0.0..1.0).contains(&share), "incast.share is 0 to 1")?;
        }
        Ok(())
    }

    /// The core's parameters, for messages of this workload.
    fn homa_config_for(&self, workload: &Workload, longest: u32) -> Config {
        let homa = &self.homa;
        let mut config = Config::default();
        config.seed = self.seed;
        config.message_length_max = longest;
        config.unscheduled_bytes = homa.unscheduled_bytes;
        config.wholly_scheduled_min = homa.wholly_scheduled_bytes;
        config.priority_levels = homa.priorities;
        config.link_mbps = (self.network.host_gbps * 1000.0) as u32;
        config.pacing = homa.pacing;
        config.grants.incoming_bytes_max = homa.incoming_bytes;
        config.grants.window_bytes = homa.rtt_bytes;
        config.grants.later_window_bytes = homa.later_rtt_bytes;
        config.tell_held_min = homa.tell_held_bytes;
        config.grants.idle_after = Duration::from_nanos(homa.idle_ns);
        config.grants.overcommit_max = homa.overcommit;
        config.grants.messages_per_peer_max = homa.overcommit_per_sender;
        config.grants.grant_increment_bytes = homa.grant_bytes;
        config.grants.grant_segments_min = homa.grant_packets;
        config.grants.places_end_when_granted = homa.places_end_when_granted;
        config.grants.tail_bytes = homa.tail_bytes;
        config.unscheduled_by_remaining = homa.by_remaining;
        config.grants.fifo_share_permille = homa.fifo_permille;
        config.grants.fifo_increment_bytes = homa.fifo_grant_bytes;
        config.cutoffs.unscheduled_levels = homa.unscheduled_priorities;
        config.pacer.fifo_share_permille = homa.fifo_permille;
        config.incast_calls_max = homa.incast_calls_max;
        config.incast_unscheduled_bytes = homa.incast_unscheduled_bytes;
        config.timing.resend_interval = Duration::from_millis(homa.resend_ms);
        config.timing.resend_interval_max = Duration::from_millis(8 * homa.resend_ms);
        config.timing.gap_patience_min = Duration::from_millis(homa.resend_ms);
        config.timing.timeout = Duration::from_secs(1000);
        config.timing.client_silence_max = Duration::from_secs(10_000);
        config.timing.rpc_silence_max = Duration::from_secs(10_000);
        // Nothing is to be turned away: the simulator shows what accumulates.
        config.limits.incoming_bytes_max = u64::MAX >> 2;
        config.limits.outgoing_bytes_max = u64::MAX >> 2;
        config.limits.client_rpcs_max = u32::MAX >> 2;
        config.limits.server_rpcs_max = u32::MAX >> 2;
        config.overload.peer_share_permille = 1000;
        config.overload.queue_delay_max = Duration::from_secs(10_000);
        config.overload.inactive_after = Duration::from_secs(10_000);
        config.amplification = None;
        config.cutoffs.fixed = homa.cutoffs.or_else(|| self.known_cutoffs(&config, workload));
        config
    }

    /// The cutoffs that suit the workload, if hosts are to know them from the start.
    fn known_cutoffs(&self, config: &Config, workload: &Workload) -> Option<[u32; 8]> {
        let per_billion = |probability: f64| (probability * 1e9).round() as u64;
        let lengths = workload.steps().iter().map(|s| (s.length, per_billion(s.probability)));
        let table = || config.balanced_cutoffs(lengths, self.framing.payload_bytes).ok();
        self.homa.known_cutoffs.then(table).flatten()
    }
}

/// What the messages of a run are made from.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// Their lengths.
    pub(crate) workload: Workload,
    /// The messages of a file, if they are sent instead.
    pub(crate) replay: Option<Replay>,
}

/// Why a run can't be.
#[derive(Debug, Error)]
pub enum SimError {
    /// A value is out of its range.
    #[error("{0}")]
    Config(String),
    /// The network can't be.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The file can't be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The workload can't be.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The protocol's parameters break a rule.
    #[error(transparent)]
    Homa(#[from] homa_proto::ConfigError),
}
