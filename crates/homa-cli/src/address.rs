//! Addresses as written on the command line: `host:P`, or `host:U/H` where ports differ.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// The highest Homa port that a server can have (WIRE section 3); those above belong to clients.
const HIGHEST_SERVER_PORT: u16 = 32_767;

/// Where a server is or is to be: a host, a UDP (or TCP) port and a Homa port.
///
/// Names are resolved only by [`ServerAddress::resolve`], so that parsing never waits for a
/// network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    host: String,
    port: u16,
    homa_port: u16,
}

impl ServerAddress {
    /// That of a server which is bound to `socket`.
    pub(crate) fn new(socket: SocketAddr, homa_port: u16) -> Self {
        let scope = match socket {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("%{}", v6.scope_id()),
            _ => String::new(),
        };
        Self { host: format!("{}{scope}", socket.ip()), port: socket.port(), homa_port }
    }

    /// At a host that is given by name or address, with the same UDP and Homa port.
    pub(crate) fn of_host(host: &str, port: u16) -> Self {
        Self { host: host.into(), port, homa_port: port }
    }

    /// The UDP or TCP port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is given by its address.
    pub(crate) fn is_literal(&self) -> bool {
        let address = self.host.split_once('%').map_or(self.host.as_str(), |(address, _)| address);
        address.parse::<IpAddr>().is_ok()
    }

    /// The UDP or TCP address.
    pub(crate) fn resolve(&self) -> Result<SocketAddr, String> {
        let mut found = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| format!("cannot resolve '{}': {error}", self.host))?;
        let found = found.next().ok_or_else(|| format!("'{}' has no address", self.host))?;
        if lacks_interface(found) {
            return Err(format!(
                "'{}' is link-local: name the interface as well, such as [{}%eth0]",
                self.host, self.host
            ));
        }
        Ok(found)
    }

    /// Whether a Homa port was given beside the UDP port.
    pub(crate) fn has_homa_port(&self) -> bool {
        self.homa_port != self.port
    }

    /// The Homa port, checked to be one that a server may have.
    pub(crate) fn homa_port(&self) -> Result<u16, String> {
        match self.homa_port {
            1..=HIGHEST_SERVER_PORT => Ok(self.homa_port),
            0 => Err(format!(
                "Homa port 0 in '{self}' is reserved; 'HOST:0/PORT' asks for any UDP port and a given Homa port"
            )),
            port => Err(format!(
                "Homa port {port} in '{self}' is above {HIGHEST_SERVER_PORT}, where only clients are; \
                 'HOST:{}/PORT' names a UDP port and a Homa port apart",
                self.port
            )),
        }
    }
}

/// Whether it is the address of one host on each link.
fn lacks_interface(addr: SocketAddr) -> bool {
    matches!(addr, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0)
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("'{text}' is not an address such as 127.0.0.1:4000, [::1]:4000 or host:5000/99")
        };
        let (host, ports) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').ok_or_else(wrong)?,
            None if host.contains(':') => {
                return Err(format!("{}: IPv6 addresses need brackets", wrong()));
            }
            None => host,
        };
        if host.is_empty() {
            return Err(wrong());
        }
        let (port, homa_port) = ports.split_once('/').unwrap_or((ports, ports));
        Ok(Self {
            host: host.into(),
            port: port.parse().map_err(|_| wrong())?,
            homa_port: homa_port.parse().map_err(|_| wrong())?,
        })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)?;
        } else {
            write!(f, "{}:{}", self.host, self.port)?;
        }
        if self.homa_port != self.port { write!(f, "/{}", self.homa_port) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn parse(text: &str) -> ServerAddress {
        text.parse().expect(text)
    }

    #[test]
    fn from_str__one_port_means_both() {
        let address = parse("127.0.0.1:4000");
        assert_eq!(address.resolve().unwrap(), "127.0.0.1:4000".parse().unwrap());
        assert_eq!(address.homa_port(), Ok(4000));
    }

    #[test]
    fn from_str__two_ports_and_ipv6() {
        let address = parse("[::1]:5000/99");
        assert_eq!(address.resolve().unwrap(), "[::1]:5000".parse().unwrap());
        assert_eq!(address.homa_port(), Ok(99));
        assert_eq!(address.to_string(), "[::1]:5000/99");
    }

    /// The interface may be its name or its number; that of loopback is 1.
    #[test]
    fn resolve__link_local_addresses_keep_their_interface() {
        for text in ["[fe80::1%lo]:5000/99", "[fe80::1%1]:5000/99"] {
            let address = parse(text);
            let SocketAddr::V6(socket) = address.resolve().unwrap() else { panic!("{text}") };
            assert_eq!((socket.scope_id(), socket.port()), (1, 5000));
            assert_eq!(address.to_string(), text);
            assert_eq!(ServerAddress::new(socket.into(), 99).to_string(), "[fe80::1%1]:5000/99");
        }
        let why = parse("[fe80::1]:4000").resolve().unwrap_err();
        assert!(why.contains("[fe80::1%eth0]"), "{why}");
    }

    #[test]
    fn from_str__nonsense_is_refused() {
        for text in [
            "",
            "4000",
            "host",
            ":4000",
            "::1:4000",
            "[::1:4000",
            "host:1/2/3",
            "host:70000",
            "h:x",
        ] {
            assert!(text.parse::<ServerAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn homa_port__client_ports_and_zero_are_refused() {
        assert!(parse("localhost:32768").homa_port().is_err());
        assert!(parse("localhost:0").homa_port().is_err());
        assert_eq!(parse("localhost:40000/7").homa_port(), Ok(7));
        assert_eq!(parse("localhost:32767").homa_port(), Ok(32767));
    }
}
