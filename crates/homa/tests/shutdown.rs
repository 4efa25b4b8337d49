//! Endpoints that end: gently, at once, and under calls.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use common::*;
use homa::{BindError, CallError, Config, RefuseReason, ReplyError};

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn shutdown__finishes_what_is_open_and_refuses_what_is_new() {
    let (server, service, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let open = tokio::spawn(client.call(addr, "open"));
    let mut request = service.accept().await.unwrap();
    let shutdown = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown(PATIENCE).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let refused = client.call(addr, "new").await.unwrap_err();
    let reason = RefuseReason::ShuttingDown;
    assert_eq!(refused, CallError::Refused { addr, reason });
    assert!(matches!(server.serve(8), Err(BindError::ShutDown)));
    request.reply("finished").unwrap();
    assert_eq!(open.await.unwrap().unwrap(), b"finished"[..]);
    assert!(shutdown.await.unwrap(), "all was finished in time");
    assert!(service.accept().await.is_none());
}

#[tokio::test]
async fn shutdown__lets_own_calls_finish() {
    let (_server, addr) = echoing(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let call = client.call(addr, contents(1, 1_000_000));
    let call = tokio::spawn(call);
    tokio::task::yield_now().await;
    assert!(client.shutdown(PATIENCE).await);
    assert_eq!(call.await.unwrap().unwrap().len(), 1_000_000);
    assert_eq!(client.call(addr, "late").await, Err(CallError::ShutDown));
}

#[tokio::test]
async fn shutdown__ends_when_patience_does() {
    let (server, service, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let call = tokio::spawn(client.call(addr, "x"));
    let mut request = service.accept().await.unwrap();
    let start = Instant::now();
    assert!(!server.shutdown(Duration::from_millis(100)).await);
    assert!((100..1000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert!(request.is_cancelled());
    assert_eq!(request.reply("late"), Err(ReplyError::ShutDown));
    let start = Instant::now();
    call.await.unwrap().unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn shutdown__of_an_idle_endpoint_is_immediate() {
    let (server, _service, _addr) = serving(Config::default()).await;
    let start = Instant::now();
    assert!(server.shutdown(PATIENCE).await);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn close__ends_all_who_wait() {
    let (server, service, _addr) = serving(Config::default()).await;
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let call = tokio::spawn(server.call(addr_of(silent.local_addr().unwrap()), "x"));
    let accept = tokio::spawn(async move { service.accept().await.is_none() });
    let recv = tokio::spawn({
        let server = server.clone();
        async move { server.recv().await.is_none() }
    });
    tokio::task::yield_now().await;
    server.close();
    server.close();
    assert_eq!(call.await.unwrap(), Err(CallError::ShutDown));
    assert!(accept.await.unwrap() && recv.await.unwrap());
    assert!(server.stats().protocol.client_requests_started > 0, "counters stay");
}

#[test]
fn blocking_close__ends_all_who_wait() {
    let endpoint = blocking_endpoint(Config::default());
    let service = endpoint.serve(PORT).unwrap();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = addr_of(silent.local_addr().unwrap());
    std::thread::scope(|scope| {
        let waiting = [
            scope.spawn(|| service.accept().is_none()),
            scope.spawn(|| service.accept().is_none()),
            scope.spawn(|| endpoint.recv(None).is_none()),
        ];
        let call = scope.spawn(|| endpoint.call(silent, "x"));
        std::thread::sleep(Duration::from_millis(20));
        endpoint.close();
        assert!(waiting.into_iter().all(|thread| thread.join().unwrap()));
        call.join().unwrap().unwrap_err();
    });
}

#[test]
fn blocking_shutdown__finishes_what_is_open() {
    let endpoint = blocking_endpoint(Config::default());
    let server = endpoint.serve(PORT).unwrap();
    let addr = addr_of(endpoint.local_addr());
    let client = blocking_endpoint(Config::default());
    client.send(addr, "open").unwrap();
    let mut request = server.accept().unwrap();
    std::thread::scope(|scope| {
        let shutdown = scope.spawn(|| endpoint.shutdown(PATIENCE));
        std::thread::sleep(Duration::from_millis(50));
        request.reply("finished").unwrap();
        assert_eq!(client.recv(None).unwrap().1.unwrap(), b"finished"[..]);
        assert!(shutdown.join().unwrap());
    });
    assert!(server.accept().is_none());
}

/// Dropping all handles closes, although requests are in the hands of tasks.
#[tokio::test]
async fn drop__of_the_last_handle_closes() {
    let (server, service, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let call = tokio::spawn(client.call(addr, "x"));
    let mut request = service.accept().await.unwrap();
    drop((server, service));
    request.reply("a request is a handle").unwrap();
    assert!(call.await.unwrap().is_ok());
    drop(request);
    client.call(addr, "y").await.unwrap_err();
}

/// Responses that have arrived are received after the endpoint closed, and each call has exactly one
/// outcome.
#[test]
fn blocking_close__keeps_the_responses_not_received() {
    const ANSWERED: usize = 20;
    let (server, addr) = blocking_echoing(Config::default(), 1);
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = addr_of(silent.local_addr().unwrap());
    let client = blocking_endpoint(Config::default());
    let answered: HashSet<_> = (0..ANSWERED).map(|_| client.send(addr, "x").unwrap()).collect();
    let start = Instant::now();
    while client.stats().protocol.client_responses_done < ANSWERED as u64 {
        assert!(start.elapsed() < PATIENCE, "{:?}", client.stats());
        std::thread::sleep(Duration::from_millis(1));
    }
    let open: HashSet<_> = (0..10).map(|_| client.send(silent, "x").unwrap()).collect();
    client.close();
    let (mut responses, mut failures) = (HashSet::new(), HashSet::new());
    while let Some((id, outcome)) = client.recv(None) {
        let new = match outcome {
            Ok(response) => {
                assert_eq!(response, b"x"[..]);
                responses.insert(id)
            }
            Err(error) => {
                assert_eq!(error, CallError::ShutDown);
                failures.insert(id)
            }
        };
        assert!(new, "{id} has two outcomes");
    }
    assert_eq!((responses, failures), (answered, open));
    server.close();
}

#[tokio::test]
async fn close__keeps_the_response_of_a_call() {
    let (_server, addr) = echoing(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let mut call = client.call(addr, "x");
    poll_fn(|cx| {
        assert!(Pin::new(&mut call).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    let start = Instant::now();
    while client.stats().protocol.client_responses_done == 0 {
        assert!(start.elapsed() < PATIENCE, "{:?}", client.stats());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client.close();
    assert_eq!(call.await.unwrap(), b"x"[..]);
}

/// The task that drove an endpoint ends with it, and so does what it keeps: open files, for example.
#[tokio::test]
async fn close__leaves_no_task() {
    let tasks = tokio::runtime::Handle::current().metrics();
    for end in 0..3 {
        let endpoint = endpoint(Config::default()).await;
        // It waits for packets.
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(tasks.num_alive_tasks(), 1);
        match end {
            0 => drop(endpoint),
            1 => endpoint.close(),
            _ => assert!(endpoint.shutdown(Duration::from_secs(1)).await),
        }
        for _ in 0..1000 {
            if tasks.num_alive_tasks() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(tasks.num_alive_tasks(), 0, "{end}");
    }
}

/// A server that closes tells apart what it has begun and what another may do.
#[tokio::test]
async fn close__says_what_may_be_done_elsewhere() {
    let (server, service, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let begun = tokio::spawn(client.call(addr, "begun"));
    let request = service.accept().await.unwrap();
    let waiting = tokio::spawn(client.call(addr, "waiting"));
    tokio::time::sleep(Duration::from_millis(20)).await;
    server.close();
    let begun = begun.await.unwrap().unwrap_err();
    assert_eq!(begun, CallError::Refused { addr, reason: RefuseReason::DroppedUnanswered });
    assert!(!begun.is_retryable());
    let waiting = waiting.await.unwrap().unwrap_err();
    assert_eq!(waiting, CallError::Refused { addr, reason: RefuseReason::ShuttingDown });
    assert!(waiting.is_retryable());
    drop(request);
}
