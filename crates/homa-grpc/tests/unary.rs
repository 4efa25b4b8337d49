//! Unary calls: one RPC each, and all that can become of them.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod support;

use std::time::{Duration, Instant};

use homa::{CallError, Config, Endpoint, RefuseReason, WhenFull};
use homa_grpc::{ChannelConfig, HomaChannel, HomaConnectInfo, Server, ServerConfig};
use homa_grpc_interop::helloworld::HelloRequest;
use homa_grpc_interop::helloworld::greeter_client::GreeterClient;
use support::{Alive, Net, greets, in_time, reply};
use tonic::{Code, Request, Status};

fn hello(name: impl Into<String>) -> HelloRequest {
    HelloRequest { name: name.into() }
}

#[tokio::test]
async fn call__is_one_rpc() {
    let net = Net::greets(|request| async move { reply(request.into_inner().name) }).await;
    let mut greeter = net.greeter();
    for length in [0, 100, 900_000] {
        let before = net.calling.stats();
        let name = "x".repeat(length);
        let response = greeter.say_hello(hello(name.clone())).await.unwrap();
        assert_eq!(response.into_inner().message, name);
        let after = net.calling.stats();
        assert_eq!(
            after.protocol.client_requests_started - before.protocol.client_requests_started,
            1,
            "{length}"
        );
    }
}

#[tokio::test]
async fn call__longer_than_a_homa_message_both_ways() {
    let net = Net::greets(|request| async move { reply(request.into_inner().name) }).await;
    let service = net.greeter();
    for length in [999_990, 1_000_000, 3_500_000] {
        let name: String = (0..length).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
        let mut greeter = service.clone();
        let response = in_time(greeter.say_hello(hello(name.clone()))).await.unwrap();
        assert!(response.into_inner().message == name, "{length}");
    }
}

/// An endpoint that has room for one long message at a time: pulls need some as well.
#[tokio::test]
async fn call__longer_than_all_the_room_of_the_endpoint() {
    let net = Net::greets(|request| async move { reply(request.into_inner().name) }).await;
    let mut config = Config::default();
    config.proto.limits.outgoing_bytes_max = 1_000_000;
    let calling = Endpoint::bind("127.0.0.1:0", config).await.unwrap();
    let channel = HomaChannel::connect(&calling, net.addr).unwrap();
    let mut greeter = GreeterClient::new(channel).max_decoding_message_size(64 << 20);
    let begin = Instant::now();
    let response = in_time(greeter.say_hello(hello("x".repeat(3_000_000)))).await.unwrap();
    assert_eq!(response.into_inner().message.len(), 3_000_000);
    // A pull that no push has room beside is answered after 10 s.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn call__error_with_details_and_metadata() {
    let net = Net::greets(|_| async move {
        let details = b"\x00\xffdetails"[..].into();
        let mut status = Status::with_details(Code::FailedPrecondition, "not yet ☺", details);
        status.metadata_mut().insert("retry", "later".parse().unwrap());
        Err(status)
    })
    .await;
    let status = net.greeter().say_hello(hello("x")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "not yet ☺"));
    assert_eq!(status.details(), b"\x00\xffdetails");
    assert_eq!(status.metadata().get("retry").unwrap(), "later");
}

#[tokio::test]
async fn call__metadata_trace_context_and_peer_arrive() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let net = Net::greets(|request| async move {
        let peer = request.extensions().get::<HomaConnectInfo>().unwrap().peer_addr();
        let text = |name| request.metadata().get(name).unwrap().to_str().unwrap().to_owned();
        let binary = request.metadata().get_bin("raw-bin").unwrap().to_bytes().unwrap();
        assert_eq!(binary, b"\x00\x01\xff"[..]);
        reply(format!("{peer} {} {}", text("traceparent"), text("tracestate")))
    })
    .await;
    let mut request = Request::new(hello("x"));
    request.metadata_mut().insert("traceparent", PARENT.parse().unwrap());
    request.metadata_mut().insert("tracestate", "vendor=1".parse().unwrap());
    let raw = tonic::metadata::MetadataValue::from_bytes(b"\x00\x01\xff");
    request.metadata_mut().insert_bin("raw-bin", raw);
    let message = net.greeter().say_hello(request).await.unwrap().into_inner().message;
    assert_eq!(message, format!("{} {PARENT} vendor=1", net.calling.local_addr()));
}

