//! Every future of the API is dropped at each of its await points: before it was polled, after each
//! poll that found nothing, and when it had been woken but not looked. No message may be lost,
//! handed over twice, or kept for ever.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use common::*;
use homa::proto::Resource;
use homa::{Addr, CallOptions, Config, Endpoint, ReplyError, Server, WhenFull};

const SOON: Duration = Duration::from_secs(20);

/// Awaits `future`, but drops it once it was polled `polls` times without success: at once, or
/// (`woken`) at the moment at which it would be polled again.
async fn give_up_after<F: Future>(future: F, polls: usize, woken: bool) -> Option<F::Output> {
    struct Impatient<'a, F> {
        future: Pin<&'a mut F>,
        left: usize,
        woken: bool,
    }

    impl<F: Future> Future for Impatient<'_, F> {
        type Output = Option<F::Output>;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            if let Poll::Ready(output) = self.future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            self.left -= 1;
            if self.left == 0 && !self.woken { Poll::Ready(None) } else { Poll::Pending }
        }
    }

    Impatient { future: pin!(future), left: polls, woken }.await
}

/// Ways of giving up, over and over: after 0, 1, 2, 3 polls, woken or not.
fn ways() -> impl Iterator<Item = (usize, bool)> {
    (0..4).flat_map(|polls| [(polls, false), (polls, true)]).cycle()
}

/// Lets others run, so that something may arrive between two attempts.
async fn a_moment() {
    tokio::time::sleep(Duration::from_micros(50)).await;
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

/// How often each request was executed.
type Executions = Arc<Mutex<BTreeMap<u32, u32>>>;

/// Servers that give up their accepts in all ways, beside a patient one.
fn serve_impatiently(server: &Server) -> Executions {
    let executions = Executions::default();
    for hasty in [true, true, false] {
        let (server, executions) = (server.clone(), Arc::clone(&executions));
        tokio::spawn(async move {
            for (polls, woken) in ways() {
                let accepted = if hasty {
                    give_up_after(server.accept(), polls, woken).await
                } else {
                    Some(server.accept().await)
                };
                match accepted {
                    Some(Some(mut request)) => {
                        let message = request.take_message();
                        let bytes = message.clone().into_bytes();
                        *executions.lock().unwrap().entry(number(&bytes)).or_default() += 1;
                        // Its client may have given it up.
                        let _ = request.reply(message);
                    }
                    Some(None) => return,
                    None => a_moment().await,
                }
            }
        });
    }
    executions
}

async fn within_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("a message was lost")
}

/// Nothing is open any more.
async fn expect_quiet(endpoint: &Endpoint) {
    assert!(endpoint.shutdown(SOON).await, "an RPC was kept for ever");
}

/// Both ends drop what they await, on one thread and on several.
async fn send_recv_accept() {
    const CALLS: u32 = 400;
    let (endpoint_at_server, server, addr) = serving(Config::default()).await;
    let executions = serve_impatiently(&server);
    let client = endpoint(Config::default()).await;
    let mut sent = BTreeMap::new();
    let mut ways = ways();
    let mut received = BTreeSet::new();
    within_time(async {
        for name in 0..CALLS {
            let id = client.send(addr, name.to_le_bytes().to_vec()).unwrap();
            sent.insert(id, name);
            let (polls, woken) = ways.next().unwrap();
            match give_up_after(client.recv(), polls, woken).await {
                Some(outcome) => expect_own(&sent, &mut received, outcome),
                None => a_moment().await,
            }
        }
        while received.len() < sent.len() {
            let (polls, woken) = ways.next().unwrap();
            if let Some(outcome) = give_up_after(client.recv(), polls, woken).await {
                expect_own(&sent, &mut received, outcome);
            }
            a_moment().await;
        }
    })
    .await;
    assert!(give_up_after(client.recv(), 1, false).await.is_none(), "an outcome was given twice");
    let once: BTreeMap<_, _> = (0..CALLS).map(|name| (name, 1)).collect();
    assert_eq!(*executions.lock().unwrap(), once);
    expect_quiet(&client).await;
    expect_quiet(&endpoint_at_server).await;
}

type Received = Option<(homa::CallId, Result<homa::Message, homa::CallError>)>;

fn expect_own(
    sent: &BTreeMap<homa::CallId, u32>,
    received: &mut BTreeSet<homa::CallId>,
    outcome: Received,
) {
    let (id, response) = outcome.expect("an outcome");
    assert!(received.insert(id), "an outcome was given twice");
    assert_eq!(number(&response.unwrap().into_bytes()), sent[&id]);
}

