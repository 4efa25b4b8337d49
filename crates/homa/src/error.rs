//! What can go wrong, one enum per operation.

use std::io;

use homa_proto::{self as proto, Failure, Limit, SendError, Unreachable};
use homa_wire::RefuseReason;

use crate::addr::{Addr, AddrError};

/// Why an endpoint or a server could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The text is no socket address, or the name has none.
    #[error("can't resolve the address to listen on: {0}")]
    Resolve(#[source] io::Error),
    /// The operating system refused: the UDP port is in use, say.
    #[error("can't open the UDP socket: {0}")]
    Io(#[from] io::Error),
    /// Raw IP can't be had: the capability CAP_NET_RAW is missing, say, or another process of this
    /// host has the protocol.
    #[error("can't open raw IP: {0}")]
    Raw(#[source] io::Error),
    /// A configuration value breaks its rule.
    #[error("invalid configuration: {0}")]
    Config(#[from] proto::ConfigError),
    /// A Homa server port is 1 to 32767.
    #[error(
        "Homa port {0} can't be served: Homa server ports are 1 to 32767 (at any UDP port one of these may be \
         served, 7 for example, by `Endpoint::serve(7)`; clients write host:UDPPORT/7 then)"
    )]
    PortOutOfRange(u16),
    /// Another [`Server`](crate::Server) of this endpoint has the Homa port.
    #[error("Homa port {0} is in use at this endpoint")]
    PortInUse(u16),
    /// The endpoint was shut down.
    #[error("the endpoint was shut down")]
    ShutDown,
    /// Memory for a table could not be had.
    #[error("out of memory")]
    NoMemory,
}

/// How a call ended other than with a response.
///
/// Whether the server acted on the request is unknown after most of them;
/// [`CallError::is_retryable`] tells those after which it certainly did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server was silent although it was asked again and again: it crashed, was stopped, or is
    /// cut off (PROTOCOL section 7).
    #[error("{addr} does not answer: the host or the server is down, stopped or cut off")]
    Timeout {
        /// The server.
        addr: Addr,
    },
    /// The call's own deadline passed. The server is alive, and perhaps still at work; or the call
    /// waited for room at this endpoint ([`WhenFull::Wait`](crate::WhenFull)), and nothing was sent.
    #[error("{}", late(.addr, .waited_for.as_ref()))]
    DeadlineExceeded {
        /// The server.
        addr: Addr,
        /// The limit that left no room at this endpoint, if the call was never sent.
        waited_for: Option<Limit>,
    },
    /// The server did not take the request, or gave it up.
    #[error("{}", refused(.addr, *.reason))]
    Refused {
        /// The server.
        addr: Addr,
        /// What the server gave as its reason.
        reason: RefuseReason,
    },
    /// The server turned the request away, or gave it up: it has no place or no memory left, or this
    /// client has its share of them, or requests there wait for too long to be accepted. Which of
    /// these it was, the server's statistics say.
    #[error(
        "{addr} is overloaded: it has no room for the request, or this client has its share, or \
         requests wait too long there"
    )]
    Overloaded {
        /// The server.
        addr: Addr,
    },
    /// The network reported that the server can't be reached.
    #[error("{}", unreachable(.addr, *.kind))]
    Unreachable {
        /// The server.
        addr: Addr,
        /// What exactly can't be reached.
        kind: Unreachable,
    },
    /// [`Endpoint::abort`](crate::Endpoint::abort) ended the call.
    #[error("the call was aborted")]
    Aborted,
    /// The request is longer than this endpoint sends or than the server takes.
    #[error("the message is too long: at most {max} bytes are allowed {}",
        if *.by_server { "by the server" } else { "here (proto.message_length_max)" })]
    TooLong {
        /// The limit in bytes.
        max: u32,
        /// Whether the limit is the server's, rather than this endpoint's.
        by_server: bool,
    },
    /// A Homa message has at least one byte.
    #[error("a request must have at least one byte")]
    Empty,
    /// The server announced a response longer than this endpoint accepts.
    #[error(
        "{addr} announced a response longer than this endpoint accepts (proto.message_length_max)"
    )]
    BadResponse {
        /// The server.
        addr: Addr,
    },
    /// The operating system would not send the packets.
    #[error("the operating system would not send packets to {addr}")]
    SendFailed {
        /// The server.
        addr: Addr,
    },
    /// This endpoint was shut down or dropped.
    #[error("the endpoint was shut down")]
    ShutDown,
    /// A limit of this endpoint left no room for the request; nothing was sent.
    #[error("no room: proto.{limit}")]
    Full {
        /// Which, and how much it is.
        limit: Limit,
    },
    /// This endpoint could not send the request for another reason of its own.
    #[error("{0}")]
    Local(SendError),
    /// The address of the call can't be used.
    #[error(transparent)]
    Addr(#[from] AddrError),
}

