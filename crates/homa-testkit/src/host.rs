//! One host: the protocol core, what it has received, and a small application on top.

use crate::content::Ledger;
use homa_proto::{
    CallOptions, Cancelled, Config, Endpoint, Event, Failure, Instant, Observer, PeerAddr,
    RefuseReason, ReplyError, RpcKey, SocketId, TraceEvent,
};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;

/// Number of a host in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub usize);

/// What the server application of a host does with complete requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Application {
    /// Replies at once with as many bytes as the request has.
    Echo,
    /// Replies at once with so many bytes.
    Reply(u32),
    /// Takes the request and keeps it: `Network::reply_to_held` answers.
    Hold,
    /// Never takes a request.
    Ignore,
    /// Refuses every request.
    Refuse(RefuseReason),
}

/// How a call ended, as its application saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A response of so many bytes came.
    Response(u32),
    /// The call failed.
    Failed(Failure),
    /// The application aborted it.
    Aborted,
}

/// Feeds trace events into a fingerprint, and keeps them if asked to.
#[derive(Debug, Default)]
pub struct Recorder {
    hash: u64,
    kept: Option<Vec<(Instant, TraceEvent)>>,
}

impl Observer for Recorder {
    fn observe(&mut self, now: Instant, event: TraceEvent) {
        let mut hash = self.hash ^ now.as_nanos();
        for byte in format!("{event:?}").bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.hash = hash;
        if let Some(kept) = &mut self.kept {
            kept.push((now, event));
        }
    }
}

/// A host of a [`crate::Network`].
#[derive(Debug)]
pub struct Host {
    /// The protocol core.
    pub endpoint: Endpoint<Recorder>,
    /// Its address.
    pub addr: PeerAddr,
    /// What its application does with requests.
    pub application: Application,
    /// The socket that serves.
    pub server_socket: SocketId,
    /// The socket from which calls are made.
    pub client_socket: SocketId,
    /// Requests taken but not answered, oldest first (see [`Application::Hold`]).
    pub held: VecDeque<RpcKey>,
    /// Server RPCs that ended before their acknowledgement.
    pub cancelled: Vec<(RpcKey, Cancelled)>,
    /// Errors of replies, in order.
    pub reply_errors: Vec<ReplyError>,
    /// How often the application saw each request: by client and id.
    pub executions: BTreeMap<(PeerAddr, u64), u32>,
    outcomes: HashMap<RpcKey, Outcome>,
    open_calls: HashMap<RpcKey, u32>,
    ledger: Ledger,
}

/// The Homa port on which every host serves.
pub(crate) const PORT: u16 = 4000;

impl Host {
    pub(crate) fn new(id: HostId, mut config: Config, now: Instant) -> Self {
        config.seed = config.seed.wrapping_mul(1000).wrapping_add(id.0 as u64);
        let [high, low] = (id.0 as u16 + 1).to_be_bytes();
        let addr = PeerAddr::from(SocketAddr::from(([10, 0, high, low], 4000)));
        let mut endpoint =
            Endpoint::with_observer(config, now, Recorder::default()).expect("a valid config");
        let server_socket = endpoint.open_server(PORT).expect("the port is free");
        let client_socket = endpoint.open_client().expect("a port is free");
        Self {
            endpoint,
            addr,
            application: Application::Echo,
            server_socket,
            client_socket,
            held: VecDeque::new(),
            cancelled: Vec::new(),
            reply_errors: Vec::new(),
            executions: BTreeMap::new(),
            outcomes: HashMap::new(),
            open_calls: HashMap::new(),
            ledger: Ledger::default(),
        }
    }

    /// Keeps every trace event from now on; see [`Host::trace`].
    pub fn keep_trace(&mut self) {
        self.endpoint.observer_mut().kept = Some(Vec::new());
    }

    /// The trace events kept so far.
    pub fn trace(&mut self) -> Vec<(Instant, TraceEvent)> {
        self.endpoint.observer_mut().kept.clone().unwrap_or_default()
    }

    /// How a call ended, once it has.
    #[must_use]
    pub fn outcome(&self, key: RpcKey) -> Option<Outcome> {
        self.outcomes.get(&key).copied()
    }

    /// Calls that have neither ended nor been aborted.
    #[must_use]
    pub fn open_calls(&self) -> usize {
        self.open_calls.len()
    }

