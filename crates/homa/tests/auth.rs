//! Authentication with a pre-shared key, over sockets.

#![allow(non_snake_case, reason = "tests are named function__case")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use homa::blocking::Endpoint;
use homa::{Addr, AuthConfig, AuthKey, BindError, CallError, Config};

const HOMA_PORT: u16 = 7;

fn config(keys: &[u8]) -> Config {
    let mut config = Config::default();
    let keys: Vec<_> = keys.iter().map(|key| AuthKey::new(&[*key; 32])).collect();
    config.auth = (!keys.is_empty()).then(|| AuthConfig::new(keys));
    config
}

/// Runs `test` beside an echo server at `listen`.
fn with_server(listen: &str, config: Config, test: impl FnOnce(&Endpoint, Addr)) {
    let endpoint = Endpoint::bind(listen, config).unwrap();
    let server = endpoint.serve(HOMA_PORT).unwrap();
    let ip = match endpoint.local_addr().ip() {
        ip if ip.is_unspecified() => [127, 0, 0, 1].into(),
        ip => ip,
    };
    let addr = SocketAddr::new(ip, endpoint.local_addr().port());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let mut requests = Vec::new();
                server.accept_batch(&mut requests, 16, Some(Duration::from_millis(10)));
                for mut request in requests {
                    let message = request.take_message();
                    let _ = request.reply(message);
                }
            }
        });
        let _stop = StopOnDrop(&stop);
        test(&endpoint, Addr::new(addr, HOMA_PORT).unwrap());
    });
}

/// Ends the server even if the test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn message(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

#[test]
fn call__with_the_key_of_the_server() {
    for listen in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        with_server(listen, config(&[1, 2]), |server, addr| {
            let client = Endpoint::client(config(&[2, 1])).unwrap();
            for length in [1, 1000, 70_000, 1_000_000] {
                let response = client.call(addr, message(length)).unwrap();
                assert!(response == message(length)[..], "{length} bytes");
            }
            for stats in [server.stats(), client.stats()] {
                assert!(stats.auth.accepted > 20, "{stats:?}");
                assert_eq!(stats.auth.rejected(), 0, "{stats:?}");
            }
        });
    }
}

/// Neither side takes anything from the other; the client is not left waiting.
#[test]
fn call__without_a_common_key_times_out() {
    for (server_keys, client_keys) in [(&[1][..], &[][..]), (&[], &[1]), (&[1], &[2])] {
        with_server("127.0.0.1:0", config(server_keys), |server, addr| {
            let client = Endpoint::client(config(client_keys)).unwrap();
            let begin = Instant::now();
            let outcome = client.call(addr, message(5000));
            assert!(matches!(outcome, Err(CallError::Timeout { .. })), "{outcome:?}");
            assert!(begin.elapsed() < Duration::from_secs(5));
            let stats = server.stats();
            assert_eq!(stats.auth.accepted, 0);
            match (server_keys, client_keys) {
                ([], _) => assert_eq!(stats.auth.rejected(), 0),
                (_, []) => assert!(stats.auth.plain > 0 && client.stats().auth.rejected() == 0),
                _ => assert!(stats.auth.unknown_key > 0),
            }
        });
    }
}

/// Another process can neither make up packets nor say again, from an address of its own, what it
/// has heard.
#[test]
fn server__ignores_packets_of_strangers() {
    with_server("127.0.0.1:0", config(&[1]), |server, addr| {
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let overheard = {
            let ear = UdpSocket::bind("127.0.0.1:0").unwrap();
            let client = Endpoint::client(config(&[1])).unwrap();
            let to = Addr::new(ear.local_addr().unwrap(), HOMA_PORT).unwrap();
            let _id = client.send(to, message(100)).unwrap();
            let mut bytes = [0; 2000];
            let len = ear.recv(&mut bytes).unwrap();
            bytes[..len].to_vec()
        };
        stranger.send_to(&overheard, addr.socket_addr()).unwrap();
        stranger.send_to(&overheard[44..], addr.socket_addr()).unwrap();
        stranger.send_to(&[0; 200], addr.socket_addr()).unwrap();
        let begin = Instant::now();
        while server.stats().auth.rejected() < 3 && begin.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(1));
        }
        let auth = server.stats().auth;
        assert_eq!((auth.bad_mac, auth.plain, auth.accepted), (1, 2, 0), "{auth:?}");
        stranger.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(stranger.recv(&mut [0; 2000]).is_err(), "strangers get no answer");
        let client = Endpoint::client(config(&[1])).unwrap();
        assert!(client.call(addr, message(100)).is_ok());
    });
}

/// Faults are the network's, so the MAC finds what they alter.
#[test]
fn call__bytes_altered_on_the_way_never_arrive() {
    let plan = "corrupt-undetected=0.05,drop=0.02,dup=0.05,reorder=0.05,seed=3".parse().unwrap();
    let mut faulty = config(&[1]);
    faulty.fault = Some(plan);
    with_server("127.0.0.1:0", faulty.clone(), |server, addr| {
        let client = Endpoint::bind("127.0.0.1:0", faulty).unwrap();
        for round in 0..100 {
            let length = 100 + round * 997;
            let response = client.call(addr, message(length)).unwrap();
            assert!(response == message(length)[..], "{length} bytes");
        }
        let auth = server.stats().auth;
        assert!(auth.rejected() > 5 && auth.replayed > 0, "{auth:?}");
    });
}

#[test]
fn bind__with_an_impossible_configuration() {
    let mut config = config(&[1]);
    config.auth = Some(AuthConfig::new(Vec::new()));
    let error = Endpoint::client(config).unwrap_err();
    assert!(matches!(error, BindError::Io(_)));
    assert!(error.to_string().contains("auth.keys: there must be at least one"), "{error}");
}
