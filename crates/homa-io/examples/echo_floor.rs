//! What the packet driver alone costs: echoes over UDP on loopback, without any protocol.
//!
//! Two threads, both polling with yields. Compare ratios, not digits.
//!
//!     cargo run --release -p homa-io --example echo_floor

use bytes::Bytes;
use homa_io::{Destination, PacketIo, SendBatch, UdpConfig, UdpIo};
use homa_proto::{LocalAddr, PeerAddr};
use homa_wire::Priority;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const HEADER_LEN: usize = 56;
const SHORT_LEN: usize = 160;
const RUN_TIME: Duration = Duration::from_secs(2);

fn main() -> io::Result<()> {
    let specific = SocketAddr::from(([127, 0, 0, 1], 0));
    let wildcard = SocketAddr::from(([0, 0, 0, 0], 0));
    let dual_stack = SocketAddr::from(([0u16; 8], 0));
    for _ in 0..2 {
        report("160 B, 1 outstanding, std::net::UdpSocket", std_ping_pong()?);
        report("160 B, 1 outstanding, level 7", ping_pong(specific, Priority::HIGHEST)?);
        report("160 B, 1 outstanding, level 3", ping_pong(specific, Priority::clamped(3))?);
        report("160 B, 1 outstanding, wildcard server", ping_pong(wildcard, Priority::HIGHEST)?);
        report("160 B, 1 outstanding, dual stack", ping_pong(dual_stack, Priority::HIGHEST)?);
        for (outstanding, offload) in [(8, true), (8, false), (64, true), (64, false)] {
            let rate = rate(specific, SHORT_LEN, outstanding, offload)?;
            let with = if offload { "with" } else { "without" };
            println!(
                "160 B, {outstanding} outstanding, {with} offload: {:.0} K echoes/s",
                rate / 1e3
            );
        }
        let rate = rate(specific, 60_000, 16, true)?;
        println!("60 KB, 16 outstanding, each way: {:.1} Gb/s", rate * 60_000.0 * 8.0 / 1e9);
    }
    Ok(())
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_nanos() as f64 / 1e3;
    println!("{what}: P50 {:.2} us, P99 {:.2} us", at(0.5), at(0.99));
}

/// Round trips with one packet under way, by the standard library's socket: the yardstick.
fn std_ping_pong() -> io::Result<Vec<Duration>> {
    let (client, server) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let to = server.local_addr()?;
    client.set_nonblocking(true)?;
    server.set_nonblocking(true)?;
    let receive = |socket: &UdpSocket, buffer: &mut [u8]| {
        loop {
            match socket.recv_from(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                other => return other,
            }
        }
    };
    let echo = thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((len, from)) = receive(&server, &mut buffer) {
            if len == 1 || server.send_to(&buffer[..len], from).is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 65_536];
    let times = timed(|| {
        client.send_to(&[1; SHORT_LEN], to)?;
        receive(&client, &mut buffer).map(drop)
    })?;
    client.send_to(&[0], to)?;
    echo.join().expect("the echo thread does not panic");
    Ok(times)
}

/// Round trips with one packet under way.
fn ping_pong(bind: SocketAddr, priority: Priority) -> io::Result<Vec<Duration>> {
    let server = Echo::start(bind, priority, true)?;
    let mut client = UdpIo::bind(([127, 0, 0, 1], 0).into(), UdpConfig::default())?;
    let payload = Bytes::from(vec![1; SHORT_LEN - HEADER_LEN]);
    let mut batch = SendBatch::new();
    timed(|| {
        push(&mut batch, server.peer, LocalAddr::ANY, priority, payload.clone());
        client.send_batch(&mut batch)?;
        while client.recv_batch()? == 0 {
            thread::yield_now();
        }
        Ok(())
    })
}

/// Echoes per second with a number of packets under way.
fn rate(bind: SocketAddr, len: usize, outstanding: usize, offload: bool) -> io::Result<f64> {
    let server = Echo::start(bind, Priority::HIGHEST, offload)?;
    let mut client = UdpIo::bind(([127, 0, 0, 1], 0).into(), config(offload))?;
    let payload = Bytes::from(vec![1; len - HEADER_LEN]);
    let mut batch = SendBatch::new();
    let (mut under_way, mut echoes) = (0, 0);
    let start = Instant::now();
    while start.elapsed() < RUN_TIME {
        while under_way < outstanding && !batch.is_full() {
            push(&mut batch, server.peer, LocalAddr::ANY, Priority::HIGHEST, payload.clone());
            under_way += 1;
        }
        client.send_batch(&mut batch)?;
        let received = client.recv_batch()?;
        if received == 0 {
            thread::yield_now();
        }
        under_way -= received;
        echoes += received;
    }
    Ok(echoes as f64 / start.elapsed().as_secs_f64())
}

fn config(segmentation_offload: bool) -> UdpConfig {
    let mut config = UdpConfig::default();
    config.segmentation_offload = segmentation_offload;
    config
}

fn timed(mut round: impl FnMut() -> io::Result<()>) -> io::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(1 << 20);
    let start = Instant::now();
    let mut before = start;
    while before - start < RUN_TIME {
        round()?;
        let after = Instant::now();
        times.push(after - before);
        before = after;
    }
    Ok(times)
}

fn push(
    batch: &mut SendBatch,
    peer: PeerAddr,
    local: LocalAddr,
    priority: Priority,
    payload: Bytes,
) {
    batch.push(Destination { peer, local, priority }, &[2; HEADER_LEN]);
    batch.append_payload(payload);
}

/// A thread that sends back whatever it receives.
struct Echo {
    peer: PeerAddr,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Echo {
    fn start(bind: SocketAddr, priority: Priority, offload: bool) -> io::Result<Self> {
        let mut io = UdpIo::bind(bind, config(offload))?;
        let peer = SocketAddr::from(([127, 0, 0, 1], io.local_addr().port())).into();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut batch = SendBatch::new();
            while !stopped.load(Ordering::Relaxed) {
                echo_batch(&mut io, &mut batch, priority).expect("the socket works");
            }
        });
        Ok(Self { peer, stop, thread: Some(thread) })
    }
}

fn echo_batch(io: &mut UdpIo, batch: &mut SendBatch, priority: Priority) -> io::Result<()> {
    // One payload for all, as an application would share its messages: no copy is measured.
    static PAYLOAD: [u8; 65_536] = [3; 65_536];
    let count = io.recv_batch()?;
    if count == 0 && batch.is_empty() {
        thread::yield_now();
    }
    for index in 0..count {
        while batch.is_full() {
            io.send_batch(batch)?;
        }
        let packet = io.packet(index);
        let payload = Bytes::from_static(&PAYLOAD[..packet.bytes.len() - HEADER_LEN]);
        push(batch, packet.peer, packet.local, priority, payload);
    }
    io.send_batch(batch)
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the echo thread does not panic");
        }
    }
}
