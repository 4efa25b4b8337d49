//! Futures that are dropped, calls that are aborted: nothing is lost, and the other side learns.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use common::*;
use homa::{CallError, Config};

const SOON: Duration = Duration::from_secs(2);

#[tokio::test]
async fn drop__of_a_call_shows_as_cancelled_at_the_server() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let call = tokio::spawn(client.call(addr, "x"));
    let mut request = server.accept().await.unwrap();
    assert!(!request.is_cancelled());
    call.abort();
    tokio::time::timeout(SOON, request.cancelled()).await.unwrap();
    assert!(request.is_cancelled());
    assert!(request.reply("too late").is_err());
    assert_eq!(client.stats().protocol.client_rpcs_aborted, 1);
}

/// A call that was not polled has sent nothing.
#[tokio::test]
async fn drop__of_a_call_that_was_never_polled() {
    let (_endpoint, _server, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    drop(client.call(addr, "x"));
    assert_eq!(client.stats().protocol.client_requests_started, 0);
}

/// The response to a call that was dropped meanwhile is discarded, and the server is not bothered.
#[tokio::test]
async fn drop__of_a_call_whose_response_has_arrived() {
    let (_endpoint, addr) = echoing(Config::default()).await;
    let client = endpoint(Config::default()).await;
    {
        let mut call = pin!(client.call(addr, "x"));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        while client.stats().protocol.client_responses_done == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(client.stats().protocol.client_rpcs_aborted, 0);
    assert_eq!(client.call(addr, "y").await.unwrap(), b"y"[..]);
}

/// The wake-up of an accept that is dropped goes to another, and so does the request.
#[tokio::test]
async fn drop__of_an_accept_loses_no_request() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let patient = tokio::spawn({
        let server = server.clone();
        async move { server.accept().await.unwrap().reply("patient").unwrap() }
    });
    tokio::task::yield_now().await;
    for _ in 0..3 {
        // The latest comer is woken first: drop it once it was.
        let mut hasty = Box::pin(server.accept());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(hasty.as_mut().poll(&mut cx).is_pending());
        drop(hasty);
    }
    let mut hasty = Box::pin(server.accept());
    assert!(hasty.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let call = tokio::spawn(client.call(addr, "x"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(hasty);
    let response = tokio::time::timeout(SOON, call).await.unwrap().unwrap();
    assert_eq!(response.unwrap(), b"patient"[..]);
    patient.await.unwrap();
}

#[tokio::test]
async fn drop__of_a_recv_loses_no_outcome() {
    let (_server, addr) = echoing(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let id = client.send(addr, "x").unwrap();
    let mut first = Box::pin(client.recv());
    let _ = first.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    drop(first);
    let (got, response) = client.recv().await.unwrap();
    assert_eq!((got, response.unwrap().into_bytes()), (id, "x".into()));
}

#[tokio::test]
async fn abort__gives_the_outcome_aborted() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    let id = client.send(addr, "x").unwrap();
    let request = server.accept().await.unwrap();
    assert!(client.abort(id));
    assert!(!client.abort(id), "once");
    assert_eq!(client.recv().await, Some((id, Err(CallError::Aborted))));
    tokio::time::timeout(SOON, request.cancelled()).await.unwrap();
}

/// Requests that were cancelled before anybody accepted them are not handed out.
#[tokio::test]
async fn accept__skips_requests_that_were_cancelled() {
    let (server_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    for _ in 0..100 {
        let id = client.send(addr, "cancelled").unwrap();
        client.abort(id);
        assert_eq!(client.recv().await, Some((id, Err(CallError::Aborted))));
    }
    let call = tokio::spawn(client.call(addr, "wanted"));
    let settled = || {
        let stats = server_endpoint.stats().protocol;
        stats.server_requests_done == 101 && stats.server_rpcs_unknown == 100
    };
    while !settled() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut request = server.accept().await.unwrap();
    assert_eq!(*request.message(), b"wanted"[..]);
    request.reply("yes").unwrap();
    assert!(call.await.unwrap().is_ok());
}
