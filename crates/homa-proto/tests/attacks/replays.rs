//! Packets that were captured and are sent again later. Without a key their sender can't be told from
//! the true one, but they have no effect twice: a request is executed at most once, and no byte
//! reaches an application twice (which the probe checks).

use homa_proto::{Config, Duration, Event, Header, PeerAddr};
use homa_testkit::{Probe, Remote};
use homa_wire::{Body, PacketType};

/// A client and a server that talk to each other, and all that they sent.
struct Dialogue {
    client: Probe,
    server: Probe,
    to_server: Vec<(Header, u32)>,
    to_client: Vec<(Header, u32)>,
    /// Requests that the server's application got.
    executed: usize,
    /// Responses that the client's application got.
    answered: usize,
}

fn client_addr() -> PeerAddr {
    Remote::client(2).addr
}

impl Dialogue {
    /// A conversation of some calls, each packet of which arrives `copies` times.
    fn hold(copies: usize) -> Self {
        let mut config = Config::default();
        config.pacing = false;
        let (client, server) = (Probe::new(&config), Probe::new(&config));
        let (to_server, to_client) = (Vec::new(), Vec::new());
        let mut dialogue = Self { client, server, to_server, to_client, executed: 0, answered: 0 };
        for length in [100, 9_000, 90_000, 1] {
            dialogue.client.call(Remote::server(1), length);
            dialogue.run(copies);
        }
        // The last acknowledgements are asked for.
        for _ in 0..10 {
            dialogue.client.advance(Duration::from_millis(2));
            dialogue.server.advance(Duration::from_millis(2));
            dialogue.run(copies);
        }
        assert!(dialogue.client.endpoint.is_idle() && dialogue.server.endpoint.is_idle());
        dialogue
    }

    fn run(&mut self, copies: usize) {
        loop {
            let sent = packets(&mut self.client);
            let answers = packets(&mut self.server);
            if sent.is_empty() && answers.is_empty() {
                return;
            }
            for (header, payload_len) in &sent {
                for _ in 0..copies {
                    self.server.receive_header(client_addr(), header, *payload_len);
                    self.serve();
                }
            }
            for (header, payload_len) in &answers {
                for _ in 0..copies {
                    self.client.receive_header(Remote::server(1).addr, header, *payload_len);
                    self.take_responses();
                }
            }
            self.to_server.extend(sent);
            self.to_client.extend(answers);
        }
    }

    fn serve(&mut self) {
        for event in self.server.take_events() {
            if let Event::RequestComplete { key } = event {
                self.executed += 1;
                self.server.endpoint.accept(self.server.now, key);
                self.server.reply(key, 60_000);
            }
        }
    }

    fn take_responses(&mut self) {
        for event in self.client.take_events() {
            if let Event::ResponseComplete { key } = event {
                self.answered += 1;
                self.client.endpoint.finish(self.client.now, key);
                self.client.drain();
            }
        }
    }

    /// Sends again what the server was sent, and returns what it answers.
    fn replay_to_server(&mut self, order: &[usize]) -> Vec<PacketType> {
        for &n in order {
            let (header, payload_len) = self.to_server[n];
            self.server.receive_header(client_addr(), &header, payload_len);
            self.serve();
        }
        let answers = packets(&mut self.server);
        answers.iter().map(|(header, _)| header.packet_type()).collect()
    }
}

fn packets(probe: &mut Probe) -> Vec<(Header, u32)> {
    let sent = probe.take_sent();
    sent.iter().map(|t| (t.header, t.payload.map_or(0, |(_, payload)| payload.len()))).collect()
}

/// HOMA-ONCE-1, HOMA-ONCE-3: whatever part of a conversation comes again, and in whatever order, for
/// as long as it is remembered; and it is remembered for as long as it comes.
#[test]
fn whole_conversation__executes_nothing_again() {
    let mut dialogue = Dialogue::hold(1);
    assert_eq!((dialogue.executed, dialogue.answered), (4, 4));
    let count = dialogue.to_server.len();
    let forwards: Vec<_> = (0..count).collect();
    let backwards: Vec<_> = (0..count).rev().collect();
    let shuffled: Vec<_> = (0..count).map(|n| n * 7_919 % count).collect();
    for round in 0..20 {
        for order in [&forwards, &backwards, &shuffled] {
            let answers = dialogue.replay_to_server(order);
            assert!(!answers.contains(&PacketType::Data), "round {round}: {answers:?}");
            assert!(!answers.contains(&PacketType::Grant), "round {round}: {answers:?}");
        }
        assert_eq!((dialogue.executed, dialogue.server.endpoint.server_rpcs()), (4, 0));
        // `Timing::finished_memory` is 10 s.
        dialogue.server.advance(Duration::from_millis(9_900));
    }
}

#[test]
fn whole_conversation__means_nothing_to_its_client() {
    let mut dialogue = Dialogue::hold(1);
    let call = dialogue.client.call(Remote::server(1), 100);
    packets(&mut dialogue.client);
    for &(header, payload_len) in dialogue.to_client.clone().iter().chain(&dialogue.to_client) {
        dialogue.client.receive_header(Remote::server(1).addr, &header, payload_len);
    }
    assert_eq!(dialogue.client.take_events(), [], "nothing of it is news");
    assert!(dialogue.client.endpoint.info(call).is_some());
    let answers = packets(&mut dialogue.client);
    let harmless =
        |(header, _): &(Header, u32)| matches!(header.body, Body::Ack(_) | Body::RpcUnknown);
    assert!(answers.iter().all(harmless), "{answers:?}");
}

/// As it goes, each packet coming five times.
#[test]
fn every_packet__five_times_executes_once() {
    let dialogue = Dialogue::hold(5);
    assert_eq!((dialogue.executed, dialogue.answered), (4, 4));
}

/// Its own packets, sent back to it.
#[test]
fn own_packets__mean_nothing_to_a_server() {
    let mut dialogue = Dialogue::hold(1);
    for (header, payload_len) in dialogue.to_client.clone() {
        dialogue.server.receive_header(client_addr(), &header, payload_len);
    }
    assert_eq!(dialogue.server.take_events(), []);
    assert_eq!(dialogue.server.endpoint.server_rpcs(), 0);
    assert!(!packets(&mut dialogue.server).iter().any(|(h, _)| matches!(h.body, Body::Data(_))));
}
