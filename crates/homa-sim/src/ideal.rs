//! How long a message takes at best: what slowdown is measured against.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::framing::Framing;
use crate::port::ByteTime;
use crate::time::SimTime;

/// A link on the way of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hop {
    pub(crate) byte_time: ByteTime,
    pub(crate) delay: SimTime,
}

/// Number of a kind of way: all pairs of hosts between which the links are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WayId(pub(crate) u16);

/// Best times by kind of way and length, each computed once: workloads repeat lengths.
#[derive(Debug)]
pub(crate) struct IdealTimes {
    framing: Framing,
    unscheduled_bytes: u32,
    ways: Vec<Vec<Hop>>,
    /// By the switches of both ends.
    way_ids: HashMap<[u32; 2], WayId, FixedState>,
    times: HashMap<(WayId, u32), SimTime, FixedState>,
}

impl IdealTimes {
    /// For messages of which so many bytes need no grant: their headers may have another length.
    pub(crate) fn new(framing: Framing, unscheduled_bytes: u32) -> Self {
        Self {
            framing,
            unscheduled_bytes,
            ways: Vec::new(),
            way_ids: HashMap::default(),
            times: HashMap::default(),
        }
    }

    /// The number of the way between hosts of these switches, which `hops` finds when it is first needed.
    pub(crate) fn way(&mut self, ends: [u32; 2], hops: impl FnOnce() -> Vec<Hop>) -> WayId {
        let ways = &mut self.ways;
        *self.way_ids.entry(ends).or_insert_with(|| number(ways, hops()))
    }

    /// From the moment at which the sender's first packet leaves until the receiver has the last one,
    /// if no packet waits for those of other messages and no grant is waited for. Each switch receives
    /// a packet whole before it sends it on; between switches the packets of a message may overtake
    /// each other, as there are several ways.
    pub(crate) fn time(&mut self, way: WayId, length: u32) -> SimTime {
        if let Some(&time) = self.times.get(&(way, length)) {
            return time;
        }
        let time = self.compute(&self.ways[usize::from(way.0)], length);
        self.times.insert((way, length), time);
        time
    }

    /// The links of a way.
    pub(crate) fn hops(&self, way: WayId) -> &[Hop] {
        &self.ways[usize::from(way.0)]
    }

    fn compute(&self, hops: &[Hop], length: u32) -> SimTime {
        let Some(first) = hops.first() else { return SimTime::ZERO };
        let mut sent = SimTime::ZERO;
        let mut offset = 0;
        let mut packets = Vec::with_capacity((length / self.framing.payload_bytes + 2) as usize);
        while offset < length {
            let is_scheduled = offset >= self.unscheduled_bytes;
            let end = if is_scheduled { length } else { length.min(self.unscheduled_bytes) };
            let payload = self.framing.payload_bytes.min(end - offset);
            let bytes = u64::from(self.framing.data(payload, is_scheduled));
            sent += first.byte_time.times(bytes);
            packets.push((sent, bytes));
            offset += payload;
        }
        delivery(hops, packets)
    }
}

/// The number of a way with these links.
fn number(ways: &mut Vec<Vec<Hop>>, hops: Vec<Hop>) -> WayId {
    let known = ways.iter().position(|way| *way == hops);
    WayId(known.unwrap_or_else(|| {
        ways.push(hops);
        ways.len() - 1
    }) as u16)
}

/// When the last of some packets is received, of which each was sent whole by the first link at a given
/// time and has so many bytes.
pub(crate) fn delivery(hops: &[Hop], mut packets: Vec<(SimTime, u64)>) -> SimTime {
    let [first, between @ .., last] = hops else { return SimTime::ZERO };
    for (at, bytes) in &mut packets {
        let way = |at: SimTime, hop: &Hop| at + hop.byte_time.times(*bytes) + hop.delay;
        *at = between.iter().fold(*at + first.delay, way);
    }
    packets.sort_by_key(|&(at, _)| at);
    let receive =
        |free: SimTime, &(at, bytes): &(SimTime, u64)| free.max(at) + last.byte_time.times(bytes);
    packets.iter().fold(SimTime::ZERO, receive) + last.delay
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    /// PAPER_RESULTS 1.1: 2.3 us for the smallest message, one more packet costs the host's link only.
    #[test]
    fn time__of_the_paper() {
        let hop = |gbps, nanos| Hop {
            byte_time: ByteTime::of_gbps(gbps),
            delay: SimTime::from_nanos(nanos),
        };
        let hops = [hop(10.0, 1000), hop(40.0, 250), hop(40.0, 250), hop(10.0, 750)];
        let mut times = IdealTimes::new(Framing::SIGCOMM18, 9328);
        let way = times.way([0, 1], || hops.to_vec());
        let tiny = times.time(way, 1);
        assert_eq!(tiny.0, 97 * (800 + 200 + 200 + 800) + 2_250_000);
        let one = times.time(way, 1442);
        let two = times.time(way, 2884);
        assert_eq!((two - one).0, 1538 * 800);
        // Ways between other switches, over links that are alike or not.
        assert_eq!(times.way([0, 2], || hops.to_vec()), way);
        assert_ne!(times.way([0, 0], || vec![hops[0], hops[3]]), way);
        assert_eq!(times.way([0, 1], || unreachable!("it is known")), way);
    }
}
