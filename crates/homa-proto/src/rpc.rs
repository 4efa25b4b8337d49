//! One RPC, as client or as server (PROTOCOL sections 1 and 2).

use crate::addr::LocalAddr;
use crate::incoming::Incoming;
use crate::outgoing::Outgoing;
use crate::probes::{LineKind, Place};
use crate::sockets::SocketId;
use crate::time::{Duration, Instant};
use homa_wire::{Body, Header, RefuseReason, RpcId};

/// Where an RPC stands. HomaModule's names in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Client: no byte of the response has arrived (OUTGOING).
    Requesting,
    /// Client: the response is arriving (INCOMING).
    Receiving,
    /// Client: the response is there, the application has not taken it yet.
    Complete {
        /// NEED_ACK was answered already; no further ack is due.
        acked: bool,
    },
    /// Server: the request is arriving (INCOMING).
    Collecting,
    /// Server: the request is there, the application has not taken it yet.
    Ready,
    /// Server: the application works on the request (IN_SERVICE).
    InService,
    /// Server: the response is being sent, or awaits its acknowledgement (OUTGOING).
    Replying,
    /// Server: refused; kept for a while to answer the client again.
    Refused { reason: RefuseReason, detail: u32, until: Instant },
}

/// Why an RPC has a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Something expected did not come: ask for it.
    Resend,
    /// The response was sent, the ack did not come: ask for it.
    NeedAck,
    /// The call's own deadline.
    CallDeadline,
    /// The other side has said nothing for long.
    GiveUp,
    /// A refusal need not be remembered any longer.
    ForgetRefusal,
    /// The response waits until its client may draw more, or has shown its address.
    Credit,
    /// It is the first in line to ask its peer.
    Turn,
}

/// How long an RPC has waited, and what it did about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// When this RPC last made progress or heard of it: DATA, GRANT or BUSY came in, or its last
    /// permitted packet went out (DRAFT section 3 "sign of life").
    pub(crate) since: Instant,
    /// When the other side last sent anything about this RPC.
    pub(crate) heard: Instant,
    /// RESENDs or NEED_ACKs that went unanswered.
    pub(crate) unanswered: u32,
    /// When the first of them went out.
    pub(crate) first_unanswered: Instant,
    /// When the last probe went out.
    pub(crate) last_probe: Option<Instant>,
    /// BUSY answers in a row: the wait doubles with each.
    pub(crate) busy_streak: u32,
    /// Where it waits for its turn to ask its peer.
    pub(crate) place: Option<Place>,
    /// When the request was last sent again because of RPC_UNKNOWN, or on a kernel's wish by GRANT.
    pub(crate) last_restart: Option<Instant>,
    /// How often RPC_UNKNOWN had it sent again since there was any progress.
    pub(crate) restarts: u32,
}

impl Patience {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            since: now,
            heard: now,
            unanswered: 0,
            first_unanswered: now,
            last_probe: None,
            busy_streak: 0,
            place: None,
            last_restart: None,
            restarts: 0,
        }
    }

    /// DATA, GRANT or BUSY arrived: only these renew an RPC, so that endless RESENDs end
    /// (DRAFT section 3 "sign of life").
    pub(crate) fn renew(&mut self, now: Instant) {
        self.since = now;
        self.heard = now;
        self.unanswered = 0;
        self.restarts = 0;
    }

    /// A probe goes out.
    pub(crate) fn probed(&mut self, now: Instant) {
        if self.unanswered == 0 {
            self.first_unanswered = now;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.last_probe = Some(now);
    }

    /// Whether the other side has said that it works on the RPC, and nothing else since.
    pub(crate) fn is_told_busy(&self) -> bool {
        self.busy_streak > 0
    }

    /// When the wait for the other side began, or began anew with the last probe.
    pub(crate) fn waits_since(&self) -> Instant {
        self.last_probe.map_or(self.since, |probe| probe.max(self.since))
    }

    /// Whether at least `probes` of its own probes, sent over at least `limit`, went unanswered
    /// (HOMA-TIMEOUT-1, HOMA-TIMEOUT-2).
    pub(crate) fn is_exhausted(&self, now: Instant, limit: Duration, probes: u32) -> bool {
        self.unanswered >= probes && now.saturating_since(self.first_unanswered) >= limit
    }
}

