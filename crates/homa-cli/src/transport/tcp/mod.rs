//! The same messages over TCP, as a well-made program would send them: no delays (`TCP_NODELAY`),
//! no threads to hand over between, no copies beyond those into and out of the kernel, one system
//! call for all that is ready.

mod client;
mod inbox;
mod outbox;
mod server;

pub(crate) use self::client::TcpClient;
pub(crate) use self::server::TcpServer;

/// How calls are spread over connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// One connection per outstanding call: no message waits behind another.
    Connections,
    /// One connection for all calls, with writes coalesced: the least work per message.
    Pipelined,
}

impl Variant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Pipelined => "pipelined",
        }
    }
}

/// With at most so many connections, polling reads them directly: asking the kernel which of them
/// is readable would cost as much as reading.
const MAX_POLLED_DIRECTLY: usize = 2;

/// Lengths that a message can have; anything else means that the peer speaks something else.
const LENGTHS: std::ops::RangeInclusive<u32> = crate::message::MIN_LEN..=64 << 20;

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;
    use crate::message::{Header, Pattern};
    use crate::transport::testing::{REGIME, Running, round_trips};
    use crate::transport::{LoadClient, Request};

    fn server() -> Running {
        Running::start(|any| Box::new(TcpServer::bind(any, REGIME).unwrap()))
    }

    const LENGTHS: [u32; 8] = [12, 100, 3_000_000, 13, 65_536, 1_000_000, 100, 20_000];

    #[test]
    fn calls__each_variant_echoes_all_lengths() {
        for variant in [Variant::Connections, Variant::Pipelined] {
            let mut server = server();
            let mut client =
                TcpClient::new(server.address, variant, LENGTHS.len(), REGIME).unwrap();
            for _ in 0..3 {
                round_trips(&mut client, &LENGTHS, false);
            }
            round_trips(&mut client, &LENGTHS, true);
            let served = server.stop();
            assert_eq!((served.requests, served.errors), (4 * LENGTHS.len() as u64, 0));
            let bytes = u64::from(LENGTHS.iter().sum::<u32>());
            assert_eq!(served.bytes_in, 4 * bytes);
            assert!(served.bytes_out > 3 * bytes && served.bytes_out < 3 * bytes + 1000);
        }
    }

    #[test]
    fn calls__a_thousand_small_ones_pipelined() {
        let mut server = server();
        let mut client = TcpClient::new(server.address, Variant::Pipelined, 1000, REGIME).unwrap();
        round_trips(&mut client, &[100; 1000], false);
        assert_eq!(server.stop().requests, 1000);
    }

    #[test]
    fn receive__nothing_listens() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut client = TcpClient::new(address, Variant::Connections, 1, REGIME).unwrap();
        let body = Pattern::new(100).body(0, 100);
        client.send(Request { slot: 0, header: Header::request(0, 100, false), body });
        let mut failures = Vec::new();
        let mut sink = |slot, outcome: crate::transport::Outcome<'_>| {
            failures.push((slot, outcome.err().expect("a failure")));
        };
        client.receive(Duration::from_millis(100), &mut sink).unwrap();
        assert_eq!(failures.len(), 1);
        assert!(failures[0].1.nothing_listens);
    }

    #[test]
    fn receive__a_lost_connection_fails_its_calls_and_later_ones_reconnect() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpClient::new(address, Variant::Pipelined, 3, REGIME).unwrap();
        let pattern = Pattern::new(100);
        for round in 0..2 {
            for slot in 0..3 {
                let body = pattern.body(0, 100);
                client.send(Request { slot, header: Header::request(slot, 100, false), body });
            }
            drop(listener.accept().unwrap());
            let mut failed = Vec::new();
            while failed.len() < 3 {
                let mut sink = |slot, outcome: crate::transport::Outcome<'_>| {
                    assert!(outcome.is_err());
                    failed.push(slot);
                };
                client.receive(Duration::from_millis(100), &mut sink).unwrap();
            }
            failed.sort_unstable();
            assert_eq!(failed, [0, 1, 2], "round {round}");
        }
    }

    #[test]
    fn serve__closes_connections_that_speak_something_else() {
        let mut server = server();
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // Either an end or a reset, depending on what was still unread.
        assert!(!matches!(stream.read(&mut [0; 10]), Ok(1..)));
        assert_eq!(server.stop().errors, 1);
    }
}
