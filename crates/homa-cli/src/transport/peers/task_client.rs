//! A client whose calls are tasks.

use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use ::homa::Message;
use tokio::task::JoinSet;

use super::reactor::Reactor;
use crate::transport::{Failure, LoadClient, Outcome, Request};

/// Makes one call after the other, or many at once.
pub(crate) trait Caller: Clone + Send + 'static {
    /// The response to a request. Connects first if there is no connection.
    fn call(self, request: Request) -> impl Future<Output = Result<Message, Failure>> + Send;
}

/// Makes calls to one server, each as a task.
#[derive(Debug)]
pub(crate) struct TaskClient<C> {
    caller: C,
    /// Calls that no task was started for yet.
    unsent: Vec<Request>,
    calls: JoinSet<(u32, Result<Message, Failure>)>,
    /// Dropped last: the others belong to it.
    reactor: Reactor,
}

impl<C> TaskClient<C> {
    pub(crate) fn new(reactor: Reactor, caller: C) -> Self {
        Self { caller, unsent: Vec::new(), calls: JoinSet::new(), reactor }
    }
}

impl<C: Caller> LoadClient for TaskClient<C> {
    fn send(&mut self, request: Request) {
        // Started from outside, a task would cost a system call.
        self.unsent.push(request);
    }

    fn receive(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(u32, Outcome<'_>),
    ) -> io::Result<()> {
        let Self { caller, unsent, calls, reactor } = self;
        let mut ended = reactor.run(timeout, async {
            for request in unsent.drain(..) {
                let (caller, slot) = (caller.clone(), request.slot);
                calls.spawn(async move { (slot, caller.call(request).await) });
            }
            match calls.join_next().await {
                Some(ended) => ended,
                None => pending().await,
            }
        });
        while let Some(call) = ended {
            match call.map_err(io::Error::other)? {
                (slot, Ok(mut response)) => sink(slot, Ok(&mut response)),
                (slot, Err(failure)) => sink(slot, Err(failure)),
            }
            ended = calls.try_join_next();
        }
        Ok(())
    }
}
