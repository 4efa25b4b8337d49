//! Peers that mean harm, or do not know better: nothing that they send makes the other side panic, hang
//! or grow. Messages are written byte by byte, as `docs/grpc-over-homa.md` has them.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use homa::{Addr, CallOptions, Config, Endpoint};
use homa_grpc::{HomaChannel, ServerConfig};
use homa_grpc_interop::helloworld::HelloRequest;
use homa_grpc_interop::helloworld::greeter_client::GreeterClient;
use homa_grpc_interop::routeguide::route_guide_client::RouteGuideClient;
use support::{Alive, Net, Notes, echo, in_time, note, reply};
use tokio_stream::{StreamExt, pending};
use tonic::{Code, Response};

const OPEN: u8 = 1;
const PUSH: u8 = 2;
const PULL: u8 = 3;
const CANCEL: u8 = 4;
const TOUCH: u8 = 5;
const ITEM: u8 = 0x81;
const NOTHING: u8 = 0x82;
const TAKEN: u8 = 0x83;
const FAULT: u8 = 0x84;

const CHAT: &str = "/routeguide.RouteGuide/RouteChat";

fn message(kind: u8, flags: u8, fields: &[u8], body: &[u8]) -> Vec<u8> {
    let head = 8 + fields.len() as u32;
    [&[1, kind, flags, 0], &head.to_be_bytes()[..], fields, body].concat()
}

fn open(
    stream: u64,
    answer_max: u32,
    path: &str,
    metadata: &[u8],
    flags: u8,
    body: &[u8],
) -> Vec<u8> {
    let path_length = (path.len() as u16).to_be_bytes();
    let fields = [
        &stream.to_be_bytes()[..],
        &answer_max.to_be_bytes(),
        &path_length,
        path.as_bytes(),
        metadata,
    ];
    message(OPEN, flags, &fields.concat(), body)
}

fn chat(stream: u64) -> Vec<u8> {
    open(stream, 1_000_000, CHAT, &[0, 0], 0, &[])
}

fn about(kind: u8, stream: u64) -> Vec<u8> {
    message(kind, 0, &stream.to_be_bytes(), &[])
}

fn push(stream: u64, sequence: u64, body: &[u8]) -> Vec<u8> {
    message(PUSH, 0, &[stream.to_be_bytes(), sequence.to_be_bytes()].concat(), body)
}

/// The code of a fault.
fn fault(answer: &[u8]) -> Code {
    assert_eq!(answer[1], FAULT, "{answer:?}");
    Code::from_i32(i32::from(answer[8]))
}

/// Small, and the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Some of its bytes changed, perhaps cut short.
    fn spoil(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.below(3) {
            let at = self.below(bytes.len());
            bytes[at] = self.next() as u8;
        }
        if self.below(4) == 0 {
            bytes.truncate(1 + self.below(bytes.len()));
        }
        bytes
    }
}

/// A server of conversations that never end, whose handlers are counted, and which is impatient.
async fn endless_chats() -> (Net, Alive) {
    let alive = Alive::default();
    let in_handler = alive.clone();
    let mut config = ServerConfig::default();
    config.stream_idle_max = Duration::from_millis(300);
    config.pull_hold = Duration::from_millis(100);
    config.streams_per_peer_max = 50;
    let net = Net::chats(config, move |request| {
        let kept = (in_handler.one(), request);
        async move {
            let notes: Notes = Box::pin(pending().map(move |note| {
                let _kept = &kept;
                note
            }));
            Ok(Response::new(notes))
        }
    })
    .await;
    (net, alive)
}

#[tokio::test]
async fn server__other_versions_learn_which_it_speaks() {
    let (net, _) = endless_chats().await;
    for bytes in [vec![2, 1], vec![255; 100], vec![0, 1, 2]] {
        assert_eq!(net.raw(bytes).await.unwrap(), [0, 1, 1]);
    }
}

