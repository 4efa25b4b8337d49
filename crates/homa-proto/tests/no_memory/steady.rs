//! Two endpoints whose calls follow each other: once their tables have grown, they allocate nothing.

use std::net::SocketAddr;

use homa_proto::{
    CallOptions, Config, Duration, Endpoint, Event, Instant, LocalAddr, PacketMeta, PeerAddr,
    SocketId,
};

use crate::sys::{Plan, counts, follow, starving};

const PORT: u16 = 4000;
/// Responses of the long calls need grants.
const LENGTHS: [u32; 4] = [100, 1_000, 30_000, 300_000];
const OUTSTANDING: usize = 16;
/// Ids of finished requests are remembered for longer than this test takes. Their table doubles now and
/// then; the calls that are looked at lie between two such times (a group of 64 ids, and room for 64
/// groups when 32 are full).
const WARM_UP: usize = 2_500;
const CALLS: usize = 1_000;

struct Pair {
    now: Instant,
    client: Endpoint,
    server: Endpoint,
    socket: SocketId,
}

fn addr(host: u8) -> PeerAddr {
    SocketAddr::from(([10, 0, 0, host], PORT)).into()
}

impl Pair {
    fn new() -> Self {
        let now = Instant::ZERO;
        let endpoint = |seed| {
            let mut config = Config::default();
            (config.seed, config.pacing) = (seed, false);
            Endpoint::new(config, now).unwrap()
        };
        let (mut client, mut server) = (endpoint(1), endpoint(2));
        let socket = client.open_client().unwrap();
        server.open_server(PORT).unwrap();
        Self { now, client, server, socket }
    }

    fn call(&mut self, length: u32) {
        let Self { now, client, socket, .. } = self;
        let options = CallOptions::default();
        client.send_request(*now, *socket, addr(2), PORT, length, options).unwrap();
    }

    /// Hands packets over until there are none; how many calls have ended.
    fn exchange(&mut self) -> usize {
        let Self { now, client, server, .. } = self;
        let mut ended = 0;
        loop {
            let moved = transfer(*now, client, server, 1) + transfer(*now, server, client, 2);
            while let Some(event) = server.poll_event() {
                if let Event::RequestComplete { key } = event {
                    let length = server.info(key).and_then(|info| info.incoming_length).unwrap();
                    server.accept(*now, key);
                    server.send_reply(*now, key, length).unwrap();
                }
            }
            while let Some(event) = client.poll_event() {
                if let Event::ResponseComplete { key } = event {
                    client.finish(*now, key);
                    ended += 1;
                }
            }
            if moved == 0 {
                break;
            }
        }
        *now += Duration::from_micros(20);
        client.handle_timeout(*now);
        server.handle_timeout(*now);
        ended
    }

    /// Makes so many calls, of all lengths in turn, several at once.
    fn run(&mut self, calls: usize) {
        let (mut begun, mut ended) = (0, 0);
        while ended < calls {
            while begun < calls && begun - ended < OUTSTANDING {
                self.call(LENGTHS[begun % LENGTHS.len()]);
                begun += 1;
            }
            ended += self.exchange();
        }
    }
}

/// Hands over all that one side has to send; how many packets.
fn transfer(now: Instant, from: &mut Endpoint, to: &mut Endpoint, sender: u8) -> usize {
    let mut packets = 0;
    while let Some(transmit) = from.poll_transmit(now) {
        let payload_len = transmit.payload.map_or(0, |(_, payload)| payload.len());
        let meta = PacketMeta { peer: addr(sender), local: LocalAddr::ANY };
        to.handle_packet(now, meta, &transmit.header, payload_len as usize);
        packets += 1;
    }
    packets
}

#[test]
fn steady_state__allocates_nothing() {
    let mut pair = Pair::new();
    pair.run(WARM_UP);
    follow(Plan::Never);
    starving(|| pair.run(CALLS));
    assert_eq!(counts().0, 0, "allocations in {CALLS} calls");
    let stats = pair.client.stats();
    assert_eq!(stats.client_responses_done, (WARM_UP + CALLS) as u64);
    assert!(stats.grants_sent > 0, "long calls are among them");
}
