//! What befalls hosts and links, and how all of it is healed.

use super::book::Ending;
use super::dice::Dice;
use super::mix::Class;
use super::station::{PORT, Station};
use super::world::{Happening, Trouble, Wishes, World};
use homa_proto::{Duration, Unreachable};

impl World {
    /// Draws all calls and all troubles of the span.
    pub(super) fn plan(&mut self) {
        self.plan_calls();
        let [partitions, restarts, stalls, jumps, rings, sockets, paths] = self.mix.events;
        self.plan_many(Class::Partitions, partitions, Self::plan_partition);
        self.plan_many(Class::Restarts, restarts, |_, dice, hosts| {
            vec![(Duration::ZERO, Trouble::Restart { host: dice.index(hosts) })]
        });
        self.plan_many(Class::Stalls, stalls, |world, dice, hosts| {
            let time = Duration::from_micros(dice.within(100..=world.mix.stall_micros));
            vec![(Duration::ZERO, Trouble::Stall { host: dice.index(hosts), time })]
        });
        self.plan_many(Class::Jumps, jumps, |_, dice, hosts| {
            let time = Duration::from_micros(dice.magnitude(10..=2_000_000));
            vec![(Duration::ZERO, Trouble::Jump { host: dice.index(hosts), time })]
        });
        self.plan_many(Class::FullRings, rings, |_, dice, hosts| {
            let time = Duration::from_micros(dice.magnitude(10..=300_000));
            vec![(Duration::ZERO, Trouble::FillRing { host: dice.index(hosts), time })]
        });
        self.plan_many(Class::Sockets, sockets, Self::plan_socket);
        self.plan_many(Class::Paths, paths, Self::plan_path);
    }

    fn plan_calls(&mut self) {
        let mut dice = self.own_dice();
        let mut aborts = Dice::new(self.mix.seed, 300);
        let mut room = self.mix.packets_max * u64::from(self.mix.mtu.min(1500));
        for _ in 0..self.mix.calls {
            let from = dice.index(self.mix.hosts);
            let to = (from + 1 + dice.index(self.mix.hosts - 1)) % self.mix.hosts;
            let length = dice.magnitude(1..=u64::from(self.mix.length_max)).min(room.max(1));
            room -= length.min(room);
            let span = Duration::from_micros(self.mix.span_micros);
            let mut options = Wishes::default();
            if aborts.chance(self.mix.aborts) {
                let micros = aborts.magnitude(1..=1_000_000);
                options.abort_after = Some(Duration::from_micros(micros));
            }
            if aborts.chance(self.mix.deadlines) {
                options.deadline = Some(Duration::from_micros(aborts.magnitude(1..=20_000_000)));
            }
            if self.mix.classes.has(Class::Priorities) {
                options.priority = Some(aborts.below(8) as u8);
            }
            let after = Duration::from_nanos(dice.below(span.as_nanos()));
            let length = length as u32;
            self.schedule(after, Happening::Call { from, to, length, options });
        }
    }

    fn plan_many(
        &mut self,
        class: Class,
        times: u64,
        plan: fn(&Self, &mut Dice, usize) -> Vec<(Duration, Trouble)>,
    ) {
        for _ in 0..times {
            let mut dice = self.dice(class).clone();
            let after = Duration::from_micros(dice.below(self.mix.span_micros));
            let troubles = plan(self, &mut dice, self.mix.hosts);
            *self.dice(class) = dice;
            for (later, trouble) in troubles {
                self.schedule(after + later, Happening::Trouble(trouble));
            }
        }
    }

    fn plan_partition(&self, dice: &mut Dice, hosts: usize) -> Vec<(Duration, Trouble)> {
        let from = dice.index(hosts);
        let to = (from + 1 + dice.index(hosts - 1)) % hosts;
        let time = Duration::from_micros(dice.magnitude(10..=1_000_000));
        let mut troubles =
            vec![(Duration::ZERO, Trouble::Cut { from, to }), (time, Trouble::Mend { from, to })];
        if dice.chance(500) {
            troubles.push((Duration::ZERO, Trouble::Cut { from: to, to: from }));
            troubles.push((time, Trouble::Mend { from: to, to: from }));
        }
        troubles
    }

    fn plan_socket(&self, dice: &mut Dice, hosts: usize) -> Vec<(Duration, Trouble)> {
        let host = dice.index(hosts);
        let time = Duration::from_micros(dice.magnitude(10..=300_000));
        match dice.below(4) {
            0 => vec![
                (Duration::ZERO, Trouble::CloseServer { host }),
                (time, Trouble::OpenServer { host }),
            ],
            1 => vec![(Duration::ZERO, Trouble::ReopenClient { host })],
            2 => vec![
                (Duration::ZERO, Trouble::StopServing { host }),
                (time, Trouble::Serve { host }),
            ],
            _ => {
                vec![(Duration::ZERO, Trouble::Drain { host }), (time, Trouble::Serve { host })]
            }
        }
    }

