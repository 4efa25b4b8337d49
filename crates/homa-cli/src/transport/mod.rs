//! What carries the messages: Homa, or what it is compared with.
//!
//! All are driven in the same way, each by one thread: a client starts calls and waits for their
//! outcomes, a server waits for requests and answers them. Whoever waits polls for a configured
//! time, yielding the processor in between, and only then sleeps.

mod echo;
mod homa;
#[cfg(feature = "peers")]
mod homa_tokio;
mod link;
mod open;
#[cfg(feature = "peers")]
mod peers;
mod poller;
mod protocol;
mod regime;
pub(crate) mod tcp;
#[cfg(test)]
mod testing;
pub(crate) mod udp;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};

use crate::drops::Drops;
use crate::message::Header;

pub(crate) use self::homa::{FaultPlan, HomaOptions, HomaServer};
pub(crate) use self::link::HomaLink;
pub(crate) use self::open::{Dial, Listen};
pub(crate) use self::protocol::Protocol;
pub(crate) use self::regime::Regime;

/// A request to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Names the call; its outcome comes back with this number.
    pub(crate) slot: u32,
    /// The first bytes of the message.
    pub(crate) header: Header,
    /// The rest of the message.
    pub(crate) body: Bytes,
}

/// The response to a call, or why there is none.
pub(crate) type Outcome<'a> = Result<&'a mut dyn Buf, Failure>;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Whether the peer's host said that nobody has the port: waiting will not help.
    pub(crate) nothing_listens: bool,
    /// For people to read.
    pub(crate) reason: Cow<'static, str>,
}

impl Failure {
    pub(crate) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { nothing_listens: false, reason: reason.into() }
    }

    pub(crate) fn nothing_listens(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { nothing_listens: true, reason: reason.into() }
    }
}

/// The client's side of a transport, for one server or several.
pub(crate) trait LoadClient {
    /// Starts a call. Slots in use at once differ and are below the number that the client was
    /// made for. Whatever goes wrong is the call's outcome.
    fn send(&mut self, request: Request);

    /// The same to the server with this number, from 0, of a client that was made for several.
    fn send_to(&mut self, server: u32, request: Request) {
        debug_assert_eq!(server, 0, "this client has one server");
        self.send(request);
    }

    /// Whether calls leave together, with the next [`LoadClient::receive`], and those outcomes that it
    /// hands over have arrived together: one look at the clock tells when.
    fn is_batched(&self) -> bool {
        false
    }

    /// Hands outcomes to `sink` as they arrive. Returns after some did, or after `timeout`.
    fn receive(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(u32, Outcome<'_>),
    ) -> io::Result<()>;

    /// Packets dropped so far for being other than they should.
    fn drops(&self) -> Drops {
        Drops::default()
    }
}

/// The server's side of a transport: it answers requests as `message::make_response` says.
pub(crate) trait LoadServer {
    /// The address that it is reached at, as `host:P` or `host:U/H`.
    fn address(&self) -> String;

    /// The certificate (DER) by which clients can know it, if the transport encrypts.
    fn certificate(&self) -> Option<&[u8]> {
        None
    }

    /// What it holds of everything that grows, if the transport keeps account of that.
    fn accounts(&self) -> Option<::homa::Accounts> {
        None
    }

    /// What it has turned away so far, if the transport turns requests away.
    fn turned_away(&self) -> TurnedAway {
        TurnedAway::default()
    }

    /// Counts the requests that are open, while the server itself may be at work: 0 where nobody knows.
    fn open_requests(&self) -> Box<dyn Fn() -> u64 + Send> {
        Box::new(|| 0)
    }

    /// Takes no more requests, and ends what is under way, as far as the transport knows how.
    fn shut_down(&mut self, _served: &mut Served) {}

    /// Answers requests as they arrive. Returns after some were, or after `timeout`.
    fn serve(&mut self, timeout: Duration, served: &mut Served) -> io::Result<()>;

    /// Packets dropped so far for being other than they should.
    fn drops(&self) -> Drops {
        Drops::default()
    }
}

/// Requests that found no room, by reason, so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TurnedAway {
    /// All that were turned away, once for each time that they were sent.
    pub(crate) requests: u64,
    /// Those of them whose clients had their share of places or memory.
    pub(crate) peer_share: u64,
    /// Those of them that came while another waited too long to be answered.
    pub(crate) queue_delay: u64,
    /// Incomplete ones that were given up since they made no progress while room was short.
    pub(crate) inactive: u64,
}

impl TurnedAway {
    /// Those for which there was no place or no memory.
    pub(crate) fn no_room(&self) -> u64 {
        self.requests.saturating_sub(self.peer_share + self.queue_delay)
    }
}

impl fmt::Display for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "turned away: {} requests ({} of clients that had their share, {} while others waited too long, \
             {} for want of room); given up: {} that made no progress",
            self.requests,
            self.peer_share,
            self.queue_delay,
            self.no_room(),
            self.inactive
        )
    }
}

/// What a server has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Served {
    /// Requests received.
    pub(crate) requests: u64,
    /// Bytes of all requests.
    pub(crate) bytes_in: u64,
    /// Bytes of all responses.
    pub(crate) bytes_out: u64,
    /// Requests that were no messages of the load generator, or could not be answered.
    pub(crate) errors: u64,
}
