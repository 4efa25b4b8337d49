//! What an attacker on the path can do to two hosts, without and with authentication. Each attack is
//! run both ways: it must work without, or the test shows nothing.

#![allow(non_snake_case, reason = "tests are named function__case")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use homa_io::{
    AuthConfig, AuthIo, AuthKey, Clock, Destination, Driver, MemoryIo, Message, PacketIo,
    SendBatch, Sink,
};
use homa_proto::{
    CallOptions, Cancelled, Config, Endpoint, Failure, LocalAddr, RpcInfo, RpcKey, SocketId,
};
use homa_wire::{Ack, AckList, Body, Data, Header, PacketType, Priority, RpcId, Version};

const SERVER_PORT: u16 = 7;

#[derive(Default)]
struct Log {
    requests: Vec<RpcKey>,
    responses: Vec<RpcKey>,
    failures: Vec<Failure>,
}

impl Sink for Log {
    fn request_started(&mut self, _key: RpcKey, _info: &RpcInfo) {}
    fn request_complete(&mut self, key: RpcKey, _info: &RpcInfo) {
        self.requests.push(key);
    }
    fn readable(&mut self, _key: RpcKey, _upto: u32) {}
    fn response(&mut self, key: RpcKey) {
        self.responses.push(key);
    }
    fn failed(&mut self, _key: RpcKey, failure: Failure) {
        self.failures.push(failure);
    }
    fn cancelled(&mut self, _key: RpcKey, _cause: Cancelled) {}
}

struct Host {
    driver: Driver<Box<dyn PacketIo>>,
    log: Log,
    socket: SocketId,
}

/// A client and a server, with an attacker between them that holds both ends of the wire.
struct Scene {
    client: Host,
    server: Host,
    to_client: MemoryIo,
    to_server: MemoryIo,
    /// Where the Homa packet begins in what the attacker sees.
    homa_at: usize,
    /// All packets that went from the client to the server.
    overheard: Vec<Vec<u8>>,
    /// The requests that the server's application got.
    executed: Vec<Bytes>,
}

fn addr(host: u8) -> SocketAddr {
    ([10, 0, 0, host], 4000).into()
}

impl Host {
    fn new(
        io: MemoryIo,
        defended: bool,
        open: impl Fn(&mut Driver<Box<dyn PacketIo>>) -> SocketId,
    ) -> Self {
        let io: Box<dyn PacketIo> = match defended {
            true => {
                let config = AuthConfig::new(vec![AuthKey::new(&[9; 32])]);
                Box::new(AuthIo::new(io, config).unwrap())
            }
            false => Box::new(io),
        };
        let endpoint = Endpoint::new(Config::default(), Clock::now()).unwrap();
        let mut driver = Driver::new(endpoint, io);
        let socket = open(&mut driver);
        Self { driver, log: Log::default(), socket }
    }

    fn turn(&mut self) {
        self.driver.turn(&mut self.log);
    }
}

impl Scene {
    fn new(defended: bool) -> Self {
        let (client_io, to_client) = MemoryIo::pair(addr(1), addr(2), 4096).unwrap();
        let (to_server, server_io) = MemoryIo::pair(addr(1), addr(2), 4096).unwrap();
        Self {
            client: Host::new(client_io, defended, |driver| driver.open_client().unwrap()),
            server: Host::new(server_io, defended, |driver| {
                driver.open_server(SERVER_PORT).unwrap()
            }),
            to_client,
            to_server,
            homa_at: if defended { AuthIo::<MemoryIo>::OVERHEAD_BYTES } else { 0 },
            overheard: Vec::new(),
            executed: Vec::new(),
        }
    }

    fn call(&mut self, request: impl Into<Message>) -> RpcKey {
        let Host { driver, socket, .. } = &mut self.client;
        let options = CallOptions::default();
        driver.send_request(*socket, addr(2).into(), SERVER_PORT, request.into(), options).unwrap()
    }

