//! Several servers behind one client: balancing by load, failover, retries, timeouts, shedding of load;
//! and the services for health and reflection.

mod helloworld;

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use helloworld::MyGreeter;
use homa::{Addr, CallError, Config, Endpoint, WhenFull};
use homa_grpc::{ChannelConfig, HomaChannel, ResponseBody, Server};
use homa_grpc_interop::DESCRIPTORS;
use homa_grpc_interop::helloworld::greeter_client::GreeterClient;
use homa_grpc_interop::helloworld::greeter_server::GreeterServer;
use homa_grpc_interop::helloworld::{HelloReply, HelloRequest};
use tokio::time::{Instant, Sleep};
use tonic::body::Body;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PeakEwma};
use tower::retry::Policy;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let servers = [serve().await?, serve().await?];
    let endpoint = Endpoint::client(Config::default()).await?;
    let mut channels = Vec::new();
    let mut config = ChannelConfig::default();
    // What one server has no room for another may take.
    config.when_full = WhenFull::Reject;
    for (_, addr) in &servers {
        channels.push(HomaChannel::connect_with(&endpoint, addr, config.clone())?);
    }
    ask_for_health(channels[0].clone()).await?;
    ask_for_services(channels[0].clone()).await?;

    // Of two the one is taken that has answered sooner, as of late. To fail is to answer soon, so who has
    // failed is left alone for a while.
    let measured = channels.into_iter().map(|channel| {
        let decay = Duration::from_secs(10).as_nanos() as f64;
        let channel = Resting::new(channel);
        PeakEwma::new(channel, Duration::from_millis(1), decay, CompleteOnResponse::default())
    });
    let balanced = Balance::new(ServiceList::new(measured.collect::<Vec<_>>()));
    let greeter = GreeterClient::new(Buffer::new(balanced, 64));

    // Requests are cloned to be sent again, so retries are above the generated client.
    let mut greet = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(64)
        .timeout(Duration::from_secs(2))
        .retry(Again { attempts: 5 })
        .service_fn(move |request: HelloRequest| {
            let mut greeter = greeter.clone();
            async move { greeter.say_hello(within(Duration::from_millis(500), request)).await }
        });
    for name in ["one", "two", "three"] {
        println!("{}", hello(&mut greet, name).await?);
    }
    servers[0].0.close();
    println!("a server is gone");
    for name in ["four", "five", "six"] {
        println!("{}", hello(&mut greet, name).await?);
    }
    Ok(())
}

/// Serves the greeter, its health, and what services there are.
async fn serve() -> Result<(Endpoint, Addr), BoxError> {
    let endpoint = Endpoint::bind("127.0.0.1:0", Config::default()).await?;
    let addr = Addr::new(endpoint.local_addr(), 7)?;
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<GreeterServer<MyGreeter>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()?;
    let server = Server::builder()
        .add_service(GreeterServer::new(MyGreeter::default()))
        .add_service(health)
        .add_service(reflection);
    tokio::spawn(server.serve(endpoint.serve(7)?));
    Ok((endpoint, addr))
}

async fn ask_for_health(channel: HomaChannel) -> Result<(), Status> {
    let request = HealthCheckRequest { service: "helloworld.Greeter".to_owned() };
    let response = HealthClient::new(channel).check(request).await?.into_inner();
    println!("health: {:?}", response.status());
    Ok(())
}

async fn ask_for_services(channel: HomaChannel) -> Result<(), Status> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let responses = client.server_reflection_info(tokio_stream::iter([request])).await?;
    let response = responses.into_inner().message().await?;
    if let Some(MessageResponse::ListServicesResponse(list)) =
        response.and_then(|response| response.message_response)
    {
        let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
        println!("services: {}", names.join(", "));
    }
    Ok(())
}

async fn hello<S>(greet: &mut S, name: &str) -> Result<String, BoxError>
where
    S: Service<HelloRequest, Response = tonic::Response<HelloReply>, Error = BoxError>,
{
    let greet = greet.ready().await?;
    let response = greet.call(HelloRequest { name: name.to_owned() }).await?;
    Ok(response.into_inner().message)
}

fn within<T>(timeout: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// A channel that is not ready for a second after its server was not available.
struct Resting {
    channel: HomaChannel,
    until: Arc<Mutex<Option<Instant>>>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Resting {
    fn new(channel: HomaChannel) -> Self {
        Self { channel, until: Arc::default(), sleep: None }
    }
}

impl Service<http::Request<Body>> for Resting {
    type Response = http::Response<ResponseBody>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if let Some(until) = self.until.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.sleep = Some(Box::pin(tokio::time::sleep_until(until)));
        }
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (call, until) = (self.channel.call(request), Arc::clone(&self.until));
        Box::pin(async move {
            let response = call.await;
            if response.as_ref().is_err_and(|status| status.code() == Code::Unavailable) {
                let later = Instant::now() + Duration::from_secs(1);
                *until.lock().unwrap_or_else(PoisonError::into_inner) = Some(later);
            }
            response
        })
    }
}

/// Tries again what failed before a server has done anything, and, as greeting twice does no harm, what
/// failed for want of a server.
#[derive(Clone)]
struct Again {
    attempts: u32,
}

impl Policy<HelloRequest, tonic::Response<HelloReply>, Status> for Again {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut HelloRequest,
        result: &mut Result<tonic::Response<HelloReply>, Status>,
    ) -> Option<Self::Future> {
        let status = result.as_ref().err()?;
        let cause = status.source().and_then(|source| source.downcast_ref::<CallError>());
        let is_harmless = cause.is_some_and(CallError::is_retryable);
        if !is_harmless && status.code() != Code::Unavailable {
            return None;
        }
        self.attempts = self.attempts.checked_sub(1)?;
        Some(std::future::ready(()))
    }

    fn clone_request(&mut self, request: &HelloRequest) -> Option<HelloRequest> {
        Some(request.clone())
    }
}
