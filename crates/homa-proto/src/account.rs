//! Accounts of what an endpoint holds: everything that grows, with its limit.

use core::fmt;

/// Something that grows with traffic and has a limit.
///
/// The first group is kept by the protocol core; the others belong to the layers around it, which
/// add their rows to the same [`Accounts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// Open client RPCs.
    ClientRpcs,
    /// Open server RPCs, refusals that are remembered included.
    ServerRpcs,
    /// Peers known.
    Peers,
    /// Memory promised to incoming messages: granted or arrived, in the pieces in which drivers
    /// allocate it.
    IncomingBytes,
    /// Bytes of incoming messages that have arrived, complete or not, and were not taken.
    ArrivedBytes,
    /// Bytes of complete messages that the application has not taken.
    UnreadBytes,
    /// Bytes of outgoing messages.
    OutgoingBytes,
    /// Control packets that wait for the driver.
    ControlPackets,
    /// Messages with something to send again.
    ResendQueue,
    /// Room for gaps in incoming messages.
    Gaps,
    /// Groups of finished RPC ids.
    FinishedIds,
    /// Events that wait for the driver.
    Events,
    /// Driver: buffers that incoming messages really hold, in bytes.
    StoreIncomingBytes,
    /// Driver: outgoing messages parked, in bytes.
    StoreOutgoingBytes,
    /// Driver: chunks in existence, in bytes: in the store, free for reuse, and in messages that the
    /// application holds.
    ChunkBytes,
    /// Application interface: requests that nobody has accepted.
    UnacceptedRequests,
    /// Application interface: requests that were accepted and not answered.
    UnansweredRequests,
    /// Application interface: calls that are open, or whose outcome nobody has taken.
    Calls,
    /// Application interface: calls and replies that wait for room.
    WaitingSends,
    /// Application interface: bytes of those.
    WaitingBytes,
}

impl Resource {
    /// Number of resources.
    pub const COUNT: usize = Self::ALL.len();

    /// All resources, in order.
    pub const ALL: [Self; 20] = [
        Self::ClientRpcs,
        Self::ServerRpcs,
        Self::Peers,
        Self::IncomingBytes,
        Self::ArrivedBytes,
        Self::UnreadBytes,
        Self::OutgoingBytes,
        Self::ControlPackets,
        Self::ResendQueue,
        Self::Gaps,
        Self::FinishedIds,
        Self::Events,
        Self::StoreIncomingBytes,
        Self::StoreOutgoingBytes,
        Self::ChunkBytes,
        Self::UnacceptedRequests,
        Self::UnansweredRequests,
        Self::Calls,
        Self::WaitingSends,
        Self::WaitingBytes,
    ];

    /// Its name in reports, such as `incoming_bytes`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientRpcs => "client_rpcs",
            Self::ServerRpcs => "server_rpcs",
            Self::Peers => "peers",
            Self::IncomingBytes => "incoming_bytes",
            Self::ArrivedBytes => "arrived_bytes",
            Self::UnreadBytes => "unread_bytes",
            Self::OutgoingBytes => "outgoing_bytes",
            Self::ControlPackets => "control_packets",
            Self::ResendQueue => "resend_queue",
            Self::Gaps => "gaps",
            Self::FinishedIds => "finished_ids",
            Self::Events => "events",
            Self::StoreIncomingBytes => "store_incoming_bytes",
            Self::StoreOutgoingBytes => "store_outgoing_bytes",
            Self::ChunkBytes => "chunk_bytes",
            Self::UnacceptedRequests => "unaccepted_requests",
            Self::UnansweredRequests => "unanswered_requests",
            Self::Calls => "calls",
            Self::WaitingSends => "waiting_sends",
            Self::WaitingBytes => "waiting_bytes",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One row: how much of a resource is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Held now.
    pub used: u64,
    /// May be held at most; `None` if that follows from other rows.
    pub limit: Option<u64>,
    /// Most that was held at any time.
    pub high_water: u64,
    /// Times that somebody was turned away, or something dropped, because of the limit.
    pub refusals: u64,
}

/// The accounts of a host or of a socket, as they were at one moment. Rows that do not apply are
/// absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    rows: [Option<Account>; Resource::COUNT],
}

impl Accounts {
    /// The row of a resource.
    #[must_use]
    pub fn get(&self, resource: Resource) -> Option<Account> {
        self.rows.get(resource as usize).copied().flatten()
    }

    /// Adds or replaces a row: the layers around the core add theirs.
    pub fn set(&mut self, resource: Resource, account: Account) {
        if let Some(row) = self.rows.get_mut(resource as usize) {
            *row = Some(account);
        }
    }

    /// All rows there are, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Resource, Account)> + '_ {
        Resource::ALL.into_iter().filter_map(|resource| Some((resource, self.get(resource)?)))
    }
}

/// Counts one resource: the core's and that of the layers around it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    used: u64,
    high_water: u64,
    refusals: u64,
}

impl Meter {
    /// More is held.
    pub fn raise(&mut self, by: u64) {
        self.set(self.used + by);
    }

    /// Less is held. Giving back more than was held is a defect of the caller; it counts as all.
    pub fn lower(&mut self, by: u64) {
        debug_assert!(by <= self.used, "more is given back than was held");
        self.used = self.used.saturating_sub(by);
    }

    /// So much is held.
    pub fn set(&mut self, used: u64) {
        self.used = used;
        self.high_water = self.high_water.max(used);
    }

    /// Somebody is turned away.
    pub fn refuse(&mut self) {
        self.refusals += 1;
    }

    /// What is held now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The row, with its limit.
    #[must_use]
    pub fn account(&self, limit: Option<u64>) -> Account {
        let Self { used, high_water, refusals } = *self;
        Account { used, limit, high_water, refusals }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn all__lists_every_resource_at_its_own_place_and_name() {
        for (at, resource) in Resource::ALL.into_iter().enumerate() {
            assert_eq!(resource as usize, at);
        }
        let names: BTreeSet<_> = Resource::ALL.iter().map(|resource| resource.name()).collect();
        assert_eq!(names.len(), Resource::COUNT);
    }

    #[test]
    fn iter__gives_the_rows_that_were_set() {
        let mut accounts = Accounts::default();
        let row = Account { used: 1, limit: Some(3), high_water: 2, refusals: 4 };
        accounts.set(Resource::Calls, row);
        assert_eq!(accounts.iter().collect::<std::vec::Vec<_>>(), [(Resource::Calls, row)]);
        assert_eq!(accounts.get(Resource::Peers), None);
    }

    #[test]
    fn meter__remembers_the_most() {
        let mut meter = Meter::default();
        meter.raise(5);
        meter.lower(3);
        meter.raise(1);
        meter.refuse();
        let expected = Account { used: 3, limit: Some(9), high_water: 5, refusals: 1 };
        assert_eq!(meter.account(Some(9)), expected);
    }
}
