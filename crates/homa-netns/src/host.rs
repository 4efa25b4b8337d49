//! One host of a lab.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::sync::Arc;

use super::LabOptions;
use super::disorder::{Disorder, Forwarder};
use super::namespace::Namespace;
use super::segment::{Segment, addition, with_prefix_len};

/// A host: a namespace with one link, `eth0`, whose other end is in the lab's network.
#[derive(Debug)]
pub struct Host {
    namespace: Namespace,
    network: Arc<Namespace>,
    place: Place,
}

/// Where a host is connected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    index: usize,
    segment: Segment,
    segments: usize,
}

impl Place {
    pub(super) fn new(index: usize, segments: usize) -> Self {
        Self { index, segment: Segment(index % segments), segments }
    }

    fn ipv4(self, number: u8) -> Ipv4Addr {
        self.segment.ipv4(number, self.index as u8 + 1)
    }

    fn ipv6(self, number: u8) -> Ipv6Addr {
        self.segment.ipv6(number.into(), self.index as u16 + 1)
    }
}

impl Host {
    pub(super) fn new(
        network: &Arc<Namespace>,
        place: Place,
        options: &LabOptions,
    ) -> io::Result<Self> {
        let namespace = Namespace::new(&format!("host{}", place.index))?;
        let host = Self { namespace, network: Arc::clone(network), place };
        configure(&host)?;
        let (port, Segment(segment), mtu) = (host.port(), place.segment, options.mtu);
        network.ip(&format!(
            "link add {port} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {}\n\
             link set {port} master br{segment} up",
            host.name()
        ))?;
        set_offload(network, &port, options.offload)?;
        set_offload(&host, "eth0", options.offload)?;
        if let Some(shaping) = &options.shaping {
            shaping.limit_port(network, &port)?;
            shaping.limit_host(&host, "eth0")?;
        }
        ask_neighbours_often(&host, "eth0")?;
        host.add_address(host.ipv4().into())?;
        if options.ipv6 {
            host.add_address(host.ipv6().into())?;
        }
        host.ip("link set eth0 up")?;
        host.add_routes(options.ipv6)?;
        Ok(host)
    }

    /// Its first address, unless that was removed.
    #[must_use]
    pub fn ipv4(&self) -> Ipv4Addr {
        self.place.ipv4(0)
    }

    /// Its first IPv6 address, if it has any and unless that was removed.
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Addr {
        self.place.ipv6(0)
    }

    /// Another IPv4 address that suits the host and that no host has: the `number`th of its own,
    /// from 1.
    #[must_use]
    pub fn spare_ipv4(&self, number: u8) -> Ipv4Addr {
        self.place.ipv4(number)
    }

    /// The same for IPv6.
    #[must_use]
    pub fn spare_ipv6(&self, number: u8) -> Ipv6Addr {
        self.place.ipv6(number)
    }

