//! Who has protocol 146 on this host: one process, or several that share it by port.
//!
//! A claim is the name of a Unix socket in the abstract namespace, which belongs to the network
//! namespace, as protocol numbers do, and ends with its process, whatever ends that.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// Processes that can share.
const SHARERS_MAX: u32 = 16;

/// First of the ports of clients (WIRE section 3).
const CLIENT_PORT_FIRST: u16 = 0x8000;

/// How long to wait for another process that is about to claim or to give up.
const PATIENCE: Duration = Duration::from_secs(1);

/// What this process has, for as long as it lives.
#[derive(Debug)]
pub(super) struct Claim {
    #[expect(dead_code, reason = "held, not used")]
    names: Vec<UnixDatagram>,
    /// The client port, if ports are shared.
    pub(super) client_port: Option<u16>,
}

impl Claim {
    /// All ports.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if another process has any.
    pub(super) fn of_all() -> io::Result<Self> {
        let _gate = gate()?;
        for sharer in 0..SHARERS_MAX {
            name(&format!("sharer/{sharer}"))?.ok_or_else(shared_by_others)?;
        }
        let owner = name("owner")?.ok_or_else(owned_by_another)?;
        Ok(Self { names: vec![owner], client_port: None })
    }

    /// These server ports, and a client port near `random`.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if another process has all ports, or one of these.
    pub(super) fn of_ports(servers: &[u16], random: u16) -> io::Result<Self> {
        let _gate = gate()?;
        name("owner")?.ok_or_else(owned_by_another)?;
        let mut names = Vec::new();
        for port in servers {
            let taken =
                || in_use(&format!("another process on this host has raw Homa port {port}"));
            names.push(name(&format!("port/{port}"))?.ok_or_else(taken)?);
        }
        let mut client_port = None;
        for step in 0..CLIENT_PORT_FIRST {
            let port = CLIENT_PORT_FIRST | random.wrapping_add(step);
            if let Some(claimed) = name(&format!("port/{port}"))? {
                names.push(claimed);
                client_port = Some(port);
                break;
            }
        }
        for sharer in 0..SHARERS_MAX {
            if let Some(claimed) = name(&format!("sharer/{sharer}"))? {
                names.push(claimed);
                return Ok(Self { names, client_port });
            }
        }
        let message = format!("{SHARERS_MAX} processes share this host's protocol 146 already");
        Err(in_use(&message))
    }
}

/// Held while a process finds out what others have and claims its own.
fn gate() -> io::Result<UnixDatagram> {
    let begin = Instant::now();
    loop {
        if let Some(gate) = name("gate")? {
            return Ok(gate);
        }
        if begin.elapsed() > PATIENCE {
            return Err(in_use("another process is claiming protocol 146 and does not finish"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// `None` if another has the name.
fn name(name: &str) -> io::Result<Option<UnixDatagram>> {
    let address = SocketAddr::from_abstract_name(format!("homa/ip146/{name}"))?;
    match UnixDatagram::bind_addr(&address) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}

fn owned_by_another() -> io::Error {
    in_use(
        "another process on this host has protocol 146 to itself; to share it, both must say which \
         ports they serve (shared_ports, --share)",
    )
}

fn shared_by_others() -> io::Error {
    in_use(
        "other processes on this host share protocol 146; to do so, too, say which ports are to be \
         served (shared_ports, --share)",
    )
}

fn in_use(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, message)
}
