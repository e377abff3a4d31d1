//! How nodes take their seats, and how many of them popular groups are given: pure functions of the table before, what nodes
//! report, and now. Any number of control planes come to the same, since what they must agree on is in the table.

use crate::config::PlacementConfig;
use sluice_storage::NodeRecord;
use sluice_wire::limits::MAX_POPULAR;
use sluice_wire::placement::replicas::{Held, held, wanted};
use sluice_wire::placement::two_level::racks;
use sluice_wire::routes::Popular;
use sluice_wire::sketch::TopKeys;
use sluice_wire::{NodeState, PlacementKey, RouteNode, RouteTable, Tier};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Steps in which a new node's weight rises.
const STEPS: u64 = 4;

/// When as many replicas as a group has were last wanted, by site and group, in Unix milliseconds. What is not here is
/// taken as wanted now: a control plane that starts takes nothing away for a while.
pub(crate) type LastWanted = BTreeMap<(String, PlacementKey), u64>;

/// The table that is to follow another: new nodes ramp up, racks keep their weights, popular groups have replicas.
pub(crate) fn seated(
    mut table: RouteTable,
    before: &RouteTable,
    records: &[NodeRecord],
    last: &mut LastWanted,
    config: &PlacementConfig,
    now_ms: u64,
) -> RouteTable {
    for node in &mut table.nodes {
        ramp(node, before, config.ramp_ms, now_ms);
    }
    table.racks = racks(&before.racks, &table.nodes);
    table.popular = popular(&table, before, records, last, config, now_ms);
    table
}

/// A node that becomes ready among others that are counts in part at first, and in full once it has what it is asked for. The
/// first of a tier and site counts in full at once: there is nobody else.
fn ramp(node: &mut RouteNode, before: &RouteTable, ramp_ms: u64, now_ms: u64) {
    (node.seat.ramp, node.seat.since_ms) = (None, 0);
    if node.state != NodeState::Ready || ramp_ms == 0 {
        return;
    }
    let is_peer = |n: &&RouteNode| n.tier == node.tier && n.site == node.site && n.state == NodeState::Ready;
    let known = before.node(&node.node).filter(is_peer);
    let (since_ms, reached) = match known {
        Some(known) => (known.seat.since_ms, known.seat.ramp),
        None if before.nodes.iter().any(|n| is_peer(&n)) => (now_ms, None),
        None => return,
    };
    let elapsed = now_ms.saturating_sub(since_ms);
    if since_ms == 0 || elapsed >= ramp_ms {
        return;
    }
    let step = (elapsed * STEPS / ramp_ms + 1) as f64 / STEPS as f64;
    // Clocks of control planes differ by a little: what was reached stays.
    (node.seat.ramp, node.seat.since_ms) = (Some(step.max(reached.unwrap_or(0.0))), since_ms);
}

