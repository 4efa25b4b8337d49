//! Calls that fail, and how soon and how clearly they do.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::time::{Duration, Instant};

use common::*;
use homa::proto::Unreachable;
use homa::{Addr, BindError, CallError, CallOptions, Config, Endpoint, RefuseReason, ReplyError};

fn refusal(outcome: Result<homa::Message, CallError>) -> RefuseReason {
    match outcome {
        Err(CallError::Refused { reason, .. }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn call__no_such_homa_port_is_refused_at_once() {
    let (server, _addr) = echoing(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let nobody = Addr::new(server.local_addr(), 99).unwrap();
    let start = Instant::now();
    let error = client.call(nobody, "x").await.unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert!(error.to_string().contains("no server has Homa port 99"), "{error}");
    assert_eq!(refusal(Err(error)), RefuseReason::NoPort);
}

#[tokio::test]
async fn call__nobody_at_the_udp_port_is_unreachable_within_a_second() {
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = endpoint(Config::default()).await;
    let start = Instant::now();
    let error = client.call(addr_of(gone), "x").await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(matches!(error, CallError::Unreachable { kind: Unreachable::Port, .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("UDP port {}", gone.port())), "{error}");
}

#[test]
fn blocking_call__nobody_at_the_udp_port_is_unreachable_within_a_second() {
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = blocking_endpoint(Config::default());
    let start = Instant::now();
    let error = client.call(addr_of(gone), "x").unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(matches!(error, CallError::Unreachable { kind: Unreachable::Port, .. }), "{error:?}");
}

/// HOMA-TIMEOUT-1: a peer that is there but silent.
#[tokio::test]
async fn call__silent_server_times_out() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = endpoint(Config::default()).await;
    let start = Instant::now();
    let error = client.call(addr_of(silent.local_addr().unwrap()), "x").await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn call__server_that_works_for_too_long_exceeds_the_deadline() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let options = CallOptions::new().deadline(Duration::from_millis(300));
    let start = Instant::now();
    let call = tokio::spawn(client.call_with(addr, "x", options));
    let request = server.accept().await.unwrap();
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::DeadlineExceeded { .. }), "{error:?}");
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // The server learns that nobody waits.
    tokio::time::timeout(Duration::from_secs(2), request.cancelled()).await.unwrap();
}

#[tokio::test]
async fn drop__of_a_request_refuses_it() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let call = tokio::spawn(client.call(addr, "x"));
    drop(server.accept().await.unwrap());
    assert_eq!(refusal(call.await.unwrap()), RefuseReason::DroppedUnanswered);
}

#[tokio::test]
async fn refuse__gives_the_reason() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let call = tokio::spawn(client.call(addr, "x"));
    server.accept().await.unwrap().refuse(RefuseReason::Overloaded);
    assert_eq!(call.await.unwrap(), Err(CallError::Overloaded { addr }));
}

