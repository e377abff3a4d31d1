//! A look at the fleet. Pure.

use super::counted::Purges;
use crate::membership;
use crate::steering::{Flow, Rates};
use serde::Serialize;
use sluice_storage::NodeRecord;
use sluice_wire::steering::{Edge, View};
use sluice_wire::{FleetConfig, NodeId, NodeState, RouteTable, Tier};
use std::collections::{BTreeMap, BTreeSet};

/// Sites that a point names; what the others send is told together.
const MAX_NAMED: usize = 12;
/// The name of the others.
const OTHERS: &str = "others";

/// What a frame is made of.
pub(super) struct Known<'a> {
    pub(super) records: &'a [NodeRecord],
    pub(super) table: &'a RouteTable,
    pub(super) config: &'a FleetConfig,
    pub(super) view: &'a View,
    pub(super) rates: &'a Rates,
    pub(super) steered: BTreeMap<String, f64>,
    pub(super) purges: Purges,
}

/// The fleet at a time.
#[derive(Debug, Serialize)]
pub(super) struct Frame {
    pub(super) now: Point,
    table_version: u64,
    config_version: u64,
    log_seq: u64,
    purges: Purges,
    sites: Vec<Site>,
    nodes: Vec<Node>,
}

/// What is kept of it: the near edges together, and what is fetched from origins.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Point {
    at_ms: u64,
    #[serde(flatten)]
    flow: Flow,
    /// Requests under way.
    active: u64,
    /// Mbit/s fetched from origins: by shields, where there are any.
    origin_mbps: f64,
    /// Sessions steered in a second by this control plane, by reason.
    steered: BTreeMap<String, f64>,
    /// Mbit/s sent by near edges, by site.
    sites: BTreeMap<String, f64>,
}

/// Where a site is, as far as that is said.
#[derive(Debug, Serialize)]
struct Site {
    name: String,
    region: Option<String>,
    latitude: Option<f64>,
    longitude: Option<f64>,
}

/// A node, as it is.
#[derive(Debug, Serialize)]
struct Node {
    node: NodeId,
    tier: Tier,
    site: String,
    state: NodeState,
    draining: bool,
    public_url: String,
    started_ms: u64,
    heard_ms: u64,
    #[serde(flatten)]
    flow: Flow,
    active: u64,
    cache_bytes: u64,
    cache_objects: u64,
    table_version: u64,
    log_seq: u64,
    /// 0 to 1, as steering sees it.
    health: Option<f64>,
    /// Of its capacity, where that is said.
    load: Option<f64>,
}

/// The frame of a time.
pub(super) fn frame(known: &Known<'_>, now_ms: u64) -> Frame {
    let kept = |record: &&NodeRecord| known.table.node(&record.report.node).is_some();
    let edges: BTreeMap<&NodeId, &Edge> =
        known.view.places.iter().flat_map(|place| &place.edges).map(|edge| (&edge.pathway, edge)).collect();
    let seen = |record: &NodeRecord| edges.get(&record.report.node).copied();
    let nodes = known.records.iter().filter(kept).map(|record| node(known, record, seen(record), now_ms));
    let nodes: Vec<Node> = nodes.collect();
    Frame {
        now: point(known, &nodes, now_ms),
        table_version: known.table.version,
        config_version: known.config.version,
        log_seq: nodes.iter().map(|node| node.log_seq).max().unwrap_or(0),
        purges: known.purges,
        sites: sites(known.config, &nodes),
        nodes,
    }
}

fn node(known: &Known<'_>, record: &NodeRecord, seen: Option<&Edge>, now_ms: u64) -> Node {
    let (report, state) = (&record.report, membership::state(record, now_ms));
    // Who is gone does nothing, whatever its last rates were.
    let gone = state == NodeState::Gone;
    let flow = if gone { Flow::default() } else { known.rates.flow(&report.node) };
    let has_capacity = known.config.nodes.get(&report.node).is_some_and(|said| said.capacity_mbps.is_some());
    Node {
        node: report.node.clone(),
        tier: report.tier,
        site: report.site.clone(),
        state,
        draining: record.draining,
        public_url: report.public_url.clone(),
        started_ms: report.started_ms,
        heard_ms: record.updated_ms,
        flow,
        active: if gone { 0 } else { report.counters.active },
        cache_bytes: report.counters.cache_bytes,
        cache_objects: report.counters.cache_objects,
        table_version: report.table_version,
        log_seq: report.log_seq,
        health: seen.map(|edge| edge.health),
        load: seen.filter(|_| has_capacity).map(|edge| edge.load),
    }
}

fn point(known: &Known<'_>, nodes: &[Node], now_ms: u64) -> Point {
    let of = |tier| nodes.iter().filter(move |node| node.tier == tier);
    let flow = of(Tier::Near).fold(Flow::default(), |sum, node| sum.and(node.flow));
    let top =
        if of(Tier::Shield).any(|node| node.state != NodeState::Gone) { Tier::Shield } else { Tier::Near };
    let mut sites = BTreeMap::new();
    for node in of(Tier::Near) {
        *sites.entry(node.site.clone()).or_insert(0.0) += node.flow.out_mbps;
    }
    Point {
        at_ms: now_ms,
        flow,
        active: of(Tier::Near).map(|node| node.active).sum(),
        origin_mbps: of(top).map(|node| node.flow.in_mbps).sum(),
        steered: known.steered.clone(),
        sites: named(sites),
    }
}

/// The largest by name, and the sum of the others.
fn named(sites: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let mut all: Vec<(String, f64)> = sites.into_iter().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    let others = all.split_off(all.len().min(MAX_NAMED));
    let mut named: BTreeMap<String, f64> = all.into_iter().collect();
    if !others.is_empty() {
        *named.entry(OTHERS.into()).or_insert(0.0) += others.iter().map(|(_, mbps)| mbps).sum::<f64>();
    }
    named
}

/// Sites that have a node or are configured.
fn sites(config: &FleetConfig, nodes: &[Node]) -> Vec<Site> {
    let names: BTreeSet<&String> = config.sites.keys().chain(nodes.iter().map(|node| &node.site)).collect();
    let site = |name: &String| {
        let said = config.sites.get(name).cloned().unwrap_or_default();
        Site { name: name.clone(), region: said.region, latitude: said.latitude, longitude: said.longitude }
    };
    names.into_iter().map(site).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_sites_are_named_and_the_others_are_one() {
        let sites = |count: u32| (0..count).map(|n| (format!("s{n:02}"), f64::from(n))).collect();
        assert_eq!(named(sites(12)).len(), 12);
        let many = named(sites(15));
        assert_eq!((many.len(), many[OTHERS]), (13, 0.0 + 1.0 + 2.0));
        assert!(!many.contains_key("s02") && many.contains_key("s03"));
    }
}
