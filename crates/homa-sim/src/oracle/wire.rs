//! Messages as bytes and time on a host's link, and packets cut where a message was interrupted.

use super::schedule::Stretch;
use crate::framing::Framing;
use crate::port::ByteTime;
use crate::time::SimTime;

/// How messages occupy links: all their packets have the headers of unscheduled ones, there are no
/// grants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    framing: Framing,
    byte_time: ByteTime,
    rounds: bool,
}

impl Wire {
    /// On links to and from hosts of this speed; `rounds` if only whole bytes are sent between two events.
    pub(super) fn new(framing: Framing, byte_time: ByteTime, rounds: bool) -> Self {
        Self { framing, byte_time, rounds }
    }

    /// For how long a message occupies a host's link.
    pub(super) fn time(&self, length: u32) -> SimTime {
        self.byte_time.times(self.packets(length).sum())
    }

    /// Message bytes to be sent if this message is to occupy the link for such a time still. Headers go
    /// first, and don't count.
    pub(super) fn bytes_left(&self, length: u32, left: SimTime) -> u32 {
        let wire_bytes = self.byte_time.bytes_ceil(left);
        let payload = self.framing.payload_bytes;
        let last_payload = (length - 1) % payload + 1;
        let last = u64::from(self.framing.data(last_payload, false));
        if wire_bytes <= last {
            return wire_bytes.min(u64::from(last_payload)) as u32;
        }
        let full = u64::from(self.framing.data(payload, false));
        let before = wire_bytes - last;
        let part = (before % full).min(u64::from(payload)) as u32;
        last_payload + (before / full) as u32 * payload + part
    }

    /// What is sent in a span.
    pub(super) fn sent(&self, span: SimTime) -> SimTime {
        if self.rounds { self.byte_time.times(self.byte_time.bytes(span)) } else { span }
    }

    /// The packets of a message that was sent in these stretches: when each was sent, and its bytes. Where
    /// one was interrupted, its parts count as packets.
    pub(super) fn sent_packets(&self, length: u32, stretches: &[Stretch]) -> Vec<(SimTime, u64)> {
        let mut sent = Vec::with_capacity(length as usize / 1000 + stretches.len() + 1);
        let mut packets = self.packets(length);
        let mut packet_left = SimTime::ZERO;
        for stretch in stretches {
            let (mut now, end) = (stretch.begin, stretch.begin + stretch.sent);
            while now < end {
                if packet_left == SimTime::ZERO {
                    let Some(bytes) = packets.next() else { return sent };
                    packet_left = self.byte_time.times(bytes);
                }
                let part = packet_left.min(end - now);
                now += part;
                packet_left = packet_left - part;
                sent.push((now, self.byte_time.bytes(part)));
            }
        }
        sent
    }

    /// Bytes on the link of each packet.
    fn packets(&self, length: u32) -> impl Iterator<Item = u64> + use<> {
        let framing = self.framing;
        (0..length).step_by(framing.payload_bytes as usize).map(move |offset| {
            u64::from(framing.data(framing.payload_bytes.min(length - offset), false))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn wire(rounds: bool) -> Wire {
        Wire::new(Framing::SIGCOMM18, ByteTime::of_gbps(10.0), rounds)
    }

    fn nanos(nanos: u64) -> SimTime {
        SimTime::from_nanos(nanos)
    }

    #[test]
    fn bytes_left__counts_message_bytes_only() {
        let wire = wire(false);
        let time = wire.time(2000);
        assert_eq!(time, SimTime((1538 + 558 + 96) * 800));
        assert_eq!(wire.bytes_left(2000, time), 2000);
        // Nothing but headers has been sent.
        assert_eq!(wire.bytes_left(2000, time - SimTime(96 * 800)), 2000);
        assert_eq!(wire.bytes_left(2000, time - SimTime(97 * 800)), 1999);
        assert_eq!(wire.bytes_left(2000, SimTime((558 + 96) * 800)), 558);
        assert_eq!(wire.bytes_left(2000, SimTime(600 * 800)), 558);
        assert_eq!(wire.bytes_left(2000, SimTime(10 * 800)), 10);
        assert_eq!(wire.bytes_left(1442, wire.time(1442)), 1442);
    }

    #[test]
    fn sent_packets__are_cut_where_the_message_was_interrupted() {
        let wire = wire(false);
        let stretch = |begin, sent| {
            let (begin, sent) = (nanos(begin), nanos(sent));
            Stretch { begin, end: begin + sent, sent }
        };
        // 2,192 bytes take 1753.6 ns.
        let sent = wire.sent_packets(2000, &[stretch(0, 1600), stretch(5000, 200)]);
        assert_eq!(
            sent,
            [(SimTime(1538 * 800), 1538), (nanos(1600), 462), (SimTime(5_153_600), 192)]
        );
    }

    #[test]
    fn sent__in_whole_bytes_or_not() {
        assert_eq!(wire(false).sent(SimTime(1500)), SimTime(1500));
        assert_eq!(wire(true).sent(SimTime(1500)), SimTime(1600));
        assert_eq!(wire(true).sent(SimTime(399)), SimTime::ZERO);
    }
}
