//! The cases without compression, one function each. A case that fails panics.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, Binary, MetadataMap, MetadataValue};
use tonic::{Code, Request, Status, Streaming};

use crate::Channel;
use crate::testing::test_service_client::TestServiceClient;
use crate::testing::unimplemented_service_client::UnimplementedServiceClient;
use crate::testing::{
    EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, StreamingInputCallRequest,
    StreamingOutputCallRequest, StreamingOutputCallResponse,
};

/// A client of the service.
pub type Client = TestServiceClient<Channel>;

pub(crate) const LARGE_REQUEST: usize = 271_828;
pub(crate) const LARGE_RESPONSE: i32 = 314_159;
const REQUEST_SIZES: [usize; 4] = [27_182, 8, 1828, 45_904];
const RESPONSE_SIZES: [i32; 4] = [31_415, 9, 2653, 58_979];

/// A client of the service at the other end of a channel.
pub fn client(channel: Channel) -> Client {
    TestServiceClient::new(channel)
}

/// An empty message each way.
pub async fn empty_unary(mut client: Client) {
    assert_eq!(client.empty_call(Empty {}).await.unwrap().into_inner(), Empty {});
}

/// A large message each way.
pub async fn large_unary(mut client: Client) {
    let response = client.unary_call(large_request()).await.unwrap().into_inner();
    assert_payload(response.payload, LARGE_RESPONSE);
}

/// Many of these at once.
pub async fn concurrent_large_unary(client: Client, calls: usize) {
    let calls: Vec<_> = (0..calls).map(|_| tokio::spawn(large_unary(client.clone()))).collect();
    for call in calls {
        call.await.unwrap();
    }
}

/// Several messages to the server, one back.
pub async fn client_streaming(mut client: Client) {
    let requests = REQUEST_SIZES
        .map(|size| StreamingInputCallRequest { payload: payload(size), expect_compressed: None });
    let response = client.streaming_input_call(tokio_stream::iter(requests)).await.unwrap();
    assert_eq!(response.into_inner().aggregated_payload_size, 74_922);
}

/// One message to the server, several back.
pub async fn server_streaming(mut client: Client) {
    let request = output_request(&RESPONSE_SIZES, None);
    let mut responses = client.streaming_output_call(request).await.unwrap().into_inner();
    for size in RESPONSE_SIZES {
        assert_payload(responses.message().await.unwrap().unwrap().payload, size);
    }
    assert_eq!(responses.message().await.unwrap(), None);
}

/// Messages by turns: each request waits for the response to the one before.
pub async fn ping_pong(mut client: Client) {
    let (requests, mut responses) = full_duplex(&mut client).await;
    for (size, wanted) in REQUEST_SIZES.into_iter().zip(RESPONSE_SIZES) {
        requests.send(output_request(&[wanted], payload(size))).await.unwrap();
        assert_payload(responses.message().await.unwrap().unwrap().payload, wanted);
    }
    drop(requests);
    assert_eq!(responses.message().await.unwrap(), None);
}

/// Streams without messages.
pub async fn empty_stream(mut client: Client) {
    let (requests, mut responses) = full_duplex(&mut client).await;
    drop(requests);
    assert_eq!(responses.message().await.unwrap(), None);
}

/// The server learns that the client has no patience.
pub async fn timeout_on_sleeping_server(mut client: Client) {
    let (requests, receiver) = mpsc::channel(1);
    requests.send(output_request(&[], payload(27_182))).await.unwrap();
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.set_timeout(Duration::from_millis(1));
    let status = match client.full_duplex_call(request).await {
        Err(status) => status,
        Ok(responses) => responses.into_inner().message().await.unwrap_err(),
    };
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

/// The client gives up before it has sent anything.
pub async fn cancel_after_begin(mut client: Client) {
    let (requests, receiver) = mpsc::channel::<StreamingInputCallRequest>(1);
    let mut request = Request::new(ReceiverStream::new(receiver));
    let cancellation = request.cancellation_handle();
    let call = tokio::spawn(async move { client.streaming_input_call(request).await });
    // As far as it goes by itself.
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!call.is_finished());
    cancellation.cancel();
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Cancelled);
    drop(requests);
}

/// The client gives up in the middle of a conversation.
pub async fn cancel_after_first_response(mut client: Client) {
    let (requests, receiver) = mpsc::channel(1);
    requests.send(output_request(&[31_415], payload(27_182))).await.unwrap();
    let mut request = Request::new(ReceiverStream::new(receiver));
    let cancellation = request.cancellation_handle();
    let mut responses = client.full_duplex_call(request).await.unwrap().into_inner();
    assert_payload(responses.message().await.unwrap().unwrap().payload, 31_415);
    cancellation.cancel();
    assert_eq!(responses.message().await.unwrap_err().code(), Code::Cancelled);
}

