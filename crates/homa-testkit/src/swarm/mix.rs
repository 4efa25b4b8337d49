//! What happens in one world: which classes of trouble, how much of each, and the configuration.

use super::dice::Dice;
use homa_proto::{Config, Duration, OverloadAnswer};
use std::fmt;

macro_rules! classes {
    ($($class:ident $name:literal $doc:literal)+) => {
        /// A class of trouble, which a seed turns on or off as a whole.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Class { $(#[doc = $doc] $class),+ }

        impl Class {
            /// All classes.
            pub const ALL: [Self; [$(Self::$class),+].len()] = [$(Self::$class),+];

            /// How command lines call it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$class => $name),+ }
            }
        }
    };
}

classes! {
    Loss "loss" "Packets are lost."
    Duplication "duplication" "Packets arrive twice, the second time later."
    Reordering "reordering" "Packets are overtaken by later ones."
    Jitter "jitter" "Delays vary."
    Corruption "corruption" "Packets are damaged, and dropped by the check that finds it."
    Garbling "garbling" "Headers are damaged without anybody noticing. What arrives is then not what was sent."
    Partitions "partitions" "Hosts do not reach others, in one direction or both, for a while."
    Restarts "restarts" "Hosts crash and come back without any memory."
    Stalls "stalls" "Drivers do nothing for a while and then handle all at once."
    Jumps "jumps" "The time that drivers hand in jumps forward."
    FullRings "full-rings" "Drivers can't send for a while: they keep one batch and poll no further."
    Limits "limits" "Tables, memory and queues are small."
    SlowApplications "slow-applications" "Applications take messages, and answer, late."
    Streams "streams" "Servers begin to read requests that still arrive."
    Aborts "aborts" "Callers lose interest."
    Deadlines "deadlines" "Calls have deadlines of their own."
    Refusals "refusals" "Applications refuse requests."
    Sockets "sockets" "Sockets are closed and opened again, stop serving, drain."
    Paths "paths" "Path MTUs change, and peers are reported unreachable."
    LargeMessages "large-messages" "Messages may be as long as 4 MB."
    Priorities "priorities" "Callers choose priorities."
    OddConfig "odd-config" "The configuration is drawn."
    Scheduled "scheduled" "Nothing, or next to nothing, of a message leaves before it is granted."
    Runs "runs" "Packets of a message that follow one another leave and arrive as one."
}

/// A set of classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u32);

impl Classes {
    /// No class.
    pub const NONE: Self = Self(0);

    /// With one more.
    #[must_use]
    pub const fn with(self, class: Class) -> Self {
        Self(self.0 | 1 << class as u32)
    }

    /// Without one.
    #[must_use]
    pub const fn without(self, class: Class) -> Self {
        Self(self.0 & !(1 << class as u32))
    }

    /// Whether a class is in the set.
    #[must_use]
    pub const fn has(self, class: Class) -> bool {
        self.0 & 1 << class as u32 != 0
    }

    /// The classes of this set, in order.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |&class| self.has(class))
    }

    /// Reads names joined by commas.
    ///
    /// # Errors
    ///
    /// The first name that is no class.
    pub fn parse(names: &str) -> Result<Self, String> {
        names.split(',').filter(|name| !name.is_empty()).try_fold(Self::NONE, |set, name| {
            let class = Class::ALL.into_iter().find(|class| class.name() == name);
            class.map(|class| set.with(class)).ok_or_else(|| name.to_owned())
        })
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().map(Class::name).collect::<Vec<_>>().join(","))
    }
}

/// All that was drawn for a world. Shares are in thousandths, times in microseconds; what belongs to
/// a class that is off is 0.
#[derive(Clone, Debug)]
pub struct Mix {
    /// The seed from which the rest follows.
    pub seed: u64,
    /// The classes that are on.
    pub classes: Classes,
    /// Number of hosts, 2 to 16.
    pub hosts: usize,
    /// Calls made.
    pub calls: usize,
    /// Packets that the messages of all calls together may fill.
    pub packets_max: u64,
    /// For how long calls and troubles begin; all is healed then.
    pub span_micros: u64,
    /// Propagation delay of every link.
    pub delay_micros: u64,
    /// Largest addition to it, which keeps the order of packets.
    pub jitter_micros: u64,
    /// Packets lost.
    pub loss: u64,
    /// Packets that arrive twice.
    pub duplication: u64,
    /// Packets held back.
    pub reordering: u64,
    /// Packets damaged and dropped.
    pub corruption: u64,
    /// Packets with damaged headers.
    pub garbling: u64,
    /// Number of partitions, restarts, stalls, jumps, full rings, closed sockets, path reports.
    pub events: [u64; 7],
    /// Longest stall.
    pub stall_micros: u64,
    /// Messages taken, and answered, late.
    pub slow: u64,
    /// Longest such delay.
    pub slow_micros: u64,
    /// Requests read while they arrive.
    pub streams: u64,
    /// Calls aborted.
    pub aborts: u64,
    /// Calls with a deadline of their own.
    pub deadlines: u64,
    /// Requests refused.
    pub refusals: u64,
    /// Packets that leave as one at most.
    pub run_packets: u32,
    /// Largest IP packet of paths of which nothing is known.
    pub mtu: u32,
    /// Longest message.
    pub length_max: u32,
    /// The configuration of all hosts, but for seeds.
    pub config: Config,
}

