//! Where the server is.

use std::sync::{Mutex, PoisonError};

use homa::{Addr, AddrError, CallError, Endpoint, Target};

/// A server's address, looked up if it is a name.
#[derive(Debug)]
pub(super) struct Server {
    target: Target,
    /// What the name stands for, as long as that works.
    found: Mutex<Option<Addr>>,
}

impl Server {
    pub(super) fn new(target: Target) -> Self {
        Self { target, found: Mutex::new(None) }
    }

    /// The server's address, if nobody has to be asked for it.
    pub(super) fn known_addr(&self) -> Option<Addr> {
        match &self.target {
            Target::Addr(addr) => Some(*addr),
            Target::Name { .. } => *self.found(),
        }
    }

    /// Asks the system's resolver for the server's address.
    pub(super) async fn find_addr(&self, endpoint: &Endpoint) -> Result<Addr, AddrError> {
        let (host, udp_port, homa_port) = match &self.target {
            Target::Addr(addr) => return Ok(*addr),
            Target::Name { host, udp_port, homa_port } => (host, *udp_port, *homa_port),
        };
        let failed = |reason: String| AddrError::Resolve { name: host.clone(), reason };
        let found = tokio::net::lookup_host((host.as_str(), udp_port)).await;
        let found: Vec<_> = found.map_err(|error| failed(error.to_string()))?.collect();
        let local = endpoint.local_addr();
        // An endpoint that is bound to one IPv6 address reaches no IPv4.
        let wants_ipv4 = local.is_ipv4() || local.ip().is_unspecified();
        let preferred = found.iter().find(|addr| addr.is_ipv4() == wants_ipv4);
        let chosen = preferred.or(found.first());
        let chosen = chosen.ok_or_else(|| failed("it has no address".to_owned()))?;
        let addr = Addr::new(*chosen, homa_port)?;
        *self.found() = Some(addr);
        Ok(addr)
    }

    /// After a call has failed so, a name may stand for something else.
    pub(super) fn failed(&self, error: &CallError) {
        if let CallError::Timeout { .. } | CallError::Unreachable { .. } = error {
            *self.found() = None;
        }
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Option<Addr>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
