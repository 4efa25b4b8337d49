//! One call, from its request to the end of its response.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use http::{Method, Request, Response, Version};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::handler::Handler;
use super::outgoing::{Outgoing, Part};
use super::peers::Room;
use super::reply::reply;
use super::request_body::RequestBody;
use super::shared::Active;
use super::stream::Stream;
use super::streams::Entered;
use crate::connect_info::HomaConnectInfo;
use crate::gather::SOON_BYTES;
use crate::timeout;
use crate::wire::{Answer, Open};

/// A call that was accepted.
pub(super) struct Call<S> {
    pub(super) request: homa::Request,
    pub(super) open: Open,
    pub(super) held: Room,
    pub(super) handler: S,
    pub(super) active: Active,
}

/// What a call may take.
struct Bounds {
    active: Active,
    deadline: Option<Instant>,
    /// The longest answer, in bytes.
    answer_max: usize,
}

/// Serves a call. Its future is small, as most are done when they are first polled: what is rare is
/// boxed.
pub(super) fn serve<S: Handler>(call: Call<S>) -> Serving {
    let Call { request, open, held, handler, active } = call;
    let bounds = match Bounds::of(&open, active) {
        Ok(bounds) => bounds,
        Err(status) => return refused(request, &status),
    };
    let (peer, id) = (request.peer(), open.stream);
    if open.is_end {
        let call = http_request(peer, open, held, None);
        return match bounds.active.shared.turns {
            None => Box::pin(bounds.serve_whole(request, id, handler.handle(call))),
            Some(_) => {
                let handled = bounds.active.handle_in_turn(handler, call);
                Box::pin(bounds.serve_whole(request, id, handled))
            }
        };
    }
    let entered = match bounds.active.shared.enter_stream(peer, id) {
        Ok(entered) => entered,
        Err(status) => return refused(request, &status),
    };
    let call = http_request(peer, open, held, Some(Arc::clone(&entered.stream)));
    let handled = bounds.active.handle_in_turn(handler, call);
    Box::pin(bounds.serve_stream(request, entered, handled))
}

/// The work of a call.
pub(super) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

fn refused(request: homa::Request, status: &Status) -> Serving {
    reply(request, Answer::fault(status));
    Box::pin(std::future::ready(()))
}

impl Active {
    /// Lets the handler work, when it is its turn.
    fn handle_in_turn<S: Handler>(
        &self,
        handler: S,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send + use<S> {
        let shared = Arc::clone(&self.shared);
        async move {
            let _turn = match &shared.turns {
                Some(turns) => turns.acquire().await.ok(),
                None => None,
            };
            handler.handle(request).await
        }
    }
}

/// The request as services know it.
fn http_request(
    peer: SocketAddr,
    open: Open,
    held: Room,
    rest: Option<Arc<Stream>>,
) -> Request<Body> {
    let Open { path, headers, body, .. } = open;
    let mut request = Request::new(Body::new(RequestBody::new(body, held, rest)));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = path.into();
    *request.headers_mut() = headers;
    request.extensions_mut().insert(HomaConnectInfo::new(peer));
    request
}

impl Bounds {
    fn of(open: &Open, active: Active) -> Result<Self, Status> {
        let shared = &active.shared;
        let timeout = timeout::of_headers(&open.headers);
        let timeout = timeout.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let shortest = [timeout, shared.config.deadline].into_iter().flatten().min();
        // What is too far away to be told is no deadline.
        let deadline = shortest.and_then(|timeout| Instant::now().checked_add(timeout));
        if open.answer_bytes_max < crate::MESSAGE_BYTES_MIN {
            let why = "a client must take answers of 1024 bytes";
            return Err(Status::invalid_argument(why));
        }
        let answer_max = shared.message_bytes_max().min(open.answer_bytes_max as usize);
        Ok(Self { active, deadline, answer_max })
    }

    /// Serves a call whose request is all there. If its response is, too, when the handler returns it,
    /// the call is over with one answer.
    async fn serve_whole(
        self,
        mut request: homa::Request,
        id: u64,
        handled: impl Future<Output = Response<Body>>,
    ) {
        let response = tokio::select! {
            biased;
            response = handled => response,
            () = request.cancelled() => return,
            status = self.cut_short() => status.into_http(),
        };
        let mut outgoing = self.outgoing(response);
        let Part { message, is_end } = first_part(&mut outgoing);
        if is_end {
            // If it can't be answered its client has gone.
            let _ = answer(&mut request, message).await;
            return;
        }
        Box::pin(self.continue_as_stream(request, id, message, outgoing)).await;
    }

