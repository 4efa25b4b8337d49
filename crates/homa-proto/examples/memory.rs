//! How much memory the protocol's state takes: per host, per idle peer, per open RPC, and what is left when
//! all is over. Messages themselves are the driver's and not in it.
//!
//! `cargo run --release -p homa-proto --example memory [MOST]`
//!
//! Prints what, how many there were (1,000, 10,000, ... up to MOST, else 1,000,000), and bytes of each.

mod two_hosts;

use homa_proto::{Config, Duration};
use homa_testkit::CountingAllocator;
use two_hosts::{Case, Hosts, SHORT};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Most peers that are tried: of one address each.
const PEERS_MOST: u32 = 100_000;

/// What the two sides hold.
#[derive(Clone, Copy, Default)]
struct Bytes {
    client: usize,
    server: usize,
}

impl Bytes {
    /// What two hosts hold: that of each is free when it is gone.
    fn of(hosts: Hosts) -> Self {
        let Hosts { client, server, .. } = hosts;
        let before = CountingAllocator::live_bytes();
        drop(client);
        let between = CountingAllocator::live_bytes();
        drop(server);
        Self { client: before - between, server: between - CountingAllocator::live_bytes() }
    }

    /// Prints what each of `count` takes besides what there was without any.
    fn print(self, what: &str, base: Self, count: u32) {
        let each = |bytes: usize, base| bytes.saturating_sub(base) as f64 / f64::from(count);
        println!("{what} (client),{count},{:.0}", each(self.client, base.client));
        println!("{what} (server),{count},{:.0}", each(self.server, base.server));
    }
}

fn main() {
    let most = std::env::args().nth(1).map_or(1_000_000, |most| most.parse().expect("a number"));
    let base = Bytes::of(hosts(SHORT));
    base.print("host", Bytes::default(), 1);
    let counts = || std::iter::successors(Some(1_000), |count| Some(10 * count));
    for peers in counts().take_while(|peers| *peers <= most.min(PEERS_MOST)) {
        idle_peers(peers).print("idle peer", base, peers);
    }
    for rpcs in counts().take_while(|rpcs| *rpcs <= most) {
        let case = Case { outstanding: rpcs, answered_at_once: 0, ..SHORT };
        let mut hosts = hosts(case);
        hosts.send_requests(u64::from(rpcs));
        Bytes::of(hosts).print("open RPC", base, rpcs);
        let mut hosts = self::hosts(Case { answered_at_once: u32::MAX, ..case });
        hosts.run(rpcs);
        hosts.rest();
        Bytes::of(hosts).print("RPC that has ended", base, rpcs);
    }
}

/// Peers that have been called and are idle. Calls are so far apart that each is acknowledged soon: tables of
/// RPCs, which keep the room that they once needed, are not what is to be measured.
fn idle_peers(peers: u32) -> Bytes {
    let mut hosts = hosts(Case { peers, step: Duration::from_millis(5), ..SHORT });
    hosts.run(3 * peers);
    hosts.rest();
    Bytes::of(hosts)
}

fn hosts(case: Case) -> Hosts {
    let mut config = Config::default();
    config.overload.peer_share_permille = 1000;
    config.limits.client_rpcs_max = 2_000_000;
    config.limits.server_rpcs_max = 2_000_000;
    config.limits.peers_max = 2 * PEERS_MOST;
    config.limits.incoming_bytes_max = 1 << 40;
    config.limits.outgoing_bytes_max = 1 << 40;
    // Longer than all calls take, after which the first peers are still there.
    config.timing.peer_idle_min = Duration::from_secs(100_000);
    Hosts::new(case, &config)
}
