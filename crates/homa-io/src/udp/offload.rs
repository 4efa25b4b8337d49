//! Segmentation offload: which packets of a batch go to the kernel as one message, and how a
//! message from the kernel falls into packets.
//!
//! A system call, the way through the kernel's layers and the wake-up of the receiver are paid per
//! message, so this is what decides the rate of short messages; `sendmmsg` alone saves little
//! (BENCHMARKING.md).

use crate::sys::ControlMessages;
use crate::{Destination, SendBatch};

/// Packets that the kernel takes in one message at most (UDP_MAX_SEGMENTS of older kernels).
const PACKETS_MAX: usize = 64;

/// Longest message: the longest UDP payload over IPv6, which is the shorter one.
const MESSAGE_LEN_MAX: usize = 65_487;

/// Consecutive packets that go as one message: one destination, one length, but that the last may
/// be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) destination: Destination,
    pub(super) packets: usize,
    /// Length in bytes of all packets but the last.
    pub(super) segment_len: usize,
}

impl Run {
    /// Tells the kernel where to cut, if it has to.
    pub(super) fn describe(&self, control: &mut ControlMessages) {
        if self.packets > 1 {
            let segment_len = (self.segment_len as u16).to_ne_bytes();
            control.push(libc::SOL_UDP, libc::UDP_SEGMENT, &segment_len);
        }
    }
}

/// The runs of a batch, in order. Without `offload` each packet is a run.
pub(super) fn runs(batch: &SendBatch, offload: bool) -> impl Iterator<Item = Run> {
    let packets_max = if offload { PACKETS_MAX } else { 1 };
    let mut packets = batch.iter().peekable();
    std::iter::from_fn(move || {
        let first = packets.next()?;
        let mut run = Run { destination: first.destination, packets: 1, segment_len: first.len };
        let (mut len, mut last_len) = (first.len, first.len);
        while run.packets < packets_max && last_len == run.segment_len {
            let joins = packets.next_if(|next| {
                next.destination == run.destination
                    && next.len <= run.segment_len
                    && len + next.len <= MESSAGE_LEN_MAX
            });
            let Some(next) = joins else { break };
            run.packets += 1;
            len += next.len;
            last_len = next.len;
        }
        Some(run)
    })
}

/// Where the packets lie in a received message of `len` bytes.
pub(super) fn split(control: &ControlMessages, len: usize) -> impl Iterator<Item = (usize, usize)> {
    let segment_len = control
        .find(libc::SOL_UDP, libc::UDP_GRO)
        .and_then(|data| data.get(..4)?.try_into().ok())
        .and_then(|data| usize::try_from(i32::from_ne_bytes(data)).ok())
        .filter(|segment_len| *segment_len > 0)
        .unwrap_or(len.max(1));
    // An empty datagram is a packet, too.
    (0..len.max(1)).step_by(segment_len).map(move |start| (start, segment_len.min(len - start)))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use homa_proto::{LocalAddr, PeerAddr};
    use homa_wire::Priority;
    use std::net::SocketAddr;

    fn destination(port: u16, priority: Priority) -> Destination {
        let peer = PeerAddr::from(SocketAddr::from(([10, 0, 0, 1], port)));
        Destination { peer, local: LocalAddr::ANY, priority }
    }

    fn batch(packets: &[(u16, usize)]) -> SendBatch {
        let mut batch = SendBatch::new();
        for &(port, len) in packets {
            batch.push(destination(port, Priority::HIGHEST), &[]);
            batch.append_payload(vec![0; len].into());
        }
        batch
    }

    fn lengths(batch: &SendBatch) -> Vec<(usize, usize)> {
        runs(batch, true).map(|run| (run.packets, run.segment_len)).collect()
    }

    #[test]
    fn runs__end_with_a_shorter_packet() {
        let batch = batch(&[(1, 100), (1, 100), (1, 60), (1, 60), (1, 80)]);
        assert_eq!(lengths(&batch), [(3, 100), (1, 60), (1, 80)]);
    }

    #[test]
    fn runs__have_one_destination() {
        let mut batch = batch(&[(1, 100), (2, 100), (2, 100)]);
        batch.push(destination(2, Priority::LOWEST), &[0; 10]);
        assert_eq!(lengths(&batch), [(1, 100), (2, 100), (1, 10)]);
    }

    #[test]
    fn runs__fit_one_message() {
        let batch = batch(&[(1, 30_000), (1, 30_000), (1, 30_000)]);
        assert_eq!(lengths(&batch), [(2, 30_000), (1, 30_000)]);
    }

    #[test]
    fn runs__without_offload_are_single_packets() {
        let batch = batch(&[(1, 100), (1, 100)]);
        assert!(runs(&batch, false).all(|run| run.packets == 1));
        assert_eq!(runs(&batch, false).count(), 2);
    }

    #[test]
    fn split__follows_the_segment_length() {
        let mut control = ControlMessages::EMPTY;
        assert_eq!(split(&control, 250).collect::<Vec<_>>(), [(0, 250)]);
        assert_eq!(split(&control, 0).collect::<Vec<_>>(), [(0, 0)]);
        control.push(libc::SOL_UDP, libc::UDP_GRO, &100_i32.to_ne_bytes());
        assert_eq!(split(&control, 250).collect::<Vec<_>>(), [(0, 100), (100, 100), (200, 50)]);
        assert_eq!(split(&control, 100).collect::<Vec<_>>(), [(0, 100)]);
    }
}
