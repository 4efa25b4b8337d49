//! QUIC by quinn: one connection, kept open, with a bidirectional stream per call. A message is all
//! that is sent on a stream in one direction.
//!
//! Everything is as quinn has it by default but for what comes with many and long messages: how many
//! streams there may be at once, and how much may be under way on each.

mod certificate;
mod client;
mod server;

pub(crate) use self::client::quic_client;
pub(crate) use self::server::quic_server;

use std::sync::Arc;
use std::time::Duration;

use ::homa::Message;
use bytes::Bytes;
use quinn::{ReadError, RecvStream, SendStream, TransportConfig, VarInt, WriteError};

use super::MAX_MESSAGE;

/// What both sides say that they speak.
const ALPN: &[u8] = b"homa-bench";
/// Streams at once on a connection; calls beyond wait for others to end.
const MAX_STREAMS: u32 = 1024;
/// How much of a message may be under way: more than loopback and a data centre's network hold.
const STREAM_WINDOW: u32 = 8 << 20;
/// After how long of silence a connection is given up.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often one that is not in use says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// How many pieces are taken from a stream at once.
const BATCH: usize = 32;

/// Why a message could not be received.
#[derive(Debug)]
enum ReceiveError {
    TooLong,
    Stream(ReadError),
}

/// The same for client and server.
fn transport_config() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(MAX_STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .send_window(8 * u64::from(STREAM_WINDOW))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IDLE_TIMEOUT.try_into().expect("it is short")));
    Arc::new(config)
}

/// Sends a message and ends the stream with it.
async fn send(stream: &mut SendStream, message: &Message) -> Result<(), WriteError> {
    let mut pieces: Vec<Bytes> = message.chunks().cloned().collect();
    stream.write_all_chunks(&mut pieces).await?;
    stream.finish().map_err(|_| WriteError::ClosedStream)
}

/// The message that comes on a stream; nothing is copied.
async fn receive(stream: &mut RecvStream) -> Result<Message, ReceiveError> {
    let mut pieces = Vec::new();
    let mut length = 0;
    let mut batch = [const { Bytes::new() }; BATCH];
    while let Some(count) = stream.read_chunks(&mut batch).await.map_err(ReceiveError::Stream)? {
        length += batch[..count].iter().map(Bytes::len).sum::<usize>();
        if length > MAX_MESSAGE {
            let _ = stream.stop(VarInt::from_u32(0));
            return Err(ReceiveError::TooLong);
        }
        pieces.extend(batch[..count].iter_mut().map(std::mem::take));
    }
    Ok(Message::from(pieces))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use std::net::UdpSocket;

    use super::*;
    use crate::transport::testing::{REGIME, Running, failure, round_trips, send_one};

    fn server() -> Running {
        Running::start(|any| Box::new(quic_server(any, REGIME).unwrap()))
    }

    const LENGTHS: [u32; 8] = [12, 100, 3_000_000, 13, 65_536, 1_000_000, 100, 20_000];

    #[test]
    fn calls__echo_all_lengths_whether_or_not_the_certificate_is_known() {
        let mut server = server();
        let certificate = server.certificate.take();
        assert!(certificate.is_some());
        for certificate in [certificate.as_deref(), None] {
            let mut client = quic_client(server.address, certificate, REGIME).unwrap();
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
        let mut client = quic_client(server.address, None, REGIME).unwrap();
        round_trips(&mut client, &[100; MAX_STREAMS as usize + 100], false);
        assert_eq!(server.stop().requests, u64::from(MAX_STREAMS) + 100);
    }

    #[test]
    fn calls__a_server_with_another_certificate_is_refused() {
        let (server, other) = (server(), server());
        let mut client = quic_client(server.address, other.certificate.as_deref(), REGIME).unwrap();
        send_one(&mut client, 100);
        let failed = failure(&mut client);
        assert!(failed.reason.contains("certificate"), "{failed:?}");
    }

    #[test]
    fn receive__nobody_there() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut client = quic_client(silent.local_addr().unwrap(), None, REGIME).unwrap();
        send_one(&mut client, 100);
        assert!(failure(&mut client).reason.contains("500 ms"));
    }

    #[test]
    fn receive__a_server_that_ends_fails_its_calls_and_later_ones_reconnect() {
        let mut first = server();
        let mut client = quic_client(first.address, None, REGIME).unwrap();
        round_trips(&mut client, &[100], false);
        first.stop();
        send_one(&mut client, 100);
        let failed = failure(&mut client);
        assert!(failed.reason.contains("connection"), "{failed:?}");
        let address = first.address;
        let second = Running::start(move |_| Box::new(quic_server(address, REGIME).unwrap()));
        assert_eq!(second.address, address);
        round_trips(&mut client, &[100], false);
    }
}