    pub(crate) fn fingerprint(&mut self) -> u64 {
        self.endpoint.observer_mut().hash
    }

    pub(crate) fn call(
        &mut self,
        now: Instant,
        to: PeerAddr,
        port: u16,
        length: u32,
        options: CallOptions,
    ) -> Result<RpcKey, homa_proto::SendError> {
        let key = self.endpoint.send_request(now, self.client_socket, to, port, length, options)?;
        self.open_calls.insert(key, length);
        Ok(key)
    }

    pub(crate) fn abort(&mut self, now: Instant, key: RpcKey) {
        if self.open_calls.remove(&key).is_some() {
            self.endpoint.abort(now, key);
            self.ledger.forget(key);
            self.outcomes.insert(key, Outcome::Aborted);
        }
    }

    pub(crate) fn reply_to_held(&mut self, now: Instant, length: u32) -> Option<RpcKey> {
        let key = self.held.pop_front()?;
        self.reply(now, key, length);
        Some(key)
    }

    pub(crate) fn receive(
        &mut self,
        now: Instant,
        meta: homa_proto::PacketMeta,
        header: &homa_proto::Header,
        payload_len: usize,
    ) {
        if let Some(delivery) = self.endpoint.handle_packet(now, meta, header, payload_len) {
            let (key, length) = (delivery.key, delivery.message_length);
            let packet = delivery.offset..delivery.offset + payload_len as u32;
            for range in delivery.ranges {
                assert!(packet.start <= range.start && range.end <= packet.end, "outside packet");
                self.ledger.deliver(key, length, range.clone());
            }
        }
    }

    /// Handles all events that wait.
    pub(crate) fn drain_events(&mut self, now: Instant) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::RequestComplete { key } => self.serve(now, key),
                Event::ResponseComplete { key } => {
                    let length = self.ledger.complete(key);
                    self.endpoint.finish(now, key);
                    self.end_call(key, Outcome::Response(length));
                }
                Event::Failed { key, failure } => {
                    self.ledger.forget(key);
                    self.end_call(key, Outcome::Failed(failure));
                }
                Event::Cancelled { key, cause } => {
                    self.ledger.forget(key);
                    self.held.retain(|&held| held != key);
                    self.cancelled.push((key, cause));
                }
                Event::Readable { key, upto } => {
                    assert!(self.ledger.prefix(key) >= upto, "{key:?} is not readable to {upto}");
                }
                _ => {}
            }
        }
    }

    /// Panics unless nothing is left of any RPC.
    pub(crate) fn assert_quiet(&self) {
        assert!(self.open_calls.is_empty(), "{} calls have no outcome", self.open_calls.len());
        assert!(self.ledger.is_empty(), "{} messages are partly there", self.ledger.len());
        assert!(self.endpoint.is_idle(), "RPCs are left: {:?}", self.endpoint);
        assert_eq!(self.endpoint.incoming_bytes(), 0);
        assert_eq!(self.endpoint.outgoing_bytes(), 0);
        assert_eq!(self.endpoint.poll_timeout(), None, "an idle endpoint has no deadlines");
    }

    fn serve(&mut self, now: Instant, key: RpcKey) {
        let info = self.endpoint.info(key).expect("a complete request is open");
        if self.application == Application::Ignore {
            return;
        }
        let length = self.ledger.complete(key);
        let seen = self.executions.entry((info.peer, info.id.0)).or_default();
        *seen += 1;
        assert_eq!(*seen, 1, "request {} was executed twice", info.id.0);
        self.endpoint.accept(now, key);
        match self.application {
            Application::Echo => self.reply(now, key, length),
            Application::Reply(length) => self.reply(now, key, length),
            Application::Hold => self.held.push_back(key),
            Application::Refuse(reason) => self.endpoint.refuse(now, key, reason),
            Application::Ignore => {}
        }
    }

    fn reply(&mut self, now: Instant, key: RpcKey, length: u32) {
        if let Err(error) = self.endpoint.send_reply(now, key, length) {
            self.reply_errors.push(error);
            if error != ReplyError::Gone {
                self.held.push_back(key);
            }
        }
    }

    fn end_call(&mut self, key: RpcKey, outcome: Outcome) {
        let was_open = self.open_calls.remove(&key);
        assert!(was_open.is_some(), "{key:?} ended twice: {outcome:?}");
        self.outcomes.insert(key, outcome);
    }
}
