//! The route table: who serves, published by the control plane and kept on disk by every edge.

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::limits::MAX_NODES;
use crate::node::{NodeState, Tier};
use crate::placement::{self, Placed, PlacementKey, Seed};

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
    /// Its share relative to its peers.
    pub weight: f64,
    /// Where other nodes reach it.
    pub peer_url: String,
    /// Where clients reach it.
    pub public_url: String,
}

impl Placed for RouteNode {
    fn id(&self) -> &NodeId {
        &self.node
    }
    fn weight(&self) -> f64 {
        self.weight
    }
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
            if !node.weight.is_finite() || node.weight < 0.0 {
                return Err(TableError::Weight(node.node.clone()));
            }
        }
        let urls = self.nodes.iter().flat_map(|n| [&n.peer_url, &n.public_url]).chain(&self.origins);
        for url in urls {
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                return Err(TableError::Address(url.clone()));
            }
        }
        Ok(())
    }

    /// Ready nodes of a tier in a key's own order, the owner first.
    #[must_use]
    pub fn order(&self, tier: Tier, key: PlacementKey) -> Vec<&RouteNode> {
        let seed = match tier {
            Tier::Near => Seed::Near,
            Tier::Shield => Seed::Shield,
        };
        placement::order(seed, key, self.ready(tier))
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

    /// The next ready near edge for a key after `this` and all that were tried: the target of a redirect.
    #[must_use]
    pub fn next_near(&self, key: PlacementKey, this: &NodeId, tried: &[NodeId]) -> Option<&RouteNode> {
        self.order(Tier::Near, key).into_iter().find(|n| n.node != *this && !tried.contains(&n.node))
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
    fn bad_tables_are_refused() {
        assert_eq!(table().check(), Ok(()));
        let mut unsorted = table();
        unsorted.nodes.swap(0, 1);
        assert!(matches!(unsorted.check(), Err(TableError::Order(_))));
        let mut weightless = table();
        weightless.nodes[0].weight = f64::NAN;
        assert!(matches!(weightless.check(), Err(TableError::Weight(_))));
        let mut elsewhere = table();
        elsewhere.origins = vec!["file:///etc".into()];
        assert!(matches!(elsewhere.check(), Err(TableError::Address(_))));
    }
}
