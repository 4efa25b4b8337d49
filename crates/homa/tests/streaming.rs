//! Requests that are read while they arrive.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::time::Duration;

use bytes::Buf;
use common::*;
use homa::{CallOptions, Config, ReadError, ReplyError};

fn slow() -> Config {
    let mut config = Config::default();
    // Long enough that a test that is kept waiting still sees the request incomplete.
    config.fault = Some("delay=4ms".parse().unwrap());
    config
}

#[tokio::test]
async fn read__gives_the_request_in_order() {
    let server = endpoint(Config::default()).await;
    let service = server.serve_streaming(PORT).unwrap();
    let client = endpoint(slow()).await;
    let request = contents(1, 1_000_000);
    let call = tokio::spawn(client.call(addr_of(server.local_addr()), request.clone()));
    let mut stream = service.accept().await.unwrap();
    assert_eq!(stream.len(), 1_000_000);
    assert_eq!(stream.reply("too early"), Err(ReplyError::Incomplete));
    let (mut bytes, mut reads) = (Vec::new(), 0);
    while let Some(mut piece) = stream.read().await.unwrap() {
        reads += 1;
        while piece.has_remaining() {
            bytes.extend_from_slice(piece.chunk());
            piece.advance(piece.chunk().len());
        }
    }
    assert!(bytes == request);
    assert!(reads > 1, "handed over before it was complete");
    assert_eq!(stream.read().await.unwrap(), None);
    stream.reply("read").unwrap();
    assert_eq!(call.await.unwrap().unwrap(), b"read"[..]);
}

#[tokio::test]
async fn read_to_end__gives_the_rest() {
    let server = endpoint(Config::default()).await;
    let service = server.serve_streaming(PORT).unwrap();
    let client = endpoint(slow()).await;
    let request = contents(2, 300_000);
    let call = tokio::spawn(client.call(addr_of(server.local_addr()), request.clone()));
    let mut stream = service.accept().await.unwrap();
    let first = stream.read().await.unwrap().unwrap();
    let rest = stream.read_to_end().await.unwrap();
    assert!(rest == request[first.len()..]);
    assert!(stream.read_to_end().await.unwrap().is_empty());
    stream.reply("read").unwrap();
    call.await.unwrap().unwrap();
}

/// Short requests arrive whole: they are streams as well.
#[tokio::test]
async fn read__short_requests() {
    let server = endpoint(Config::default()).await;
    let service = server.serve_streaming(PORT).unwrap();
    let client = endpoint(Config::default()).await;
    let call = tokio::spawn(client.call(addr_of(server.local_addr()), "short"));
    let mut stream = service.accept().await.unwrap();
    assert_eq!(stream.read().await.unwrap().unwrap(), b"short"[..]);
    assert_eq!(stream.read().await.unwrap(), None);
    stream.reply("ok").unwrap();
    assert!(call.await.unwrap().is_ok());
}

/// A reply need not wait for the reader, once all has arrived.
#[tokio::test]
async fn reply__to_a_request_that_was_not_read() {
    let server = endpoint(Config::default()).await;
    let service = server.serve_streaming(PORT).unwrap();
    let client = endpoint(Config::default()).await;
    let call = tokio::spawn(client.call(addr_of(server.local_addr()), contents(3, 100_000)));
    let mut stream = service.accept().await.unwrap();
    while stream.reply("unread") == Err(ReplyError::Incomplete) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(call.await.unwrap().unwrap(), b"unread"[..]);
}

#[tokio::test]
async fn read__of_a_request_that_is_given_up() {
    let mut config = Config::default();
    // The rest of the request takes longer than its deadline.
    config.fault = Some("delay=50ms".parse().unwrap());
    let server = endpoint(Config::default()).await;
    let service = server.serve_streaming(PORT).unwrap();
    let client = endpoint(config).await;
    let options = CallOptions::new().deadline(Duration::from_millis(70));
    let addr = addr_of(server.local_addr());
    let call = tokio::spawn(client.call_with(addr, contents(4, 1_000_000), options));
    let mut stream = service.accept().await.unwrap();
    let end = loop {
        match stream.read().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert_eq!(end, Err(ReadError::Cancelled));
    assert!(stream.is_cancelled());
    call.await.unwrap().unwrap_err();
}

#[test]
fn blocking_read__gives_the_request_in_order() {
    let server = blocking_endpoint(Config::default());
    let service = server.serve_streaming(PORT).unwrap();
    let client = blocking_endpoint(slow());
    let request = contents(5, 500_000);
    client.send(addr_of(server.local_addr()), request.clone()).unwrap();
    let mut stream = service.accept().unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.read().unwrap() {
        piece.chunks().for_each(|chunk| bytes.extend_from_slice(chunk));
    }
    assert!(bytes == request);
    stream.reply("read").unwrap();
    assert_eq!(client.recv(None).unwrap().1.unwrap(), b"read"[..]);
}

/// A reply that fails loses nothing of the request.
#[tokio::test]
async fn reply__that_fails_keeps_what_was_not_read() {
    let server = endpoint(Config::default()).await;
    let service = server.serve_streaming(PORT).unwrap();
    let client = endpoint(slow()).await;
    let request = contents(6, 100_000);
    let call = tokio::spawn(client.call(addr_of(server.local_addr()), request.clone()));
    let mut stream = service.accept().await.unwrap();
    let first = stream.read().await.unwrap().unwrap();
    while stream.reply("") == Err(ReplyError::Incomplete) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(stream.reply(""), Err(ReplyError::Empty));
    let mut bytes = first.into_bytes().to_vec();
    while let Some(piece) = stream.read().await.unwrap() {
        piece.chunks().for_each(|chunk| bytes.extend_from_slice(chunk));
    }
    assert!(bytes == request);
    stream.reply("read").unwrap();
    assert_eq!(call.await.unwrap().unwrap(), b"read"[..]);
}
