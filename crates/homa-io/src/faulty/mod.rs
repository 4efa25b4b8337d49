//! Faults on purpose: loss, duplication, reordering, delay, corruption.

mod dice;
mod plan;

pub use plan::{FaultPlan, ParseFaultPlanError};

use crate::{
    ChunkPool, Clock, Destination, OutgoingPacket, PacketIo, PathError, ReceivedPacket, SendBatch,
};
use bytes::Bytes;
use dice::{Dice, checksum};
use homa_proto::{Duration, Instant, PeerAddr};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A reordered packet is sent after this time even if nothing has overtaken it.
const HELD_TIME_MAX: Duration = Duration::from_millis(1);

/// Wait before packets for which there was no room are tried again.
const RETRY_TIME: Duration = Duration::from_micros(100);

/// Packets kept back at most, for whatever reason; more are lost and counted.
const KEPT_MAX: usize = 65_536;

/// Any driver of packets, made unreliable.
///
/// Faults strike **outgoing** packets only: when both sides of a test wrap their drivers, each
/// direction suffers the stated rates once. Which packets are struck follows from the seed and the
/// order of packets alone.
///
/// `corrupt` acts below the UDP checksum, as a wire does: bits of the datagram flip, its checksum is
/// computed before and after, and the packet is lost unless the two agree. `corrupt-undetected` acts
/// above it: the packet arrives with wrong bytes.
#[derive(Debug)]
pub struct FaultyIo<I> {
    inner: I,
    plan: FaultPlan,
    dice: Dice,
    counters: Arc<FaultCounters>,
    /// Reordered packets, oldest first.
    held: VecDeque<Held>,
    /// Packets to be sent later, earliest first.
    delayed: BinaryHeap<Reverse<Delayed>>,
    /// Makes packets due at the same time leave in the order they came.
    sequence: u64,
    /// On its way to the inner driver.
    out: SendBatch,
    /// When to try again to get rid of `out`.
    retry_at: Instant,
}

/// How often each fault has struck. Read with `load`, from any thread.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct FaultCounters {
    /// Packets handed in to be sent.
    pub packets: AtomicU64,
    /// Lost by `drop`.
    pub dropped: AtomicU64,
    /// Sent twice.
    pub duplicated: AtomicU64,
    /// Held back for others to pass.
    pub reordered: AtomicU64,
    /// Lost by `corrupt`, as the checksum showed.
    pub corrupted_dropped: AtomicU64,
    /// Struck by `corrupt` in a way that the checksum does not show, and sent.
    pub corrupted_passed: AtomicU64,
    /// Sent with wrong bytes by `corrupt-undetected`.
    pub corrupted_undetected: AtomicU64,
    /// Lost since too many packets were being kept back.
    pub overflowed: AtomicU64,
}

/// A packet kept back.
#[derive(Clone, Debug)]
struct Packet {
    destination: Destination,
    bytes: Bytes,
}

#[derive(Debug)]
struct Held {
    packet: Packet,
    /// Later packets that must pass first.
    passes_left: u32,
    until: Instant,
}

#[derive(Debug)]
struct Delayed {
    due: Instant,
    sequence: u64,
    packet: Packet,
}

impl<I: PacketIo> FaultyIo<I> {
    /// Wraps `inner` so that its outgoing packets suffer the faults of `plan`.
    pub fn new(inner: I, plan: FaultPlan) -> Self {
        Self {
            inner,
            plan,
            dice: Dice::new(plan.seed),
            counters: Arc::default(),
            held: VecDeque::new(),
            delayed: BinaryHeap::new(),
            sequence: 0,
            out: SendBatch::new(),
            retry_at: Instant::ZERO,
        }
    }

    /// What has happened so far; stays up to date while the driver is in use elsewhere.
    pub fn counters(&self) -> Arc<FaultCounters> {
        Arc::clone(&self.counters)
    }

    fn send_at(&mut self, now: Instant, batch: &mut SendBatch) -> io::Result<()> {
        let mut taken = 0;
        for packet in batch.iter() {
            self.flush(now)?;
            if self.out.is_full() {
                break;
            }
            self.strike(&packet, now);
            self.let_held_pass(now);
            taken += 1;
        }
        batch.remove_front(taken);
        self.flush(now)?;
        self.send_out(now)
    }

    /// Decides what becomes of a packet, and sees to it.
    fn strike(&mut self, packet: &OutgoingPacket<'_>, now: Instant) {
        let fate = self.dice.fate(&self.plan);
        count(&self.counters.packets);
        if fate.drop {
            return count(&self.counters.dropped);
        }
        let mut whole = Packet { destination: packet.destination, bytes: Bytes::new() };
        if fate.corrupt || fate.corrupt_undetected {
            match self.corrupted(packet, fate.corrupt, fate.corrupt_undetected) {
                Some(bytes) => whole.bytes = bytes,
                None => return count(&self.counters.corrupted_dropped),
            }
        } else if fate.duplicate || fate.reorder || !self.plan.is_prompt() {
            whole.bytes = packet.to_vec().into();
        } else {
            return copy_packet(&mut self.out, packet);
        }
        if fate.duplicate {
            count(&self.counters.duplicated);
            self.delay(whole.clone(), now);
        }
        if fate.reorder {
            count(&self.counters.reordered);
            self.hold(whole, now);
        } else {
            self.delay(whole, now);
        }
    }