#[tokio::test]
async fn drop__of_a_server_refuses_what_it_had_not_accepted() {
    let (endpoint_, server, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let call = tokio::spawn(client.call(addr, "x"));
    while endpoint_.stats().protocol.server_requests_done == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(server);
    assert_eq!(refusal(call.await.unwrap()), RefuseReason::NotServing);
    assert_eq!(refusal(client.call(addr, "y").await), RefuseReason::NotServing);
    let server = endpoint_.serve(PORT).unwrap();
    let call = tokio::spawn(client.call(addr, "z"));
    server.accept().await.unwrap().reply("again").unwrap();
    assert_eq!(call.await.unwrap().unwrap(), b"again"[..]);
}

#[tokio::test]
async fn call__beyond_the_servers_open_requests_is_refused_as_overloaded() {
    let mut config = Config::default();
    config.proto.limits.server_rpcs_max = 4;
    config.proto.overload.peer_share_permille = 1000;
    let (_endpoint, server, addr) = serving(config).await;
    let client = endpoint(Config::default()).await;
    let open: Vec<_> = (0..4).map(|_| client.send(addr, "x").unwrap()).collect();
    let mut requests = Vec::new();
    while requests.len() < open.len() {
        server.accept_batch(&mut requests, 4).await;
    }
    let start = Instant::now();
    let error = client.call(addr, "one too many").await.unwrap_err();
    assert_eq!(error, CallError::Overloaded { addr });
    assert!(error.is_retryable());
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    for request in &mut requests {
        request.reply("done").unwrap();
    }
    for _ in &open {
        client.recv().await.unwrap().1.unwrap();
    }
}

#[tokio::test]
async fn call__too_long_and_empty_are_told_before_anything_is_sent() {
    let (_server, addr) = echoing(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let too_long = CallError::TooLong { max: 1_000_000, by_server: false };
    assert_eq!(client.call(addr, vec![0; 1_000_001]).await, Err(too_long));
    assert_eq!(client.call(addr, "").await, Err(CallError::Empty));
    assert_eq!(client.send(addr, ""), Err(CallError::Empty));
    assert_eq!(client.stats().drive.packets_sent, 0);
}

#[tokio::test]
async fn call__too_long_for_the_server_is_refused_with_its_limit() {
    let (_server, addr) = echoing(config_for(1000)).await;
    let client = endpoint(Config::default()).await;
    let error = client.call(addr, vec![0; 1001]).await.unwrap_err();
    assert_eq!(error, CallError::TooLong { max: 1000, by_server: true });
}

#[tokio::test]
async fn call__addresses_that_are_none() {
    let client = endpoint(Config::default()).await;
    for (addr, part) in [
        ("127.0.0.1:40000", "Homa server ports are 1 to 32767"),
        ("nonsense", "not an address"),
        ("no-such-host.invalid:4000", "no-such-host.invalid"),
    ] {
        let error = client.call(addr, "x").await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn reply__errors_leave_the_request_answerable() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let call = tokio::spawn(client.call(addr, "x"));
    let mut request = server.accept().await.unwrap();
    assert_eq!(request.reply(""), Err(ReplyError::Empty));
    assert_eq!(request.reply(vec![0; 1_000_001]), Err(ReplyError::TooLong { max: 1_000_000 }));
    request.reply("at last").unwrap();
    assert_eq!(request.reply("twice"), Err(ReplyError::Answered));
    assert!(!request.is_cancelled());
    assert_eq!(call.await.unwrap().unwrap(), b"at last"[..]);
}

#[tokio::test]
async fn serve__ports_out_of_range_and_in_use() {
    let endpoint = endpoint(Config::default()).await;
    let _server = endpoint.serve(7).unwrap();
    assert!(matches!(endpoint.serve(7), Err(BindError::PortInUse(7))));
    assert!(matches!(endpoint.serve(0), Err(BindError::PortOutOfRange(0))));
    assert!(matches!(endpoint.serve(32768), Err(BindError::PortOutOfRange(32768))));
}

#[tokio::test]
async fn bind__errors_say_what_is_wrong() {
    let first = endpoint(Config::default()).await;
    let error = Endpoint::bind(first.local_addr(), Config::default()).await.unwrap_err();
    assert!(matches!(error, BindError::Io(_)), "{error}");
    let mut config = Config::default();
    config.proto.message_length_max = 0;
    let error = Endpoint::bind("127.0.0.1:0", config).await.unwrap_err();
    assert!(error.to_string().contains("message_length_max"), "{error}");
}

/// The server dies, calls fail within a second, and new calls reach its successor.
#[tokio::test]
async fn call__server_dies_and_comes_back() {
    let (server, _service, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let call = tokio::spawn(client.call(addr, "x"));
    while server.stats().protocol.server_requests_done == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.close();
    let start = Instant::now();
    call.await.unwrap().unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let server = Endpoint::bind(addr.socket_addr(), Config::default()).await.unwrap();
    let service = server.serve(PORT).unwrap();
    let call = tokio::spawn(client.call(addr, "again"));
    service.accept().await.unwrap().reply("back").unwrap();
    assert_eq!(call.await.unwrap().unwrap(), b"back"[..]);
}
