//! What a caller of the protocol can do wrong, and how an RPC can end other than well.
//!
//! Nothing that the network sends is an error: bad packets are counted (see [`crate::Stats`]).
//! Errors of calls are small enums per operation; the end of an RPC is an [`crate::Event`].

use crate::account::Resource;
use core::fmt;
use homa_wire::RefuseReason;

/// Memory for a table could not be had. The operation changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

/// A limit of [`crate::Limits`] that left no room for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Limit {
    /// What there is too much of.
    pub resource: Resource,
    /// Whether it is what one socket may have, rather than the host.
    pub of_socket: bool,
    /// The most there may be, in bytes where the resource is of bytes.
    pub max: u64,
}

/// Why a request could not be started. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// A message has at least one byte (WIRE section 1).
    Empty,
    /// The message is longer than `Config::message_length_max`, given here in bytes.
    TooLong(u32),
    /// The socket was closed, or never opened.
    NoSocket,
    /// A server's port is never 0.
    BadPort,
    /// A limit leaves no room for it: of [`Resource::ClientRpcs`], of [`Resource::OutgoingBytes`], of
    /// [`Resource::Peers`], which are all in use, or of [`Resource::IncomingBytes`], which responses
    /// hold that the application has not taken.
    Full(Limit),
    /// Memory for a table could not be had.
    NoMemory,
}

/// Why a reply could not be sent. The RPC stays answerable: the application may try another reply
/// (KNOWN_ISSUES 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyError {
    /// A message has at least one byte (WIRE section 1).
    Empty,
    /// The message is longer than `Config::message_length_max`, given here in bytes.
    TooLong(u32),
    /// The client gave the RPC up, or the RPC has ended otherwise: nobody waits for this reply.
    Gone,
    /// The request has not fully arrived, or was answered before.
    NotInService,
    /// A limit of [`Resource::OutgoingBytes`] leaves no room for it.
    Full(Limit),
    /// Memory for a table could not be had.
    NoMemory,
}

/// Why a port could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindError {
    /// Server ports are 1 to 32767 (PROTOCOL section 12).
    OutOfRange,
    /// The port is open already.
    InUse,
    /// All 32768 client ports are in use.
    Exhausted,
    /// Memory for a table could not be had.
    NoMemory,
}

/// How a client's RPC failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The peer was silent for the configured limit, or left this RPC's RESENDs unanswered
    /// (PROTOCOL section 7, HOMA-TIMEOUT-1).
    Timeout,
    /// The call's own deadline passed while the peer was alive.
    DeadlineExceeded,
    /// The network reported that the peer can't be reached.
    Unreachable(Unreachable),
    /// The server refused the request; with [`RefuseReason::TooLong`], the limit is `detail` bytes.
    Refused {
        /// What the server gave as its reason.
        reason: RefuseReason,
        /// The limit that was exceeded, where the reason has one, else 0.
        detail: u32,
    },
    /// The response announced a length that is not allowed here.
    BadResponse,
    /// The operating system would not send the RPC's packets.
    SendFailed,
    /// The socket was closed on this side.
    ShutDown,
}

/// What kind of unreachability the network reported (PROTOCOL section 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unreachable {
    /// Nobody listens on the port.
    Port,
    /// The host does not speak the protocol.
    Protocol,
    /// No route to the host, or the host is down.
    Host,
}

/// Why a server's RPC ended before its response was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cancelled {
    /// The client no longer knows the RPC (RPC_UNKNOWN): it aborted, or restarted. Or it has part of
    /// a response, which this host gave before it restarted itself.
    ByClient,
    /// The client fell silent.
    ClientSilent,
    /// The network reported that the client can't be reached.
    Unreachable(Unreachable),
    /// The socket was closed on this side.
    ShutDown,
    /// Memory or places were short, and the client neither sent what it might nor acknowledged what
    /// it was sent for `Overload::inactive_after`.
    Inactive,
}

/// Why a [`crate::Config`] can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The field at fault, as written in code.
    pub field: &'static str,
    /// What it must satisfy.
    pub rule: &'static str,
}

impl Limit {
    /// A limit of the host.
    #[must_use]
    pub const fn of_host(resource: Resource, max: u64) -> Self {
        Self { resource, of_socket: false, max }
    }

    /// A limit of each socket.
    #[must_use]
    pub const fn of_socket(resource: Resource, max: u64) -> Self {
        Self { resource, of_socket: true, max }
    }