    /// Gives the host another address, beside those that it has.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn add_address(&self, address: IpAddr) -> io::Result<()> {
        self.ip(&addition(address))
    }

    /// Takes an address from the host.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn remove_address(&self, address: IpAddr) -> io::Result<()> {
        self.ip(&format!("addr del {} dev eth0", with_prefix_len(address)))
    }

    /// Takes the host's interface down, as an administrator does; or up again, but then without the
    /// IPv6 addresses that it had. See [`Host::pull_cable`] for what happens to real links.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn set_interface(&self, up: bool) -> io::Result<()> {
        self.ip(if up { "link set eth0 up" } else { "link set eth0 down" })
    }

    /// Interrupts the link: nothing crosses it any more, and the host's interface has no carrier.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn pull_cable(&self) -> io::Result<()> {
        self.network.ip(&format!("link set {} down", self.port()))
    }

    /// Undoes [`Host::pull_cable`].
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn plug_cable(&self) -> io::Result<()> {
        self.network.ip(&format!("link set {} up", self.port()))
    }

    /// Interrupts the link for as short a time as can be.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn jolt_cable(&self) -> io::Result<()> {
        let port = self.port();
        self.network.ip(&format!("link set {port} down\nlink set {port} up"))
    }

    /// Removes the host's link for good. What is in the host goes on without a network.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn delete_link(&self) -> io::Result<()> {
        self.ip("link del eth0")
    }

    /// Loses this many thousandths of the packets that the host sends and as many of those sent to
    /// it, at random: of UDP, TCP and Homa. ARP and ICMP are spared, since Linux asks for lost
    /// neighbours only once a second. Replaces what was set before; 0 ends it.
    ///
    /// # Errors
    ///
    /// What `nft` says.
    pub fn set_loss(&self, permille: u32) -> io::Result<()> {
        let port = self.port();
        let chain = |hook: &str| {
            format!(
                "chain {hook} {{ type filter hook {hook} device \"{port}\" priority 0; \
                 meta l4proto {{ udp, tcp, 146 }} numgen random mod 1000 < {permille} drop; }}\n"
            )
        };
        // Made in any case, so that deleting it can't fail.
        let table = format!("netdev loss_{port}");
        let mut rules = format!("table {table} {{ }}\ndelete table {table}\n");
        if permille > 0 {
            rules += &format!("table {table} {{ {}{} }}\n", chain("ingress"), chain("egress"));
        }
        self.network.nft(&rules)
    }

    /// From now on packets to and from this host are duplicated and reordered, until the forwarder
    /// is dropped, which cuts the host off.
    ///
    /// # Errors
    ///
    /// What `ip` says, or that packets can't be forwarded.
    pub fn disorder(&self, disorder: Disorder) -> io::Result<Forwarder> {
        let Place { index, segment: Segment(segment), .. } = self.place;
        let (port, inner, outer) = (self.port(), format!("x{index}"), format!("y{index}"));
        // As long frames as any link may have.
        self.network.ip(&format!(
            "link set {port} nomaster\n\
             link add {inner} mtu 65535 type veth peer name {outer} mtu 65535\n\
             link set {outer} master br{segment} up\n\
             link set {inner} up"
        ))?;
        Forwarder::start(&self.network, [&port, &inner], disorder)
    }

    /// Through the segment's router, if there is one.
    fn add_routes(&self, ipv6: bool) -> io::Result<()> {
        let Place { segment, segments, .. } = self.place;
        if segments < 2 {
            return Ok(());
        }
        let [ipv4_router, ipv6_router] = segment.router();
        self.ip(&format!("route add default via {ipv4_router}"))?;
        if ipv6 {
            self.ip(&format!("route add default via {ipv6_router}"))?;
        }
        Ok(())
    }

    /// The name of the link's other end, in the network's namespace.
    fn port(&self) -> String {
        format!("p{}", self.place.index)
    }
}

impl Deref for Host {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

/// Lets an interface do the cutting and summing, or not.
pub(super) fn set_offload(namespace: &Namespace, device: &str, on: bool) -> io::Result<()> {
    if on {
        return Ok(());
    }
    let features = ["tx", "gso", "gro", "tso", "tx-udp-segmentation"];
    namespace.set_features(device, &features.map(|feature| [feature, "off"]).concat())
}

/// What is to hold for the interfaces that a host or router will have.
pub(super) fn configure(namespace: &Namespace) -> io::Result<()> {
    // Duplicates of an address are not looked for, which takes a second.
    namespace.set_parameter("net/ipv6/conf/default/accept_dad", "0")?;
    // An address that is removed does not take along those that were added later.
    namespace.set_parameter("net/ipv4/conf/default/promote_secondaries", "1")
}

/// Linux forgets the neighbours of a link that goes down, and asks for them again. If the question
/// is lost it repeats it after a second only, which would make every interruption long. Here it
/// repeats it every 20 ms, for three seconds as usual.
pub(super) fn ask_neighbours_often(namespace: &Namespace, device: &str) -> io::Result<()> {
    for family in ["ipv4", "ipv6"] {
        let parameters = format!("net/{family}/neigh/{device}");
        namespace.set_parameter(&format!("{parameters}/retrans_time_ms"), "20")?;
        namespace.set_parameter(&format!("{parameters}/mcast_solicit"), "150")?;
    }
    Ok(())
}