#[tokio::test]
async fn server__malformed_messages_are_faults() {
    let (net, alive) = endless_chats().await;
    let huge_value = [0, 1, 1, b'a', 255, 255, 255, 255];
    let status =
        [0, 1, 11, b'g', b'r', b'p', b'c', b'-', b's', b't', b'a', b't', b'u', b's', 0, 0, 0, 0];
    for bytes in [
        vec![1],
        vec![1, OPEN, 0, 0, 0, 0, 0, 8],
        vec![1, PULL, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0],
        message(99, 0, &[0; 8], &[]),
        message(PULL, 0, &[0; 8], b"body"),
        open(1, 1_000_000, "no path", &[0, 0], 1, &[]),
        open(1, 1_000_000, CHAT, &huge_value, 1, &[]),
        open(1, 1_000_000, CHAT, &status, 1, &[]),
    ] {
        assert_eq!(fault(&net.raw(bytes.clone()).await.unwrap()), Code::Internal, "{bytes:?}");
    }
    let too_long = vec![1, OPEN, 0, 0, 255, 255, 255, 255];
    let too_many = open(1, 1_000_000, CHAT, &[255, 255], 1, &[]);
    for bytes in [too_long, too_many] {
        assert_eq!(fault(&net.raw(bytes).await.unwrap()), Code::ResourceExhausted);
    }
    let answer = net.raw(open(1, 100, CHAT, &[0, 0], 1, &[])).await.unwrap();
    assert_eq!(fault(&answer), Code::InvalidArgument);
    for kind in [PULL, CANCEL, TOUCH] {
        let answer = net.raw(about(kind, 77)).await.unwrap();
        assert_eq!(fault(&answer), Code::Unavailable);
    }
    assert_eq!(alive.count(), 0);
}

#[tokio::test]
async fn server__streams_whose_clients_misbehave() {
    let (net, alive) = endless_chats().await;
    let answer = net.raw(chat(5)).await.unwrap();
    assert_eq!(answer[1], ITEM);
    // The same name again; pushes twice and far ahead.
    assert_eq!(fault(&net.raw(chat(5)).await.unwrap()), Code::Internal);
    assert_eq!(fault(&net.raw(push(5, 64, b"x")).await.unwrap()), Code::Internal);
    assert_eq!(fault(&net.raw(push(5, u64::MAX, b"x")).await.unwrap()), Code::Internal);
    // Nobody else's stream.
    let other = Endpoint::bind("127.0.0.1:0", Config::default()).await.unwrap();
    let answer = other.call(net.addr, about(CANCEL, 5)).await.unwrap().into_bytes();
    assert_eq!(fault(&answer), Code::Unavailable);
    assert_eq!(alive.count(), 1);
    // More pulls than are allowed: one of them is told so, and none is lost.
    let mut pulls = tokio::task::JoinSet::new();
    for _ in 0..65 {
        let (endpoint, addr) = (net.calling.clone(), net.addr);
        pulls.spawn(async move { endpoint.call(addr, about(PULL, 5)).await.unwrap().into_bytes() });
    }
    let answers = in_time(pulls.join_all()).await;
    let faults = answers.iter().filter(|answer| answer[1] == FAULT);
    assert_eq!(faults.map(|answer| fault(answer)).collect::<Vec<_>>(), [Code::ResourceExhausted]);
    assert_eq!(answers.iter().filter(|answer| answer[1] == NOTHING).count(), 64);
    assert_eq!(net.raw(about(CANCEL, 5)).await.unwrap()[1], NOTHING);
    alive.becomes(0).await;
}

#[tokio::test]
async fn server__half_open_streams_are_bounded_and_given_up() {
    let (net, alive) = endless_chats().await;
    for stream in 0..50 {
        assert_eq!(net.raw(chat(stream)).await.unwrap()[1], ITEM);
    }
    assert_eq!(fault(&net.raw(chat(50)).await.unwrap()), Code::ResourceExhausted);
    assert_eq!(alive.count(), 50);
    alive.becomes(0).await;
    assert_eq!(net.raw(chat(50)).await.unwrap()[1], ITEM);
}

#[tokio::test]
async fn server__messages_of_all_kinds_spoiled() {
    let (net, alive) = endless_chats().await;
    let mut random = Random(0x5EED);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..3000 {
        let stream = random.next() % 4;
        let kind = [PULL, CANCEL, TOUCH][random.below(3)];
        let length = 1 + random.below(80);
        let bytes = match random.below(5) {
            0 => random.bytes(length),
            1 => chat(stream),
            2 => push(stream, random.next() % 70, b"\0\0\0\0\x03\x12\x01x"),
            _ => about(kind, stream),
        };
        let bytes = random.spoil(bytes);
        let options = CallOptions::new().deadline(Duration::from_millis(500));
        let call = net.calling.call_with(net.addr, bytes, options);
        calls.spawn(async move { drop(call.await) });
        if calls.len() > 100 {
            calls.join_next().await;
        }
    }
    in_time(calls.join_all()).await;
    // It is as before, and all that was begun is given up.
    alive.becomes(0).await;
    assert_eq!(net.raw(chat(9)).await.unwrap()[1], ITEM);
}

