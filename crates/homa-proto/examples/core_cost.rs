//! What the protocol itself costs per RPC: two endpoints hand each other's packets over directly,
//! without sockets, bytes or threads. Prints nanoseconds per RPC for both sides together.
//!
//! `cargo run --release -p homa-proto --example core_cost`

use homa_proto::{
    CallOptions, Config, Duration, Endpoint, Event, Instant, LocalAddr, PacketMeta, PeerAddr,
};
use std::net::SocketAddr;

const PORT: u16 = 4000;
const RPCS: u32 = 1_000_000;

struct Side {
    endpoint: Endpoint,
    meta: PacketMeta,
}

impl Side {
    fn new(seed: u64, other: PeerAddr) -> Self {
        let mut config = Config::default();
        config.seed = seed;
        config.pacing = false;
        let mut endpoint = Endpoint::new(config, Instant::ZERO).expect("the defaults are valid");
        endpoint.set_default_mtu(65_536);
        Self { endpoint, meta: PacketMeta { peer: other, local: LocalAddr::ANY } }
    }
}

/// Moves all packets that one side has to send to the other.
fn transfer(now: Instant, from: &mut Side, to: &mut Side) {
    while let Some(transmit) = from.endpoint.poll_transmit(now) {
        let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
        to.endpoint.handle_packet(now, to.meta, &transmit.header, payload_len as usize);
    }
}

fn run(length: u32, outstanding: u32, rpcs: u32) -> f64 {
    let addr = |host| PeerAddr::from(SocketAddr::from(([10, 0, 0, host], PORT)));
    let mut client = Side::new(1, addr(2));
    let mut server = Side::new(2, addr(1));
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
        transfer(now, &mut client, &mut server);
        while let Some(event) = server.endpoint.poll_event() {
            if let Event::RequestComplete { key } = event {
                server.endpoint.accept(now, key);
                server.endpoint.send_reply(now, key, length).expect("within the limits");
            }
        }
        transfer(now, &mut server, &mut client);
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

fn main() {
    for (length, outstanding, rpcs) in
        [(100, 1, RPCS), (100, 64, RPCS), (100, 10_000, RPCS), (1_000_000, 8, RPCS / 200)]
    {
        let nanos = run(length, outstanding, rpcs);
        println!("{length:>8} B, {outstanding:>6} outstanding: {nanos:>9.0} ns per RPC");
    }
}
