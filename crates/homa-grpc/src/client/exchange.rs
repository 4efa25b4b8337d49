//! One Homa RPC of a channel: a message to the server, and its answer.

use std::sync::Arc;
use std::time::Duration;

use homa::{Addr, Call, CallError, CallOptions, Message, WhenFull};
use tokio::time::Instant;
use tonic::Status;

use super::Shared;
use crate::status;
use crate::wire::Answer;

/// In place of no deadline, of which Homa has none: a year.
const NO_DEADLINE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Sends messages of one call to the server, and reads the answers.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) shared: Arc<Shared>,
}

/// An RPC on its way.
pub(super) type Pending = Call;

/// What became of something about a stream, if it was not answered.
pub(super) enum Failure {
    /// The server was too busy for it.
    Busy,
    /// The stream may have ended well before, and its last items be on the way.
    MayBeTheEnd(Status),
    Other(Status),
}

impl Exchange {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Asks for the server's address, until the call's deadline at most.
    pub(super) async fn find_addr(&self, deadline: Option<Instant>) -> Result<Addr, Status> {
        let found = self.shared.server.find_addr(&self.shared.endpoint);
        let found = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, found).await.map_err(|_| {
                Status::deadline_exceeded("the server's name was not resolved in time")
            })?,
            None => found.await,
        };
        found.map_err(|error| status::of_call_error(error.into()))
    }

    /// Sends the call itself.
    pub(super) async fn open(
        &self,
        addr: Addr,
        message: Message,
        deadline: Option<Instant>,
    ) -> Result<Message, CallError> {
        let Shared { overload, config, .. } = &*self.shared;
        let waits = config.when_full == WhenFull::Wait;
        let mut attempt = 0;
        loop {
            let outcome = self.send(addr, message.clone(), deadline, config.when_full).await;
            if !(waits && matches!(outcome, Err(CallError::Overloaded { .. }))) {
                overload.one_ended();
                return outcome;
            }
            overload.pause(attempt, deadline).await;
            attempt += 1;
        }
    }

    /// Sends something about a stream. If this endpoint has no room, it waits: streams are slowed down,
    /// not broken, by others.
    pub(super) fn begin(&self, addr: Addr, message: Message, deadline: Option<Instant>) -> Pending {
        self.send(addr, message, deadline, WhenFull::Wait)
    }

    fn send(
        &self,
        addr: Addr,
        message: Message,
        deadline: Option<Instant>,
        when_full: WhenFull,
    ) -> Pending {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let options = CallOptions::new().deadline(left.unwrap_or(NO_DEADLINE)).when_full(when_full);
        self.shared.endpoint.call_with(addr, message, options)
    }

    /// Reads the answer to something about a stream. What became of that says nothing of the call, which
    /// the server has begun: so a failure's [`CallError`], which may say that nothing was done, is not its
    /// source.
    pub(super) fn answer_about_stream(
        &self,
        outcome: Result<Message, CallError>,
    ) -> Result<Answer, Failure> {
        let failure = match outcome {
            Err(CallError::Overloaded { .. }) => return Err(Failure::Busy),
            // A server that serves no more refuses, or is silent.
            Err(CallError::Refused { .. } | CallError::Timeout { .. }) => Failure::MayBeTheEnd,
            _ => Failure::Other,
        };
        let answer = self.answer(outcome);
        answer.map_err(|status| failure(Status::new(status.code(), status.message())))
    }

    /// Reads the answer to a call.
    pub(super) fn answer(&self, outcome: Result<Message, CallError>) -> Result<Answer, Status> {
        match outcome {
            Ok(message) => Ok(Answer::decode(message, &self.shared.config.metadata)?),
            Err(error) => {
                self.shared.server.failed(&error);
                Err(status::of_call_error(error))
            }
        }
    }
}