#[tokio::test]
async fn server__requests_that_nobody_takes_are_bounded() {
    let mut config = ServerConfig::default();
    config.held_bytes_max = 100_000;
    let net = Net::chats(config, |request| async {
        // Kept, and not read.
        let notes: Notes = Box::pin(request.into_inner().skip_while(|_| true).chain(pending()));
        std::future::pending::<()>().await;
        Ok(Response::new(notes))
    })
    .await;
    // Each client has half of it.
    let other = Endpoint::bind("127.0.0.1:0", Config::default()).await.unwrap();
    for client in [&net.calling, &other] {
        let mut refused = 0;
        for stream in 0..10 {
            let call = open(stream, 1_000_000, CHAT, &[0, 0], 0, &[0; 24_000]);
            let answer = client.call(net.addr, call).await;
            refused += usize::from(answer.is_err_and(|error| error.is_retryable()));
        }
        assert_eq!(refused, 8);
    }
    // Nor are those waited for that never have room.
    for bytes in [open(99, 1_000_000, CHAT, &[0, 0], 0, &[0; 60_000]), push(1, 0, &[0; 60_000])] {
        assert_eq!(fault(&net.raw(bytes).await.unwrap()), Code::ResourceExhausted);
    }
}

/// Why a stream was given up is told to who asks later, too.
#[tokio::test]
async fn server__a_pull_behind_the_end_learns_why() {
    let mut config = ServerConfig::default();
    config.deadline = Some(Duration::from_millis(50));
    let net =
        Net::chats(config, |_| async { Ok(Response::new(Box::pin(pending()) as Notes)) }).await;
    assert_eq!(net.raw(chat(1)).await.unwrap()[1], ITEM);
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..2 {
        assert_eq!(fault(&net.raw(about(PULL, 1)).await.unwrap()), Code::DeadlineExceeded);
    }
    assert_eq!(fault(&net.raw(about(PULL, 2)).await.unwrap()), Code::Unavailable);
}