    /// Both hosts work and the attacker passes packets on, as `alter` changes them, until `done`.
    /// The server echoes.
    fn run(
        &mut self,
        mut alter: impl FnMut(&mut Self, Way, &mut Vec<u8>),
        done: impl Fn(&Self) -> bool,
    ) {
        let begin = Instant::now();
        while !done(self) && begin.elapsed() < Duration::from_secs(2) {
            self.client.turn();
            self.server.turn();
            for key in std::mem::take(&mut self.server.log.requests) {
                let mut request = self.server.driver.accept(key).unwrap();
                self.executed.push(request.clone().into_bytes());
                let _ = self.server.driver.reply(key, &mut request);
            }
            self.server.driver.flush(&mut self.server.log);
            for way in [Way::ToServer, Way::ToClient] {
                let from = match way {
                    Way::ToServer => &mut self.to_client,
                    Way::ToClient => &mut self.to_server,
                };
                let count = from.recv_batch().unwrap();
                let packets: Vec<_> = (0..count).map(|n| from.packet(n).bytes.to_vec()).collect();
                for mut packet in packets {
                    if way == Way::ToServer {
                        self.overheard.push(packet.clone());
                    }
                    alter(self, way, &mut packet);
                    self.send(way, &packet);
                }
            }
        }
    }

    /// Sends bytes in the name of the host on the other side.
    fn send(&mut self, way: Way, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let (io, peer) = match way {
            Way::ToServer => (&mut self.to_server, addr(2).into()),
            Way::ToClient => (&mut self.to_client, addr(1).into()),
        };
        let mut batch = SendBatch::new();
        batch.push(Destination { peer, local: LocalAddr::ANY, priority: Priority::HIGHEST }, &[]);
        batch.append_payload(Bytes::copy_from_slice(bytes));
        io.send_batch(&mut batch).unwrap();
    }

    /// Sends a packet of the attacker's own.
    fn forge(&mut self, way: Way, header: &Header, payload: &[u8]) {
        let mut bytes = vec![0; 200];
        let len = header.emit(Version::V1, &mut bytes).unwrap();
        bytes.truncate(len);
        bytes.extend_from_slice(payload);
        self.send(way, &bytes);
    }

    fn header(&self, packet: &[u8]) -> Header {
        Header::parse(&packet[self.homa_at..], Version::V1).unwrap().0
    }

