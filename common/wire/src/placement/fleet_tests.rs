//! Whole fleets: what moves when a node goes or comes, and who is asked then.

use super::*;
use crate::node::{NodeState, Tier};
use crate::placement::two_level::{FLAT, racks};
use crate::routes::{Popular, RouteNode, RouteTable, Seat};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// Keys of a test that counts.
const KEYS: u64 = 10_000;

fn node(name: usize, weight: f64) -> RouteNode {
    RouteNode {
        node: NodeId::new(format!("n{name:04}")).unwrap(),
        tier: Tier::Near,
        site: "here".into(),
        state: NodeState::Ready,
        weight,
        peer_url: "http://a:1".into(),
        public_url: "http://a:1".into(),
        seat: Seat::default(),
    }
}

fn fleet(weights: &[f64]) -> RouteTable {
    let nodes: Vec<_> = weights.iter().enumerate().map(|(name, weight)| node(name, *weight)).collect();
    RouteTable { version: 1, racks: racks(&[], &nodes), nodes, ..RouteTable::default() }
}

fn keys(count: u64) -> impl Iterator<Item = PlacementKey> {
    (0..count).map(|n| PlacementKey::of(&n.to_string()))
}

fn owners(table: &RouteTable, count: u64) -> Vec<String> {
    let placement = Placement::new(Arc::new(table.clone()), "here");
    keys(count).map(|key| placement.owner(key).unwrap().node.to_string()).collect()
}

/// The share of keys that have another owner.
fn moved(before: &RouteTable, after: &RouteTable, count: u64) -> f64 {
    let pairs = owners(before, count).into_iter().zip(owners(after, count));
    pairs.filter(|(before, after)| before != after).count() as f64 / count as f64
}

/// A table without a node, as a control plane makes it of the one before.
fn without(before: &RouteTable, name: usize) -> RouteTable {
    let mut after = before.clone();
    after.nodes.remove(name);
    RouteTable { racks: racks(&before.racks, &after.nodes), ..after }
}

#[test]
fn a_node_that_goes_moves_no_keys_but_its_own() {
    for count in [10usize, 100, FLAT, 500] {
        let before = fleet(&vec![1.0; count]);
        for gone in [0, count / 2] {
            let after = without(&before, gone);
            let name = before.nodes[gone].node.as_str();
            let pairs = owners(&before, KEYS).into_iter().zip(owners(&after, KEYS));
            assert!(pairs.clone().all(|(was, is)| was == is || was == name), "{count}: others' keys moved");
            // What a node has of so many keys is not exactly its share: four standard deviations are allowed for.
            let (share, moved) =
                (1.0 / count as f64, pairs.filter(|(was, is)| was != is).count() as f64 / KEYS as f64);
            let chance = 4.0 * (share * (1.0 - share) / KEYS as f64).sqrt();
            let racks_differ = if count > FLAT { share / 5.0 } else { 0.0 };
            assert!(moved <= 1.05 * share + chance + racks_differ, "{count}: {moved}");
        }
    }
}

#[test]
fn a_node_that_comes_takes_no_more_than_its_share() {
    for count in [10usize, 100, 500] {
        let all = fleet(&vec![1.0; count]);
        let before = RouteTable { racks: racks(&all.racks, &all.nodes), ..without(&all, count / 3) };
        let share = 1.0 / count as f64;
        assert!(
            moved(&before, &all, KEYS) <= 1.05 * share + 4.0 * (share / KEYS as f64).sqrt() + share / 5.0
        );
    }
}

#[test]
fn shares_are_exact_in_one_level_and_in_two() {
    for count in [4usize, 50, 400] {
        let weights: Vec<f64> = (0..count).map(|n| if n % 4 == 0 { 3.0 } else { 1.0 }).collect();
        let heavy = |owner: &&String| owner.trim_start_matches('n').parse::<usize>().unwrap() % 4 == 0;
        let owned = owners(&fleet(&weights), KEYS).iter().filter(heavy).count() as f64 / KEYS as f64;
        let due = 3.0 * count.div_ceil(4) as f64 / weights.iter().sum::<f64>();
        assert!((owned - due).abs() < 0.02, "{due} of the weight of {count} has {owned}");
    }
}

#[test]
fn two_levels_are_even() {
    let placed = owners(&fleet(&vec![1.0; 1_000]), 100_000);
    let mut counts: HashMap<&str, u32> = HashMap::new();
    placed.iter().for_each(|owner| *counts.entry(owner).or_default() += 1);
    let most = f64::from(*counts.values().max().unwrap());
    // 100 each, and the noise of that.
    assert!(counts.len() == 1_000 && most < 100.0 + 4.5 * 10.0, "{most}");
}