/// Why a reply could not be sent. The request stays answerable: another reply may be tried, unless
/// the client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// A Homa message has at least one byte.
    #[error("a reply must have at least one byte")]
    Empty,
    /// The reply is longer than `proto.message_length_max`.
    #[error("the reply is longer than the configured limit of {max} bytes")]
    TooLong {
        /// The limit in bytes.
        max: u32,
    },
    /// The client gave the call up, or can't be reached: nobody waits for this reply.
    #[error("the client no longer waits for this reply")]
    Cancelled,
    /// The request was answered before.
    #[error("the request was answered already")]
    Answered,
    /// The request came to another endpoint than the one that is to answer it.
    #[error("the request came to another endpoint")]
    OtherEndpoint,
    /// The request has not fully arrived yet.
    #[error("the request has not fully arrived")]
    Incomplete,
    /// A limit of this endpoint leaves no room for the reply. Try again when clients have taken
    /// theirs.
    #[error("no room: proto.{limit}")]
    Full {
        /// Which, and how much it is.
        limit: Limit,
    },
    /// This endpoint was shut down.
    #[error("the endpoint was shut down")]
    ShutDown,
    /// Memory for a table could not be had.
    #[error("out of memory")]
    NoMemory,
}

/// Why a request can't be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The client gave the call up, or can't be reached: the rest will not come.
    #[error("the client gave the call up before its request had fully arrived")]
    Cancelled,
}

impl CallError {
    /// Whether the request was turned away before anybody acted on it, by this endpoint or by the
    /// server, so that sending it again (elsewhere, or later) can't make it happen twice.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Overloaded { .. } | Self::Full { .. } | Self::Local(_) => true,
            Self::Empty | Self::TooLong { .. } | Self::Addr(_) => true,
            Self::Refused { reason, .. } => *reason != RefuseReason::DroppedUnanswered,
            Self::DeadlineExceeded { waited_for, .. } => waited_for.is_some(),
            // A server that can't be reached now may have been there when the request was.
            _ => false,
        }
    }

    pub(crate) fn from_failure(addr: Addr, failure: Failure) -> Self {
        match failure {
            Failure::Timeout => Self::Timeout { addr },
            Failure::DeadlineExceeded => Self::DeadlineExceeded { addr, waited_for: None },
            Failure::Unreachable(kind) => Self::Unreachable { addr, kind },
            Failure::Refused { reason: RefuseReason::Overloaded, .. } => Self::Overloaded { addr },
            Failure::Refused { reason: RefuseReason::TooLong, detail } => {
                Self::TooLong { max: detail, by_server: true }
            }
            Failure::Refused { reason, .. } => Self::Refused { addr, reason },
            Failure::BadResponse => Self::BadResponse { addr },
            Failure::ShutDown => Self::ShutDown,
            // `SendFailed`, and whatever the protocol may add: nothing came of it on this side.
            _ => Self::SendFailed { addr },
        }
    }
}

impl From<SendError> for CallError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Empty => Self::Empty,
            SendError::TooLong(max) => Self::TooLong { max, by_server: false },
            SendError::NoSocket => Self::ShutDown,
            SendError::Full(limit) => Self::Full { limit },
            other => Self::Local(other),
        }
    }
}

