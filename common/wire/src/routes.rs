//! The route table: who serves, published by the control plane and kept on disk by every edge.

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::limits::{MAX_NODES, MAX_POPULAR};
use crate::node::{NodeState, Tier};
use crate::placement::two_level::{RackWeight, Ring};
use crate::placement::{Placed, PlacementKey, Seed};

/// One node of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteNode {
    /// Its name.
    pub node: NodeId,
    /// Its tier.
    pub tier: Tier,
    /// Its site.
    pub site: String,
    /// Its state; only [`NodeState::Ready`] nodes are given keys.
    pub state: NodeState,
    /// Its share relative to its peers, 0 or above.
    pub weight: f64,
    /// Where other nodes reach it: scheme, host and port, without a path.
    pub peer_url: String,
    /// Where clients reach it: scheme, host and port, without a path.
    pub public_url: String,
    /// How it takes its place among its peers.
    #[serde(default)]
    pub seat: Seat,
}

/// A node's place among its peers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seat {
    /// Its rack; one is chosen by its name when this is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rack: String,
    /// The part of its weight that counts while it is new, above 0 and up to 1; absent once it has settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<f64>,
    /// Since when it is ready, in Unix milliseconds; 0 when it always was.
    #[serde(skip_serializing_if = "is_zero")]
    pub since_ms: u64,
    /// The percent of its weight that it is given, by how well it serves, below 100; absent while nothing is known against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<u8>,
}

impl Seat {
    /// How well it serves, from 0 to 1.
    #[must_use]
    pub fn health(&self) -> f64 {
        f64::from(self.health.unwrap_or(100).min(100)) / 100.0
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl RouteNode {
    /// Its share of keys now: its weight, or the part of it that counts while it is new or does not serve well.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.weight * self.seat.ramp.unwrap_or(1.0) * self.seat.health()
    }
}

impl Placed for RouteNode {
    fn id(&self) -> &NodeId {
        &self.node
    }
    fn weight(&self) -> f64 {
        self.share()
    }
}

/// A key that one node of a site is not enough for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Popular {
    /// The site.
    pub site: String,
    /// The key.
    pub key: PlacementKey,
    /// So many of its order have it.
    pub replicas: u16,
}

/// A version of the fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Rises with every change.
    pub version: u64,
    /// The nodes, sorted by name.
    pub nodes: Vec<RouteNode>,
    /// Origins by preference: scheme, host and port each.
    pub origins: Vec<String>,
    /// Keys with more than one replica, by site and key: at most [`MAX_POPULAR`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub popular: Vec<Popular>,
    /// Weights of racks, where there are so many nodes that keys are placed on racks first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub racks: Vec<RackWeight>,
}

/// Why a table is refused; the last good one stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// More nodes than [`MAX_NODES`].
    #[error("{0} nodes; a table holds at most {MAX_NODES}")]
    TooMany(usize),
    /// Nodes out of order or named twice.
    #[error("node {0} is out of order or named twice")]
    Order(NodeId),
    /// A weight that is not a number above or equal to 0.
    #[error("node {0} has an impossible weight")]
    Weight(NodeId),
    /// An address that is no http or https URL.
    #[error("{0} is no http:// or https:// address")]
    Address(String),
    /// More popular keys than [`MAX_POPULAR`], or out of order.
    #[error("popular keys are more than {MAX_POPULAR}, or out of order")]
    Popular,
    /// A rack without a weight above 0.
    #[error("rack {0} has an impossible weight")]
    Rack(String),
}

