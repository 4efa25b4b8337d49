//! Calls that succeed, in both forms of the API.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use homa::{
    Addr, CallError, CallOptions, Config, Endpoint, Message, Priority, ReplyError, blocking,
};

const SIZES: [usize; 9] = [1, 2, 100, 1_416, 1_417, 40_000, 65_451, 65_452, 1_000_000];

#[tokio::test]
async fn call__every_size() {
    let (_server, addr) = echoing(Config::default()).await;
    let client = endpoint(Config::default()).await;
    for (seed, size) in SIZES.into_iter().enumerate() {
        let request = contents(seed as u64, size);
        let response = client.call(addr, request.clone()).await.unwrap();
        assert_eq!(response, request, "{size} bytes");
    }
}

#[test]
fn blocking_call__every_size() {
    let (server, addr) = blocking_echoing(Config::default(), 1);
    let client = blocking_endpoint(Config::default());
    for (seed, size) in SIZES.into_iter().enumerate() {
        let request = contents(seed as u64, size);
        let response = client.call(addr, request.clone()).unwrap();
        assert_eq!(response, request, "{size} bytes");
    }
    server.close();
}

#[tokio::test]
async fn call__64_mib_if_both_sides_are_configured() {
    const LENGTH: usize = 64 << 20;
    let (_server, addr) = echoing(config_for(LENGTH as u32)).await;
    let client = endpoint(config_for(LENGTH as u32)).await;
    let request = contents(1, LENGTH);
    let options = CallOptions::new().deadline(Duration::from_secs(60));
    let response = client.call_with(addr, request.clone(), options).await.unwrap();
    assert!(response == request);
}

/// Tasks that call at the same time, each for itself, leave their packets to the driver task, though it waits
/// when they begin.
#[tokio::test]
async fn call__those_of_many_tasks_leave_together() {
    let (_server, addr) = echoing(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let batches_of_round = async || {
        let before = client.stats().drive.batches_sent;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let client = client.clone();
            calls.spawn(async move { client.call(addr, "x").await.map(drop) });
        }
        assert!(calls.join_all().await.into_iter().all(|outcome| outcome.is_ok()));
        let batches = client.stats().drive.batches_sent - before;
        tokio::time::sleep(Duration::from_millis(5)).await;
        batches
    };
    // After a response that came alone, calls leave at once.
    let mut fewest = u64::MAX;
    for _ in 0..5 {
        fewest = fewest.min(batches_of_round().await);
    }
    assert!(fewest < 20, "{fewest} batches");
}

/// A blocking client and an asynchronous server are the same on the wire.
#[tokio::test(flavor = "multi_thread")]
async fn call__from_blocking_to_async() {
    let (_server, addr) = echoing(Config::default()).await;
    let call = move || {
        let client = blocking_endpoint(Config::default());
        client.call(addr, "hello").unwrap()
    };
    assert_eq!(tokio::task::spawn_blocking(call).await.unwrap(), b"hello"[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn call__1000_at_once() {
    let (_server, addr) = echoing(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let calls: Vec<_> = (0..1000)
        .map(|seed| {
            let request = contents(seed, 1 + (seed as usize * 37) % 5000);
            let call = client.call(addr, request.clone());
            tokio::spawn(async move { assert_eq!(call.await.unwrap(), request) })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

#[test]
fn blocking_call__from_many_threads_to_many_threads() {
    let (server, addr) = blocking_echoing(Config::default(), 4);
    let client = blocking_endpoint(Config::default());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for round in 0..200 {
                    let request = contents(thread * 1000 + round, 100 + round as usize);
                    assert_eq!(client.call(addr, request.clone()).unwrap(), request);
                }
            });
        }
    });
    server.close();
}

/// Threads that sleep at once, without polling, are woken as well.
#[test]
fn blocking_call__without_polling() {
    let mut config = Config::default();
    config.poll = Duration::ZERO;
    let (server, addr) = blocking_echoing(config.clone(), 2);
    let client = blocking_endpoint(config);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..100).for_each(|_| drop(client.call(addr, "x").unwrap())));
        }
    });
    server.close();
}