    /// Whether `more` may be held besides what is `used`.
    ///
    /// # Errors
    ///
    /// This limit, if not.
    pub fn admits(self, used: u64, more: u64) -> Result<(), Self> {
        if used.saturating_add(more) <= self.max { Ok(()) } else { Err(self) }
    }

    /// The field of [`crate::Limits`] that sets it.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match (self.resource, self.of_socket) {
            (Resource::ClientRpcs, false) => "client_rpcs_max",
            (Resource::OutgoingBytes, false) => "outgoing_bytes_max",
            (Resource::OutgoingBytes, true) => "socket_outgoing_bytes_max",
            (Resource::IncomingBytes, _) => "socket_incoming_bytes_max",
            (Resource::Peers, _) => "peers_max",
            _ => "socket_rpcs_max",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_bytes = matches!(self.resource, Resource::OutgoingBytes | Resource::IncomingBytes);
        let unit = if of_bytes { " bytes" } else { "" };
        write!(f, "limits.{} is {}{unit}", self.field(), self.max)
    }
}

macro_rules! messages {
    ($type:ty { $($pattern:pat => $text:literal $(, $arg:expr)*;)+ }) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $($pattern => write!(f, $text $(, $arg)*),)+ }
            }
        }
        impl core::error::Error for $type {}
    };
}

messages!(NoMemory { NoMemory => "out of memory"; });
messages!(SendError {
    Self::Empty => "a message must have at least one byte";
    Self::TooLong(max) => "the message is longer than the configured limit of {} bytes", max;
    Self::NoSocket => "the socket is closed";
    Self::BadPort => "Homa port 0 can't be addressed";
    Self::Full(limit) => "no room: {}", limit;
    Self::NoMemory => "out of memory";
});
messages!(ReplyError {
    Self::Empty => "a message must have at least one byte";
    Self::TooLong(max) => "the message is longer than the configured limit of {} bytes", max;
    Self::Gone => "the client no longer waits for this reply";
    Self::NotInService => "the request is not waiting for a reply";
    Self::Full(limit) => "no room: {}", limit;
    Self::NoMemory => "out of memory";
});
messages!(BindError {
    Self::OutOfRange => "Homa server ports are 1 to 32767";
    Self::InUse => "the Homa port is in use";
    Self::Exhausted => "all Homa client ports are in use";
    Self::NoMemory => "out of memory";
});
messages!(Failure {
    Self::Timeout => "the server did not answer in time";
    Self::DeadlineExceeded => "the call's deadline passed";
    Self::Unreachable(kind) => "{}", kind;
    Self::Refused { reason: RefuseReason::TooLong, detail } =>
        "the server refused the request: it accepts at most {} bytes", detail;
    Self::Refused { reason, .. } => "the server refused the request: {}", reason;
    Self::BadResponse => "the response announced a length that is not allowed";
    Self::SendFailed => "the operating system would not send the packets";
    Self::ShutDown => "the endpoint was shut down";
});
messages!(Unreachable {
    Self::Port => "nothing listens on that port";
    Self::Protocol => "the host does not speak the protocol";
    Self::Host => "the host can't be reached";
});
messages!(Cancelled {
    Self::ByClient => "the client gave the call up";
    Self::ClientSilent => "the client fell silent";
    Self::Unreachable(_) => "the client can't be reached";
    Self::Inactive => "the client was inactive while room was short";
    Self::ShutDown => "the endpoint was shut down";
});
messages!(ConfigError { Self { field, rule } => "{} must be {}", field, rule; });

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use std::string::ToString;

    #[test]
    fn limit__names_its_field_and_value() {
        let error = SendError::Full(Limit::of_host(Resource::ClientRpcs, 16));
        assert_eq!(error.to_string(), "no room: limits.client_rpcs_max is 16");
        let error = ReplyError::Full(Limit::of_socket(Resource::OutgoingBytes, 5000));
        assert_eq!(error.to_string(), "no room: limits.socket_outgoing_bytes_max is 5000 bytes");
    }

    #[test]
    fn limit__admits_up_to_its_value() {
        let limit = Limit::of_host(Resource::OutgoingBytes, 100);
        assert_eq!(limit.admits(60, 40), Ok(()));
        assert_eq!(limit.admits(60, 41), Err(limit));
        assert_eq!(limit.admits(u64::MAX, 1), Err(limit));
    }
}
