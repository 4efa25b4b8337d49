//! gRPC by tonic, over HTTP/2 and over Homa: unary calls whose messages are bytes, without protocol buffers.
//!
//! `TCP_NODELAY` is on and the windows are wide, as tonic and gRPC recommend for low latency and for
//! long messages; nothing is compressed or encrypted. A client has one HTTP/2 connection on which all
//! calls are multiplexed, or as many as calls at once.

mod client;
mod codec;
mod over_homa;
mod server;

pub(crate) use self::client::grpc_client;
pub(crate) use self::over_homa::{grpc_homa_client, grpc_homa_server};
pub(crate) use self::server::grpc_server;

/// The service, and its only method.
const SERVICE: &str = "homa.bench.Echo";
const METHOD: &str = "/homa.bench.Echo/Call";
/// How much of a message may be under way.
const STREAM_WINDOW: u32 = 8 << 20;
/// How much of all messages of a connection may be under way.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// Calls at once on a connection; those beyond wait for others to end.
const MAX_STREAMS: u32 = 1024;

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::net::TcpListener;

    use super::*;
    use crate::transport::testing::{REGIME, Running, failure, round_trips, send_one};

    fn server() -> Running {
        Running::start(|any| Box::new(grpc_server(any, REGIME).unwrap()))
    }

    const LENGTHS: [u32; 8] = [12, 100, 5_000_000, 13, 65_536, 1_000_000, 100, 20_000];

    #[test]
    fn calls__echo_all_lengths_on_one_connection_and_on_many() {
        let mut server = server();
        for connections in [1, LENGTHS.len()] {
            let mut client = grpc_client(server.address, connections, REGIME).unwrap();
            for short in [false, true] {
                round_trips(&mut client, &LENGTHS, short);
            }
        }
        let served = server.stop();
        assert_eq!((served.requests, served.errors), (4 * LENGTHS.len() as u64, 0));
        assert_eq!(served.bytes_in, 4 * u64::from(LENGTHS.iter().sum::<u32>()));
    }

    #[test]
    fn calls__more_at_once_than_streams() {
        let mut server = server();
        let mut client = grpc_client(server.address, 1, REGIME).unwrap();
        round_trips(&mut client, &[100; MAX_STREAMS as usize + 100], false);
        assert_eq!(server.stop().requests, u64::from(MAX_STREAMS) + 100);
    }

    #[test]
    fn receive__nothing_listens() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut client = grpc_client(address, 1, REGIME).unwrap();
        send_one(&mut client, 100);
        let failed = failure(&mut client);
        assert!(failed.nothing_listens, "{failed:?}");
    }

    #[test]
    fn receive__a_server_that_ends_fails_its_calls_and_later_ones_reconnect() {
        let mut first = server();
        let mut client = grpc_client(first.address, 1, REGIME).unwrap();
        round_trips(&mut client, &[100], false);
        first.stop();
        send_one(&mut client, 100);
        let failed = failure(&mut client);
        assert!(!failed.reason.is_empty(), "{failed:?}");
        let address = first.address;
        let _second = Running::start(move |_| Box::new(grpc_server(address, REGIME).unwrap()));
        round_trips(&mut client, &[100], false);
    }
}
