//! Test harness for the Homa crates: hosts running the real protocol core, joined by a simulated
//! network with virtual time, and checks of what must hold in every run.
//!
//! * [`Network`] owns hosts, links and the clock. It delivers packets with the faults of a
//!   [`FaultPlan`], runs timers, and lets a small application answer requests.
//! * Every delivered byte range is noted: a byte that arrives twice, or a message that completes
//!   without all its bytes, panics.
//! * [`Probe`] is one endpoint alone, fed with packets made by hand.
//! * Everything follows from seeds: the same seed gives the same [`Network::fingerprint`].
//! * [`fuzz`] has functions that do with all this whatever arbitrary bytes say.
//!
//! [`replay`] holds one side of a recorded conversation of kernel hosts against an endpoint.
//!
//! [`swarm`] draws thousands of small worlds full of trouble, and checks what must hold in each.
//!
//! [`CountingAllocator`] says how much memory something takes.
//!
//! For what only real sockets, processes and kernels show, `homa-netns` makes hosts of network
//! namespaces.

mod content;
mod faults;
pub mod fuzz;
mod host;
mod network;
mod probe;
pub mod replay;
pub mod swarm;
mod sys;

pub use content::Ledger;
pub use faults::FaultPlan;
pub use host::{Application, Host, HostId, Outcome};
pub use network::Network;
pub use probe::{Probe, Remote, data};
pub use sys::CountingAllocator;
