//! Calls and replies for which their own endpoint has no room: rejected, or made to wait in order.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use common::*;
use homa::proto::{Account, Limit, Resource};
use homa::{
    Addr, Call, CallError, CallOptions, Config, Endpoint, ReplyError, Request, Server, WhenFull,
};

const SOON: Duration = Duration::from_secs(20);

/// A configuration for so many calls at once; more wait.
fn waiting_beyond(calls: u32) -> Config {
    let mut config = Config::default();
    config.proto.limits.client_rpcs_max = calls;
    config.when_full = WhenFull::Wait;
    config
}

/// A configuration for 10,000 bytes on their way at once; calls wait for more room.
fn with_little_memory() -> Config {
    let mut config = config_for(10_000);
    config.proto.limits.outgoing_bytes_max = 10_000;
    config.when_full = WhenFull::Wait;
    config
}

fn calls_limit(max: u64) -> Limit {
    Limit::of_host(Resource::ClientRpcs, max)
}

/// Polls a call for the first time.
fn begin(mut call: Call) -> Call {
    let polled = Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "{polled:?}");
    call
}

fn is_pending(future: Pin<&mut impl Future>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn begin_all<const N: usize>(client: &Endpoint, addr: Addr, names: [&'static str; N]) -> [Call; N] {
    names.map(|name| begin(client.call(addr, name)))
}

async fn within_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("it takes too long")
}

async fn accept(server: &Server) -> Request {
    within_time(server.accept()).await.unwrap()
}

/// Nothing arrives at a server.
async fn expect_no_request(server: &Server) {
    let accepted = tokio::time::timeout(Duration::from_millis(30), server.accept()).await;
    assert!(accepted.is_err(), "there was no room for {accepted:?}");
}

fn waiting(endpoint: &Endpoint) -> (Account, Account) {
    let accounts = endpoint.accounts().endpoint;
    let row = |resource| accounts.get(resource).unwrap();
    (row(Resource::WaitingSends), row(Resource::WaitingBytes))
}

#[tokio::test]
async fn call__waits_its_turn() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(waiting_beyond(2)).await;
    let names = ["first", "second", "third", "fourth", "fifth"];
    let calls = begin_all(&client, addr, names);
    let (sends, bytes) = waiting(&client);
    assert_eq!((sends.used, bytes.used), (3, 16));
    assert_eq!(client.accounts().endpoint.get(Resource::Calls).unwrap().used, 2);
    let mut requests = std::collections::VecDeque::new();
    requests.push_back(accept(&server).await);
    for (name, call) in names.into_iter().zip(calls) {
        let next = server.accept();
        if name != "fifth" {
            requests.push_back(within_time(next).await.unwrap());
        }
        assert!(requests.len() <= 2);
        expect_no_request(&server).await;
        let mut request = requests.pop_front().unwrap();
        assert_eq!(*request.message(), name.as_bytes());
        request.reply(name).unwrap();
        assert_eq!(within_time(call).await.unwrap(), name.as_bytes());
    }
    let (sends, bytes) = waiting(&client);
    assert_eq!((sends.used, sends.high_water, sends.refusals), (0, 3, 0));
    assert_eq!((bytes.used, bytes.high_water), (0, 16));
}

/// A long message at the head waits for memory; shorter ones do not pass it.
#[tokio::test]
async fn call__is_not_passed_while_it_waits_for_memory() {
    let (_endpoint, server, addr) = serving(config_for(10_000)).await;
    let client = endpoint(with_little_memory()).await;
    let first = begin(client.call(addr, contents(1, 4000)));
    let second = begin(client.call(addr, contents(2, 5000)));
    let long = begin(client.call(addr, contents(3, 5500)));
    let short = begin(client.call(addr, contents(4, 10)));
    let [mut one, mut two] = [accept(&server).await, accept(&server).await];
    one.reply("1").unwrap();
    within_time(first).await.unwrap();
    // Room for the short one, but not for the long one.
    expect_no_request(&server).await;
    two.reply("2").unwrap();
    within_time(second).await.unwrap();
    // Both leave; of those that are under way the shorter may arrive first.
    let mut lengths = [0, 0];
    for length in &mut lengths {
        let mut request = accept(&server).await;
        *length = request.len();
        request.reply("3 or 4").unwrap();
    }
    lengths.sort_unstable();
    assert_eq!(lengths, [10, 5500]);
    within_time(long).await.unwrap();
    within_time(short).await.unwrap();
}

