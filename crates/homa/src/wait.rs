//! How tasks wait in an endpoint; [`crate::lead`] is how threads do.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::awaited::Awaited;
use crate::shared::Handle;

/// Waits until `awaited` is there. Dropping the future only withdraws it.
pub(crate) fn wait<A: Awaited + Unpin>(handle: &Handle, awaited: A) -> Wait<'_, A> {
    Wait { handle, awaited: Some(awaited) }
}

#[derive(Debug)]
pub(crate) struct Wait<'a, A: Awaited + Unpin> {
    handle: &'a Handle,
    /// `None` once it was there.
    awaited: Option<A>,
}

impl<A: Awaited + Unpin> Future for Wait<'_, A> {
    type Output = A::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A::Output> {
        let this = &mut *self;
        let awaited = this.awaited.as_mut().expect("polled after completion");
        let mut locked = this.handle.lock();
        match awaited.take(&mut locked) {
            Some(output) => {
                awaited.withdraw(&mut locked);
                this.awaited = None;
                Poll::Ready(output)
            }
            None => {
                awaited.enroll(&mut locked, cx.waker());
                Poll::Pending
            }
        }
    }
}

impl<A: Awaited + Unpin> Drop for Wait<'_, A> {
    fn drop(&mut self) {
        let Some(mut awaited) = self.awaited.take() else { return };
        if let Some(mut locked) = self.handle.shared.lock_to_drop() {
            awaited.withdraw(&mut locked);
        }
    }
}
