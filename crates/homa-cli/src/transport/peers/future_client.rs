//! A client whose calls are futures, all awaited by one thread.

use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use ::homa::Message;
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::task::unconstrained;

use super::reactor::Reactor;
use crate::transport::{Failure, LoadClient, Outcome, Request};

/// Makes one call after the other, or many at once.
pub(crate) trait Caller: Clone + 'static {
    /// The response to a request. Connects first if there is no connection.
    fn call(self, request: Request) -> impl Future<Output = Result<Message, Failure>>;
}

/// A client of one server.
pub(crate) fn future_client<C: Caller>(reactor: Reactor, caller: C) -> impl LoadClient {
    let begin = move |request: Request| {
        let (caller, slot) = (caller.clone(), request.slot);
        async move { (slot, caller.call(request).await) }
    };
    FutureClient { begin, unsent: Vec::new(), calls: FuturesUnordered::new(), reactor }
}

/// The outcome of the call of a slot.
type Ended = (u32, Result<Message, Failure>);

struct FutureClient<B, F> {
    begin: B,
    /// Calls that are to begin.
    unsent: Vec<Request>,
    calls: FuturesUnordered<F>,
    reactor: Reactor,
}

impl<B, F> LoadClient for FutureClient<B, F>
where
    B: Fn(Request) -> F,
    F: Future<Output = Ended>,
{
    fn send(&mut self, request: Request) {
        self.unsent.push(request);
    }

    fn receive(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(u32, Outcome<'_>),
    ) -> io::Result<()> {
        let Self { begin, unsent, calls, reactor } = self;
        calls.extend(unsent.drain(..).map(begin));
        let work = async {
            let first = match calls.next().await {
                Some(first) => first,
                None => pending().await,
            };
            report(first, sink);
            // Whatever else has ended.
            while let Some(Some(ended)) = calls.next().now_or_never() {
                report(ended, sink);
            }
        };
        // Whom tokio puts off for having done enough it wakes later, but not after this returns.
        reactor.run(timeout, unconstrained(work));
        Ok(())
    }
}

impl<B, F> Drop for FutureClient<B, F> {
    fn drop(&mut self) {
        // Calls that are given up may need the runtime that they were made in.
        let _inside = self.reactor.enter();
        self.calls.clear();
    }
}

fn report((slot, outcome): Ended, sink: &mut dyn FnMut(u32, Outcome<'_>)) {
    match outcome {
        Ok(mut response) => sink(slot, Ok(&mut response)),
        Err(failure) => sink(slot, Err(failure)),
    }
}