/// What may not wait is turned away rather than let past those who do.
#[tokio::test]
async fn call__that_may_not_wait_does_not_pass_others() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(waiting_beyond(1)).await;
    let rejecting = CallOptions::new().when_full(WhenFull::Reject);
    let full = CallError::Full { limit: calls_limit(1) };
    let calls = begin_all(&client, addr, ["first", "second"]);
    assert_eq!(client.call_with(addr, "third", rejecting).await, Err(full.clone()));
    assert_eq!(client.send(addr, "third"), Err(full.clone()));
    assert!(full.is_retryable());
    assert_eq!(full.to_string(), "no room: proto.limits.client_rpcs_max is 1");
    for call in calls {
        accept(&server).await.reply("yes").unwrap();
        within_time(call).await.unwrap();
    }
    assert_eq!(client.accounts().endpoint.get(Resource::Calls).unwrap().refusals, 2);
}

/// By default nothing waits; one call may all the same.
#[tokio::test]
async fn call__waits_if_its_options_say_so() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let mut config = waiting_beyond(1);
    config.when_full = WhenFull::default();
    let client = endpoint(config).await;
    let first = begin(client.call(addr, "first"));
    let full = CallError::Full { limit: calls_limit(1) };
    assert_eq!(client.call(addr, "second").await, Err(full));
    let options = CallOptions::new().when_full(WhenFull::Wait);
    let third = begin(client.call_with(addr, "third", options));
    accept(&server).await.reply("1").unwrap();
    within_time(first).await.unwrap();
    accept(&server).await.reply("3").unwrap();
    assert_eq!(within_time(third).await.unwrap(), b"3"[..]);
}

#[tokio::test]
async fn call__has_its_deadline_while_it_waits() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(waiting_beyond(1)).await;
    let patient = begin(client.call(addr, "patient"));
    let options = CallOptions::new().deadline(Duration::from_millis(50));
    let start = Instant::now();
    let error = within_time(client.call_with(addr, "hasty", options)).await.unwrap_err();
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(50), "{waited:?}");
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    let waited_for = Some(calls_limit(1));
    assert_eq!(error, CallError::DeadlineExceeded { addr, waited_for });
    assert!(error.is_retryable(), "nothing was sent");
    assert!(error.to_string().contains("limits.client_rpcs_max is 1"), "{error}");
    accept(&server).await.reply("yes").unwrap();
    within_time(patient).await.unwrap();
    expect_no_request(&server).await;
    assert_eq!(waiting(&client).0.refusals, 1);
}

/// The time that a call waited for room counts.
#[tokio::test]
async fn call__has_one_deadline_for_waiting_and_response() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(waiting_beyond(1)).await;
    let options = CallOptions::new().deadline(Duration::from_millis(300));
    let first = begin(client.call(addr, "first"));
    let start = Instant::now();
    let second = begin(client.call_with(addr, "second", options));
    let mut request = accept(&server).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    request.reply("yes").unwrap();
    within_time(first).await.unwrap();
    let _unanswered = accept(&server).await;
    let error = within_time(second).await.unwrap_err();
    assert_eq!(error, CallError::DeadlineExceeded { addr, waited_for: None });
    assert!(start.elapsed() < Duration::from_millis(450), "{:?}", start.elapsed());
}

#[tokio::test]
async fn call__dropped_while_it_waits_makes_way() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(waiting_beyond(1)).await;
    let [first, second, third] = begin_all(&client, addr, ["first", "second", "third"]);
    drop(second);
    accept(&server).await.reply("1").unwrap();
    within_time(first).await.unwrap();
    let mut request = accept(&server).await;
    assert_eq!(*request.message(), b"third"[..]);
    request.reply("3").unwrap();
    within_time(third).await.unwrap();
    assert_eq!(client.stats().protocol.client_requests_started, 2);
}