#[tokio::test]
async fn call__interceptors_of_both_sides() {
    let net = Net::new().await;
    let service = tonic::service::interceptor::InterceptedService::new(
        greets(|request| async move {
            reply(request.metadata().get("token").unwrap().to_str().unwrap())
        }),
        |request: Request<()>| match request.metadata().get("token") {
            Some(_) => Ok(request),
            None => Err(Status::unauthenticated("who are you?")),
        },
    );
    tokio::spawn(Server::builder().add_service(service).serve(net.port()));
    let status = net.greeter().say_hello(hello("x")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let mut greeter = GreeterClient::with_interceptor(net.channel(), |mut request: Request<()>| {
        request.metadata_mut().insert("token", "secret".parse().unwrap());
        Ok(request)
    });
    assert_eq!(greeter.say_hello(hello("x")).await.unwrap().into_inner().message, "secret");
}

#[tokio::test]
async fn deadline__ends_the_call_and_its_handler() {
    let alive = Alive::default();
    let in_handler = alive.clone();
    let net = Net::greets(move |_| {
        let one = in_handler.one();
        async move {
            std::future::pending::<()>().await;
            drop(one);
            reply("never")
        }
    })
    .await;
    let mut request = Request::new(hello("x"));
    request.set_timeout(Duration::from_millis(50));
    let begin = Instant::now();
    let status = in_time(net.greeter().say_hello(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(begin.elapsed() >= Duration::from_millis(49));
    alive.becomes(0).await;
}

#[tokio::test]
async fn deadline__of_the_server() {
    let net = Net::new().await;
    let mut config = ServerConfig::default();
    config.deadline = Some(Duration::from_millis(50));
    let service = greets(|_| std::future::pending());
    tokio::spawn(Server::builder().config(config).add_service(service).serve(net.port()));
    let status = in_time(net.greeter().say_hello(hello("x"))).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn deadline__malformed_ones_are_refused() {
    let net = Net::greets(|_| async move { reply("x") }).await;
    let mut request = Request::new(hello("x"));
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let status = net.greeter().say_hello(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

/// The only thread that may look names up is busy.
#[test]
fn deadline__covers_the_look_up_of_a_name() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().max_blocking_threads(1).build().unwrap().block_on(async {
        let endpoint = Endpoint::client(Config::default()).await.unwrap();
        let channel = HomaChannel::connect(&endpoint, "localhost:4000").unwrap();
        let (done, until_done) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || until_done.recv());
        let mut request = Request::new(hello("x"));
        request.set_timeout(Duration::from_millis(50));
        let status = in_time(GreeterClient::new(channel).say_hello(request)).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        drop(done);
        let _ = busy.await;
    });
}

#[tokio::test]
async fn cancel__dropping_the_call_drops_the_handler() {
    let alive = Alive::default();
    let in_handler = alive.clone();
    let net = Net::greets(move |_| {
        let one = in_handler.one();
        async move {
            std::future::pending::<()>().await;
            drop(one);
            reply("never")
        }
    })
    .await;
    let mut greeter = net.greeter();
    let call = tokio::spawn(async move { greeter.say_hello(hello("x")).await });
    alive.becomes(1).await;
    call.abort();
    alive.becomes(0).await;
}

#[tokio::test]
async fn panic__fails_its_own_call_only() {
    let net = Net::greets(|request| async move {
        match &request.into_inner().name[..] {
            "at once" => panic!("a handler that panics, as the test wants it"),
            "later" => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                panic!("a handler that panics, as the test wants it")
            }
            name => reply(name),
        }
    })
    .await;
    for when in ["at once", "later", "at once"] {
        let status = in_time(net.greeter().say_hello(hello(when))).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{status}");
    }
    assert_eq!(net.greeter().say_hello(hello("on")).await.unwrap().into_inner().message, "on");
}

#[tokio::test]
async fn unavailable__nobody_serves_or_is_there() {
    let net = Net::new().await;
    let status = in_time(net.greeter().say_hello(hello("x"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let source = std::error::Error::source(&status).unwrap().downcast_ref::<CallError>().unwrap();
    assert!(source.is_retryable(), "{source}");
    net.serving.close();
    let status = in_time(net.greeter().say_hello(hello("x"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

/// A server that turns the first `busy` calls away; and what a greeting makes of it.
async fn greet_busy(busy: u32, when_full: WhenFull) -> Result<String, Status> {
    let net = Net::new().await;
    let port = net.port();
    let gate = tokio::spawn(async move {
        for _ in 0..busy {
            port.accept().await.unwrap().refuse(RefuseReason::Overloaded);
        }
        let service = greets(|request| async move { reply(request.into_inner().name) });
        Server::builder().add_service(service).serve(port).await
    });
    let mut config = ChannelConfig::default();
    config.when_full = when_full;
    let channel = HomaChannel::connect_with(&net.calling, net.addr, config).unwrap();
    let mut request = Request::new(hello("well"));
    request.set_timeout(Duration::from_millis(500));
    let response = in_time(GreeterClient::new(channel).say_hello(request)).await;
    gate.abort();
    Ok(response?.into_inner().message)
}

#[tokio::test]
async fn overload__calls_wait_for_a_busy_server_until_their_deadline() {
    assert_eq!(greet_busy(3, WhenFull::Wait).await.unwrap(), "well");
    let status = greet_busy(u32::MAX, WhenFull::Wait).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

#[tokio::test]
async fn overload__calls_that_do_not_wait_may_be_made_elsewhere() {
    let status = greet_busy(1, WhenFull::Reject).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let source = std::error::Error::source(&status).unwrap().downcast_ref::<CallError>().unwrap();
    assert!(source.is_retryable(), "{source}");
}

#[tokio::test]
async fn layer__wraps_all_services_and_its_errors_are_statuses() {
    let net = Net::new().await;
    let server = Server::builder()
        .layer(tower::load_shed::LoadShedLayer::new())
        .layer(tower::limit::ConcurrencyLimitLayer::new(1))
        .add_service(greets(|request| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            reply(request.into_inner().name)
        }));
    tokio::spawn(server.serve(net.port()));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let mut greeter = net.greeter();
        calls.spawn(async move { greeter.say_hello(hello("x")).await.map_err(|e| e.code()).err() });
    }
    let mut outcomes = in_time(calls.join_all()).await;
    outcomes.sort_by_key(Option::is_some);
    assert_eq!(outcomes[0], None);
    assert!(outcomes[1].is_some(), "{outcomes:?}");
}

#[tokio::test]
async fn concurrency__calls_wait_for_their_turn() {
    let net = Net::new().await;
    let alive = Alive::default();
    let in_handler = alive.clone();
    let most = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let at_most = std::sync::Arc::clone(&most);
    let mut config = ServerConfig::default();
    config.concurrency = Some(2);
    let service = greets(move |request| {
        let (alive, most) = (in_handler.clone(), std::sync::Arc::clone(&at_most));
        async move {
            let _one = alive.one();
            most.fetch_max(alive.count(), std::sync::atomic::Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            reply(request.into_inner().name)
        }
    });
    tokio::spawn(Server::builder().config(config).add_service(service).serve(net.port()));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let mut greeter = net.greeter();
        calls.spawn(async move { greeter.say_hello(hello("x")).await.unwrap() });
    }
    assert_eq!(in_time(calls.join_all()).await.len(), 10);
    assert_eq!(most.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn shutdown__what_is_under_way_ends_and_new_calls_are_refused() {
    let net = Net::new().await;
    let (signal, signalled) = tokio::sync::oneshot::channel::<()>();
    let alive = Alive::default();
    let in_handler = alive.clone();
    let service = greets(move |request| {
        let one = in_handler.one();
        async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            drop(one);
            reply(request.into_inner().name)
        }
    });
    let server = Server::builder().add_service(service);
    let signalled = async { drop(signalled.await) };
    let server = tokio::spawn(server.serve_with_shutdown(net.port(), signalled));
    let mut greeter = net.greeter();
    let under_way = tokio::spawn(async move { greeter.say_hello(hello("x")).await });
    alive.becomes(1).await;
    signal.send(()).unwrap();
    let mut status = None;
    let mut greeter = net.greeter();
    while status.is_none() && !server.is_finished() {
        let mut request = Request::new(hello("y"));
        request.set_timeout(Duration::from_millis(20));
        status =
            greeter.say_hello(request).await.err().filter(|e| e.code() != Code::DeadlineExceeded);
    }
    assert_eq!(status.unwrap().code(), Code::Unavailable);
    assert_eq!(under_way.await.unwrap().unwrap().into_inner().message, "x");
    in_time(server).await.unwrap().unwrap();
}

/// Handlers that block their threads work beside each other, as far as there are threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn concurrency__handlers_that_block() {
    let net = Net::greets(|_| async {
        std::thread::sleep(Duration::from_millis(500));
        reply("done")
    })
    .await;
    let begin = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    // They come together.
    let cork = net.calling.cork();
    for _ in 0..5 {
        let mut greeter = net.greeter();
        calls.spawn(async move { greeter.say_hello(hello("x")).await.unwrap() });
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(cork);
    in_time(calls.join_all()).await;
    // Two behind each other would take a second.
    assert!(begin.elapsed() < Duration::from_millis(950), "{:?}", begin.elapsed());
}

/// What handlers have answered arrives, though nobody keeps the endpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown__answers_arrive() {
    for length in [100, 50_000, 900_000, 3_000_000] {
        let Net { serving, calling, addr } = Net::new().await;
        let port = serving.serve(7).unwrap();
        drop(serving);
        let service = greets(move |_| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            reply("y".repeat(length))
        });
        let signal = tokio::time::sleep(Duration::from_millis(50));
        let server = Server::builder().add_service(service).serve_with_shutdown(port, signal);
        let server = tokio::spawn(server);
        let greeter = GreeterClient::new(HomaChannel::connect(&calling, addr).unwrap());
        let response =
            in_time(greeter.max_decoding_message_size(64 << 20).say_hello(hello("x"))).await;
        assert_eq!(response.unwrap().into_inner().message.len(), length);
        in_time(server).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn shutdown__patience_ends() {
    let net = Net::new().await;
    let mut config = ServerConfig::default();
    config.shutdown_patience = Duration::from_millis(50);
    let service = greets(|_| std::future::pending());
    let server = Server::builder().config(config).add_service(service);
    let signal = tokio::time::sleep(Duration::from_millis(50));
    let server = tokio::spawn(server.serve_with_shutdown(net.port(), signal));
    let status = in_time(net.greeter().say_hello(hello("x"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    in_time(server).await.unwrap().unwrap();
}