#[tokio::test]
async fn recv_and_accept__on_one_thread() {
    send_recv_accept().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn recv_and_accept__on_several_threads() {
    send_recv_accept().await;
}

/// A call that is dropped is aborted: executed once or never, and nothing of it stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call__dropped_anywhere_leaves_nothing() {
    let (endpoint_at_server, server, addr) = serving(Config::default()).await;
    let executions = serve_impatiently(&server);
    let client = endpoint(Config::default()).await;
    within_time(async {
        for (name, (polls, woken)) in (0..400u32).zip(ways()) {
            let request = name.to_le_bytes().to_vec();
            if let Some(outcome) = give_up_after(client.call(addr, request), polls, woken).await {
                assert_eq!(number(&outcome.unwrap().into_bytes()), name);
            }
        }
    })
    .await;
    expect_quiet(&client).await;
    expect_quiet(&endpoint_at_server).await;
    assert!(executions.lock().unwrap().values().all(|count| *count == 1));
}

/// Of calls that wait for room those that are dropped give their places to the next: the others all
/// complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call__dropped_while_waiting_for_room_makes_way() {
    const CALLS: u32 = 600;
    let (endpoint_at_server, server, addr) = serving(Config::default()).await;
    let executions = serve_impatiently(&server);
    let client = endpoint(with_room_for(3)).await;
    let tasks = (0..CALLS).zip(ways()).map(|(name, (polls, woken))| {
        let client = client.clone();
        tokio::spawn(async move {
            let call = client.call(addr, name.to_le_bytes().to_vec());
            let outcome = if name % 3 == 0 {
                Some(call.await)
            } else {
                give_up_after(call, polls, woken).await
            };
            if let Some(outcome) = outcome {
                assert_eq!(number(&outcome.unwrap().into_bytes()), name);
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for task in tasks {
        within_time(task).await.unwrap();
    }
    expect_nobody_waits(&client);
    expect_quiet(&client).await;
    expect_quiet(&endpoint_at_server).await;
    let executions = executions.lock().unwrap();
    assert!(executions.values().all(|count| *count == 1));
    assert!((0..CALLS).step_by(3).all(|name| executions.contains_key(&name)));
}

/// A send that is dropped has no outcome; one that was not has one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_when_room__dropped_anywhere_sends_nothing() {
    const CALLS: u32 = 600;
    let (endpoint_at_server, server, addr) = serving(Config::default()).await;
    let executions = serve_impatiently(&server);
    let client = endpoint(with_room_for(3)).await;
    let senders = (0..3u32).map(|sender| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut sent = BTreeMap::new();
            for (name, (polls, woken)) in (0..CALLS).filter(|n| n % 3 == sender).zip(ways()) {
                let request = name.to_le_bytes().to_vec();
                let send = client.send_when_room(addr, request, CallOptions::new());
                if let Some(id) = give_up_after(send, polls, woken).await {
                    sent.insert(id.unwrap(), name);
                }
            }
            sent
        })
    });
    let senders: Vec<_> = senders.collect();
    let receiver = tokio::spawn({
        let client = client.clone();
        async move {
            let mut outcomes = Vec::new();
            while let Some(outcome) = client.recv().await {
                outcomes.push(Some(outcome));
            }
            outcomes
        }
    });
    let mut sent = BTreeMap::new();
    for sender in senders {
        sent.append(&mut within_time(sender).await.unwrap());
    }
    expect_nobody_waits(&client);
    expect_quiet(&client).await;
    expect_quiet(&endpoint_at_server).await;
    let mut received = BTreeSet::new();
    for outcome in within_time(receiver).await.unwrap() {
        expect_own(&sent, &mut received, outcome);
    }
    assert_eq!(received.len(), sent.len());
    assert!(executions.lock().unwrap().values().all(|count| *count == 1));
}

/// A reply that is dropped while it waits for room may be made again, and is given once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_when_room__dropped_anywhere_is_sent_once() {
    const LENGTH: usize = 4000;
    let mut config = config_for(10_000);
    config.proto.limits.outgoing_bytes_max = 10_000;
    let (endpoint_at_server, server, addr) = serving(config).await;
    let client = endpoint(config_for(10_000)).await;
    for first in 0..8usize {
        let server = server.clone();
        tokio::spawn(async move {
            let mut ways = ways().skip(first);
            while let Some(mut request) = server.accept().await {
                let mut reply = request.take_message().into_bytes().to_vec();
                reply.resize(LENGTH, 7);
                loop {
                    let (polls, woken) = ways.next().unwrap();
                    let sending = request.reply_when_room(reply.clone());
                    match give_up_after(sending, polls, woken).await {
                        Some(Ok(()) | Err(ReplyError::Answered)) => break,
                        Some(Err(error)) => panic!("{error}"),
                        None => a_moment().await,
                    }
                }
            }
        });
    }
    let ids: Vec<_> = (0..400u32)
        .map(|name| (client.send(addr, name.to_le_bytes().to_vec()).unwrap(), name))
        .collect();
    let sent: BTreeMap<_, _> = ids.into_iter().collect();
    let mut received = BTreeSet::new();
    while received.len() < sent.len() {
        let outcome = within_time(client.recv()).await;
        assert_eq!(outcome.as_ref().unwrap().1.as_ref().unwrap().len(), LENGTH);
        expect_own(&sent, &mut received, outcome);
    }
    expect_nobody_waits(&endpoint_at_server);
    expect_quiet(&client).await;
    expect_quiet(&endpoint_at_server).await;
}

