//! Simulated clusters: the protocol that runs in production, unchanged, in a network of priority
//! switches.
//!
//! [`SimConfig`] says what to simulate, [`run`] does it and returns a [`RunReport`]. A run is
//! single-threaded and deterministic: the same configuration gives the same report, but for the time
//! that it took. Packets carry headers and lengths, no payload.

pub mod plot;
pub mod published;
pub mod random;
pub mod stats;
pub mod workload;

mod buffer;
mod cluster;
mod config;
mod dctcp;
mod drops;
mod event;
mod events;
mod faults;
mod framing;
mod homa;
mod ideal;
mod measure;
mod memory;
mod network;
mod oracle;
mod outcome;
mod packet;
mod plan;
mod port;
mod progress;
mod replay;
mod report;
mod run;
mod slots;
mod time;
mod topology;
mod trace;
mod traffic;
mod transport;

pub use config::{Exchange, HomaConfig, Protocol, SimConfig, SimError};
pub use dctcp::DctcpConfig;
pub use drops::DropCounts;
pub use faults::Fault;
pub use framing::Framing;
pub use memory::{HostMemory, MemoryReport, PeakReport};
pub use network::{NetworkConfig, Routing};
pub use oracle::OracleConfig;
pub use outcome::Outcome;
pub use packet::HostId;
pub use progress::{Progress, ProgressReport};
pub use random::Random;
pub use replay::ReplayError;
pub use report::RunReport;
pub use run::{run, run_detailed, run_traced, run_with};
pub use time::SimTime;
pub use topology::{CustomTopology, Shape, SwitchName, TopologyError};
pub use trace::TracedMessage;
pub use traffic::{IncastOverlay, Pattern};
pub use transport::{Arrived, Incoming, MessageId, Outgoing, Transport, TransportCounts};
pub use workload::Workload;
