//! Siblings: near edges of the same site, which are asked for media before the tier above is.
//!
//! A media group has replicas among a site's near edges, the first of its order. Who is none of them fills from one, chosen
//! by what this edge has asked of each lately; who is one fills from a shield. A request that came from an edge goes no
//! further aside: it is never two siblings away from its asker.

use crate::edge::Shared;
use crate::gate::Target;
use crate::tenant::Tenant;
use http::StatusCode;
use rand::Rng;
use sluice_wire::placement::choose::{Loads, choose};
use sluice_wire::{MediaPath, NodeId, Placement, PlacementKey, RouteNode, Tier};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes that a fetch counts for: a segment of 2 Mbit/s.
const EXPECTED: u64 = 1 << 20;
/// The time in which half of what was asked of a sibling is forgotten. What is under way at one edge says little of a
/// sibling that a hundred ask; what was asked lately says as much as all of them know.
const HALF_LIFE: Duration = Duration::from_secs(5);
/// Bytes that are asked of a node in a half-life or so whatever others bear: some 300 Mbit/s from one edge.
const LEAST: u64 = 256 << 20;
/// Siblings remembered; one more, and all are new again. A route table has fewer.
const MAX_SIBLINGS: usize = 1_024;
/// Time for a sibling's head: it fills, or asks the tier above, which this edge can do itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// What this edge asked of its siblings lately, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Siblings(Mutex<HashMap<NodeId, Load>>);

#[derive(Debug, Clone, Copy)]
struct Load {
    bytes: u64,
    at: Instant,
}

impl Load {
    /// Half of it is forgotten once in a half-life.
    fn now(self, now: Instant) -> u64 {
        let lives = now.saturating_duration_since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        (self.bytes as f64 * 0.5f64.powf(lives)) as u64
    }
}

impl Siblings {
    /// Notes that so much was asked of a sibling.
    fn note(&self, node: &NodeId, bytes: u64, now: Instant) {
        let mut loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if loads.len() >= MAX_SIBLINGS && !loads.contains_key(node) {
            loads.clear();
        }
        let before = loads.get(node).map_or(0, |load| load.now(now));
        loads.insert(node.clone(), Load { bytes: before.saturating_add(bytes), at: now });
    }

    /// The place in an order of the replica to ask.
    fn choose(&self, placement: &Placement, order: &[u16], replicas: usize, now: Instant) -> Option<usize> {
        let loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total = loads.values().map(|load| load.now(now)).sum();
        let of = |at: u16| {
            placement.node(at).and_then(|node| loads.get(&node.node)).map_or(0, |load| load.now(now))
        };
        choose(order, replicas, &Loads { of, total, least: LEAST }, rand::rng().random())
    }
}

/// The addresses of the siblings to ask for a target, the best first, and another replica should it fail. None for
/// what is no segment or header of the fleet's own hosts, came from an edge itself, or belongs here.
pub(crate) fn of_miss(edge: &Shared, target: &Target, tenant: &Tenant, from_edge: bool) -> Vec<String> {
    let applies = edge.config.tier == Tier::Near && edge.live().siblings && !from_edge;
    // What changes is small, and asked of the tier that hears of changes for all.
    let is_media = || MediaPath::parse(&target.path).is_some_and(|media| media.asset.is_immutable());
    if !applies || *tenant != Tenant::own() || !is_media() {
        return vec![];
    }
    let (placement, key) = (edge.placement(), PlacementKey::of_path(&target.path));
    let now = Instant::now();
    let asked = |nodes: Vec<&RouteNode>| {
        nodes.first().into_iter().for_each(|node| edge.siblings.note(&node.node, EXPECTED, now));
        nodes.iter().map(|node| node.peer_url.clone()).collect::<Vec<_>>()
    };
    let own = &edge.config.node;
    if placement.holds(own, key) {
        edge.siblings.note(own, EXPECTED, now);
        // Who joined asks whoever had it before.
        return asked(placement.former(key).into_iter().filter(|former| former.node != *own).collect());
    }
    let (order, replicas) = (placement.near(key), placement.replicas(key));
    let Some(at) = edge.siblings.choose(&placement, &order, replicas, now) else { return vec![] };
    let chosen = placement.node(order[at]).filter(|node| node.node != *own);
    // Another replica, if there is one: whoever is none does not get a copy because the owner is slow.
    let next = (replicas > 1).then(|| order.get((at + 1) % replicas)).flatten();
    let next = next.and_then(|next| placement.node(*next));
    let next = next.filter(|next| next.node != *own && chosen.is_some_and(|chosen| chosen.node != next.node));
    asked(chosen.into_iter().chain(next).collect())
}

/// True when an answer of a sibling will do: whatever else it says, the tier above is asked.
pub(crate) fn will_do(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::NOT_MODIFIED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_asked_is_forgotten_by_halves() {
        let (siblings, now, node) = (Siblings::default(), Instant::now(), NodeId::new("a").unwrap());
        let load = |at| siblings.0.lock().unwrap()[&node].now(at);
        siblings.note(&node, 800, now);
        assert_eq!((load(now), load(now + HALF_LIFE), load(now + 3 * HALF_LIFE)), (800, 400, 100));
        siblings.note(&node, 800, now + HALF_LIFE);
        assert_eq!(load(now + HALF_LIFE), 1_200);
    }
}