/// A head that is too long for what is left holds up others; dropped, it lets them go at once.
#[tokio::test]
async fn call__dropped_at_the_head_lets_the_next_go() {
    let (_endpoint, server, addr) = serving(config_for(10_000)).await;
    let client = endpoint(with_little_memory()).await;
    let _first = begin(client.call(addr, contents(1, 4000)));
    let long = begin(client.call(addr, contents(2, 9000)));
    let short = begin(client.call(addr, contents(3, 10)));
    let _one = accept(&server).await;
    expect_no_request(&server).await;
    drop(long);
    accept(&server).await.reply("3").unwrap();
    within_time(short).await.unwrap();
}

/// A waiting call that its task no longer polls goes all the same, and keeps nobody waiting.
#[tokio::test]
async fn call__goes_though_nobody_polls_it() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(waiting_beyond(1)).await;
    let [first, neglected, third] = begin_all(&client, addr, ["first", "neglected", "third"]);
    accept(&server).await.reply("1").unwrap();
    within_time(first).await.unwrap();
    accept(&server).await.reply("2").unwrap();
    // Its outcome holds its place until it is taken, as that of every call does.
    expect_no_request(&server).await;
    drop(neglected);
    accept(&server).await.reply("3").unwrap();
    within_time(third).await.unwrap();
}

/// No waiting for room that never comes, nor for what becomes free by time only.
#[tokio::test]
async fn call__does_not_wait_in_vain() {
    let (_endpoint, _server, addr) = serving(Config::default()).await;
    let mut config = waiting_beyond(1);
    config.proto.limits.socket_outgoing_bytes_max = 1000;
    config.proto.limits.peers_max = 1;
    let client = endpoint(config).await;
    let limit = Limit::of_socket(Resource::OutgoingBytes, 1000);
    assert_eq!(client.call(addr, contents(1, 1001)).await, Err(CallError::Full { limit }));
    let _first = begin(client.call(addr, "first"));
    // What can't be sent is an error as ever.
    assert_eq!(client.call(addr, "").await, Err(CallError::Empty));
    let mut behind = Box::pin(client.call(addr, contents(1, 1001)));
    assert!(is_pending(behind.as_mut()));
    drop(_first);
    assert_eq!(within_time(behind).await, Err(CallError::Full { limit }));
    let mut config = waiting_beyond(2);
    config.proto.limits.peers_max = 1;
    let client = endpoint(config).await;
    let _first = begin(client.call(addr, "first"));
    let (_other_endpoint, _other, other_addr) = serving(Config::default()).await;
    let limit = Limit::of_host(Resource::Peers, 1);
    assert_eq!(client.call(other_addr, "x").await, Err(CallError::Full { limit }));
}

#[tokio::test]
async fn close__ends_calls_and_replies_that_wait() {
    let (_endpoint, server, addr) = serving(Config::default()).await;
    let client = endpoint(waiting_beyond(1)).await;
    let calls = begin_all(&client, addr, ["first", "second", "third"]);
    let sending = tokio::spawn({
        let client = client.clone();
        async move { client.send_when_room(addr, "fourth", CallOptions::new()).await }
    });
    let _request = accept(&server).await;
    while waiting(&client).0.used < 3 {
        tokio::task::yield_now().await;
    }
    client.close();
    for call in calls {
        assert_eq!(within_time(call).await, Err(CallError::ShutDown));
    }
    assert_eq!(within_time(sending).await.unwrap(), Err(CallError::ShutDown));

    let crowded = Crowded::new().await;
    let mut request = crowded.request().await;
    let mut reply = Box::pin(request.reply_when_room(contents(2, 9000)));
    assert!(is_pending(reply.as_mut()));
    crowded.endpoint.close();
    assert_eq!(within_time(reply).await, Err(ReplyError::ShutDown));
}

/// What waited when the end was announced is let go; what comes later is not.
#[tokio::test]
async fn shutdown__lets_go_what_waits() {
    let (_endpoint, addr) = echoing(Config::default()).await;
    let client = endpoint(waiting_beyond(1)).await;
    let calls = begin_all(&client, addr, ["first", "second", "third"]);
    let outcomes = tokio::spawn(async move {
        for call in calls {
            within_time(call).await.unwrap();
        }
    });
    assert!(within_time(client.shutdown(SOON)).await);
    outcomes.await.unwrap();
    assert_eq!(client.call(addr, "late").await, Err(CallError::ShutDown));
}

