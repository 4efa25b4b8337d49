//! What the protocol itself costs per RPC: two endpoints hand each other's packets over directly,
//! without sockets, bytes or threads. Prints nanoseconds per RPC for both sides together.
//!
//! `cargo run --release -p homa-proto --example core_cost`
//!
//! With a case and a number it makes so many calls of it, and prints how many calls, DATA packets and grants
//! there were: `cargo xtask instructions` counts what they cost. What becomes of the cost at other scales is
//! the example `scale`.

mod two_hosts;

use homa_proto::Config;
use two_hosts::{Case, Counts, Hosts, SHORT, Shield};

const RPCS: u32 = 1_000_000;

/// Long messages in packets of ordinary size.
const LONG: Case = Case { length: 1_000_000, mtu: 1500, ..SHORT };

/// Makes so many calls; how long each took, in nanoseconds, and what was sent.
fn run(case: Case, rpcs: u32) -> (f64, Counts) {
    let mut hosts = Hosts::new(case, &Config::default());
    let begin = std::time::Instant::now();
    hosts.run(rpcs);
    (begin.elapsed().as_nanos() as f64 / f64::from(rpcs), hosts.counts)
}

/// The case and number of calls that the command line asks for, if it does.
fn counted() -> Option<(Case, u32)> {
    let mut args = std::env::args().skip(1);
    let case = match args.next()?.as_str() {
        "one" => SHORT,
        "many" => Case { outstanding: 64, ..SHORT },
        "open" => Case { shield: Shield::Open, ..SHORT },
        "unproven" => Case { shield: Shield::Unproven, ..SHORT },
        "packets" => LONG,
        "grants" => Case { window_bytes: 20_000, ..LONG },
        other => panic!("one, many, open, unproven, packets or grants, not {other}"),
    };
    let rpcs = args.next().expect("a number of calls").parse().expect("a number of calls");
    Some((case, rpcs))
}

fn main() {
    if let Some((case, rpcs)) = counted() {
        let (_, Counts { data, grants }) = run(case, rpcs);
        println!("{rpcs} {data} {grants}");
        return;
    }
    for (length, outstanding, rpcs) in
        [(100, 1, RPCS), (100, 64, RPCS), (100, 10_000, RPCS), (1_000_000, 8, RPCS / 200)]
    {
        let (nanos, _) = run(Case { length, outstanding, ..SHORT }, rpcs);
        println!("{length:>8} B, {outstanding:>6} outstanding: {nanos:>9.0} ns per RPC");
    }
}