/// Purposes of dice that belong to no class.
pub(super) const WORLD: u64 = 100;
const CLASSES: u64 = 101;

impl Mix {
    /// What `seed` draws, without the classes of `without`. The other classes draw the same as with
    /// them.
    #[must_use]
    pub fn draw(seed: u64, without: Classes) -> Self {
        let mut dice = Dice::new(seed, CLASSES);
        // In some worlds nearly everything happens, in most only a few things do.
        let permille = [100, 250, 500, 800][dice.index(4)];
        let drawn = Class::ALL.into_iter().fold(Classes::NONE, |set, class| {
            // What makes half of the checks meaningless is rare.
            let permille = if class == Class::Garbling { permille / 4 } else { permille };
            if dice.chance(permille) { set.with(class) } else { set }
        });
        let classes = without.iter().fold(drawn, Classes::without);
        let mut mix = Self::calm(seed, classes);
        mix.draw_links();
        mix.draw_events();
        mix.draw_applications();
        mix.draw_config();
        mix.draw_limits();
        mix
    }

    /// Whether no call may fail, and no server give up: few packets are lost, others are at most
    /// repeated, late, and overtaken.
    pub(super) fn is_harmless(&self) -> bool {
        let harmless = [
            Class::Loss,
            Class::Duplication,
            Class::Reordering,
            Class::Jitter,
            Class::Streams,
            Class::LargeMessages,
            Class::Priorities,
            Class::Scheduled,
            Class::Runs,
        ];
        self.loss <= 30 && self.classes.iter().all(|class| harmless.contains(&class))
    }

    /// A world without trouble.
    fn calm(seed: u64, classes: Classes) -> Self {
        let mut dice = Dice::new(seed, WORLD);
        let hosts = if dice.chance(100) { dice.within(6..=16) } else { dice.within(2..=5) };
        let mut config = Config::default();
        config.seed = seed;
        Self {
            seed,
            classes,
            hosts: hosts as usize,
            calls: dice.magnitude(4..=100) as usize,
            packets_max: dice.magnitude(64..=1500),
            span_micros: dice.magnitude(500..=500_000),
            delay_micros: if dice.chance(800) {
                dice.within(1..=100)
            } else {
                dice.within(100..=4000)
            },
            jitter_micros: 0,
            loss: 0,
            duplication: 0,
            reordering: 0,
            corruption: 0,
            garbling: 0,
            events: [0; 7],
            stall_micros: 0,
            slow: 0,
            slow_micros: 0,
            streams: 0,
            aborts: 0,
            deadlines: 0,
            refusals: 0,
            run_packets: 1,
            mtu: [1500, 1500, 1500, 9000, 576, 65_535][dice.index(6)],
            length_max: 1_000_000,
            config,
        }
    }

    /// Dice of a class, if it is on.
    fn dice(&self, class: Class) -> Option<Dice> {
        self.classes.has(class).then(|| Dice::new(self.seed, class as u64))
    }

    fn permille(&self, class: Class, most: u64) -> u64 {
        self.dice(class).map_or(0, |mut dice| dice.magnitude(2..=most))
    }

    fn draw_links(&mut self) {
        self.loss = self.permille(Class::Loss, 300);
        self.duplication = self.permille(Class::Duplication, 300);
        self.reordering = self.permille(Class::Reordering, 500);
        self.corruption = self.permille(Class::Corruption, 100);
        self.garbling = self.permille(Class::Garbling, 100);
        let delay = self.delay_micros;
        self.jitter_micros =
            self.dice(Class::Jitter).map_or(0, |mut dice| dice.within(1..=10 * delay));
        self.run_packets =
            self.dice(Class::Runs).map_or(1, |mut dice| dice.magnitude(2..=64) as u32);
    }

    fn draw_events(&mut self) {
        let classes = [
            Class::Partitions,
            Class::Restarts,
            Class::Stalls,
            Class::Jumps,
            Class::FullRings,
            Class::Sockets,
            Class::Paths,
        ];
        self.events =
            classes.map(|class| self.dice(class).map_or(0, |mut dice| dice.magnitude(1..=16)));
        if let Some(mut dice) = self.dice(Class::Stalls) {
            self.stall_micros = dice.magnitude(1000..=2_000_000);
        }
        if self.classes.has(Class::Stalls) || self.classes.has(Class::Jumps) {
            // Packets must not become older than the memory of finished RPCs: see the rule of at
            // most one execution.
            self.config.timing.finished_memory = Duration::from_secs(40);
            self.config.timing.peer_idle_min = Duration::from_secs(80);
        }
    }

