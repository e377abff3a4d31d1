//! HLS content steering (rfc8216bis section 7): the manifest, and how it is decided.
//!
//! Published playlists are the same on every edge: all their variants are on the pathway [`BASE_PATHWAY`] with relative
//! addresses, that is, wherever the playlist came from. The manifest clones that pathway once per near edge and puts
//! the clones in order of preference.

use serde::{Deserialize, Serialize};

use crate::node::Tier;
use crate::placement::PlacementKey;
use crate::routes::RouteTable;

/// The pathway every published variant is on.
pub const BASE_PATHWAY: &str = "here";

/// A steering manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct SteeringManifest {
    /// Always 1.
    pub version: u32,
    /// Seconds until the player asks again.
    pub ttl: u32,
    /// Where it asks again: always absolute, since one stock player follows a relative one only once.
    #[serde(rename = "RELOAD-URI")]
    pub reload_uri: String,
    /// Pathways by preference.
    #[serde(rename = "PATHWAY-PRIORITY")]
    pub pathway_priority: Vec<String>,
    /// One clone of the base pathway per near edge.
    #[serde(rename = "PATHWAY-CLONES")]
    pub pathway_clones: Vec<PathwayClone>,
}

/// A pathway made out of another by changing the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathwayClone {
    /// The pathway it is made from.
    #[serde(rename = "BASE-ID")]
    pub base_id: String,
    /// Its own name: the node's.
    #[serde(rename = "ID")]
    pub id: String,
    /// What changes in the addresses.
    #[serde(rename = "URI-REPLACEMENT")]
    pub uri_replacement: UriReplacement,
}

/// The host that replaces the base pathway's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UriReplacement {
    /// Host and port.
    #[serde(rename = "HOST")]
    pub host: String,
}

/// Decides a session's manifest: ready near edges in the video's own order, the base pathway last. A session already on
/// a ready edge stays there, so that nobody is moved without a reason.
#[must_use]
pub fn manifest(
    table: &RouteTable,
    key: PlacementKey,
    current: Option<&str>,
    ttl: u32,
    reload_uri: String,
) -> SteeringManifest {
    let order = table.order(Tier::Near, key);
    let mut pathway_priority: Vec<String> = order.iter().map(|n| n.node.to_string()).collect();
    if let Some(at) = pathway_priority.iter().position(|p| Some(p.as_str()) == current) {
        let stay = pathway_priority.remove(at);
        pathway_priority.insert(0, stay);
    }
    pathway_priority.push(BASE_PATHWAY.into());
    let pathway_clones = order
        .iter()
        .map(|n| PathwayClone {
            base_id: BASE_PATHWAY.into(),
            id: n.node.to_string(),
            uri_replacement: UriReplacement { host: host(&n.public_url).into() },
        })
        .collect();
    SteeringManifest { version: 1, ttl, reload_uri, pathway_priority, pathway_clones }
}

/// Host and port of a base URL.
#[must_use]
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeId, NodeState, RouteNode};

    #[test]
    fn a_session_stays_where_it_is_while_that_edge_is_ready() {
        let node = |name: &str| RouteNode {
            node: NodeId::new(name).unwrap(),
            tier: Tier::Near,
            site: "local".into(),
            state: NodeState::Ready,
            weight: 1.0,
            peer_url: format!("http://{name}:1"),
            public_url: format!("http://{name}:8080"),
        };
        let mut table = RouteTable { version: 1, nodes: vec![node("a"), node("b")], origins: vec![] };
        let key = PlacementKey::of("video");
        for current in ["a", "b"] {
            let manifest = manifest(&table, key, Some(current), 10, "http://c/steer".into());
            assert_eq!(manifest.pathway_priority[0], current);
            assert_eq!(manifest.pathway_priority.last().unwrap(), BASE_PATHWAY);
            assert_eq!(manifest.pathway_clones.len(), 2);
        }
        table.nodes[0].state = NodeState::Draining;
        let moved = manifest(&table, key, Some("a"), 10, "http://c/steer".into());
        assert_eq!(moved.pathway_priority, ["b", BASE_PATHWAY]);
        assert_eq!(moved.pathway_clones[0].uri_replacement.host, "b:8080");
    }
}