/// So many calls at once; more wait.
fn with_room_for(calls: u32) -> Config {
    let mut config = Config::default();
    config.proto.limits.client_rpcs_max = calls;
    config.when_full = WhenFull::Wait;
    config
}

fn expect_nobody_waits(endpoint: &Endpoint) {
    let accounts = endpoint.accounts().endpoint;
    for resource in [Resource::WaitingSends, Resource::WaitingBytes] {
        let account = accounts.get(resource).unwrap();
        assert_eq!(account.used, 0, "{resource}");
        assert!(account.high_water > 0, "nobody had to wait");
    }
}

/// Reads that are dropped take nothing: the pieces are the whole request, in order.
#[tokio::test]
async fn read__dropped_anywhere_loses_no_bytes() {
    let server = endpoint(Config::default()).await;
    let service = server.serve_streaming(PORT).unwrap();
    let mut slow = Config::default();
    slow.fault = Some("delay=200us,drop=0.01".parse().unwrap());
    let client = endpoint(slow).await;
    let addr = addr_of(server.local_addr());
    let mut ways = ways();
    for round in 0..6u64 {
        let request = contents(round, 200_000);
        let call = tokio::spawn(client.call(addr, request.clone()));
        let bytes = within_time(read_impatiently(&service, &mut ways, round % 2 == 0)).await;
        assert!(bytes == request, "round {round}");
        call.await.unwrap().unwrap();
    }
    expect_quiet(&client).await;
    expect_quiet(&server).await;
}

/// Accepts a request and reads it, by pieces or to its end, giving up now and then.
async fn read_impatiently(
    service: &homa::StreamServer,
    ways: &mut impl Iterator<Item = (usize, bool)>,
    by_pieces: bool,
) -> Vec<u8> {
    let mut stream = loop {
        let (polls, woken) = ways.next().unwrap();
        match give_up_after(service.accept(), polls, woken).await {
            Some(stream) => break stream.unwrap(),
            None => a_moment().await,
        }
    };
    let mut bytes = Vec::new();
    loop {
        let (polls, woken) = ways.next().unwrap();
        if by_pieces || bytes.is_empty() {
            match give_up_after(stream.read(), polls, woken).await {
                Some(Ok(Some(piece))) => bytes.extend_from_slice(&piece.into_bytes()),
                Some(Ok(None)) => break,
                Some(Err(error)) => panic!("{error}"),
                None => a_moment().await,
            }
        } else {
            match give_up_after(stream.read_to_end(), polls, woken).await {
                Some(rest) => {
                    bytes.extend_from_slice(&rest.unwrap().into_bytes());
                    break;
                }
                None => a_moment().await,
            }
        }
    }
    stream.reply("read").unwrap();
    bytes
}

#[tokio::test]
async fn cancelled__dropped_anywhere_still_comes() {
    let (_endpoint, server, addr): (_, _, Addr) = serving(Config::default()).await;
    let client = endpoint(Config::default()).await;
    for (polls, woken) in [(0, false), (1, false), (1, true)] {
        let id = client.send(addr, "x").unwrap();
        let request = within_time(server.accept()).await.unwrap();
        if woken {
            client.abort(id);
        }
        // Woken, it is dropped in the moment in which it would have learned.
        let first = within_time(give_up_after(request.cancelled(), polls, woken)).await;
        assert!(woken || first.is_none());
        client.abort(id);
        within_time(request.cancelled()).await;
        assert!(within_time(client.recv()).await.unwrap().1.is_err());
    }
}

/// A shutdown that is dropped leaves the endpoint open, with all that was under way.
#[tokio::test]
async fn shutdown__dropped_anywhere_can_be_awaited_again() {
    for (polls, woken) in [(0, false), (1, false), (1, true)] {
        let (_endpoint, server, addr) = serving(Config::default()).await;
        let client = endpoint(Config::default()).await;
        let id = client.send(addr, "x").unwrap();
        let mut request = within_time(server.accept()).await.unwrap();
        let answer = tokio::spawn(async move {
            a_moment().await;
            request.reply("y").unwrap();
        });
        let shutdown = give_up_after(client.shutdown(SOON), polls, woken);
        let (dropped, outcome) = tokio::join!(within_time(shutdown), within_time(client.recv()));
        assert!(dropped.is_none());
        let (received, response) = outcome.unwrap();
        assert_eq!((received, response.unwrap().into_bytes()), (id, "y".into()));
        assert!(within_time(client.shutdown(SOON)).await);
        answer.await.unwrap();
    }
}
