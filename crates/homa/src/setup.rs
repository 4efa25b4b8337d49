//! Opening an endpoint: what follows from the configuration and from the socket that was granted.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use homa_io::{AuthCounters, AuthIo, Clock, Driver, FaultyIo, PacketIo, RawIo, UdpIo};
use homa_proto::Encapsulation;

use crate::addr::Family;
use crate::config::Config;
use crate::error::BindError;
use crate::shared::{Handle, Shared};
use crate::state::State;

/// Where endpoints that only make calls are bound: to both families, or to IPv4 where there is no
/// IPv6.
pub(crate) const CLIENT_ADDRS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
];

/// Opens an endpoint at `addr`, with its helper.
pub(crate) fn open(addr: SocketAddr, config: &Config) -> Result<Arc<Handle>, BindError> {
    let seed = config.seed.unwrap_or_else(random_seed);
    check_own(addr.ip()).map_err(if config.raw.is_some() {
        BindError::Raw
    } else {
        BindError::Io
    })?;
    let Sockets { io, encapsulation, client_port } = open_sockets(addr, config)?;
    let receive_buffer_bytes = io.receive_buffer_bytes();
    let io: Box<dyn PacketIo> = match &config.fault {
        Some(plan) => Box::new(FaultyIo::new(io, *plan)),
        None => io,
    };
    let (io, auth) = authenticated(io, config)?;
    let proto = protocol_config(config, seed, receive_buffer_bytes);
    let mut endpoint = homa_proto::Endpoint::new(proto, Clock::now())?;
    endpoint.set_encapsulation(encapsulation);
    let mut driver = Driver::new(endpoint, io);
    if config.checksums {
        driver.require_checksums();
    }
    // The first of 32768 ports is always free, and so is one that was claimed.
    let client = match client_port {
        Some(port) => driver.open_client_at(port),
        None => driver.open_client(),
    };
    let client = client.map_err(|_| BindError::NoMemory)?;
    let mut state = State::new(driver, client);
    state.auth = auth;
    state.when_full = config.when_full;
    state.has_udp_ports = encapsulation == Encapsulation::Udp;
    let shared = Shared::new(state, config.poll, config.poll_async)?;
    Ok(Handle::new(Arc::new(shared))?)
}

/// What carries the packets of an endpoint.
struct Sockets {
    io: Box<dyn PacketIo>,
    encapsulation: Encapsulation,
    /// The port of calls, if it is not free to choose.
    client_port: Option<u16>,
}

fn open_sockets(addr: SocketAddr, config: &Config) -> Result<Sockets, BindError> {
    let Some(raw) = &config.raw else {
        let io = Box::new(UdpIo::bind(addr, config.udp.clone())?);
        return Ok(Sockets { io, encapsulation: Encapsulation::Udp, client_port: None });
    };
    let invalid = |why| BindError::Raw(io::Error::new(io::ErrorKind::InvalidInput, why));
    if addr.port() != 0 {
        return Err(invalid("there are no UDP ports: bind to an address with port 0"));
    }
    if config.auth.is_some() {
        return Err(invalid("packets are authenticated over UDP only"));
    }
    if matches!(addr, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local()) {
        return Err(invalid("no link-local address can be bound to: bind to all addresses, [::]"));
    }
    let mut raw = raw.clone();
    // The field holds one sum: that which peers require does not cover addresses.
    raw.checksums &= !config.checksums;
    let io = RawIo::bind(addr.ip(), raw).map_err(BindError::Raw)?;
    let client_port = io.client_port();
    Ok(Sockets { io: Box::new(io), encapsulation: Encapsulation::Raw, client_port })
}

/// The same driver of packets, for peers that have the key, if there is one; with its counters. The
/// faults lie below: they are the network's.
fn authenticated(
    io: Box<dyn PacketIo>,
    config: &Config,
) -> Result<(Box<dyn PacketIo>, Arc<AuthCounters>), BindError> {
    match &config.auth {
        Some(auth) => {
            let io = AuthIo::new(io, auth.clone())?;
            let counters = io.counters();
            Ok((Box::new(io), counters))
        }
        None => Ok((io, Arc::default())),
    }
}

/// Of the addresses of a name, those that an endpoint bound to `local` reaches: one bound to an IPv6
/// address reaches IPv6 only, one bound to all addresses both.
pub(crate) fn preferred_family(local: SocketAddr) -> Family {
    if local.ip().is_unspecified() { Family::V4 } else { Family::of(local) }
}

/// What may be under way to this host fits the socket's receive buffer, twice: unscheduled bytes,
/// which nobody granted, need room as well. But it is never less than two of the largest packets.
fn protocol_config(config: &Config, seed: u64, receive_buffer_bytes: usize) -> homa_proto::Config {
    const WINDOW_BYTES_MIN: u64 = 2 * 65_535;
    let mut proto = config.proto.clone();
    proto.seed = seed;
    if config.auth.is_some() {
        // Addresses are authenticated.
        proto.amplification = None;
    }
    let fits = (receive_buffer_bytes as u64 / 2).max(WINDOW_BYTES_MIN);
    proto.grants.incoming_bytes_max = proto.grants.incoming_bytes_max.min(fits);
    proto
}

/// Refuses what is the address of many hosts: sockets can be bound to it, but nothing can be sent from it.
fn check_own(ip: IpAddr) -> io::Result<()> {
    let invalid = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why.to_owned()));
    if ip.is_multicast() {
        return invalid("a multicast address is no host's own");
    }
    if let IpAddr::V4(v4) = ip
        && !v4.is_unspecified()
        && (v4.is_broadcast() || is_broadcast_of_a_network(v4))
    {
        return invalid("a broadcast address is no host's own");
    }
    Ok(())
}

/// Whether the routing table says so: then a socket has to ask before it may be connected to it.
fn is_broadcast_of_a_network(ip: Ipv4Addr) -> bool {
    let connected =
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.connect((ip, 9)));
    connected.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Random as the standard library's hash maps are: from the operating system.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    /// Loopback's network has a broadcast address, too.
    #[test]
    fn open__addresses_of_many_hosts_are_refused() {
        for (ip, what) in [
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("127.255.255.255", "broadcast"),
        ] {
            let addr = SocketAddr::new(ip.parse().unwrap(), 0);
            let Err(BindError::Io(error)) = open(addr, &Config::default()) else { panic!("{ip}") };
            assert!(error.to_string().contains(what), "{ip}: {error}");
        }
        for ip in ["127.0.0.1", "0.0.0.0", "::1"] {
            check_own(ip.parse().unwrap()).unwrap();
        }
    }

    #[test]
    fn protocol_config__window_is_bounded_by_the_receive_buffer() {
        let config = Config::default();
        let window = |buffer| protocol_config(&config, 1, buffer).grants.incoming_bytes_max;
        assert_eq!(window(300_000), 150_000);
        assert_eq!(window(1 << 30), config.proto.grants.incoming_bytes_max);
        assert_eq!(window(1000), 131_070, "two packets always fit");
    }

    #[test]
    fn random_seed__differs() {
        assert_ne!(random_seed(), random_seed());
    }

    #[test]
    fn preferred_family__of_what_the_socket_reaches() {
        let family = |addr: &str| preferred_family(addr.parse().unwrap());
        assert_eq!(family("[::]:1"), Family::V4);
        assert_eq!(family("[::1]:1"), Family::V6);
        assert_eq!(family("127.0.0.1:1"), Family::V4);
    }
}
