//! Packet I/O for Homa: UDP driver, message store, drive loop.

#[cfg(not(target_os = "linux"))]
compile_error!("homa-io uses Linux socket interfaces (recvmmsg, error queues, control messages)");

mod chunk_pool;
mod clock;
mod drive;
mod incoming;
mod message;
mod packet_io;
mod send_batch;
mod store;
mod sys;
mod udp;

pub use chunk_pool::{CHUNK_LEN, ChunkPool};
pub use clock::Clock;
pub use drive::{
    Alarm, Bell, DriveStats, Driver, Sink, Turn, Woken, report_errors_as_urgent, wait,
};
pub use message::Message;
pub use packet_io::{PacketIo, PathError, PathErrorKind, ReceivedPacket};
pub use send_batch::{Destination, OutgoingPacket, SendBatch};
pub use store::MessageStore;
pub use udp::{UdpConfig, UdpIo};
