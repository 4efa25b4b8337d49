//! Requests in the hands of a server's application.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use homa_io::Message;
use homa_proto::RpcKey;
use homa_wire::RefuseReason;

use crate::awaited::{AllBytes, MoreBytes, ReplySent, RequestCancelled};
use crate::error::{ReadError, ReplyError};
use crate::shared::Handle;
use crate::state::{Accepted, Replied, State};
use crate::wait::wait;
use crate::waiting::Ticket;

/// A request that arrived whole, to be answered once, at any time and from any task or thread.
///
/// A request that is dropped without an answer is refused: its client learns so at once
/// ([`RefuseReason::DroppedUnanswered`]). None of the methods blocks, so that the same type serves
/// the asynchronous and the blocking API.
#[derive(Debug)]
pub struct Request {
    responder: Responder,
    message: Message,
}

/// A request that is read while it arrives, and answered once it has arrived whole.
///
/// Otherwise like [`Request`].
#[derive(Debug)]
pub struct StreamRequest {
    responder: Responder,
    length: u32,
    /// Bytes that were read.
    read: u32,
}

/// The duty to answer a request.
struct Responder {
    handle: Arc<Handle>,
    key: RpcKey,
    peer: SocketAddr,
    answered: bool,
}

/// The place of a reply that waits for room; dropped, it is given up.
struct InLine<'a> {
    responder: &'a mut Responder,
    ticket: Ticket,
}

impl Request {
    pub(crate) fn new(handle: Arc<Handle>, accepted: Accepted) -> Self {
        let Accepted { key, peer, message, .. } = accepted;
        let message = message.unwrap_or_default();
        Self { responder: Responder { handle, key, peer, answered: false }, message }
    }

    /// The client's endpoint: IP address and UDP port.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.responder.peer
    }

    /// Length of the request in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a request has at least one byte")]
    pub fn len(&self) -> usize {
        self.message.len()
    }

    /// The request's bytes.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Takes the request's bytes out, without a copy; an empty message remains.
    pub fn take_message(&mut self) -> Message {
        std::mem::take(&mut self.message)
    }

    /// Answers the request. The first packets leave before this returns (but see
    /// [`Endpoint::cork`](crate::Endpoint::cork)).
    ///
    /// # Errors
    ///
    /// See [`ReplyError`]. The request stays answerable, unless its client is gone.
    pub fn reply(&mut self, message: impl Into<Message>) -> Result<(), ReplyError> {
        self.responder.reply(message.into())
    }

    /// Like [`Request::reply`], but waits while this endpoint has no room for the reply, after replies
    /// of the same server that waited before. It waits as long as its client does.
    ///
    /// # Errors
    ///
    /// See [`ReplyError`]. The request stays answerable, unless its client is gone.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future gives its place in the line to the next; the request stays answerable,
    /// unless the reply has left already.
    pub async fn reply_when_room(&mut self, message: impl Into<Message>) -> Result<(), ReplyError> {
        self.responder.reply_when_room(message.into()).await
    }

    /// [`Request::reply_when_room`] for threads: blocks while it waits.
    ///
    /// # Errors
    ///
    /// See [`ReplyError`]. The request stays answerable, unless its client is gone.
    pub fn blocking_reply_when_room(
        &mut self,
        message: impl Into<Message>,
    ) -> Result<(), ReplyError> {
        self.responder.reply_when_room_on_thread(message.into())
    }

    /// Answers many requests of one endpoint: see `Endpoint::reply_batch`.
    pub(crate) fn reply_batch(
        handle: &Handle,
        replies: &mut Vec<(Self, Message)>,
        failed: &mut Vec<ReplyError>,
    ) {
        let mut locked = handle.lock();
        locked.begin_batch(0);
        replies.retain_mut(|(request, message)| {
            let responder = &mut request.responder;
            let Responder { key, answered, .. } = responder;
            let result = if std::ptr::eq(&*responder.handle, handle) {
                answer(&mut locked, *key, answered, message)
            } else {
                // Its lock must not be waited for with this one held.
                Err(ReplyError::OtherEndpoint)
            };
            failed.extend(result.err());
            result.is_err()
        });
        locked.end_batch();
    }

    /// Refuses the request; its client learns the reason at once.
    pub fn refuse(mut self, reason: RefuseReason) {
        self.responder.refuse(reason);
    }

    /// Whether nobody waits for the answer any more: the client aborted the call or can't be
    /// reached, or this endpoint was closed. False after a successful reply.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.responder.is_cancelled()
    }

    /// Waits until nobody waits for the answer any more, which for most requests is never: use it
    /// beside the work, in a `select!`. One task at a time may wait. A request whose client has been
    /// silent for `proto.timing.client_silence_max`, 10 seconds unless configured, counts as
    /// cancelled, too.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future has no effect.
    pub async fn cancelled(&self) {
        self.responder.cancelled().await;
    }
}