/// A response's wait for credit, while its client has not shown that its address is its own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CreditWait {
    /// Nothing of it leaves for now.
    pub(crate) held: bool,
    /// It is in its peer's queue of those that wait.
    pub(crate) in_queue: bool,
    /// Only the echo of a version lets it go on before its time.
    pub(crate) awaits_echo: bool,
    /// How often the client was asked for that.
    pub(crate) challenges: u32,
    /// When it goes on, or the client is asked again.
    pub(crate) until: Instant,
}

/// All that is known of one RPC.
#[derive(Debug)]
pub(crate) struct Rpc {
    /// As numbered on this side.
    pub(crate) id: RpcId,
    pub(crate) state: State,
    pub(crate) socket: SocketId,
    pub(crate) port: u16,
    /// Slot in the peer table.
    pub(crate) peer: u32,
    pub(crate) peer_port: u16,
    /// The address of this host that the peer uses.
    pub(crate) local: LocalAddr,
    /// Order of creation on this host: ties between equally long messages go to the older.
    pub(crate) birth: u64,
    /// When its message was first sent in full.
    pub(crate) sent_at: Option<Instant>,
    pub(crate) outgoing: Option<Outgoing>,
    pub(crate) incoming: Option<Incoming>,
    pub(crate) patience: Patience,
    /// Client: when the call as a whole ends.
    pub(crate) call_deadline: Instant,
    /// The request's packets are waiting in the retransmission queue.
    pub(crate) in_resend_queue: bool,
    /// Server: the response's wait for credit.
    pub(crate) credit: CreditWait,
    /// The request bears the mark of a client that expects many responses at the same time.
    pub(crate) incast: bool,
    /// Server: the application reads the request while it arrives.
    pub(crate) streamed: bool,
}

impl Rpc {
    pub(crate) fn is_client(&self) -> bool {
        self.id.is_client()
    }

    /// A packet of this RPC towards its peer.
    pub(crate) fn header(&self, body: Body) -> Header {
        Header::new(self.port, self.peer_port, self.id, body)
    }

    /// Whether a packet for this RPC came from its peer's port (KNOWN_ISSUES 1.5).
    pub(crate) fn is_from_peer_port(&self, header: &Header) -> bool {
        header.source_port == self.peer_port
    }

    /// Whether the peer owes something that a RESEND would ask for.
    pub(crate) fn is_owed_data(&self) -> bool {
        match (self.state, &self.incoming, &self.outgoing) {
            // The response, once all permitted bytes of the request went out (HOMA-RESEND-12).
            (State::Requesting, _, Some(out)) => !out.is_sendable() && out.resend.is_empty(),
            (State::Receiving | State::Collecting, Some(incoming), _) => incoming.is_owed(),
            _ => false,
        }
    }

    /// Where it waits for its turn to ask its peer, if it has to.
    pub(crate) fn line_kind(&self) -> LineKind {
        match (self.is_client(), self.patience.is_told_busy()) {
            (true, false) => LineKind::Call,
            (true, true) => LineKind::BusyCall,
            (false, _) => LineKind::Request,
        }
    }

    /// Whether it waits for its turn, and where it should: not if it came to be of another kind since.
    pub(crate) fn is_in_its_line(&self) -> bool {
        self.patience.place.is_some_and(|place| place.kind == self.line_kind())
    }

    /// Whether the response was sent in full and awaits its acknowledgement (HOMA-NEEDACK-1).
    pub(crate) fn is_owed_ack(&self) -> bool {
        self.state == State::Replying
            && self.outgoing.as_ref().is_some_and(|out| out.is_sent() && out.resend.is_empty())
    }
}
