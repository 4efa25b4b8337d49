//! How a node finds the others, and sees that it reaches them.

use std::net::SocketAddr;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use super::ending::Broken;
use super::identity::Identity;
use super::member::Member;
use crate::interrupt::Interrupt;
use crate::message::{Header, Pattern};
use crate::transport::{LoadClient, Outcome, Request};

/// Between attempts: others may come up to minutes later.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest wait, so that Ctrl-C is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// Length of the requests that nodes greet each other with, in bytes.
const GREETING: u32 = 100;
/// How many calls greet one node at once: new connections wait in a short queue there, with those of all others.
const AT_ONCE: usize = 8;

/// The addresses of all nodes, by rank. Names of pods are known only once these are there.
///
/// # Errors
///
/// Names that are not known in time, or an interrupt.
pub(super) fn resolve(
    identity: &Identity,
    end: Instant,
    interrupt: &Interrupt,
) -> Result<Vec<SocketAddr>, Broken> {
    loop {
        let found: Vec<_> = identity.nodes.iter().map(|node| node.resolve()).collect();
        if found.iter().all(Result::is_ok) {
            return Ok(found.into_iter().flatten().collect());
        }
        if interrupt.is_set() {
            return Err(Broken::Interrupted);
        }
        if Instant::now() >= end {
            let unknown = found.iter().enumerate().filter_map(|(rank, found)| {
                found.as_ref().err().map(|why| format!("rank {rank}: {why}"))
            });
            return Err(Broken::Because(unknown.collect::<Vec<_>>().join("; ")));
        }
        thread::sleep(PAUSE);
    }
}

/// A node that has not answered all calls.
struct Unanswered {
    server: u32,
    rank: usize,
    /// Those of the calls.
    slots: Vec<u32>,
    /// What became of the last one.
    why: String,
}

/// Calls others until they answer.
pub(super) struct Greeter<'a> {
    client: &'a mut dyn LoadClient,
    member: &'a Member,
    slots: usize,
    end: Instant,
    pattern: Pattern,
}

impl<'a> Greeter<'a> {
    /// With a client for so many calls at once, until `end`.
    pub(super) fn new(
        client: &'a mut dyn LoadClient,
        member: &'a Member,
        slots: usize,
        end: Instant,
    ) -> Self {
        Self { client, member, slots, end, pattern: Pattern::new(GREETING) }
    }

    /// Calls each server with each slot, so that all connections are there before the run.
    ///
    /// # Errors
    ///
    /// Which others do not answer in time, and why; or the run has ended early.
    pub(super) fn greet_all(mut self, identity: &Identity) -> Result<(), Broken> {
        // First who is there at all: others may come up much later.
        let slots = self.slots as u32;
        self.greet_until_answered(identity, 0..1)?;
        self.greet_until_answered(identity, 1..slots)
    }

    fn greet_until_answered(
        &mut self,
        identity: &Identity,
        slots: Range<u32>,
    ) -> Result<(), Broken> {
        let begin = |(server, rank)| Unanswered {
            server,
            rank,
            slots: slots.clone().collect(),
            why: String::new(),
        };
        let mut unanswered: Vec<_> = (0..).zip(identity.others()).map(begin).collect();
        loop {
            for other in &mut unanswered {
                self.greet(other)?;
            }
            unanswered.retain(|other| !other.slots.is_empty());
            if unanswered.is_empty() {
                return Ok(());
            }
            if Instant::now() >= self.end {
                let each = unanswered.iter();
                let each =
                    each.map(|other| format!("{}: {}", identity.name(other.rank), other.why));
                let each = each.collect::<Vec<_>>().join("; ");
                return Err(Broken::Because(format!("no answer from {each}")));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Calls another with those of its slots that it has not answered.
    fn greet(&mut self, other: &mut Unanswered) -> Result<(), Broken> {
        let slots = std::mem::take(&mut other.slots);
        for chunk in slots.chunks(AT_ONCE) {
            let mut waiting = chunk.to_vec();
            for &slot in chunk {
                let body = self.pattern.body(0, GREETING);
                self.client.send_to(other.server, Request { slot, header: header(slot), body });
            }
            while !waiting.is_empty() {
                self.member.check()?;
                let mut sink = |slot: u32, outcome: Outcome<'_>| {
                    waiting.retain(|&other| other != slot);
                    if let Err(why) = judge(&self.pattern, slot, outcome) {
                        other.slots.push(slot);
                        other.why = why;
                    }
                };
                let received = self.client.receive(LONGEST_WAIT, &mut sink);
                received.map_err(|error| Broken::Because(error.to_string()))?;
                // Neither answered nor refused: the other is there, but does not serve.
                if Instant::now() >= self.end && !waiting.is_empty() {
                    other.slots.append(&mut waiting);
                    other.why = "it does not answer".into();
                }
            }
        }
        Ok(())
    }
}

fn header(slot: u32) -> Header {
    Header::request(slot, GREETING, false)
}

fn judge(pattern: &Pattern, slot: u32, outcome: Outcome<'_>) -> Result<(), String> {
    let response = outcome.map_err(|failure| failure.reason.into_owned())?;
    pattern.verify(header(slot), 0, response).map_err(|wrong| wrong.to_string())
}
