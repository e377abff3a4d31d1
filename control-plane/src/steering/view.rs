//! The view that the table, the configuration and the measurements make. Pure.

use super::rates::Rates;
use crate::quality::Scores;
use crate::traffic::Used;
use sluice_wire::steering::{Edge, LATE_HEALTH, Place, View, late};
use sluice_wire::{FleetConfig, NodeState, Position, RouteNode, RouteTable, Tier};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// Steps of a load: what changes less makes no other view.
const LOAD_STEPS: f64 = 64.0;
/// A version is a whole number that JavaScript and JSON keep exactly.
const VERSION_BITS: u32 = 53;

/// What a view is made of.
pub(super) struct Known<'a> {
    pub(super) table: &'a RouteTable,
    pub(super) config: &'a FleetConfig,
    pub(super) rates: &'a Rates,
    pub(super) scores: &'a Scores,
    pub(super) used: &'a Used,
    /// How long a node is believed to be there after a report.
    pub(super) lease_ms: u64,
}

/// The view at a time. Its version is the digest of what it says, so that control planes that know the same name it alike.
pub(super) fn view(known: &Known<'_>, now_ms: u64) -> View {
    let mut sites: BTreeMap<&str, Vec<Edge>> = BTreeMap::new();
    let near: Vec<&RouteNode> = known.table.nodes.iter().filter(|node| node.tier == Tier::Near).collect();
    let ready = |node: &RouteNode| node.state == NodeState::Ready;
    let silent = near.iter().map(|node| known.rates.silent_ms(&node.node, now_ms).filter(|_| ready(node)));
    for (node, late) in near.iter().zip(late(silent, known.lease_ms)) {
        sites.entry(&node.site).or_default().push(edge(known, node, late));
    }
    let own = sites.into_iter().map(|(name, edges)| site(known, name, edges));
    let places = own.chain(outside(known.config)).collect();
    let policy = known.config.steering.clone();
    let mut view = View { version: 0, table: known.table.version, made_ms: 0, policy, places };
    let digest = xxh3_64(&serde_json::to_vec(&view).unwrap_or_default());
    view.version = digest >> (u64::BITS - VERSION_BITS);
    view.made_ms = now_ms;
    view
}

fn site(known: &Known<'_>, name: &str, edges: Vec<Edge>) -> Place {
    let said = known.config.sites.get(name).cloned().unwrap_or_default();
    let position = said.latitude.zip(said.longitude);
    Place {
        name: name.into(),
        position: position.map(|(latitude, longitude)| Position { latitude, longitude }),
        price: known.used.price(name, &said.contract),
        share: None,
        networks: known.scores.networks.get(name).cloned().unwrap_or_default(),
        quality: known.scores.places.get(name).copied().unwrap_or(1.0),
        edges,
    }
}

fn edge(known: &Known<'_>, node: &RouteNode, late: bool) -> Edge {
    let capacity = known.config.nodes.get(&node.node).and_then(|said| said.capacity_mbps);
    let load = capacity.map_or(0.0, |capacity| known.rates.mbps(&node.node) / capacity);
    let score = known.scores.nodes.get(&node.node).copied().unwrap_or(1.0);
    Edge {
        pathway: node.node.clone(),
        url: node.public_url.clone(),
        weight: node.weight,
        open: node.state == NodeState::Ready,
        health: score.min(node.seat.health()).min(if late { LATE_HEALTH } else { 1.0 }),
        load: (load * LOAD_STEPS).round() / LOAD_STEPS,
    }
}

/// Outside CDNs: places with one edge each, of whose load nothing is known.
fn outside(config: &FleetConfig) -> impl Iterator<Item = Place> {
    config.pathways.iter().map(|(name, said)| {
        let edge = Edge {
            pathway: name.clone(),
            url: said.host.clone(),
            weight: 1.0,
            open: true,
            health: 1.0,
            load: 0.0,
        };
        Place {
            name: name.to_string(),
            position: None,
            price: said.contract.price_per_gb,
            share: said.share,
            networks: BTreeMap::new(),
            quality: 1.0,
            edges: vec![edge],
        }
    })
}