impl StreamRequest {
    pub(crate) fn new(handle: Arc<Handle>, accepted: &Accepted) -> Self {
        let Accepted { key, peer, length, .. } = *accepted;
        Self { responder: Responder { handle, key, peer, answered: false }, length, read: 0 }
    }

    /// The client's endpoint: IP address and UDP port.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.responder.peer
    }

    /// Length of the whole request in bytes, of which some may not have arrived.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a request has at least one byte")]
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Waits for the next bytes of the request, in order; `None` at its end. As much is given as has
    /// arrived, in pieces of up to 64 KiB without a copy; a piece that is still being filled is
    /// copied.
    ///
    /// # Errors
    ///
    /// The client gave the call up before all had arrived.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future loses no bytes.
    pub async fn read(&mut self) -> Result<Option<Message>, ReadError> {
        let Some(more) = self.unread() else { return Ok(None) };
        let bytes = wait(&self.responder.handle, more).await?;
        Ok(Some(self.count_read(bytes)))
    }

    /// Waits for all bytes that were not read yet.
    ///
    /// # Errors
    ///
    /// The client gave the call up before all had arrived.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future loses no bytes.
    pub async fn read_to_end(&mut self) -> Result<Message, ReadError> {
        let Some(rest) = self.unread() else { return Ok(Message::new()) };
        let bytes = wait(&self.responder.handle, AllBytes(rest)).await?;
        Ok(self.count_read(bytes))
    }

    /// [`StreamRequest::read`] on a thread.
    pub(crate) fn read_on_thread(&mut self) -> Result<Option<Message>, ReadError> {
        let Some(mut more) = self.unread() else { return Ok(None) };
        let bytes = self.responder.handle.wait(&mut more, None);
        Ok(Some(self.count_read(bytes.ok_or(ReadError::Cancelled)??)))
    }

    /// [`StreamRequest::read_to_end`] on a thread.
    pub(crate) fn read_to_end_on_thread(&mut self) -> Result<Message, ReadError> {
        let Some(rest) = self.unread() else { return Ok(Message::new()) };
        let bytes = self.responder.handle.wait(&mut AllBytes(rest), None);
        Ok(self.count_read(bytes.ok_or(ReadError::Cancelled)??))
    }

    /// Answers the request, which must have arrived whole; bytes not read are dropped.
    ///
    /// # Errors
    ///
    /// See [`ReplyError`]. The request stays answerable, unless its client is gone.
    pub fn reply(&mut self, message: impl Into<Message>) -> Result<(), ReplyError> {
        self.responder.reply(message.into())
    }

    /// Like [`StreamRequest::reply`], but waits while this endpoint has no room for the reply: see
    /// [`Request::reply_when_room`].
    ///
    /// # Errors
    ///
    /// See [`ReplyError`]. The request stays answerable, unless its client is gone.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future gives its place in the line to the next; the request stays answerable,
    /// unless the reply has left already.
    pub async fn reply_when_room(&mut self, message: impl Into<Message>) -> Result<(), ReplyError> {
        self.responder.reply_when_room(message.into()).await
    }

    /// [`StreamRequest::reply_when_room`] on a thread.
    pub(crate) fn reply_when_room_on_thread(&mut self, message: Message) -> Result<(), ReplyError> {
        self.responder.reply_when_room_on_thread(message)
    }

    /// Refuses the request, arrived or not; its client learns the reason at once.
    pub fn refuse(mut self, reason: RefuseReason) {
        self.responder.refuse(reason);
    }

    /// Whether nobody waits for the answer any more, see [`Request::is_cancelled`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.responder.is_cancelled()
    }

    /// Waits until nobody waits for the answer any more, see [`Request::cancelled`].
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future has no effect.
    pub async fn cancelled(&self) {
        self.responder.cancelled().await;
    }

    /// What was not read yet; `None` at the end.
    fn unread(&self) -> Option<MoreBytes> {
        let more = MoreBytes { key: self.responder.key, from: self.read };
        (self.read < self.length).then_some(more)
    }

    fn count_read(&mut self, bytes: Message) -> Message {
        self.read += bytes.len() as u32;
        bytes
    }
}