    fn response(&mut self, key: RpcKey) -> Option<Bytes> {
        self.client.driver.take_response(key).map(Message::into_bytes)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

fn pass(_: &mut Scene, _: Way, _: &mut Vec<u8>) {}

fn is_data(scene: &Scene, packet: &[u8]) -> bool {
    scene.header(packet).packet_type() == PacketType::Data
}

/// Changes the payload of a response; whether the client gets other bytes than were sent.
fn altered_data_arrives(defended: bool) -> bool {
    let mut scene = Scene::new(defended);
    let key = scene.call("pay 1 to Bob");
    let mut altered = 0;
    let alter = |scene: &mut Scene, way, packet: &mut Vec<u8>| {
        if way == Way::ToClient && is_data(scene, packet) && altered < 2 {
            altered += 1;
            let last = packet.len() - 1;
            packet[last] = b'!';
        }
    };
    scene.run(alter, |scene| !scene.client.log.responses.is_empty());
    let response = scene.response(key).unwrap();
    assert!(response == "pay 1 to Bob" || response == "pay 1 to Bo!");
    response != "pay 1 to Bob"
}

/// Sends a request in the client's name.
fn forged_request_is_executed(defended: bool) -> bool {
    let mut scene = Scene::new(defended);
    let data = Data {
        message_length: 4,
        incoming: 4,
        ack: None,
        cutoff_version: 0,
        retransmit: false,
        incast: false,
        offset: 0,
        layout: Default::default(),
    };
    let header = Header::new(0x8001, SERVER_PORT, RpcId(1000), Body::Data(data));
    scene.forge(Way::ToServer, &header, b"evil");
    // An honest call behind it ends the scene.
    scene.call("good");
    scene.run(pass, |scene| !scene.client.log.responses.is_empty());
    assert!(scene.executed.contains(&Bytes::from("good")));
    scene.executed.contains(&Bytes::from("evil"))
}

/// Sends the client's request to a server that has been restarted since.
fn replayed_request_is_executed(defended: bool) -> bool {
    let mut scene = Scene::new(defended);
    scene.call("once");
    scene.run(pass, |scene| !scene.client.log.responses.is_empty());
    let overheard = scene.overheard.clone();
    std::thread::sleep(Duration::from_millis(1));
    let (to_server, io) = MemoryIo::pair(addr(1), addr(2), 4096).unwrap();
    scene.to_server = to_server;
    scene.server = Host::new(io, defended, |driver| driver.open_server(SERVER_PORT).unwrap());
    for packet in &overheard {
        scene.send(Way::ToServer, packet);
    }
    scene.client.log.responses.clear();
    scene.call("good");
    scene.run(pass, |scene| !scene.client.log.responses.is_empty());
    assert!(scene.executed.contains(&Bytes::from("good")));
    scene.executed.iter().filter(|request| *request == "once").count() > 1
}

/// Keeps a response back once and acknowledges it in the client's name: the server forgets it, and
/// the client never gets it, though it asks again.
fn forged_ack_loses_the_response(defended: bool) -> bool {
    let mut scene = Scene::new(defended);
    scene.call("x");
    let mut forged = false;
    let alter = |scene: &mut Scene, way, packet: &mut Vec<u8>| {
        if way == Way::ToClient && is_data(scene, packet) && !forged {
            let header = scene.header(packet);
            forged = true;
            let mut acks = AckList::new();
            let client_id = header.sender_id.flipped();
            let _ = acks.push(Ack { client_id, server_port: SERVER_PORT });
            let ack = header.reply(Body::Ack(acks));
            scene.forge(Way::ToServer, &ack, &[]);
            packet.clear();
        }
    };
    scene.run(alter, |s| !s.client.log.responses.is_empty() || !s.client.log.failures.is_empty());
    scene.client.log.responses.is_empty()
}

/// Tells the client that the server does not know its call, in a loop, as its request leaves.
fn forged_rpc_unknown_disturbs(defended: bool) -> bool {
    let mut scene = Scene::new(defended);
    scene.call(vec![7; 60_000]);
    let mut forged = 0;
    let alter = |scene: &mut Scene, way, packet: &mut Vec<u8>| {
        if way == Way::ToServer && is_data(scene, packet) && forged < 100 {
            forged += 1;
            let unknown = scene.header(packet).reply(Body::RpcUnknown);
            scene.forge(Way::ToClient, &unknown, &[]);
        }
    };
    scene.run(alter, |scene| !scene.client.log.responses.is_empty());
    assert!(!scene.client.log.responses.is_empty());
    scene.client.driver.stats().packets_rcvd[PacketType::RpcUnknown.index()] > 0
}

/// The wire breaks at a packet to a host that is not there: as an ICMP error says that anybody on
/// the path could have sent.
fn icmp_error_ends_the_call(defended: bool) -> bool {
    let mut scene = Scene::new(defended);
    let Host { driver, socket, log } = &mut scene.client;
    let options = CallOptions::default();
    driver.send_request(*socket, addr(3).into(), SERVER_PORT, "x".into(), options).unwrap();
    driver.flush(log);
    matches!(log.failures[..], [Failure::Unreachable(_)])
}

#[test]
fn data__altered() {
    assert!(altered_data_arrives(false));
    assert!(!altered_data_arrives(true));
}

#[test]
fn data__forged() {
    assert!(forged_request_is_executed(false));
    assert!(!forged_request_is_executed(true));
}

#[test]
fn data__replayed_to_a_restarted_server() {
    assert!(replayed_request_is_executed(false));
    assert!(!replayed_request_is_executed(true));
}

#[test]
fn ack__forged() {
    assert!(forged_ack_loses_the_response(false));
    assert!(!forged_ack_loses_the_response(true));
}

#[test]
fn rpc_unknown__forged() {
    assert!(forged_rpc_unknown_disturbs(false));
    assert!(!forged_rpc_unknown_disturbs(true));
}

#[test]
fn icmp__forged() {
    assert!(icmp_error_ends_the_call(false));
    assert!(!icmp_error_ends_the_call(true));
}