#[test]
fn the_published_weight_of_a_rack_is_held_until_it_is_wrong() {
    let before = fleet(&vec![1.0; 300]);
    let rack = &before.racks[0].rack;
    let of_it = |node: &RouteNode| two_level::rack_of(node) == *rack;
    let weigh = |nodes: &[RouteNode]| racks(&before.racks, nodes).into_iter().find(|r| r.rack == *rack);
    let mut nodes = before.nodes.clone();
    nodes.remove(nodes.iter().position(of_it).unwrap());
    assert_eq!(weigh(&nodes).unwrap(), before.racks[0], "held");
    while nodes.iter().filter(|node| of_it(node)).count() as f64 * 1.25 >= before.racks[0].weight {
        nodes.remove(nodes.iter().position(of_it).unwrap());
    }
    assert_eq!(weigh(&nodes).unwrap().weight, nodes.iter().filter(|node| of_it(node)).count() as f64);
    assert!(racks(&before.racks, &nodes[..FLAT]).is_empty(), "few nodes need none");
}

#[test]
fn a_node_that_joins_asks_who_had_its_keys() {
    let mut table = fleet(&[1.0; 8]);
    let before = Placement::new(Arc::new(table.clone()), "here");
    table.nodes[3].seat.ramp = Some(0.25);
    let (new, table) = (table.nodes[3].node.clone(), without(&table, 7));
    let after = Placement::new(Arc::new(table.clone()), "here");
    let mut taken = 0;
    for key in keys(10_000) {
        let owner = after.owner(key).unwrap();
        match after.former(key) {
            Some(former) => {
                taken += 1;
                assert_eq!((&owner.node, former.seat.ramp), (&new, None));
                // The next of the same order, since who is new was before it.
                let next = after.near(key).iter().find(|at| after.node(**at).unwrap().node != new).copied();
                assert_eq!(after.node(next.unwrap()).unwrap(), former);
            }
            None => assert!(owner.node != new && before.owner(key).is_some()),
        }
    }
    assert!((taken as f64 / 10_000.0 - 0.25 / 6.25).abs() < 0.01, "a quarter of its share: {taken}");
}

#[test]
fn popular_keys_have_the_first_of_their_order() {
    let key = PlacementKey::of("popular");
    let mut table = fleet(&[1.0; 300]);
    let owner = Placement::new(Arc::new(table.clone()), "here").owner(key).unwrap().node.clone();
    for (site, replicas, wanted) in [("here", 40, 40), ("elsewhere", 40, 1), ("here", 4_000, 300)] {
        table.popular = vec![Popular { site: site.into(), key, replicas }];
        let placement = Placement::new(Arc::new(table.clone()), "here");
        assert_eq!(placement.replicas(key), wanted);
        let order = placement.near(key);
        assert!(order.len() >= wanted);
        assert_eq!(placement.owner(key).unwrap().node, owner);
        let holders = table.nodes.iter().filter(|node| placement.holds(&node.node, key)).count();
        assert_eq!(holders, wanted);
    }
}

#[test]
fn an_empty_site_has_no_owner() {
    let placement = Placement::new(Arc::new(fleet(&[1.0; 3])), "elsewhere");
    let key = PlacementKey::of("x");
    assert_eq!((placement.owner(key), placement.former(key), placement.replicas(key)), (None, None, 0));
    assert!(placement.near(key).is_empty() && placement.shields(key).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn failover_goes_on_in_the_same_order(key: u64, count in 190usize..260, gone in 0usize..190) {
        let key = PlacementKey::from_u64(key);
        let mut before = fleet(&vec![1.0; count]);
        before.racks = if count > FLAT { racks(&[], &before.nodes) } else { vec![] };
        let mut after = before.clone();
        after.nodes[gone].state = NodeState::Gone;
        // Across the bound everything moves, once.
        if (count > FLAT) == (count - 1 > FLAT) {
            let names = |table: &RouteTable| -> Vec<NodeId> {
                table.order_at(Tier::Near, "here", key).into_iter().map(|n| n.node.clone()).collect()
            };
            let lost = &before.nodes[gone].node;
            let rest: Vec<NodeId> = names(&before).into_iter().filter(|name| name != lost).collect();
            prop_assert_eq!(rest, names(&after));
        }
    }

    #[test]
    fn one_level_is_the_order_by_scores(key: u64, weights in prop::collection::vec(0.0f64..4.0, 1..40)) {
        let (key, table) = (PlacementKey::from_u64(key), fleet(&weights));
        let plain: Vec<&RouteNode> = order(Seed::Near, key, &table.nodes);
        prop_assert_eq!(table.order_at(Tier::Near, "here", key), plain);
    }
}
