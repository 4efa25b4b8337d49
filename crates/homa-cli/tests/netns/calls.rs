//! Calls to servers that are cut off and come back.

use std::thread;
use std::time::{Duration, Instant};

use homa::CallError;
use homa::blocking::Endpoint;
use homa::proto::Unreachable;

/// A call to a peer that does not answer ends when the endpoint's short patience does; the rest is for
/// machines that are busy.
const FAILS_WITHIN: Duration = Duration::from_secs(4);
/// Linux looks for a neighbour that it has given up after some seconds only.
pub(crate) const RECOVERS_WITHIN: Duration = Duration::from_secs(10);

/// Calls until one succeeds.
pub(crate) fn wait_for_success(endpoint: &Endpoint, server: homa::Addr) {
    let begin = Instant::now();
    while let Err(error) = endpoint.call(server, "are you there?") {
        assert!(begin.elapsed() < RECOVERS_WITHIN, "still: {error}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// One call, which fails for want of a peer: no other reason will do, and none may take long. Whom
/// the network says to be missing, if it does.
pub(crate) fn assert_fails(endpoint: &Endpoint, server: homa::Addr) -> Option<Unreachable> {
    let begin = Instant::now();
    let outcome = endpoint.call(server, vec![1; 100_000]);
    assert!(begin.elapsed() < FAILS_WITHIN, "{:?}", begin.elapsed());
    match outcome {
        Err(CallError::Timeout { .. }) => None,
        Err(CallError::Unreachable { kind, .. }) => Some(kind),
        other => panic!("{:?}", other.map(|response| response.len())),
    }
}
