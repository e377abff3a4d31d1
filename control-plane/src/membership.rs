//! Membership: what the records of nodes mean now. Pure.

use crate::health::Level;
use sluice_storage::NodeRecord;
use sluice_wire::routes::Seat;
use sluice_wire::{FleetConfig, NodeId, NodeState, RouteNode, RouteTable, Tier};
use std::collections::BTreeMap;

/// How long a node that is gone stays in the table, so that people see that it was there: ten leases.
const REMEMBERED_LEASES: u64 = 10;

/// A node's state.
pub(crate) fn state(record: &NodeRecord, now_ms: u64) -> NodeState {
    if record.lease_until_ms <= now_ms {
        NodeState::Gone
    } else if record.draining {
        NodeState::Draining
    } else if record.report.ready {
        NodeState::Ready
    } else {
        NodeState::Joining
    }
}

/// The table that the records and what operators say of them make, without a version.
pub(crate) fn table(
    records: &[NodeRecord],
    config: &FleetConfig,
    levels: &BTreeMap<NodeId, Level>,
    origins: &[String],
    lease_ms: u64,
    now_ms: u64,
) -> RouteTable {
    let weight = |record: &NodeRecord| {
        let told = config.nodes.get(&record.report.node).and_then(|node| node.weight);
        told.unwrap_or(record.report.weight)
    };
    let forgotten =
        |record: &NodeRecord| record.lease_until_ms.saturating_add(REMEMBERED_LEASES * lease_ms) <= now_ms;
    let mut nodes: Vec<RouteNode> = records
        .iter()
        .filter(|record| !forgotten(record))
        .map(|record| RouteNode {
            node: record.report.node.clone(),
            tier: record.report.tier,
            site: record.report.site.clone(),
            state: state(record, now_ms),
            weight: weight(record),
            peer_url: record.report.peer_url.clone(),
            public_url: record.report.public_url.clone(),
            seat: Seat {
                rack: record.report.rack.clone(),
                health: levels.get(&record.report.node).and_then(|level| level.percent()),
                ..Seat::default()
            },
        })
        .collect();
    nodes.sort_by(|a, b| a.node.cmp(&b.node));
    [Tier::Near, Tier::Shield].into_iter().for_each(|tier| keep_some(&mut nodes, tier));
    RouteTable { nodes, origins: origins.to_vec(), ..RouteTable::default() }
}

/// Where more than half of a tier is bad, something else is: an origin, or the way from here. The bad ones are given half
/// then, as the others cannot carry all of it.
fn keep_some(nodes: &mut [RouteNode], tier: Tier) {
    let bad = |node: &RouteNode| node.seat.health == Level::Bad.percent();
    let of_tier = |node: &&mut RouteNode| node.tier == tier && node.state == NodeState::Ready;
    let mut ready: Vec<&mut RouteNode> = nodes.iter_mut().filter(of_tier).collect();
    if ready.iter().filter(|node| bad(node)).count() * 2 > ready.len() {
        let bad = ready.iter_mut().filter(|node| bad(node));
        bad.for_each(|node| node.seat.health = Level::Poor.percent());
    }
}

/// True when two tables say the same, whatever their versions.
pub(crate) fn same(a: &RouteTable, b: &RouteTable) -> bool {
    a.nodes == b.nodes && a.origins == b.origins && a.popular == b.popular && a.racks == b.racks
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use sluice_wire::NodeReport;
    use sluice_wire::fleet::NodeConfig;
    use sluice_wire::node::NodeCounters;
    use sluice_wire::quality::Quality;
    use sluice_wire::sketch::TopKeys;

    /// The report of a near edge.
    pub(crate) fn report(name: &str) -> NodeReport {
        NodeReport {
            node: NodeId::new(name).unwrap(),
            tier: Tier::Near,
            site: "local".into(),
            weight: 1.0,
            peer_url: "http://a:1".into(),
            public_url: "http://a:1".into(),
            ready: true,
            counters: NodeCounters::default(),
            quality: Quality::default(),
            log_seq: 0,
            table_version: 0,
            started_ms: 0,
            rack: String::new(),
            popular: TopKeys::default(),
            at_ms: 0,
        }
    }

    fn record(name: &str, ready: bool, draining: bool, lease_until_ms: u64) -> NodeRecord {
        let report = NodeReport { ready, ..report(name) };
        NodeRecord { report, draining, lease_until_ms, first_ms: 0, updated_ms: 0 }
    }

    #[test]
    fn a_node_lives_as_long_as_its_lease() {
        assert_eq!(state(&record("a", true, false, 100), 99), NodeState::Ready);
        assert_eq!(state(&record("a", true, false, 100), 100), NodeState::Gone);
        assert_eq!(state(&record("a", true, true, 100), 99), NodeState::Draining);
        assert_eq!(state(&record("a", false, false, 100), 99), NodeState::Joining);
        assert!(
            table(&[record("a", true, false, 100)], &FleetConfig::default(), &BTreeMap::new(), &[], 10, 200)
                .nodes
                .is_empty(),
            "forgotten at last"
        );
    }

    #[test]
    fn an_operator_s_weight_counts_instead_of_the_reported_one() {
        let said = NodeConfig { weight: Some(0.25), ..NodeConfig::default() };
        let config =
            FleetConfig { nodes: [(NodeId::new("a").unwrap(), said)].into(), ..FleetConfig::default() };
        let records = [record("a", true, false, 100), record("b", true, false, 100)];
        let weights: Vec<f64> =
            table(&records, &config, &BTreeMap::new(), &[], 10, 0).nodes.iter().map(|n| n.weight).collect();
        assert_eq!(weights, [0.25, 1.0]);
    }

    #[test]
    fn a_bad_node_is_given_nothing_unless_most_are_bad() {
        let records = ["a", "b", "c"].map(|name| record(name, true, false, 100));
        let shares = |bad: &[&str]| -> Vec<f64> {
            let levels = bad.iter().map(|name| (NodeId::new(*name).unwrap(), Level::Bad)).collect();
            let made = table(&records, &FleetConfig::default(), &levels, &[], 10, 0);
            made.nodes.iter().map(RouteNode::share).collect()
        };
        assert_eq!(shares(&[]), [1.0, 1.0, 1.0]);
        assert_eq!(shares(&["b"]), [1.0, 0.0, 1.0]);
        assert_eq!(shares(&["a", "b"]), [0.5, 0.5, 1.0]);
        assert_eq!(shares(&["a", "b", "c"]), [0.5, 0.5, 0.5]);
    }

    proptest! {
        #[test]
        fn every_table_is_good_and_only_living_nodes_are_ready(
            nodes in prop::collection::btree_map("[a-z]{1,8}", (any::<bool>(), any::<bool>(), 0u64..2000), 0..20), now in 0u64..2000,
        ) {
            let records: Vec<_> = nodes.iter().map(|(n, (r, d, l))| record(n, *r, *d, *l)).collect();
            let config = FleetConfig::default();
            let made = table(&records, &config, &BTreeMap::new(), &["http://o".into()], 100, now);
            prop_assert_eq!(made.check(), Ok(()));
            for node in made.ready(Tier::Near) {
                let (ready, draining, lease) = nodes[node.node.as_str()];
                prop_assert!(ready && !draining && lease > now);
            }
            prop_assert!(same(&made, &table(&records, &config, &BTreeMap::new(), &["http://o".into()], 100, now)));
        }
    }
}
