//! Which messages a scheduler that knows all of them has sent: the shortest first, as long as both ends
//! are free.
//!
//! Going through all messages by rank and taking each whose ends are both free gives the one matching in
//! which no message waits that outranks what both its ends do. While messages are sent, their ranks only
//! rise, so the matching stays what it is until a message comes or is done. Then only the ends that lost
//! their message look for another one, and if they take it from elsewhere, so do those that lose by that.

use std::collections::BTreeSet;

use super::wire::Wire;
use crate::plan::Message;
use crate::slots::Slots;
use crate::time::SimTime;

/// Number of a job, unique among those that are not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobId(u32);

/// The lesser goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Message bytes to be sent.
    bytes_left: u32,
    length: u32,
    number: u64,
    job: JobId,
}

/// Time without a break in which a message was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) begin: SimTime,
    pub(super) end: SimTime,
    /// How much was sent, as time on the link: not `end - begin` if that is rounded.
    pub(super) sent: SimTime,
}

/// A message that is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) message: Message,
    /// Counts messages as they come.
    pub(super) number: u64,
    /// What is to be sent, as time on the link.
    pub(super) left: SimTime,
    /// When it was sent so far.
    pub(super) stretches: Vec<Stretch>,
}

impl Job {
    /// Sends for `span` of link time, between two moments. Returns for how long that occupies the link.
    pub(super) fn send(&mut self, begin: SimTime, end: SimTime, span: SimTime) -> SimTime {
        let sent = span.min(self.left);
        self.left = self.left - sent;
        match self.stretches.last_mut() {
            Some(last) if last.end == begin => {
                last.end = end;
                last.sent += sent;
            }
            _ => self.stretches.push(Stretch { begin, end, sent }),
        }
        sent
    }
}

/// One side of a host: what it sends, or what it receives.
#[derive(Debug, Default)]
struct End {
    busy_with: Option<JobId>,
    waiting: BTreeSet<Rank>,
}

/// All messages: those that are sent now, and those that wait.
#[derive(Debug)]
pub(super) struct Schedule {
    wire: Wire,
    jobs: Slots<Job>,
    /// The sending sides of all hosts, then the receiving ones.
    ends: Vec<End>,
    hosts: u32,
    /// Ends that may have to look for another message.
    unsettled: Vec<u32>,
}

impl Schedule {
    pub(super) fn new(hosts: u32, wire: Wire) -> Self {
        Self {
            wire,
            jobs: Slots::new(),
            ends: (0..2 * hosts).map(|_| End::default()).collect(),
            hosts,
            unsettled: Vec::new(),
        }
    }

    /// Takes a message that is to be sent; it waits until [`settle`](Self::settle).
    pub(super) fn start(&mut self, job: Job) -> JobId {
        let sender = job.message.from.0;
        let id = JobId(self.jobs.insert(job));
        self.wait(id);
        self.unsettled.push(sender);
        id
    }

    /// Gives back a message that has been sent; its ends are idle until [`settle`](Self::settle).
    pub(super) fn take(&mut self, id: JobId) -> Job {
        for end in self.ends_of(id) {
            self.ends[end as usize].busy_with = None;
            self.unsettled.push(end);
        }
        self.jobs.free(id.0);
        let job = &mut self.jobs[id.0];
        Job { stretches: std::mem::take(&mut job.stretches), ..*job }
    }

    /// Restores the order: nothing waits that outranks what both its ends do.
    pub(super) fn settle(&mut self) {
        while let Some(end) = self.unsettled.pop() {
            if let Some(id) = self.best(end) {
                self.begin(id);
            }
        }
    }

    pub(super) fn job_mut(&mut self, id: JobId) -> &mut Job {
        &mut self.jobs[id.0]
    }

    pub(super) fn job(&self, id: JobId) -> &Job {
        &self.jobs[id.0]
    }

    /// The message that a host sends now.
    pub(super) fn sent_by(&self, host: u32) -> Option<JobId> {
        debug_assert!(host < self.hosts, "no such host");
        self.ends[host as usize].busy_with
    }

    fn begin(&mut self, id: JobId) {
        let rank = self.rank(id);
        for end in self.ends_of(id) {
            if let Some(loser) = self.ends[end as usize].busy_with {
                self.interrupt(loser, end);
            }
            let end = &mut self.ends[end as usize];
            end.busy_with = Some(id);
            end.waiting.remove(&rank);
        }
    }

    /// A message has to wait because one of its ends is wanted by another; its other end is then free.
    fn interrupt(&mut self, id: JobId, wanted: u32) {
        for end in self.ends_of(id) {
            self.ends[end as usize].busy_with = None;
            if end != wanted {
                self.unsettled.push(end);
            }
        }
        self.wait(id);
    }

    fn wait(&mut self, id: JobId) {
        let rank = self.rank(id);
        for end in self.ends_of(id) {
            self.ends[end as usize].waiting.insert(rank);
        }
    }

