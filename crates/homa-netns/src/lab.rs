//! Several hosts and the network between them.

use std::io;
use std::sync::Arc;

use super::Host;
use super::host::{Place, ask_neighbours_often, configure, set_offload};
use super::namespace::Namespace;
use super::segment::{Segment, addition};
use super::shaping::{self, Shaping};

/// Hosts that a segment's addresses suffice for, without its router's.
const HOSTS_MAX: usize = 250;

/// What a lab is like.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LabOptions {
    /// MTU of the hosts' links in bytes. Default 1500.
    pub mtu: u32,
    /// Whether hosts have IPv6 addresses besides their IPv4 addresses. Default true.
    pub ipv6: bool,
    /// If set, hosts with odd numbers are behind two routers, seen from those with even numbers, and
    /// the link between the routers has this MTU in bytes: senders learn it from ICMP only. Default
    /// none: all hosts are on one bridge.
    pub path_mtu: Option<u32>,
    /// Whether hosts hand many packets to their links as one and leave checksums to them, as with
    /// real cards. Faster, but then faults meet, and captures show, packets that were not made yet.
    /// Default false.
    pub offload: bool,
    /// If set, what the hosts' links and the bridge's ports are limited to. Default none.
    pub shaping: Option<Shaping>,
}

impl Default for LabOptions {
    fn default() -> Self {
        Self { mtu: 1500, ipv6: true, path_mtu: None, offload: false, shaping: None }
    }
}

/// Hosts joined by a network.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order.
    hosts: Vec<Host>,
    routers: Vec<Namespace>,
    network: Arc<Namespace>,
}

impl Lab {
    /// Makes so many hosts and joins them.
    ///
    /// # Errors
    ///
    /// What `ip` or `ethtool` says, for instance for want of privileges.
    ///
    /// # Panics
    ///
    /// There are more than 250 hosts.
    pub fn new(hosts: usize, options: &LabOptions) -> io::Result<Self> {
        assert!(hosts <= HOSTS_MAX, "at most {HOSTS_MAX} hosts");
        let network = Arc::new(Namespace::new("net")?);
        // The bridge forwards; nothing in its namespace is to speak itself.
        network.set_parameter("net/ipv6/conf/all/disable_ipv6", "1")?;
        network.set_parameter("net/ipv6/conf/default/disable_ipv6", "1")?;
        // No firewall has a say in what is bridged, where it would have otherwise: that takes a tenth of the time.
        for family in ["iptables", "ip6tables", "arptables"] {
            let _ = network.set_parameter(&format!("net/bridge/bridge-nf-call-{family}"), "0");
        }
        let segments = if options.path_mtu.is_some() { 2 } else { 1 };
        for segment in 0..segments {
            network.ip(&format!(
                "link add br{segment} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
                 link set br{segment} mtu {} up",
                options.mtu
            ))?;
        }
        let routers = match options.path_mtu {
            Some(mtu) => routers(&network, options, mtu)?.into(),
            None => Vec::new(),
        };
        let hosts = (0..hosts)
            .map(|index| Host::new(&network, Place::new(index, segments), options))
            .collect::<io::Result<_>>()?;
        Ok(Self { hosts, routers, network })
    }

    /// The hosts.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host with this number, from 0.
    ///
    /// # Panics
    ///
    /// There is none.
    #[must_use]
    pub fn host(&self, index: usize) -> &Host {
        &self.hosts[index]
    }

    /// Where the bridge `br0` is, and with routers `br1` as well. Everything crosses it.
    #[must_use]
    pub fn network(&self) -> &Namespace {
        &self.network
    }

    /// Packets that the ports to the hosts have dropped since they were made, for their buffers were full.
    ///
    /// # Errors
    ///
    /// What `tc` says.
    pub fn dropped_packets(&self) -> io::Result<u64> {
        shaping::dropped_packets(&self.network)
    }

    /// Changes the MTU, in bytes, of the link between the routers.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    ///
    /// # Panics
    ///
    /// There are no routers.
    pub fn set_path_mtu(&self, mtu: u32) -> io::Result<()> {
        assert!(!self.routers.is_empty(), "this lab has no routers");
        self.routers.iter().try_for_each(|router| router.ip(&format!("link set narrow mtu {mtu}")))
    }

    /// Lets the routers say of packets to this host that there is no way to it.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn close_way_to(&self, host: &Host) -> io::Result<()> {
        self.set_unreachable("add", host)
    }

    /// Undoes [`Lab::close_way_to`].
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn open_way_to(&self, host: &Host) -> io::Result<()> {
        self.set_unreachable("del", host)
    }

    fn set_unreachable(&self, verb: &str, host: &Host) -> io::Result<()> {
        let (ipv4, ipv6) = (host.ipv4(), host.ipv6());
        let routes =
            format!("route {verb} unreachable {ipv4}/32\nroute {verb} unreachable {ipv6}/128");
        self.routers.iter().try_for_each(|router| router.ip(&routes))
    }
}

/// Two routers, each on one bridge, and a link between them, `narrow`.
fn routers(network: &Namespace, options: &LabOptions, path_mtu: u32) -> io::Result<[Namespace; 2]> {
    let routers =
        [router(network, Segment(0), options.mtu)?, router(network, Segment(1), options.mtu)?];
    // Linux notices at once that a link has come up if its ends have different numbers; otherwise it
    // may take a second.
    routers[0].ip(&format!(
        "link add narrow index 100 mtu {path_mtu} type veth peer name narrow mtu {path_mtu} netns {}",
        routers[1].name()
    ))?;
    for (segment, router) in routers.iter().enumerate() {
        router.ip(&format!(
            "addr add 10.99.0.{segment}/31 dev narrow\n\
             addr add fd46:ff::{segment}/127 dev narrow nodad\n\
             link set narrow up"
        ))?;
        for device in ["eth0", "narrow"] {
            set_offload(router, device, options.offload)?;
            ask_neighbours_often(router, device)?;
        }
        let other = 1 - segment;
        let [ipv4, ipv6] = Segment(other).prefixes();
        router.ip(&format!(
            "route add {ipv4} via 10.99.0.{other}\n\
             route add {ipv6} via fd46:ff::{other}"
        ))?;
    }
    Ok(routers)
}

/// A router on the bridge of its segment.
fn router(network: &Namespace, segment: Segment, mtu: u32) -> io::Result<Namespace> {
    let Segment(number) = segment;
    let router = Namespace::new(&format!("router{number}"))?;
    configure(&router)?;
    router.set_parameter("net/ipv4/ip_forward", "1")?;
    // Linux limits the rate at which it says that there is no way twice, and the second limit may
    // keep back for ever what the first lets through.
    router.set_parameter("net/ipv4/icmp_ratelimit", "0")?;
    router.set_parameter("net/ipv6/icmp/ratelimit", "0")?;
    router.set_parameter("net/ipv6/conf/all/forwarding", "1")?;
    network.ip(&format!(
        "link add r{number} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {}\n\
         link set r{number} master br{number} up",
        router.name()
    ))?;
    let [ipv4, ipv6] = segment.router().map(addition);
    router.ip(&format!(
        "{ipv4}\n\
         {ipv6}\n\
         link set eth0 up"
    ))?;
    Ok(router)
}
