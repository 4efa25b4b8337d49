//! Which hosts and switches there are, and how they are joined.

mod custom;
mod routes;

pub use custom::CustomTopology;
pub(crate) use routes::Routes;

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The shape of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "shape", deny_unknown_fields)]
pub enum Shape {
    /// All hosts on one switch.
    SingleSwitch {
        /// Number of hosts.
        hosts: u32,
    },
    /// Racks with a switch each (TOR), joined by switches each of which is linked to every rack.
    LeafSpine {
        /// Number of racks.
        racks: u32,
        /// Hosts in each rack.
        hosts_per_rack: u32,
        /// Number of switches that join the racks.
        spines: u32,
    },
    /// Three tiers of equal switches with `k` ports: k pods of k/2 + k/2 switches, k³/4 hosts.
    FatTree {
        /// Ports of each switch, even.
        k: u32,
    },
    /// Any switches and links.
    Custom(CustomTopology),
}

/// A switch: its number, from 0, or its name if the topology names switches.
///
/// On a `single_switch` there is number 0; in a `leaf_spine` the racks' come first, then those between
/// them; in a `fat_tree` pod after pod, each with its lower ones first, then the core; in a `custom`
/// topology they are in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SwitchName {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

/// Why a topology can't be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("topology: {0}")]
pub struct TopologyError(pub(crate) String);

/// How far from the hosts a switch stands: 1 for those that hosts are linked to.
pub(crate) type Tier = u8;

/// Two switches that are joined, and what is known of the link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Link {
    pub(crate) a: u32,
    pub(crate) b: u32,
    /// Speed, or `None` for the network's.
    pub(crate) gbps: Option<f64>,
}

/// Hosts, switches and links, numbered from 0 each.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    /// By host: its switch.
    pub(crate) host_switch: Vec<u32>,
    /// By switch.
    pub(crate) tiers: Vec<Tier>,
    /// Between switches.
    pub(crate) links: Vec<Link>,
}

/// More hosts than this can't be numbered by an address.
const HOSTS_MAX: u64 = 1 << 20;

impl Shape {
    /// The paper's: 9 racks of 16 hosts, 4 switches between them.
    #[must_use]
    pub const fn sigcomm18() -> Self {
        Self::LeafSpine { racks: 9, hosts_per_rack: 16, spines: 4 }
    }

    /// The nearest shape of its kind with so many hosts.
    ///
    /// # Errors
    ///
    /// No such network of this kind exists.
    pub fn with_hosts(&self, hosts: u32) -> Result<Self, TopologyError> {
        let error = |text: String| Err(TopologyError(text));
        match *self {
            Self::SingleSwitch { .. } => Ok(Self::SingleSwitch { hosts }),
            Self::LeafSpine { hosts_per_rack, spines, .. } => {
                if hosts <= hosts_per_rack {
                    return Ok(Self::LeafSpine { racks: 1, hosts_per_rack: hosts, spines });
                }
                if !hosts.is_multiple_of(hosts_per_rack) {
                    return error(format!("{hosts} hosts are no whole racks of {hosts_per_rack}"));
                }
                Ok(Self::LeafSpine { racks: hosts / hosts_per_rack, hosts_per_rack, spines })
            }
            Self::FatTree { .. } => {
                let k = (2..=160).step_by(2).find(|k| k * k * k / 4 >= hosts);
                let Some(k) = k.filter(|k| k * k * k / 4 == hosts) else {
                    return error(format!("a fat tree has k³/4 hosts, k even: not {hosts}"));
                };
                Ok(Self::FatTree { k })
            }
            Self::Custom(_) => error("the number of hosts is that of the file".into()),
        }
    }

    /// Number of hosts.
    #[must_use]
    pub fn hosts(&self) -> u32 {
        match self {
            Self::SingleSwitch { hosts } => *hosts,
            Self::LeafSpine { racks, hosts_per_rack, .. } => racks * hosts_per_rack,
            Self::FatTree { k } => k * k * k / 4,
            Self::Custom(custom) => custom.hosts(),
        }
    }

    /// The number of a switch, which need not exist unless it is named.
    pub(crate) fn switch(&self, name: &SwitchName) -> Result<u32, String> {
        match (name, self) {
            (SwitchName::Number(number), _) => Ok(*number),
            (SwitchName::Name(name), Self::Custom(custom)) => {
                custom.number(name).map_err(|TopologyError(why)| why)
            }
            (SwitchName::Name(name), _) => {
                Err(format!("switches have numbers here, not names such as '{name}'"))
            }
        }
    }

