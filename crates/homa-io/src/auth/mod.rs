//! Authentication of packets with a pre-shared key.
//!
//! [`AuthIo`] goes around any driver of packets. What leaves is given a header with a MAC; of what
//! arrives only packets with a right MAC, sent lately, for this address, and not seen before, come
//! out. Everybody who has the key is trusted. Nothing is encrypted. The header's format and what it
//! binds are described in `header`; ADR 0010 says why so.

mod counters;
mod header;
mod key;
mod key_file;
mod replay;
#[cfg(test)]
mod tests;

pub use counters::{AuthCounters, AuthStats};
pub(crate) use header::is_marked;
pub use key::{AuthKey, ParseKeyError};
pub use key_file::{KeyFile, KeyFileError};

use crate::{
    ChunkPool, ErrorOrigin, OutgoingPacket, PacketIo, PathError, PathErrorKind, ReceivedPacket,
    SendBatch,
};
use bytes::Bytes;
use counters::Rejected;
use header::{AuthHeader, Ends};
use homa_proto::{LocalAddr, PeerAddr};
use replay::{Refused, Sessions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fmt, io};

/// Batches received by one call while all that comes is dropped; then others get their turn.
const DROPPED_BATCHES_MAX: usize = 16;

/// No path to be reckoned with carries less (Linux: `net.ipv4.route.min_pmtu`, RFC 8200), so a
/// report of less is false.
const IPV4_MTU_MIN: u32 = 552;
const IPV6_MTU_MIN: u32 = 1280;

/// How packets are authenticated: plain values, checked by [`AuthIo::new`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuthConfig {
    /// The keys, at least one, none twice. Packets are sent with the first and accepted with any.
    pub keys: Vec<AuthKey>,
    /// How long ago a packet may have been sent, by the clocks of the two hosts, and how far in the
    /// future: at most so much may a packet be delayed, and clocks differ. Above 0; default 30 s.
    pub freshness: Duration,
    /// Of how many senders' sessions (a session is one run of one endpoint) it is remembered which
    /// packets were accepted, 1.1 KiB each. Of more, those silent longest are forgotten, which
    /// lets no packet in twice; but then the clocks of senders should agree. At least 1; default
    /// 4096.
    pub sessions_max: usize,
}

impl AuthConfig {
    /// With these keys, and defaults.
    #[must_use]
    pub fn new(keys: Vec<AuthKey>) -> Self {
        Self { keys, freshness: Duration::from_secs(30), sessions_max: 4096 }
    }

    fn check(&self) -> Result<(), &'static str> {
        let is_repeated =
            |(index, key): (usize, &AuthKey)| self.keys[..index].iter().any(|k| k.id() == key.id());
        match () {
            () if self.keys.is_empty() => Err("auth.keys: there must be at least one"),
            () if self.keys.iter().enumerate().any(is_repeated) => {
                Err("auth.keys: a key is given twice")
            }
            () if self.freshness.is_zero() => Err("auth.freshness: must be above 0"),
            () if self.sessions_max == 0 => Err("auth.sessions_max: must be at least 1"),
            () => Ok(()),
        }
    }
}

/// Any driver of packets, whose peers must have the same key.
///
/// All endpoints that talk to each other must use it. Packets are longer by
/// [`AuthIo::OVERHEAD_BYTES`]. The addresses of both sides are authenticated, hence must be the same
/// on either side: there can be no address translation between them.
///
/// ICMP errors can't be authenticated. They are ignored, so that a server that is gone is found out
/// by its silence; but a smaller path MTU is believed, down to that which every path carries.
pub struct AuthIo<I> {
    inner: I,
    keys: Vec<AuthKey>,
    freshness_us: u64,
    /// This run of this endpoint.
    session: u64,
    /// Packets sent.
    number: u64,
    sessions: Sessions,
    counters: Arc<AuthCounters>,
    /// Places in the inner driver's batch of the packets that are authentic.
    accepted: Vec<usize>,
    /// The last receive ended while packets were still being dropped.
    more_waits: bool,
    clock: Clock,
}

/// Microseconds since 1970.
type Clock = Box<dyn Fn() -> u64 + Send>;

impl<I: PacketIo> AuthIo<I> {
    /// By how much packets are longer.
    pub const OVERHEAD_BYTES: usize = header::LEN;

    /// Authenticates the packets of `inner`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the configuration breaks a rule.
    pub fn new(inner: I, config: AuthConfig) -> io::Result<Self> {
        Self::with_clock(inner, config, Box::new(wall_clock))
    }

    fn with_clock(inner: I, config: AuthConfig, clock: Clock) -> io::Result<Self> {
        config.check().map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        Ok(Self {
            inner,
            freshness_us: u64::try_from(config.freshness.as_micros()).unwrap_or(u64::MAX),
            session: random_session(),
            number: 0,
            sessions: Sessions::new(config.sessions_max, clock()),
            counters: Arc::default(),
            accepted: Vec::new(),
            more_waits: false,
            keys: config.keys,
            clock,
        })
    }

    /// What has become of packets so far; stays up to date while the driver is in use elsewhere.
    pub fn counters(&self) -> Arc<AuthCounters> {
        Arc::clone(&self.counters)
    }

    /// Looks at the packets of one batch; whether there were any.
    fn receive(&mut self) -> io::Result<bool> {
        let count = self.inner.recv_batch()?;
        let now = if count > 0 { (self.clock)() } else { 0 };
        for index in 0..count {
            match self.verify(index, now) {
                Ok(()) => self.accepted.push(index),
                Err(why) => self.counters.reject(why),
            }
        }
        Ok(count > 0)
    }