    /// Serves the rest of a response that did not end with its first message.
    async fn continue_as_stream(
        &self,
        mut request: homa::Request,
        id: u64,
        message: homa::Message,
        outgoing: Outgoing,
    ) {
        let entered = match self.active.shared.enter_stream(request.peer(), id) {
            Ok(entered) => entered,
            Err(status) => return reply(request, Answer::fault(&status)),
        };
        let stream = Arc::clone(&entered.stream);
        let respond = async {
            answer(&mut request, message).await?;
            self.respond(&stream, outgoing).await
        };
        let end = self.until_end(&stream, respond).await;
        entered.end(end);
    }

    /// Serves a call of which more is to come. It is answered at once, so that its client may go on,
    /// with the beginning of the response if that is ready.
    async fn serve_stream(
        self,
        mut request: homa::Request,
        entered: Entered,
        handled: impl Future<Output = Response<Body>>,
    ) {
        let stream = Arc::clone(&entered.stream);
        let respond = async {
            let mut handled = pin!(handled);
            let first = poll_fn(|cx| Poll::Ready(handled.as_mut().poll(cx))).await;
            let outgoing = match first {
                Poll::Pending => {
                    answer(&mut request, Answer::nothing().into()).await?;
                    self.outgoing(handled.await)
                }
                Poll::Ready(response) => {
                    let mut outgoing = self.outgoing(response);
                    let Part { message, is_end } = first_part(&mut outgoing);
                    answer(&mut request, message).await?;
                    if is_end {
                        return Ok(());
                    }
                    outgoing
                }
            };
            self.respond(&stream, outgoing).await
        };
        let end = self.until_end(&stream, respond).await;
        entered.end(end);
    }

    /// Does the work of a stream until it is done, or cut short for the reason that is returned.
    async fn until_end(
        &self,
        stream: &Stream,
        work: impl Future<Output = Result<(), Status>>,
    ) -> Option<Status> {
        tokio::select! {
            biased;
            // What a handler makes of a request that was cut short is no answer.
            why = stream.cancelled() => why,
            done = work => done.err(),
            status = self.cut_short() => Some(status),
        }
    }

    fn outgoing(&self, response: Response<Body>) -> Outgoing {
        Outgoing::new(response, self.active.shared.config.metadata, self.answer_max)
    }

    /// Answers pulls with the rest of a response.
    async fn respond(&self, stream: &Stream, mut outgoing: Outgoing) -> Result<(), Status> {
        let of_all = &self.active.shared.ahead;
        let mut ahead = of_all.hold_nothing();
        loop {
            ahead.set(outgoing.bytes());
            let mut pull = poll_fn(|cx| {
                // While nobody asks, a whole message is made ready, unless too much is.
                let enough = match stream.has_pull(cx) {
                    true => SOON_BYTES,
                    false if of_all.is_full() => return Poll::Pending,
                    false => self.answer_max,
                };
                let filled = outgoing.poll_fill(cx, enough);
                ahead.set(outgoing.bytes());
                ready!(filled);
                stream.poll_pull(cx)
            })
            .await;
            let Part { message, is_end } = outgoing.next_part();
            answer(&mut pull, message).await?;
            if is_end {
                return Ok(());
            }
        }
    }

    /// Waits until the call may not go on.
    async fn cut_short(&self) -> Status {
        let late = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = late => Status::deadline_exceeded("the call's deadline has passed"),
            () = self.active.shared.stopped() => Status::unavailable("the server is shutting down"),
        }
    }
}

/// What there is of a response when its handler has returned it: headers do not wait for data. What is
/// not ready is asked for again, by a task that waits for it.
fn first_part(outgoing: &mut Outgoing) -> Part {
    let _ = outgoing.poll_fill(&mut Context::from_waker(Waker::noop()), SOON_BYTES);
    outgoing.next_part()
}

/// Answers a request when there is room for the answer. What was to be said is lost if that fails.
async fn answer(request: &mut homa::Request, message: homa::Message) -> Result<(), Status> {
    let Err(error) = request.reply_when_room(message).await else { return Ok(()) };
    let status = match error {
        homa::ReplyError::TooLong { .. } => Status::resource_exhausted(error.to_string()),
        _ => Status::unavailable(error.to_string()),
    };
    // Where the client is there still, it learns why.
    let _ = request.reply(Answer::fault(&status));
    Err(status)
}