#[tokio::test]
async fn send_when_room__waits_until_outcomes_are_taken() {
    let (_endpoint, addr) = echoing(Config::default()).await;
    let mut config = Config::default();
    config.proto.limits.client_rpcs_max = 4;
    let client = endpoint(config).await;
    let sending = tokio::spawn({
        let client = client.clone();
        async move {
            let mut ids = Vec::new();
            for name in 0..100u32 {
                let request = name.to_le_bytes().to_vec();
                ids.push(client.send_when_room(addr, request, CallOptions::new()).await.unwrap());
            }
            ids
        }
    });
    let mut received = std::collections::BTreeMap::new();
    while received.len() < 100 {
        let (id, response) = within_time(client.recv()).await.unwrap();
        assert!(received.insert(id, response.unwrap().into_bytes()).is_none());
        assert!(client.accounts().endpoint.get(Resource::Calls).unwrap().used <= 4);
    }
    for (name, id) in (0u32..).zip(sending.await.unwrap()) {
        assert_eq!(received[&id], name.to_le_bytes().to_vec());
    }
    assert_eq!(client.accounts().endpoint.get(Resource::Calls).unwrap().refusals, 0);
}

#[tokio::test]
async fn send_when_room__ends_at_its_deadline() {
    let (_endpoint, _server, addr) = serving(Config::default()).await;
    let mut config = Config::default();
    config.proto.limits.client_rpcs_max = 1;
    let client = endpoint(config).await;
    client.send(addr, "first").unwrap();
    let options = CallOptions::new().deadline(Duration::from_millis(20));
    let sent = within_time(client.send_when_room(addr, "second", options)).await;
    let waited_for = Some(calls_limit(1));
    assert_eq!(sent, Err(CallError::DeadlineExceeded { addr, waited_for }));
    let outcome = tokio::time::timeout(Duration::from_millis(50), client.recv()).await;
    assert!(outcome.is_err(), "no outcome follows: {outcome:?}");
}

#[test]
fn blocking__calls_and_sends_wait_for_room() {
    let (_endpoint, addr) = blocking_echoing(Config::default(), 2);
    let client = blocking_endpoint(waiting_beyond(2));
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let client = &client;
            scope.spawn(move || {
                for number in 0..20 {
                    let echo = client.call(addr, vec![thread, number]).unwrap();
                    assert_eq!(echo, [thread, number][..]);
                }
            });
        }
    });
    let options = CallOptions::new();
    for _ in 0..2 {
        client.send(addr, "x").unwrap();
    }
    assert_eq!(client.send(addr, "x"), Err(CallError::Full { limit: calls_limit(2) }));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| client.send_when_room(addr, "third", options).unwrap());
        for _ in 0..3 {
            client.recv(Some(SOON)).unwrap().1.unwrap();
        }
        waits.join().unwrap();
    });
    // A thread that waits wakes for its deadline.
    client.send(addr, "x").unwrap();
    client.send(addr, "x").unwrap();
    let late = client.send_when_room(addr, "x", options.deadline(Duration::from_millis(20)));
    let waited_for = Some(calls_limit(2));
    assert_eq!(late, Err(CallError::DeadlineExceeded { addr, waited_for }));
}

/// A server whose memory for outgoing messages is nearly all held by a call of its own, which
/// nobody answers until told to.
struct Crowded {
    endpoint: Endpoint,
    server: Server,
    client: Endpoint,
    addr: Addr,
    _blocker: Call,
    blocked: Request,
    _far: (Endpoint, Server),
}

impl Crowded {
    async fn new() -> Self {
        let (far, far_server, far_addr) = serving(config_for(10_000)).await;
        let (endpoint, server, addr) = serving(with_little_memory()).await;
        let blocker = begin(endpoint.call(far_addr, contents(1, 8000)));
        let blocked = accept(&far_server).await;
        let client = common::endpoint(config_for(10_000)).await;
        let far = (far, far_server);
        Self { endpoint, server, client, addr, _blocker: blocker, blocked, _far: far }
    }

    async fn request(&self) -> Request {
        self.client.send(self.addr, "x").unwrap();
        accept(&self.server).await
    }

    /// There is room again.
    fn clear(&mut self) {
        self.blocked.reply("done").unwrap();
    }

