//! The order of a key over any number of nodes: up to [`FLAT`] of them by their scores alone; above, racks by their scores
//! first and the nodes of each by theirs, so that only a few racks' nodes are scored. Pure.
//!
//! A rack is scored by a weight that the control plane publishes and holds while it is about right ([`racks`]): were it the
//! sum of its nodes of this moment, a node that goes would move keys of its neighbours too.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{PlacementKey, Seed, mix, score_of};
use crate::node::{NodeState, Tier};
use crate::routes::{RouteNode, RouteTable};

/// Nodes up to which all are scored: at 23 ns each, an order takes 5 us.
pub const FLAT: usize = 200;
/// Racks that nodes are spread over by name where none is named. About as many racks as nodes in each at 1,000 nodes.
const UNNAMED: u64 = 32;
/// Keeps scores of racks apart from those of nodes.
const RACK: u64 = 0x736c_7569_6365_0004;
/// How far a rack's weight may be from the sum of its nodes before it is corrected, as a factor.
const DRIFT: f64 = 1.25;

/// A rack's weight, as it is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RackWeight {
    /// The tier of its nodes.
    pub tier: Tier,
    /// Their site.
    pub site: String,
    /// Its name.
    pub rack: String,
    /// Its share relative to the other racks of the tier and site, above 0.
    pub weight: f64,
}

/// The rack of a node: the one it names, or one by its name.
#[must_use]
pub fn rack_of(node: &RouteNode) -> String {
    if node.seat.rack.is_empty() {
        format!("#{}", xxh3_64_with_seed(node.node.as_str().as_bytes(), RACK) % UNNAMED)
    } else {
        node.seat.rack.clone()
    }
}

/// The racks of every tier and site that has more than [`FLAT`] ready nodes, by tier, site and name: each keeps the weight
/// it had while that is about what its ready nodes weigh.
#[must_use]
pub fn racks(kept: &[RackWeight], nodes: &[RouteNode]) -> Vec<RackWeight> {
    let mut racks = vec![];
    for tier in [Tier::Near, Tier::Shield] {
        let mut sites: BTreeMap<&str, Vec<&RouteNode>> = BTreeMap::new();
        let counts = |n: &&RouteNode| n.tier == tier && n.state == NodeState::Ready && n.weight > 0.0;
        nodes.iter().filter(counts).for_each(|node| sites.entry(&node.site).or_default().push(node));
        for (site, nodes) in sites.into_iter().filter(|(_, nodes)| nodes.len() > FLAT) {
            let mut sums: BTreeMap<String, f64> = BTreeMap::new();
            nodes.iter().for_each(|node| *sums.entry(rack_of(node)).or_default() += node.weight);
            for (rack, sum) in sums {
                let held = kept.iter().find(|k| k.tier == tier && k.site == site && k.rack == rack);
                let held = held.map(|k| k.weight).filter(|w| (1.0 / DRIFT..=DRIFT).contains(&(w / sum)));
                racks.push(RackWeight { tier, site: site.to_owned(), rack, weight: held.unwrap_or(sum) });
            }
        }
    }
    racks
}

/// The nodes that keys of a tier, or of a tier at one site, are placed on.
#[derive(Debug, Clone)]
pub struct Ring {
    seed: Seed,
    racks: Vec<Rack>,
    nodes: usize,
}

#[derive(Debug, Clone)]
struct Rack {
    name: String,
    weight: f64,
    nodes: Vec<Seated>,
}

/// A node's place in its table, its name and its weight.
#[derive(Debug, Clone)]
struct Seated {
    at: u16,
    name: String,
    weight: f64,
}

impl Ring {
    /// The ready nodes of a table that keys go to and `is_in` takes, by the weights that `weight` says.
    #[must_use]
    pub fn of(
        table: &RouteTable,
        seed: Seed,
        is_in: impl Fn(&RouteNode) -> bool,
        weight: impl Fn(&RouteNode) -> f64,
    ) -> Self {
        let ready = |node: &RouteNode| node.state == NodeState::Ready && is_in(node) && weight(node) > 0.0;
        let chosen: Vec<(u16, &RouteNode)> =
            (0..=u16::MAX).zip(&table.nodes).filter(|(_, node)| ready(node)).collect();
        let flat = chosen.len() <= FLAT;
        let mut racks: BTreeMap<String, Vec<Seated>> = BTreeMap::new();
        for (at, node) in &chosen {
            let rack = if flat { String::new() } else { rack_of(node) };
            let seated = Seated { at: *at, name: node.node.to_string(), weight: weight(node) };
            racks.entry(rack).or_default().push(seated);
        }
        let weigh = |name: &str, nodes: &[Seated]| {
            // Of a rack in several sites, what each site has of it.
            let published = table.racks.iter().filter(|rack| {
                let is_one = |(_, node): &(u16, &RouteNode)| node.tier == rack.tier && node.site == rack.site;
                rack.rack == name && chosen.iter().any(is_one)
            });
            let published: f64 = published.map(|rack| rack.weight).sum();
            if published > 0.0 { published } else { nodes.iter().map(|node| node.weight).sum() }
        };
        let racks = racks.into_iter().map(|(name, nodes)| Rack { weight: weigh(&name, &nodes), name, nodes });
        Self { seed, racks: racks.collect(), nodes: chosen.len() }
    }

    /// How many nodes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.nodes
    }

    /// True without any node.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    /// The first nodes of a key's order, the owner first, as places in the table: at least `count` of them, or all.
    #[must_use]
    pub fn order(&self, key: PlacementKey, count: usize) -> Vec<u16> {
        let seed = mix(key.as_u64() ^ self.seed.value());
        if let [all] = self.racks.as_slice() {
            return all.order(seed);
        }
        let mut racks: Vec<(f64, &Rack)> = self
            .racks
            .iter()
            .map(|rack| (score_of(mix(seed ^ RACK), &rack.name, rack.weight), rack))
            .collect();
        racks.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
        let mut order = Vec::with_capacity(2 * count.min(self.nodes));
        for (_, rack) in racks {
            if order.len() >= count {
                break;
            }
            order.extend(rack.order(seed));
        }
        order
    }
}

impl Rack {
    fn order(&self, seed: u64) -> Vec<u16> {
        let mut scored: Vec<(f64, &Seated)> =
            self.nodes.iter().map(|node| (score_of(seed, &node.name, node.weight), node)).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
        scored.into_iter().map(|(_, node)| node.at).collect()
    }
}
