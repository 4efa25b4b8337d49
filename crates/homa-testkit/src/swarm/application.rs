//! What applications wish for and get to know, on both sides.

use super::book::Ending;
use super::mix::Class;
use super::station::{PORT, Work};
use super::world::{Happening, Wishes, World};
use homa_proto::{
    CallOptions, Cancelled, Duration, Event, Failure, Instant, Priority, RefuseReason, ReplyError,
    RpcKey, SendError,
};

impl World {
    /// Carries out what an application wants.
    pub(super) fn wish(&mut self, wish: Happening) {
        self.mark(self.now.as_nanos() ^ 1);
        match wish {
            Happening::Call { from, to, length, options } => {
                self.call(from, to, length, options);
            }
            Happening::Abort { host, key, .. } => self.abort(host, key),
            Happening::Accept { host, key, .. } => self.accept(host, key),
            Happening::Reply { host, key, length, .. } => self.reply(host, key, length),
            Happening::Refuse { host, key, .. } => self.refuse(host, key),
            Happening::Finish { host, key, .. } => {
                let now = self.clock(host);
                self.stations[host].endpoint.finish(now, key);
            }
            Happening::Arrive(_) | Happening::Trouble(_) => {}
        }
    }

    /// Starts a call; its number, unless the host refuses for lack of room.
    pub(super) fn call(
        &mut self,
        from: usize,
        to: usize,
        length: u32,
        wishes: Wishes,
    ) -> Option<usize> {
        let mut options = CallOptions::default();
        options.deadline = wishes.deadline;
        options.priority = wishes.priority.map(Priority::clamped);
        let (now, peer) = (self.clock(from), self.stations[to].addr);
        let station = &mut self.stations[from];
        let socket = station.client_socket?;
        let started = station.endpoint.send_request(now, socket, peer, PORT, length, options);
        self.say(from, || format!("calls {to} with {length} bytes: {started:?}"));
        let key = match started {
            Ok(key) => key,
            Err(SendError::Full(_)) => return None,
            Err(error) => panic!("host {from} can't call: {error}"),
        };
        let call = self.book.open(from, to);
        let message = self.book.write(call, length, false);
        let station = &mut self.stations[from];
        station.calls.insert(key, call);
        station.outgoing.insert(key, message);
        let life = station.life;
        if let Some(after) = wishes.abort_after {
            self.schedule(after, Happening::Abort { host: from, life, key });
        }
        Some(call)
    }

    /// Handles all events of a host.
    pub(super) fn handle_events(&mut self, host: usize) {
        while let Some(event) = self.stations[host].endpoint.poll_event() {
            self.say(host, || format!("{event:?}"));
            match event {
                Event::RequestStarted { key } => self.request_started(host, key),
                Event::RequestComplete { key } => self.request_complete(host, key),
                Event::ResponseComplete { key } => self.response_complete(host, key),
                Event::Readable { key, upto } => {
                    let prefix = self.stations[host].ledger.prefix(key);
                    assert!(prefix >= upto, "{key:?} is readable to {prefix}, not {upto}");
                }
                Event::Release { key } => {
                    let station = &mut self.stations[host];
                    station.outgoing.remove(&key);
                    station.work.remove(&key);
                }
                Event::Failed { key, failure } => self.failed(host, key, failure),
                Event::Cancelled { key, cause } => {
                    // A RESEND that comes late, when the client has the response, draws RPC_UNKNOWN.
                    let station = &mut self.stations[host];
                    let is_answered =
                        cause == Cancelled::ByClient && station.outgoing.contains_key(&key);
                    assert!(
                        is_answered || !self.mix.is_harmless(),
                        "{key:?} was given up without a cause: {cause}"
                    );
                    station.drop_rpc(key);
                }
                other => panic!("an event that nobody knows: {other:?}"),
            }
        }
    }

    fn request_started(&mut self, host: usize, key: RpcKey) {
        let streams = self.mix.streams;
        if !self.dice(Class::Streams).chance(streams) {
            return;
        }
        let station = &mut self.stations[host];
        let Some(&message) = station.incoming.get(&key) else { return };
        if station.endpoint.info(key).is_none() {
            return;
        }
        station.endpoint.begin_stream(key);
        let (life, call) = (station.life, self.book.take_request(host, message));
        self.book.execute(call, life);
        self.stations[host].work.insert(key, Work { call, is_seen: true });
    }

