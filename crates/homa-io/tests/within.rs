//! `Limits::within`: an endpoint with its driver, full to its limits, takes no more memory than that. Alone in its
//! process, for it counts what is allocated there.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_io::{Driver, PacketIo, PathError, ReceivedPacket, SendBatch, Sink};
use homa_proto::{
    CallOptions, Cancelled, Config, Endpoint, Failure, Header, Instant, Limits, LocalAddr,
    PeerAddr, Resource, RpcId, RpcInfo, RpcKey, SendError,
};
use homa_testkit::{CountingAllocator, data};
use homa_wire::{Body, Version};
use std::io::{self, PipeReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const PORT: u16 = 4000;

/// Delivers one request after the other, each of another peer, and loses what is sent.
struct Requests {
    peers: u32,
    left: u32,
    packet: (PeerAddr, Vec<u8>),
    /// Nobody waits for it.
    ready: PipeReader,
}

fn peer(number: u32) -> PeerAddr {
    PeerAddr::from(SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + number), PORT)))
}

impl PacketIo for Requests {
    fn recv_batch(&mut self) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(0) };
        self.left = left;
        let id = RpcId(2 + 2 * u64::from(left));
        let header = Header::new(40_000, PORT, id, Body::Data(data(1, 0, 1)));
        let (sender, packet) = &mut self.packet;
        *sender = peer(left % self.peers);
        packet.resize(header.emitted_len(Version::default()), 0);
        header.emit(Version::default(), packet).unwrap();
        packet.push(7);
        Ok(1)
    }

    fn packet(&self, _index: usize) -> ReceivedPacket<'_> {
        let (peer, bytes) = &self.packet;
        ReceivedPacket { peer: *peer, local: LocalAddr::ANY, bytes }
    }

    fn send_batch(&mut self, batch: &mut SendBatch) -> io::Result<()> {
        batch.remove_front(batch.len());
        Ok(())
    }

    fn next_error(&mut self) -> Option<PathError> {
        None
    }

    fn path_mtu(&mut self, _peer: &PeerAddr) -> u32 {
        1500
    }

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))
    }

    fn ready_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    fn receive_buffer_bytes(&self) -> usize {
        usize::MAX
    }

    fn next_due(&self) -> Option<std::time::Instant> {
        None
    }
}

/// The application takes nothing.
struct Nobody;

impl Sink for Nobody {
    fn request_started(&mut self, _key: RpcKey, _info: &RpcInfo) {}
    fn request_complete(&mut self, _key: RpcKey, _info: &RpcInfo) {}
    fn readable(&mut self, _key: RpcKey, _upto: u32) {}
    fn response(&mut self, _key: RpcKey) {}
    fn failed(&mut self, _key: RpcKey, _failure: Failure) {}
    fn cancelled(&mut self, _key: RpcKey, _cause: Cancelled) {}
}

/// A driver with as many peers, client RPCs and server RPCs as it may have.
fn full_driver(limits: &Limits) -> Driver<Requests> {
    let mut config = Config::default();
    config.limits = limits.clone();
    config.overload.peer_share_permille = 1000;
    let (ready, _) = io::pipe().unwrap();
    let packet = (peer(0), Vec::new());
    let io = Requests { peers: limits.peers_max, left: limits.server_rpcs_max, packet, ready };
    let mut driver = Driver::new(Endpoint::new(config, Instant::ZERO).unwrap(), io);
    let client = driver.open_client().unwrap();
    driver.open_server(PORT).unwrap();
    for number in 0.. {
        let called = peer(number % limits.peers_max);
        let message = vec![7].into();
        match driver.send_request(client, called, PORT, message, CallOptions::default()) {
            Ok(_) => driver.flush(&mut Nobody),
            Err(SendError::Full(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    while driver.turn(&mut Nobody).progress {}
    driver
}

#[test]
fn limits_within__hold_for_full_tables() {
    for mebibytes in [4, 5, 16, 23, 64] {
        let memory_bytes = mebibytes << 20;
        let limits = Limits::within(memory_bytes);
        let before = CountingAllocator::live_bytes();
        let driver = full_driver(&limits);
        let held = (CountingAllocator::live_bytes() - before) as u64;
        let accounts = driver.accounts();
        let used = |resource| accounts.get(resource).map(|account| account.used);
        assert_eq!(used(Resource::ClientRpcs), Some(limits.client_rpcs_max.into()));
        assert_eq!(used(Resource::ServerRpcs), Some(limits.server_rpcs_max.into()));
        assert_eq!(used(Resource::Peers), Some(limits.peers_max.into()));
        // A tenth for server RPCs, a twentieth for client RPCs and one for peers.
        let share = memory_bytes / 5;
        assert!(held <= share, "{held} of {share} bytes, {mebibytes} MiB in all");
    }
}
