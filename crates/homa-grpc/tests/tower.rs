//! Services of bytes, with tower's layers around them.
#![allow(non_snake_case, reason = "tests are named function__case")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use homa::{Addr, CallError, CallOptions, Config, Endpoint, RefuseReason};
use homa_grpc::tower::{BytesClient, serve_bytes};
use tower::limit::ConcurrencyLimit;
use tower::{ServiceExt, service_fn};

async fn endpoint() -> (Endpoint, Addr) {
    let endpoint = Endpoint::bind("127.0.0.1:0", Config::default()).await.unwrap();
    let addr = Addr::new(endpoint.local_addr(), 7).unwrap();
    (endpoint, addr)
}

/// Fails for `fail`, never ends for `wait`, else gives back what it got.
async fn handle(request: Bytes) -> Result<Bytes, String> {
    match &request[..] {
        b"fail" => Err("as asked".to_owned()),
        b"wait" => std::future::pending().await,
        _ => Ok(request),
    }
}

#[tokio::test]
async fn serve_bytes__answers_refuses_and_cancels() {
    let (endpoint, addr) = endpoint().await;
    tokio::spawn(serve_bytes(endpoint.serve(7).unwrap(), service_fn(handle)));
    let client = BytesClient::new(&endpoint, addr);
    assert_eq!(client.clone().oneshot("hello".into()).await.unwrap(), "hello");
    let error = client.clone().oneshot("fail".into()).await.unwrap_err();
    let refused = CallError::Refused { addr, reason: RefuseReason::DroppedUnanswered };
    assert_eq!(error, refused);
    let hurried = client.options(CallOptions::new().deadline(Duration::from_millis(30)));
    let error = hurried.oneshot("wait".into()).await.unwrap_err();
    assert!(matches!(error, CallError::DeadlineExceeded { .. }), "{error}");
}

#[tokio::test]
async fn serve_bytes__a_limit_lets_requests_wait() {
    let (endpoint, addr) = endpoint().await;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (Arc::clone(&now), Arc::clone(&most));
    let service = service_fn(move |request: Bytes| {
        let (now, most) = counted.clone();
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, std::convert::Infallible>(request)
        }
    });
    tokio::spawn(serve_bytes(endpoint.serve(7).unwrap(), ConcurrencyLimit::new(service, 3)));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..12 {
        calls.spawn(BytesClient::new(&endpoint, addr).oneshot("hello".into()));
    }
    assert!(calls.join_all().await.into_iter().all(|response| response.unwrap() == "hello"));
    assert_eq!(most.load(Ordering::SeqCst), 3);
}