    fn request_complete(&mut self, host: usize, key: RpcKey) {
        let station = &mut self.stations[host];
        let length = station.ledger.complete(key);
        let life = station.life;
        let Some(message) = station.incoming.remove(&key) else {
            assert!(self.book.is_garbled, "{key:?} completed without packets");
            self.schedule(Duration::ZERO, Happening::Refuse { host, life, key });
            return;
        };
        let whole = self.book.messages[message].length == length;
        assert!(self.book.is_garbled || whole, "{length} bytes of message {message}");
        let call = self.book.take_request(host, message);
        self.stations[host].work.entry(key).or_insert(Work { call, is_seen: false });
        let after = self.slowness();
        self.schedule(after, Happening::Accept { host, life, key });
    }

    fn response_complete(&mut self, host: usize, key: RpcKey) {
        let station = &mut self.stations[host];
        let length = station.ledger.complete(key);
        let message = station.incoming.remove(&key);
        let call = station.calls.remove(&key).expect("a call ends once");
        self.ended_at = Some(self.now);
        let station = &mut self.stations[host];
        station.outgoing.remove(&key);
        let life = station.life;
        match message {
            Some(message) => self.book.take_response(call, message, length),
            None => self.book.end(call, Ending::Response),
        }
        let after = self.slowness();
        self.schedule(after, Happening::Finish { host, life, key });
    }

    fn failed(&mut self, host: usize, key: RpcKey, failure: Failure) {
        let station = &mut self.stations[host];
        station.drop_rpc(key);
        let call = station.calls.remove(&key).expect("a call ends once");
        self.mark(call as u64);
        self.book.end(call, Ending::Failed(failure));
    }

    fn abort(&mut self, host: usize, key: RpcKey) {
        let now = self.clock(host);
        let station = &mut self.stations[host];
        let Some(call) = station.calls.remove(&key) else { return };
        station.endpoint.abort(now, key);
        station.drop_rpc(key);
        self.book.end(call, Ending::Aborted);
        self.say(host, || format!("aborts call {call}"));
    }

    /// The application takes a complete request, and will answer or refuse it.
    fn accept(&mut self, host: usize, key: RpcKey) {
        let now = self.clock(host);
        let station = &mut self.stations[host];
        if station.endpoint.info(key).is_none() {
            return;
        }
        let life = station.life;
        let work = station.work.get_mut(&key).expect("an open request is known");
        if !std::mem::replace(&mut work.is_seen, true) {
            self.book.execute(work.call, life);
        }
        let call = work.call;
        station.endpoint.accept(now, key);
        self.say(host, || format!("accepts call {call}"));
        let after = self.slowness();
        let refusals = self.mix.refusals;
        if self.dice(Class::Refusals).chance(refusals) {
            self.schedule(after, Happening::Refuse { host, life, key });
            return;
        }
        let length = self.book.messages.iter().find(|m| m.call == call).map_or(1, |m| m.length);
        let length_max = u64::from(self.mix.length_max);
        // Executions of one request in several lives of a host answer differently.
        let length = match (u64::from(length) + u64::from(life) + call as u64) % 3 {
            0 => 1,
            1 => u64::from(length),
            _ => u64::from(length) / 3 + 1,
        };
        let length = length.min(length_max) as u32;
        self.schedule(after, Happening::Reply { host, life, key, length });
    }

    fn reply(&mut self, host: usize, key: RpcKey, length: u32) {
        let now = self.clock(host);
        let station = &mut self.stations[host];
        let life = station.life;
        match station.endpoint.send_reply(now, key, length) {
            Ok(()) => {
                let call = station.work.get(&key).expect("an open request is known").call;
                let message = self.book.write(call, length, true);
                self.stations[host].outgoing.insert(key, message);
                self.say(host, || format!("answers call {call} with {length} bytes"));
            }
            Err(ReplyError::Gone) => {}
            Err(ReplyError::Full(_)) => {
                let after = Duration::from_millis(10);
                self.schedule(after, Happening::Reply { host, life, key, length });
            }
            Err(error) => panic!("host {host} can't answer {key:?}: {error}"),
        }
    }

    fn refuse(&mut self, host: usize, key: RpcKey) {
        let now = self.clock(host);
        self.stations[host].endpoint.refuse(now, key, RefuseReason::DroppedUnanswered);
        self.stations[host].drop_rpc(key);
    }

    /// How long an application lets a message wait.
    fn slowness(&mut self) -> Duration {
        let (slow, micros) = (self.mix.slow, self.mix.slow_micros);
        let is_healed = self.is_healed;
        let dice = self.dice(Class::SlowApplications);
        if is_healed || !dice.chance(slow) {
            return Duration::ZERO;
        }
        Duration::from_micros(dice.within(1..=micros))
    }

    /// The time by a host's clock.
    pub(super) fn clock(&self, host: usize) -> Instant {
        self.now + self.stations[host].skew
    }
}
