//! What gRPC calls the errors of Homa.

use std::sync::Arc;

use homa::{AddrError, CallError, RefuseReason};
use tonic::{Code, Status};

use crate::wire::{Malformed, MetadataError};

/// The status of a call that failed. Its source is the [`CallError`], which knows whether the server
/// certainly did nothing ([`CallError::is_retryable`]).
pub(crate) fn of_call_error(error: CallError) -> Status {
    let mut status = Status::new(code_of(&error), error.to_string());
    status.set_source(Arc::new(error));
    status
}

/// The table in `docs/grpc-over-homa.md`.
fn code_of(error: &CallError) -> Code {
    match error {
        CallError::DeadlineExceeded { .. } => Code::DeadlineExceeded,
        CallError::Aborted => Code::Cancelled,
        CallError::TooLong { .. } | CallError::BadResponse { .. } | CallError::Full { .. } => {
            Code::ResourceExhausted
        }
        // Its handler panicked, say: it may have done half of its work.
        CallError::Refused { reason: RefuseReason::DroppedUnanswered, .. } => Code::Internal,
        CallError::Addr(AddrError::Resolve { .. }) => Code::Unavailable,
        CallError::Addr(_) => Code::InvalidArgument,
        CallError::Empty | CallError::Local(_) => Code::Internal,
        // Silent, refused, overloaded, not reachable, shut down: another server, or a later try, may
        // do.
        _ => Code::Unavailable,
    }
}

impl From<Malformed> for Status {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::PeerVersions(_) | Malformed::Version(_) => {
                Self::unimplemented(malformed.to_string())
            }
            Malformed::HeadTooLong { .. } | Malformed::TooManyEntries { .. } => {
                Self::resource_exhausted(format!("message of gRPC over Homa: {malformed}"))
            }
            _ => Self::internal(format!("malformed message of gRPC over Homa: {malformed}")),
        }
    }
}

impl From<MetadataError> for Status {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::Base64(_) => Self::internal(error.to_string()),
            _ => Self::resource_exhausted(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn addr() -> homa::Addr {
        "127.0.0.1:4000".parse().unwrap()
    }

    #[test]
    fn of_call_error__code_text_and_source() {
        let error = CallError::Overloaded { addr: addr() };
        let status = of_call_error(error.clone());
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), error.to_string());
        let source = std::error::Error::source(&status).unwrap();
        assert!(source.downcast_ref::<CallError>().unwrap().is_retryable());
    }

    #[test]
    fn code_of__each_kind() {
        let refused = |reason| CallError::Refused { addr: addr(), reason };
        for (error, code) in [
            (CallError::Timeout { addr: addr() }, Code::Unavailable),
            (
                CallError::DeadlineExceeded { addr: addr(), waited_for: None },
                Code::DeadlineExceeded,
            ),
            (refused(RefuseReason::ShuttingDown), Code::Unavailable),
            (refused(RefuseReason::DroppedUnanswered), Code::Internal),
            (CallError::Aborted, Code::Cancelled),
            (CallError::TooLong { max: 1, by_server: true }, Code::ResourceExhausted),
            (CallError::ShutDown, Code::Unavailable),
            (CallError::Empty, Code::Internal),
            (CallError::Addr(AddrError::Port(0)), Code::InvalidArgument),
        ] {
            assert_eq!(code_of(&error), code, "{error:?}");
        }
    }
}
