//! Sockets below IP, which no library opens.

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Room for a burst while the forwarder does not run, in bytes.
const BUFFER_BYTES: usize = 16 << 20;
/// <linux/if_packet.h>
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

/// A non-blocking socket that reads what arrives at an interface of this thread's namespace, as
/// frames with their link-layer headers, and writes such frames to it.
pub(super) fn packet_socket(device: &str) -> io::Result<Socket> {
    let every_protocol = (libc::ETH_P_ALL as u16).to_be();
    // Protocol 0 until it is bound: otherwise it would receive from other interfaces meanwhile.
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    socket.set_nonblocking(true)?;
    // The system grants less (`net.core.rmem_max`), which will do.
    socket.set_recv_buffer_size(BUFFER_BYTES)?;
    ignore_outgoing(&socket)?;
    socket.bind(&link_address(interface_index(device)?, every_protocol)?)?;
    Ok(socket)
}

/// The number of an interface of this thread's namespace.
fn interface_index(device: &str) -> io::Result<u32> {
    let name = CString::new(device)?;
    // SAFETY: the name ends with a zero byte and outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index != 0 { Ok(index) } else { Err(io::Error::last_os_error()) }
}

/// Not to receive what it has itself written.
fn ignore_outgoing(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the option's value is an int, whose size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The address of everything of a protocol (in network byte order) at an interface.
fn link_address(index: u32, protocol: u16) -> io::Result<SockAddr> {
    // SAFETY: the storage is zeroed and holds any socket address; the fields set make it one of
    // link layer, whose length is stored.
    let (_, address) = unsafe {
        SockAddr::try_init(|storage, len| {
            let address = storage.cast::<libc::sockaddr_ll>();
            (*address).sll_family = libc::AF_PACKET as u16;
            (*address).sll_protocol = protocol;
            (*address).sll_ifindex = index as i32;
            *len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })?
    };
    Ok(address)
}
