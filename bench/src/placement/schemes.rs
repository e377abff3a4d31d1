//! Ways to place keys on nodes. Ours is the edge's; the others are written down from their papers, with one strong hash for
//! all, so that they differ in the scheme alone.

use sluice_wire::placement::two_level::{Ring, racks};
use sluice_wire::routes::Seat;
use sluice_wire::{NodeId, NodeState, Placement, PlacementKey, RouteNode, RouteTable, Tier};
use std::sync::Arc;

/// Points of a node on ketama's ring.
const POINTS: u64 = 160;
/// Places of Maglev's table: the smaller prime of the paper (Eisenbud and others 2016).
const TABLE: usize = 65_537;

/// A scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ours,
    Ketama,
    Maglev,
    Jump,
    Anchor,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Ours, Self::Ketama, Self::Maglev, Self::Jump, Self::Anchor];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "rendezvous, kept (ours)",
            Self::Ketama => "ring of 160 points (ketama)",
            Self::Maglev => "Maglev 65,537",
            Self::Jump => "jump",
            Self::Anchor => "AnchorHash",
        }
    }

    pub(super) const fn has_order(self) -> bool {
        matches!(self, Self::Ours | Self::Ketama)
    }
}

/// A scheme over some of the nodes 0 to N.
pub(super) enum Scheme {
    Ours(Box<RouteTable>, Placement, Vec<u16>, Ring),
    Ketama(Vec<(u64, u16)>),
    Maglev(Vec<u16>, Vec<u16>),
    Jump(usize),
    Anchor(Anchor),
}

/// A key with its bits spread.
pub(super) fn spread(key: u64) -> u64 {
    let mut x = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Scheme {
    pub(super) fn new(kind: Kind, nodes: usize) -> anyhow::Result<Self> {
        let all: Vec<u16> = (0..nodes as u16).collect();
        Ok(match kind {
            Kind::Ours => ours(table(nodes)?),
            Kind::Ketama => Self::Ketama(ring(&all)),
            Kind::Maglev => Self::Maglev(maglev(&all), all),
            Kind::Jump => Self::Jump(nodes),
            Kind::Anchor => Self::Anchor(Anchor::new(2 * nodes, nodes)),
        })
    }

    /// The same without one node.
    pub(super) fn without(&self, gone: usize) -> anyhow::Result<Self> {
        Ok(match self {
            Self::Ours(table, ..) => {
                let mut after = (**table).clone();
                after.nodes.remove(gone);
                after.racks = racks(&table.racks, &after.nodes);
                ours(after)
            }
            Self::Ketama(points) => {
                Self::Ketama(points.iter().filter(|(_, node)| usize::from(*node) != gone).copied().collect())
            }
            Self::Maglev(_, nodes) => {
                let left: Vec<u16> =
                    nodes.iter().filter(|node| usize::from(**node) != gone).copied().collect();
                Self::Maglev(maglev(&left), left)
            }
            Self::Jump(nodes) => Self::Jump(nodes - 1),
            Self::Anchor(anchor) => {
                let mut anchor = anchor.clone();
                anchor.remove(gone);
                Self::Anchor(anchor)
            }
        })
    }

    /// As a server looks a key up: what can be kept is kept.
    pub(super) fn lookup(&self, key: u64) -> u16 {
        match self {
            Self::Ours(_, placement, _, _) => placement.near(PlacementKey::from_u64(key))[0],
            _ => self.owner(key),
        }
    }

    /// A key's owner, nothing of it being kept.
    pub(super) fn owner(&self, key: u64) -> u16 {
        match self {
            Self::Ours(_, _, names, ring) => {
                names[usize::from(ring.order(PlacementKey::from_u64(key), 1)[0])]
            }
            Self::Ketama(points) => {
                let at = points.partition_point(|(point, _)| *point < key);
                points[at % points.len()].1
            }
            Self::Maglev(table, _) => table[key as usize % TABLE],
            Self::Jump(nodes) => jump(key, *nodes),
            Self::Anchor(anchor) => anchor.owner(key),
        }
    }

    /// What it keeps for all keys; of ours also the orders of as many groups as are looked up.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Ours(table, placement, ..) => {
                let order = size_of_val(&*placement.near(PlacementKey::from_u64(0))) + 16;
                let kept = super::GROUPS as usize * order;
                table
                    .nodes
                    .iter()
                    .map(|node| size_of::<RouteNode>() + node.node.as_str().len())
                    .sum::<usize>()
                    + kept
            }
            Self::Ketama(points) => size_of_val(points.as_slice()),
            Self::Maglev(table, _) => size_of_val(table.as_slice()),
            Self::Jump(_) => 0,
            Self::Anchor(anchor) => 4 * size_of_val(anchor.a.as_slice()),
        }
    }
}