impl Responder {
    fn reply(&mut self, mut message: Message) -> Result<(), ReplyError> {
        let Self { handle, key, answered, .. } = self;
        answer(&mut handle.lock(), *key, answered, &mut message)
    }

    async fn reply_when_room(&mut self, message: Message) -> Result<(), ReplyError> {
        let Some(ticket) = self.reply_or_wait(message)? else { return Ok(()) };
        let place = InLine { responder: self, ticket };
        wait(&place.responder.handle, ReplySent(ticket)).await
    }

    fn reply_when_room_on_thread(&mut self, message: Message) -> Result<(), ReplyError> {
        let Some(ticket) = self.reply_or_wait(message)? else { return Ok(()) };
        let place = InLine { responder: self, ticket };
        let sent = place.responder.handle.wait(&mut ReplySent(ticket), None);
        sent.unwrap_or(Err(ReplyError::ShutDown))
    }

    /// Replies, unless there is no room: then the reply waits by the name of the ticket.
    fn reply_or_wait(&mut self, message: Message) -> Result<Option<Ticket>, ReplyError> {
        if self.answered {
            return Err(ReplyError::Answered);
        }
        match self.handle.lock().reply_or_wait(self.key, message)? {
            Replied::Waits(ticket) => Ok(Some(ticket)),
            Replied::Sent => {
                self.answered = true;
                Ok(None)
            }
        }
    }

    fn refuse(&mut self, reason: RefuseReason) {
        if std::mem::replace(&mut self.answered, true) {
            return;
        }
        if let Some(mut locked) = self.handle.shared.lock_to_drop() {
            locked.refuse(self.key, reason);
        }
    }

    fn is_cancelled(&self) -> bool {
        !self.answered && self.handle.lock().is_cancelled(self.key)
    }

    async fn cancelled(&self) {
        if self.answered {
            std::future::pending::<()>().await;
        }
        wait(&self.handle, RequestCancelled(self.key)).await;
    }
}

/// Answers a request of the endpoint whose state this is. Takes the message, unless it fails.
fn answer(
    state: &mut State,
    key: RpcKey,
    answered: &mut bool,
    message: &mut Message,
) -> Result<(), ReplyError> {
    if *answered {
        return Err(ReplyError::Answered);
    }
    state.reply(key, message)?;
    *answered = true;
    Ok(())
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.refuse(RefuseReason::DroppedUnanswered);
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        if let Some(mut locked) = self.responder.handle.shared.lock_to_drop() {
            let outcome = locked.tables.waiting.forget_reply(self.ticket);
            self.responder.answered = matches!(outcome, Some(Ok(())));
        }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, answered, .. } = self;
        f.debug_struct("Responder").field("peer", peer).field("answered", answered).finish()
    }
}