impl RouteTable {
    /// Checks what came over the wire or from the disk.
    ///
    /// # Errors
    /// [`TableError`], naming the first fault.
    pub fn check(&self) -> Result<(), TableError> {
        if self.nodes.len() > MAX_NODES {
            return Err(TableError::TooMany(self.nodes.len()));
        }
        for pair in self.nodes.windows(2) {
            if pair[0].node >= pair[1].node {
                return Err(TableError::Order(pair[1].node.clone()));
            }
        }
        for node in &self.nodes {
            let ramp = node.seat.ramp.is_none_or(|ramp| ramp > 0.0 && ramp <= 1.0);
            if !node.weight.is_finite() || node.weight < 0.0 || !ramp {
                return Err(TableError::Weight(node.node.clone()));
            }
        }
        let urls = self.nodes.iter().flat_map(|n| [&n.peer_url, &n.public_url]).chain(&self.origins);
        for url in urls {
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                return Err(TableError::Address(url.clone()));
            }
        }
        let ascending = |pair: &[Popular]| (&pair[0].site, pair[0].key) < (&pair[1].site, pair[1].key);
        if self.popular.len() > MAX_POPULAR || !self.popular.windows(2).all(ascending) {
            return Err(TableError::Popular);
        }
        let weightless = |rack: &&RackWeight| !rack.weight.is_finite() || rack.weight <= 0.0;
        self.racks.iter().find(weightless).map_or(Ok(()), |rack| Err(TableError::Rack(rack.rack.clone())))
    }

    /// Ready nodes of a tier, at all sites, in a key's own order. For who asks once; who asks often keeps a
    /// [`Placement`](crate::placement::Placement).
    #[must_use]
    pub fn order(&self, tier: Tier, key: PlacementKey) -> Vec<&RouteNode> {
        self.order_among(tier, key, |_| true)
    }

    /// Ready nodes of a tier at one site in a key's own order, the owner first.
    #[must_use]
    pub fn order_at(&self, tier: Tier, site: &str, key: PlacementKey) -> Vec<&RouteNode> {
        self.order_among(tier, key, |node| node.site == site)
    }

    fn order_among(
        &self,
        tier: Tier,
        key: PlacementKey,
        is_in: impl Fn(&RouteNode) -> bool,
    ) -> Vec<&RouteNode> {
        let seed = match tier {
            Tier::Near => Seed::Near,
            Tier::Shield => Seed::Shield,
        };
        let ring = Ring::of(self, seed, |node| node.tier == tier && is_in(node), RouteNode::share);
        ring.order(key, usize::MAX).into_iter().map(|at| &self.nodes[usize::from(at)]).collect()
    }

    /// Ready nodes of a tier, by name.
    pub fn ready(&self, tier: Tier) -> impl Iterator<Item = &RouteNode> {
        self.nodes.iter().filter(move |n| n.tier == tier && n.state == NodeState::Ready)
    }

    /// The node with this name.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&RouteNode> {
        self.nodes.iter().find(|n| n.node == *id)
    }

    /// The next ready near edge for a key after `this` and all that were tried, of the same site if there is one: the target
    /// of a redirect.
    #[must_use]
    pub fn next_near(&self, key: PlacementKey, this: &NodeId, tried: &[NodeId]) -> Option<&RouteNode> {
        let is_next = |node: &&RouteNode| node.node != *this && !tried.contains(&node.node);
        let here = self
            .node(this)
            .and_then(|own| self.order_at(Tier::Near, &own.site, key).into_iter().find(is_next));
        here.or_else(|| self.order(Tier::Near, key).into_iter().find(is_next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, tier: Tier, state: NodeState) -> RouteNode {
        RouteNode {
            node: NodeId::new(name).unwrap(),
            tier,
            site: "local".into(),
            state,
            weight: 1.0,
            peer_url: format!("http://{name}:1"),
            public_url: format!("http://{name}:2"),
            seat: Seat::default(),
        }
    }

    fn table() -> RouteTable {
        RouteTable {
            version: 1,
            nodes: vec![
                node("near-a", Tier::Near, NodeState::Ready),
                node("near-b", Tier::Near, NodeState::Ready),
                node("near-c", Tier::Near, NodeState::Draining),
                node("shield-a", Tier::Shield, NodeState::Ready),
            ],
            origins: vec!["http://127.0.0.1:1".into()],
            ..RouteTable::default()
        }
    }

    #[test]
    fn only_ready_nodes_of_the_tier_are_ordered() {
        let table = table();
        let order = table.order(Tier::Near, PlacementKey::of("x"));
        assert_eq!(order.len(), 2);
        assert_eq!(table.order(Tier::Shield, PlacementKey::of("x")).len(), 1);
    }

    #[test]
    fn a_redirect_never_names_a_node_that_was_tried() {
        let table = table();
        let (a, b) = (NodeId::new("near-a").unwrap(), NodeId::new("near-b").unwrap());
        let key = PlacementKey::of("x");
        assert_eq!(table.next_near(key, &a, &[]).unwrap().node, b);
        assert_eq!(table.next_near(key, &b, std::slice::from_ref(&a)), None);
    }

    #[test]
    fn a_table_of_before_is_read_and_a_plain_one_says_no_more() {
        let text = serde_json::to_string(&table()).unwrap();
        let named = ["popular", "racks", "ramp", "since_ms"];
        assert!(named.iter().all(|name| !text.contains(name)), "{text}");
        let before = text.replace(",\"seat\":{}", "");
        assert_eq!(serde_json::from_str::<RouteTable>(&before).unwrap(), table());
    }

    #[test]
    fn a_redirect_stays_at_the_site_while_it_can() {
        let mut table = table();
        table.nodes[2].state = NodeState::Ready;
        table.nodes[1].site = "elsewhere".into();
        let (a, c) = (NodeId::new("near-a").unwrap(), NodeId::new("near-c").unwrap());
        for key in 0..20u32 {
            let key = PlacementKey::of(&key.to_string());
            assert_eq!(table.next_near(key, &a, &[]).unwrap().node, c);
            assert_eq!(table.next_near(key, &a, std::slice::from_ref(&c)).unwrap().node.as_str(), "near-b");
        }
    }

    #[test]
    fn bad_tables_are_refused() {
        assert_eq!(table().check(), Ok(()));
        let mut unsorted = table();
        unsorted.nodes.swap(0, 1);
        assert!(matches!(unsorted.check(), Err(TableError::Order(_))));
        let mut weightless = table();
        weightless.nodes[0].weight = f64::NAN;
        assert!(matches!(weightless.check(), Err(TableError::Weight(_))));
        let mut steep = table();
        steep.nodes[0].seat.ramp = Some(1.5);
        assert!(matches!(steep.check(), Err(TableError::Weight(_))));
        let popular = Popular { site: "local".into(), key: PlacementKey::of("x"), replicas: 2 };
        let twice = RouteTable { popular: vec![popular.clone(), popular], ..table() };
        assert_eq!(twice.check(), Err(TableError::Popular));
        let rack = RackWeight { tier: Tier::Near, site: "local".into(), rack: "a".into(), weight: 0.0 };
        assert!(matches!(RouteTable { racks: vec![rack], ..table() }.check(), Err(TableError::Rack(_))));
        let mut elsewhere = table();
        elsewhere.origins = vec!["file:///etc".into()];
        assert!(matches!(elsewhere.check(), Err(TableError::Address(_))));
    }
}
