//! The service that the cases call.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService;
use tonic::{Code, Request, Response, Status, Streaming};
use tower::util::BoxCloneSyncService;

use crate::compression::{self, Flags, Plain};
use crate::echo::Echo;
use crate::testing::test_service_server::{TestService, TestServiceServer};
use crate::testing::{
    BoolValue, EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, SimpleResponse,
    StreamingInputCallRequest, StreamingInputCallResponse, StreamingOutputCallRequest,
    StreamingOutputCallResponse,
};

/// The service with all that the cases ask of it, to be added to a server.
#[derive(Clone, Debug)]
pub struct InteropService(
    BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>,
);

/// Longest message, as the cases need it.
const MESSAGE_MAX: usize = 16 << 20;

impl InteropService {
    /// The service.
    #[must_use]
    pub fn new() -> Self {
        let service = TestServiceServer::new(Interop)
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(MESSAGE_MAX);
        Self(BoxCloneSyncService::new(Echo(compression::Server(service))))
    }
}

impl Default for InteropService {
    fn default() -> Self {
        Self::new()
    }
}

impl NamedService for InteropService {
    const NAME: &'static str = TestServiceServer::<Interop>::NAME;
}

impl tower::Service<http::Request<Body>> for InteropService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = <BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible> as tower::Service<http::Request<Body>>>::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

#[derive(Clone, Copy, Debug)]
struct Interop;

type Output = Pin<Box<dyn Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send>>;

#[tonic::async_trait]
impl TestService for Interop {
    type StreamingOutputCallStream = Output;
    type FullDuplexCallStream = Output;
    type HalfDuplexCallStream = Output;

    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let flags = flags_of(&request);
        let request = request.into_inner();
        check_compressed(&flags, request.expect_compressed)?;
        check_status(request.response_status)?;
        let payload = Some(payload(request.response_size)?);
        let mut response = Response::new(SimpleResponse { payload, ..Default::default() });
        if !wants_compressed(request.response_compressed) {
            response.disable_compression();
        }
        Ok(response)
    }

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<Output>, Status> {
        let request = request.into_inner();
        check_status(request.response_status)?;
        let parameters = request.response_parameters;
        let plain = (0..).zip(&parameters).filter(|(_, one)| !wants_compressed(one.compressed));
        let plain = Plain(plain.map(|(index, _)| index).collect());
        let (sender, responses) = mpsc::channel(1);
        tokio::spawn(async move { respond(&sender, parameters).await });
        let mut response: Response<Output> =
            Response::new(Box::pin(ReceiverStream::new(responses)));
        response.extensions_mut().insert(plain);
        Ok(response)
    }

    async fn streaming_input_call(
        &self,
        request: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let flags = flags_of(&request);
        let mut requests = request.into_inner();
        let mut size = 0;
        while let Some(request) = requests.message().await? {
            check_compressed(&flags, request.expect_compressed)?;
            size += request.payload.map_or(0, |payload| payload.body.len());
        }
        let aggregated_payload_size = size as i32;
        Ok(Response::new(StreamingInputCallResponse { aggregated_payload_size }))
    }

    async fn full_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Output>, Status> {
        let mut requests = request.into_inner();
        let (sender, responses) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let checked = request.and_then(|mut request| {
                    check_status(request.response_status.take())?;
                    Ok(request.response_parameters)
                });
                match checked {
                    Ok(parameters) => {
                        if !respond(&sender, parameters).await {
                            return;
                        }
                    }
                    Err(status) => {
                        // Whether it is still wanted or not, it is the last.
                        let _ = sender.send(Err(status)).await;
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }

    async fn half_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Output>, Status> {
        let mut requests = request.into_inner();
        let mut parameters = Vec::new();
        while let Some(request) = requests.message().await? {
            check_status(request.response_status)?;
            parameters.extend(request.response_parameters);
        }
        let (sender, responses) = mpsc::channel(1);
        tokio::spawn(async move { respond(&sender, parameters).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }

    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("as its name says"))
    }
}

/// Sends the responses that were asked for; false if nobody wants them any more, or one can't be.
async fn respond(
    to: &mpsc::Sender<Result<StreamingOutputCallResponse, Status>>,
    parameters: Vec<ResponseParameters>,
) -> bool {
    for ResponseParameters { size, interval_us, .. } in parameters {
        if let Ok(interval @ 1..) = u64::try_from(interval_us) {
            tokio::time::sleep(Duration::from_micros(interval)).await;
        }
        let response =
            payload(size).map(|payload| StreamingOutputCallResponse { payload: Some(payload) });
        let is_error = response.is_err();
        if to.send(response).await.is_err() || is_error {
            return false;
        }
    }
    true
}

fn payload(size: i32) -> Result<Payload, Status> {
    let size = usize::try_from(size).ok().filter(|size| *size <= MESSAGE_MAX);
    let size = size.ok_or_else(|| Status::invalid_argument("no payload has that size"))?;
    Ok(Payload { r#type: 0, body: Bytes::from(vec![0; size]) })
}

fn check_status(status: Option<EchoStatus>) -> Result<(), Status> {
    match status {
        Some(EchoStatus { code, message }) if code != 0 => {
            Err(Status::new(Code::from_i32(code), message))
        }
        _ => Ok(()),
    }
}

fn wants_compressed(wish: Option<BoolValue>) -> bool {
    wish.is_some_and(|wish| wish.value)
}

fn flags_of<T>(request: &Request<T>) -> Flags {
    request.extensions().get::<Flags>().cloned().unwrap_or_default()
}

/// Whether the message that was read last came as its sender says it should have.
fn check_compressed(flags: &Flags, expected: Option<BoolValue>) -> Result<(), Status> {
    let is_compressed = flags.next();
    match expected {
        Some(expected) if is_compressed != Some(expected.value) => Err(Status::invalid_argument(
            "the message is not compressed, or is, other than expected",
        )),
        _ => Ok(()),
    }
}