    fn plan_path(&self, dice: &mut Dice, hosts: usize) -> Vec<(Duration, Trouble)> {
        let host = dice.index(hosts);
        let peer = (host + 1 + dice.index(hosts - 1)) % hosts;
        let trouble = if dice.chance(600) {
            Trouble::PathMtu { host, peer, mtu: dice.magnitude(68..=10_000) as u32 }
        } else {
            let kinds = [Unreachable::Port, Unreachable::Protocol, Unreachable::Host];
            let kind = kinds[dice.index(3)];
            Trouble::Unreachable { host, peer: dice.chance(400).then_some(peer), kind }
        };
        vec![(Duration::ZERO, trouble)]
    }

    /// Lets a trouble happen.
    pub(super) fn befall(&mut self, trouble: Trouble) {
        self.say(usize::MAX, || format!("{trouble:?}"));
        if self.is_healed {
            return;
        }
        match trouble {
            Trouble::Cut { from, to } => {
                self.cuts.insert((from, to));
            }
            Trouble::Mend { from, to } => {
                self.cuts.remove(&(from, to));
            }
            Trouble::Restart { host } => self.restart(host),
            Trouble::Stall { host, time } => {
                self.stations[host].stalled_until.get_or_insert(self.now + time);
            }
            Trouble::Jump { host, time } => {
                let skew = &mut self.stations[host].skew;
                *skew = Duration::from_nanos(skew.as_nanos() + time.as_nanos());
            }
            Trouble::FillRing { host, time } => {
                self.stations[host].ring_full_until.get_or_insert(self.now + time);
            }
            Trouble::PathMtu { host, peer, mtu } => {
                let peer = self.stations[peer].addr;
                self.stations[host].endpoint.handle_path_mtu(peer, mtu);
                self.settle(host);
            }
            Trouble::Unreachable { host, peer, kind } => self.report(host, peer, kind),
            socket => self.change_socket(&socket),
        }
    }

    /// Ends all troubles: from now on every packet arrives, in order.
    pub(super) fn heal(&mut self) {
        self.is_healed = true;
        self.cuts.clear();
        for host in 0..self.stations.len() {
            let now = self.now;
            let station = &mut self.stations[host];
            station.stalled_until = station.stalled_until.map(|_| now);
            station.ring_full_until = station.ring_full_until.map(|_| now);
            self.open_sockets(host);
        }
    }

    fn restart(&mut self, host: usize) {
        let station = &self.stations[host];
        let (life, skew) = (station.life + 1, station.skew);
        for &call in station.calls.values() {
            self.book.end(call, Ending::Lost);
        }
        self.stations[host] = Station::new(host, life, &self.mix, skew, self.now);
    }

    fn report(&mut self, host: usize, peer: Option<usize>, kind: Unreachable) {
        let now = self.clock(host);
        let (addr, quoted) = match (peer, self.stations[host].last_sent) {
            (Some(peer), _) => (self.stations[peer].addr, None),
            (None, Some((addr, quoted))) => (addr, Some(quoted)),
            (None, None) => return,
        };
        self.stations[host].endpoint.handle_unreachable(now, addr, quoted, kind);
        self.settle(host);
    }

    fn change_socket(&mut self, change: &Trouble) {
        let (Trouble::CloseServer { host }
        | Trouble::OpenServer { host }
        | Trouble::ReopenClient { host }
        | Trouble::StopServing { host }
        | Trouble::Drain { host }
        | Trouble::Serve { host }) = *change
        else {
            return;
        };
        let now = self.clock(host);
        let station = &mut self.stations[host];
        match (change, station.server_socket) {
            (Trouble::CloseServer { .. }, Some(socket)) => {
                station.endpoint.close(now, socket);
                station.server_socket = None;
            }
            (Trouble::ReopenClient { .. }, _) => {
                if let Some(socket) = station.client_socket.take() {
                    station.endpoint.close(now, socket);
                }
                station.client_socket = Some(station.endpoint.open_client().expect("a free port"));
            }
            (Trouble::StopServing { .. }, Some(socket)) => {
                station.endpoint.set_serving(socket, false)
            }
            (Trouble::Drain { .. }, Some(socket)) => station.endpoint.set_draining(socket),
            (Trouble::OpenServer { .. } | Trouble::Serve { .. }, _) => self.open_sockets(host),
            _ => {}
        }
        self.settle(host);
    }

    fn open_sockets(&mut self, host: usize) {
        let station = &mut self.stations[host];
        match station.server_socket {
            Some(socket) => station.endpoint.set_serving(socket, true),
            None => {
                let opened = station.endpoint.open_server(PORT).expect("the port is free");
                station.server_socket = Some(opened);
            }
        }
    }
}
