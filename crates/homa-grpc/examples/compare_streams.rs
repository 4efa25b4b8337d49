//! Server streaming over Homa and over HTTP/2 by turns, between two processes: how much arrives.
//!
//! `cargo run --release -p homa-grpc --example compare_streams -- [BYTES] [ROUNDS]`

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use homa::{Addr, Config, Endpoint};
use homa_grpc::HomaChannel;
use homa_grpc_interop::testing::test_service_client::TestServiceClient;
use homa_grpc_interop::testing::{
    Payload, ResponseParameters, StreamingOutputCallRequest, StreamingOutputCallResponse,
};
use homa_grpc_interop::{Channel, channel};
use tokio_stream::Stream;
use tonic::transport::server::TcpIncoming;

/// How long a measurement lasts, behind a warm-up of a fifth of that.
const MEASURED: Duration = Duration::from_secs(2);
/// Windows as wide as `homa bench` gives HTTP/2.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["serve", size] = args[..] {
        return serve(size.parse()?).await;
    }
    let size = args.first().copied().unwrap_or("1000000");
    let rounds: usize = args.get(1).map_or(Ok(3), |rounds| rounds.parse())?;
    let (mut server, homa_addr, tcp_addr) = start_server(size)?;
    let endpoint = Endpoint::client(Config::default()).await?;
    let tcp = tonic::transport::Endpoint::from_shared(format!("http://{tcp_addr}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let over_tcp = channel(tcp.connect().await?);
    let over_homa = channel(HomaChannel::connect(&endpoint, homa_addr)?);
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (rates, channel) in rates.iter_mut().zip([&over_homa, &over_tcp]) {
            rates.push(gbps(channel.clone(), size.parse()?).await?);
        }
    }
    let [homa, tcp] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!("items of {size} bytes, medians of {rounds} rounds");
    println!("gRPC over Homa {homa:.2} Gbps, over HTTP/2 {tcp:.2} Gbps: {:.2}", homa / tcp);
    server.kill()?;
    server.wait()?;
    Ok(())
}

/// The server's process, and where it listens.
fn start_server(size: &str) -> Result<(Child, Addr, String), Box<dyn Error>> {
    let mut server = Command::new(std::env::current_exe()?)
        .args(["serve", size])
        .stdout(Stdio::piped())
        .spawn()?;
    let out = server.stdout.take().ok_or("the server has no output")?;
    let mut lines = BufReader::new(out).lines();
    let mut line = || lines.next().unwrap_or(Err(std::io::ErrorKind::UnexpectedEof.into()));
    Ok((server, line()?.parse()?, line()?))
}

/// What a stream brings, in gigabits of messages per second.
async fn gbps(channel: Channel, size: u64) -> Result<f64, Box<dyn Error>> {
    let mut client = TestServiceClient::new(channel).max_decoding_message_size(64 << 20);
    let mut items = client.streaming_output_call(request()).await?.into_inner();
    let warm = Instant::now() + MEASURED / 5;
    while Instant::now() < warm {
        items.message().await?.ok_or("the stream has ended")?;
    }
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < MEASURED {
        items.message().await?.ok_or("the stream has ended")?;
        count += 1;
    }
    Ok((count * size * 8) as f64 / begin.elapsed().as_secs_f64() / 1e9)
}

fn request() -> StreamingOutputCallRequest {
    let response_parameters = vec![ResponseParameters::default()];
    StreamingOutputCallRequest { response_parameters, ..StreamingOutputCallRequest::default() }
}

/// Serves endless streams of items over both.
async fn serve(size: usize) -> Result<(), Box<dyn Error>> {
    let endpoint = Endpoint::bind("127.0.0.1:0", Config::default()).await?;
    println!("{}", Addr::new(endpoint.local_addr(), 7)?);
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?.with_nodelay(Some(true));
    println!("{}", incoming.local_addr()?);
    let over_homa = homa_grpc::Server::builder().add_service(Items::service(size));
    tokio::spawn(over_homa.serve(endpoint.serve(7)?));
    let over_tcp = tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(Items::service(size));
    Ok(over_tcp.serve_with_incoming(incoming).await?)
}

use items::Items;

/// The service: one of its methods.
mod items {
    use homa_grpc_interop::testing::test_service_server::{TestService, TestServiceServer};
    use homa_grpc_interop::testing::{
        Empty, SimpleRequest, SimpleResponse, StreamingInputCallRequest, StreamingInputCallResponse,
    };
    use tonic::{Request, Response, Status, Streaming};

    use super::{
        Bytes, Payload, Pin, Stream, StreamingOutputCallRequest, StreamingOutputCallResponse,
    };

    #[derive(Clone)]
    pub(crate) struct Items(Bytes);

    impl Items {
        pub(crate) fn service(size: usize) -> TestServiceServer<Self> {
            TestServiceServer::new(Self(vec![7; size].into()))
        }
    }

    type Output = Pin<Box<dyn Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send>>;
    type Reply<T> = Result<Response<T>, Status>;

    fn absent<T>() -> Reply<T> {
        Err(Status::unimplemented("this server has one method only"))
    }

    #[tonic::async_trait]
    impl TestService for Items {
        type StreamingOutputCallStream = Output;
        type FullDuplexCallStream = Output;
        type HalfDuplexCallStream = Output;

        async fn streaming_output_call(
            &self,
            _: Request<StreamingOutputCallRequest>,
        ) -> Reply<Output> {
            let body = self.0.clone();
            let items = tokio_stream::iter(std::iter::repeat_with(move || {
                let payload = Some(Payload { r#type: 0, body: body.clone() });
                Ok(StreamingOutputCallResponse { payload })
            }));
            Ok(Response::new(Box::pin(items)))
        }

        async fn empty_call(&self, _: Request<Empty>) -> Reply<Empty> {
            absent()
        }

        async fn unary_call(&self, _: Request<SimpleRequest>) -> Reply<SimpleResponse> {
            absent()
        }

        async fn streaming_input_call(
            &self,
            _: Request<Streaming<StreamingInputCallRequest>>,
        ) -> Reply<StreamingInputCallResponse> {
            absent()
        }

        async fn full_duplex_call(
            &self,
            _: Request<Streaming<StreamingOutputCallRequest>>,
        ) -> Reply<Output> {
            absent()
        }

        async fn half_duplex_call(
            &self,
            _: Request<Streaming<StreamingOutputCallRequest>>,
        ) -> Reply<Output> {
            absent()
        }

        async fn unimplemented_call(&self, _: Request<Empty>) -> Reply<Empty> {
            absent()
        }
    }
}