    fn draw_applications(&mut self) {
        self.slow = self.permille(Class::SlowApplications, 900);
        self.slow_micros = self
            .dice(Class::SlowApplications)
            .map_or(0, |mut dice| dice.magnitude(100..=3_000_000));
        self.streams = self.permille(Class::Streams, 1000);
        self.aborts = self.permille(Class::Aborts, 500);
        self.deadlines = self.permille(Class::Deadlines, 900);
        self.refusals = self.permille(Class::Refusals, 500);
        if let Some(mut dice) = self.dice(Class::LargeMessages) {
            self.length_max = dice.within(1_000_000..=4_000_000) as u32;
            self.packets_max = dice.magnitude(3000..=12_000);
            self.config.message_length_max = self.length_max;
        }
    }

    fn draw_config(&mut self) {
        self.draw_odd_config();
        if let Some(mut dice) = self.dice(Class::Scheduled) {
            self.config.unscheduled_bytes = dice.within(0..=1) as u32;
            self.config.unscheduled_by_round_trip = false;
        }
    }

    fn draw_odd_config(&mut self) {
        let Some(mut dice) = self.dice(Class::OddConfig) else { return };
        let config = &mut self.config;
        config.unscheduled_bytes = [0, 1, 1400, 10_000, 100_000][dice.index(5)];
        config.unscheduled_by_round_trip = dice.chance(500);
        config.priority_levels = dice.within(1..=8) as u8;
        config.link_mbps = dice.magnitude(100..=100_000) as u32;
        config.pacing = dice.chance(700);
        config.refuse = dice.chance(800);
        config.grants.incoming_bytes_max = dice.magnitude(1..=1_000_000);
        config.grants.overcommit_max = dice.within(1..=10) as usize;
        config.grants.fifo_share_permille = dice.within(0..=500) as u32;
        config.pacer.usage_permille = dice.within(50..=1000) as u32;
        config.pacer.fifo_share_permille = dice.within(0..=500) as u32;
        config.timing.resend_interval = Duration::from_micros(dice.magnitude(500..=20_000));
        config.timing.resend_spacing = Duration::from_micros(dice.magnitude(1..=1000));
        config.timing.resend_spacing_max = Duration::from_micros(dice.magnitude(1000..=10_000));
        config.timing.gap_patience_min = Duration::from_micros(dice.magnitude(50..=5000));
        config.timing.timeout = Duration::from_millis(dice.magnitude(50..=500));
        config.timing.timeout_resends = dice.within(1..=8) as u32;
        config.timing.need_ack_delay = Duration::from_micros(dice.magnitude(200..=20_000));
        config.timing.granularity = Duration::from_micros(dice.magnitude(1..=1000));
        if dice.chance(300) {
            config.overload.answer = OverloadAnswer::Busy;
        }
        if dice.chance(300) {
            config.tell_held_min = dice.magnitude(1..=1_000_000) as u32;
            config.wholly_scheduled_min = dice.magnitude(1..=100_000) as u32;
        }
        if dice.chance(300) {
            config.grants.window_bytes = dice.magnitude(1..=200_000) as u32;
            config.grants.later_window_bytes = dice.magnitude(1..=200_000) as u32;
            config.grants.idle_after = Duration::from_nanos(dice.magnitude(1..=100_000));
        }
    }

    fn draw_limits(&mut self) {
        let Some(mut dice) = self.dice(Class::Limits) else { return };
        if !self.classes.has(Class::LargeMessages) {
            self.length_max = dice.magnitude(100..=1_000_000) as u32;
        }
        self.config.message_length_max = self.length_max;
        let length = u64::from(self.length_max);
        let limits = &mut self.config.limits;
        let mut small = |most: u64| dice.magnitude(1..=most);
        limits.client_rpcs_max = small(64) as u32;
        limits.server_rpcs_max = small(64) as u32;
        limits.incoming_bytes_max = length.next_multiple_of(65_536) * small(8);
        limits.outgoing_bytes_max = length * small(8);
        limits.gaps_max = small(64) as usize;
        limits.finished_ids_max = 16;
        limits.control_packets_max = 15 + small(64) as usize;
        if dice.chance(300) {
            limits.peers_max = dice.within(1..=self.hosts as u64) as u32;
        }
        if dice.chance(300) {
            limits.socket_rpcs_max = dice.within(1..=8) as u32;
            limits.socket_outgoing_bytes_max = length * dice.within(1..=3);
            limits.socket_incoming_bytes_max = length.next_multiple_of(65_536) * dice.within(1..=3);
        }
        if dice.chance(300) {
            limits.gaps_total_max = dice.within(1..=256);
        }
        self.config.overload.peer_share_permille = dice.within(1..=1000) as u32;
    }
}