    /// Whether packet `index` may pass. Cheap reasons to drop it come first, and nothing is
    /// remembered of it before its MAC is known to be right.
    fn verify(&mut self, index: usize, now: u64) -> Result<(), Rejected> {
        let packet = self.inner.packet(index);
        let (header, _) = AuthHeader::parse(packet.bytes).ok_or(Rejected::Plain)?;
        let key = self.keys.iter().find(|key| key.id() == header.key);
        let key = key.ok_or(Rejected::UnknownKey)?;
        if header.sent_at.abs_diff(now) > self.freshness_us {
            return Err(Rejected::Stale);
        }
        let own = self.inner.local_addr();
        let ends = Ends {
            source: (packet.peer.ip(), packet.peer.port()),
            dest: (packet.local.ip().unwrap_or(own.ip()), own.port()),
        };
        if !header::is_authentic(packet.bytes, key, &ends) {
            return Err(Rejected::BadMac);
        }
        self.sessions.accept(header.session, header.number, header.sent_at).map_err(Into::into)
    }

    /// Puts authentication headers in front of packets that have none. Those that do were left over
    /// when there was no room for them.
    fn seal(&mut self, batch: &mut SendBatch) {
        let now = (self.clock)();
        for index in 0..batch.len() {
            let packet = batch.packet(index);
            if packet.prefix.is_empty() {
                let local = self.source(&packet);
                let own = self.inner.local_addr();
                let peer = packet.destination.peer;
                let source = (local.ip().unwrap_or(own.ip()), own.port());
                let ends = Ends { source, dest: (peer.ip(), peer.port()) };
                self.number += 1;
                let (number, session) = (self.number, self.session);
                let header = AuthHeader { number, key: self.keys[0].id(), session, sent_at: now };
                let bytes = header.seal(&self.keys[0], &ends, packet.homa_parts());
                batch.set_prefix(index, local, &bytes);
            }
        }
    }

    /// The address that the packet is to leave from, chosen now, since its MAC binds it. (Without a
    /// route there is none. The operating system will report that.)
    fn source(&mut self, packet: &OutgoingPacket<'_>) -> LocalAddr {
        let local = packet.destination.local;
        if local.ip().is_some() || !self.inner.local_addr().ip().is_unspecified() {
            return local;
        }
        self.inner.source_ip(&packet.destination.peer).map_or(LocalAddr::ANY, LocalAddr::from)
    }
}

impl<I: PacketIo> PacketIo for AuthIo<I> {
    fn recv_batch(&mut self) -> io::Result<usize> {
        self.accepted.clear();
        self.more_waits = false;
        for _ in 0..DROPPED_BATCHES_MAX {
            if !self.receive()? || !self.accepted.is_empty() {
                self.counters.add_accepted(self.accepted.len());
                return Ok(self.accepted.len());
            }
        }
        self.more_waits = true;
        Ok(0)
    }

    fn packet(&self, index: usize) -> ReceivedPacket<'_> {
        let packet = self.inner.packet(self.accepted[index]);
        ReceivedPacket { bytes: &packet.bytes[header::LEN..], ..packet }
    }

    fn take_payload(
        &mut self,
        index: usize,
        range: Range<usize>,
        pool: &ChunkPool,
    ) -> Option<Bytes> {
        let range = range.start + header::LEN..range.end + header::LEN;
        self.inner.take_payload(self.accepted[index], range, pool)
    }

    fn send_batch(&mut self, batch: &mut SendBatch) -> io::Result<()> {
        self.seal(batch);
        self.inner.send_batch(batch)
    }

    fn next_error(&mut self) -> Option<PathError> {
        loop {
            let error = self.inner.next_error()?;
            match error.kind {
                PathErrorKind::PathMtu(mtu) => {
                    let kind = PathErrorKind::PathMtu(inner_mtu(mtu, &error.peer));
                    return Some(PathError { kind, ..error });
                }
                _ if error.origin == ErrorOrigin::Network => self.counters.reject(Rejected::Icmp),
                _ => return Some(error),
            }
        }
    }

    fn path_mtu(&mut self, peer: &PeerAddr) -> u32 {
        inner_mtu(self.inner.path_mtu(peer), peer)
    }

    fn source_ip(&mut self, peer: &PeerAddr) -> Option<IpAddr> {
        self.inner.source_ip(peer)
    }

    fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr()
    }

    fn ready_fd(&self) -> BorrowedFd<'_> {
        self.inner.ready_fd()
    }

    fn receive_buffer_bytes(&self) -> usize {
        self.inner.receive_buffer_bytes()
    }

    fn next_due(&self) -> Option<Instant> {
        if self.more_waits { Some(Instant::now()) } else { self.inner.next_due() }
    }
}

impl<I> fmt::Debug for AuthIo<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, counters, .. } = self;
        f.debug_struct("AuthIo")
            .field("keys", keys)
            .field("counters", counters)
            .finish_non_exhaustive()
    }
}

impl From<Refused> for Rejected {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Replayed => Self::Replayed,
            Refused::Stale => Self::Stale,
        }
    }
}

/// What is left of a path's MTU for Homa packets with the headers below them.
fn inner_mtu(mtu: u32, peer: &PeerAddr) -> u32 {
    let least = if peer.is_ipv6() { IPV6_MTU_MIN } else { IPV4_MTU_MIN };
    mtu.max(least) - header::LEN as u32
}

/// Never the same again, as the standard library's hash maps never are: from the operating system.
fn random_session() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn wall_clock() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX)
}
