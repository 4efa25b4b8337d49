//! Hosts, links, the clock, and the order in which things happen.

use super::book::Book;
use super::dice::Dice;
use super::mix::{Class, Mix, WORLD};
use super::station::{Flight, Station};
use homa_proto::{Duration, Instant, QuotedPacket, RpcKey, RunMax, Transmit, Unreachable};
use homa_wire::{DataRun, Header, Version};
use std::collections::{BTreeMap, BTreeSet};

/// Something that happens at a host at a certain time.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Arrive(Flight),
    Call { from: usize, to: usize, length: u32, options: Wishes },
    Abort { host: usize, life: u32, key: RpcKey },
    Accept { host: usize, life: u32, key: RpcKey },
    Reply { host: usize, life: u32, key: RpcKey, length: u32 },
    Refuse { host: usize, life: u32, key: RpcKey },
    Finish { host: usize, life: u32, key: RpcKey },
    Trouble(Trouble),
}

/// What a caller wishes for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wishes {
    pub(super) deadline: Option<Duration>,
    pub(super) priority: Option<u8>,
    pub(super) abort_after: Option<Duration>,
}

/// What befalls hosts and links.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    Cut { from: usize, to: usize },
    Mend { from: usize, to: usize },
    Restart { host: usize },
    Stall { host: usize, time: Duration },
    Jump { host: usize, time: Duration },
    FillRing { host: usize, time: Duration },
    CloseServer { host: usize },
    OpenServer { host: usize },
    ReopenClient { host: usize },
    StopServing { host: usize },
    Drain { host: usize },
    Serve { host: usize },
    PathMtu { host: usize, peer: usize, mtu: u32 },
    Unreachable { host: usize, peer: Option<usize>, kind: Unreachable },
}

/// Steps after which a run counts as endless.
const STEPS_MAX: u64 = 3_000_000;

/// Turns of drivers that send nothing, in all of a run: beyond, somebody is woken again and again for something that
/// time alone does not change.
const IDLE_TURNS_MAX: u64 = 300_000;

/// Packets that a driver polls at most while it can't send.
const BATCH: usize = 16;

/// All hosts of a seed and what joins them.
#[derive(Debug)]
pub(super) struct World {
    pub(super) mix: Mix,
    pub(super) now: Instant,
    pub(super) stations: Vec<Station>,
    pub(super) book: Book,
    /// Links that carry nothing, by sender and receiver.
    pub(super) cuts: BTreeSet<(usize, usize)>,
    /// Troubles are over.
    pub(super) is_healed: bool,
    pub(super) steps: u64,
    idle_turns: u64,
    queue: BTreeMap<(Instant, u64), Happening>,
    last_arrival: BTreeMap<(usize, usize), Instant>,
    sequence: u64,
    /// One stream per class, and one more.
    dice: Vec<Dice>,
    hash: u64,
    pub(super) packets: u64,
    /// When a call ended last.
    pub(super) ended_at: Option<Instant>,
    is_verbose: bool,
}

