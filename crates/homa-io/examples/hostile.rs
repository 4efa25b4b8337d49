//! A hostile sender, for `cargo xtask flood`: packets from one UDP address at a steady rate that cost
//! a server as much as packets can. Sends no segments that the kernel could take together.
//!
//!     cargo run --release -p homa-io --example hostile -- 127.0.0.1:4000 100000 20
//!
//! Prints how many packets left, and in how many seconds.

use bytes::Bytes;
use homa_io::{Destination, PacketIo, SendBatch, UdpConfig, UdpIo};
use homa_proto::{LocalAddr, PeerAddr};
use homa_testkit::data;
use homa_wire::{AckList, Body, Grant, HEADER_LEN_MAX, Header, Priority, Resend, RpcId, Version};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// Messages that are begun and then get a byte now and then.
const LORIS_MESSAGES: u64 = 4096;

/// How long the loop sleeps between bursts (and then as long as timers are late): what comes at once
/// would measure the depth of queues rather than the cost of packets.
const TICK: Duration = Duration::from_micros(50);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: hostile ADDR PACKETS_PER_SECOND SECONDS");
    let server: SocketAddr = next()?.parse()?;
    let per_second: f64 = next()?.parse()?;
    let seconds: f64 = next()?.parse()?;
    let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let mut config = UdpConfig::default();
    config.segmentation_offload = false;
    let mut io = UdpIo::bind(local.parse()?, config)?;
    let mut hostile = Hostile { random: 0x9E37_79B9_7F4A_7C15, port: server.port(), sent: 0 };
    let destination = Destination {
        peer: PeerAddr::from(server),
        local: LocalAddr::ANY,
        priority: Priority::HIGHEST,
    };
    let begin = Instant::now();
    let mut batch = SendBatch::new();
    while begin.elapsed().as_secs_f64() < seconds {
        let due = (begin.elapsed().as_secs_f64() * per_second) as u64;
        while hostile.sent < due {
            while !batch.is_full() && hostile.sent < due {
                hostile.push(&mut batch, destination);
            }
            io.send_batch(&mut batch)?;
            batch.clear();
        }
        // Its socket's answers are of no interest.
        while io.recv_batch()? > 0 {}
        while io.next_error().is_some() {}
        thread::sleep(TICK);
    }
    println!("{} packets in {:.2} s", hostile.sent, begin.elapsed().as_secs_f64());
    Ok(())
}

struct Hostile {
    random: u64,
    /// The server's Homa port, equal to its UDP port.
    port: u16,
    sent: u64,
}

impl Hostile {
    fn push(&mut self, batch: &mut SendBatch, destination: Destination) {
        self.sent += 1;
        let (body, payload_len) = match self.below(100) {
            // First packets of longest messages that never continue.
            0..40 => (self.first_packet(), 64),
            40..60 => return self.push_loris(batch, destination),
            60..72 => (Body::Resend(Resend::all(Priority::HIGHEST)), 0),
            72..80 => (Body::NeedAck, 0),
            80..84 => (Body::Ack(AckList::new()), 0),
            84..87 => (Body::Grant(Grant::new(u32::MAX / 2, Priority::HIGHEST)), 0),
            87..89 => (Body::RpcUnknown, 0),
            89..90 => (Body::Busy, 0),
            // Requests that the application has to answer, and whose answers nobody acknowledges.
            90..93 => (Body::Data(data(100, 0, 100)), 100),
            _ => return self.push_garbage(batch, destination),
        };
        let from_server = matches!(body, Body::NeedAck);
        let id = self.next() & !1 | u64::from(from_server);
        self.emit(batch, destination, RpcId(id), body, payload_len);
    }

    fn first_packet(&mut self) -> Body {
        let length = 1_000_000 - self.below(900_000) as u32;
        Body::Data(data(length, 0, length))
    }

    /// A byte of one of many messages.
    fn push_loris(&mut self, batch: &mut SendBatch, destination: Destination) {
        let id = RpcId(2 * (1_000_000 + self.below(LORIS_MESSAGES)));
        let offset = self.below(999_999) as u32;
        let body = Body::Data(data(1_000_000, offset, 1_000_000));
        self.emit(batch, destination, id, body, 1);
    }

    fn push_garbage(&mut self, batch: &mut SendBatch, destination: Destination) {
        let mut bytes = [0; HEADER_LEN_MAX];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
        let len = self.below(HEADER_LEN_MAX as u64) as usize + 1;
        batch.push(destination, &bytes[..len]);
    }

    fn emit(
        &mut self,
        batch: &mut SendBatch,
        destination: Destination,
        id: RpcId,
        body: Body,
        payload_len: usize,
    ) {
        let mut bytes = [0; HEADER_LEN_MAX];
        let header = Header::new(40_000, self.port, id, body);
        if let Ok(len) = header.emit(Version::V1, &mut bytes) {
            batch.push(destination, &bytes[..len]);
            if payload_len > 0 {
                batch.append_payload(Bytes::from_static(&[0x5A; 128]).slice(..payload_len));
            }
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// xorshift64
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
