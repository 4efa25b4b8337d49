//! A call: one RPC if it fits, else the beginning of a stream.

use std::future::Future;
use std::task::{Context, Waker};

use homa::{Addr, Message};
use http::Request;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::body::ResponseBody;
use super::exchange::Exchange;
use super::stream::{self, Begun};
use super::upload::Upload;
use crate::gather::{Gather, SOON_BYTES};
use crate::timeout;
use crate::wire::{self, Answer, Item};

/// Makes the call. What is rare is boxed: most calls are short, and their futures are moved.
pub(super) fn call(
    exchange: Exchange,
    request: Request<Body>,
) -> impl Future<Output = Result<http::Response<ResponseBody>, Status>> {
    let opening = Opening::of(&exchange, request);
    async move {
        let Opening { id, message, upload, deadline } = opening?;
        let addr = match exchange.shared.server.known_addr() {
            Some(addr) => addr,
            None => Box::pin(exchange.find_addr(deadline)).await?,
        };
        let mut given_up = GivenUp { call: Some((exchange.clone(), addr, id)) };
        let outcome = exchange.open(addr, message, deadline).await;
        given_up.call = None;
        let first = match exchange.answer(outcome)? {
            Answer::Item(item) if item.trailers.is_some() && item.sequence == 0 => {
                return Ok(whole(item));
            }
            Answer::Item(item) => Some(item),
            Answer::Nothing if upload.is_some() => None,
            Answer::Fault(status) => return Err(status),
            Answer::Nothing | Answer::Taken { .. } => {
                return Err(Status::internal("the server's answer is none to a call"));
            }
        };
        let upload = upload.map(|upload| *upload);
        let begun = Begun { exchange, addr, id, upload, deadline, first };
        Box::pin(stream::respond(begun)).await
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
    id: u64,
    message: Message,
    /// What is left of the request's body, if the message does not hold all of it.
    upload: Option<Box<Upload>>,
    deadline: Option<Instant>,
}

impl Opening {
    /// Puts as much of the body as is ready behind the metadata, which waits for nothing.
    fn of(exchange: &Exchange, request: Request<Body>) -> Result<Self, Status> {
        let config = &exchange.shared.config;
        let timeout = timeout::of_headers(request.headers())
            .map_err(|error| Status::invalid_argument(error.to_string()))?
            .or(config.deadline);
        // What is too far away to be told is no deadline.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let id = exchange.shared.next_stream();
        let (parts, body) = request.into_parts();
        let mut gather = Gather::new(body);
        // What is not ready is asked for again, by a task that waits for it.
        let _ = gather.poll_fill(&mut Context::from_waker(Waker::noop()), SOON_BYTES);
        if let Some(failure) = gather.failure() {
            return Err(failure.clone());
        }
        let path = parts.uri.path();
        let max = exchange.shared.message_bytes_max();
        let answer_max = config.message_bytes_max() as u32;
        let head = |is_end| {
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
        let upload = (!is_end).then(|| Box::new(Upload::new(id, gather)));
        Ok(Self { id, message, upload, deadline })
    }
}

/// The response, all of which is there.
fn whole(mut item: Item) -> http::Response<ResponseBody> {
    match item.headers.take() {
        Some(headers) => with_headers(headers, ResponseBody::whole(item)),
        None => trailers_only(item),
    }
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
