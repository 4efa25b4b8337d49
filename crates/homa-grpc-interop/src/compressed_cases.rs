//! The cases with compression, one function each. A case that fails panics.

use tonic::codec::CompressionEncoding;
use tonic::{Code, Request};

use crate::cases::{Client, LARGE_RESPONSE, assert_payload, large_request, payload};
use crate::compression::{Flags, Plain};
use crate::testing::{
    BoolValue, ResponseParameters, StreamingInputCallRequest, StreamingOutputCallRequest,
};

const YES: Option<BoolValue> = Some(BoolValue { value: true });
const NO: Option<BoolValue> = Some(BoolValue { value: false });

/// Compressed and uncompressed requests, and one that is not what it says.
pub async fn client_compressed_unary(mut client: Client) {
    let mut request = large_request();
    request.expect_compressed = YES;
    let status = client.unary_call(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");

    let mut compressing = client.clone().send_compressed(CompressionEncoding::Gzip);
    let response = compressing.unary_call(request.clone()).await.unwrap();
    assert_payload(response.into_inner().payload, LARGE_RESPONSE);

    request.expect_compressed = NO;
    let response = client.unary_call(request).await.unwrap();
    assert_payload(response.into_inner().payload, LARGE_RESPONSE);
}

/// A compressed response, and one that is not.
pub async fn server_compressed_unary(client: Client) {
    let mut client = client.accept_compressed(CompressionEncoding::Gzip);
    for (wish, is_compressed) in [(YES, true), (NO, false)] {
        let mut request = large_request();
        request.response_compressed = wish;
        let (request, flags) = with_flags(request);
        let response = client.unary_call(request).await.unwrap();
        assert_payload(response.into_inner().payload, LARGE_RESPONSE);
        assert_eq!((flags.next(), flags.next()), (Some(is_compressed), None));
    }
}

/// A stream of a compressed request and one that is not; before that, one that is not what it says.
pub async fn client_compressed_streaming(client: Client) {
    let request = |size, expect_compressed| StreamingInputCallRequest {
        payload: payload(size),
        expect_compressed,
    };
    let mut plain = client.clone();
    let requests = tokio_stream::iter([request(27_182, YES)]);
    let status = plain.streaming_input_call(requests).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");

    let mut client = client.send_compressed(CompressionEncoding::Gzip);
    let requests = tokio_stream::iter([request(27_182, YES), request(45_904, NO)]);
    let mut requests = Request::new(requests);
    requests.extensions_mut().insert(Plain(vec![1]));
    let response = client.streaming_input_call(requests).await.unwrap();
    assert_eq!(response.into_inner().aggregated_payload_size, 73_086);
}

/// A stream of a compressed response and one that is not.
pub async fn server_compressed_streaming(client: Client) {
    let mut client = client.accept_compressed(CompressionEncoding::Gzip);
    let wanted = [(31_415, YES), (92_653, NO)];
    let parameters =
        wanted.map(|(size, compressed)| ResponseParameters { size, interval_us: 0, compressed });
    let request = StreamingOutputCallRequest {
        response_parameters: parameters.to_vec(),
        ..StreamingOutputCallRequest::default()
    };
    let (request, flags) = with_flags(request);
    let mut responses = client.streaming_output_call(request).await.unwrap().into_inner();
    for (size, compressed) in wanted {
        assert_payload(responses.message().await.unwrap().unwrap().payload, size);
        assert_eq!(flags.next(), compressed.map(|wish| wish.value));
    }
    assert_eq!(responses.message().await.unwrap(), None);
    assert_eq!(flags.next(), None);
}

/// The request, and which messages of its response were compressed.
fn with_flags<T>(message: T) -> (Request<T>, Flags) {
    let flags = Flags::default();
    let mut request = Request::new(message);
    request.extensions_mut().insert(flags.clone());
    (request, flags)
}
