//! One bare datagram each way: the floor under everything that is made of datagrams. There is no
//! protocol: nothing is acknowledged, sent again or paced, a lost datagram is a failed call, and a
//! message has to fit into a datagram.
//!
//! A datagram is as long as Homa's packet with the same message: instead of Homa's header it begins
//! with the call's number and place, which come back in the response.

mod client;
mod server;

pub(crate) use self::client::UdpClient;
pub(crate) use self::server::UdpServer;

/// Bytes before the message: as many as in Homa's DATA packets.
const PREFIX_LEN: usize = homa_wire::DATA_HEADER_LEN;
/// The most that UDP over IPv4 carries.
const MAX_DATAGRAM: usize = 65_507;
/// The longest message in bytes.
pub(crate) const MAX_MESSAGE: u32 = (MAX_DATAGRAM - PREFIX_LEN) as u32;
/// How many datagrams are received before other things are looked at.
const BATCH: usize = 64;

/// What names a call in both of its datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prefix {
    /// Differs from call to call.
    number: u64,
    slot: u32,
}

impl Prefix {
    fn encode(self) -> [u8; PREFIX_LEN] {
        let mut bytes = [0; PREFIX_LEN];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.slot.to_le_bytes());
        bytes
    }

    /// Any bytes are a prefix; whether there is such a call is for the caller to judge.
    fn decode(bytes: &[u8; PREFIX_LEN]) -> Self {
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[..8]);
        let slot = [bytes[8], bytes[9], bytes[10], bytes[11]];
        Self { number: u64::from_le_bytes(number), slot: u32::from_le_bytes(slot) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::net::UdpSocket;

    use super::*;
    use crate::message::{Header, Pattern};
    use crate::transport::testing::{REGIME, Running, failure, round_trips, send_one};
    use crate::transport::{LoadClient, Request};

    fn server() -> Running {
        Running::start(|any| Box::new(UdpServer::bind(any, REGIME).unwrap()))
    }

    #[test]
    fn prefix__survives_the_way() {
        let prefix = Prefix { number: 0x0102_0304_0506_0708, slot: 0x00ab_cdef };
        assert_eq!(Prefix::decode(&prefix.encode()), prefix);
    }

    #[test]
    fn calls__all_lengths_that_fit_into_a_datagram() {
        const LENGTHS: [u32; 5] = [12, 100, MAX_MESSAGE, 13, 20_000];
        let mut server = server();
        let mut client = UdpClient::new(server.address, LENGTHS.len(), REGIME).unwrap();
        for short in [false, true, false] {
            round_trips(&mut client, &LENGTHS, short);
        }
        let served = server.stop();
        assert_eq!((served.requests, served.errors), (3 * LENGTHS.len() as u64, 0));
        assert_eq!(served.bytes_in, 3 * u64::from(LENGTHS.iter().sum::<u32>()));
    }

    #[test]
    fn receive__nothing_listens() {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut client = UdpClient::new(address, 1, REGIME).unwrap();
        send_one(&mut client, 100);
        assert!(failure(&mut client).nothing_listens);
    }

    #[test]
    fn receive__a_lost_datagram_is_a_failure_and_a_late_response_is_ignored() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut client = UdpClient::new(silent.local_addr().unwrap(), 1, REGIME).unwrap();
        send_one(&mut client, 100);
        let mut late = [0; MAX_DATAGRAM];
        let (length, from) = silent.recv_from(&mut late).unwrap();
        let lost = failure(&mut client);
        assert!(!lost.nothing_listens && lost.reason.contains("lost"), "{lost:?}");
        // The next call has the same slot.
        send_one(&mut client, 100);
        silent.send_to(&late[..length], from).unwrap();
        assert!(failure(&mut client).reason.contains("lost"));
    }

    #[test]
    fn send__what_does_not_fit_fails() {
        let server = server();
        let mut client = UdpClient::new(server.address, 1, REGIME).unwrap();
        let length = MAX_MESSAGE + 1;
        let body = Pattern::new(length).body(0, length);
        client.send(Request { slot: 0, header: Header::request(0, length, false), body });
        assert!(failure(&mut client).reason.contains("65,451"), "the limit is named");
    }

    #[test]
    fn serve__leaves_alone_what_is_no_message() {
        let mut server = server();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"hello", server.address).unwrap();
        socket.send_to(&[255; 100], server.address).unwrap();
        let mut client = UdpClient::new(server.address, 1, REGIME).unwrap();
        round_trips(&mut client, &[100], false);
        let served = server.stop();
        assert_eq!((served.requests, served.errors), (1, 2));
    }
}
