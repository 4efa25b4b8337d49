//! A link that duplicates and reorders: packets pass through this process.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use socket2::Socket;

use super::Namespace;
use super::sys;

/// The longest frame of an Ethernet link of ours.
const FRAME_LEN_MAX: usize = 1 << 16;
/// The longest wait, so that the end is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// How a link treats packets, in thousandths of the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disorder {
    /// Packets that arrive twice, the second some time later.
    pub duplicate_permille: u32,
    /// Packets held back for some time, so that later ones overtake them.
    pub reorder_permille: u32,
    /// The longest such time; each is drawn at random from 0 to this.
    pub hold_max: Duration,
    /// Determines which packets it meets.
    pub seed: u64,
}

/// What was done to packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisorderCounts {
    /// Packets that came.
    pub packets: u64,
    /// Packets sent on twice.
    pub duplicated: u64,
    /// Packets sent on after others that came later.
    pub reordered: u64,
}

/// A thread that forwards between two links. Dropping it ends it.
#[derive(Debug)]
pub struct Forwarder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    packets: AtomicU64,
    duplicated: AtomicU64,
    reordered: AtomicU64,
}

/// One way through the forwarder.
#[derive(Debug)]
struct Way {
    disorder: Disorder,
    random: Xoshiro256PlusPlus,
    /// Packets that came so far.
    count: u64,
    held: BinaryHeap<Reverse<Held>>,
    shared: Arc<Shared>,
}

/// A frame to be sent later.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    due: Instant,
    /// How many came before it.
    number: u64,
    is_copy: bool,
    frame: Vec<u8>,
}

impl Forwarder {
    /// Joins two links of a namespace.
    pub(super) fn start(
        namespace: &Namespace,
        devices: [&str; 2],
        disorder: Disorder,
    ) -> io::Result<Self> {
        let open = || Ok([sys::packet_socket(devices[0])?, sys::packet_socket(devices[1])?]);
        let sockets = namespace.enter(open).and_then(|opened: io::Result<_>| opened)?;
        let shared = Arc::new(Shared::default());
        let ways = [0, 1].map(|way| Way::new(disorder, way, Arc::clone(&shared)));
        let thread = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || forward(&sockets, ways, &shared))
        };
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What it did so far, both ways together.
    #[must_use]
    pub fn counts(&self) -> DisorderCounts {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DisorderCounts {
            packets: value(&self.shared.packets),
            duplicated: value(&self.shared.duplicated),
            reordered: value(&self.shared.reordered),
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn forward(sockets: &[Socket; 2], mut ways: [Way; 2], shared: &Shared) {
    let mut buffer = vec![0; FRAME_LEN_MAX];
    while !shared.stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        let due = ways.iter().filter_map(Way::next_due).min();
        let wait = due.map_or(LONGEST_WAIT, |due| due.saturating_duration_since(now));
        let mut fds =
            sockets.each_ref().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        // Rounded up: a packet may be late, but polling without waiting is not to be.
        let millis = wait.min(LONGEST_WAIT).as_micros().div_ceil(1000) as u8;
        let _ = poll(&mut fds, PollTimeout::from(millis));
        for (way, (from, to)) in
            ways.iter_mut().zip([(&sockets[0], &sockets[1]), (&sockets[1], &sockets[0])])
        {
            // What can't be received or sent, for a link is down, is lost.
            while let Ok(len) = (&*from).read(&mut buffer) {
                way.arrive(Instant::now(), &buffer[..len], to);
            }
            way.release(Instant::now(), to);
        }
    }
}

impl Way {
    fn new(disorder: Disorder, way: u64, shared: Arc<Shared>) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(disorder.seed.wrapping_mul(2) + way);
        Self { disorder, random, count: 0, held: BinaryHeap::new(), shared }
    }

    fn arrive(&mut self, now: Instant, frame: &[u8], mut to: impl Write) {
        self.count += 1;
        self.shared.packets.fetch_add(1, Ordering::Relaxed);
        // What is due leaves first.
        self.release(now, &mut to);
        if self.happens(self.disorder.reorder_permille) {
            self.hold(now, frame, false);
        } else {
            let _ = to.write(frame);
        }
        if self.happens(self.disorder.duplicate_permille) {
            self.shared.duplicated.fetch_add(1, Ordering::Relaxed);
            self.hold(now, frame, true);
        }
    }

    /// Sends what is due.
    fn release(&mut self, now: Instant, mut to: impl Write) {
        while self.next_due().is_some_and(|due| due <= now)
            && let Some(Reverse(held)) = self.held.pop()
        {
            if held.number < self.count && !held.is_copy {
                self.shared.reordered.fetch_add(1, Ordering::Relaxed);
            }
            let _ = to.write(&held.frame);
        }
    }

    fn hold(&mut self, now: Instant, frame: &[u8], is_copy: bool) {
        let nanos = self.disorder.hold_max.as_nanos() as u64;
        let due = now + Duration::from_nanos(self.random.next_u64() % nanos.max(1));
        let held = Held { due, number: self.count, is_copy, frame: frame.to_vec() };
        self.held.push(Reverse(held));
    }

    fn happens(&mut self, permille: u32) -> bool {
        self.random.next_u64() % 1000 < u64::from(permille)
    }

    fn next_due(&self) -> Option<Instant> {
        self.held.peek().map(|held| held.0.due)
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    const HOLD: Duration = Duration::from_millis(5);

    /// What comes out when frames 0 to 99 come in 1 ms apart.
    fn through(duplicate_permille: u32, reorder_permille: u32) -> (Vec<u8>, Way) {
        let disorder = Disorder { duplicate_permille, reorder_permille, hold_max: HOLD, seed: 7 };
        let mut way = Way::new(disorder, 0, Arc::default());
        let (mut out, start) = (Vec::new(), Instant::now());
        for number in 0..100 {
            let now = start + Duration::from_millis(u64::from(number));
            way.arrive(now, &[number], &mut out);
        }
        way.release(start + Duration::from_secs(1), &mut out);
        (out, way)
    }

    #[test]
    fn arrive__in_order_without_faults() {
        assert_eq!(through(0, 0).0, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn arrive__duplicates_every_packet_later() {
        let (mut out, way) = through(1000, 0);
        assert_eq!(way.shared.duplicated.load(Ordering::Relaxed), 100);
        assert_eq!(way.shared.reordered.load(Ordering::Relaxed), 0);
        assert!(!out.is_sorted());
        out.sort_unstable();
        assert_eq!(out, (0..100).flat_map(|number| [number, number]).collect::<Vec<_>>());
    }

    #[test]
    fn arrive__reorders_and_loses_nothing() {
        let (mut out, way) = through(0, 300);
        assert!(way.shared.reordered.load(Ordering::Relaxed) > 10);
        assert!(!out.is_sorted());
        out.sort_unstable();
        assert_eq!(out, (0..100).collect::<Vec<_>>());
    }
}
