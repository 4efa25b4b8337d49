//! Someone always drives: whatever the application does, the endpoint answers its peers.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::time::{Duration, Instant};

use common::*;
use homa::{Config, Endpoint, proto};

/// Far beyond the 100 ms of silence after which a peer counts as dead.
const COMPUTATION: Duration = Duration::from_millis(500);

fn compute() {
    let start = Instant::now();
    while start.elapsed() < COMPUTATION {
        std::hint::spin_loop();
    }
}

/// Who has no time to wait still looks: it takes the turn in which the response arrives, instead of
/// leaving that to the helper, which looks every 2 ms.
#[test]
fn blocking_recv__without_patience_takes_turns() {
    let endpoint = blocking_endpoint(Config::default());
    let server = endpoint.serve(PORT).unwrap();
    let addr = addr_of(endpoint.local_addr());
    let echo = std::thread::spawn(move || {
        while let Some(mut request) = server.accept() {
            request.reply("done").unwrap();
        }
    });
    let client = blocking_endpoint(Config::default());
    let mut calls_without_helper = 0;
    for _ in 0..50 {
        client.send(addr, "work").unwrap();
        let turns_before = client.stats().drive.turns;
        let mut looks = 0;
        while client.recv(Some(Duration::ZERO)).is_none() {
            looks += 1;
        }
        let turns = client.stats().drive.turns - turns_before;
        calls_without_helper += u32::from(turns >= looks);
    }
    assert_eq!(calls_without_helper, 50, "each look is a turn");
    endpoint.close();
    echo.join().unwrap();
}

/// Nobody else waits in the server's endpoint while the handler computes.
#[test]
fn blocking_server__computes_for_500_ms() {
    let endpoint = blocking_endpoint(Config::default());
    let server = endpoint.serve(PORT).unwrap();
    let addr = addr_of(endpoint.local_addr());
    let handler = std::thread::spawn(move || {
        for _ in 0..2 {
            let mut request = server.accept().unwrap();
            compute();
            request.reply("done").unwrap();
        }
    });
    let client = blocking_endpoint(Config::default());
    for _ in 0..2 {
        assert_eq!(client.call(addr, "work").unwrap(), b"done"[..]);
    }
    handler.join().unwrap();
    assert_eq!(client.stats().protocol.client_rpcs_failed, 0);
}

/// The only thread of the runtime computes: neither the driver task nor anything else runs in it.
#[test]
fn async_server__computes_for_500_ms_on_a_current_thread_runtime() {
    let (tell, told) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_endpoint, server, addr) = serving(Config::default()).await;
            tell.send(addr).unwrap();
            for _ in 0..2 {
                let mut request = server.accept().await.unwrap();
                compute();
                request.reply("done").unwrap();
            }
            // Until the client has the response.
            tokio::time::sleep(Duration::from_millis(200)).await;
        });
    });
    let addr = told.recv().unwrap();
    let client = blocking_endpoint(Config::default());
    for _ in 0..2 {
        assert_eq!(client.call(addr, "work").unwrap(), b"done"[..]);
    }
    server.join().unwrap();
}

/// A large request arrives in full, grants and all, while no thread waits in the server.
#[test]
fn blocking_server__receives_while_nobody_waits() {
    let endpoint = blocking_endpoint(Config::default());
    let server = endpoint.serve(PORT).unwrap();
    let client = blocking_endpoint(Config::default());
    let request = contents(1, 1_000_000);
    client.send(addr_of(endpoint.local_addr()), request.clone()).unwrap();
    let start = Instant::now();
    while endpoint.stats().protocol.server_requests_done == 0 {
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", endpoint.stats());
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut arrived = server.accept().unwrap();
    assert!(*arrived.message() == request);
    arrived.reply("thanks").unwrap();
    assert_eq!(client.recv(None).unwrap().1.unwrap(), b"thanks"[..]);
}

/// The runtime in which the endpoint was bound is gone; the endpoint still works.
#[test]
fn async_endpoint__outlives_its_runtime() {
    let (server, addr) = blocking_echoing(Config::default(), 1);
    let build = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = build();
    let client = first.block_on(Endpoint::client(Config::default())).unwrap();
    assert!(first.block_on(client.call(addr, "x")).is_ok());
    drop(first);
    assert_eq!(build().block_on(client.call(addr, "y")).unwrap(), b"y"[..]);
    server.close();
}

/// A quiet endpoint sleeps: neither leader, nor helper, nor driver task take turns.
#[test]
fn idle__costs_no_turns() {
    let (server, addr) = blocking_echoing(Config::default(), 2);
    let client = blocking_endpoint(Config::default());
    client.call(addr, "x").unwrap();
    // Acknowledgements and memories of finished ids expire first.
    std::thread::sleep(Duration::from_millis(300));
    let before = (client.stats().drive.turns, server.stats().drive.turns);
    std::thread::sleep(Duration::from_millis(500));
    let after = (client.stats().drive.turns, server.stats().drive.turns);
    assert!(after.0 - before.0 < 60 && after.1 - before.1 < 60, "{before:?} {after:?}");
    server.close();
}

/// A call that sleeps for long in the server's application keeps its client waiting, not polling.
#[test]
fn follower__is_woken_by_the_leader() {
    let endpoint = blocking_endpoint(Config::default());
    let server = endpoint.serve(PORT).unwrap();
    let addr = addr_of(endpoint.local_addr());
    std::thread::spawn(move || {
        let mut requests = Vec::new();
        while requests.len() < 4 {
            server.accept_batch(&mut requests, 4, None);
        }
        std::thread::sleep(Duration::from_millis(50));
        requests.iter_mut().rev().for_each(|request| request.reply("now").unwrap());
    });
    let client = blocking_endpoint(Config::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let start = Instant::now();
                client.call(addr, "x").unwrap();
                assert!(start.elapsed() < Duration::from_secs(1));
            });
        }
    });
    drop(endpoint);
}

/// Nobody takes a turn by itself: the leader and the helper are asleep, and no timer is due.
#[test]
fn cork__its_packets_leave_while_the_leader_sleeps() {
    let mut config = Config::default();
    let timing = &mut config.proto.timing;
    timing.resend_interval = proto::Duration::from_secs(4);
    timing.resend_interval_max = timing.resend_interval;
    timing.timeout = proto::Duration::from_secs(8);
    let endpoint = blocking_endpoint(config.clone());
    let server = endpoint.serve(PORT).unwrap();
    let client = blocking_endpoint(config);
    client.send(addr_of(endpoint.local_addr()), "x").unwrap();
    let mut request = server.accept().unwrap();
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| server.accept().is_none());
        std::thread::sleep(Duration::from_millis(100));
        let cork = endpoint.cork();
        let start = Instant::now();
        request.reply("y").unwrap();
        let received = client.recv(Some(Duration::from_secs(1)));
        let elapsed = start.elapsed();
        drop(cork);
        endpoint.close();
        assert!(leader.join().unwrap());
        assert!(received.is_some(), "{elapsed:?}");
    });
}