/// What each site's ready edges are asked for, all together, makes replicas: more at once, fewer after a while.
fn popular(
    table: &RouteTable,
    before: &RouteTable,
    records: &[NodeRecord],
    last: &mut LastWanted,
    config: &PlacementConfig,
    now_ms: u64,
) -> Vec<Popular> {
    let mut sites: BTreeMap<&str, Vec<&TopKeys>> = BTreeMap::new();
    let ready: BTreeSet<_> = table.ready(Tier::Near).map(|node| &node.node).collect();
    for report in records.iter().map(|record| &record.report).filter(|report| ready.contains(&report.node)) {
        sites.entry(&report.site).or_default().push(&report.popular);
    }
    let (mut all, mut next) = (vec![], LastWanted::new());
    for (site, tops) in sites {
        let nodes = tops.len();
        let (total, counts) = TopKeys::sum(tops);
        let had = before.popular.iter().filter(|popular| popular.site == site);
        let had: BTreeMap<PlacementKey, usize> = had.map(|p| (p.key, usize::from(p.replicas))).collect();
        for key in counts.keys().chain(had.keys()).copied().collect::<BTreeSet<_>>() {
            let count = counts.get(&key).copied().unwrap_or(0);
            let share = count as f64 / total.max(1) as f64;
            let wants = if count < config.least_requests { 1 } else { wanted(share, nodes) };
            let of = (site.to_owned(), key);
            let wanted_ms = last.get(&of).copied().unwrap_or(now_ms);
            let before = had.get(&key).map(|replicas| Held { replicas: *replicas, wanted_ms });
            let now = held(before, wants, now_ms, config.hold_ms);
            if now.replicas > 1 {
                all.push(Popular { site: site.to_owned(), key, replicas: now.replicas as u16 });
                next.insert(of, now.wanted_ms);
            }
        }
    }
    *last = next;
    all.sort_by_key(|popular| Reverse(popular.replicas));
    all.truncate(MAX_POPULAR);
    all.sort_by(|a, b| (&a.site, a.key).cmp(&(&b.site, b.key)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::{self, tests::report};
    use proptest::prelude::*;
    use sluice_wire::{FleetConfig, NodeReport};

    const CONFIG: PlacementConfig = PlacementConfig { ramp_ms: 40_000, hold_ms: 60_000, least_requests: 100 };

    fn records(reports: Vec<NodeReport>) -> Vec<NodeRecord> {
        let record = |report| NodeRecord {
            report,
            draining: false,
            lease_until_ms: u64::MAX,
            first_ms: 0,
            updated_ms: 0,
        };
        reports.into_iter().map(record).collect()
    }

    fn ready(name: &str, total: u64, keys: &[(&str, u32)]) -> NodeReport {
        let keys = keys.iter().map(|(key, count)| (PlacementKey::of(key), *count)).collect();
        NodeReport { ready: true, popular: TopKeys { total, keys }, ..report(name) }
    }

    fn next(before: &RouteTable, reports: Vec<NodeReport>, last: &mut LastWanted, now: u64) -> RouteTable {
        let records = records(reports);
        let table = membership::table(&records, &FleetConfig::default(), &BTreeMap::new(), &[], 1_000, now);
        seated(table, before, &records, last, &CONFIG, now)
    }

    #[test]
    fn who_joins_others_counts_by_steps() {
        let (a, b) = (ready("a", 0, &[]), ready("b", 0, &[]));
        let mut last = LastWanted::new();
        let mut table = next(&RouteTable::default(), vec![a.clone()], &mut last, 1_000);
        assert_eq!(table.nodes[0].seat.ramp, None, "there is nobody else");
        let mut ramps = vec![];
        for now in (2_000..=42_000).step_by(10_000) {
            table = next(&table, vec![a.clone(), b.clone()], &mut last, now);
            assert_eq!(table.check(), Ok(()));
            ramps.push(table.nodes[1].seat.ramp);
        }
        assert_eq!(ramps, [Some(0.25), Some(0.5), Some(0.75), Some(1.0), None]);
        assert_eq!(table.nodes[0].seat, table.nodes[1].seat);
        // One that was gone begins again.
        table = next(&table, vec![a.clone()], &mut last, 43_000);
        assert_eq!(next(&table, vec![a, b], &mut last, 44_000).nodes[1].seat.ramp, Some(0.25));
    }

    #[test]
    fn replicas_come_at_once_and_go_after_a_while() {
        let mut last = LastWanted::new();
        let loud = || vec![ready("a", 500, &[("x", 120), ("y", 9)]), ready("b", 500, &[("x", 80)])];
        let quiet = || vec![ready("a", 500, &[("y", 9)]), ready("b", 500, &[])];
        let table = next(&RouteTable::default(), loud(), &mut last, 1_000);
        // A fifth of all at two nodes: two parts of a tenth each.
        let x = Popular { site: "local".into(), key: PlacementKey::of("x"), replicas: 2 };
        assert_eq!(table.popular, [x]);
        let held = next(&table, quiet(), &mut last, 60_999);
        assert_eq!(held.popular, table.popular);
        assert_eq!(next(&held, quiet(), &mut last, 61_000).popular, []);
        // Another control plane has not seen when it was wanted.
        assert_eq!(next(&held, quiet(), &mut LastWanted::new(), 61_000).popular, table.popular);
    }

    #[test]
    fn a_quiet_site_needs_no_replicas() {
        let all_of_little = vec![ready("a", 99, &[("x", 99)]), ready("b", 0, &[])];
        assert_eq!(next(&RouteTable::default(), all_of_little, &mut LastWanted::new(), 1_000).popular, []);
    }

    proptest! {
        #[test]
        fn every_table_is_good(keys in prop::collection::vec((0u32..3_000, 0u32..1_000), 0..2_000), now in 0u64..100_000) {
            let tops = |part: &[(u32, u32)]| {
                let keys = part.iter().map(|(k, count)| (PlacementKey::of(&k.to_string()), *count)).collect();
                TopKeys { total: 1_000, keys }
            };
            let reports = keys.chunks(100).enumerate().map(|(n, part)| NodeReport {
                popular: tops(part), ..ready(&format!("n{n:02}"), 0, &[])
            });
            let table = next(&RouteTable::default(), reports.collect(), &mut LastWanted::new(), now);
            prop_assert_eq!(table.check(), Ok(()));
        }
    }
}