impl World {
    pub(super) fn new(mix: Mix, is_verbose: bool) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let number_of_dice = Class::ALL.len() as u64 + 1;
        let station = |number| Station::new(number, 0, &mix, Duration::ZERO, now);
        let is_garbled = mix.classes.has(Class::Garbling);
        Self {
            now,
            stations: (0..mix.hosts).map(station).collect(),
            book: Book { is_garbled, ..Book::default() },
            cuts: BTreeSet::new(),
            is_healed: false,
            steps: 0,
            idle_turns: 0,
            queue: BTreeMap::new(),
            last_arrival: BTreeMap::new(),
            sequence: 0,
            dice: (0..number_of_dice).map(|n| Dice::new(mix.seed, 200 + n)).collect(),
            hash: 0,
            packets: 0,
            ended_at: None,
            is_verbose,
            mix,
        }
    }

    /// Runs until nothing is left to happen. Returns whether that was within `limit`.
    pub(super) fn run_until_quiet(&mut self, limit: Duration) -> bool {
        let end = self.now + limit;
        while let Some(at) = self.next_time() {
            if at > end {
                return false;
            }
            self.step(at);
        }
        true
    }

    /// Runs until `end`.
    pub(super) fn run_until(&mut self, end: Instant) {
        while let Some(at) = self.next_time().filter(|&at| at <= end) {
            self.step(at);
        }
        self.now = end;
    }

    pub(super) fn schedule(&mut self, after: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), happening);
    }

    /// The dice of a class.
    pub(super) fn dice(&mut self, class: Class) -> &mut Dice {
        &mut self.dice[class as usize]
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.hash
    }

    /// Feeds the fingerprint.
    pub(super) fn mark(&mut self, value: u64) {
        self.hash = (self.hash.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    /// Prints what happens, in a run that is looked at.
    pub(super) fn say(&self, host: usize, what: impl FnOnce() -> String) {
        if self.is_verbose {
            let micros = self.now.as_nanos() / 1000;
            println!("{micros:>12} us  host {host}: {}", what());
        }
    }

    fn next_time(&self) -> Option<Instant> {
        let turns = self.stations.iter().filter_map(Station::due);
        let first = self.queue.keys().next().map(|&(at, _)| at);
        turns.chain(first).min().map(|at| at.max(self.now))
    }

    /// Things in the queue come before deadlines of the same time.
    fn step(&mut self, at: Instant) {
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "the run does not end");
        self.now = at;
        let first = self.queue.first_entry().filter(|entry| entry.key().0 <= at);
        if let Some(entry) = first {
            let happening = entry.remove();
            self.happen(happening);
            return;
        }
        for host in 0..self.stations.len() {
            if self.stations[host].due().is_some_and(|due| due <= at) {
                let sent = self.stations[host].packets_sent();
                self.turn(host);
                self.idle_turns += u64::from(self.stations[host].packets_sent() == sent);
            }
        }
        assert!(self.idle_turns < IDLE_TURNS_MAX, "woken in vain, again and again");
    }

    /// A driver's turn: what waits in its receive queue, then its ring, then deadlines.
    fn turn(&mut self, host: usize) {
        let now = self.now;
        if self.stations[host].stalled_until.take_if(|until| *until <= now).is_some() {
            self.say(host, || "goes on".into());
            for flight in std::mem::take(&mut self.stations[host].inbox) {
                self.stations[host].receive(now, &flight, &self.book);
                self.settle(host);
            }
        }
        if self.stations[host].ring_full_until.take_if(|until| *until <= now).is_some() {
            for (transmit, message) in std::mem::take(&mut self.stations[host].ring) {
                self.launch(host, &transmit, message);
            }
        }
        let station = &mut self.stations[host];
        let clock = now + station.skew;
        if station.endpoint.poll_timeout().is_some_and(|due| due <= clock) {
            station.endpoint.handle_timeout(clock);
        }
        if station.ring_full_until.is_some() {
            station.idle_until = now + Duration::from_millis(1);
        }
        self.settle(host);
    }

    fn happen(&mut self, happening: Happening) {
        let host = match &happening {
            Happening::Arrive(flight) => flight.to,
            Happening::Call { from, .. } => *from,
            Happening::Trouble(trouble) => return self.befall(trouble.clone()),
            Happening::Abort { host, life, .. }
            | Happening::Accept { host, life, .. }
            | Happening::Reply { host, life, .. }
            | Happening::Refuse { host, life, .. }
            | Happening::Finish { host, life, .. } => {
                if self.stations[*host].life != *life {
                    return;
                }
                *host
            }
        };
        if self.stations[host].stalled_until.is_some_and(|until| until <= self.now) {
            self.turn(host);
        }
        if let Some(until) = self.stations[host].stalled_until {
            match happening {
                Happening::Arrive(flight) => self.stations[host].inbox.push(flight),
                // The application's wish waits for the driver.
                wish => self.schedule(until.saturating_since(self.now), wish),
            }
            return;
        }
        match happening {
            Happening::Arrive(flight) => {
                self.say(host, || format!("gets {:?}", Header::parse(&flight.header, Version::V1)));
                self.stations[host].receive(self.now, &flight, &self.book);
            }
            wish => self.wish(wish),
        }
        self.settle(host);
    }

    /// Handles events and sends packets until there are none; then checks.
    pub(super) fn settle(&mut self, host: usize) {
        loop {
            self.handle_events(host);
            let station = &mut self.stations[host];
            let is_full = station.ring_full_until.is_some();
            if is_full && station.ring.len() >= BATCH {
                break;
            }
            let max = RunMax { packets: self.mix.run_packets, bytes: u32::MAX };
            let now = self.now + station.skew;
            let Some(transmit) = station.endpoint.poll_transmit_run(now, max) else { break };
            let message = transmit
                .payload
                .map(|(key, _)| *station.outgoing.get(&key).expect("what is sent is held"));
            if is_full {
                station.ring.push((transmit, message));
            } else {
                self.launch(host, &transmit, message);
            }
        }
        if self.steps < 300 || self.steps.is_multiple_of(32) {
            self.stations[host].endpoint.check_invariants();
            self.stations[host].assert_within_limits();
        }
    }

    fn launch(&mut self, host: usize, transmit: &Transmit, message: Option<usize>) {
        let header = &transmit.header;
        self.packets += 1;
        self.say(host, || format!("sends {:?} to {:?}", header, transmit.peer));
        let mut bytes = [0; homa_wire::HEADER_LEN_MAX];
        let len = header.emit(Version::V1, &mut bytes).expect("it has room");
        let bytes = &bytes[..len];
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mark(u64::from_le_bytes(word));
        }
        self.mark(self.now.as_nanos());
        let (source_port, dest_port) = (header.source_port, header.dest_port);
        let quoted = QuotedPacket { source_port, dest_port, sender_id: header.sender_id };
        self.stations[host].last_sent = Some((transmit.peer, quoted));
        let Some(to) = self.stations.iter().position(|other| other.addr == transmit.peer) else {
            return;
        };
        let (from, segment_bytes) = (self.stations[host].addr, transmit.segment_bytes);
        let flight = Flight { from, to, header: bytes.to_vec(), payload: None, segment_bytes };
        let Some((_, payload)) = transmit.payload else { return self.carry(host, flight) };
        let message = message.expect("DATA is of a message");
        let mut headers = DataRun::after(bytes, Version::V1).expect("it is DATA");
        let mut start = payload.start;
        while start < payload.end {
            let end = self.end_of_piece(start, payload.end, segment_bytes);
            let mut piece = Flight { payload: Some((message, start, end)), ..flight.clone() };
            if start > payload.start {
                piece.header = headers.at(start).to_vec();
            }
            start = end;
            self.carry(host, piece);
        }
    }

    /// Up to where a run of packets arrives as one, if nothing happens to it.
    fn end_of_piece(&mut self, start: u32, end: u32, segment_bytes: u32) -> u32 {
        let packets = (end - start).div_ceil(segment_bytes);
        if packets == 1 {
            return end;
        }
        let taken = self.dice(Class::Runs).within(1..=packets.into()) as u32;
        end.min(start + taken * segment_bytes)
    }

    /// What the link does to a packet.
    fn carry(&mut self, from: usize, mut flight: Flight) {
        let to = flight.to;
        let delay = Duration::from_micros(self.mix.delay_micros);
        if self.is_healed {
            self.schedule(delay, Happening::Arrive(flight));
            return;
        }
        let mix = &self.mix;
        let (loss, corruption, garbling) = (mix.loss, mix.corruption, mix.garbling);
        let (duplication, reordering, jitter) =
            (mix.duplication, mix.reordering, mix.jitter_micros);
        let is_lost = self.dice(Class::Loss).chance(loss)
            | self.dice(Class::Corruption).chance(corruption)
            | self.cuts.contains(&(from, to));
        if is_lost {
            self.say(from, || "which is lost".into());
            return;
        }
        if self.dice(Class::Garbling).chance(garbling) {
            let dice = self.dice(Class::Garbling);
            for _ in 0..=dice.below(3) {
                let at = dice.index(flight.header.len());
                flight.header[at] ^= 1 << dice.below(8);
            }
        }
        if self.dice(Class::Duplication).chance(duplication) {
            let later = self.later(Class::Duplication);
            self.schedule(later, Happening::Arrive(flight.clone()));
        }
        if self.dice(Class::Reordering).chance(reordering) {
            let later = self.later(Class::Reordering);
            self.schedule(later, Happening::Arrive(flight));
            return;
        }
        let jitter = Duration::from_micros(self.dice(Class::Jitter).below(jitter + 1));
        let last = self.last_arrival.get(&(from, to)).copied().unwrap_or_default();
        let at = (self.now + delay + jitter).max(last);
        self.last_arrival.insert((from, to), at);
        self.schedule(at.saturating_since(self.now), Happening::Arrive(flight));
    }

    /// A delay of up to five times the ordinary one, or rarely of up to 200 ms.
    fn later(&mut self, class: Class) -> Duration {
        let delay = self.mix.delay_micros;
        let dice = self.dice(class);
        let micros = if dice.chance(20) {
            dice.within(1000..=200_000)
        } else {
            dice.within(delay..=5 * delay)
        };
        Duration::from_micros(micros)
    }

    /// Dice of no class.
    pub(super) fn own_dice(&self) -> Dice {
        Dice::new(self.mix.seed, WORLD + 50)
    }
}