/// A fleet of near edges at one site.
pub(super) fn table(nodes: usize) -> anyhow::Result<RouteTable> {
    let node = |n| {
        Ok(RouteNode {
            node: NodeId::new(format!("near-{n:04}"))?,
            tier: Tier::Near,
            site: "here".into(),
            state: NodeState::Ready,
            weight: 1.0,
            peer_url: "http://127.0.0.1:1".into(),
            public_url: "http://127.0.0.1:1".into(),
            seat: Seat::default(),
        })
    };
    let nodes = (0..nodes).map(node).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(RouteTable { version: 1, racks: racks(&[], &nodes), nodes, ..RouteTable::default() })
}

fn ours(table: RouteTable) -> Scheme {
    let name = |node: &RouteNode| node.node.as_str().trim_start_matches("near-").parse().unwrap_or(u16::MAX);
    let names = table.nodes.iter().map(name).collect();
    let ring = Ring::of(&table, sluice_wire::placement::Seed::Near, |_| true, RouteNode::share);
    let placement = Placement::new(Arc::new(table.clone()), "here");
    Scheme::Ours(Box::new(table), placement, names, ring)
}

fn ring(nodes: &[u16]) -> Vec<(u64, u16)> {
    let point = |node: u16, n: u64| (spread(spread(u64::from(node)) ^ n), node);
    let mut points: Vec<_> =
        nodes.iter().flat_map(|node| (0..POINTS).map(move |n| point(*node, n))).collect();
    points.sort_unstable();
    points
}

/// Each node in turn takes the next place of its own permutation that is free.
fn maglev(nodes: &[u16]) -> Vec<u16> {
    let ways: Vec<(usize, usize)> = nodes
        .iter()
        .map(|node| {
            let hash = spread(u64::from(*node) + 0x5eed);
            (hash as usize % TABLE, (hash >> 32) as usize % (TABLE - 1) + 1)
        })
        .collect();
    let (mut next, mut table, mut filled) = (vec![0usize; nodes.len()], vec![u16::MAX; TABLE], 0);
    loop {
        for (at, node) in nodes.iter().enumerate() {
            let (offset, skip) = ways[at];
            let place = loop {
                let place = (offset + next[at] * skip) % TABLE;
                next[at] += 1;
                if table[place] == u16::MAX {
                    break place;
                }
            };
            table[place] = *node;
            filled += 1;
            if filled == TABLE {
                return table;
            }
        }
    }
}

/// Lamping and Veach 2014.
fn jump(mut key: u64, nodes: usize) -> u16 {
    let (mut bucket, mut next) = (-1i64, 0i64);
    while next < nodes as i64 {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = ((bucket + 1) as f64 * ((1u64 << 31) as f64 / ((key >> 33) + 1) as f64)) as i64;
    }
    bucket as u16
}

/// Mendelson and others 2021, with places for twice the nodes.
#[derive(Clone)]
pub(super) struct Anchor {
    a: Vec<u32>,
    k: Vec<u32>,
    l: Vec<u32>,
    w: Vec<u32>,
    working: usize,
}

impl Anchor {
    fn new(places: usize, nodes: usize) -> Self {
        let same: Vec<u32> = (0..places as u32).collect();
        let mut anchor =
            Self { a: vec![0; places], k: same.clone(), l: same.clone(), w: same, working: places };
        (nodes..places).rev().for_each(|gone| anchor.remove(gone));
        anchor
    }

    fn remove(&mut self, gone: usize) {
        self.working -= 1;
        let last = self.w[self.working];
        self.a[gone] = self.working as u32;
        self.w[self.l[gone] as usize] = last;
        self.k[gone] = last;
        self.l[last as usize] = self.l[gone];
    }

    fn owner(&self, key: u64) -> u16 {
        let mut bucket = key as usize % self.a.len();
        while self.a[bucket] > 0 {
            let mut next = spread(key ^ ((bucket as u64) << 40)) as usize % self.a[bucket] as usize;
            while self.a[next] >= self.a[bucket] {
                next = self.k[next] as usize;
            }
            bucket = next;
        }
        bucket as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_goes_owns_nothing_and_most_move_little() {
        for kind in Kind::ALL {
            let before = Scheme::new(kind, 20).unwrap();
            let gone = if kind == Kind::Jump { 19 } else { 7 };
            let after = before.without(gone).unwrap();
            let (mut owned, mut others) = (0u32, 0);
            for key in (0..4_000).map(spread) {
                let (was, is) = (before.owner(key), after.owner(key));
                assert_ne!(usize::from(is), gone, "{kind:?}");
                owned += u32::from(usize::from(was) == gone);
                others += u32::from(was != is && usize::from(was) != gone);
            }
            assert!((100..320).contains(&owned), "{kind:?} {owned}");
            assert!(others == 0 || (kind == Kind::Maglev && others < 100), "{kind:?} {others}");
        }
    }
}