#[tokio::test]
async fn send__outcomes_come_once_each() {
    let (_server, addr) = echoing(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let mut open = HashMap::new();
    for seed in 0..100 {
        let request = contents(seed, 50 + seed as usize);
        open.insert(client.send(addr, request.clone()).unwrap(), request);
    }
    for _ in 0..50 {
        let (id, response) = client.recv().await.unwrap();
        assert_eq!(response.unwrap(), open.remove(&id).unwrap());
    }
    let mut batch = Vec::new();
    while !open.is_empty() {
        let before = batch.len();
        let count = client.recv_batch(&mut batch, 8).await;
        assert!((1..=8).contains(&count) && batch.len() == before + count);
        for (id, response) in batch.drain(before..) {
            assert_eq!(response.unwrap(), open.remove(&id).unwrap());
        }
    }
}

#[test]
fn blocking_send__outcomes_come_once_each() {
    let (server, addr) = blocking_echoing(Config::default(), 1);
    let client = blocking_endpoint(Config::default());
    let mut open: HashSet<_> = (0..100).map(|_| client.send(addr, "x").unwrap()).collect();
    let mut batch = Vec::new();
    while !open.is_empty() {
        assert!(client.recv_batch(&mut batch, 16, Some(Duration::from_secs(5))) > 0);
        for (id, response) in batch.drain(..) {
            assert!(open.remove(&id) && response.is_ok());
        }
    }
    let start = Instant::now();
    assert!(client.recv(Some(Duration::from_millis(20))).is_none());
    assert!(start.elapsed() >= Duration::from_millis(20));
    server.close();
}

/// A cork collects, and dropping it sends.
#[test]
fn cork__many_calls_leave_in_few_batches() {
    let (server, addr) = blocking_echoing(Config::default(), 1);
    let client = blocking_endpoint(Config::default());
    client.call(addr, "warm up").unwrap();
    let before = client.stats().drive;
    let cork = client.cork();
    for _ in 0..32 {
        client.send(addr, "x").unwrap();
    }
    drop(cork);
    let after = client.stats().drive;
    assert!(after.batches_sent - before.batches_sent < 16, "{after:?}");
    for _ in 0..32 {
        client.recv(None).unwrap().1.unwrap();
    }
    server.close();
}

/// Batches of calls and of replies: each call has one outcome, in few system calls; what can't be sent is
/// named in its place and holds up nobody.
#[test]
fn send_batch__and_reply_batch_are_many_calls_in_few_system_calls() {
    let server = blocking_endpoint(Config::default());
    let port = server.serve(PORT).unwrap();
    let addr = addr_of(server.local_addr());
    let client = blocking_endpoint(config_for(1000));
    let mut requests: Vec<(Addr, Message)> = (0..32u8).map(|n| (addr, vec![n].into())).collect();
    requests[7].1 = Message::new();
    requests[9].1 = vec![9; 1001].into();
    let before = client.stats().drive;
    let mut started = Vec::new();
    client.send_batch(&mut requests, &mut started);
    assert!(requests.is_empty());
    let batches = client.stats().drive.batches_sent - before.batches_sent;
    assert!(batches <= 5, "{batches} batches");
    assert_eq!(started[7], Err(CallError::Empty));
    assert_eq!(started[9], Err(CallError::TooLong { max: 1000, by_server: false }));
    let calls: HashMap<_, _> =
        (0..32u8).filter_map(|n| Some((*started[usize::from(n)].as_ref().ok()?, n))).collect();
    assert_eq!(calls.len(), 30);

    let mut accepted = Vec::new();
    while accepted.len() < 30 {
        assert!(port.accept_batch(&mut accepted, 64, Some(Duration::from_secs(5))) > 0);
    }
    let mut replies: Vec<_> = accepted
        .into_iter()
        .map(|mut request| {
            let echo = request.take_message();
            (request, echo)
        })
        .collect();
    let (unanswerable, silent) = (replies[3].1.clone(), Message::new());
    replies[3].1 = silent;
    let before = server.stats().drive;
    let mut failed = Vec::new();
    server.reply_batch(&mut replies, &mut failed);
    let batches = server.stats().drive.batches_sent - before.batches_sent;
    assert!(batches <= 5, "{batches} batches");
    assert_eq!((replies.len(), &failed[..]), (1, &[ReplyError::Empty][..]));
    replies[0].1 = unanswerable;
    client.reply_batch(&mut replies, &mut failed);
    assert_eq!((replies.len(), failed[1]), (1, ReplyError::OtherEndpoint));
    server.reply_batch(&mut replies, &mut failed);
    assert_eq!((replies.len(), failed.len()), (0, 2), "still answerable");

    for _ in 0..30 {
        let (id, outcome) = client.recv(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(outcome.unwrap(), [calls[&id]][..]);
    }
    server.close();
}

/// Of the calls that are open half is enough to collect: the server begins with them.
#[test]
fn cork__half_of_the_open_calls_leave() {
    let (server, addr) = blocking_echoing(Config::default(), 1);
    let client = blocking_endpoint(Config::default());
    client.call(addr, "warm up").unwrap();
    let sent = || client.stats().drive.packets_sent;
    let before = sent();
    let mut requests = (0..40).map(|_| (addr, "x".into())).collect();
    client.send_batch(&mut requests, &mut Vec::new());
    assert_eq!(sent() - before, 40);
    let cork = client.cork();
    for open in 41..=84 {
        client.send(addr, "x").unwrap();
        let held_back = open - (sent() - before);
        assert!(held_back < open / 2, "{held_back} of {open}");
    }
    drop(cork);
    for _ in 0..84 {
        client.recv(None).unwrap().1.unwrap();
    }
    server.close();
}

/// Packets under a cork leave though nobody drives and the cork is kept.
#[test]
fn cork__holds_nothing_back_for_long() {
    let (server, addr) = blocking_echoing(Config::default(), 1);
    let client = blocking_endpoint(Config::default());
    let cork = client.cork();
    client.send(addr, "x").unwrap();
    let start = Instant::now();
    while client.stats().protocol.client_responses_done == 0 {
        assert!(start.elapsed() < Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(cork);
    server.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn accept__many_tasks_get_each_request_once() {
    let (server_endpoint, server, addr) = serving(Config::default()).await;
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    for _ in 0..8 {
        let (server, seen) = (server.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Some(mut request) = server.accept().await {
                seen.lock().unwrap().push(request.message().clone().into_bytes().to_vec());
                request.reply("done").unwrap();
            }
        });
    }
    let client = endpoint(Config::default()).await;
    let calls: Vec<_> = (0..500u32)
        .map(|number| tokio::spawn(client.call(addr, number.to_le_bytes().to_vec())))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 500);
    drop(server_endpoint);
}

#[tokio::test]
async fn serve__several_homa_ports_on_one_udp_port() {
    let server = endpoint(Config::default()).await;
    let client = endpoint(Config::default()).await;
    for port in [1, 500, 32767] {
        let service = server.serve(port).unwrap();
        let addr = Addr::new(server.local_addr(), port).unwrap();
        let answer = async {
            let mut request = service.accept().await.unwrap();
            request.reply(port.to_string()).unwrap();
        };
        let (response, ()) = tokio::join!(client.call(addr, "which?"), answer);
        assert_eq!(response.unwrap(), port.to_string().into_bytes());
    }
}

/// An endpoint may be client and server at once, and call itself.
#[tokio::test]
async fn call__of_the_endpoint_itself() {
    let (endpoint, addr) = echoing(Config::default()).await;
    assert_eq!(endpoint.call(addr, "me").await.unwrap(), b"me"[..]);
}

#[tokio::test]
async fn call__priority_of_its_own() {
    let (_server, addr) = echoing(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let options = CallOptions::new().priority(Priority::clamped(2));
    client.call_with(addr, "x", options).await.unwrap();
    assert!(client.stats().protocol.priority_packets[2] > 0);
}

#[tokio::test]
async fn call__names_resolve() {
    let (server, _addr) = echoing(Config::default()).await;
    let client = Endpoint::client(Config::default()).await.unwrap();
    let name = format!("localhost:{}/{PORT}", server.local_addr().port());
    assert_eq!(client.call(name.as_str(), "x").await.unwrap(), b"x"[..]);
    let resolved = Addr::resolve(&name).unwrap();
    assert_eq!(client.call(resolved, "y").await.unwrap(), b"y"[..]);
}

#[test]
fn blocking_call__names_resolve() {
    let (server, addr) = blocking_echoing(Config::default(), 1);
    let client = blocking::Endpoint::client(Config::default()).unwrap();
    let name = format!("localhost:{}/{PORT}", addr.socket_addr().port());
    assert_eq!(client.call(name, "x").unwrap(), b"x"[..]);
    server.close();
}

#[tokio::test]
async fn call__over_ipv6() {
    let Ok(server) = Endpoint::bind("[::1]:0", Config::default()).await else {
        println!("skipped: this host has no ::1");
        return;
    };
    let service = server.serve(PORT).unwrap();
    let addr = addr_of(server.local_addr());
    let echo = tokio::spawn(async move {
        let mut request = service.accept().await.unwrap();
        assert!(request.peer().is_ipv6());
        let echo = request.take_message();
        request.reply(echo).unwrap();
    });
    let client = Endpoint::client(Config::default()).await.unwrap();
    let request = contents(6, 200_000);
    assert_eq!(client.call(addr, request.clone()).await.unwrap(), request);
    echo.await.unwrap();
}

/// A server bound to all addresses of both families answers from the address that was called.
#[tokio::test]
async fn call__ipv4_client_of_a_wildcard_server() {
    let Ok(server) = Endpoint::bind("[::]:0", Config::default()).await else {
        println!("skipped: this host has no IPv6");
        return;
    };
    let service = server.serve(PORT).unwrap();
    tokio::spawn(async move {
        while let Some(mut request) = service.accept().await {
            request.reply("yes").unwrap();
        }
    });
    let client = endpoint(Config::default()).await;
    for host in ["127.0.0.1", "127.0.0.2"] {
        let addr: Addr = format!("{host}:{}/{PORT}", server.local_addr().port()).parse().unwrap();
        assert_eq!(client.call(addr, "there?").await.unwrap(), b"yes"[..]);
    }
}

/// The same UDP port can be bound again as soon as an endpoint was dropped.
#[tokio::test]
async fn drop__frees_the_udp_port() {
    let (server, addr) = echoing(Config::default()).await;
    let client = endpoint(Config::default()).await;
    client.call(addr, "x").await.unwrap();
    server.close();
    for _ in 0..20 {
        let again = Endpoint::bind(addr.socket_addr(), Config::default()).await.unwrap();
        drop(again);
        let again = blocking::Endpoint::bind(addr.socket_addr(), Config::default()).unwrap();
        drop(again);
    }
}