    pub(crate) fn build(&self) -> Result<Topology, TopologyError> {
        let hosts = match *self {
            Self::SingleSwitch { hosts } => u64::from(hosts),
            Self::LeafSpine { racks, hosts_per_rack, .. } => {
                u64::from(racks) * u64::from(hosts_per_rack)
            }
            Self::FatTree { k } => u64::from(k).pow(3) / 4,
            Self::Custom(ref custom) => u64::from(custom.hosts()),
        };
        if !(2..=HOSTS_MAX).contains(&hosts) {
            return Err(TopologyError(format!("{hosts} hosts; 2 to {HOSTS_MAX} are possible")));
        }
        match *self {
            Self::SingleSwitch { hosts } => Ok(single_switch(hosts)),
            Self::LeafSpine { racks, hosts_per_rack, spines } => {
                leaf_spine(racks, hosts_per_rack, spines)
            }
            Self::FatTree { k } => fat_tree(k),
            Self::Custom(ref custom) => custom.build(),
        }
    }
}

impl fmt::Display for SwitchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => write!(f, "'{name}'"),
        }
    }
}

fn single_switch(hosts: u32) -> Topology {
    Topology { host_switch: vec![0; hosts as usize], tiers: vec![1], links: Vec::new() }
}

fn leaf_spine(racks: u32, hosts_per_rack: u32, spines: u32) -> Result<Topology, TopologyError> {
    if spines == 0 && racks > 1 {
        return Err(TopologyError("several racks need switches between them".into()));
    }
    let host_switch = (0..racks * hosts_per_rack).map(|host| host / hosts_per_rack).collect();
    let mut tiers = vec![1; racks as usize];
    tiers.resize((racks + spines) as usize, 2);
    let pairs = (0..racks).flat_map(|rack| (0..spines).map(move |spine| (rack, racks + spine)));
    let links = pairs.map(|(a, b)| Link { a, b, gbps: None }).collect();
    Ok(Topology { host_switch, tiers, links })
}

/// Pods first, each with its switches for hosts and then those above, then the core.
fn fat_tree(k: u32) -> Result<Topology, TopologyError> {
    if k < 2 || !k.is_multiple_of(2) {
        return Err(TopologyError(format!("a fat tree has an even number of ports, not {k}")));
    }
    let half = k / 2;
    let edge = |pod: u32, index: u32| pod * k + index;
    let aggregation = |pod: u32, index: u32| pod * k + half + index;
    let core = |index: u32| k * k + index;
    let hosts_of = |switch: u32| (0..half).map(move |_| switch);
    let edges = (0..k).flat_map(|pod| (0..half).map(move |index| edge(pod, index)));
    let mut tiers = Vec::new();
    let mut links = Vec::new();
    for pod in 0..k {
        tiers.extend((0..half).map(|_| 1));
        tiers.extend((0..half).map(|_| 2));
        for upper in 0..half {
            let a = aggregation(pod, upper);
            links.extend((0..half).map(|i| Link { a: edge(pod, i), b: a, gbps: None }));
            links.extend((0..half).map(|i| Link { a, b: core(upper * half + i), gbps: None }));
        }
    }
    tiers.extend((0..half * half).map(|_| 3));
    Ok(Topology { host_switch: edges.flat_map(hosts_of).collect(), tiers, links })
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn build__leaf_spine_of_the_paper() {
        let topology = Shape::sigcomm18().build().unwrap();
        assert_eq!(topology.host_switch.len(), 144);
        assert_eq!(topology.host_switch[143], 8);
        assert_eq!((topology.tiers.len(), topology.links.len()), (13, 36));
    }

    #[test]
    fn build__every_switch_of_a_fat_tree_has_k_ports() {
        let topology = Shape::FatTree { k: 6 }.build().unwrap();
        assert_eq!(topology.host_switch.len(), 54);
        let mut ports = vec![0; topology.tiers.len()];
        topology.host_switch.iter().for_each(|&switch| ports[switch as usize] += 1);
        for link in &topology.links {
            assert_eq!(topology.tiers[link.a as usize] + 1, topology.tiers[link.b as usize]);
            ports[link.a as usize] += 1;
            ports[link.b as usize] += 1;
        }
        assert!(ports.iter().all(|&ports| ports == 6), "{ports:?}");
    }

    #[test]
    fn build__impossible_shapes_are_errors() {
        assert!(Shape::SingleSwitch { hosts: 1 }.build().is_err());
        assert!(Shape::LeafSpine { racks: 2, hosts_per_rack: 2, spines: 0 }.build().is_err());
        assert!(Shape::FatTree { k: 5 }.build().is_err());
        assert!(Shape::sigcomm18().with_hosts(20).is_err());
        assert!(Shape::FatTree { k: 4 }.with_hosts(17).is_err());
        let larger = Shape::sigcomm18().with_hosts(10_000).unwrap();
        assert_eq!(larger.hosts(), 10_000);
    }
}