/// Metadata comes back, before the response and behind it.
pub async fn custom_metadata(mut client: Client) {
    let response = client.unary_call(with_metadata(large_request())).await.unwrap();
    // tonic merges headers and trailers of unary calls.
    assert_initial(response.metadata());
    assert_trailing(response.metadata());
    assert_payload(response.into_inner().payload, LARGE_RESPONSE);

    let request = output_request(&[LARGE_RESPONSE], payload(LARGE_REQUEST));
    let request = with_metadata(tokio_stream::iter([request]));
    let response = client.full_duplex_call(request).await.unwrap();
    assert_initial(response.metadata());
    let mut responses = response.into_inner();
    assert_payload(responses.message().await.unwrap().unwrap().payload, LARGE_RESPONSE);
    assert_eq!(responses.message().await.unwrap(), None);
    assert_trailing(&responses.trailers().await.unwrap().unwrap());
}

/// The server's code and message arrive.
pub async fn status_code_and_message(mut client: Client) {
    let expected = EchoStatus { code: 2, message: "test status message".to_owned() };
    let request =
        SimpleRequest { response_status: Some(expected.clone()), ..SimpleRequest::default() };
    assert_status(&client.unary_call(request).await.unwrap_err(), &expected);

    let (requests, mut responses) = full_duplex(&mut client).await;
    let mut request = output_request(&[], None);
    request.response_status = Some(expected.clone());
    requests.send(request).await.unwrap();
    assert_status(&responses.message().await.unwrap_err(), &expected);
}

/// So does a message of characters that headers can't hold.
pub async fn special_status_message(mut client: Client) {
    let message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n".to_owned();
    let expected = EchoStatus { code: 2, message };
    let request =
        SimpleRequest { response_status: Some(expected.clone()), ..SimpleRequest::default() };
    assert_status(&client.unary_call(request).await.unwrap_err(), &expected);
}

/// A method that the server does not have.
pub async fn unimplemented_method(mut client: Client) {
    let status = client.unimplemented_call(Empty {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

/// A service that the server does not have.
pub async fn unimplemented_service(channel: Channel) {
    let mut client = UnimplementedServiceClient::new(channel);
    let status = client.unimplemented_call(Empty {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

/// Opens a conversation.
async fn full_duplex(
    client: &mut Client,
) -> (mpsc::Sender<StreamingOutputCallRequest>, Streaming<StreamingOutputCallResponse>) {
    let (requests, receiver) = mpsc::channel(1);
    let responses = client.full_duplex_call(ReceiverStream::new(receiver)).await.unwrap();
    (requests, responses.into_inner())
}

pub(crate) fn large_request() -> SimpleRequest {
    SimpleRequest {
        response_size: LARGE_RESPONSE,
        payload: payload(LARGE_REQUEST),
        ..SimpleRequest::default()
    }
}

fn output_request(sizes: &[i32], payload: Option<Payload>) -> StreamingOutputCallRequest {
    let parameters = sizes.iter().map(|size| ResponseParameters {
        size: *size,
        interval_us: 0,
        compressed: None,
    });
    StreamingOutputCallRequest {
        response_parameters: parameters.collect(),
        payload,
        ..StreamingOutputCallRequest::default()
    }
}

pub(crate) fn payload(size: usize) -> Option<Payload> {
    Some(Payload { r#type: 0, body: Bytes::from(vec![0; size]) })
}

pub(crate) fn assert_payload(payload: Option<Payload>, size: i32) {
    let body = payload.unwrap().body;
    assert_eq!(body.len(), size as usize);
    assert!(body.iter().all(|byte| *byte == 0));
}

fn with_metadata<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-grpc-test-echo-initial", initial());
    request.metadata_mut().insert_bin("x-grpc-test-echo-trailing-bin", trailing());
    request
}

fn initial() -> MetadataValue<Ascii> {
    MetadataValue::from_static("test_initial_metadata_value")
}

fn trailing() -> MetadataValue<Binary> {
    MetadataValue::from_bytes(&[0xab, 0xab, 0xab])
}

fn assert_initial(metadata: &MetadataMap) {
    assert_eq!(metadata.get("x-grpc-test-echo-initial"), Some(&initial()));
}

fn assert_trailing(metadata: &MetadataMap) {
    let value = metadata.get_bin("x-grpc-test-echo-trailing-bin").unwrap();
    assert_eq!(value.to_bytes().unwrap(), &[0xab, 0xab, 0xab][..]);
}

fn assert_status(status: &Status, expected: &EchoStatus) {
    assert_eq!(i32::from(status.code()), expected.code, "{status}");
    assert_eq!(status.message(), expected.message);
}
