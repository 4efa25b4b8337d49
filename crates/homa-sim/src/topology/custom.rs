//! Topologies from files.

use serde::{Deserialize, Serialize};

use super::{Link, Topology, TopologyError};

/// Switches with their hosts, and the links between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomTopology {
    /// The switches.
    pub switches: Vec<CustomSwitch>,
    /// The links between them.
    #[serde(default)]
    pub links: Vec<CustomLink>,
}

/// A switch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomSwitch {
    /// Its name.
    pub name: String,
    /// Hosts linked to it. Default 0.
    #[serde(default)]
    pub hosts: u32,
    /// How far from the hosts it stands, for reports. Default: 1 with hosts, else 2.
    pub tier: Option<u8>,
}

/// A link between two switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomLink {
    /// Name of the one end.
    pub from: String,
    /// Name of the other.
    pub to: String,
    /// Speed in Gb/s; default `core_gbps` of the network.
    pub gbps: Option<f64>,
}

impl CustomTopology {
    pub(super) fn hosts(&self) -> u32 {
        self.switches.iter().map(|switch| switch.hosts).sum()
    }

    /// The number of the switch that has a name.
    pub(super) fn number(&self, name: &str) -> Result<u32, TopologyError> {
        let found = self.switches.iter().position(|switch| switch.name == name);
        let missing = || TopologyError(format!("there is no switch named '{name}'"));
        found.map(|index| index as u32).ok_or_else(missing)
    }

    pub(super) fn build(&self) -> Result<Topology, TopologyError> {
        let mut host_switch = Vec::new();
        let mut tiers = Vec::new();
        for (index, switch) in self.switches.iter().enumerate() {
            if self.number(&switch.name)? != index as u32 {
                return Err(TopologyError(format!("two switches are named '{}'", switch.name)));
            }
            host_switch.extend((0..switch.hosts).map(|_| index as u32));
            let tier = switch.tier.unwrap_or(if switch.hosts > 0 { 1 } else { 2 });
            if !(1..=3).contains(&tier) {
                return Err(TopologyError(format!("tier {tier} of '{}'; 1 to 3", switch.name)));
            }
            tiers.push(tier);
        }
        let links: Result<Vec<_>, _> = self
            .links
            .iter()
            .map(|link| {
                let (a, b) = (self.number(&link.from)?, self.number(&link.to)?);
                if a == b {
                    return Err(TopologyError(format!("'{}' is linked to itself", link.from)));
                }
                Ok(Link { a, b, gbps: link.gbps })
            })
            .collect();
        Ok(Topology { host_switch, tiers, links: links? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    const TWO: &str = r#"
        switches = [{ name = "a", hosts = 2 }, { name = "b", hosts = 3 }, { name = "c" }]
        links = [{ from = "a", to = "c", gbps = 10 }, { from = "b", to = "c" }]
    "#;

    #[test]
    fn build__names_become_numbers() {
        let custom: CustomTopology = toml::from_str(TWO).unwrap();
        let topology = custom.build().unwrap();
        assert_eq!(topology.host_switch, [0, 0, 1, 1, 1]);
        assert_eq!(topology.tiers, [1, 1, 2]);
        assert_eq!(topology.links[0], Link { a: 0, b: 2, gbps: Some(10.0) });
    }

    #[test]
    fn build__wrong_names_are_errors() {
        for (wrong, what) in [
            (TWO.replace("to = \"c\" }", "to = \"d\" }"), "no switch named 'd'"),
            (TWO.replace("\"b\", hosts", "\"a\", hosts"), "two switches are named 'a'"),
            (TWO.replace("from = \"b\"", "from = \"c\""), "'c' is linked to itself"),
        ] {
            let custom: CustomTopology = toml::from_str(&wrong).unwrap();
            let error = custom.build().unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
