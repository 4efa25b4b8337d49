//! Shortest ways through a network of switches.

use std::collections::{HashMap, VecDeque};

/// By switch and destination: through which of its ports the shortest ways lead.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Switches with hosts, in order: the destinations.
    leaves: Vec<u32>,
    /// By switch: its place among the leaves.
    leaf_of: Vec<u32>,
    /// By switch and leaf: a list of ports. Most lists are alike, so each is kept once.
    choice: Vec<u32>,
    /// Start and length of each list in `ports`.
    lists: Vec<(u32, u32)>,
    ports: Vec<u32>,
}

impl Routes {
    /// `host_switch` names by host its switch; `neighbours` by switch its ports and the switches they lead
    /// to.
    pub(crate) fn new(host_switch: &[u32], neighbours: &[Vec<(u32, u32)>]) -> Self {
        let switches = neighbours.len();
        let mut leaves = host_switch.to_vec();
        leaves.sort_unstable();
        leaves.dedup();
        let mut leaf_of = vec![u32::MAX; switches];
        for (place, &leaf) in (0_u32..).zip(&leaves) {
            leaf_of[leaf as usize] = place;
        }
        let mut routes = Self {
            choice: vec![u32::MAX; switches * leaves.len()],
            leaves,
            leaf_of,
            lists: Vec::new(),
            ports: Vec::new(),
        };
        let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
        for (place, &leaf) in routes.leaves.clone().iter().enumerate() {
            let distances = distances(leaf, neighbours);
            for switch in (0..switches).filter(|&switch| switch != leaf as usize) {
                let nearer = |&&(_, to): &&(u32, u32)| {
                    distances[to as usize] != u32::MAX
                        && distances[to as usize] + 1 == distances[switch]
                };
                let list: Vec<u32> =
                    neighbours[switch].iter().filter(nearer).map(|&(port, _)| port).collect();
                let index = *known.entry(list).or_insert_with_key(|list| {
                    routes.lists.push((routes.ports.len() as u32, list.len() as u32));
                    routes.ports.extend(list);
                    routes.lists.len() as u32 - 1
                });
                routes.choice[switch * routes.leaves.len() + place] = index;
            }
        }
        routes
    }

    /// Whether all hosts can reach each other.
    pub(crate) fn are_complete(&self) -> bool {
        let from = |&from: &u32| self.leaves.iter().map(move |&to| (from, to));
        let mut pairs = self.leaves.iter().flat_map(from);
        pairs.all(|(from, to)| from == to || !self.ports(from, to).is_empty())
    }

    /// The ports of a switch through which the shortest ways to the hosts of another one lead; none if it
    /// can't be reached.
    pub(crate) fn ports(&self, switch: u32, destination: u32) -> &[u32] {
        let leaf = self.leaf_of[destination as usize] as usize;
        let list = self.choice[switch as usize * self.leaves.len() + leaf];
        let (start, length) = self.lists[list as usize];
        &self.ports[start as usize..(start + length) as usize]
    }
}

/// Steps from each switch to a leaf. Ways through another switch's hosts do not exist.
fn distances(leaf: u32, neighbours: &[Vec<(u32, u32)>]) -> Vec<u32> {
    let mut distances = vec![u32::MAX; neighbours.len()];
    distances[leaf as usize] = 0;
    let mut waiting = VecDeque::from([leaf]);
    while let Some(switch) = waiting.pop_front() {
        for &(_, to) in &neighbours[switch as usize] {
            if distances[to as usize] == u32::MAX {
                distances[to as usize] = distances[switch as usize] + 1;
                waiting.push_back(to);
            }
        }
    }
    distances
}
