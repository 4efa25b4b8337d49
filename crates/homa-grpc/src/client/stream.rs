//! A stream, seen from the client: pulls bring the response, pushes take the request's body.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use homa::{Addr, CallError, Message};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;

use super::body::ResponseBody;
use super::call::{trailers_only, with_headers};
use super::exchange::{Exchange, Failure, Pending};
use super::overload;
use super::uplink::Uplink;
use super::upload::Upload;
use crate::held::Held;
use crate::reorder::Reorder;
use crate::wire::{Answer, Item, Request};

/// A call that the server took as a stream.
pub(super) struct Begun {
    pub(super) exchange: Exchange,
    pub(super) addr: Addr,
    pub(super) id: u64,
    pub(super) upload: Option<Upload>,
    pub(super) deadline: Option<Instant>,
    /// What the server answered to the call itself, if its response has begun.
    pub(super) first: Option<Item>,
}

/// Where a response's body gets its items from, in order.
#[derive(Debug)]
pub(super) struct Downlink {
    items: mpsc::Receiver<Unread>,
    failure: Arc<OnceLock<Status>>,
}

/// Waits for the response's headers; the rest of the stream goes on beside.
pub(super) async fn respond(mut begun: Begun) -> Result<http::Response<ResponseBody>, Status> {
    let pulls_max = begun.exchange.shared.config.pulls_max();
    let (sender, items) = mpsc::channel(pulls_max);
    let failure = Arc::new(OnceLock::new());
    let mut downlink = Downlink { items, failure: Arc::clone(&failure) };
    let first = begun.first.take().map(checked).transpose();
    let has_backlog = matches!(&first, Ok(Some(item)) if item.has_backlog);
    let due = u64::from(matches!(first, Ok(Some(_))));
    let Begun { exchange, addr, deadline, .. } = &begun;
    let uplink = Arc::new(Uplink::new(exchange.clone(), *addr, *deadline));
    let stream = Stream {
        items: sender,
        room: Vec::new(),
        pulls: FuturesUnordered::new(),
        uplink,
        pushes: FuturesUnordered::new(),
        touches: FuturesUnordered::new(),
        window: if has_backlog { pulls_max.min(2) } else { 1 },
        early: Reorder::new(due, pulls_max),
        fault: None,
        paused: None,
        begun,
    };
    tokio::spawn(stream.run(failure));
    // If the first answer was none, the stream ends as nobody waits for it.
    let item = match first? {
        Some(first) => first,
        None => std::future::poll_fn(|cx| downlink.poll_item(cx)).await?,
    };
    Ok(response(item, downlink))
}

fn response(mut item: Item, downlink: Downlink) -> http::Response<ResponseBody> {
    match item.headers.take() {
        Some(headers) => with_headers(headers, ResponseBody::begun(item, downlink)),
        None => trailers_only(item),
    }
}

/// The first item brings headers, or trailers alone; no other brings headers.
fn checked(item: Item) -> Result<Item, Status> {
    let is_first = item.sequence == 0;
    let has_headers = item.headers.is_some();
    let is_trailers_only = item.trailers.is_some() && item.body.is_empty();
    if is_first == has_headers || (is_first && is_trailers_only) {
        Ok(item)
    } else {
        Err(Status::internal(
            "the server's response has headers where there are none, or lacks them",
        ))
    }
}

/// An item that nobody has read.
#[derive(Debug)]
struct Unread {
    item: Item,
    _held: Held,
}

impl Downlink {
    /// The next item. After that with the trailers, or an error, there is none.
    pub(super) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Item, Status>> {
        let item = std::task::ready!(self.items.poll_recv(cx));
        Poll::Ready(item.map(|unread| unread.item).ok_or_else(|| match self.failure.get() {
            Some(status) => status.clone(),
            None => Status::unavailable("the runtime of the stream was shut down"),
        }))
    }
}

/// The task of a stream.
struct Stream {
    begun: Begun,
    items: mpsc::Sender<Unread>,
    /// Room for what the pulls under way will bring, and for what came early: an item each.
    room: Vec<mpsc::OwnedPermit<Unread>>,
    pulls: FuturesUnordered<Pending>,
    uplink: Arc<Uplink>,
    pushes: FuturesUnordered<Pushing>,
    /// Signs of life, one at a time.
    touches: FuturesUnordered<Pending>,
    /// Pulls to keep under way: more while the server has more than they bring, one when it is idle.
    window: usize,
    early: Reorder<Unread>,
    /// The server does not know the stream: it is over, but its end may be on the way.
    fault: Option<Status>,
    /// The server was too busy for a pull, or had nothing to say, and is not asked before that.
    paused: Option<Instant>,
}