    /// The packet with bits flipped, or `None` if the checksum gives it away.
    fn corrupted(
        &mut self,
        packet: &OutgoingPacket<'_>,
        below: bool,
        above: bool,
    ) -> Option<Bytes> {
        let mut bytes = packet.to_vec();
        if bytes.is_empty() {
            return Some(Bytes::new());
        }
        if below {
            let before = checksum(&bytes);
            self.dice.flip_burst(&mut bytes);
            if checksum(&bytes) != before {
                return None;
            }
            count(&self.counters.corrupted_passed);
        }
        if above {
            self.dice.flip_anywhere(&mut bytes);
            count(&self.counters.corrupted_undetected);
        }
        Some(bytes.into())
    }

    /// Sends the packet after the plan's delay, which may be none.
    fn delay(&mut self, packet: Packet, now: Instant) {
        if self.held.len() + self.delayed.len() >= KEPT_MAX {
            return count(&self.counters.overflowed);
        }
        let due = now + self.dice.delay(&self.plan);
        self.sequence += 1;
        self.delayed.push(Reverse(Delayed { due, sequence: self.sequence, packet }));
    }

    /// Keeps the packet until some later ones have passed.
    fn hold(&mut self, packet: Packet, now: Instant) {
        if self.held.len() + self.delayed.len() >= KEPT_MAX {
            return count(&self.counters.overflowed);
        }
        // The packet itself is counted as passing, right after this.
        let passes_left = self.dice.passes() + 1;
        self.held.push_back(Held { packet, passes_left, until: now + HELD_TIME_MAX });
    }

    /// One more packet has passed those that are held back.
    fn let_held_pass(&mut self, now: Instant) {
        self.held.iter_mut().for_each(|held| held.passes_left -= 1);
        self.release_held(now);
    }

    fn release_held(&mut self, now: Instant) {
        let mut index = 0;
        while index < self.held.len() {
            let held = &self.held[index];
            if held.passes_left > 0 && held.until > now {
                index += 1;
            } else if let Some(held) = self.held.remove(index) {
                self.delay(held.packet, now);
            }
        }
    }

    /// Moves packets that are due to the inner driver, as far as there is room.
    fn flush(&mut self, now: Instant) -> io::Result<()> {
        self.release_held(now);
        loop {
            if self.out.is_full() {
                self.send_out(now)?;
            }
            match self.delayed.peek() {
                Some(Reverse(delayed)) if delayed.due <= now && !self.out.is_full() => {}
                _ => return Ok(()),
            }
            if let Some(Reverse(Delayed { packet, .. })) = self.delayed.pop() {
                self.out.push(packet.destination, b"");
                self.out.append_payload(packet.bytes);
            }
        }
    }

    fn send_out(&mut self, now: Instant) -> io::Result<()> {
        if !self.out.is_empty() {
            self.inner.send_batch(&mut self.out)?;
            self.retry_at = now + RETRY_TIME;
        }
        Ok(())
    }

    /// When the earliest of the packets kept back is to go on.
    fn due(&self) -> Option<Instant> {
        let retry = Some(self.retry_at).filter(|_| !self.out.is_empty());
        let delayed = self.delayed.peek().map(|Reverse(delayed)| delayed.due);
        let held = self.held.iter().map(|held| held.until).min();
        [retry, delayed, held].into_iter().flatten().min()
    }
}

impl FaultPlan {
    fn is_prompt(&self) -> bool {
        self.delay.is_zero() && self.jitter.is_zero()
    }
}

impl<I: PacketIo> PacketIo for FaultyIo<I> {
    fn recv_batch(&mut self) -> io::Result<usize> {
        if self.due().is_some() {
            let now = Clock::now();
            self.flush(now)?;
            self.send_out(now)?;
        }
        self.inner.recv_batch()
    }

    fn packet(&self, index: usize) -> ReceivedPacket<'_> {
        self.inner.packet(index)
    }

    fn take_payload(
        &mut self,
        index: usize,
        range: Range<usize>,
        pool: &ChunkPool,
    ) -> Option<Bytes> {
        self.inner.take_payload(index, range, pool)
    }

    fn send_batch(&mut self, batch: &mut SendBatch) -> io::Result<()> {
        self.send_at(Clock::now(), batch)
    }

    fn send_port_unreachable(&mut self, index: usize) {
        self.inner.send_port_unreachable(index);
    }

    fn next_error(&mut self) -> Option<PathError> {
        self.inner.next_error()
    }

    fn path_mtu(&mut self, peer: &PeerAddr) -> u32 {
        self.inner.path_mtu(peer)
    }

    fn source_ip(&mut self, peer: &PeerAddr) -> Option<IpAddr> {
        self.inner.source_ip(peer)
    }

    fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr()
    }

    fn ready_fd(&self) -> BorrowedFd<'_> {
        self.inner.ready_fd()
    }

    fn receive_buffer_bytes(&self) -> usize {
        self.inner.receive_buffer_bytes()
    }

    fn next_due(&self) -> Option<std::time::Instant> {
        let own = self.due().and_then(Clock::to_std);
        [own, self.inner.next_due()].into_iter().flatten().min()
    }
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.sequence) == (other.due, other.sequence)
    }
}

impl Eq for Delayed {}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Passes a packet on without copying its payload.
fn copy_packet(out: &mut SendBatch, packet: &OutgoingPacket<'_>) {
    out.push(packet.destination, packet.front);
    packet.payload.iter().for_each(|slice| out.append_payload(slice.clone()));
    out.set_prefix(out.len() - 1, packet.destination.local, packet.prefix);
}

#[cfg(test)]
mod tests;
