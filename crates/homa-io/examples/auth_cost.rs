//! What authentication costs per packet: the time to put on, and to check, the authentication of
//! packets of several lengths, each as the median of many batches.
//!
//! Both sides run over memory in this process. The same is measured without authentication, and the
//! difference is told.
//!
//! ```sh
//! cargo run --release -p homa-io --example auth_cost
//! ```

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use homa_io::{AuthConfig, AuthIo, AuthKey, Destination, MemoryIo, PacketIo, SendBatch};
use homa_proto::LocalAddr;
use homa_wire::Priority;

/// Bytes of a Homa packet, header included: a call of 100 bytes, a full packet on Ethernet (MTU
/// 1500 less IP, UDP and authentication headers), one on loopback.
const LENGTHS: [usize; 3] = [160, 1428, 65_463];
const ROUNDS: usize = 3000;
/// Packets in a batch: as many as `MemoryIo` receives at once.
const BATCH: usize = 32;

fn main() {
    println!("{:>8}  {:>12}  {:>12}  {:>10}", "packet", "send", "receive", "each way");
    for length in LENGTHS {
        let rounds = if length > 10_000 { ROUNDS / 10 } else { ROUNDS };
        let (plain_send, plain_receive) = measure(length, rounds, |io| io);
        let (send, receive) = measure(length, rounds, |io| {
            let config = AuthConfig::new(vec![AuthKey::new(&[1; 32])]);
            AuthIo::new(io, config).expect("a valid configuration")
        });
        let send = send.saturating_sub(plain_send).as_nanos();
        let receive = receive.saturating_sub(plain_receive).as_nanos();
        let gb_per_s = length as f64 / receive.max(1) as f64;
        println!("{length:>6} B  {send:>9} ns  {receive:>9} ns  {gb_per_s:>5.2} GB/s");
    }
}

/// Median times per packet to send and to receive.
fn measure<I: PacketIo>(
    length: usize,
    rounds: usize,
    wrap: impl Fn(MemoryIo) -> I,
) -> (Duration, Duration) {
    let addrs = [1, 2].map(|host| SocketAddr::from(([10, 0, 0, host], 4000)));
    let (a, b) = MemoryIo::pair(addrs[0], addrs[1], BATCH).expect("pipes");
    let (mut a, mut b) = (wrap(a), wrap(b));
    let payload = Bytes::from(vec![7; length - 60]);
    let peer = addrs[1].into();
    let destination = Destination { peer, local: LocalAddr::ANY, priority: Priority::HIGHEST };
    let mut batch = SendBatch::new();
    let (mut sends, mut receives) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for _ in 0..BATCH {
            batch.push(destination, &[1; 60]);
            batch.append_payload(payload.clone());
        }
        let begin = Instant::now();
        a.send_batch(&mut batch).expect("room for a batch");
        sends.push(begin.elapsed() / BATCH as u32);
        let begin = Instant::now();
        assert_eq!(b.recv_batch().expect("a batch"), BATCH);
        receives.push(begin.elapsed() / BATCH as u32);
    }
    (median(sends), median(receives))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
