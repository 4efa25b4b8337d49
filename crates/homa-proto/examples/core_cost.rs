//! What the protocol itself costs per RPC: two endpoints hand each other's packets over directly,
//! without sockets, bytes or threads. Prints nanoseconds per RPC for both sides together.
//!
//! `cargo run --release -p homa-proto --example core_cost`
//!
//! With a shield and a number it makes so many calls of 100 B, one after the other, and prints nothing:
//! to count their instructions, `valgrind --tool=callgrind target/release/examples/core_cost proven 20000`
//! and the same with another number; the difference is theirs.

use homa_proto::{
    CallOptions, Config, Duration, Endpoint, Event, Instant, LocalAddr, PacketMeta, PeerAddr,
};
use homa_wire::Body;
use std::net::SocketAddr;

const PORT: u16 = 4000;
const RPCS: u32 = 1_000_000;

/// What the limit on unproven peers has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shield {
    /// There is no limit.
    Open,
    /// Clients echo their cutoff version, as all do that know CUTOFFS.
    Proven,
    /// Clients never echo it.
    Unproven,
}

struct Side {
    endpoint: Endpoint,
    meta: PacketMeta,
}

impl Side {
    fn new(seed: u64, other: PeerAddr, shield: Shield) -> Self {
        let mut config = Config::default();
        config.amplification = config.amplification.filter(|_| shield != Shield::Open);
        config.seed = seed;
        config.pacing = false;
        let mut endpoint = Endpoint::new(config, Instant::ZERO).expect("the defaults are valid");
        endpoint.set_default_mtu(65_536);
        Self { endpoint, meta: PacketMeta { peer: other, local: LocalAddr::ANY } }
    }
}

/// Moves all packets that one side has to send to the other.
fn transfer(now: Instant, from: &mut Side, to: &mut Side, shield: Shield) {
    while let Some(transmit) = from.endpoint.poll_transmit(now) {
        let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
        let mut header = transmit.header;
        if let Body::Data(data) = &mut header.body
            && shield == Shield::Unproven
        {
            data.cutoff_version = 0;
        }
        to.endpoint.handle_packet(now, to.meta, &header, payload_len as usize);
    }
}

fn run(length: u32, outstanding: u32, rpcs: u32, shield: Shield) -> f64 {
    let addr = |host| PeerAddr::from(SocketAddr::from(([10, 0, 0, host], PORT)));
    let mut client = Side::new(1, addr(2), shield);
    let mut server = Side::new(2, addr(1), shield);
    let socket = client.endpoint.open_client().expect("a port is free");
    server.endpoint.open_server(PORT).expect("the port is free");
    let mut now = Instant::ZERO;
    let (mut started, mut done) = (0, 0);
    let begin = std::time::Instant::now();
    while done < rpcs {
        while started < rpcs && started - done < outstanding {
            let options = CallOptions::default();
            let sent = client.endpoint.send_request(now, socket, addr(2), PORT, length, options);
            sent.expect("within the limits");
            started += 1;
        }
        transfer(now, &mut client, &mut server, shield);
        while let Some(event) = server.endpoint.poll_event() {
            if let Event::RequestComplete { key } = event {
                server.endpoint.accept(now, key);
                server.endpoint.send_reply(now, key, length).expect("within the limits");
            }
        }
        transfer(now, &mut server, &mut client, shield);
        while let Some(event) = client.endpoint.poll_event() {
            if let Event::ResponseComplete { key } = event {
                client.endpoint.finish(now, key);
                done += 1;
            }
        }
        now += Duration::from_micros(2);
        client.endpoint.handle_timeout(now);
        server.endpoint.handle_timeout(now);
    }
    begin.elapsed().as_nanos() as f64 / f64::from(rpcs)
}

/// The shield and number of calls that the command line asks for, if it does.
fn counted() -> Option<(Shield, u32)> {
    let mut args = std::env::args().skip(1);
    let shield = match args.next()?.as_str() {
        "open" => Shield::Open,
        "proven" => Shield::Proven,
        "unproven" => Shield::Unproven,
        other => panic!("open, proven or unproven, not {other}"),
    };
    let rpcs = args.next().expect("a number of calls").parse().expect("a number of calls");
    Some((shield, rpcs))
}

fn main() {
    if let Some((shield, rpcs)) = counted() {
        run(100, 1, rpcs, shield);
        return;
    }
    for (length, outstanding, rpcs) in
        [(100, 1, RPCS), (100, 64, RPCS), (100, 10_000, RPCS), (1_000_000, 8, RPCS / 200)]
    {
        let nanos = run(length, outstanding, rpcs, Shield::Proven);
        println!("{length:>8} B, {outstanding:>6} outstanding: {nanos:>9.0} ns per RPC");
    }
}
