//! Streams: order, back-pressure, ends, and clients that vanish.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use homa::{Config, Endpoint, FaultPlan};
use homa_grpc::{ChannelConfig, HomaChannel, Server, ServerConfig};
use homa_grpc_interop::routeguide::RouteNote;
use homa_grpc_interop::routeguide::route_guide_client::RouteGuideClient;
use support::{Alive, Net, Notes, boxed, chats, echo, eventually, in_time, note};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{StreamExt, iter, pending};
use tonic::{Code, Request, Response, Status};

fn short_times() -> ServerConfig {
    let mut config = ServerConfig::default();
    config.stream_idle_max = Duration::from_millis(300);
    config.pull_hold = Duration::from_millis(100);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat__all_messages_in_order_on_a_bad_network() {
    let mut config = Config::default();
    config.proto.timing.timeout = homa::proto::Duration::from_secs(2);
    config.fault = Some("drop=0.05,dup=0.05,reorder=0.1".parse::<FaultPlan>().unwrap());
    let serving = Endpoint::bind("127.0.0.1:0", config.clone()).await.unwrap();
    let calling = Endpoint::bind("127.0.0.1:0", config).await.unwrap();
    let addr = homa::Addr::new(serving.local_addr(), 7).unwrap();
    tokio::spawn(Server::builder().add_service(chats(echo)).serve(serving.serve(7).unwrap()));
    let channel = HomaChannel::connect(&calling, addr).unwrap();
    let (sender, notes) = mpsc::channel(4);
    tokio::spawn(async move {
        for number in 0..2000 {
            let text = format!("{number} {}", "x".repeat(number * 37 % 3000));
            if sender.send(note(text)).await.is_err() {
                return;
            }
        }
    });
    let mut client = RouteGuideClient::new(channel);
    let answers = client.route_chat(ReceiverStream::new(notes)).await.unwrap();
    let mut answers = answers.into_inner();
    for number in 0..2000 {
        let text = in_time(answers.message()).await.unwrap().unwrap().message;
        assert_eq!(text, format!("{number} {}", "x".repeat(number * 37 % 3000)));
    }
    assert_eq!(in_time(answers.message()).await.unwrap(), None);
    assert!(calling.stats().protocol.resent_packets > 0, "the network was good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn download__messages_longer_than_a_homa_message() {
    let net = Net::chats(ServerConfig::default(), |_| async {
        let notes = (1..8).map(|count| Ok(note("x".repeat(count * 400_000))));
        Ok(Response::new(boxed(iter(notes))))
    })
    .await;
    let mut notes = net.chatter().route_chat(iter([])).await.unwrap().into_inner();
    for count in 1..8 {
        let text = in_time(notes.message()).await.unwrap().unwrap().message;
        assert_eq!(text.len(), count * 400_000);
    }
    assert_eq!(notes.message().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn download__a_slow_reader_holds_the_handler_back() {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    let net = Net::chats(short_times(), move |_| {
        let counter = Arc::clone(&counter);
        let notes = iter(0..200).map(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(note("x".repeat(100_000)))
        });
        async move { Ok(Response::new(boxed(notes))) }
    })
    .await;
    let mut config = ChannelConfig::default();
    config.keep_alive = Duration::from_millis(50);
    config.pulls_max = 4;
    let mut client = net.chatter_with(config);
    let mut notes = client.route_chat(pending()).await.unwrap().into_inner();
    // Longer than the server is patient with clients that say nothing.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ahead = made.load(Ordering::SeqCst);
    assert!((4..120).contains(&ahead), "{ahead}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(made.load(Ordering::SeqCst), ahead);
    for _ in 0..200 {
        assert!(in_time(notes.message()).await.unwrap().is_some());
    }
    assert_eq!(notes.message().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload__a_slow_handler_holds_the_client_back() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let net = Net::chats(ServerConfig::default(), move |request| {
        let mut go = gone.clone();
        async move {
            let mut requests = request.into_inner();
            let notes = async_stream(async move {
                go.wait_for(|go| *go).await.unwrap();
                let mut count = 0;
                while let Some(note) = requests.message().await? {
                    assert_eq!(note.message.len(), 100_000);
                    count += 1;
                }
                Ok(note(count.to_string()))
            });
            Ok(Response::new(notes))
        }
    })
    .await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let notes = iter(0..300).map(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        note("x".repeat(100_000))
    });
    let mut answers = net.chatter().route_chat(notes).await.unwrap().into_inner();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ahead = sent.load(Ordering::SeqCst);
    assert!((2..60).contains(&ahead), "{ahead}");
    go.send(true).unwrap();
    assert_eq!(in_time(answers.message()).await.unwrap().unwrap().message, "300");
    assert_eq!(answers.message().await.unwrap(), None);
}

/// A stream of the one note that a future makes.
fn async_stream(work: impl Future<Output = Result<RouteNote, Status>> + Send + 'static) -> Notes {
    let (sender, notes) = mpsc::channel(1);
    tokio::spawn(async move { sender.send(work.await).await });
    boxed(ReceiverStream::new(notes))
}

#[tokio::test]
async fn headers__do_not_wait_for_messages() {
    let net = Net::chats(short_times(), |_| async {
        let mut response = Response::new(boxed(pending()));
        response.metadata_mut().insert("early", "yes".parse().unwrap());
        Ok(response)
    })
    .await;
    let response = in_time(net.chatter().route_chat(pending())).await.unwrap();
    assert_eq!(response.metadata().get("early").unwrap(), "yes");
}

#[tokio::test]
async fn idle__a_stream_goes_on_after_it() {
    let net = Net::chats(short_times(), echo).await;
    let (sender, notes) = mpsc::channel(1);
    let answers = net.chatter().route_chat(ReceiverStream::new(notes)).await.unwrap();
    let mut answers = answers.into_inner();
    for text in ["before", "after"] {
        sender.send(note(text)).await.unwrap();
        assert_eq!(in_time(answers.message()).await.unwrap().unwrap().message, text);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    drop(sender);
    assert_eq!(in_time(answers.message()).await.unwrap(), None);
}

/// A push that waited for a busy handler was no silence of its client, which has nothing else to say: it
/// does not read what the only pull brought that it may have under way.
#[tokio::test]
async fn idle__waiting_for_the_handler_is_no_silence() {
    let net = Net::chats(short_times(), |request| async {
        let mut notes = request.into_inner();
        let busy = async move {
            tokio::time::sleep(Duration::from_millis(600)).await;
            notes.message().await?;
            tokio::time::sleep(Duration::from_millis(600)).await;
            Ok(note("done"))
        };
        let (sender, rest) = mpsc::channel(1);
        tokio::spawn(async move { sender.send(busy.await).await });
        // Each is an answer of its own.
        let begin = iter((0..2).map(|_| Ok(note("y".repeat(100_000)))));
        Ok(Response::new(boxed(begin.chain(ReceiverStream::new(rest)))))
    })
    .await;
    let mut config = ChannelConfig::default();
    config.pulls_max = 1;
    config.message_bytes_max = 110_000;
    config.keep_alive = Duration::from_millis(150);
    let (sender, notes) = mpsc::channel(2);
    let mut chatter = net.chatter_with(config);
    let answers = chatter.route_chat(ReceiverStream::new(notes)).await.unwrap();
    sender.send(note("x")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1300)).await;
    let lengths: Vec<_> =
        in_time(answers.into_inner().map(|note| note.unwrap().message.len()).collect()).await;
    assert_eq!(lengths, [100_000, 100_000, "done".len()]);
}

/// More pushes under way than servers take are not sent.
#[tokio::test]
async fn upload__of_a_client_that_would_push_without_end() {
    let net = Net::chats(ServerConfig::default(), |request| async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        echo(request).await
    })
    .await;
    let mut config = ChannelConfig::default();
    (config.pushes_max, config.pulls_max) = (1000, 1000);
    config.message_bytes_max = 1024;
    let notes = iter(0..300).map(|_| note("x".repeat(900)));
    let answers = in_time(net.chatter_with(config).route_chat(notes)).await.unwrap();
    let answers: Result<Vec<_>, _> = in_time(answers.into_inner().collect()).await;
    assert_eq!(answers.unwrap().len(), 300);
}

/// Uploads that nobody reads take a part of what the endpoint may send, and leave room for others.
#[tokio::test]
async fn upload__that_is_not_read_does_not_keep_others_from_calling() {
    let net = Net::chats(ServerConfig::default(), |request| async {
        if request.metadata().contains_key("echo") {
            return echo(request).await;
        }
        // Kept, and not read.
        let notes = request.into_inner().skip_while(|_| true);
        Ok(Response::new(boxed(pending().chain(notes))))
    })
    .await;
    let mut config = Config::default();
    config.proto.limits.outgoing_bytes_max = 12_000_000;
    let calling = Endpoint::bind("127.0.0.1:0", config).await.unwrap();
    let client = RouteGuideClient::new(HomaChannel::connect(&calling, net.addr).unwrap());
    let mut open = Vec::new();
    for _ in 0..10 {
        let notes = iter(0..8).map(|_| note("x".repeat(500_000)));
        open.push(in_time(client.clone().route_chat(notes.chain(pending()))).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Another channel of the endpoint, as to another server.
    let channel = HomaChannel::connect(&calling, net.addr).unwrap();
    for mut client in [client, RouteGuideClient::new(channel)] {
        let (sender, notes) = mpsc::channel(1);
        let mut request = Request::new(ReceiverStream::new(notes));
        request.metadata_mut().insert("echo", "yes".parse().unwrap());
        let mut answers = in_time(client.route_chat(request)).await.unwrap().into_inner();
        for _ in 0..8 {
            sender.send(note("y".repeat(200_000))).await.unwrap();
            assert!(in_time(answers.message()).await.unwrap().is_some());
        }
    }
}

/// A server that holds as much as it may turns pushes away, and gets them again, in order.
#[tokio::test]
async fn upload__goes_on_when_a_busy_server_has_turned_it_away() {
    let mut config = ServerConfig::default();
    config.held_bytes_max = 200_000;
    let net = Net::chats(config, |request| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        echo(request).await
    })
    .await;
    let mut config = ChannelConfig::default();
    config.pushes_max = 64;
    config.message_bytes_max = 31_000;
    let notes = (0..20).map(|number| note(format!("{number:030000}")));
    let answers = in_time(net.chatter_with(config).route_chat(iter(notes))).await.unwrap();
    let answers: Result<Vec<_>, _> = in_time(answers.into_inner().collect()).await;
    let numbers = answers.unwrap().into_iter().map(|note| note.message.parse::<u32>().unwrap());
    assert!(numbers.eq(0..20));
    assert!(net.calling.stats().protocol.client_requests_started > 25, "nothing was turned away");
}

/// More pushes under way than the server has room for: those that are due are not kept out by others.
#[tokio::test]
async fn upload__in_a_window_beyond_the_servers_room() {
    let mut config = ServerConfig::default();
    config.held_bytes_max = 200_000;
    let net = Net::chats(config, |request| async {
        let notes = request.into_inner();
        Ok(Response::new(async_stream(async move {
            let count =
                notes.map(|note| note.map(drop)).collect::<Result<Vec<_>, _>>().await?.len();
            Ok(note(count.to_string()))
        })))
    })
    .await;
    let mut config = ChannelConfig::default();
    config.pushes_max = 32;
    config.message_bytes_max = 31_000;
    let notes = iter(0..100).map(|_| note("x".repeat(30_000)));
    let begin = std::time::Instant::now();
    let mut answers =
        in_time(net.chatter_with(config).route_chat(notes)).await.unwrap().into_inner();
    assert_eq!(in_time(answers.message()).await.unwrap().unwrap().message, "100");
    // Not the pause of a busy server for every few of them, which would be 14 s.
    assert!(begin.elapsed() < Duration::from_secs(7), "{:?}", begin.elapsed());
}

/// What can't be sent fails the stream, whatever its server does not say meanwhile.
#[tokio::test]
async fn upload__longer_than_the_server_takes_fails_soon() {
    let mut short = Config::default();
    short.proto.message_length_max = 100_000;
    let serving = Endpoint::bind("127.0.0.1:0", short).await.unwrap();
    let calling = Endpoint::bind("127.0.0.1:0", Config::default()).await.unwrap();
    let addr = homa::Addr::new(serving.local_addr(), 7).unwrap();
    let mut config = ServerConfig::default();
    config.message_bytes_max = 100_000;
    let server = Server::builder().config(config).add_service(chats(echo));
    tokio::spawn(server.serve(serving.serve(7).unwrap()));
    let mut client = RouteGuideClient::new(HomaChannel::connect(&calling, addr).unwrap());
    let (sender, notes) = mpsc::channel(1);
    let answers = in_time(client.route_chat(ReceiverStream::new(notes))).await.unwrap();
    sender.send(note("x".repeat(500_000))).await.unwrap();
    // A pull waits for 10 s.
    let status = tokio::time::timeout(Duration::from_secs(5), answers.into_inner().message()).await;
    assert_eq!(status.unwrap().unwrap_err().code(), Code::ResourceExhausted);
}

/// What a call held is let go of when its handler reads on, whether or not a message came with it.
#[tokio::test]
async fn limits__metadata_that_handlers_have_taken_do_not_count() {
    let mut config = ServerConfig::default();
    config.held_bytes_max = 100_000;
    let net = Net::chats(config, echo).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut request = Request::new(pending());
        request.metadata_mut().insert("token", "x".repeat(30_000).parse().unwrap());
        open.push(in_time(net.chatter().route_chat(request)).await.unwrap());
    }
}

/// A server that has notes of 10,000 bytes without end; and how many bytes of them its handlers were asked for.
async fn endless_notes(config: ServerConfig) -> (Net, Arc<AtomicUsize>) {
    let said = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&said);
    let net = Net::chats(config, move |_| {
        let said = Arc::clone(&counter);
        let notes = iter(0..).map(move |_| {
            said.fetch_add(10_000, Ordering::SeqCst);
            Ok(note("x".repeat(10_000)))
        });
        async { Ok(Response::new(boxed(notes))) }
    })
    .await;
    (net, said)
}

/// Handlers whose clients do not read are not asked for more than all of them together may have ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits__responses_ready_before_they_are_asked_for() {
    let mut config = ServerConfig::default();
    config.ahead_bytes_max = 2_000_000;
    let (net, said) = endless_notes(config).await;
    let mut config = ChannelConfig::default();
    config.pulls_max = 1;
    let mut open = Vec::new();
    for _ in 0..20 {
        let answers =
            in_time(net.chatter_with(config.clone()).route_chat(pending())).await.unwrap();
        open.push(answers.into_inner());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    // What the clients have room for: the answer to the call, and to one pull. Each is 64 KiB and two frames
    // of 40 KB at most; one stream may be at a message of 1 MB when it is enough.
    let said_before = said.load(Ordering::SeqCst);
    let most = 20 * 2 * 150_000 + 2_000_000 + 2 * 1_100_000;
    assert!((2_000_000..most).contains(&said_before), "{said_before}");
    // All of them go on.
    for answers in &mut open {
        for _ in 0..200 {
            assert!(in_time(answers.message()).await.unwrap().is_some());
        }
    }
}

/// Readers that are busy do not make their client hold all that it might ask for.
#[tokio::test]
async fn limits__responses_that_nobody_reads() {
    let mut config = ServerConfig::default();
    config.ahead_bytes_max = 0;
    let (net, said) = endless_notes(config).await;
    let mut config = ChannelConfig::default();
    config.unread_bytes_max = 500_000;
    let client = net.chatter_with(config);
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(in_time(client.clone().route_chat(pending())).await.unwrap().into_inner());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Of each stream the answer to the call and one more of up to 150 KB, which is eight without a limit.
    let unread = said.load(Ordering::SeqCst);
    assert!((1_000_000..10 * 2 * 150_000 + 800_000).contains(&unread), "{unread}");
    for answers in &mut open {
        for _ in 0..100 {
            assert!(in_time(answers.message()).await.unwrap().is_some());
        }
    }
}

/// What a handler has taken is held by nobody any more, though its stream goes on.
#[tokio::test]
async fn limits__bytes_that_handlers_have_taken_do_not_count() {
    let mut config = ServerConfig::default();
    config.held_bytes_max = 130_000;
    let net = Net::chats(config, echo).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let (sender, notes) = mpsc::channel(1);
        sender.send(note("x".repeat(60_000))).await.unwrap();
        let answers = in_time(net.chatter().route_chat(ReceiverStream::new(notes))).await.unwrap();
        let mut answers = answers.into_inner();
        assert!(in_time(answers.message()).await.unwrap().is_some());
        open.push((sender, answers));
    }
}

#[tokio::test]
async fn end__a_handler_that_does_not_read_on() {
    let net = Net::chats(ServerConfig::default(), |_| async {
        Err(Status::permission_denied("nobody may"))
    })
    .await;
    // The request never ends, and is never read.
    let notes = iter(0..).map(|_| note("x".repeat(50_000)));
    let status = in_time(net.chatter().route_chat(notes)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn end__a_failing_stream_gives_its_messages_first() {
    let net = Net::chats(ServerConfig::default(), |_| async {
        let notes = iter([Ok(note("one")), Ok(note("two")), Err(Status::data_loss("three"))]);
        Ok(Response::new(boxed(notes)))
    })
    .await;
    let mut notes = net.chatter().route_chat(iter([])).await.unwrap().into_inner();
    assert_eq!(notes.message().await.unwrap().unwrap().message, "one");
    assert_eq!(notes.message().await.unwrap().unwrap().message, "two");
    assert_eq!(notes.message().await.unwrap_err().code(), Code::DataLoss);
}

#[tokio::test]
async fn end__a_handler_whose_stream_panics() {
    let net = Net::chats(ServerConfig::default(), |_| async {
        let notes = iter(0..3).then(|number| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(number < 2, "a stream that panics, as the test wants it");
            Ok(note("x"))
        });
        Ok(Response::new(boxed(notes)))
    })
    .await;
    let mut notes = net.chatter().route_chat(pending()).await.unwrap().into_inner();
    assert!(notes.message().await.unwrap().is_some());
    assert!(notes.message().await.unwrap().is_some());
    assert_eq!(in_time(notes.message()).await.unwrap_err().code(), Code::Internal);
}

#[tokio::test]
async fn deadline__of_a_stream() {
    let alive = Alive::default();
    let in_handler = alive.clone();
    let net = Net::chats(ServerConfig::default(), move |request| {
        let one = in_handler.one();
        async move {
            let notes = request.into_inner().map(move |note| {
                let _one = &one;
                note
            });
            Ok(Response::new(boxed(notes)))
        }
    })
    .await;
    let (sender, notes) = mpsc::channel(1);
    let mut request = Request::new(ReceiverStream::new(notes));
    request.set_timeout(Duration::from_millis(200));
    let mut answers = net.chatter().route_chat(request).await.unwrap().into_inner();
    sender.send(note("x")).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().message, "x");
    let status = in_time(answers.message()).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    alive.becomes(0).await;
}

#[tokio::test]
async fn cancel__dropping_the_responses_drops_the_handler() {
    let alive = Alive::default();
    let in_handler = alive.clone();
    let net = Net::chats(ServerConfig::default(), move |_| {
        let one = in_handler.one();
        async move {
            let notes = iter(0..).map(move |_| {
                let _one = &one;
                Ok(note("x".repeat(1000)))
            });
            Ok(Response::new(boxed(notes)))
        }
    })
    .await;
    let mut client = net.chatter();
    let mut notes = client.route_chat(pending()).await.unwrap().into_inner();
    assert!(notes.message().await.unwrap().is_some());
    drop(notes);
    alive.becomes(0).await;
    // Before the response has begun, too.
    let call = tokio::time::timeout(Duration::from_millis(1), client.route_chat(pending()));
    drop(call.await);
    alive.becomes(0).await;
}

/// Handlers that pass the request on to a task of theirs: that learns of it, and not as the end.
#[tokio::test]
async fn cancel__is_an_error_to_who_reads_the_request() {
    let (sender, mut ended) = mpsc::channel(1);
    let net = Net::chats(ServerConfig::default(), move |request| {
        let sender = sender.clone();
        tokio::spawn(async move {
            let mut request = request.into_inner();
            let end = loop {
                match request.message().await {
                    Ok(Some(_)) => {}
                    end => break end,
                }
            };
            sender.send(end).await
        });
        async { Ok(Response::new(boxed(pending()))) }
    })
    .await;
    let notes = net.chatter().route_chat(pending()).await.unwrap();
    drop(notes);
    let end = in_time(ended.recv()).await.unwrap();
    assert_eq!(end.unwrap_err().code(), Code::Aborted);
}

#[tokio::test]
async fn half_open__a_client_that_vanishes_is_given_up() {
    let alive = Alive::default();
    let in_handler = alive.clone();
    let net = Net::chats(short_times(), move |_| {
        let one = in_handler.one();
        async move {
            let notes = pending().map(move |note| {
                let _one = &one;
                note
            });
            Ok(Response::new(boxed(notes)))
        }
    })
    .await;
    let vanishing = Endpoint::bind("127.0.0.1:0", Config::default()).await.unwrap();
    let channel = HomaChannel::connect(&vanishing, net.addr).unwrap();
    let mut client = RouteGuideClient::new(channel);
    let notes = client.route_chat(pending()).await.unwrap();
    alive.becomes(1).await;
    vanishing.close();
    alive.becomes(0).await;
    let status = in_time(notes.into_inner().message()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn server_gone__streams_fail_soon() {
    let net = Net::chats(ServerConfig::default(), echo).await;
    let notes = net.chatter().route_chat(pending()).await.unwrap();
    net.serving.close();
    let status = in_time(notes.into_inner().message()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn shutdown__streams_may_end() {
    let net = Net::new().await;
    let (signal, signalled) = tokio::sync::oneshot::channel::<()>();
    let server = Server::builder().add_service(chats(echo));
    let signalled = async { drop(signalled.await) };
    let server = tokio::spawn(server.serve_with_shutdown(net.port(), signalled));
    let (sender, notes) = mpsc::channel(1);
    let answers = net.chatter().route_chat(ReceiverStream::new(notes)).await.unwrap();
    let mut answers = answers.into_inner();
    signal.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    sender.send(note("still")).await.unwrap();
    assert_eq!(in_time(answers.message()).await.unwrap().unwrap().message, "still");
    assert!(!server.is_finished());
    drop(sender);
    assert_eq!(in_time(answers.message()).await.unwrap(), None);
    in_time(server).await.unwrap().unwrap();
}

#[tokio::test]
async fn limits__streams_of_one_client() {
    let mut config = ServerConfig::default();
    config.streams_per_peer_max = 3;
    let net = Net::chats(config, echo).await;
    let mut client = net.chatter();
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(client.route_chat(pending()).await.unwrap());
    }
    let status = in_time(client.route_chat(pending())).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    open.pop();
    // Others may have one as soon as the server knows.
    let mut last = None;
    for _ in 0..100 {
        last = client.route_chat(pending()).await.ok();
        if last.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(last.is_some());
    eventually(|| true).await;
}