    async fn response(&self) -> usize {
        within_time(self.client.recv()).await.unwrap().1.unwrap().len()
    }
}

#[tokio::test]
async fn reply__without_room_names_the_limit() {
    let mut crowded = Crowded::new().await;
    let mut request = crowded.request().await;
    let limit = Limit::of_host(Resource::OutgoingBytes, 10_000);
    assert_eq!(request.reply(contents(2, 3000)), Err(ReplyError::Full { limit }));
    assert_eq!(
        request.reply(contents(2, 3000)).unwrap_err().to_string(),
        "no room: proto.limits.outgoing_bytes_max is 10000 bytes"
    );
    crowded.clear();
    within_time(request.reply_when_room(contents(2, 3000))).await.unwrap();
    assert_eq!(crowded.response().await, 3000);
}

/// Replies go in order, and before calls that waited for longer.
#[tokio::test]
async fn reply_when_room__in_order_and_before_calls() {
    let mut crowded = Crowded::new().await;
    let mut requests = [crowded.request().await, crowded.request().await, crowded.request().await];
    let [one, two, three] = &mut requests;
    let far = crowded._far.0.local_addr();
    let call = begin(crowded.endpoint.call(addr_of(far), contents(5, 9000)));
    let mut first = Box::pin(one.reply_when_room(contents(2, 9001)));
    let mut second = Box::pin(two.reply_when_room(contents(3, 9002)));
    assert!(is_pending(first.as_mut()));
    assert!(is_pending(second.as_mut()));
    let limit = Limit::of_host(Resource::OutgoingBytes, 10_000);
    assert_eq!(three.reply("short"), Err(ReplyError::Full { limit }), "others wait");
    assert_eq!(waiting(&crowded.endpoint).0.used, 3);
    crowded.blocked.reply("done").unwrap();
    within_time(first).await.unwrap();
    assert_eq!(crowded.response().await, 9001);
    within_time(second).await.unwrap();
    assert_eq!(crowded.response().await, 9002);
    assert_eq!(waiting(&crowded.endpoint).0.high_water, 3);
    let mut request = accept(&crowded._far.1).await;
    assert_eq!(request.len(), 9000);
    request.reply("done").unwrap();
    within_time(call).await.unwrap();
    assert_eq!(one.reply("twice"), Err(ReplyError::Answered));
}

/// A server that has all that its port may have holds up nobody else.
#[tokio::test]
async fn reply_when_room__a_port_at_its_limit_holds_up_itself_only() {
    let mut config = config_for(10_000);
    config.proto.limits.socket_outgoing_bytes_max = 1000;
    // Responses are held until their client has something else to say.
    let hours = homa::proto::Duration::from_secs(10_000);
    (config.proto.timing.need_ack_delay, config.proto.timing.need_ack_delay_max) = (hours, hours);
    let (endpoint, server, addr) = serving(config).await;
    let other = endpoint.serve(8).unwrap();
    let other_addr = Addr::new(endpoint.local_addr(), 8).unwrap();
    let client = common::endpoint(config_for(10_000)).await;
    client.send(addr, "x").unwrap();
    client.send(addr, "x").unwrap();
    let mut held = accept(&server).await;
    let mut waits = accept(&server).await;
    held.reply(contents(1, 900)).unwrap();
    let mut reply = Box::pin(waits.reply_when_room(contents(2, 901)));
    assert!(is_pending(reply.as_mut()));
    client.send(other_addr, "x").unwrap();
    accept(&other).await.reply(contents(3, 500)).unwrap();
    for length in [900, 500] {
        assert_eq!(within_time(client.recv()).await.unwrap().1.unwrap().len(), length);
    }
    assert!(is_pending(reply.as_mut()), "the first was not acknowledged");
    // Each takes one acknowledgement along.
    for _ in 0..2 {
        client.send(other_addr, "x").unwrap();
    }
    within_time(reply).await.unwrap();
    assert_eq!(within_time(client.recv()).await.unwrap().1.unwrap().len(), 901);
}

