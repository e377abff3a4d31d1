//! Placement by a route table, as one site sees it: who owns a key there, which are its replicas, who owned it before a node
//! joined, and which shield it is filled from.

use std::collections::HashMap;
use std::sync::Arc;

use super::cached::{Order, Orders};
use super::two_level::Ring;
use super::{PlacementKey, Seed};
use crate::id::NodeId;
use crate::node::Tier;
use crate::routes::{RouteNode, RouteTable};

/// Nodes of an order that are there at the least: an owner, and more to fail over to than fail at once. Orders of up to
/// [`FLAT`](super::two_level::FLAT) nodes are whole.
const AT_LEAST: usize = 16;

/// Where keys go at one site, by one route table.
#[derive(Debug)]
pub struct Placement {
    table: Arc<RouteTable>,
    near: Ring,
    settled: Option<Ring>,
    shields: Ring,
    near_orders: Orders,
    shield_orders: Orders,
    popular: HashMap<PlacementKey, usize>,
}

impl Placement {
    /// Of a table that has been checked, as seen at a site.
    #[must_use]
    pub fn new(table: Arc<RouteTable>, site: &str) -> Self {
        let here = |node: &RouteNode| node.tier == Tier::Near && node.site == site;
        let near = Ring::of(&table, Seed::Near, here, RouteNode::share);
        let is_settled = |node: &RouteNode| here(node) && node.seat.ramp.is_none();
        let settled = Ring::of(&table, Seed::Near, is_settled, |node| node.weight);
        let shield = |node: &RouteNode| node.tier == Tier::Shield;
        Self {
            settled: (settled.len() < near.len()).then_some(settled),
            near,
            shields: Ring::of(&table, Seed::Shield, shield, RouteNode::share),
            near_orders: Orders::default(),
            shield_orders: Orders::default(),
            popular: table
                .popular
                .iter()
                .filter(|popular| popular.site == site)
                .map(|popular| (popular.key, usize::from(popular.replicas)))
                .collect(),
            table,
        }
    }

    /// The table.
    #[must_use]
    pub const fn table(&self) -> &Arc<RouteTable> {
        &self.table
    }

    /// Near edges of the site in a key's order: its replicas, and more to fail over to. Kept, and cheap when it is.
    #[must_use]
    pub fn near(&self, key: PlacementKey) -> Order {
        let count = self.near.len().min(self.wanted(key).max(AT_LEAST));
        self.near_orders.of(key, |order| order.len() >= count, || self.near.order(key, count))
    }

    /// Shields in a key's order. Kept, and cheap when it is.
    #[must_use]
    pub fn shields(&self, key: PlacementKey) -> Order {
        let count = self.shields.len().min(AT_LEAST);
        self.shield_orders.of(key, |order| order.len() >= count, || self.shields.order(key, count))
    }

    /// How many of the first of [`near`](Self::near) are replicas of a key: at least 1 where there is any node.
    #[must_use]
    pub fn replicas(&self, key: PlacementKey) -> usize {
        self.wanted(key).min(self.near.len())
    }

    fn wanted(&self, key: PlacementKey) -> usize {
        if self.popular.is_empty() { 1 } else { self.popular.get(&key).copied().unwrap_or(1).max(1) }
    }

    /// The node at a place of an order.
    #[must_use]
    pub fn node(&self, at: u16) -> Option<&RouteNode> {
        self.table.nodes.get(usize::from(at))
    }

    /// The near edge of the site that owns a key.
    #[must_use]
    pub fn owner(&self, key: PlacementKey) -> Option<&RouteNode> {
        self.node(*self.near(key).first()?)
    }

    /// True when a node is among a key's replicas.
    #[must_use]
    pub fn holds(&self, node: &NodeId, key: PlacementKey) -> bool {
        let (order, replicas) = (self.near(key), self.replicas(key));
        order.iter().take(replicas).any(|at| self.node(*at).is_some_and(|held| held.node == *node))
    }

    /// Who owned a key before those nodes joined that have not settled yet; `None` when the owner is the same, or nobody
    /// has joined. It has what the owner still lacks.
    #[must_use]
    pub fn former(&self, key: PlacementKey) -> Option<&RouteNode> {
        let owner = *self.near(key).first()?;
        let former = *self.settled.as_ref()?.order(key, 1).first()?;
        self.node(former).filter(|_| former != owner)
    }
}
