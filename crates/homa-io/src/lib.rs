//! Packet I/O for Homa: UDP driver, message store, drive loop.
//!
//! The protocol (`homa-proto`) decides which byte ranges go where; this crate owns the bytes and
//! talks to the operating system:
//!
//! * [`PacketIo`] is the seam to whatever carries packets: [`UdpIo`] for real networks,
//!   [`MemoryIo`] for tests, [`FaultyIo`] around either to make it unreliable on purpose, [`AuthIo`]
//!   around any to let in only peers that have a key;
//! * [`SendBatch`] holds packets on their way out, [`MessageStore`] the [`Message`]s of open RPCs:
//!   payload is copied once on receive and never on send.
//!
//! It knows nothing of RPCs as applications see them; that is the crate `homa`.
//!
//! ```
//! use bytes::Bytes;
//! use homa_io::{Destination, PacketIo, SendBatch, UdpConfig, UdpIo};
//! use homa_proto::{LocalAddr, Priority};
//!
//! # fn main() -> std::io::Result<()> {
//! let mut sender = UdpIo::bind(([127, 0, 0, 1], 0).into(), UdpConfig::default())?;
//! let mut receiver = UdpIo::bind(([127, 0, 0, 1], 0).into(), UdpConfig::default())?;
//!
//! let peer = receiver.local_addr().into();
//! let mut batch = SendBatch::new();
//! batch.push(Destination { peer, local: LocalAddr::ANY, priority: Priority::HIGHEST }, b"header ");
//! batch.append_payload(Bytes::from("payload"));
//! sender.send_batch(&mut batch)?;
//!
//! while receiver.recv_batch()? == 0 {}
//! assert_eq!(receiver.packet(0).bytes, b"header payload");
//! # Ok(())
//! # }
//! ```

#[cfg(not(target_os = "linux"))]
compile_error!("homa-io uses Linux socket interfaces (recvmmsg, error queues, control messages)");

mod auth;
mod chunk_pool;
mod clock;
mod drive;
mod faulty;
mod incoming;
mod ip;
mod memory;
mod message;
mod packet_io;
mod raw;
mod send_batch;
mod store;
mod sys;
mod udp;

pub use auth::{
    AuthConfig, AuthCounters, AuthIo, AuthKey, AuthStats, KeyFile, KeyFileError, ParseKeyError,
};
pub use chunk_pool::{CHUNK_LEN, ChunkPool};
pub use clock::Clock;
pub use drive::{
    Alarm, Bell, DriveStats, Driver, Sink, Turn, Woken, report_errors_as_urgent, wait,
    wait_for_room,
};
pub use faulty::{FaultCounters, FaultPlan, FaultyIo, ParseFaultPlanError};
pub use memory::MemoryIo;
pub use message::Message;
pub use packet_io::{ErrorOrigin, PacketIo, PathError, PathErrorKind, ReceivedPacket};
pub use raw::{RawConfig, RawIo};
pub use send_batch::{Destination, OutgoingPacket, SendBatch, is_sealed};
pub use store::MessageStore;
pub use udp::{UdpConfig, UdpIo};
