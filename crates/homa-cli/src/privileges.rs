//! Privileges: what raw IP needs, and nothing else.

use caps::{CapSet, Capability, CapsHashSet};

use crate::exit::Stop;
use crate::transport::Protocol;

/// Gives up, for good, all capabilities but the one that a transport needs: CAP_NET_RAW for raw IP.
/// Before threads are started, which inherit what is left. Other transports keep what they have.
///
/// # Errors
///
/// The operating system did not let go of them.
pub(crate) fn keep_for(transport: Protocol) -> Result<(), Stop> {
    if transport != Protocol::Raw {
        return Ok(());
    }
    let needed = CapsHashSet::from([Capability::CAP_NET_RAW]);
    let keep = || {
        for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
            let held = caps::read(None, set)?;
            let kept = held.intersection(&needed).copied().collect();
            caps::set(None, set, &kept)?;
        }
        Ok(())
    };
    keep().map_err(|error: caps::errors::CapsError| {
        Stop::Failed(format!("cannot give up privileges: {error}"))
    })
}