/// Who fills a server up keeps others from pushing, not from pulling.
#[tokio::test]
async fn server__pulls_go_on_while_much_is_held() {
    let mut config = ServerConfig::default();
    config.pull_hold = Duration::from_millis(100);
    config.held_bytes_max = 100_000;
    let net = Net::chats(config, |request| async move {
        let notes: Notes = Box::pin(pending().map(move |note| {
            let _kept = &request;
            note
        }));
        Ok(Response::new(notes))
    })
    .await;
    for stream in [1, 2] {
        assert_eq!(net.raw(chat(stream)).await.unwrap()[1], ITEM);
    }
    let (calling, addr) = (net.calling.clone(), net.addr);
    // The push before it never comes.
    let early = tokio::spawn(async move { calling.call(addr, push(1, 1, &[0; 40_000])).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    // This client has nearly its half then.
    let refused = net.raw(push(2, 0, &[0; 40_000])).await;
    assert!(matches!(refused, Err(homa::CallError::Overloaded { .. })), "{refused:?}");
    assert_eq!(net.raw(about(PULL, 2)).await.unwrap()[1], NOTHING);
    assert_eq!(net.raw(about(CANCEL, 1)).await.unwrap()[1], NOTHING);
    assert_eq!(early.await.unwrap().unwrap().into_bytes()[1], TAKEN);
}

/// What is wanted sooner is not kept out by what came before it.
#[tokio::test]
async fn server__a_push_that_came_early_makes_room_for_the_one_before_it() {
    let mut config = ServerConfig::default();
    config.held_bytes_max = 200_000;
    let net = Net::chats(config, echo).await;
    assert_eq!(net.raw(chat(1)).await.unwrap()[1], ITEM);
    let (calling, addr) = (net.calling.clone(), net.addr);
    let early = tokio::spawn(async move { calling.call(addr, push(1, 1, &[0; 60_000])).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(in_time(net.raw(push(1, 0, &[0; 60_000]))).await.unwrap()[1], TAKEN);
    let early = in_time(early).await.unwrap();
    assert!(matches!(early, Err(homa::CallError::Overloaded { .. })), "{early:?}");
    assert_eq!(in_time(net.raw(push(1, 1, &[0; 60_000]))).await.unwrap()[1], TAKEN);
}

/// Always one that came too early, but none for long.
#[tokio::test]
async fn server__a_stream_that_goes_on_is_not_stuck() {
    let mut config = ServerConfig::default();
    config.stream_idle_max = Duration::from_millis(300);
    let net = Net::chats(config, echo).await;
    assert_eq!(net.raw(chat(1)).await.unwrap()[1], ITEM);
    let mut pushes = tokio::task::JoinSet::new();
    let mut begin = |sequence| {
        let (calling, addr) = (net.calling.clone(), net.addr);
        let push = push(1, sequence, b"\0\0\0\0\x03\x12\x01x");
        pushes.spawn(async move { calling.call(addr, push).await.unwrap().into_bytes() });
    };
    begin(1);
    for pair in 0..50 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        begin(2 * pair + 3);
        tokio::time::sleep(Duration::from_millis(10)).await;
        begin(2 * pair);
    }
    // The last has none before it.
    for _ in 0..100 {
        let answer = in_time(pushes.join_next()).await.unwrap().unwrap();
        assert_eq!(answer[1..3], [TAKEN, 0]);
    }
}

/// What a handler makes of half a request is no answer to its client, which is alive.
#[tokio::test]
async fn server__a_stream_that_it_gives_up_does_not_end_well() {
    let mut config = ServerConfig::default();
    config.stream_idle_max = Duration::from_millis(200);
    let net = Net::chats(config, |request| async move {
        let notes = request.into_inner().take_while(Result::is_ok).filter(|_| false);
        let notes: Notes = Box::pin(notes.chain(tokio_stream::once(Ok(note("all of it")))));
        Ok(Response::new(notes))
    })
    .await;
    assert_eq!(net.raw(chat(1)).await.unwrap()[1], ITEM);
    let (calling, addr) = (net.calling.clone(), net.addr);
    let pull = tokio::spawn(async move { calling.call(addr, about(PULL, 1)).await });
    // The push before it never comes.
    assert_eq!(in_time(net.raw(push(1, 1, b"x"))).await.unwrap()[1], TAKEN);
    let answer = in_time(pull).await.unwrap().unwrap().into_bytes();
    assert_eq!(fault(&answer), Code::Unavailable);
}

/// Pushes behind one that never comes do not wait, and hold what they hold, for ever.
#[tokio::test]
async fn server__a_push_that_never_comes_ends_its_stream() {
    let (net, alive) = endless_chats().await;
    assert_eq!(net.raw(chat(1)).await.unwrap()[1], ITEM);
    let answer = in_time(net.raw(push(1, 1, b"x"))).await.unwrap();
    assert_eq!(answer[1], TAKEN);
    alive.becomes(0).await;
}

/// A Homa port that a test serves itself.
async fn port() -> (Endpoint, Addr, homa::Server) {
    let endpoint = Endpoint::bind("127.0.0.1:0", Config::default()).await.unwrap();
    let addr = Addr::new(endpoint.local_addr(), 7).unwrap();
    let server = endpoint.serve(7).unwrap();
    (endpoint, addr, server)
}

/// A client of its own endpoint.
async fn chatter(addr: Addr) -> RouteGuideClient<HomaChannel> {
    let calling = Endpoint::bind("127.0.0.1:0", Config::default()).await.unwrap();
    RouteGuideClient::new(HomaChannel::connect(&calling, addr).unwrap())
}

/// A server that answers whatever `answer` says.
async fn impostor(mut answer: impl FnMut() -> Vec<u8> + Send + 'static) -> (Endpoint, Addr) {
    let (endpoint, addr, server) = port().await;
    tokio::spawn(async move {
        while let Some(mut request) = server.accept().await {
            let _ = request.reply(answer());
        }
    });
    (endpoint, addr)
}

fn item(sequence: u64, flags: u8, rest: &[u8], body: &[u8]) -> Vec<u8> {
    message(ITEM, flags, &[&sequence.to_be_bytes(), rest].concat(), body)
}

async fn greet(addr: Addr) -> tonic::Status {
    let calling = Endpoint::bind("127.0.0.1:0", Config::default()).await.unwrap();
    let mut greeter = GreeterClient::new(HomaChannel::connect(&calling, addr).unwrap());
    let hello = HelloRequest { name: "x".to_owned() };
    in_time(greeter.say_hello(hello)).await.unwrap_err()
}

#[tokio::test]
async fn client__answers_that_are_none() {
    let ok = [0, 0, 0, 0, 0, 0, 0];
    for (answer, code) in [
        (vec![0, 2, 8, 9], Code::Unimplemented),
        (vec![7, 7, 7], Code::Unimplemented),
        (vec![1], Code::Internal),
        (message(TAKEN, 0, &[], &[]), Code::Internal),
        (message(NOTHING, 0, &[], &[]), Code::Internal),
        (message(FAULT, 0, &[0, 0, 0, 0, 0], &[]), Code::Unknown),
        // Not the first; without headers; with a message that is cut off.
        (item(1, 2, &ok, &[]), Code::Internal),
        (item(0, 0, &[], b"x"), Code::Internal),
        (item(0, 3, &[&[0, 0], &ok[..]].concat(), &[0, 0, 0, 0, 9, 1]), Code::Internal),
    ] {
        let (_endpoint, addr) = impostor({
            let answer = answer.clone();
            move || answer.clone()
        })
        .await;
        let status = greet(addr).await;
        assert_eq!(status.code(), code, "{answer:?}: {status}");
    }
}

/// Invalid base64 in `grpc-status-details-bin` can't be said: any bytes are valid, and tonic gets base64
/// that this side wrote.
#[tokio::test]
async fn client__any_status_details() {
    let name = b"grpc-status-details-bin";
    let metadata = [&[0, 1, name.len() as u8], &name[..], &[0, 0, 0, 4], b"!\xff\0%"].concat();
    let trailers = [&[5, 0, 0, 0, 0], &metadata[..]].concat();
    let (_endpoint, addr) = impostor(move || item(0, 2, &trailers, &[])).await;
    let status = greet(addr).await;
    assert_eq!((status.code(), status.details()), (Code::NotFound, &b"!\xff\0%"[..]));
}

#[tokio::test]
async fn client__streams_of_a_server_that_misbehaves() {
    let begin = item(0, 1, &[0, 0], &[]);
    for (then, code) in [
        // The same item again and again; one from the future; headers again; no answer to a pull.
        (item(0, 0, &[], b"x"), Code::Internal),
        (item(99, 0, &[], b"x"), Code::Internal),
        (item(1, 1, &[0, 0], b"x"), Code::Internal),
        (message(TAKEN, 0, &[], &[]), Code::Internal),
        (message(FAULT, 0, &[14, 0, 0, 0, 0], &[]), Code::Unavailable),
        (vec![255; 20], Code::Unimplemented),
    ] {
        let mut answers = vec![begin.clone()];
        let next = then.clone();
        let (_endpoint, addr) = impostor(move || answers.pop().unwrap_or(next.clone())).await;
        let mut client = chatter(addr).await;
        let notes = in_time(client.route_chat(pending())).await.unwrap();
        let status = in_time(notes.into_inner().message()).await.unwrap_err();
        assert_eq!(status.code(), code, "{then:?}: {status}");
    }
}

/// A pull that a busy server turns away is made again: others than pushes lose nothing.
#[tokio::test]
async fn client__pulls_again_when_the_server_was_too_busy() {
    let (_endpoint, addr, server) = port().await;
    let turned_away = tokio::spawn(async move {
        let mut turned_away = 0;
        while let Some(mut request) = server.accept().await {
            if request.take_message().into_bytes()[1] == OPEN {
                let _ = request.reply(item(0, 1, &[0, 0], &[]));
            } else if turned_away < 3 {
                turned_away += 1;
                request.refuse(homa::RefuseReason::Overloaded);
            } else {
                let _ = request.reply(item(1, 2, &[0, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 0]));
                break;
            }
        }
        turned_away
    });
    let mut client = chatter(addr).await;
    let notes = in_time(client.route_chat(pending())).await.unwrap().into_inner();
    let notes: Result<Vec<_>, _> = in_time(notes.collect()).await;
    assert_eq!((notes.unwrap().len(), turned_away.await.unwrap()), (1, 3));
}

/// One that has nothing to say, and says so at once, is not asked as fast as the network allows.
#[tokio::test]
async fn client__a_server_that_says_nothing_again_and_again() {
    let count = Arc::new(AtomicUsize::new(0));
    let answers = Arc::clone(&count);
    let (_endpoint, addr) = impostor(move || match answers.fetch_add(1, Ordering::SeqCst) {
        0 => item(0, 1, &[0, 0], &[]),
        _ => message(NOTHING, 0, &[], &[]),
    })
    .await;
    let mut client = chatter(addr).await;
    let mut notes = in_time(client.route_chat(pending())).await.unwrap().into_inner();
    assert!(tokio::time::timeout(Duration::from_millis(500), notes.message()).await.is_err());
    let count = count.load(Ordering::SeqCst);
    assert!((3..600).contains(&count), "{count}");
}

/// A server that has given its last answer, and refuses the pulls that come behind: its refusal, which is
/// shorter, is there first.
async fn going(answers_last: bool) -> Result<Vec<String>, tonic::Status> {
    let (_endpoint, addr, server) = port().await;
    tokio::spawn(async move {
        let mut pulls = Vec::new();
        while let Some(mut request) = server.accept().await {
            if request.take_message().into_bytes()[1] == OPEN {
                // With a backlog: the client pulls twice.
                let _ = request.reply(item(0, 1 | 4, &[0, 0], &[]));
                continue;
            }
            pulls.push(request);
            if pulls.len() == 2 {
                pulls.pop().unwrap().refuse(homa::RefuseReason::NotServing);
                tokio::time::sleep(Duration::from_millis(50)).await;
                let end = item(1, 2, &[0, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 0]);
                let mut last = pulls.pop().unwrap();
                if answers_last {
                    let _ = last.reply(end);
                } else {
                    last.refuse(homa::RefuseReason::NotServing);
                }
            }
        }
    });
    let mut client = chatter(addr).await;
    let notes = in_time(client.route_chat(pending())).await?.into_inner();
    in_time(notes.map(|note| Ok(note?.message)).collect()).await
}

#[tokio::test]
async fn client__a_refused_pull_does_not_overtake_the_end() {
    assert_eq!(going(true).await.unwrap(), [""]);
}

/// A fault that overtook the end does not stand for the deadline that passes before the end is there.
#[tokio::test]
async fn client__a_fault_does_not_hide_the_deadline() {
    let (_endpoint, addr, server) = port().await;
    tokio::spawn(async move {
        let mut first_pull = None;
        while let Some(mut request) = server.accept().await {
            if request.take_message().into_bytes()[1] == OPEN {
                // With a backlog: the client pulls twice.
                let _ = request.reply(item(0, 1 | 4, &[0, 0], &[]));
            } else if first_pull.is_none() {
                first_pull = Some(request);
            } else {
                let _ = request.reply(message(FAULT, 0, &[14, 0, 0, 0, 0], &[]));
            }
        }
    });
    let mut client = chatter(addr).await;
    let mut request = tonic::Request::new(pending());
    request.set_timeout(Duration::from_millis(53));
    let mut notes = in_time(client.route_chat(request)).await.unwrap().into_inner();
    let status = in_time(notes.message()).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

/// The call was begun: whoever repeats what was certainly not done must not take it for such.
#[tokio::test]
async fn client__a_refused_pull_does_not_say_that_nothing_was_done() {
    let status = going(false).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let source = std::error::Error::source(&status);
    assert!(source.is_none_or(|source| !source.is::<homa::CallError>()), "{status:?}");
}

#[tokio::test]
async fn client__answers_of_all_kinds_spoiled() {
    let mut random = Random(0xBAD5EED);
    let (_endpoint, addr) = impostor(move || {
        let sequence = random.next() % 3;
        let answer = match random.below(6) {
            0 => random.bytes(40),
            1 => message(TAKEN, 0, &[], &[]),
            2 => message(NOTHING, 0, &[], &[]),
            3 => item(0, 1, &[0, 1, 1, b'a', 0, 0, 0, 1, b'b'], b"\0\0\0\0\x03\x12\x01x"),
            4 => item(sequence, 4, &[], b"\0\0\0\0\x03\x12\x01x"),
            _ => item(sequence, 2, &[0, 0, 0, 0, 0, 0, 0], &[]),
        };
        random.spoil(answer)
    })
    .await;
    let calling = Endpoint::bind("127.0.0.1:0", Config::default()).await.unwrap();
    let channel = HomaChannel::connect(&calling, addr).unwrap();
    for _ in 0..500 {
        let mut client = RouteGuideClient::new(channel.clone());
        let notes = tokio_stream::iter([note("x")]).chain(pending());
        // A server that says nothing again and again is slow, not wrong.
        let conversation = async {
            if let Ok(notes) = client.route_chat(notes).await {
                let mut notes = notes.into_inner();
                while let Ok(Some(_)) = notes.message().await {}
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(200), conversation).await;
    }
    // The endpoint is as good as ever.
    let net = Net::greets(|_| async { reply("well") }).await;
    let channel = HomaChannel::connect(&calling, net.addr).unwrap();
    let hello = HelloRequest { name: "x".to_owned() };
    let reply = in_time(GreeterClient::new(channel).say_hello(hello)).await.unwrap();
    assert_eq!(reply.into_inner().message, "well");
}
