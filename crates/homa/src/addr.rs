//! Homa addresses: an IP address, a UDP port and a Homa port.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use homa_proto::PeerAddr;

/// The highest Homa port that a server can have (WIRE section 3).
pub const SERVER_PORT_MAX: u16 = 0x7FFF;

/// Where a Homa server is: the UDP socket address of its endpoint, and its Homa port there.
///
/// Over raw IP ([`Config::raw`](crate::Config::raw)) there is no UDP port: write `host:P`.
///
/// One UDP port carries any number of Homa ports. Written `host:P` both ports are `P`; written
/// `host:U/H` the UDP port is `U` and the Homa port `H`. IPv6 addresses stand in brackets, link-local
/// ones with their interface: `[fe80::1%eth0]:4000`. A Homa port of a server is 1 to 32767.
///
/// An `Addr` is resolved and `Copy`: calls to it cost no look-up. Names are resolved by
/// [`Addr::resolve`], or by passing the name to a call.
///
/// ```
/// let addr: homa::Addr = "[::1]:4000/7".parse()?;
/// assert_eq!((addr.socket_addr().port(), addr.homa_port()), (4000, 7));
/// assert_eq!(addr.to_string(), "[::1]:4000/7");
/// assert_eq!("10.0.0.1:4000".parse::<homa::Addr>()?.homa_port(), 4000);
/// # Ok::<(), homa::AddrError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Addr {
    endpoint: SocketAddr,
    homa_port: u16,
}

/// Why an address can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddrError {
    /// It is not of the form `host:P` or `host:U/H`.
    #[error(
        "`{0}` is not an address: write host:PORT or host:UDPPORT/HOMAPORT, without a scheme, ports from 1 on"
    )]
    Syntax(String),
    /// The Homa port is 0 or above 32767.
    #[error(
        "Homa port {0} can't be a server's: Homa server ports are 1 to 32767 \
         (host:UDPPORT/HOMAPORT names a Homa port that differs from the UDP port)"
    )]
    Port(u16),
    /// An endpoint over raw IP was given the address of one over UDP.
    #[error("there is no UDP port {0} over raw IP: write host:HOMAPORT")]
    UdpPort(u16),
    /// The name has no address, or could not be looked up.
    #[error("can't resolve `{name}`: {reason}")]
    Resolve {
        /// The host name.
        name: String,
        /// What the resolver said.
        reason: String,
    },
}

/// What can be given as the address of a call: an [`Addr`], a socket address, or text whose host
/// may be a name.
///
/// Names are looked up anew in each call: resolve once with [`Addr::resolve`] where speed matters.
pub trait ToAddr {
    /// The address, or the name that is to be resolved.
    ///
    /// # Errors
    ///
    /// The text is no address, or the Homa port is out of range.
    fn to_target(&self) -> Result<Target, AddrError>;
}

