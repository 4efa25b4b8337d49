//! What really happened: every call and every message of a world, whoever forgot it.

use homa_proto::Failure;
use std::collections::BTreeMap;

/// A message, known everywhere by its number here. Its bytes are a function of that number and of
/// their offset: two ranges are equal if both are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub(super) call: usize,
    pub(super) length: u32,
    pub(super) is_response: bool,
}

/// How a call ended, as its application saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Response,
    Failed(Failure),
    Aborted,
    /// The client's host crashed.
    Lost,
}

/// A call that was started.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) client: usize,
    pub(super) server: usize,
    pub(super) ending: Option<Ending>,
    /// How often the server's application saw the request, by life of its host: a host that lost its
    /// memory can't know what it did before.
    executions: BTreeMap<u32, u32>,
}

/// All calls and messages.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) calls: Vec<Call>,
    pub(super) messages: Vec<Message>,
    /// Whether headers are damaged unnoticed, so that messages are not what they were.
    pub(super) is_garbled: bool,
}

impl Book {
    /// A call begins; its number.
    pub(super) fn open(&mut self, client: usize, server: usize) -> usize {
        self.calls.push(Call { client, server, ending: None, executions: BTreeMap::new() });
        self.calls.len() - 1
    }

    /// A message begins; its number.
    pub(super) fn write(&mut self, call: usize, length: u32, is_response: bool) -> usize {
        self.messages.push(Message { call, length, is_response });
        self.messages.len() - 1
    }

    /// A call ends.
    ///
    /// # Panics
    ///
    /// If it had ended.
    pub(super) fn end(&mut self, call: usize, ending: Ending) {
        let before = self.calls[call].ending.replace(ending);
        assert_eq!(before, None, "call {call} ended twice, now as {ending:?}");
    }

    /// A response arrived whole.
    ///
    /// # Panics
    ///
    /// If it is not the response to this call.
    pub(super) fn take_response(&mut self, call: usize, message: usize, length: u32) {
        let sent = self.messages[message];
        let right = sent.is_response && sent.call == call && sent.length == length;
        assert!(self.is_garbled || right, "call {call} got {length} bytes of {sent:?}");
        self.end(call, Ending::Response);
    }

    /// A request arrived whole, or begins to be read at its server; returns its call.
    ///
    /// # Panics
    ///
    /// If it is another server's, or something else.
    pub(super) fn take_request(&mut self, host: usize, message: usize) -> usize {
        let sent = self.messages[message];
        let right = !sent.is_response && self.calls[sent.call].server == host;
        assert!(self.is_garbled || right, "host {host} got {sent:?}");
        sent.call
    }

    /// The application of a host sees a request.
    ///
    /// # Panics
    ///
    /// If it saw it before.
    pub(super) fn execute(&mut self, call: usize, life: u32) {
        let count = self.calls[call].executions.entry(life).or_default();
        *count += 1;
        assert!(self.is_garbled || *count == 1, "request of call {call} was executed twice");
    }
}