    /// The first message that waits at an end and outranks what both its ends do.
    fn best(&self, end: u32) -> Option<JobId> {
        let outranks = |rank: &Rank, end: u32| {
            let busy_with = self.ends[end as usize].busy_with;
            busy_with.is_none_or(|other| *rank < self.rank(other))
        };
        let waiting = self.ends[end as usize].waiting.iter();
        let first = waiting
            .take_while(|rank| outranks(rank, end))
            .find(|rank| self.ends_of(rank.job).into_iter().all(|end| outranks(rank, end)))?;
        Some(first.job)
    }

    fn ends_of(&self, id: JobId) -> [u32; 2] {
        let message = &self.job(id).message;
        [message.from.0, self.hosts + message.to.0]
    }

    fn rank(&self, id: JobId) -> Rank {
        let Job { message: Message { length, .. }, number, left, .. } = *self.job(id);
        Rank { bytes_left: self.wire.bytes_left(length, left), length, number, job: id }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::framing::Framing;
    use crate::packet::HostId;
    use crate::port::ByteTime;
    use proptest::prelude::*;

    const HOSTS: u32 = 5;

    fn schedule() -> Schedule {
        Schedule::new(HOSTS, Wire::new(Framing::SIGCOMM18, ByteTime::of_gbps(10.0), false))
    }

    fn start(schedule: &mut Schedule, from: u32, to: u32, length: u32, number: u64) -> JobId {
        let message = Message {
            from: HostId(from),
            to: HostId(to),
            length,
            started: SimTime::ZERO,
            is_measured: true,
            is_overlay: false,
            traced: None,
        };
        let left = schedule.wire.time(length);
        let id = schedule.start(Job { message, number, left, stretches: Vec::new() });
        schedule.settle();
        id
    }

    #[test]
    fn start__shorter_message_interrupts_and_frees_the_other_end() {
        let mut schedule = schedule();
        let long = start(&mut schedule, 0, 1, 5000, 0);
        let other = start(&mut schedule, 2, 1, 9000, 1);
        assert_eq!((schedule.sent_by(0), schedule.sent_by(2)), (Some(long), None));
        // Host 0 turns to host 3, and so host 1 can receive from host 2.
        let short = start(&mut schedule, 0, 3, 100, 2);
        assert_eq!((schedule.sent_by(0), schedule.sent_by(2)), (Some(short), Some(other)));
        schedule.take(short);
        schedule.settle();
        assert_eq!((schedule.sent_by(0), schedule.sent_by(2)), (Some(long), None));
    }

    #[test]
    fn start__of_equals_the_first_goes_on() {
        let mut schedule = schedule();
        let first = start(&mut schedule, 0, 1, 700, 0);
        start(&mut schedule, 2, 1, 700, 1);
        assert_eq!((schedule.sent_by(0), schedule.sent_by(2)), (Some(first), None));
    }

    /// By definition: all messages by rank, each that finds both ends free.
    fn greedy(schedule: &Schedule, alive: &[JobId]) -> Vec<JobId> {
        let mut by_rank = alive.to_vec();
        by_rank.sort_by_key(|&id| schedule.rank(id));
        let mut taken = vec![false; 2 * HOSTS as usize];
        by_rank.retain(|&id| {
            let ends = schedule.ends_of(id).map(|end| end as usize);
            let is_free = ends.iter().all(|&end| !taken[end]);
            if is_free {
                ends.iter().for_each(|&end| taken[end] = true);
            }
            is_free
        });
        by_rank.sort_unstable();
        by_rank
    }

    proptest! {
        /// However messages come, shrink and end, what is sent is the greedy choice.
        #[test]
        fn settle__is_greedy(
            steps in prop::collection::vec((0..HOSTS, 0..HOSTS, 1..4000_u32, 0..4_u8), 1..80),
        ) {
            let mut schedule = schedule();
            let mut alive = Vec::new();
            for (number, (from, to, length, action)) in steps.into_iter().enumerate() {
                let sent: Vec<JobId> = (0..HOSTS).filter_map(|h| schedule.sent_by(h)).collect();
                for &id in &sent {
                    let job = schedule.job_mut(id);
                    job.left = SimTime(job.left.0 - job.left.0.min(200_000) / 2);
                }
                match (action, sent.as_slice()) {
                    (0, [first, ..]) => {
                        let done: Vec<JobId> = [*first, sent[sent.len() / 2]].into();
                        let done = if done[0] == done[1] { &done[..1] } else { &done[..] };
                        alive.retain(|id| !done.contains(id));
                        done.iter().for_each(|&id| drop(schedule.take(id)));
                        schedule.settle();
                    }
                    _ => alive.push(start(&mut schedule, from, to, length, number as u64)),
                }
                let mut now: Vec<JobId> = (0..HOSTS).filter_map(|h| schedule.sent_by(h)).collect();
                now.sort_unstable();
                prop_assert_eq!(now, greedy(&schedule, &alive));
            }
        }
    }
}