/// An address before names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing is left to resolve.
    Addr(Addr),
    /// A name and the two ports.
    Name {
        /// The host name.
        host: String,
        /// The UDP port.
        udp_port: u16,
        /// The Homa port.
        homa_port: u16,
    },
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn of(addr: SocketAddr) -> Self {
        if addr.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl Addr {
    /// The server with Homa port `homa_port` at the endpoint whose UDP socket is `endpoint`. An
    /// unspecified IP (`0.0.0.0`, `::`), such as a socket bound to all addresses has, means this
    /// host: the loopback address of the same family takes its place.
    ///
    /// # Errors
    ///
    /// [`AddrError::Port`] if the Homa port is 0 or above 32767.
    pub fn new(endpoint: SocketAddr, homa_port: u16) -> Result<Self, AddrError> {
        if (1..=SERVER_PORT_MAX).contains(&homa_port) {
            Ok(Self { endpoint: to_this_host(endpoint), homa_port })
        } else {
            Err(AddrError::Port(homa_port))
        }
    }

    /// Resolves `addr`, asking the system's resolver if its host is a name: this may block for
    /// seconds. Of several addresses the first is taken, IPv4 before IPv6.
    ///
    /// # Errors
    ///
    /// The text is no address, the Homa port is out of range, or the name has no address.
    pub fn resolve(addr: impl ToAddr) -> Result<Self, AddrError> {
        match addr.to_target()? {
            Target::Addr(addr) => Ok(addr),
            Target::Name { host, udp_port, homa_port } => {
                let found = (host.as_str(), udp_port).to_socket_addrs();
                Self::choose(&host, homa_port, found, Family::V4)
            }
        }
    }

    /// The UDP socket address of the server's endpoint.
    #[must_use]
    pub fn socket_addr(&self) -> SocketAddr {
        self.endpoint
    }

    /// The server's Homa port, 1 to 32767.
    #[must_use]
    pub fn homa_port(&self) -> u16 {
        self.homa_port
    }

    /// The same server over raw IP, where there are no UDP ports.
    ///
    /// # Errors
    ///
    /// [`AddrError::UdpPort`] if the address names a UDP port apart from the Homa port.
    pub(crate) fn over_raw_ip(mut self) -> Result<Self, AddrError> {
        if ![0, self.homa_port].contains(&self.endpoint.port()) {
            return Err(AddrError::UdpPort(self.endpoint.port()));
        }
        self.endpoint.set_port(0);
        Ok(self)
    }

    pub(crate) fn peer(&self) -> PeerAddr {
        PeerAddr::from(self.endpoint)
    }

    /// The first address found of the preferred family, else the first at all. `localhost` has
    /// both, and an endpoint may be bound to an address of one.
    pub(crate) fn choose(
        host: &str,
        homa_port: u16,
        found: std::io::Result<impl Iterator<Item = SocketAddr>>,
        preferred: Family,
    ) -> Result<Self, AddrError> {
        let failed = |reason: String| AddrError::Resolve { name: host.to_owned(), reason };
        let mut first = None;
        for addr in found.map_err(|error| failed(error.to_string()))? {
            if Family::of(addr) == preferred {
                return Self::new(addr, homa_port);
            }
            first = first.or(Some(addr));
        }
        Self::new(first.ok_or_else(|| failed("it has no address".to_owned()))?, homa_port)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.endpoint.port() {
            // Over raw IP.
            0 => {
                let mut shown = self.endpoint;
                shown.set_port(self.homa_port);
                shown.fmt(f)
            }
            port if port == self.homa_port => self.endpoint.fmt(f),
            _ => write!(f, "{}/{}", self.endpoint, self.homa_port),
        }
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Addr {
    type Err = AddrError;

    /// Parses an address whose host is an IP address; names are for [`Addr::resolve`].
    fn from_str(text: &str) -> Result<Self, AddrError> {
        match text.to_target()? {
            Target::Addr(addr) => Ok(addr),
            Target::Name { .. } => Err(AddrError::Syntax(text.to_owned())),
        }
    }
}

impl ToAddr for Addr {
    fn to_target(&self) -> Result<Target, AddrError> {
        Ok(Target::Addr(*self))
    }
}

impl ToAddr for SocketAddr {
    /// UDP port and Homa port are the same.
    fn to_target(&self) -> Result<Target, AddrError> {
        Addr::new(*self, self.port()).map(Target::Addr)
    }
}

impl ToAddr for str {
    fn to_target(&self) -> Result<Target, AddrError> {
        let syntax = || AddrError::Syntax(self.to_owned());
        let (host, ports) = self.rsplit_once(':').ok_or_else(syntax)?;
        let (udp_port, homa_port) = ports.split_once('/').unwrap_or((ports, ports));
        let udp_port: u16 = udp_port.parse().map_err(|_| syntax())?;
        let homa_port: u16 = homa_port.parse().map_err(|_| syntax())?;
        if udp_port == 0 || host.is_empty() {
            return Err(syntax());
        }
        if !(1..=SERVER_PORT_MAX).contains(&homa_port) {
            return Err(AddrError::Port(homa_port));
        }
        if let Ok(endpoint) = format!("{host}:{udp_port}").parse() {
            return Addr::new(endpoint, homa_port).map(Target::Addr);
        }
        let scoped = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // The name of an interface is resolved like that of a host.
        if let Some((ip, _)) = scoped.and_then(|host| host.split_once('%')) {
            let _: Ipv6Addr = ip.parse().map_err(|_| syntax())?;
        } else if host.contains(['[', ']', ':', '/', ' ']) {
            return Err(syntax());
        }
        let host = scoped.unwrap_or(host).to_owned();
        Ok(Target::Name { host, udp_port, homa_port })
    }
}

impl ToAddr for String {
    fn to_target(&self) -> Result<Target, AddrError> {
        self.as_str().to_target()
    }
}

impl<T: ToAddr + ?Sized> ToAddr for &T {
    fn to_target(&self) -> Result<Target, AddrError> {
        (**self).to_target()
    }
}

/// Replaces an unspecified IP by the loopback address of its family.
fn to_this_host(mut endpoint: SocketAddr) -> SocketAddr {
    if endpoint.ip().is_unspecified() {
        endpoint.set_ip(match Family::of(endpoint) {
            Family::V4 => Ipv4Addr::LOCALHOST.into(),
            Family::V6 => Ipv6Addr::LOCALHOST.into(),
        });
    }
    endpoint
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn from_str__one_port_means_both() {
        let addr: Addr = "10.0.0.1:4000".parse().unwrap();
        assert_eq!(addr.socket_addr(), "10.0.0.1:4000".parse().unwrap());
        assert_eq!(addr.homa_port(), 4000);
        assert_eq!(addr.to_string(), "10.0.0.1:4000");
    }

    #[test]
    fn from_str__two_ports() {
        let addr: Addr = "[::1]:40000/99".parse().unwrap();
        assert_eq!(addr.socket_addr().port(), 40000);
        assert_eq!(addr.homa_port(), 99);
        assert_eq!(addr.to_string().parse::<Addr>().unwrap(), addr);
    }

    /// The number of loopback's interface is 1.
    #[test]
    fn resolve__keeps_the_interface_of_link_local_addresses() {
        for text in ["[fe80::1%lo]:4000/7", "[fe80::1%1]:4000/7"] {
            let addr = Addr::resolve(text).unwrap();
            assert_eq!(addr.to_string(), "[fe80::1%1]:4000/7");
            let SocketAddr::V6(socket) = addr.peer().socket_addr() else { panic!("{text}") };
            assert_eq!(socket.scope_id(), 1);
        }
        let raw = Addr::resolve("[fe80::1%lo]:7").unwrap().over_raw_ip().unwrap();
        assert_eq!(raw.to_string(), "[fe80::1%1]:7");
        assert!(matches!(Addr::resolve("[name%lo]:7"), Err(AddrError::Syntax(_))));
    }

    #[test]
    fn from_str__homa_ports_of_clients_are_usage_errors() {
        for (text, port) in [("10.0.0.1:32768", 32768), ("10.0.0.1:4000/0", 0)] {
            assert_eq!(text.parse::<Addr>(), Err(AddrError::Port(port)));
        }
        let message = "10.0.0.1:40000".parse::<Addr>().unwrap_err().to_string();
        assert!(message.contains("1 to 32767"), "{message}");
        assert!("10.0.0.1:40000/32767".parse::<Addr>().is_ok());
    }

    #[test]
    fn from_str__what_is_no_address() {
        for text in [
            "",
            "host",
            "10.0.0.1",
            ":4000",
            "10.0.0.1:",
            "10.0.0.1:x",
            "::1:4000",
            "a b:1",
            "10.0.0.1:0/5",
            "h:1/2/3",
            "h:70000",
        ] {
            assert!(matches!(text.parse::<Addr>(), Err(AddrError::Syntax(_))), "{text}");
        }
    }

    #[test]
    fn new__an_unspecified_ip_is_this_host() {
        for (given, meant) in [("0.0.0.0:4000", "127.0.0.1:4000"), ("[::]:4000", "[::1]:4000")] {
            assert_eq!(given.parse::<Addr>().unwrap().to_string(), meant);
            assert_eq!(Addr::new(given.parse().unwrap(), 4000).unwrap().to_string(), meant);
        }
        let any: SocketAddr = "0.0.0.0:5".parse().unwrap();
        let found = Addr::choose("h", 5, Ok([any].into_iter()), Family::V4);
        assert_eq!(found.unwrap().to_string(), "127.0.0.1:5");
    }

    #[test]
    fn to_target__names_wait_to_be_resolved() {
        let target = "example.org:4000/7".to_target().unwrap();
        let name = Target::Name { host: "example.org".to_owned(), udp_port: 4000, homa_port: 7 };
        assert_eq!(target, name);
        assert!("example.org:4000/7".parse::<Addr>().is_err(), "parsing never asks a resolver");
    }

    #[test]
    fn resolve__localhost_prefers_ipv4() {
        let addr = Addr::resolve("localhost:4000").unwrap();
        assert_eq!(addr.to_string(), "127.0.0.1:4000");
    }

    #[test]
    fn choose__prefers_a_family_but_takes_what_there_is() {
        let both: [SocketAddr; 2] = ["[::1]:5".parse().unwrap(), "127.0.0.1:5".parse().unwrap()];
        let choose = |found: &[SocketAddr], preferred| {
            Addr::choose("h", 5, Ok(found.iter().copied()), preferred).unwrap().to_string()
        };
        assert_eq!(choose(&both, Family::V4), "127.0.0.1:5");
        assert_eq!(choose(&both, Family::V6), "[::1]:5");
        assert_eq!(choose(&both[..1], Family::V4), "[::1]:5");
        let nothing = Addr::choose("h", 5, Ok(std::iter::empty()), Family::V4);
        assert!(nothing.unwrap_err().to_string().contains("`h`"));
    }
}
