//! Links with a rate, and switch ports with strict priorities and finite buffers, made of HTB.

use std::fmt::Write as _;
use std::io;

use super::{Namespace, run_with_input};

/// Levels that the class selector in an IP header can name.
const LEVELS: u8 = 8;
/// Packets that may leave together after the link was idle, in bytes: less than two, or the rate would be that of a
/// faster link for a while.
const BURST_BYTES: u32 = 3000;
/// What a level is promised even while higher ones have more than the link carries: as little as can be said.
const LEAST_BITS_PER_SECOND: u64 = 8_000;
/// Packets that a host's own link lets wait in each level: many, as a host's memory is no switch's.
const HOST_QUEUE_PACKETS: u32 = 10_000;

/// What links and ports of a lab are limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shaping {
    /// Rate of each link, in either direction, in bits per second, headers of Ethernet included.
    pub bits_per_second: u64,
    /// Bytes that may wait for each level of each port of the bridge; more is dropped. (HTB cannot have its levels
    /// share a buffer, as those of a switch do.)
    pub buffer_bytes: u64,
    /// Levels in use, 1 to 8: the class selector of a packet, the upper three bits of its DSCP, is its level if
    /// there are 8, and otherwise several levels are one.
    pub priorities: u8,
}

impl Shaping {
    /// Limits what a port of the bridge sends to its host.
    pub(super) fn limit_port(&self, network: &Namespace, device: &str) -> io::Result<()> {
        self.limit(network, device, &format!("bfifo limit {}", self.buffer_bytes))
    }

    /// Limits what a host sends.
    pub(super) fn limit_host(&self, host: &Namespace, device: &str) -> io::Result<()> {
        self.limit(host, device, &format!("pfifo limit {HOST_QUEUE_PACKETS}"))
    }

    fn limit(&self, namespace: &Namespace, device: &str, queue: &str) -> io::Result<()> {
        run_with_input(namespace.command("tc").args(["-batch", "-"]), &self.rules(device, queue))
    }

    /// Classes 1:10 to 1:17, one for each level, which borrow all of the link from 1:1, higher levels first.
    fn rules(&self, device: &str, queue: &str) -> String {
        let (rate, least) = (self.bits_per_second, LEAST_BITS_PER_SECOND);
        let bursts = format!("burst {BURST_BYTES} cburst {BURST_BYTES}");
        // What has no level, such as ARP, goes first: there is little of it.
        let mut rules = format!(
            "qdisc add dev {device} root handle 1: htb default 17 r2q 1000\n\
             class add dev {device} parent 1: classid 1:1 htb rate {rate}bit ceil {rate}bit {bursts}\n"
        );
        for level in 0..LEVELS {
            let prio = LEVELS - 1 - level;
            let class = format!("1:1{level}");
            // Writing to a string does not fail.
            let _ = write!(
                rules,
                "class add dev {device} parent 1:1 classid {class} htb rate {least}bit ceil {rate}bit prio {prio} \
                 {bursts}\n\
                 qdisc add dev {device} parent {class} {queue}\n"
            );
            let queue_of = self.queue_of(level);
            for (protocol, name, tos) in [("ip", "ip tos", 5), ("ipv6", "ip6 priority", 5)] {
                let value = u32::from(level) << tos;
                let order = if protocol == "ip" { 1 } else { 2 };
                let _ = writeln!(
                    rules,
                    "filter add dev {device} parent 1: protocol {protocol} prio {order} u32 \
                     match {name} {value:#x} 0xe0 flowid 1:1{queue_of}"
                );
            }
        }
        rules
    }

    /// The class for packets of a level.
    fn queue_of(&self, level: u8) -> u8 {
        let used = self.priorities.clamp(1, LEVELS);
        // The highest stay apart, as they are for the shortest messages.
        level.saturating_sub(LEVELS - used)
    }
}

/// Packets that all queues of a namespace have dropped.
pub(super) fn dropped_packets(network: &Namespace) -> io::Result<u64> {
    let output = network.command("tc").args(["-s", "qdisc", "show"]).output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("tc: {}", why.trim())));
    }
    Ok(drops_in(&String::from_utf8_lossy(&output.stdout)))
}

/// The sum of the leaves' drops in what `tc -s qdisc show` prints; that of HTB itself counts them again.
fn drops_in(text: &str) -> u64 {
    let mut is_leaf = false;
    let mut sum = 0;
    for line in text.lines() {
        if line.starts_with("qdisc ") {
            is_leaf = line.contains("fifo ");
        } else if let Some((_, rest)) = line.split_once("(dropped ")
            && is_leaf
            && let Some((count, _)) = rest.split_once(',')
        {
            sum += count.parse().unwrap_or(0);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn shaping(priorities: u8) -> Shaping {
        Shaping { bits_per_second: 200_000_000, buffer_bytes: 128_000, priorities }
    }

    #[test]
    fn queue_of__joins_the_lowest_levels() {
        let queues = |priorities: u8| {
            (0..8).map(|level| shaping(priorities).queue_of(level)).collect::<Vec<_>>()
        };
        assert_eq!(queues(8), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(queues(2), [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(queues(1), [0; 8]);
    }

    #[test]
    fn drops_in__leaves_only() {
        let text = "\
qdisc htb 1: dev p0 root refcnt 5 r2q 1000 default 0x17 direct_packets_stat 0 direct_qlen 1000
 Sent 100 bytes 7 pkt (dropped 5, overlimits 0 requeues 0)
 backlog 0b 0p requeues 0
qdisc bfifo 8001: dev p0 parent 1:10 limit 128000b
 Sent 100 bytes 7 pkt (dropped 3, overlimits 0 requeues 0)
qdisc bfifo 8002: dev p0 parent 1:11 limit 128000b
 Sent 100 bytes 7 pkt (dropped 2, overlimits 0 requeues 0)";
        assert_eq!(drops_in(text), 5);
    }
}
