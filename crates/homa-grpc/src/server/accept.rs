//! Takes requests as they come, and begins with the work of each.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use homa::{RefuseReason, Request};
use tonic::Status;

use super::call::{self, Call};
use super::handler::Handler;
use super::peers::Room;
use super::reply::reply;
use super::shared::Shared;
use super::stream::Push;
use crate::held::NoRoom;
use crate::wire::{self, Answer, Malformed, Open};

/// Requests taken at a time, at most: so many answers leave together, and clients go on while there are
/// more.
const BATCH: usize = 8;

/// A handler that computes or blocks for longer keeps those behind it waiting, with which another task could
/// begin.
const SLOW: Duration = Duration::from_micros(100);

/// One of the tasks that accept.
pub(super) struct Acceptor<S> {
    pub(super) server: homa::Server,
    pub(super) handler: S,
    pub(super) shared: Arc<Shared>,
}

impl<S: Handler> Acceptor<S> {
    /// Accepts until the endpoint is closed.
    pub(super) async fn run(self) {
        let mut requests = Vec::with_capacity(BATCH);
        let mut batch = 1;
        loop {
            let count = self.server.accept_batch(&mut requests, batch).await;
            if count == 0 {
                return;
            }
            let begin = Instant::now();
            requests.drain(..).for_each(|request| self.take(request));
            let is_slow = begin.elapsed() > SLOW * count as u32;
            if count == batch {
                // Others have their turn, the endpoint's driver among them.
                tokio::task::yield_now().await;
            }
            batch = if is_slow { 1 } else { (2 * batch).min(BATCH) };
        }
    }

    fn take(&self, mut request: Request) {
        let message = request.take_message();
        let length = message.len();
        match wire::Request::decode(message, &self.shared.config.metadata) {
            Ok(wire::Request::Open(open)) => match self.hold(request.peer(), &open, length) {
                Ok(held) => self.open(request, open, held),
                Err(no_room) => turn_away(request, no_room),
            },
            Ok(about_stream) => self.about_stream(request, about_stream, length),
            Err(Malformed::Version(_) | Malformed::PeerVersions(_)) => {
                reply(request, wire::versions_answer());
            }
            Err(malformed) => reply(request, Answer::fault(&malformed.into())),
        }
    }

    /// Holds the bytes of a call. Short ones that are whole are not counted by client: nearly all are gone
    /// before they would be.
    fn hold(&self, peer: SocketAddr, open: &Open, length: usize) -> Result<Room, NoRoom> {
        const SHORT: usize = 4096;
        match open.is_end && length <= SHORT {
            true => self.shared.peers.hold(length),
            false => self.shared.peers.get(peer).hold(length),
        }
    }

    /// Begins with the work of a call at once; if there is nothing to wait for, that is all. A handler
    /// that panics takes its own call with it, and no other.
    fn open(&self, request: Request, open: Open, held: Room) {
        let Some(active) = self.shared.begin_call() else {
            return request.refuse(RefuseReason::ShuttingDown);
        };
        let call = Call { request, open, held, handler: self.handler.clone(), active };
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let mut call = call::serve(call);
            let mut cx = Context::from_waker(Waker::noop());
            let is_pending = call.as_mut().poll(&mut cx).is_pending();
            is_pending.then_some(call)
        }));
        // What a panic left is dropped, and its request refused.
        if let Ok(Some(call)) = polled {
            tokio::spawn(call);
        }
    }

    /// Only what has a body is turned away when much is held: pulls and cancels let go of something.
    fn about_stream(&self, request: Request, message: wire::Request, length: usize) {
        let (peer, id) = (request.peer(), message.stream());
        let Some(stream) = self.shared.streams.find(peer, id) else {
            return reply(request, Answer::fault(&self.shared.streams.why_gone(peer, id)));
        };
        match message {
            wire::Request::Push { sequence, is_end, body, .. } => {
                match stream.hold(sequence, length) {
                    Ok(held) => stream.push(sequence, Push { request, body, is_end, held }),
                    Err(no_room) => {
                        stream.touch();
                        turn_away(request, no_room);
                    }
                }
            }
            wire::Request::Pull { .. } => stream.pull(request),
            wire::Request::Cancel { .. } => {
                stream.cancel(None);
                reply(request, Answer::nothing());
            }
            // A call is no message about a stream; `take` has seen to it.
            wire::Request::Touch { .. } | wire::Request::Open(_) => {
                stream.touch();
                reply(request, Answer::nothing());
            }
        }
    }
}

/// Says that there is no room for a message: later, or never.
fn turn_away(request: Request, no_room: NoRoom) {
    match no_room {
        NoRoom::Now => request.refuse(RefuseReason::Overloaded),
        NoRoom::Ever => {
            let why = "the message is longer than all that the server holds of a client's requests";
            reply(request, Answer::fault(&Status::resource_exhausted(why)));
        }
    }
}
