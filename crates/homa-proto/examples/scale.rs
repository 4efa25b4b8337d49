//! What the protocol itself costs per RPC, both sides together, with so many calls open, so many peers, or
//! messages so long: `cargo xtask scale` makes its curves of it.
//!
//! `cargo run --release -p homa-proto --example scale [KEY=NUMBER ...]`
//!
//! | key | means | default |
//! |---|---|---|
//! | `outstanding` | calls open at once | 1 |
//! | `peers` | peers, called one after the other | 1 |
//! | `length` | bytes of requests and responses | 100 |
//! | `mtu` | largest IP packet | 65536 |
//! | `pace_ns` | time that passes in the protocol per call; real time is not asked | 2 |
//! | `rpcs` | calls that are measured | 1000 |
//! | `warmup` | calls that end before, at least | a quarter of `outstanding` |
//!
//! Calls are made beforehand until all peers are known, as many are open as there may be, and all tables have
//! the size that they need. Then it prints nanoseconds of one core and DATA packets per call.

mod two_hosts;

use std::sync::LazyLock;
use std::time::Instant;
use std::{fs, thread};

use homa_proto::{Config, Duration, MESSAGE_LENGTH_LIMIT};
use two_hosts::{Case, Hosts, SHORT};

/// How many calls are answered at once, if so many are open: a driver's batch.
const BATCH: u32 = 64;

fn main() {
    let (mut case, mut pace_ns, mut rpcs, mut warmup) = (SHORT, 2, 1000, None);
    for argument in std::env::args().skip(1) {
        let (key, value) = argument.split_once('=').expect("KEY=NUMBER");
        let value = value.parse().expect("a number");
        match key {
            "outstanding" => case.outstanding = value,
            "peers" => case.peers = value,
            "length" => case.length = value,
            "mtu" => case.mtu = value,
            "pace_ns" => pace_ns = value,
            "rpcs" => rpcs = value,
            "warmup" => warmup = Some(value),
            other => panic!("'{other}' is none of the keys"),
        }
    }
    case.answered_at_once = BATCH;
    case.step = Duration::from_nanos(u64::from(pace_ns * case.outstanding.min(BATCH)));
    let mut hosts = Hosts::new(case, &roomy(&case));
    // A peer's first calls tell it cutoffs, and show that its address is its own.
    let warmup = warmup.unwrap_or(case.outstanding / 4);
    hosts.run_steadily((2 * case.peers).max(warmup).max(100.min(rpcs)));
    let before = hosts.counts.data;
    let begin = cpu_nanos();
    measured(&mut hosts, rpcs);
    let nanos = (cpu_nanos() - begin) / f64::from(rpcs);
    let packets = (hosts.counts.data - before) as f64 / f64::from(rpcs);
    println!("{nanos:.1} {packets:.1}");
}

/// Nanoseconds that this thread has had of a core, so that other programs don't count; on systems that don't
/// tell, all that have passed.
fn cpu_nanos() -> f64 {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    // The kernel adds up what a thread had when it gives way.
    thread::yield_now();
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    nanos.unwrap_or_else(|| BEGIN.elapsed().as_nanos() as f64)
}

/// What is measured, in a function of its own: `cargo xtask scale` has callgrind count this one alone.
#[inline(never)]
fn measured(hosts: &mut Hosts, rpcs: u32) {
    hosts.run_steadily(rpcs);
}

/// Limits that are out of the way: how much there is shall show, not what is turned away.
fn roomy(case: &Case) -> Config {
    let mut config = Config::default();
    config.message_length_max = MESSAGE_LENGTH_LIMIT;
    config.overload.peer_share_permille = 1000;
    let limits = &mut config.limits;
    limits.client_rpcs_max = limits.client_rpcs_max.max(2 * case.outstanding);
    limits.server_rpcs_max = limits.server_rpcs_max.max(4 * case.outstanding);
    limits.peers_max = limits.peers_max.max(2 * case.peers);
    limits.incoming_bytes_max = 1 << 40;
    limits.outgoing_bytes_max = 1 << 40;
    limits.finished_ids_total_max *= 2;
    config
}