/// A server that has nothing to say is asked again after that: one that says so at once, again and again,
/// does not keep its clients busy.
const NOTHING_PAUSE: Duration = Duration::from_millis(1);

type Pushing = Pin<Box<dyn Future<Output = Result<Message, CallError>> + Send>>;

/// What happened to a stream.
enum Event {
    /// Nobody wants the response any more.
    Dropped,
    Pulled(Result<Message, CallError>),
    /// A push, or a sign of life, was answered.
    Sent(Result<Message, CallError>),
    /// There is room for another item.
    Room(mpsc::OwnedPermit<Unread>),
    Push(Result<(u64, Message), Status>),
    /// Nothing was asked for long.
    Silent,
    /// A pause is over.
    Resumed,
    Late,
}

/// How a stream ended before its end.
enum Broken {
    Dropped,
    Failed(Status),
}

impl From<Status> for Broken {
    fn from(status: Status) -> Self {
        Self::Failed(status)
    }
}

impl Stream {
    async fn run(mut self, failure: Arc<OnceLock<Status>>) {
        let Err(broken) = self.carry().await else { return };
        if let Broken::Failed(status) = broken {
            // Nobody else sets it.
            let _ = failure.set(status);
        }
        let Begun { exchange, addr, id, .. } = &self.begun;
        let (exchange, addr, id) = (exchange.clone(), *addr, *id);
        // With all that is under way.
        drop(self);
        cancel(&exchange, addr, id).await;
    }