impl From<proto::ReplyError> for ReplyError {
    fn from(error: proto::ReplyError) -> Self {
        match error {
            proto::ReplyError::Empty => Self::Empty,
            proto::ReplyError::TooLong(max) => Self::TooLong { max },
            proto::ReplyError::NotInService => Self::Incomplete,
            proto::ReplyError::Full(limit) => Self::Full { limit },
            proto::ReplyError::NoMemory => Self::NoMemory,
            _ => Self::Cancelled,
        }
    }
}

fn late(addr: &Addr, waited_for: Option<&Limit>) -> String {
    match waited_for {
        Some(limit) => format!("the call's deadline passed before there was room: proto.{limit}"),
        None => format!("the call's deadline passed before {addr} responded"),
    }
}

fn refused(addr: &Addr, reason: RefuseReason) -> String {
    let port = addr.homa_port();
    match reason {
        RefuseReason::NoPort => {
            format!("{addr} refused the request: no server has Homa port {port} there")
        }
        RefuseReason::NotServing => {
            format!("{addr} refused the request: Homa port {port} does not serve")
        }
        RefuseReason::DroppedUnanswered => format!("{addr} dropped the request without an answer"),
        RefuseReason::ShuttingDown => format!("{addr} refused the request: it is shutting down"),
        other => format!("{addr} refused the request: {other}"),
    }
}

fn unreachable(addr: &Addr, kind: Unreachable) -> String {
    let socket = addr.socket_addr();
    match kind {
        // Over raw IP a host has Homa ports only.
        Unreachable::Port if socket.port() == 0 => {
            format!("no server has Homa port {} at {}", addr.homa_port(), socket.ip())
        }
        Unreachable::Port => {
            format!("nothing listens on UDP port {} of {}", socket.port(), socket.ip())
        }
        Unreachable::Protocol => format!("host {} does not speak Homa over raw IP", socket.ip()),
        Unreachable::Host => format!("host {} can't be reached", socket.ip()),
        other => format!("{addr}: {other}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn addr() -> Addr {
        "10.0.0.1:4000/7".parse().unwrap()
    }

    #[test]
    fn display__says_what_a_user_can_act_on() {
        let text = |failure| CallError::from_failure(addr(), failure).to_string();
        assert_eq!(
            text(Failure::Unreachable(Unreachable::Port)),
            "nothing listens on UDP port 4000 of 10.0.0.1"
        );
        let refused = Failure::Refused { reason: RefuseReason::NoPort, detail: 0 };
        assert!(text(refused).contains("no server has Homa port 7"));
        assert!(text(Failure::Timeout).contains("10.0.0.1:4000/7 does not answer"));
        let full = SendError::Full(Limit::of_host(proto::Resource::OutgoingBytes, 5000));
        let text = CallError::from(full).to_string();
        assert_eq!(text, "no room: proto.limits.outgoing_bytes_max is 5000 bytes");
    }

    #[test]
    fn from_failure__overload_and_length_have_their_own_variants() {
        let of =
            |reason, detail| CallError::from_failure(addr(), Failure::Refused { reason, detail });
        assert_eq!(of(RefuseReason::Overloaded, 0), CallError::Overloaded { addr: addr() });
        let text = CallError::Overloaded { addr: addr() }.to_string();
        for reason in ["no room", "its share", "wait too long"] {
            assert!(text.contains(reason), "{text}");
        }
        let too_long = CallError::TooLong { max: 1000, by_server: true };
        assert_eq!(of(RefuseReason::TooLong, 1000), too_long);
        assert!(too_long.to_string().contains("1000 bytes are allowed by the server"));
    }

    #[test]
    fn is_retryable__only_if_the_server_did_not_act() {
        let refused = |reason| CallError::Refused { addr: addr(), reason };
        assert!(CallError::Overloaded { addr: addr() }.is_retryable());
        assert!(refused(RefuseReason::ShuttingDown).is_retryable());
        assert!(!refused(RefuseReason::DroppedUnanswered).is_retryable());
        assert!(!CallError::Timeout { addr: addr() }.is_retryable());
        let kind = Unreachable::Port;
        assert!(!CallError::Unreachable { addr: addr(), kind }.is_retryable());
    }
}
