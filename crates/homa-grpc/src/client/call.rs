//! A call: one RPC if it fits, else the beginning of a stream.

use homa::{Addr, Message};
use http::Request;
use tonic::Status;
use tonic::body::Body;

use super::body::ResponseBody;
use super::exchange::Exchange;
use super::stream::{self, Begun};
use super::upload::Upload;
use crate::gather::{Gather, SOON_BYTES};
use crate::timeout;
use crate::wire::{self, Answer, Item};

/// Makes the call.
pub(super) async fn call(
    exchange: Exchange,
    request: Request<Body>,
) -> Result<http::Response<ResponseBody>, Status> {
    let config = &exchange.shared.config;
    let timeout = timeout::of_headers(request.headers())
        .map_err(|error| Status::invalid_argument(error.to_string()))?
        .or(config.deadline);
    let deadline = timeout.map(|timeout| tokio::time::Instant::now() + timeout);
    let addr = exchange.addr().await?;
    let id = exchange.shared.next_stream();
    let Opening { message, upload } = opening(&exchange, id, request).await?;
    let mut given_up = GivenUp { call: Some((exchange.clone(), addr, id)) };
    let answer = exchange.open(addr, message, timeout).await;
    given_up.call = None;
    match answer? {
        Answer::Item(item) if item.trailers.is_some() && item.sequence == 0 => whole(item),
        Answer::Item(item) => {
            // What is left of the time is for the stream.
            let begun = Begun { exchange, addr, id, upload, deadline, first: Some(item) };
            stream::respond(begun).await
        }
        Answer::Nothing if upload.is_some() => {
            stream::respond(Begun { exchange, addr, id, upload, deadline, first: None }).await
        }
        Answer::Fault(status) => Err(status),
        Answer::Nothing | Answer::Taken { .. } => {
            Err(Status::internal("the server's answer is none to a call"))
        }
    }
}

/// Cancels a call whose future is dropped before its answer was seen. Homa tells the server, too, but
/// not if the server has answered already: it may have taken the call as a stream.
struct GivenUp {
    call: Option<(Exchange, Addr, u64)>,
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        let Some((exchange, addr, id)) = self.call.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { stream::cancel(&exchange, addr, id).await });
        }
    }
}

/// The first message of a call.
struct Opening {
    message: Message,
    /// What is left of the request's body, if the message does not hold all of it.
    upload: Option<Upload>,
}

/// Puts as much of the body as is ready behind the metadata, which waits for nothing.
async fn opening(exchange: &Exchange, id: u64, request: Request<Body>) -> Result<Opening, Status> {
    let config = &exchange.shared.config;
    let (parts, body) = request.into_parts();
    let mut gather = Gather::new(body);
    std::future::poll_fn(|cx| {
        let _ = gather.poll_fill(cx, SOON_BYTES);
        std::task::Poll::Ready(())
    })
    .await;
    if let Some(failure) = gather.failure() {
        return Err(failure.clone());
    }
    let path = parts.uri.path();
    let max = config.message_bytes_max();
    let head = |is_end| {
        let answer_max = max as u32;
        wire::Request::open(id, answer_max, path, &parts.headers, is_end, &config.metadata)
    };
    let mut head_bytes = head(true)?;
    let room = max.checked_sub(head_bytes.len()).ok_or_else(|| {
        Status::resource_exhausted(format!("metadata do not fit a message of {max} bytes"))
    })?;
    let is_end = gather.ends_within(room);
    if !is_end {
        head_bytes = head(false)?;
    }
    let message = gather.take_message(head_bytes, room);
    Ok(Opening { message, upload: (!is_end).then(|| Upload::new(id, gather)) })
}

/// The response, all of which is there.
fn whole(mut item: Item) -> Result<http::Response<ResponseBody>, Status> {
    Ok(match item.headers.take() {
        Some(headers) => with_headers(headers, ResponseBody::whole(item)),
        None => trailers_only(item),
    })
}

/// A response without headers and body: its trailers are its headers, as gRPC has it.
pub(super) fn trailers_only(item: Item) -> http::Response<ResponseBody> {
    let headers = item.trailers.map(|trailers| trailers.0).unwrap_or_default();
    with_headers(headers, ResponseBody::default())
}

pub(super) fn with_headers(
    headers: http::HeaderMap,
    body: ResponseBody,
) -> http::Response<ResponseBody> {
    let mut response = http::Response::new(body);
    *response.version_mut() = http::Version::HTTP_2;
    *response.headers_mut() = headers;
    response
}