    /// Carries the stream to its end.
    async fn carry(&mut self) -> Result<(), Broken> {
        let deadline = self.begun.deadline;
        let mut late = std::pin::pin!(async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        });
        loop {
            let event = tokio::select! {
                biased;
                () = &mut late => Event::Late,
                event = self.event() => event,
            };
            match event {
                Event::Late => {
                    return Err(Status::deadline_exceeded("the call's deadline has passed").into());
                }
                Event::Dropped => return Err(Broken::Dropped),
                Event::Room(room) => self.pull(room),
                Event::Pulled(outcome) => {
                    if self.pulled(outcome)? {
                        return Ok(());
                    }
                }
                Event::Push(push) => self.push(push?),
                Event::Sent(outcome) => self.sent(outcome)?,
                Event::Silent => self.touch(),
                Event::Resumed => self.paused = None,
            }
        }
    }

    /// Waits for what happens next.
    async fn event(&mut self) -> Event {
        let config = &self.begun.exchange.shared.config;
        let message_bytes_max = self.begun.exchange.shared.message_bytes_max();
        let (paused, resumes) = (self.paused.is_some(), self.paused.unwrap_or_else(Instant::now));
        let may_pull = self.fault.is_none() && !paused && self.pulls.len() < self.window;
        let may_push = self.begun.upload.is_some() && self.pushes.len() < config.pushes_max();
        // A push may wait here.
        let is_silent = self.pulls.is_empty() && self.touches.is_empty();
        let unread = &self.begun.exchange.shared.unread;
        let items = &self.items;
        let room = async {
            if unread.is_full() {
                // Until the reader has all that came.
                drop(items.reserve_many(items.max_capacity()).await.ok()?);
            }
            items.clone().reserve_owned().await.ok()
        };
        let upload = &mut self.begun.upload;
        let push = std::future::poll_fn(|cx| match upload {
            Some(upload) => upload.poll_push(cx, message_bytes_max),
            None => Poll::Pending,
        });
        tokio::select! {
            biased;
            () = self.items.closed() => Event::Dropped,
            Some(outcome) = self.pulls.next() => Event::Pulled(outcome),
            Some(outcome) = self.pushes.next() => Event::Sent(outcome),
            Some(outcome) = self.touches.next() => Event::Sent(outcome),
            Some(room) = room, if may_pull => Event::Room(room),
            push = push, if may_push => Event::Push(push),
            () = tokio::time::sleep_until(resumes), if paused => Event::Resumed,
            () = tokio::time::sleep(config.keep_alive), if is_silent => Event::Silent,
        }
    }

    fn pull(&mut self, room: mpsc::OwnedPermit<Unread>) {
        let Begun { exchange, addr, id, deadline, .. } = &self.begun;
        self.room.push(room);
        self.pulls.push(exchange.begin(*addr, Request::pull(*id).into(), *deadline));
    }

    fn push(&mut self, (number, push): (u64, Message)) {
        if self.begun.upload.as_ref().is_some_and(Upload::is_over) {
            self.begun.upload = None;
        }
        self.pushes.push(Box::pin(self.uplink.push(number, push)));
    }

    fn touch(&mut self) {
        let Begun { exchange, addr, id, deadline, .. } = &self.begun;
        self.touches.push(exchange.begin(*addr, Request::touch(*id).into(), *deadline));
    }

    /// Hands on what a pull has brought; true at the end of the stream.
    fn pulled(&mut self, outcome: Result<Message, CallError>) -> Result<bool, Status> {
        match self.begun.exchange.answer_about_stream(outcome) {
            Ok(Answer::Item(item)) => return self.received(item),
            Ok(Answer::Nothing) => self.pause(NOTHING_PAUSE),
            // Items have numbers, not pulls: another pull brings the same.
            Err(Failure::Busy) => self.pause(overload::PAUSE),
            // It may have overtaken the end, which another pull brings.
            Ok(Answer::Fault(status)) | Err(Failure::MayBeTheEnd(status)) => {
                self.fault.get_or_insert(status);
            }
            Err(Failure::Other(status)) => return Err(status),
            Ok(Answer::Taken { .. }) => {
                return Err(Status::internal("the server's answer is none to a pull"));
            }
        }
        // Nothing came for which room was kept.
        self.room.pop();
        self.heed_fault()?;
        Ok(false)
    }

    fn received(&mut self, item: Item) -> Result<bool, Status> {
        if item.has_backlog {
            let pulls_max = self.begun.exchange.shared.config.pulls_max();
            self.window = (self.window * 2).min(pulls_max);
        }
        let item = checked(item)?;
        let sequence = item.sequence;
        let mut held = self.begun.exchange.shared.unread.hold_nothing();
        held.set(item.body.len());
        if self.early.insert(sequence, Unread { item, _held: held }).is_err() {
            return Err(Status::internal(
                "the server's response has an item twice or out of order",
            ));
        }
        while let Some(unread) = self.early.pop() {
            let is_end = unread.item.trailers.is_some();
            if let Some(room) = self.room.pop() {
                room.send(unread);
            }
            if is_end {
                return Ok(true);
            }
        }
        self.heed_fault()?;
        Ok(false)
    }

    /// Asks for one item at a time, and not before that.
    fn pause(&mut self, pause: Duration) {
        (self.window, self.paused) = (1, Some(Instant::now() + pause));
    }

    /// An error, if something failed, and no pull is under way that could bring the end.
    fn heed_fault(&self) -> Result<(), Status> {
        match &self.fault {
            Some(fault) if self.pulls.is_empty() => Err(fault.clone()),
            _ => Ok(()),
        }
    }

    fn sent(&mut self, outcome: Result<Message, CallError>) -> Result<(), Status> {
        match self.begun.exchange.answer_about_stream(outcome) {
            Ok(Answer::Taken { is_closed: false } | Answer::Nothing) => {}
            // A server that is too busy for a sign of life has time for the next one.
            Err(Failure::Busy) => return Ok(()),
            // The server wants no more of the request. What became of the call, the response says.
            Ok(Answer::Taken { is_closed: true }) => self.begun.upload = None,
            Ok(Answer::Fault(status)) | Err(Failure::MayBeTheEnd(status)) => {
                self.begun.upload = None;
                self.fault.get_or_insert(status);
            }
            Err(Failure::Other(status)) => return Err(status),
            Ok(Answer::Item(_)) => {
                return Err(Status::internal("the server's answer is none to a push"));
            }
        }
        self.heed_fault()
    }
}

/// Tells the server that nobody waits for the stream any more.
pub(super) async fn cancel(exchange: &Exchange, addr: Addr, id: u64) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let deadline = Instant::now() + PATIENCE;
    let told = exchange.begin(addr, Request::cancel(id).into(), Some(deadline));
    // If the server can't be told, it cancels what it does not hear of.
    let _ = told.await;
}
