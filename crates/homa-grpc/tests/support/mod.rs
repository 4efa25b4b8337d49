//! Servers whose handlers a test writes as closures, and clients of theirs.
#![allow(dead_code, reason = "each test uses some of it")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use homa::{Addr, Config, Endpoint};
use homa_grpc::{ChannelConfig, HomaChannel, Server, ServerConfig};
use homa_grpc_interop::helloworld::greeter_client::GreeterClient;
use homa_grpc_interop::helloworld::greeter_server::{Greeter, GreeterServer};
use homa_grpc_interop::helloworld::{HelloReply, HelloRequest};
use homa_grpc_interop::routeguide::route_guide_client::RouteGuideClient;
use homa_grpc_interop::routeguide::route_guide_server::{RouteGuide, RouteGuideServer};
use homa_grpc_interop::routeguide::{Feature, Point, Rectangle, RouteNote, RouteSummary};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

pub(crate) type Notes = Pin<Box<dyn Stream<Item = Result<RouteNote, Status>> + Send>>;
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;
pub(crate) type Greet = Arc<dyn Fn(Request<HelloRequest>) -> BoxFuture<HelloReply> + Send + Sync>;
pub(crate) type Chat = Arc<dyn Fn(Request<Streaming<RouteNote>>) -> BoxFuture<Notes> + Send + Sync>;

/// A unary service that does what a closure does.
#[derive(Clone)]
pub(crate) struct Greets(pub(crate) Greet);

/// A streaming service whose conversation is a closure.
#[derive(Clone)]
pub(crate) struct Chats(pub(crate) Chat);

#[tonic::async_trait]
impl Greeter for Greets {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        (self.0)(request).await
    }
}

#[tonic::async_trait]
impl RouteGuide for Chats {
    type ListFeaturesStream = Pin<Box<dyn Stream<Item = Result<Feature, Status>> + Send>>;
    type RouteChatStream = Notes;

    async fn get_feature(&self, _: Request<Point>) -> Result<Response<Feature>, Status> {
        Err(Status::unimplemented("only conversations are"))
    }

    async fn list_features(
        &self,
        _: Request<Rectangle>,
    ) -> Result<Response<Self::ListFeaturesStream>, Status> {
        Err(Status::unimplemented("only conversations are"))
    }

    async fn record_route(
        &self,
        _: Request<Streaming<Point>>,
    ) -> Result<Response<RouteSummary>, Status> {
        Err(Status::unimplemented("only conversations are"))
    }

    async fn route_chat(
        &self,
        request: Request<Streaming<RouteNote>>,
    ) -> Result<Response<Notes>, Status> {
        (self.0)(request).await
    }
}

pub(crate) fn greets<F, R>(greet: F) -> GreeterServer<Greets>
where
    F: Fn(Request<HelloRequest>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response<HelloReply>, Status>> + Send + 'static,
{
    GreeterServer::new(Greets(Arc::new(move |request| Box::pin(greet(request)))))
}

pub(crate) fn chats<F, R>(chat: F) -> RouteGuideServer<Chats>
where
    F: Fn(Request<Streaming<RouteNote>>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response<Notes>, Status>> + Send + 'static,
{
    RouteGuideServer::new(Chats(Arc::new(move |request| Box::pin(chat(request)))))
}

pub(crate) fn reply(message: impl Into<String>) -> Result<Response<HelloReply>, Status> {
    Ok(Response::new(HelloReply { message: message.into() }))
}

pub(crate) fn note(message: impl Into<String>) -> RouteNote {
    RouteNote { location: None, message: message.into() }
}

pub(crate) fn boxed(
    notes: impl Stream<Item = Result<RouteNote, Status>> + Send + 'static,
) -> Notes {
    Box::pin(notes)
}

/// Gives back what it gets.
pub(crate) async fn echo(
    request: Request<Streaming<RouteNote>>,
) -> Result<Response<Notes>, Status> {
    Ok(Response::new(boxed(request.into_inner())))
}

/// A server and the endpoint of its client.
pub(crate) struct Net {
    pub(crate) serving: Endpoint,
    pub(crate) calling: Endpoint,
    pub(crate) addr: Addr,
}

impl Net {
    pub(crate) async fn new() -> Self {
        let mut config = Config::default();
        // Whether a peer is gone must not depend on who has a processor.
        config.proto.timing.timeout = homa::proto::Duration::from_secs(1);
        let serving = Endpoint::bind("127.0.0.1:0", config.clone()).await.unwrap();
        let calling = Endpoint::bind("127.0.0.1:0", config).await.unwrap();
        let addr = Addr::new(serving.local_addr(), 7).unwrap();
        Self { serving, calling, addr }
    }

    pub(crate) fn port(&self) -> homa::Server {
        self.serving.serve(7).unwrap()
    }

    pub(crate) async fn greets<F, R>(greet: F) -> Self
    where
        F: Fn(Request<HelloRequest>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response<HelloReply>, Status>> + Send + 'static,
    {
        let net = Self::new().await;
        tokio::spawn(Server::builder().add_service(greets(greet)).serve(net.port()));
        net
    }

    pub(crate) async fn chats<F, R>(config: ServerConfig, chat: F) -> Self
    where
        F: Fn(Request<Streaming<RouteNote>>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response<Notes>, Status>> + Send + 'static,
    {
        let net = Self::new().await;
        let service = chats(chat).max_decoding_message_size(64 << 20);
        tokio::spawn(Server::builder().config(config).add_service(service).serve(net.port()));
        net
    }

    pub(crate) fn channel(&self) -> HomaChannel {
        HomaChannel::connect(&self.calling, self.addr).unwrap()
    }

    pub(crate) fn greeter(&self) -> GreeterClient<HomaChannel> {
        GreeterClient::new(self.channel()).max_decoding_message_size(64 << 20)
    }

    pub(crate) fn chatter(&self) -> RouteGuideClient<HomaChannel> {
        self.chatter_with(ChannelConfig::default())
    }

    pub(crate) fn chatter_with(&self, config: ChannelConfig) -> RouteGuideClient<HomaChannel> {
        let channel = HomaChannel::connect_with(&self.calling, self.addr, config).unwrap();
        RouteGuideClient::new(channel).max_decoding_message_size(64 << 20)
    }

    /// A message as it is, and the answer as it is.
    pub(crate) async fn raw(
        &self,
        message: impl Into<homa::Message>,
    ) -> Result<Vec<u8>, homa::CallError> {
        Ok(self.calling.call(self.addr, message).await?.into_bytes().to_vec())
    }
}

/// Counts what is alive: handlers that were not dropped, say.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<AtomicUsize>);

pub(crate) struct OneAlive(Arc<AtomicUsize>);

impl Alive {
    pub(crate) fn one(&self) -> OneAlive {
        self.0.fetch_add(1, Ordering::SeqCst);
        OneAlive(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Waits until so many are alive.
    pub(crate) async fn becomes(&self, count: usize) {
        eventually(|| self.count() == count).await;
    }
}

impl Drop for OneAlive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until it is so.
pub(crate) async fn eventually(mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it never came true");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it hangs")
}