#[tokio::test]
async fn reply_when_room__ends_when_the_client_gives_up() {
    let crowded = Crowded::new().await;
    let id = crowded.client.send(crowded.addr, "x").unwrap();
    let mut request = accept(&crowded.server).await;
    let mut reply = Box::pin(request.reply_when_room(contents(2, 9000)));
    assert!(is_pending(reply.as_mut()));
    assert!(crowded.client.abort(id));
    assert_eq!(within_time(reply).await, Err(ReplyError::Cancelled));
    assert!(request.is_cancelled());
    assert_eq!(waiting(&crowded.endpoint).0.used, 0);
}

#[tokio::test]
async fn reply_when_room__dropped_leaves_the_request_answerable() {
    let mut crowded = Crowded::new().await;
    let mut request = crowded.request().await;
    assert!(is_pending(Box::pin(request.reply_when_room(contents(2, 9000))).as_mut()));
    assert_eq!(waiting(&crowded.endpoint).0.used, 0);
    request.reply("short").unwrap();
    assert_eq!(crowded.response().await, 5);

    // It left without being looked at.
    let mut request = crowded.request().await;
    let mut reply = Box::pin(request.reply_when_room(contents(2, 9000)));
    assert!(is_pending(reply.as_mut()));
    crowded.clear();
    assert_eq!(crowded.response().await, 9000);
    drop(reply);
    assert_eq!(request.reply("twice"), Err(ReplyError::Answered));
    assert!(!request.is_cancelled());
}

#[test]
fn blocking__replies_wait_for_room() {
    let mut config = config_for(10_000);
    config.proto.limits.outgoing_bytes_max = 10_000;
    let endpoint = blocking_endpoint(config);
    let server = endpoint.serve(PORT).unwrap();
    let stream_server = endpoint.serve_streaming(8).unwrap();
    let addr = addr_of(endpoint.local_addr());
    let stream_addr = Addr::new(endpoint.local_addr(), 8).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let server = server.clone();
            scope.spawn(move || {
                for _ in 0..25 {
                    let mut request = server.accept().unwrap();
                    request.blocking_reply_when_room(contents(2, 4000)).unwrap();
                }
            });
        }
        scope.spawn(move || {
            for _ in 0..25 {
                let mut request = stream_server.accept().unwrap();
                request.read_to_end().unwrap();
                request.reply_when_room(contents(2, 4000)).unwrap();
            }
        });
        let client = blocking_endpoint(config_for(10_000));
        for number in 0..125 {
            client.send(if number % 5 == 0 { stream_addr } else { addr }, "x").unwrap();
        }
        for _ in 0..125 {
            let response = client.recv(Some(SOON)).expect("in time").1.unwrap();
            assert_eq!(response, contents(2, 4000));
        }
    });
}

/// Many more calls than there is room for, some given up: all others complete, nothing stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls__many_times_the_limit() {
    let (_endpoint, addr) = echoing(config_for(10_000)).await;
    let mut config = with_little_memory();
    config.proto.limits.client_rpcs_max = 5;
    let client = endpoint(config).await;
    let tasks: Vec<_> = (0..500u64)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                let request = contents(n, 1 + n as usize * 37 % 6000);
                let call = client.call(addr, request.clone());
                if n % 7 == 3 {
                    let _ = tokio::time::timeout(Duration::from_micros(n * 20), call).await;
                } else {
                    assert_eq!(call.await.unwrap(), request);
                }
            })
        })
        .collect();
    for task in tasks {
        within_time(task).await.unwrap();
    }
    let accounts = client.accounts().endpoint;
    let row = |resource| accounts.get(resource).unwrap();
    assert_eq!(row(Resource::WaitingSends).used, 0);
    assert_eq!(row(Resource::WaitingBytes).used, 0);
    assert!(row(Resource::ClientRpcs).high_water <= 5);
    assert!(row(Resource::OutgoingBytes).high_water <= 10_000);
    assert!(within_time(client.shutdown(SOON)).await);
}

/// Compiles only if tasks may be moved between threads while they wait.
#[test]
fn futures__are_send() {
    fn is_send<T: Send>(_: impl Fn(&'static Endpoint, &'static mut Request) -> T) {}
    is_send(|endpoint, _| {
        let addr = "127.0.0.1:1/7".parse().unwrap();
        endpoint.send_when_room(addr, "x", CallOptions::new())
    });
    is_send(|_, request| request.reply_when_room("x"));
}
