//! Which network a test runs over.

use std::net::{IpAddr, SocketAddr};

use homa::blocking::Endpoint;
use homa::{Addr, Config, RawConfig};
use homa_netns::{Host, Lab, LabOptions, skip};

/// Where servers listen.
const UDP_PORT: u16 = 4000;
/// Differs from the UDP port, so that nothing takes one for the other.
const HOMA_PORT: u16 = 99;

/// How long endpoints bear the silence of servers that are to be found missing.
pub(crate) const SHORT_PATIENCE_MS: u64 = 500;
/// The same where silence is to cost no call: on machines that are busy, many threads may have to wait
/// for one of few processors.
pub(crate) const LONG_PATIENCE_MS: u64 = 4000;

/// A transport and an IP version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    raw: bool,
    ipv6: bool,
}

impl Network {
    pub(crate) const UDP_IPV4: Self = Self { raw: false, ipv6: false };
    pub(crate) const UDP_IPV6: Self = Self { raw: false, ipv6: true };
    pub(crate) const RAW_IPV4: Self = Self { raw: true, ipv6: false };
    pub(crate) const RAW_IPV6: Self = Self { raw: true, ipv6: true };

    /// A lab for a test that needs these programs; `None` if this machine has none, which is said.
    pub(crate) fn lab(self, hosts: usize, options: &LabOptions, programs: &[&str]) -> Option<Lab> {
        if skip(programs) {
            return None;
        }
        Some(Lab::new(hosts, options).expect("namespaces can be made here"))
    }

    /// A lab of two hosts and no other wishes.
    pub(crate) fn pair(self) -> Option<Lab> {
        self.lab(2, &LabOptions::default(), &[])
    }

    /// The options that choose the transport. Over raw IP processes share their host, for some of these
    /// hosts have several.
    pub(crate) fn transport_options(self) -> &'static [&'static str] {
        if self.raw { &["--transport", "raw", "--share"] } else { &["--transport", "homa"] }
    }

    pub(crate) fn is_raw(self) -> bool {
        self.raw
    }

    /// The host's first address.
    pub(crate) fn address(self, host: &Host) -> IpAddr {
        if self.ipv6 { host.ipv6().into() } else { host.ipv4().into() }
    }

    /// Another address for the host.
    pub(crate) fn spare_address(self, host: &Host, number: u8) -> IpAddr {
        if self.ipv6 { host.spare_ipv6(number).into() } else { host.spare_ipv4(number).into() }
    }

    /// What a server is told to listen on: all addresses.
    pub(crate) fn listen(self) -> String {
        let any = if self.ipv6 { "[::]" } else { "0.0.0.0" };
        if self.raw {
            return format!("{any}:{HOMA_PORT}");
        }
        format!("{any}:{UDP_PORT}/{HOMA_PORT}")
    }

    /// The server at an address, as the command wants it.
    pub(crate) fn server(self, address: IpAddr) -> String {
        if self.raw {
            return SocketAddr::new(address, HOMA_PORT).to_string();
        }
        format!("{}/{HOMA_PORT}", SocketAddr::new(address, UDP_PORT))
    }

    /// The server at an address, as the library wants it.
    pub(crate) fn server_addr(self, address: IpAddr) -> Addr {
        let port = if self.raw { HOMA_PORT } else { UDP_PORT };
        Addr::new(SocketAddr::new(address, port), HOMA_PORT).expect("a server's port")
    }

    /// The server on a host, at its first address.
    pub(crate) fn server_on(self, host: &Host) -> Addr {
        self.server_addr(self.address(host))
    }

    /// Runs `calls` in a host, with an endpoint that bears the silence of its peers for so many
    /// milliseconds.
    pub(crate) fn call_from(
        self,
        host: &Host,
        patience_ms: u64,
        calls: impl FnOnce(&Endpoint) + Send,
    ) {
        host.enter(|| calls(&self.endpoint(patience_ms))).expect("the host can be entered");
    }

    fn endpoint(self, patience_ms: u64) -> Endpoint {
        let mut config = Config::default();
        config.raw = self.raw.then(|| {
            let mut raw = RawConfig::default();
            // Other processes of the host have servers.
            raw.shared_ports = Some(Vec::new());
            raw
        });
        config.proto.timing.timeout = homa::proto::Duration::from_millis(patience_ms);
        let any = if self.ipv6 { "[::]:0" } else { "0.0.0.0:0" };
        Endpoint::bind(any, config).expect("an endpoint")
    }

    /// The options that tell `homa decode` where Homa is.
    pub(crate) fn decode_options(self) -> [&'static str; 2] {
        ["--udp-port", "4000"]
    }

    /// The same for tshark.
    pub(crate) fn tshark_filter(self) -> &'static str {
        if self.raw {
            return "(ip.proto == 146 || ipv6.nxt == 146) && !icmp && !icmpv6";
        }
        "udp.port == 4000 && !icmp && !icmpv6"
    }
}
